//! `describe`: everything that is known of a cache.

use super::error::Error;
use super::options::{Format, Name};
use super::print;
use super::render::describe::describe;
use super::render::progress::{caches, copies};
use super::session::Session;
use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt;
use kube::api::ListParams;

/// Options of `describe`.
#[derive(Args, Debug)]
pub struct Describe {
    #[command(flatten)]
    name: Name,
}

impl Describe {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        let mut cache = session.cache(&self.name.name).await?;
        cache.metadata.managed_fields = None;
        if matches!(session.format, Format::Json | Format::Yaml) {
            return print::document(session.format, &cache);
        }
        let mut replicas = session.replicas().await?;
        replicas.retain(|it| it.spec.cache == cache.name_any());
        let about = format!("involvedObject.kind=ModelCache,involvedObject.name={}", cache.name_any());
        // Events are a help, and not everybody may read them.
        let events = session.here::<Event>().list(&ListParams::default().fields(&about)).await;
        let events = events.map(|it| it.items).unwrap_or_default();
        let progress = caches(std::slice::from_ref(&cache), &replicas);
        let Some(progress) = progress.first() else { return Ok(()) };
        print::text(&describe(&cache, progress, &copies(&replicas), &events, session.paint, Timestamp::now()))
    }
}
