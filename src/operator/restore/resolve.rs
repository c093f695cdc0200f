//! What does a restore mean here: which backup, from where, onto which claims? Every mistake a typed problem.

use crate::api::backup::Backup;
use crate::api::model_cache_backup::RunStage;
use crate::api::model_cache_restore::{ModelCacheRestore, RestoreClaim};
use crate::api::{ModelCache, ModelCacheBackup, Reason};
use crate::operator::job::Problem;
use kube::ResourceExt;

/// What a restore is decided from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Named<'a> {
    /// The backup that `from.backup` names.
    pub backup: Option<&'a ModelCacheBackup>,
    /// The cache whose backup it is, when it is of this namespace.
    pub source: Option<&'a ModelCache>,
    /// The cache that it goes to, when it goes to one.
    pub target: Option<&'a ModelCache>,
}

/// A restore, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The cache whose volumes there are: that it goes to, or that was backed up.
    pub cache: ModelCache,
    /// Where the backups are, and what they are encrypted with.
    pub backup: Backup,
    /// Whose backups: namespace and name.
    pub of: (String, String),
    /// Which one.
    pub which: Which,
    /// Per-node volumes: they are pinned to the snapshot, and each node warms up to it. They are left alone when only some files
    /// are restored.
    pub per_node: Vec<String>,
    /// Where to.
    pub onto: Onto,
    /// Whether `cache` is none of the cluster: then volumes and sources are those that the snapshot carries.
    pub bare: bool,
}

/// Which backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    Latest,
    /// The newest of this time or before.
    AsOf(String),
    /// This one.
    Snapshot(String),
}

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Onto {
    /// The volumes of the cache, each with its claim.
    Volumes(Vec<(String, String)>),
    /// A directory of a claim, with a directory for each volume.
    Directory(RestoreClaim),
}

impl Onto {
    /// The claims that are written to.
    pub fn claims(&self) -> Vec<String> {
        match self {
            Self::Volumes(volumes) => volumes.iter().map(|(_, claim)| claim.clone()).collect(),
            Self::Directory(directory) => vec![directory.claim_name.clone()],
        }
    }
}

/// Name of the cache whose backup is restored, when it is one of this namespace.
pub fn source_name(restore: &ModelCacheRestore, backup: Option<&ModelCacheBackup>) -> Option<String> {
    let from = &restore.spec.from;
    match (&from.backup, &from.latest) {
        (Some(_), _) => backup.map(|it| it.spec.cache.clone()),
        (None, Some(latest)) => latest.cache.clone().or_else(|| restore.spec.to.as_ref()?.cache.clone()),
        (None, None) => None,
    }
}

/// Name of the cache that is restored to; nothing for a claim.
pub fn target_name(restore: &ModelCacheRestore, backup: Option<&ModelCacheBackup>) -> Option<String> {
    match &restore.spec.to {
        Some(to) => to.cache.clone(),
        None => source_name(restore, backup),
    }
}

/// Understands a restore.
pub fn wanted(restore: &ModelCacheRestore, named: Named<'_>) -> Result<Wanted, Problem> {
    let namespace = restore.namespace().unwrap_or_default();
    let which = which(restore, named.backup)?;
    let source = source_name(restore, named.backup);
    let (backup, of) = match (&restore.spec.from.location, &source) {
        (Some(location), _) => {
            let of = (location.namespace.clone(), location.cache.clone());
            (place(&location.destination, location.encryption.as_ref())?, of)
        }
        (None, Some(name)) => (settings(name, named.source)?, (namespace, name.clone())),
        (None, None) => return Err(Problem::new(Reason::InvalidSpec, "`from` must say which backup")),
    };
    if let Some(claim) = restore.spec.to.as_ref().and_then(|it| it.claim.clone()) {
        if restore.spec.from.location.is_some() {
            let cache = carried(&of.1, restore.namespace(), &claim.claim_name)?;
            let onto = Onto::Directory(claim);
            return Ok(Wanted { cache, backup, of, which, per_node: vec![], onto, bare: true });
        }
        let name = source.unwrap_or_default();
        let cache = named.source.ok_or_else(|| missing(&name))?.clone();
        let onto = Onto::Directory(claim);
        return Ok(Wanted { cache, backup, of, which, per_node: vec![], onto, bare: false });
    }
    let name = target_name(restore, named.backup).unwrap_or_default();
    let cache = named.target.filter(|it| it.metadata.deletion_timestamp.is_none()).ok_or_else(|| missing(&name))?;
    if cache.spec.suspended() {
        return Err(Problem::new(
            Reason::Suspended,
            format!("`spec.suspend` of ModelCache `{name}` is true: nothing new is started"),
        ));
    }
    let (per_node, shared): (Vec<_>, Vec<_>) = cache.spec.volumes.iter().partition(|it| it.per_node.is_some());
    if shared.is_empty() && is_selective(restore) {
        let message = format!(
            "every volume of ModelCache `{name}` is per node, and the copies of nodes are restored as a whole: leave `include` and \
             `exclude` out, or restore to a claim with `to.claim`"
        );
        return Err(Problem::new(Reason::InvalidSpec, message));
    }
    let per_node = per_node.iter().map(|it| it.name.clone()).collect();
    let onto = shared.iter().map(|it| (it.name.clone(), it.claim_name(&cache.name_any()))).collect();
    let onto = Onto::Volumes(onto);
    Ok(Wanted { cache: cache.clone(), backup, of, which, per_node, onto, bare: false })
}

/// Whether only some files are restored.
pub fn is_selective(restore: &ModelCacheRestore) -> bool {
    !restore.spec.include.is_empty() || !restore.spec.exclude.is_empty()
}

fn which(restore: &ModelCacheRestore, backup: Option<&ModelCacheBackup>) -> Result<Which, Problem> {
    let from = &restore.spec.from;
    if let Some(name) = &from.backup {
        let gone =
            || Problem::new(Reason::NotFound, format!("there is no ModelCacheBackup `{name}` in this namespace"));
        let status = backup.ok_or_else(gone)?.status.clone().unwrap_or_default();
        if let Some(time) = &status.removed_time {
            let message = format!(
                "ModelCacheBackup `{name}` is at its destination no more, as was seen {time}: `retention` has removed it; choose another"
            );
            return Err(Problem::new(Reason::NotFound, message));
        }
        let over = status.attempt.as_ref().is_some_and(|it| it.stage == RunStage::Done);
        return match status.snapshot.filter(|_| over) {
            Some(snapshot) => Ok(Which::Snapshot(snapshot)),
            None if over => Err(Problem::new(
                Reason::NotFound,
                format!("ModelCacheBackup `{name}` failed: there is nothing to restore"),
            )),
            None => Err(Problem::new(Reason::Pending, format!("waits: ModelCacheBackup `{name}` has not ended yet"))),
        };
    }
    let snapshot = from.location.as_ref().and_then(|it| it.snapshot.clone()).map(Which::Snapshot);
    let as_of = from.latest.as_ref().and_then(|it| it.as_of.clone()).map(Which::AsOf);
    Ok(snapshot.or(as_of).unwrap_or(Which::Latest))
}

/// A cache of which nothing is known but its name: the snapshot carries the rest.
fn carried(name: &str, namespace: Option<String>, claim: &str) -> Result<ModelCache, Problem> {
    let volume = serde_json::json!({"name": "target", "existingClaim": {"claimName": claim}});
    let spec = serde_json::from_value(serde_json::json!({"volumes": [volume]}));
    let spec = spec.map_err(|error| Problem::new(Reason::InvalidSpec, error.to_string()))?;
    let mut cache = ModelCache::new(name, spec);
    cache.metadata.namespace = namespace;
    Ok(cache)
}

fn missing(name: &str) -> Problem {
    let message = format!(
        "there is no ModelCache `{name}` in this namespace: make it first; `modelcache restore --print-spec` shows it as it was"
    );
    Problem::new(Reason::NotFound, message)
}

fn settings(name: &str, source: Option<&ModelCache>) -> Result<Backup, Problem> {
    let source = source.ok_or_else(|| {
        let message =
            format!("ModelCache `{name}` is gone, and with it where its backups are: say so in `from.location`");
        Problem::new(Reason::NotFound, message)
    })?;
    source.spec.backup.clone().ok_or_else(|| {
        let message = format!("ModelCache `{name}` has no `spec.backup`: say in `from.location` where the backups are");
        Problem::new(Reason::InvalidSpec, message)
    })
}

fn place(
    destination: &crate::api::backup::Destination,
    encryption: Option<&crate::api::backup::Encryption>,
) -> Result<Backup, Problem> {
    // Built as a person would write it: whatever else a backup has does not matter here.
    let document = serde_json::json!({"destination": destination, "encryption": encryption});
    serde_json::from_value(document).map_err(|error| Problem::new(Reason::InvalidSpec, error.to_string()))
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
