//! Which keys does a backup get to use? Files of one directory in its pod, environment variables without a cluster.

use super::repository::seal::Seal;
use crate::agent::failure::Failure;
use crate::agent::source::access::{Access, Keys};
use crate::api::backup::{Backup, Encryption};
use crate::contract::mount;
use std::path::Path;

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
        let keys = match &directory {
            Some(directory) => Keys::Mounted(directory),
            None => Keys::Environment(environment),
        };
        let mut access = Access::of_keys(&backup.secrets(), &keys, "backup")?;
        let seal = match (access.others.remove(Encryption::KEY), &backup.encryption) {
            (Some(key), Some(encryption)) => {
                let reference = &encryption.key_secret_ref;
                let place = match directory {
                    Some(_) => format!("key `{}` of Secret `{}`", reference.key, reference.name),
                    None => Encryption::STAND_IN.to_owned(),
                };
                Seal::with_key(key.reveal(), &place)?
            }
            _ => Seal::default(),
        };
        Ok(Self { destination: access, seal })
    }
}
