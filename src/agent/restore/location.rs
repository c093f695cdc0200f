//! Which repository is meant? The one of a ModelCache's own destination, or the one at a place that a person names: then no
//! ModelCache is needed, the snapshot carries one.

use crate::agent::backup::access::BackupAccess;
use crate::agent::backup::repository::marker::{Marker, Owner};
use crate::agent::backup::repository::place::Directories;
use crate::agent::backup::repository::seal::Seal;
use crate::agent::backup::repository::store::Store;
use crate::agent::backup::repository::{Repository, names};
use crate::agent::failure::Failure;
use crate::agent::source::Origins;
use crate::api::Reason;
use crate::api::backup::{Backup, Encryption};
use serde_json::json;
use std::path::{Path, PathBuf};

/// A place for repositories that a person names.
#[derive(Clone, Debug, PartialEq)]
pub enum Location {
    /// A directory.
    Directory(PathBuf),
    /// A bucket, with the directory in it.
    Bucket {
        /// The field of `destination` that it is.
        kind: &'static str,
        /// Its name.
        bucket: String,
        /// The directory in it.
        prefix: Option<String>,
    },
}

impl Location {
    /// Reads `file:///dir`, a path, `s3://bucket/prefix`, `gs://bucket/prefix` or `az://account/container/prefix`.
    ///
    /// # Errors
    /// `InvalidSpec` when it is none of these.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let invalid = || {
            let message = format!(
                "--from must be file:///directory, s3://bucket/prefix, gs://bucket/prefix or az://account/container/prefix, not \
                 {text:?}"
            );
            Failure::new(Reason::InvalidSpec, message)
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return if text.is_empty() { Err(invalid()) } else { Ok(Self::Directory(text.into())) };
        };
        if scheme == "file" {
            return if rest.starts_with('/') { Ok(Self::Directory(rest.into())) } else { Err(invalid()) };
        }
        let kind = match scheme {
            "s3" => "s3",
            "gs" => "gcs",
            "az" => "azure",
            _ => return Err(invalid()),
        };
        let rest = rest.trim_end_matches('/');
        let parts = if kind == "azure" { 2 } else { 1 };
        let at = rest.match_indices('/').nth(parts - 1).map_or(rest.len(), |(at, _)| at);
        let (bucket, prefix) = rest.split_at(at);
        let prefix = Some(prefix.trim_matches('/').to_owned()).filter(|it| !it.is_empty());
        if bucket.is_empty() || (kind == "azure" && !bucket.contains('/')) {
            return Err(invalid());
        }
        Ok(Self::Bucket { kind, bucket: bucket.to_owned(), prefix })
    }

    /// Opens the repository of `owner` here; of the only cache that has one here when none is named.
    ///
    /// # Errors
    /// `NotFound` when there is none, `InvalidSpec` when there are several and none is named.
    pub async fn open(
        &self,
        owner: Option<&Owner>,
        encryption: Option<&Backup>,
        origins: &Origins,
        secrets: Option<&Path>,
    ) -> Result<Repository, Failure> {
        let environment = |name: &str| std::env::var(name).ok();
        let (store, owner, seal) = match self {
            Self::Directory(base) => {
                let (base, owner) = match owner {
                    Some(owner) => (base.clone(), owner.clone()),
                    None => only_one(base)?,
                };
                let own = names::directory(&owner.namespace, &owner.cache);
                let seal = BackupAccess::seal(encryption, secrets, &environment)?;
                (Store::in_directory(&base, &own, false)?, owner, seal)
            }
            Self::Bucket { kind, bucket, prefix } => {
                let (prefix, owner) = match owner {
                    Some(owner) => (prefix.clone(), owner.clone()),
                    None => last_two(prefix.as_deref())?,
                };
                let backup = bucket_spec(kind, bucket, prefix.as_deref(), encryption)?;
                let keys = BackupAccess::read(Some(&backup), None, &environment)?;
                let directories = Directories::default();
                let store = Store::of(Some(&backup), &owner, &directories, origins, &keys.destination, false)?;
                (store, owner, keys.seal)
            }
        };
        // Nothing says that it is encrypted but itself.
        let encrypted = Marker::read(&store).await?.is_some_and(|it| it.recipient.is_some());
        let seal = match environment(Encryption::STAND_IN).filter(|_| encrypted && seal.recipient().is_none()) {
            Some(key) => Seal::with_key(&key, Encryption::STAND_IN)?,
            None => seal,
        };
        Repository::open(store, &owner, seal).await
    }
}

/// Variables that stand in for Secrets, and the fields that name those.
const STAND_INS: [(&str, &str, &str); 6] = [
    ("s3", "AWS_ACCESS_KEY_ID", "accessKeyIdSecretRef"),
    ("s3", "AWS_SECRET_ACCESS_KEY", "secretAccessKeySecretRef"),
    ("s3", "AWS_SESSION_TOKEN", "sessionTokenSecretRef"),
    ("gcs", "GOOGLE_SERVICE_ACCOUNT_KEY", "credentialsSecretRef"),
    ("azure", "AZURE_STORAGE_KEY", "accountKeySecretRef"),
    ("azure", "AZURE_STORAGE_SAS_TOKEN", "sasTokenSecretRef"),
];

/// A destination, with the credentials that people have in their environment.
fn bucket_spec(kind: &str, bucket: &str, prefix: Option<&str>, encryption: Option<&Backup>) -> Result<Backup, Failure> {
    let set = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
    let mut store = match (kind, bucket.split_once('/')) {
        ("azure", Some((account, container))) => json!({"account": account, "container": container}),
        _ => json!({"bucket": bucket}),
    };
    if kind == "s3" {
        if let Some(endpoint) = set("AWS_ENDPOINT_URL_S3").or_else(|| set("AWS_ENDPOINT_URL")) {
            store["endpoint"] = endpoint.into();
        }
        if let Some(region) = set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")) {
            store["region"] = region.into();
        }
    }
    // As Google's client libraries and Azure's command line name them.
    let endpoint = match kind {
        "gcs" => set("STORAGE_EMULATOR_HOST"),
        "azure" => set("AZURE_STORAGE_SERVICE_ENDPOINT"),
        _ => None,
    };
    if let Some(endpoint) = endpoint {
        store["endpoint"] = endpoint.into();
    }
    for (kind_of, variable, field) in STAND_INS {
        if kind == kind_of && set(variable).is_some() {
            store[field] = json!({"name": "environment", "key": "it"});
        }
    }
    let mut backup = json!({"destination": {kind: store}});
    if let Some(prefix) = prefix {
        backup["destination"]["prefix"] = prefix.into();
    }
    let mut backup: Backup = serde_json::from_value(backup)
        .map_err(|error| Failure::new(Reason::InvalidSpec, format!("--from: {error}")))?;
    backup.encryption = encryption.and_then(|it| it.encryption.clone());
    Ok(backup)
}

/// The owner that a path ends in, and what is before it.
fn last_two(prefix: Option<&str>) -> Result<(Option<String>, Owner), Failure> {
    let parts: Vec<&str> = prefix.unwrap_or_default().split('/').collect();
    match parts.as_slice() {
        [before @ .., namespace, cache] => {
            let before = Some(before.join("/")).filter(|it| !it.is_empty());
            Ok((before, Owner { namespace: (*namespace).to_owned(), cache: (*cache).to_owned() }))
        }
        _ => Err(Failure::new(
            Reason::InvalidSpec,
            "name the cache: with --of NAMESPACE/CACHE, or as the end of --from (…/namespace/cache)",
        )),
    }
}

/// The only repository below a directory, or the one that it is itself.
fn only_one(base: &Path) -> Result<(PathBuf, Owner), Failure> {
    if base.join(names::MARKER).is_file() {
        let base = base.canonicalize().unwrap_or_else(|_| base.to_owned());
        let text = base.to_string_lossy().into_owned();
        let (before, owner) = last_two(Some(text.trim_start_matches('/')))?;
        return Ok((PathBuf::from(format!("/{}", before.unwrap_or_default())), owner));
    }
    let inside = |path: &Path| -> Vec<PathBuf> {
        let found = std::fs::read_dir(path).into_iter().flatten().flatten();
        found.map(|it| it.path()).filter(|it| it.is_dir()).collect()
    };
    let mut owners: Vec<Owner> = Vec::new();
    for namespace in inside(base) {
        for cache in inside(&namespace).iter().filter(|it| it.join(names::MARKER).is_file()) {
            let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            owners.push(Owner { namespace: name(&namespace), cache: name(cache) });
        }
    }
    match owners.as_slice() {
        [one] => Ok((base.to_owned(), one.clone())),
        [] => Err(Failure::new(Reason::NotFound, format!("{} has no backup of any cache", base.display()))),
        several => {
            let names: Vec<String> = several.iter().take(20).map(Owner::to_string).collect();
            let message = format!(
                "{} has backups of {} caches ({}): name one with --of NAMESPACE/CACHE",
                base.display(),
                several.len(),
                names.join(", ")
            );
            Err(Failure::new(Reason::InvalidSpec, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_directory_or_a_bucket() {
        let bucket = |kind, bucket: &str, prefix: Option<&str>| Location::Bucket {
            kind,
            bucket: bucket.into(),
            prefix: prefix.map(str::to_owned),
        };
        for (text, expected) in [
            ("file:///mnt/nas", Some(Location::Directory("/mnt/nas".into()))),
            ("./nas", Some(Location::Directory("./nas".into()))),
            ("s3://b", Some(bucket("s3", "b", None))),
            ("s3://b/x/y/", Some(bucket("s3", "b", Some("x/y")))),
            ("gs://b/x", Some(bucket("gcs", "b", Some("x")))),
            ("az://acc/cont/x", Some(bucket("azure", "acc/cont", Some("x")))),
            ("az://acc", None),
            ("file://relative", None),
            ("ftp://x", None),
            ("s3://", None),
            ("", None),
        ] {
            assert_eq!(Location::parse(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_place_with_one_repository_needs_no_name_and_one_with_two_does() {
        let base = tempfile::tempdir().unwrap();
        assert_eq!(only_one(base.path()).unwrap_err().reason, Reason::NotFound);
        let make = |path: &str| {
            std::fs::create_dir_all(base.path().join(path)).unwrap();
            std::fs::write(base.path().join(path).join(names::MARKER), "{}").unwrap();
        };
        make("studio/image");
        std::fs::create_dir_all(base.path().join("studio/foreign")).unwrap();
        let (_, owner) = only_one(base.path()).unwrap();
        assert_eq!(owner.to_string(), "studio/image");
        let (up, owner) = only_one(&base.path().join("studio/image")).unwrap();
        assert_eq!((up, owner.to_string().as_str()), (base.path().canonicalize().unwrap(), "studio/image"));
        make("studio/other");
        assert!(only_one(base.path()).unwrap_err().message.contains("--of NAMESPACE/CACHE"));
    }
}
