//! `nodes`: what each node holds.

use super::error::Error;
use super::options::{Format, Names};
use super::print;
use super::render::progress::copies;
use super::render::tables::{self, Look};
use super::session::{Session, full_name};
use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;

/// Options of `nodes`.
#[derive(Args, Debug)]
pub struct Nodes {
    #[command(flatten)]
    names: Names,
}

impl Nodes {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        session.caches(&self.names.names).await?;
        let mut replicas = session.replicas().await?;
        replicas.retain(|it| self.names.names.is_empty() || self.names.names.contains(&it.spec.cache));
        let node = |it: &crate::api::ModelCacheReplica| it.spec.node.as_ref().map(|it| it.name.clone());
        replicas.sort_by_key(|it| (it.namespace(), node(it), it.spec.cache.clone(), it.spec.volume.clone()));
        let rows = copies(&replicas);
        match session.format {
            Format::Json | Format::Yaml => print::document(session.format, &rows),
            Format::Name => {
                let name = |it: &crate::api::ModelCacheReplica| full_name("modelcachereplica", &it.name_any()) + "\n";
                replicas.iter().try_for_each(|it| print::text(&name(it)))
            }
            Format::Table | Format::Wide if rows.is_empty() => {
                session.nothing("copies");
                Ok(())
            }
            format => {
                let (wide, now) = (format == Format::Wide, Timestamp::now());
                print::text(&tables::nodes(&rows, Look { namespaces: session.all, wide, paint: session.paint, now }))
            }
        }
    }
}
