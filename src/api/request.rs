//! What may be asked for now, beside every schedule, and of which copies?
//!
//! By an annotation of the ModelCache for each deed. Its value is free text, usually the time of asking: whenever it is another one, it
//! is done once. Words in it narrow it: `volumes=` and `nodes=`, each with names and commas between them, ask only the copies of those
//! volumes, or on those nodes; `dry-run` has a clean-up only say what it would do. The value that was last acted on is in the
//! status, of the cache and of each copy.

use super::model_cache::{Failure, ModelCacheSpec};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Bytes of a value that count: two values that are the same for so long are one.
pub const LONGEST: usize = 1024;
/// What is before the nodes in a value.
const NODES: &str = "nodes=";
/// What is before the volumes in a value.
const VOLUMES: &str = "volumes=";
/// The word that has a clean-up only say what it would do.
const DRY_RUN: &str = "dry-run";

/// What may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// What failed is tried again at once, and counts as if it had not failed before; where `refresh` asks the origins on schedule,
    /// they are asked.
    Warm,
    /// Every file of every copy is hashed.
    Verify,
    /// The rules of the clean-up are carried out, or it is said what they would do.
    Clean,
    /// What the cache has put on its volumes is removed, and fetched anew.
    Reset,
}

/// Which copies are meant, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Names of volumes; all when there are none.
    pub volumes: Vec<String>,
    /// Names of nodes; all, and what is on no node, when there are none.
    pub nodes: Vec<String>,
    /// Whether it is only to be said what would be done.
    pub dry_run: bool,
}

impl Deed {
    /// Every deed.
    pub const ALL: [Self; 4] = [Self::Warm, Self::Verify, Self::Clean, Self::Reset];

    /// The annotation that asks for it.
    pub const fn annotation(self) -> &'static str {
        match self {
            Self::Warm => "modelcache.dev/requestedAt",
            Self::Verify => "modelcache.dev/verifyRequestedAt",
            Self::Clean => "modelcache.dev/cleanRequestedAt",
            Self::Reset => "modelcache.dev/resetRequestedAt",
        }
    }

    /// What is asked of a cache with these annotations.
    pub fn asked(self, annotations: &BTreeMap<String, String>) -> Option<String> {
        let value = annotations.get(self.annotation()).filter(|it| !it.trim().is_empty())?;
        Some(super::condition::truncate(value, LONGEST))
    }

    /// What is asked of the copy of a volume on a node, or of that on a shared volume.
    pub fn asked_of(
        self,
        annotations: &BTreeMap<String, String>,
        spec: &ModelCacheSpec,
        volume: &str,
        node: Option<&str>,
    ) -> Option<String> {
        let meant = annotations.get(self.annotation()).is_some_and(|value| Scope::of(value).takes(volume, node));
        self.asked(annotations).filter(|_| meant && self.can_be_done(spec, volume))
    }

    /// Whether it can be asked of a volume at all: what has no rule is not cleaned, and what is on somebody else's claim is not ours
    /// to remove.
    pub fn can_be_done(self, spec: &ModelCacheSpec, volume: &str) -> bool {
        match self {
            Self::Warm | Self::Verify => true,
            Self::Clean => {
                let mut rules = spec.cleanup.iter().flat_map(|it| &it.rules);
                rules.any(|it| spec.volume_of_rule(it).is_some_and(|it| it.name == volume))
            }
            Self::Reset => spec.volumes.iter().any(|it| it.name == volume && it.existing_claim.is_none()),
        }
    }
}

impl Scope {
    /// What a value says, wherever in it the words stand.
    pub fn of(value: &str) -> Self {
        let (mut scope, mut list) = (Self::default(), None);
        for word in value.split_whitespace() {
            // However somebody writes it: nothing is removed that was meant to be looked at.
            let names = if word.trim_start_matches('-').starts_with(DRY_RUN) {
                scope.dry_run = true;
                list = None;
                continue;
            } else if let Some(names) = word.strip_prefix(NODES) {
                list = Some(NODES);
                names
            } else if let Some(names) = word.strip_prefix(VOLUMES) {
                list = Some(VOLUMES);
                names
            } else {
                word
            };
            let into = match list {
                Some(NODES) => &mut scope.nodes,
                Some(_) => &mut scope.volumes,
                None => continue,
            };
            into.extend(names.split(',').filter(|it| !it.is_empty()).map(str::to_owned));
        }
        scope
    }

    /// A value that asks for this.
    pub fn value(&self, text: &str) -> String {
        let mut value = text.to_owned();
        if self.dry_run {
            _ = write!(value, " {DRY_RUN}");
        }
        for (what, names) in [(VOLUMES, &self.volumes), (NODES, &self.nodes)] {
            if !names.is_empty() {
                _ = write!(value, " {what}{}", names.join(","));
            }
        }
        value
    }

    /// Whether the copy of a volume on a node is meant.
    pub fn takes(&self, volume: &str, node: Option<&str>) -> bool {
        let named = self.nodes.is_empty() || node.is_some_and(|node| self.nodes.iter().any(|it| it == node));
        named && (self.volumes.is_empty() || self.volumes.iter().any(|it| it == volume))
    }
}

/// The last check that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestedCheck {
    /// The value of the annotation `modelcache.dev/verifyRequestedAt` that was acted on.
    #[schemars(length(max = 1024))]
    pub request: String,
    /// When the copy was checked, or the check failed, RFC 3339.
    #[schemars(length(max = 64))]
    pub time: String,
    /// Files and links that it found damaged. They are fetched again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged: Option<i64>,
    /// Why it could not be checked. Absent when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// The last reset that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestedReset {
    /// The value of the annotation `modelcache.dev/resetRequestedAt` that was acted on.
    #[schemars(length(max = 1024))]
    pub request: String,
    /// The attempt that removes the content and fetches it anew; 0 when it was refused.
    pub attempt: i64,
    /// When the copy was complete again, or the reset failed, RFC 3339. Absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub time: Option<String>,
    /// Why it was not done, or not wholly. Absent when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec() -> ModelCacheSpec {
        serde_json::from_value(json!({
            "volumes": [{"name": "models", "shared": {"size": "1Gi"}}, {"name": "logs", "existingClaim": {"claimName": "l"}}],
            "cleanup": {"rules": [{"name": "old", "volume": "logs", "paths": ["**"], "delete": {"olderThan": "7d"}}]}
        }))
        .unwrap()
    }

    #[test]
    fn a_request_is_for_all_copies_or_for_those_that_it_names() {
        let annotations = |text: &str| BTreeMap::from([(Deed::Warm.annotation().to_owned(), text.to_owned())]);
        let asked = |all: &BTreeMap<String, String>, node| Deed::Warm.asked_of(all, &spec(), "models", node);
        for (text, node, meant) in [
            ("2026-11-21T12:00:00Z", Some("gpu-1"), true),
            ("2026-11-21T12:00:00Z", None, true),
            ("now nodes=gpu-1,gpu-2", Some("gpu-2"), true),
            ("now nodes=gpu-1, gpu-2", Some("gpu-2"), true),
            ("now nodes=gpu-1,gpu-2", Some("gpu-3"), false),
            ("now nodes=gpu-1", None, false),
            ("now please, nodes=gpu-1", Some("gpu-2"), false),
            ("nodes=gpu-1", Some("gpu-2"), false),
            ("now volumes=models", None, true),
            ("now volumes=logs", None, false),
            ("now nodes=gpu-1 volumes=models", Some("gpu-1"), true),
            ("now volumes=models nodes=gpu-1", Some("gpu-2"), false),
            ("  ", None, false),
        ] {
            assert_eq!(asked(&annotations(text), node).is_some(), meant, "{text}");
        }
        let many: Vec<String> = (0..100).map(|it| format!("ip-10-0-0-{it}.eu-central-1.compute.internal")).collect();
        let long = annotations(&Scope { nodes: many.clone(), ..Scope::default() }.value("now"));
        assert!(asked(&long, Some(&many[99])).is_some(), "names beyond what the status holds count");
        assert!(asked(&long, Some("another")).is_none());
        assert_eq!(Deed::Verify.asked(&annotations("now")), None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        for (scope, text) in [
            (Scope::default(), "now"),
            (Scope { nodes: names(&["a", "b"]), ..Scope::default() }, "now nodes=a,b"),
            (Scope { dry_run: true, volumes: names(&["v"]), nodes: names(&["a"]) }, "now dry-run volumes=v nodes=a"),
        ] {
            assert_eq!(scope.value("now"), text);
            assert_eq!(Scope::of(text), scope);
        }
        for text in ["dry-run", "now, dry-run, nodes=a", "now --dry-run", "dry-run=true volumes=v"] {
            assert!(Scope::of(text).dry_run, "{text}: who writes so wants nothing removed");
        }
    }

    #[test]
    fn only_what_has_a_rule_is_cleaned_and_no_claim_of_somebody_else_is_reset() {
        for (deed, models, logs) in [
            (Deed::Warm, true, true),
            (Deed::Verify, true, true),
            (Deed::Clean, false, true),
            (Deed::Reset, true, false),
        ] {
            assert_eq!((deed.can_be_done(&spec(), "models"), deed.can_be_done(&spec(), "logs")), (models, logs));
        }
    }
}
