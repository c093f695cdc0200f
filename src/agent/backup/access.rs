//! Which keys does a backup get to use? Files of one directory in its pod, environment variables without a cluster.

use super::repository::seal::Seal;
use crate::agent::failure::Failure;
use crate::agent::source::access::{Access, Keys};
use crate::api::Reason;
use crate::api::backup::{Backup, Encryption};
use crate::contract::mount;
use std::path::{Path, PathBuf};

/// What the destination gets to see, and how objects are sealed.
#[derive(Clone, Debug, Default)]
pub struct BackupAccess {
    /// The destination's credentials.
    pub destination: Access,
    /// With the key, if there is one.
    pub seal: Seal,
}

impl BackupAccess {
    /// From `<secrets>/.backup/`, or from the environment where there is no such directory to look into.
    ///
    /// # Errors
    /// `SecretNotFound`, with the Secret's name and key or the variable's.
    pub fn read(
        backup: Option<&Backup>,
        secrets: Option<&Path>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let Some(backup) = backup else { return Ok(Self::default()) };
        let directory = secrets.map(|it| it.join(mount::BACKUP_SECRETS));
        let destination =
            Access::of_keys(&backup.destination.secrets(), &keys(directory.as_ref(), environment), "backup")?;
        Ok(Self { destination, seal: Self::seal(Some(backup), secrets, environment)? })
    }

    /// Only how objects are sealed: of a repository in a directory, which needs no login.
    ///
    /// # Errors
    /// As [`BackupAccess::read`].
    pub fn seal(
        backup: Option<&Backup>,
        secrets: Option<&Path>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Seal, Failure> {
        let Some(encryption) = backup.and_then(|it| it.encryption.as_ref()) else { return Ok(Seal::default()) };
        let directory = secrets.map(|it| it.join(mount::BACKUP_SECRETS));
        let mut access = Access::of_keys(&[encryption.secret()], &keys(directory.as_ref(), environment), "backup")?;
        // Never plain where somebody asked for it to be sealed.
        let unread = || Failure::new(Reason::InternalError, "the key of `backup.encryption` was not read");
        let key = access.others.remove(Encryption::KEY).ok_or_else(unread)?;
        let reference = &encryption.key_secret_ref;
        let place = match directory {
            Some(_) => format!("key `{}` of Secret `{}`", reference.key, reference.name),
            None => Encryption::STAND_IN.to_owned(),
        };
        Seal::with_key(key.reveal(), &place)
    }
}

fn keys<'a>(directory: Option<&'a PathBuf>, environment: &'a dyn Fn(&str) -> Option<String>) -> Keys<'a> {
    directory.map_or(Keys::Environment(environment), |it| Keys::Mounted(it))
}
