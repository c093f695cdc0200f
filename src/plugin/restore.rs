//! `restore`: puts a backup back.

use super::backup::stamped;
use super::error::Error;
use super::options::{BackupName, Format, Name};
use super::runs::Waiting;
use super::session::{Session, full_name};
use super::{FIELD_MANAGER, print};
use crate::api::model_cache_restore::{Latest, RestoreClaim, RestoreFrom, RestoreTo};
use crate::api::{ModelCacheBackup, ModelCacheRestore, ModelCacheRestoreSpec};
use clap::Args;
use jiff::Timestamp;
use kube::api::PostParams;

/// Options of `restore`.
#[derive(Args, Debug)]
pub struct Restore {
    #[command(flatten)]
    name: Name,

    #[command(flatten)]
    backup: BackupName,

    /// The newest backup that was begun at this time or before, such as 2026-11-20T18:00:00Z.
    #[arg(long, value_name = "TIME", conflicts_with = "backup")]
    as_of: Option<String>,

    /// Put it onto this claim instead of the cache, a directory for each volume.
    #[arg(long, value_name = "CLAIM")]
    to_claim: Option<String>,

    /// Directory of that claim. [default: its root]
    #[arg(long, value_name = "DIR", requires = "to_claim")]
    path: Option<String>,

    /// Only files that match; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,

    /// No files that match; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,

    /// Restore what is sound although something of the backup is damaged.
    #[arg(long)]
    keep_going: bool,

    /// Name of the ModelCacheRestore. [default: that of the cache and the time]
    #[arg(long = "name", value_name = "NAME")]
    named: Option<String>,

    #[command(flatten)]
    waiting: Waiting,
}

impl Restore {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        session.one_namespace()?;
        // To a claim a backup can be put whose cache is gone.
        if self.to_claim.is_none() {
            session.cache(&self.name.name).await?;
        }
        if let Some(name) = &self.backup.backup {
            let found = session.here::<ModelCacheBackup>().get_opt(name).await?;
            found.ok_or_else(|| session.no_such("ModelCacheBackup", name))?;
        }
        let name = self.named.clone().unwrap_or_else(|| stamped(&self.name.name, Timestamp::now()));
        let mut restore = ModelCacheRestore::new(&name, self.spec());
        restore.metadata.namespace = Some(session.namespace.clone());
        if self.waiting.dry_run {
            return print::document(if session.format == Format::Json { Format::Json } else { Format::Yaml }, &restore);
        }
        let api = session.here::<ModelCacheRestore>();
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let made = api.create(&parameters, &restore).await?;
        print::made(session.format, &full_name("modelcacherestore", &name))?;
        let conditions = |it: &ModelCacheRestore| it.status.clone().unwrap_or_default().conditions;
        let done = self.waiting.until_over(api, &made, conditions).await?;
        if matches!(session.format, Format::Json | Format::Yaml) {
            return print::document(session.format, done.as_ref().unwrap_or(&made));
        }
        let Some(status) = done.filter(|_| session.format != Format::Name).and_then(|it| it.status) else {
            return Ok(());
        };
        print::text(&format!(
            "restored snapshot {}: {} files, {}\n",
            status.snapshot.unwrap_or_default(),
            status.files.unwrap_or_default(),
            status.size.unwrap_or_default()
        ))
    }

    fn spec(&self) -> ModelCacheRestoreSpec {
        let cache = self.name.name.clone();
        let latest = Latest { cache: Some(cache.clone()), as_of: self.as_of.clone() };
        let backup = self.backup.backup.clone();
        let from = RestoreFrom { latest: backup.is_none().then_some(latest), backup, location: None };
        let claim = |claim_name: &String| RestoreClaim { claim_name: claim_name.clone(), path: self.path.clone() };
        let to = match &self.to_claim {
            Some(name) => RestoreTo { cache: None, claim: Some(claim(name)) },
            None => RestoreTo { cache: Some(cache), claim: None },
        };
        ModelCacheRestoreSpec {
            from,
            to: Some(to),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            keep_going: self.keep_going.then_some(true),
        }
    }
}
