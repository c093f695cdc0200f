//! Does the process live, is it ready, and if not, why? `/livez`, `/readyz`, `/metrics`.

use super::metrics::Metrics;
use super::place::Place;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use std::collections::{BTreeMap, BTreeSet};
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
    /// Why a watch fails, by kind and by where it looks.
    watches: BTreeMap<(&'static str, Place), String>,
    /// Namespaces that are to be served and are not there: nothing of them can be watched.
    absent: BTreeSet<String>,
}

impl State_ {
    /// The watches that fail where there is something to watch. What is not there is waited for, and keeps nobody from being served.
    fn failing(&self) -> impl Iterator<Item = (&(&'static str, Place), &String)> {
        let there = |place: &Place| !self.absent.iter().any(|absent| *place == Place::Namespace(absent.clone()));
        self.watches.iter().filter(move |((_, place), _)| there(place))
    }
}

impl Default for Health {
    fn default() -> Self {
        let state = State_ { obstacle: Some("starting".into()), watches: BTreeMap::new(), absent: BTreeSet::new() };
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

    /// Which of the namespaces that are to be served are not there. Whether that is news.
    pub(super) fn absent(&self, namespaces: &BTreeSet<String>) -> bool {
        let (news, kinds) = self.with(|it| {
            let kinds: BTreeSet<&'static str> = it.watches.keys().map(|(kind, _)| *kind).collect();
            (std::mem::replace(&mut it.absent, namespaces.clone()) != *namespaces, kinds)
        });
        for kind in kinds {
            self.measure(kind);
        }
        news
    }

    /// A watch delivers.
    pub(super) fn watch_works(&self, kind: &'static str, place: &Place) {
        if self.with(|it| it.watches.remove(&(kind, place.clone()))).is_some() {
            self.measure(kind);
        }
    }

    /// A watch does not.
    pub(super) fn watch_fails(&self, kind: &'static str, place: &Place, error: &str) {
        let known = self.with(|it| it.watches.insert((kind, place.clone()), error.to_owned()));
        if known.is_none() {
            self.measure(kind);
            tracing::warn!(kind, namespace = %place, error, "a watch fails");
        }
    }

    /// Counts a kind as one that can be watched, or as one that cannot.
    fn measure(&self, kind: &'static str) {
        let fails = self.with(|it| it.failing().any(|((other, _), _)| *other == kind));
        self.metrics.watch(kind, !fails);
    }

    /// Why the process is not ready; nothing when it is.
    fn obstacles(&self) -> Vec<String> {
        self.with(|it| {
            let watches = it.failing().map(|((kind, place), error)| match place {
                Place::Everywhere => format!("cannot watch {kind}: {error}"),
                Place::Namespace(namespace) => format!("cannot watch {kind} in namespace {namespace}: {error}"),
            });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_fails_is_said_by_name_and_one_that_works_elsewhere_does_not_hide_it() {
        let health = Health::default();
        health.ready();
        let place = |name: &str| Place::Namespace(name.into());
        health.watch_fails("modelcaches", &place("studio"), "no");
        health.watch_fails("nodes", &Place::Everywhere, "no");
        health.watch_works("modelcaches", &place("team"));
        let expected = ["cannot watch modelcaches in namespace studio: no", "cannot watch nodes: no"];
        let counted = || health.metrics.encode().contains(r#"modelcache_watch_failing{kind="modelcaches"} 1"#);
        assert_eq!((health.obstacles(), counted()), (expected.map(str::to_owned).to_vec(), true));
        assert!(health.absent(&BTreeSet::from(["studio".to_owned()])), "news");
        assert_eq!(health.obstacles(), expected[1..], "what is not there cannot be watched");
        assert!(!counted(), "nor is it an alert");
        assert!(!health.absent(&BTreeSet::from(["studio".to_owned()])), "no news");
        health.watch_works("nodes", &Place::Everywhere);
        health.watch_works("modelcaches", &place("studio"));
        assert!(health.obstacles().is_empty());
    }
}
