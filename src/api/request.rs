//! What may be asked for now, beside every schedule, and of which copies?
//!
//! By an annotation of the ModelCache for each deed. Its value is free text, usually the time of asking: whenever it is another one, it
//! is done once. ` nodes=` and names with commas between them, at its end, ask only the copies on those nodes. The value that was
//! last acted on is in the status, of the cache and of each copy.

use super::model_cache::Failure;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bytes of a value that count: two values that are the same for so long are one.
pub const LONGEST: usize = 1024;
/// What is before the nodes in a value.
const NODES: &str = " nodes=";

/// What may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// What failed is tried again at once, and counts as if it had not failed before; where `refresh` asks the origins on schedule,
    /// they are asked.
    Warm,
    /// Every file of every copy is hashed.
    Verify,
}

impl Deed {
    /// The annotation that asks for it.
    pub const fn annotation(self) -> &'static str {
        match self {
            Self::Warm => "modelcache.dev/requestedAt",
            Self::Verify => "modelcache.dev/verifyRequestedAt",
        }
    }

    /// What is asked of a cache with these annotations.
    pub fn asked(self, annotations: &BTreeMap<String, String>) -> Option<String> {
        let value = annotations.get(self.annotation()).filter(|it| !it.trim().is_empty())?;
        Some(super::condition::truncate(value, LONGEST))
    }

    /// What is asked of the copy on a node, or of that on a shared volume.
    pub fn asked_of(self, annotations: &BTreeMap<String, String>, node: Option<&str>) -> Option<String> {
        let meant = annotations.get(self.annotation()).is_some_and(|value| is_for(value, node));
        self.asked(annotations).filter(|_| meant)
    }
}

/// Whether a value asks the copy on a node.
pub fn is_for(value: &str, node: Option<&str>) -> bool {
    match value.rsplit_once(NODES) {
        None => true,
        Some((_, nodes)) => node.is_some_and(|node| nodes.split(',').any(|it| it.trim() == node)),
    }
}

/// A value that asks the copies on these nodes; all when there are none.
pub fn value(text: &str, nodes: &[String]) -> String {
    if nodes.is_empty() { text.to_owned() } else { format!("{text}{NODES}{}", nodes.join(",")) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_for_all_copies_or_for_those_on_the_nodes_that_it_names() {
        let annotations = |text: &str| BTreeMap::from([(Deed::Warm.annotation().to_owned(), text.to_owned())]);
        for (text, node, meant) in [
            ("2026-11-21T12:00:00Z", Some("gpu-1"), true),
            ("2026-11-21T12:00:00Z", None, true),
            ("now nodes=gpu-1,gpu-2", Some("gpu-2"), true),
            ("now nodes=gpu-1,gpu-2", Some("gpu-3"), false),
            ("now nodes=gpu-1", None, false),
            ("nodes=gpu-1", Some("gpu-2"), true),
            ("  ", None, false),
        ] {
            assert_eq!(Deed::Warm.asked_of(&annotations(text), node).is_some(), meant, "{text}");
        }
        let many: Vec<String> = (0..100).map(|it| format!("ip-10-0-0-{it}.eu-central-1.compute.internal")).collect();
        let long = annotations(&value("now", &many));
        assert!(Deed::Warm.asked_of(&long, Some(&many[99])).is_some(), "names beyond what the status holds count");
        assert!(Deed::Warm.asked_of(&long, Some("another")).is_none());
        assert_eq!(value("now", &["a".into(), "b".into()]), "now nodes=a,b");
        assert_eq!(Deed::Verify.asked(&annotations("now")), None);
    }
}
