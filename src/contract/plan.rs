//! What must be on a volume? Pins and listing digests, never file lists.

use super::{ContractError, VERSION, read};
use crate::api::name::hex;
use crate::api::source::Source;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Version of the layout on disk. A new one means that every copy is made again.
pub const LAYOUT: u32 = 1;

/// Key of the plan in its `ConfigMap`, and its file name in the pod.
pub const FILE: &str = "plan.json";

/// The content of one volume: mounted at `/etc/modelcache/plan.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Version of the document.
    pub version: u32,
    /// Version of the layout on disk.
    pub layout: u32,
    /// Name of the ModelCache: manifests live under `.modelcache/<cache>/`.
    pub cache: String,
    /// Name of the volume.
    pub volume: String,
    /// Directories to make, relative to the volume's root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<String>,
    /// Sources with their pins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<PlannedSource>,
}

/// A source and what it resolved to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedSource {
    /// The source as the user wrote it. It names Secrets, and never holds what is in them.
    pub source: Source,
    /// What it resolved to.
    pub pin: Pin,
}

/// What a source resolved to, once, for the whole fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// The commit, `commit:<hex>`, `sha256:<hex>` or `etag:<value>`: what kind of source says which.
    pub revision: String,
    /// Files at that revision, after `include` and `exclude`.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
    /// SHA-256 of the listing: each node lists for itself and must reproduce it.
    pub digest: String,
}

impl Plan {
    /// An empty plan of the present versions.
    pub fn new(cache: impl Into<String>, volume: impl Into<String>) -> Self {
        Self {
            version: VERSION,
            layout: LAYOUT,
            cache: cache.into(),
            volume: volume.into(),
            directories: vec![],
            sources: vec![],
        }
    }

    /// Reads a plan.
    pub fn parse(text: &str) -> Result<Self, ContractError> {
        read("the plan", text)
    }

    /// The plan as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Hash of the whole document, endpoints and all: it names the `ConfigMap`.
    pub fn data_hash(&self) -> String {
        hex(&Sha256::digest(self.to_json().as_bytes()))
    }

    /// Identity of the content: SHA-256 over what ends up on the volume and where, and nothing else. Where the bytes come
    /// from (endpoint, Secret) is no part of it. A golden test keeps it from changing with the operator's version.
    pub fn content_hash(&self) -> String {
        let mut directories = self.directories.clone();
        directories.sort();
        let mut sources: Vec<String> = self.sources.iter().map(content_key).collect();
        sources.sort();
        let key = serde_json::json!(["modelcache", self.layout, self.cache, directories, sources]);
        hex(&Sha256::digest(key.to_string().as_bytes()))
    }

    /// Files of all sources.
    pub fn files(&self) -> u64 {
        self.sources.iter().fold(0, |sum, it| sum.saturating_add(it.pin.files))
    }

    /// Bytes of all sources.
    pub fn bytes(&self) -> u64 {
        self.sources.iter().fold(0, |sum, it| sum.saturating_add(it.pin.bytes))
    }
}

/// One source's part of the content's identity.
fn content_key(planned: &PlannedSource) -> String {
    let PlannedSource { source, pin } = planned;
    serde_json::json!([source.name, source.identity(), pin.revision, pin.files, pin.bytes, pin.digest]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn sample() -> Plan {
        let hub = json!({"repo": "org/sana", "exclude": ["*.onnx"]});
        let source = json!({"name": "sana", "volume": "models", "huggingFace": hub});
        let source = serde_json::from_value(source).unwrap();
        let pin = Pin { revision: "c".repeat(40), files: 3, bytes: 1234, digest: "d".repeat(64) };
        Plan {
            directories: vec!["b".into(), "a".into()],
            sources: vec![PlannedSource { source, pin }],
            ..Plan::new("studio", "models")
        }
    }

    #[test]
    fn the_content_hash_is_golden_so_that_an_upgrade_never_warms_a_fleet_again() {
        assert_eq!(sample().content_hash(), "388a6ec6baf6d8deded03c08c648ea932bd357c865a41d4a29e99902be23710e");
    }

    #[test]
    fn where_the_bytes_come_from_is_no_part_of_the_contents_identity() {
        let plan = sample();
        let mut mirrored = plan.clone();
        if let Some(hub) = mirrored.sources[0].source.hugging_face.as_mut() {
            hub.endpoint = Some("https://mirror.example".into());
        }
        assert_eq!(plan.content_hash(), mirrored.content_hash());
        assert_ne!(plan.data_hash(), mirrored.data_hash());
    }

    #[test]
    fn a_moved_pin_is_another_content() {
        let plan = sample();
        let mut moved = plan.clone();
        moved.sources[0].pin.revision = "e".repeat(40);
        assert_ne!(plan.content_hash(), moved.content_hash());
    }

    #[test]
    fn a_plan_of_another_version_is_refused_by_name() {
        let error = Plan::parse(r#"{"version": 7, "shape": "unknown"}"#).unwrap_err();
        assert!(error.to_string().contains("version 7"), "{error}");
    }

    #[test]
    fn a_plan_survives_the_way_through_json() {
        assert_eq!(Plan::parse(&sample().to_json()).unwrap(), sample());
    }
}
