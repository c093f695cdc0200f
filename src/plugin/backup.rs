//! `backup`: backs a cache up now.

use super::error::Error;
use super::options::{Format, Name};
use super::runs::Waiting;
use super::session::{Session, full_name};
use super::{FIELD_MANAGER, print};
use crate::api::{ModelCacheBackup, ModelCacheBackupSpec, Reason};
use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::PostParams;

/// Options of `backup`.
#[derive(Args, Debug)]
pub struct Backup {
    #[command(flatten)]
    name: Name,

    /// Name of the ModelCacheBackup. [default: that of the cache and the time]
    #[arg(long = "name", value_name = "NAME")]
    named: Option<String>,

    /// Only this volume; may be given several times. [default: what the cache says]
    #[arg(long = "volume", value_name = "VOLUME")]
    volumes: Vec<String>,

    /// Retention never removes it.
    #[arg(long)]
    pin: bool,

    #[command(flatten)]
    waiting: Waiting,
}

impl Backup {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        let cache = session.cache(&self.name.name).await?;
        if cache.spec.backup.is_none() {
            let message = format!("`{}` has no `spec.backup`: it says where backups go", cache.name_any());
            return Err(Error::Failed { reason: Reason::InvalidSpec, message });
        }
        let name = self.named.clone().unwrap_or_else(|| stamped(&cache.name_any(), Timestamp::now()));
        let pin = self.pin.then_some(true);
        let spec = ModelCacheBackupSpec { cache: cache.name_any(), content: None, volumes: self.volumes.clone(), pin };
        let mut backup = ModelCacheBackup::new(&name, spec);
        backup.metadata.namespace = Some(session.namespace.clone());
        if self.waiting.dry_run {
            return print::document(if session.format == Format::Json { Format::Json } else { Format::Yaml }, &backup);
        }
        let api = session.here::<ModelCacheBackup>();
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let made = api.create(&parameters, &backup).await?;
        print::made(session.format, &full_name("modelcachebackup", &name))?;
        let conditions = |it: &ModelCacheBackup| it.status.clone().unwrap_or_default().conditions;
        let done = self.waiting.until_over(api, &made, conditions).await?;
        if matches!(session.format, Format::Json | Format::Yaml) {
            return print::document(session.format, done.as_ref().unwrap_or(&made));
        }
        let Some(status) = done.filter(|_| session.format != Format::Name).and_then(|it| it.status) else {
            return Ok(());
        };
        print::text(&format!(
            "snapshot {}: {} files, {}, {} new\n",
            status.snapshot.unwrap_or_default(),
            status.files.unwrap_or_default(),
            status.size.unwrap_or_default(),
            status.new_size.unwrap_or_default()
        ))
    }
}

/// A name with the time in it, in UTC: names sort as what they name was made.
pub fn stamped(name: &str, now: Timestamp) -> String {
    format!("{name}-{}", now.strftime("%Y%m%d-%H%M%S"))
}
