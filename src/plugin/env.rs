//! `env`: what a pod's spec needs to use a cache.

use super::error::Error;
use super::options::{Format, Name};
use super::print;
use super::session::Session;
use crate::agent::command::env::{EnvFormat, text};
use clap::Args;

/// Options of `env`.
#[derive(Args, Debug)]
pub struct Env {
    #[command(flatten)]
    name: Name,

    /// What to print.
    #[arg(long, value_enum, default_value_t = EnvFormat::Pod)]
    format: EnvFormat,
}

impl Env {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        let format = if session.format == Format::Json { EnvFormat::Json } else { self.format };
        let cache = session.cache(&self.name.name).await?;
        let text = text(&cache, format, None);
        print::text(&text.map_err(|it| Error::Failed { reason: it.reason, message: it.message })?)
    }
}
