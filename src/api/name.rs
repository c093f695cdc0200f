//! What are children called? Deterministic, within the length Kubernetes allows, and never ambiguous.

use super::label;
use sha2::{Digest, Sha256};

/// A Job's name is a label value of its pods: at most 63 bytes.
const JOB_NAME_LIMIT: usize = 63;
/// The longest part of a label's key behind the `/`
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>).
const LABEL_NAME_LIMIT: usize = 63;
/// Room for `-w9999` behind a Replica's name in a Job's name.
const REPLICA_NAME_LIMIT: usize = JOB_NAME_LIMIT - 8;

/// The longest name of a `CronJob`: the controller appends 11 characters for its Jobs
/// (<https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/>).
const CRON_JOB_NAME_LIMIT: usize = 52;

/// Whether this is a DNS label, as names of namespaces are, and of volumes and sources
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names>).
pub fn is_label(name: &str) -> bool {
    let inner = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    inner && (1..=63).contains(&name.len()) && !name.starts_with('-') && !name.ends_with('-')
}

/// The claim that pods mount: `<cache>-<volume>`. Known to users and to the admission policy, so never hashed.
/// Two caches can want the same name (`a-b` + `c`, `a` + `b-c`); the second one is told `ClaimConflict`.
pub fn claim(cache: &str, volume: &str) -> String {
    format!("{cache}-{volume}")
}

/// The `ConfigMap` that pods read their environment from: `<cache>-env`.
pub fn environment(cache: &str) -> String {
    format!("{cache}-env")
}

/// The `PersistentVolume` of a per-node volume: the namespace's UID keeps a re-created namespace from getting its
/// predecessor's data.
pub fn persistent_volume(namespace_uid: &str, namespace: &str, cache: &str, volume: &str) -> String {
    bounded(&[namespace, cache, volume], &[namespace_uid, cache, volume], JOB_NAME_LIMIT)
}

/// The directory of a per-node volume below the pool's path. `_` is in no DNS label, so it cannot be ambiguous.
pub fn directory(namespace_uid: &str, cache: &str, volume: &str) -> String {
    format!("{namespace_uid}_{cache}_{volume}")
}

/// The Replica of a volume on a node (by the node's UID: a rebuilt node of the same name is another), or of a shared
/// volume.
pub fn replica(cache: &str, volume: &str, node: Option<(&str, &str)>) -> String {
    let (name, uid) = node.unwrap_or(("shared", ""));
    bounded(&[cache, volume, name], &[cache, volume, name, uid], REPLICA_NAME_LIMIT)
}

/// The plan `ConfigMap` of a volume, named by the hash of its data.
pub fn plan(cache: &str, volume: &str, data_hash: &str) -> String {
    bounded(&[cache, volume, "plan"], &[cache, volume, data_hash], JOB_NAME_LIMIT)
}

/// The resolve Job of a source, keyed by the source's own spec hash and numbered by attempt.
pub fn resolve_job(cache: &str, source: &str, spec_hash: &str, attempt: u64) -> String {
    let base = bounded(&[cache, source], &[cache, source, spec_hash], REPLICA_NAME_LIMIT);
    format!("{base}-r{attempt}")
}

/// The Job that asks the origin of a source whether it moved, numbered by attempt.
pub fn refresh_job(cache: &str, source: &str, spec_hash: &str, attempt: u64) -> String {
    let base = bounded(&[cache, source], &[cache, source, spec_hash], REPLICA_NAME_LIMIT);
    format!("{base}-u{attempt}")
}

/// The verification Job of a Replica's attempt.
pub fn verify_job(replica: &str, attempt: u64) -> String {
    format!("{replica}-v{attempt}")
}

/// The clean-up Job of a Replica's attempt.
pub fn clean_job(replica: &str, attempt: u64) -> String {
    format!("{replica}-c{attempt}")
}

/// The warm-up Job of a Replica's attempt.
pub fn warm_up_job(replica: &str, attempt: u64) -> String {
    format!("{replica}-w{attempt}")
}

/// The `CronJob` of a cache's backups, and the `ConfigMap` with the document that its pods read: `<cache>-backup`.
pub fn backup(cache: &str) -> String {
    cron_job(cache, "backup")
}

/// The `CronJob` of a cache's clean-ups, and the `ConfigMap` with the document that all pods that clean read:
/// `<cache>-clean`.
pub fn clean(cache: &str) -> String {
    cron_job(cache, "clean")
}

/// A Job of a `CronJob` is named after it with 11 more characters, so it is cut where that would be too long.
fn cron_job(cache: &str, what: &str) -> String {
    let plain = format!("{cache}-{what}");
    if plain.len() <= CRON_JOB_NAME_LIMIT {
        plain
    } else {
        bounded(&[cache, what], &[cache, what], CRON_JOB_NAME_LIMIT)
    }
}

/// The `ModelCacheBackup` of a scheduled run: `<cache>-<YYYYmmddHHMM>` in UTC. The same run has the same name, whoever
/// records it and however often.
pub fn scheduled_backup(cache: &str, due: jiff::Timestamp) -> String {
    format!("{cache}-{}", due.strftime("%Y%m%d%H%M"))
}

/// The Job of an attempt of a `ModelCacheBackup`, and the `ConfigMap` with the document that its pod reads.
pub fn backup_job(backup: &str, uid: &str, attempt: u64) -> String {
    format!("{}-b{attempt}", bounded(&[backup], &[backup, uid], REPLICA_NAME_LIMIT))
}

/// The Job of an attempt of a `ModelCacheRestore`, and the `ConfigMap` with the document that its pod reads.
pub fn restore_job(restore: &str, uid: &str, attempt: u64) -> String {
    format!("{}-t{attempt}", bounded(&[restore], &[restore, uid], REPLICA_NAME_LIMIT))
}

/// The `ConfigMap` that says which backup the copies of a per-node volume are restored from.
pub fn restored(cache: &str, volume: &str) -> String {
    bounded(&[cache, volume, "restored"], &[cache, volume, "restored"], JOB_NAME_LIMIT)
}

/// The prepare Job of a Replica's attempt. It lives in the node-jobs namespace, so the namespace is part of the key.
pub fn prepare_job(namespace: &str, replica: &str, attempt: u64) -> String {
    format!("{}-p{attempt}", bounded(&[replica], &[namespace, replica], REPLICA_NAME_LIMIT))
}

/// The purge Job of a volume on a node.
pub fn purge_job(persistent_volume: &str, node_uid: &str) -> String {
    bounded(&["purge", persistent_volume], &["purge", persistent_volume, node_uid], JOB_NAME_LIMIT)
}

/// The label of a node that holds a complete copy of a cache: `cached.modelcache.dev/<namespace>.<cache>`. Where that is too
/// long it is cut and ends with a hash, and has no dot: so it is no other cache's. `status.nodeLabel` of the cache has it.
pub fn node_label(namespace: &str, cache: &str) -> String {
    let plain = format!("{namespace}.{cache}");
    let name = if plain.len() <= LABEL_NAME_LIMIT {
        plain
    } else {
        bounded(&[namespace, cache], &[namespace, cache], LABEL_NAME_LIMIT)
    };
    format!("{}{name}", label::CACHED)
}

/// The namespace of the cache that a label of a node is about. `None` for one that was cut, which does not say it. A namespace's
/// name has no dot (<https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names>).
pub fn node_label_namespace(key: &str) -> Option<&str> {
    Some(key.strip_prefix(label::CACHED)?.split_once('.')?.0)
}

/// The first 32 bits of a SHA-256 over the parts, kept apart by a byte that is in none of them, as eight hex digits.
pub fn short_hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hex(&hasher.finalize()).chars().take(8).collect()
}

/// A path below a directory, where `.` is the root that both are relative to.
pub fn below(directory: &str, path: &str) -> String {
    if directory == "." { path.to_owned() } else { format!("{directory}/{path}") }
}

/// Whether a revision is a commit already, so that nobody needs to be asked which.
pub fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The hex digits of a SHA-256 digest as registries write it, `sha256:<64 lower-case hex digits>`.
pub fn sha256_digits(digest: &str) -> Option<&str> {
    let hex = digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64)?;
    hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)).then_some(hex)
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A label value of at most 63 bytes: the text itself, or its start and a hash.
pub fn label_value(text: &str) -> String {
    if text.len() <= 63 { text.to_owned() } else { bounded(&[text], &[text], 63) }
}

/// `shown` joined by `-` and cut to fit, then `-` and a hash of `key`.
fn bounded(shown: &[&str], key: &[&str], limit: usize) -> String {
    let hash = short_hash(key);
    let mut base: String = shown.join("-").chars().map(|c| if c == '.' { '-' } else { c }).collect();
    base.truncate(limit - hash.len() - 1);
    format!("{}-{hash}", base.trim_end_matches(['-', '_']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_name_is_a_valid_label_value_whatever_the_parts(
            cache in "[a-z]([a-z0-9-]{0,61}[a-z0-9])?",
            volume in "[a-z]([a-z0-9-]{0,61}[a-z0-9])?",
            node in "[a-z]([a-z0-9.-]{0,251}[a-z0-9])?",
            attempt in 1u64..9999,
        ) {
            let replica = replica(&cache, &volume, Some((&node, "uid")));
            let names = [
                warm_up_job(&replica, attempt),
                clean_job(&replica, attempt),
                prepare_job("studio", &replica, attempt),
                resolve_job(&cache, &volume, "hash", attempt),
                plan(&cache, &volume, "hash"),
                persistent_volume("uid", "studio", &cache, &volume),
                purge_job(&persistent_volume("uid", "studio", &cache, &volume), "uid"),
                backup_job(&node, "uid", attempt),
                restore_job(&node, "uid", attempt),
                format!("{}-2941234567", backup(&cache)),
                format!("{}-2941234567", clean(&cache)),
            ];
            for name in names {
                prop_assert!(name.len() <= 63, "{name}");
                prop_assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
                prop_assert!(name.ends_with(|c: char| c.is_ascii_alphanumeric()), "{name}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_label_of_a_node_is_valid_and_no_other_caches_whatever_the_names(
            a in ("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"),
            b in ("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"),
        ) {
            let key = node_label(&a.0, &a.1);
            let name = key.strip_prefix(label::CACHED).unwrap();
            prop_assert!(name.len() <= 63, "{name}");
            prop_assert!(name.starts_with(|c: char| c.is_ascii_alphanumeric()), "{name}");
            prop_assert!(name.ends_with(|c: char| c.is_ascii_alphanumeric()), "{name}");
            prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.'), "{name}");
            prop_assert_eq!(key == node_label(&b.0, &b.1), a == b);
            let whole = a.0.len() + a.1.len() < 63;
            prop_assert_eq!(node_label_namespace(&key), whole.then_some(a.0.as_str()));
        }
    }

    #[test]
    fn a_label_of_a_node_can_be_guessed_until_it_is_too_long() {
        assert_eq!(node_label("studio", "image-models"), "cached.modelcache.dev/studio.image-models");
        let (namespace, cache) = ("n".repeat(31), "c".repeat(31));
        assert_eq!(node_label(&namespace, &cache), format!("cached.modelcache.dev/{namespace}.{cache}"));
        let longer = node_label(&namespace, &format!("{cache}c"));
        assert!(!longer.trim_start_matches(label::CACHED).contains('.'), "{longer}");
        assert_ne!(node_label("a-b", &"c".repeat(63)), node_label("a", &format!("b-{}", "c".repeat(61))));
    }

    #[test]
    fn parts_that_join_to_the_same_text_still_get_different_names() {
        assert_ne!(replica("a-b", "c", None), replica("a", "b-c", None));
        assert_ne!(persistent_volume("u", "n", "a-b", "c"), persistent_volume("u", "n", "a", "b-c"));
        assert_ne!(directory("u", "a-b", "c"), directory("u", "a", "b-c"));
    }

    #[test]
    fn a_rebuilt_node_of_the_same_name_is_another_replica() {
        assert_ne!(replica("a", "v", Some(("n", "1"))), replica("a", "v", Some(("n", "2"))));
    }
}
