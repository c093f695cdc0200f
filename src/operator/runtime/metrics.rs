//! What is counted? Labels by controller and class only: never an object's name.

use crate::api::model_cache_replica::AttemptStage;
use crate::operator::error::ErrorClass;
use crate::operator::modelcache::refresh::Answer;
use crate::operator::replica::verification::Found;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;

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
struct CheckLabels {
    depth: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefreshLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    namespace: String,
    cache: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    namespace: String,
    cache: String,
    result: &'static str,
}

/// The metric families.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    durations: Family<ControllerLabel, Histogram, fn() -> Histogram>,
    errors: Family<ErrorLabels, Counter>,
    checks: Family<CheckLabels, Counter>,
    refreshes: Family<RefreshLabels, Counter>,
    last_backups: Family<CacheLabels, Gauge>,
    backups: Family<RunLabels, Counter>,
    restores: Family<RunLabels, Counter>,
    last_cleans: Family<CacheLabels, Gauge>,
    cleans: Family<RunLabels, Counter>,
    freed: Family<CacheLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("modelcache");
        let durations = Family::<ControllerLabel, Histogram, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.001, 4.0, 8))
        });
        let errors = Family::default();
        let checks = Family::default();
        let refreshes = Family::default();
        registry.register("reconcile_duration_seconds", "Time of a reconcile", durations.clone());
        registry.register("reconcile_errors", "Reconciles that failed, by class", errors.clone());
        registry.register("verifications", "Checks of copies that ended, by depth and result", checks.clone());
        registry.register("refreshes", "Times that an origin was asked whether it moved, by result", refreshes.clone());
        let last_backups = Family::default();
        let (backups, restores) = (Family::default(), Family::default());
        let help = "When the last backup that succeeded ended, in seconds since 1970";
        registry.register("backup_last_success_timestamp_seconds", help, last_backups.clone());
        registry.register("backup_runs", "Backups that ended, by result", backups.clone());
        registry.register("restore_runs", "Restores that ended, by result", restores.clone());
        let (last_cleans, cleans, freed) = (Family::default(), Family::default(), Family::default());
        let help =
            "When the clean-up that succeeded the longest ago, of those of all copies, ended, in seconds since 1970";
        registry.register("clean_last_success_timestamp_seconds", help, last_cleans.clone());
        registry.register("clean_runs", "Clean-ups that ended, by result", cleans.clone());
        registry.register("clean_freed_bytes", "Bytes on disks that clean-ups have freed", freed.clone());
        Self {
            registry: Arc::new(registry),
            durations,
            errors,
            checks,
            refreshes,
            last_backups,
            backups,
            restores,
            last_cleans,
            cleans,
            freed,
        }
    }
}

impl Metrics {
    /// Counts a reconcile.
    pub fn reconciled(&self, controller: &'static str, took: Duration, error: Option<ErrorClass>) {
        self.durations.get_or_create(&ControllerLabel { controller }).observe(took.as_secs_f64());
        if let Some(class) = error {
            self.errors.get_or_create(&ErrorLabels { controller, class: class.as_str() }).inc();
        }
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

    /// Says when the last backup of a cache that succeeded ended; forgets a cache that has none.
    pub fn last_backup(&self, namespace: &str, cache: &str, ended: Option<jiff::Timestamp>) {
        let labels = CacheLabels { namespace: namespace.to_owned(), cache: cache.to_owned() };
        match ended {
            Some(ended) => _ = self.last_backups.get_or_create(&labels).set(ended.as_second()),
            None => _ = self.last_backups.remove(&labels),
        }
    }

    /// Counts a backup that ended.
    pub fn backup_ended(&self, namespace: &str, cache: &str, succeeded: bool) {
        self.backups.get_or_create(&run(namespace, cache, succeeded)).inc();
    }

    /// Counts a restore that ended.
    pub fn restore_ended(&self, namespace: &str, cache: &str, succeeded: bool) {
        self.restores.get_or_create(&run(namespace, cache, succeeded)).inc();
    }

    /// Says when the copies of a cache were last cleaned; forgets a cache whose copies were not.
    pub fn last_clean(&self, namespace: &str, cache: &str, ended: Option<jiff::Timestamp>) {
        let labels = CacheLabels { namespace: namespace.to_owned(), cache: cache.to_owned() };
        match ended {
            Some(ended) => _ = self.last_cleans.get_or_create(&labels).set(ended.as_second()),
            None => _ = self.last_cleans.remove(&labels),
        }
    }

    /// Counts a clean-up that ended, and the bytes that it freed, also when it failed in the end.
    pub fn cleaned(&self, namespace: &str, cache: &str, succeeded: bool, freed: u64) {
        self.cleans.get_or_create(&run(namespace, cache, succeeded)).inc();
        let labels = CacheLabels { namespace: namespace.to_owned(), cache: cache.to_owned() };
        self.freed.get_or_create(&labels).inc_by(freed);
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

fn run(namespace: &str, cache: &str, succeeded: bool) -> RunLabels {
    let result = if succeeded { "succeeded" } else { "failed" };
    RunLabels { namespace: namespace.to_owned(), cache: cache.to_owned(), result }
}
