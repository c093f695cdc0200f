//! Does the process live, is it ready, and if not, why? `/livez`, `/readyz`, `/metrics`.

use super::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// What the endpoints say.
#[derive(Debug)]
pub(super) struct Health {
    /// What is counted.
    pub(super) metrics: Metrics,
    state: Mutex<State_>,
}

#[derive(Debug)]
struct State_ {
    obstacle: Option<String>,
    watches: BTreeMap<&'static str, String>,
}

impl Default for Health {
    fn default() -> Self {
        let state = State_ { obstacle: Some("starting".into()), watches: BTreeMap::new() };
        Self { metrics: Metrics::default(), state: Mutex::new(state) }
    }
}

impl Health {
    fn with<T>(&self, change: impl FnOnce(&mut State_) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything has been seen.
    pub(super) fn ready(&self) {
        self.with(|it| it.obstacle = None);
    }

    /// Not ready, and why. Whether that is news.
    pub(super) fn not_ready(&self, why: String) -> bool {
        self.with(|it| it.obstacle.replace(why.clone()) != Some(why))
    }

    /// A watch delivers.
    pub(super) fn watch_works(&self, kind: &'static str) {
        if self.with(|it| it.watches.remove(kind)).is_some() {
            self.metrics.watch(kind, true);
        }
    }

    /// A watch does not.
    pub(super) fn watch_fails(&self, kind: &'static str, error: &str) {
        let known = self.with(|it| it.watches.insert(kind, error.to_owned()));
        if known.is_none() {
            self.metrics.watch(kind, false);
            tracing::warn!(kind, error, "a watch fails");
        }
    }

    /// Why the process is not ready; nothing when it is.
    fn obstacles(&self) -> Vec<String> {
        self.with(|it| {
            let watches = it.watches.iter().map(|(kind, error)| format!("cannot watch {kind}: {error}"));
            it.obstacle.iter().cloned().chain(watches).collect()
        })
    }
}

/// Answers until the process ends.
pub(super) async fn serve(listener: TcpListener, health: Arc<Health>) {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(|State(health): State<Arc<Health>>| async move { health.metrics.encode() }))
        .with_state(health);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the health server ended");
    }
}

async fn readyz(State(health): State<Arc<Health>>) -> (StatusCode, String) {
    let obstacles = health.obstacles();
    if obstacles.is_empty() {
        (StatusCode::OK, "ok\n".into())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready:\n{}\n", obstacles.join("\n")))
    }
}
