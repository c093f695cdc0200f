//! What is counted? Labels by controller and class only: never an object's name.

use crate::operator::error::ErrorClass;
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

/// The metric families.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    durations: Family<ControllerLabel, Histogram, fn() -> Histogram>,
    errors: Family<ErrorLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("modelcache");
        let durations = Family::<ControllerLabel, Histogram, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.001, 4.0, 8))
        });
        let errors = Family::default();
        registry.register("reconcile_duration_seconds", "Time of a reconcile", durations.clone());
        registry.register("reconcile_errors", "Reconciles that failed, by class", errors.clone());
        Self { registry: Arc::new(registry), durations, errors }
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

    /// The text format of Prometheus.
    pub(super) fn encode(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }
}
