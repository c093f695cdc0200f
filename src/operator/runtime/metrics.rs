//! What is counted? Labels by controller and class only: never an object's name.

use crate::api::model_cache_replica::AttemptStage;
use crate::operator::error::ErrorClass;
use crate::operator::modelcache::refresh::Answer;
use crate::operator::replica::verification::Found;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
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

/// The metric families.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    durations: Family<ControllerLabel, Histogram, fn() -> Histogram>,
    errors: Family<ErrorLabels, Counter>,
    checks: Family<CheckLabels, Counter>,
    refreshes: Family<RefreshLabels, Counter>,
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
        Self { registry: Arc::new(registry), durations, errors, checks, refreshes }
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

    /// The text format of Prometheus.
    pub(super) fn encode(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }
}
