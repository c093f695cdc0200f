//! Which sources may have to bring what a backup has no bytes of, and what do they read for it? Pure.

use super::resolve::{Onto, Wanted};
use crate::api::ModelCacheRestore;
use crate::api::backup::BackupContent;
use crate::api::source::Source;
use std::collections::BTreeSet;

/// The sources whose files the restore's own pod puts in their places; those of per-node volumes are fetched on the nodes.
fn of(wanted: &Wanted) -> impl Iterator<Item = &Source> {
    let here = |it: &&Source| {
        let volume = wanted.cache.spec.volume_of(it);
        volume.is_some_and(|volume| match &wanted.onto {
            Onto::Volumes(volumes) => volumes.iter().any(|(name, _)| *name == volume.name),
            Onto::Directory(_) => true,
        })
    };
    wanted.cache.spec.sources.iter().filter(here)
}

/// The claims that sources would be copied from again. Of claims only a backup with `content: Manifest` has no bytes; what one
/// has at a location is known to its reader alone. Without need no claim is named: it may be gone, or in use on another node.
pub fn claims(restore: &ModelCacheRestore, wanted: &Wanted) -> BTreeSet<String> {
    let may_lack_bytes =
        wanted.backup.effective_content() == BackupContent::Manifest || restore.spec.from.location.is_some();
    of(wanted).filter(|_| may_lack_bytes).filter_map(|it| Some(it.claim.as_ref()?.claim_name.clone())).collect()
}

/// The sources that can be given what they name: all but those whose claim is not among `claims`. Of a missing Secret or
/// ConfigMap the agent tells.
pub fn readable<'a>(wanted: &'a Wanted, claims: &'a BTreeSet<String>) -> impl Iterator<Item = &'a Source> {
    of(wanted).filter(|it| it.claim.as_ref().is_none_or(|it| claims.contains(&it.claim_name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::modelcache::build::fixtures::shared_cache;
    use crate::operator::restore::resolve::Which;
    use serde_json::json;

    fn restore(from: &serde_json::Value) -> ModelCacheRestore {
        serde_json::from_value(json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheRestore",
            "metadata": {"name": "back", "namespace": "ns"}, "spec": {"from": from}
        }))
        .unwrap()
    }

    fn wanted(content: Option<&str>) -> Wanted {
        let mut cache = shared_cache();
        cache.spec.sources =
            serde_json::from_value(json!([{"name": "old", "claim": {"claimName": "notebook"}}])).unwrap();
        let backup = json!({"destination": {"s3": {"bucket": "backups"}}, "content": content});
        Wanted {
            cache,
            backup: serde_json::from_value(backup).unwrap(),
            of: ("ns".into(), "studio".into()),
            which: Which::Latest,
            per_node: vec![],
            onto: Onto::Volumes(vec![("models".into(), "studio-models".into())]),
            bare: false,
        }
    }

    #[test]
    fn a_claim_is_read_only_where_the_backup_may_have_no_bytes_of_it() {
        let latest = restore(&json!({"latest": {"cache": "studio"}}));
        let location = restore(&json!({"location": {
            "destination": {"s3": {"bucket": "backups"}}, "namespace": "ns", "cache": "studio"
        }}));
        for (restore, content, expected) in [
            (&latest, Some("Manifest"), true),
            (&latest, Some("Full"), false),
            (&latest, Some("Auto"), false),
            (&latest, None, false),
            (&location, None, true),
        ] {
            let found = claims(restore, &wanted(content));
            assert_eq!(found.contains("notebook"), expected, "{content:?}");
        }
        let mut per_node = wanted(Some("Manifest"));
        per_node.onto = Onto::Volumes(vec![]);
        assert!(claims(&latest, &per_node).is_empty(), "each node copies it for itself");
    }

    #[test]
    fn a_source_whose_claim_is_gone_does_not_hold_up_the_pod() {
        let wanted = wanted(Some("Manifest"));
        assert_eq!(readable(&wanted, &BTreeSet::new()).count(), 0);
        assert_eq!(readable(&wanted, &["notebook".to_owned()].into()).count(), 1);
    }
}
