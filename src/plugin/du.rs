//! `du`: what takes the space, as the status knows it.

use super::error::Error;
use super::options::{Format, Names};
use super::print;
use super::render::progress::copies;
use super::render::space::{Space, space, text};
use super::session::Session;
use clap::Args;

/// Options of `du`.
#[derive(Args, Debug)]
pub struct Du {
    #[command(flatten)]
    names: Names,
}

impl Du {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        let caches = session.caches(&self.names.names).await?;
        let copies = copies(&session.replicas().await?);
        let spaces: Vec<Space> = caches.iter().map(|it| space(it, &copies)).collect();
        if matches!(session.format, Format::Json | Format::Yaml) {
            return print::document(session.format, &spaces);
        }
        if spaces.is_empty() {
            session.nothing("ModelCaches");
        }
        let texts: Vec<String> = spaces.iter().map(|it| text(it, session.paint)).collect();
        print::text(&texts.join("\n"))
    }
}
