//! Which repository does a command that only reads or removes work on?

use crate::agent::backup::access::BackupAccess;
use crate::agent::backup::repository::Repository;
use crate::agent::backup::repository::marker::Owner;
use crate::agent::backup::repository::place::Directories;
use crate::agent::backup::repository::store::Store;
use crate::agent::failure::Failure;
use crate::agent::restore::location::Location;
use crate::agent::source::Origins;
use crate::api::{ModelCache, Reason};
use crate::contract::mount;
use clap::Args;
use std::path::Path;

/// The repository.
#[derive(Args, Clone, Debug)]
pub struct Which {
    /// Where the backups are, when that is not the ModelCache's own `backup.destination`: file:///directory, s3://bucket/prefix,
    /// gs://bucket/prefix or az://account/container/prefix. No ModelCache is needed then.
    #[arg(long, value_name = "PLACE")]
    pub from: Option<String>,

    /// Whose backups, when that is not the ModelCache's own, or when several have theirs at the place.
    #[arg(long = "of", value_name = "NAMESPACE/CACHE")]
    pub of: Option<String>,
}

impl Which {
    /// Opens it.
    ///
    /// # Errors
    /// `InvalidSpec` when nothing says where it is; else as [`Repository::open`].
    pub async fn open(
        &self,
        cache: Option<&ModelCache>,
        origins: &Origins,
        secrets: Option<&Path>,
    ) -> Result<Repository, Failure> {
        let owner = self.owner()?.or_else(|| cache.map(Owner::of));
        let backup = cache.and_then(|it| it.spec.backup.as_ref());
        if let Some(place) = &self.from {
            // A place that is named for another cache's sake is looked through for the only one there.
            let owner = if self.of.is_none() && cache.is_none() { None } else { owner };
            return Location::parse(place)?.open(owner.as_ref(), backup, origins, secrets).await;
        }
        let Some(owner) = owner.filter(|_| backup.is_some()) else {
            let message = "say where the backups are: with -f and a ModelCache that has `backup`, or with --from";
            return Err(Failure::new(Reason::InvalidSpec, message));
        };
        let keys = BackupAccess::read(backup, secrets, &|name| std::env::var(name).ok())?;
        let mounted = Path::new(mount::BACKUP);
        let directories = if mounted.is_dir() { Directories::in_pod() } else { Directories::default() };
        let store = Store::of(backup, &owner, &directories, origins, &keys.destination, false)?;
        Repository::open(store, &owner, keys.seal).await
    }

    fn owner(&self) -> Result<Option<Owner>, Failure> {
        let Some(text) = &self.of else { return Ok(None) };
        match text.split_once('/') {
            Some((namespace, cache)) if !namespace.is_empty() && !cache.is_empty() && !cache.contains('/') => {
                Ok(Some(Owner { namespace: namespace.to_owned(), cache: cache.to_owned() }))
            }
            _ => Err(Failure::new(Reason::InvalidSpec, format!("--of must be NAMESPACE/CACHE, not {text:?}"))),
        }
    }
}
