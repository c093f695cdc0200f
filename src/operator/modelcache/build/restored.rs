//! Which backup are the copies of a per-node volume made from? A ConfigMap that a restore writes, and the warm-ups mount.
//!
//! It is good for one plan: the moment that another is wanted, it is of no use and goes.

use super::metadata;
use crate::api::backup::Backup;
use crate::api::{ModelCache, annotation, name};
use crate::contract::mount;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// Key of whose backups they are, as `NAMESPACE/CACHE`.
const OF: &str = "of";
/// Key of the snapshot.
const SNAPSHOT: &str = "snapshot";

/// A backup that copies are made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// UID of the restore.
    pub by: String,
    /// Identity of the content that it is good for.
    pub plan: String,
    /// The ModelCache as it was restored, with the settings of the backup, as JSON.
    pub document: String,
    /// Whose backups: `NAMESPACE/CACHE`.
    pub of: String,
    /// The snapshot.
    pub snapshot: String,
}

impl Restored {
    /// The ConfigMap. It goes with the cache: it holds no data.
    pub fn config_map(&self, cache: &ModelCache, volume: &str) -> ConfigMap {
        let mut metadata = metadata(cache, name::restored(&cache.name_any(), volume), Some(volume), true);
        let annotations = [(annotation::RESTORED_BY, &self.by), (annotation::RESTORED_PLAN, &self.plan)];
        metadata.annotations = Some(texts(&annotations));
        let data = [(mount::CACHE_FILE, &self.document), (OF, &self.of), (SNAPSHOT, &self.snapshot)];
        ConfigMap { metadata, data: Some(texts(&data)), ..ConfigMap::default() }
    }

    /// Reads the ConfigMap; nothing when it is none.
    pub fn read(config_map: &ConfigMap) -> Option<Self> {
        let annotation = |key: &str| config_map.annotations().get(key).cloned();
        let data = |key: &str| config_map.data.as_ref()?.get(key).cloned();
        Some(Self {
            by: annotation(annotation::RESTORED_BY)?,
            plan: annotation(annotation::RESTORED_PLAN)?,
            document: data(mount::CACHE_FILE)?,
            of: data(OF)?,
            snapshot: data(SNAPSHOT)?,
        })
    }

    /// Where the backups are, and what they are encrypted with.
    pub fn backup(&self) -> Option<Backup> {
        serde_json::from_str::<ModelCache>(&self.document).ok()?.spec.backup
    }
}

fn texts(pairs: &[(&str, &String)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::cache;
    use super::*;

    #[test]
    fn what_a_restore_writes_is_what_a_warm_up_reads() {
        let mut cache = cache();
        let settings = serde_json::json!({"destination": {"s3": {"bucket": "backups"}}});
        cache.spec.backup = serde_json::from_value(settings).unwrap();
        let restored = Restored {
            by: "restore-uid".into(),
            plan: "h".repeat(64),
            document: serde_json::to_string(&cache).unwrap(),
            of: "ns/studio".into(),
            snapshot: "3f9c".into(),
        };
        let config_map = restored.config_map(&cache, "models");
        assert_eq!(Restored::read(&config_map), Some(restored.clone()));
        assert_eq!(restored.backup(), cache.spec.backup);
        assert_eq!(Restored::read(&ConfigMap::default()), None);
        insta::assert_yaml_snapshot!(config_map.metadata);
    }
}
