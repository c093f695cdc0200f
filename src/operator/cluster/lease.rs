//! Who leads? One process holds the Lease; one that loses it ends.

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use std::time::{Duration, Instant};
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;

/// Name of the Lease, in the operator's namespace.
pub const LEASE: &str = "modelcache-operator";

/// Between two looks of a process that waits at a Lease that another holds.
const LOOK: Duration = Duration::from_secs(1);

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
        let api = Api::namespaced(client.clone(), namespace);
        let validity = Duration::from_secs(u64::from(seconds));
        loop {
            let manager = LeaseManagerBuilder::new(client.clone(), LEASE)
                .with_namespace(namespace)
                .with_identity(identity)
                .with_duration(u64::from(seconds))
                .with_grace(u64::from(seconds / 3))
                .build()
                .await?;
            let (mut leading, task) = manager.watch().await;
            // The manager sleeps until the Lease that another holds would run out.
            tokio::select! {
                result = leads(&mut leading) => {
                    result?;
                    return Ok(Self { leading, task, api, identity: identity.to_owned(), validity });
                }
                () = given_back(&api, identity) => {}
            }
            // Ended before the next one begins: they have one name, and this one would give back what that one took.
            drop(leading);
            let _ = task.await;
        }
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

async fn leads(leading: &mut Receiver<bool>) -> Result<(), LeaseError> {
    while !*leading.borrow_and_update() {
        leading.changed().await.map_err(|_| LeaseError::Ended)?;
    }
    Ok(())
}

/// Resolves when the process that held the Lease gave it back: who waits for it need not wait until it would have run out.
async fn given_back(api: &Api<Lease>, identity: &str) {
    let mut held = false;
    loop {
        // What cannot be read is no news: the manager goes on by the clock.
        if let Ok(Some(lease)) = api.get_opt(LEASE).await {
            let holder = lease.spec.and_then(|it| it.holder_identity).filter(|it| !it.is_empty());
            if held && holder.is_none() {
                return;
            }
            held = holder.is_some_and(|it| it != identity);
        }
        tokio::time::sleep(LOOK).await;
    }
}
