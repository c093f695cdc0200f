//! `get`: lists caches.

use super::error::Error;
use super::options::{Format, Names};
use super::print;
use super::render::tables::{self, Look};
use super::session::{Session, full_name};
use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;

/// Options of `get`.
#[derive(Args, Debug)]
pub struct Get {
    #[command(flatten)]
    names: Names,
}

impl Get {
    /// Runs the command. One that is named is printed as it is, several as a list.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        let mut found = session.caches(&self.names.names).await?;
        for cache in &mut found {
            cache.metadata.managed_fields = None;
        }
        match (session.format, found.as_slice()) {
            (Format::Json | Format::Yaml, [one]) if self.names.names.len() == 1 => print::document(session.format, one),
            (Format::Json | Format::Yaml, all) => print::objects(session.format, all),
            (Format::Name, all) => {
                all.iter().try_for_each(|it| print::text(&(full_name("modelcache", &it.name_any()) + "\n")))
            }
            (Format::Table | Format::Wide, []) => {
                session.nothing("ModelCaches");
                Ok(())
            }
            (format, all) => {
                let (wide, now) = (format == Format::Wide, Timestamp::now());
                print::text(&tables::caches(all, Look { namespaces: session.all, wide, paint: session.paint, now }))
            }
        }
    }
}
