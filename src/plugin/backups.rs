//! `backups`: lists backups.

use super::error::Error;
use super::options::{Format, Names};
use super::print;
use super::render::tables::{self, Look};
use super::session::{Session, full_name};
use crate::api::ModelCacheBackup;
use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;

/// Options of `backups`.
#[derive(Args, Debug)]
pub struct Backups {
    #[command(flatten)]
    names: Names,
}

impl Backups {
    /// Runs the command. Backups outlive their cache: one that is gone may still be named.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        let mut found = session.list(&session.api::<ModelCacheBackup>(), "").await?;
        found.retain(|it| self.names.names.is_empty() || self.names.names.contains(&it.spec.cache));
        found.sort_by_key(|it| (it.namespace(), it.metadata.creation_timestamp.as_ref().map(|it| it.0), it.name_any()));
        for backup in &mut found {
            backup.metadata.managed_fields = None;
        }
        match session.format {
            Format::Json | Format::Yaml => print::objects(session.format, &found),
            Format::Name => {
                let name = |it: &ModelCacheBackup| full_name("modelcachebackup", &it.name_any()) + "\n";
                found.iter().try_for_each(|it| print::text(&name(it)))
            }
            Format::Table | Format::Wide if found.is_empty() => {
                session.nothing("ModelCacheBackups");
                Ok(())
            }
            format => {
                let (wide, now) = (format == Format::Wide, Timestamp::now());
                let look = Look { namespaces: session.all, wide, paint: session.paint, now };
                print::text(&tables::backups(&found, look))
            }
        }
    }
}
