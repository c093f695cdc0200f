//! What is measured? `docs/observability.md` has the table, and a test holds it against what is printed.
//!
//! What an object says is not kept here a second time: [`readings`] takes it from the watches' stores when somebody asks, so
//! that a series goes with its object. Only what happened is counted: by class here, by cache in [`tallies`].

mod readings;
mod tallies;

use crate::api::Reason;
use crate::api::model_cache_replica::{AttemptStage, Holding};
use crate::operator::cluster::Note;
use crate::operator::error::ErrorClass;
use crate::operator::modelcache::refresh::Answer;
use crate::operator::replica::verification::Found;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use readings::Readings;
pub(super) use readings::Sources;
use std::sync::Arc;
use std::time::Duration;
use tallies::Tallies;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabel {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    controller: &'static str,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    work: &'static str,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    depth: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefreshLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// The metric families.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    readings: Arc<Readings>,
    tallies: Arc<Tallies>,
    leader: Gauge,
    running: Family<ControllerLabel, Gauge>,
    durations: Family<ControllerLabel, Histogram, fn() -> Histogram>,
    errors: Family<ErrorLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    checks: Family<CheckLabels, Counter>,
    refreshes: Family<RefreshLabels, Counter>,
    watches: Family<KindLabel, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("modelcache");
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What runs", version);
        let leader = Gauge::default();
        registry.register(
            "leader",
            "1 in the process that holds the Lease and works, 0 in one that waits",
            leader.clone(),
        );
        let running = Family::<ControllerLabel, Gauge>::default();
        registry.register("reconciles_running", "Reconciles under way; at most 16 a controller", running.clone());
        let durations = Family::<ControllerLabel, Histogram, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.001, 4.0, 8))
        });
        registry.register("reconcile_duration_seconds", "Time of a reconcile", durations.clone());
        let errors = Family::<ErrorLabels, Counter>::default();
        registry.register("reconcile_errors", "Reconciles that failed, by class", errors.clone());
        let failures = Family::<FailureLabels, Counter>::default();
        registry.register("job_failures", "Jobs that failed, by what they did and why", failures.clone());
        let checks = Family::<CheckLabels, Counter>::default();
        registry.register("verifications", "Checks of copies that ended, by depth and result", checks.clone());
        let refreshes = Family::<RefreshLabels, Counter>::default();
        registry.register("refreshes", "Times that an origin was asked whether it moved, by result", refreshes.clone());
        let watches = Family::<KindLabel, Gauge>::default();
        registry.register("watch_failing", "1 while a kind cannot be watched; absent otherwise", watches.clone());
        let tallies = Arc::<Tallies>::default();
        let readings = Arc::new(Readings::new(tallies.clone()));
        registry.register_collector(Box::new(readings.clone()));
        Self {
            registry: Arc::new(registry),
            readings,
            tallies,
            leader,
            running,
            durations,
            errors,
            failures,
            checks,
            refreshes,
            watches,
        }
    }
}

impl Metrics {
    /// This process leads, and this is where it sees the objects.
    pub(super) fn leads(&self, sources: Sources) {
        self.leader.set(1);
        self.readings.read(sources);
    }

    /// A reconcile begins.
    pub(super) fn begun(&self, controller: &'static str) {
        self.running.get_or_create(&ControllerLabel { controller }).inc();
    }

    /// A reconcile ended.
    pub(super) fn reconciled(&self, controller: &'static str, took: Duration, error: Option<ErrorClass>) {
        self.running.get_or_create(&ControllerLabel { controller }).dec();
        self.durations.get_or_create(&ControllerLabel { controller }).observe(took.as_secs_f64());
        if let Some(class) = error {
            self.errors.get_or_create(&ErrorLabels { controller, class: class.as_str() }).inc();
        }
    }

    /// Whether a kind can be watched.
    pub(super) fn watch(&self, kind: &'static str, works: bool) {
        if works {
            self.watches.remove(&KindLabel { kind });
        } else {
            self.watches.get_or_create(&KindLabel { kind }).set(1);
        }
    }

    /// Counts the failures of Jobs among what people are told. What the reconcile says of itself is none.
    pub fn told(&self, notes: &[Note]) {
        for note in notes.iter().filter(|it| it.warning && !matches!(it.action, "Reconcile" | "Delete")) {
            self.failures.get_or_create(&failure(note.action, note.reason)).inc();
        }
    }

    /// Counts a warm-up that ended: with what the copy then held, or a failure. One that gave way is neither.
    pub fn warmed(&self, namespace: &str, cache: &str, holds: Option<&Holding>, failed: bool) {
        let fetched = holds.filter(|_| !failed).map(|it| u64::try_from(it.fetched_bytes).unwrap_or(0));
        self.tallies.of(namespace, cache, |it| match fetched {
            Some(bytes) => {
                it.warm_ups.count(true);
                it.fetched_bytes += bytes;
            }
            None if failed => it.warm_ups.count(false),
            None => {}
        });
    }

    /// Counts a check of a copy.
    pub fn checked(&self, stage: AttemptStage, found: Found) {
        let depth = if stage == AttemptStage::DeepVerify { "deep" } else { "quick" };
        let result = match found {
            Found::Whole => "whole",
            Found::Damaged => "damaged",
            Found::Failed => "failed",
        };
        self.checks.get_or_create(&CheckLabels { depth, result }).inc();
    }

    /// Counts an origin's answer.
    pub fn refreshed(&self, answer: Answer) {
        let result = match answer {
            Answer::Current => "current",
            Answer::Moved => "moved",
            Answer::Failed => "failed",
        };
        self.refreshes.get_or_create(&RefreshLabels { result }).inc();
    }

    /// Counts a backup that ended.
    pub fn backup_ended(&self, namespace: &str, cache: &str, succeeded: bool) {
        self.tallies.of(namespace, cache, |it| it.backups.count(succeeded));
    }

    /// Counts a restore that ended.
    pub fn restore_ended(&self, namespace: &str, cache: &str, succeeded: bool) {
        self.tallies.of(namespace, cache, |it| it.restores.count(succeeded));
    }

    /// Counts a clean-up that ended, and the bytes that it freed, also when it failed in the end.
    pub fn cleaned(&self, namespace: &str, cache: &str, succeeded: bool, freed: u64) {
        self.tallies.of(namespace, cache, |it| {
            it.cleans.count(succeeded);
            it.freed_bytes += freed;
        });
    }

    /// The text format of Prometheus.
    pub(super) fn encode(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }
}

fn failure(work: &'static str, reason: Reason) -> FailureLabels {
    FailureLabels { work, reason: reason.as_str() }
}

#[cfg(test)]
mod tests;
