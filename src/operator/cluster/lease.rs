//! Who leads? One process holds the Lease; one that loses it ends.

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use std::time::{Duration, Instant};
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;

/// Name of the Lease, in the operator's namespace.
pub const LEASE: &str = "modelcache-operator";

/// Why the Lease was not gained.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// It can be neither read nor made.
    #[error(transparent)]
    Manager(#[from] LeaseManagerError),
    /// What renews it ended.
    #[error("what renews the Lease ended before it was gained")]
    Ended,
}

/// What a process that leads holds.
pub struct Leadership {
    leading: Receiver<bool>,
    task: JoinHandle<Result<LeaseManager, LeaseManagerError>>,
    api: Api<Lease>,
    identity: String,
    validity: Duration,
}

impl Leadership {
    /// Waits until this process leads.
    ///
    /// # Errors
    /// When the Lease can be neither read nor made.
    pub async fn gain(client: Client, namespace: &str, identity: &str, seconds: u16) -> Result<Self, LeaseError> {
        let manager = LeaseManagerBuilder::new(client.clone(), LEASE)
            .with_namespace(namespace)
            .with_identity(identity)
            .with_duration(u64::from(seconds))
            .with_grace(u64::from(seconds / 3))
            .build()
            .await?;
        let (mut leading, task) = manager.watch().await;
        while !*leading.borrow_and_update() {
            leading.changed().await.map_err(|_| LeaseError::Ended)?;
        }
        let validity = Duration::from_secs(u64::from(seconds));
        Ok(Self { leading, task, api: Api::namespaced(client, namespace), identity: identity.to_owned(), validity })
    }

    /// Resolves when this process leads no longer, or cannot know that it does: another may then write, so it must end.
    ///
    /// The Lease is also read back, because its manager goes on trying, and says nothing, while the API server does not
    /// answer.
    pub async fn lost(&mut self) {
        let mut leading = self.leading.clone();
        let told = async {
            while *leading.borrow_and_update() {
                if leading.changed().await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            () = told => {}
            () = self.unconfirmed() => {}
        }
    }

    async fn unconfirmed(&self) {
        let mut confirmed = Instant::now();
        while confirmed.elapsed() < self.validity {
            tokio::time::sleep(self.validity / 4).await;
            let read = tokio::time::timeout(self.validity / 4, self.api.get(LEASE)).await;
            match read.map(|it| it.map(|it| it.spec.and_then(|it| it.holder_identity))) {
                Ok(Ok(Some(holder))) if holder == self.identity => confirmed = Instant::now(),
                // Somebody else's by now.
                Ok(Ok(Some(_))) => return,
                _ => {}
            }
        }
    }

    /// Gives the Lease back, so that the next process need not wait until it runs out.
    pub async fn release(self) {
        drop(self.leading);
        if tokio::time::timeout(Duration::from_secs(3), self.task).await.is_err() {
            tracing::warn!("the Lease was not given back in time: it runs out");
        }
    }
}
