//! How fast does a plan reach the nodes, and how many copies may fail?

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How a plan reaches the nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Warm-ups of this cache at once: a number, or a percentage of the copies wanted, rounded up. 4 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "parallel_schema")]
    pub max_parallel: Option<IntOrString>,

    /// No copy that has not failed is warmed while more copies than this have failed (those are tried again): a number, or
    /// a percentage of the copies wanted, rounded down. No limit when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "failures_schema")]
    pub max_failures: Option<IntOrString>,
}

/// Schema of a count of warm-ups: a number from 1, or a percentage.
fn parallel_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    count_schema(
        "type(self) == int ? int(self) >= 1 && int(self) <= 100000 : string(self).matches('^(100|[1-9][0-9]?)%$')",
        "must be a number from 1 to 100000 or a percentage from 1% to 100%",
    )
}

/// Schema of a count of failures: a number from 0, or a percentage.
fn failures_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    count_schema(
        "type(self) == int ? int(self) >= 0 && int(self) <= 100000 : string(self).matches('^(100|[1-9]?[0-9])%$')",
        "must be a number from 0 to 100000 or a percentage from 0% to 100%",
    )
}

fn count_schema(rule: &str, message: &str) -> schemars::Schema {
    schemars::json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 4,
        "x-kubernetes-validations": [{"rule": rule, "message": message}]
    })
}
