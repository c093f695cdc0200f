//! Watches, leadership, health, metrics: what makes a process of the reconciles.

mod caches;
mod context;
mod controllers;
mod data;
mod feeds;
mod health;
mod log;
mod metrics;
mod needs;
mod nodes;
mod permissions;
mod place;
mod reconciles;
mod seen;
mod throttle;
mod users;

pub use context::{Context, Stores};
pub use log::log;
pub use seen::Seen;

use crate::operator::cluster::{Cluster, Leadership};
use crate::operator::options::OperatorOptions;
use health::Health;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What ends the operator.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No cluster is configured.
    #[error("no cluster: a kubeconfig or a pod's ServiceAccount is needed: {0}")]
    NoCluster(Box<kube::Error>),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A namespace is to be served that the operator itself, or what it does on nodes, needs alone.
    #[error(
        "--namespaces names {0}, which is the operator's own or that of its node Jobs: caches have namespaces of their own"
    )]
    OwnNamespace(String),
    /// Leadership was lost: another process may write now.
    #[error("the Lease was lost: another process may lead now, so this one ends")]
    LeaseLost,
}

/// Runs the operator until it is told to end or loses its Lease.
pub async fn run(options: OperatorOptions) -> Result<(), RunError> {
    let own = [&options.namespace, &options.node_jobs_namespace];
    if let Some(own) = options.namespaces.names().and_then(|names| own.into_iter().find(|it| names.contains(*it))) {
        return Err(RunError::OwnNamespace(own.clone()));
    }
    let client = kube::Client::try_default().await.map_err(|source| RunError::NoCluster(Box::new(source)))?;
    let health = Arc::new(Health::default());
    let listener = tokio::net::TcpListener::bind(options.listen)
        .await
        .map_err(|source| RunError::Listen { address: options.listen, source })?;
    let server = tokio::spawn(health::serve(listener, health.clone()));

    let shutdown = shutdown_signal();
    tokio::pin!(shutdown);
    let mut there = tokio::select! {
        there = permissions::wait(&client, &health, &options) => there,
        () = &mut shutdown => return Ok(()),
    };
    tracing::info!(identity = options.identity, "waits for the Lease");
    // Ready to take over.
    health.ready();
    let mut leadership = loop {
        let gained = Leadership::gain(client.clone(), &options.namespace, &options.identity, options.lease_seconds);
        let result = tokio::select! {
            result = gained => result,
            () = &mut shutdown => return Ok(()),
        };
        match result {
            Ok(leadership) => break leadership,
            Err(error) => {
                health.not_ready(format!("the Lease cannot be taken: {error}"));
                tracing::warn!(%error, "failed to take the Lease");
                tokio::time::sleep(std::time::Duration::from_secs(2)).await;
            }
        }
    };
    tracing::info!("leads");
    if options.namespaces.names().is_some() {
        // It may have waited for long, and a namespace may be there by now.
        tokio::select! {
            now = permissions::wait(&client, &health, &options) => there = now,
            () = leadership.lost() => return Err(RunError::LeaseLost),
            () = &mut shutdown => {
                leadership.release().await;
                return Ok(());
            }
        }
    }
    let cluster = Cluster::new(client.clone(), &options.identity);
    let begun = AtomicBool::new(false);
    let result = tokio::select! {
        () = controllers::run(client.clone(), cluster, options.settings(), &there, health.clone(), &begun) => Ok(()),
        () = permissions::keep_checking(client, health.clone(), &options, &there, &begun) => Ok(()),
        () = leadership.lost() => Err(RunError::LeaseLost),
        () = &mut shutdown => Ok(()),
    };
    // Nothing of ours writes any more: now another may.
    if result.is_ok() {
        leadership.release().await;
    }
    server.abort();
    result
}

/// Resolves on SIGTERM or SIGINT.
async fn shutdown_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(error) => {
            tracing::error!(%error, "SIGTERM cannot be received");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("ends, as told");
}
