//! Who leads? One process holds the Lease; one that loses it ends.

use kube::Client;
use kube_lease_manager::{LeaseManagerBuilder, LeaseManagerError};

/// Name of the Lease, in the operator's namespace.
pub const LEASE: &str = "modelcache-operator";

/// Waits until this process leads. The future returned resolves when it no longer does: the process must then end, since
/// another may already write.
pub async fn hold_lease(
    client: Client,
    namespace: &str,
    identity: &str,
    seconds: u16,
) -> Result<impl Future<Output = ()> + Send + 'static, LeaseManagerError> {
    let manager = LeaseManagerBuilder::new(client, LEASE)
        .with_namespace(namespace)
        .with_identity(identity)
        .with_duration(u64::from(seconds))
        .with_grace(u64::from(seconds / 3))
        .build()
        .await?;
    let (mut leading, task) = manager.watch().await;
    while !*leading.borrow_and_update() {
        if leading.changed().await.is_err() {
            break;
        }
    }
    Ok(async move {
        while *leading.borrow_and_update() {
            if leading.changed().await.is_err() {
                break;
            }
        }
        drop(leading);
        drop(task);
    })
}
