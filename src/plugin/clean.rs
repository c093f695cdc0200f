//! `clean`: the rules of the clean-up, now; or what they would do.

use super::answer::place;
use super::error::Error;
use super::options::{Format, Name};
use super::print;
use super::render::deeds::{self, Planned};
use super::request::Asking;
use super::session::Session;
use crate::api::request::Deed;
use clap::Args;
use kube::ResourceExt;

/// Options of `clean`.
#[derive(Args, Debug)]
pub struct Clean {
    #[command(flatten)]
    name: Name,

    /// Say what would go, why, and how many bytes it is, and remove nothing. Returns when every copy has said it.
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,

    #[command(flatten)]
    asking: Asking,
}

impl Clean {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        let waits = self.asking.wait || self.dry_run;
        self.asking.check(waits)?;
        let cache = session.cache(&self.name.name).await?;
        let caches = [cache];
        self.asking.are_there(session, &caches).await?;
        let (spec, scope) = (&caches[0].spec, self.asking.scope(self.dry_run));
        let meant = |volume: &str| scope.volumes.is_empty() || scope.volumes.iter().any(|it| it == volume);
        if !spec.volumes.iter().any(|it| meant(&it.name) && Deed::Clean.can_be_done(spec, &it.name)) {
            let message = format!("no rule of `spec.cleanup` of `{}` is about what is meant", self.name.name);
            return Err(Error::Usage(message));
        }
        let asked = self.asking.ask(session, &caches, Deed::Clean, self.dry_run).await?;
        if !waits {
            return Ok(());
        }
        let names = [caches[0].name_any()];
        let answers = self.asking.until_done(session, &names, Deed::Clean, &asked).await?;
        if !self.dry_run {
            return answers.told();
        }
        let planned: Vec<Planned> = answers.copies.iter().filter_map(Planned::of).collect();
        match session.format {
            Format::Json | Format::Yaml => print::document(session.format, &planned)?,
            Format::Name => answers.copies.iter().try_for_each(|it| print::text(&format!("{}\n", place(it))))?,
            Format::Table | Format::Wide => print::text(&deeds::table(&planned, session.paint))?,
        }
        answers.failed.map_or(Ok(()), Err)
    }
}
