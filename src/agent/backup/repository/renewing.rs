//! How does a run say again and again that it is at work, and stop saying so for good?
//!
//! A renewal that has begun is waited for: one that was given up could still arrive after the marker was removed, and whoever
//! comes next would take this run for alive.

use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Renewals on their way. Dropped, they end as well, but nobody waits for the last one.
#[derive(Debug)]
pub struct Renewing {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Renewing {
    /// Renews after each such time, until the end.
    pub fn every<F: Future<Output = ()> + Send>(time: Duration, renew: impl Fn() -> F + Send + Sync + 'static) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            while tokio::time::timeout(time, &mut stopped).await.is_err() {
                renew().await;
            }
        });
        Self { stop, task }
    }

    /// Ends them: afterwards none is on its way.
    pub async fn end(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the renewals of a marker ended early");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Repository;
    use super::super::at_work::{AtWork, Work};
    use super::super::marker::Owner;
    use super::super::seal::Seal;
    use super::super::store::Store;
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn the_end_waits_for_a_renewal_that_has_begun_and_none_comes_after_it() {
        let (begun, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let done = Arc::new(AtomicU32::new(0));
        let shared = (Arc::clone(&begun), Arc::clone(&gate), Arc::clone(&done));
        let renewing = Renewing::every(Duration::from_millis(1), move || {
            let (begun, gate, done) = shared.clone();
            async move {
                begun.add_permits(1);
                gate.acquire().await.unwrap().forget();
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        begun.acquire().await.unwrap().forget();
        let end = tokio::spawn(renewing.end());
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!end.is_finished(), "the renewal is still on its way");
        gate.add_permits(100);
        end.await.unwrap();
        assert_eq!((done.load(Ordering::Relaxed), begun.available_permits()), (1, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_marker_is_written_again_after_it_was_removed() {
        let base = tempfile::tempdir().unwrap();
        let store = Store::in_directory(base.path(), "default/c", true).unwrap();
        let owner = Owner { namespace: "default".into(), cache: "c".into() };
        let repository = Repository::open_or_create(store, &owner, Seal::default()).await.unwrap();
        for round in 0..50_u64 {
            let at_work = AtWork::begin(&repository, Work::Backup, &round.to_string()).await.unwrap();
            let marker = at_work.clone();
            let renewing = Renewing::every(Duration::from_micros(1), move || {
                let marker = marker.clone();
                async move { marker.renew().await.unwrap() }
            });
            tokio::time::sleep(Duration::from_micros(1500 + round * 37)).await;
            renewing.end().await;
            at_work.end().await.unwrap();
        }
        let left = repository.store.list("running/").await.unwrap();
        assert!(left.is_empty(), "the next prune would give way to {left:?}");
    }
}
