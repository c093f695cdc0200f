//! Which store does a destination name? A bucket, the claim that is mounted, or a directory that a person gives.

use super::bucket::Bucket;
use super::directory::Directory;
use super::marker::Owner;
use super::names;
use super::store::Store;
use crate::agent::failure::Failure;
use crate::agent::source::Origins;
use crate::agent::source::access::Access;
use crate::api::Reason;
use crate::api::backup::{Backup, Place};
use crate::api::name::below;
use crate::contract::mount;
use std::path::{Path, PathBuf};

/// A directory that takes the destination's place.
#[derive(Clone, Debug, Default)]
pub struct Directories {
    /// Given by a person: what the spec names does not count.
    pub given: Option<PathBuf>,
    /// Where the destination's claim is mounted.
    pub claim: Option<PathBuf>,
}

impl Directories {
    /// As the operator mounts them.
    pub fn in_pod() -> Self {
        Self { given: None, claim: Some(PathBuf::from(mount::BACKUP)) }
    }
}

impl Store {
    /// The place of a cache's repository. `make`: a directory is made where it is missing, below one that is there.
    ///
    /// # Errors
    /// `InvalidSpec` when there is no destination. `NotFound` when a directory is missing.
    pub fn of(
        backup: Option<&Backup>,
        owner: &Owner,
        directories: &Directories,
        origins: &Origins,
        access: &Access,
        make: bool,
    ) -> Result<Self, Failure> {
        let own = names::directory(&owner.namespace, &owner.cache);
        if let Some(given) = &directories.given {
            return Self::in_directory(given, &own, make);
        }
        match backup.and_then(|it| it.destination.place()) {
            Some(Place::Bucket(spec)) => Ok(Self::Bucket(Bucket::new(origins, *spec, access, &own)?)),
            Some(Place::Claim(claim)) => {
                let mounted = directories.claim.as_deref().ok_or_else(|| {
                    let message =
                        format!("the destination is claim `{}`: name a directory that stands for it", claim.claim_name);
                    Failure::new(Reason::InvalidSpec, message)
                })?;
                Self::in_directory(mounted, &below(claim.path.as_deref().unwrap_or_default(), &own), make)
            }
            None => {
                let message = "the ModelCache has no `backup.destination`, and no directory was named";
                Err(Failure::new(Reason::InvalidSpec, message))
            }
        }
    }

    /// A repository in a directory.
    pub fn in_directory(base: &Path, own: &str, make: bool) -> Result<Self, Failure> {
        let missing = || Failure::new(Reason::NotFound, format!("{} has no backup of {own}", base.display()));
        Directory::open(base, own, make)?.map(Self::Directory).ok_or_else(missing)
    }
}
