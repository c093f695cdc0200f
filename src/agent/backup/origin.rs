//! Which sources could be fetched again, today, without anybody's secret? Their bytes need not be kept.

use super::owned::Owned;
use crate::agent::failure::Failure;
use crate::agent::source::Origins;
use crate::agent::source::access::Access;
use crate::api::ModelCacheSpec;
use crate::api::backup::BackupContent;
use crate::api::source::Source;
use crate::contract::plan::Pin;
use std::collections::BTreeSet;

/// The sources of a volume whose files are kept by name and hash only.
pub async fn again(
    origins: &Origins,
    spec: &ModelCacheSpec,
    owned: &Owned,
    content: BackupContent,
    say: &dyn Fn(&str),
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (name, pin) in &owned.pins {
        let kept = match content {
            BackupContent::Manifest => true,
            BackupContent::Full => false,
            BackupContent::Auto => match spec.sources.iter().find(|it| &it.name == name) {
                Some(source) if source.secrets().is_empty() && source.config_map().is_none() => {
                    match serves(origins, source, pin).await {
                        Ok(by_hash) => by_hash,
                        Err(failure) => {
                            say(&format!(
                                "source `{name}` is backed up with its bytes, as its origin does not serve it now: {failure}"
                            ));
                            false
                        }
                    }
                }
                _ => false,
            },
        };
        if kept {
            names.insert(name.clone());
        }
    }
    names
}

/// Whether an origin serves a source at its pin, and says the hash of every file.
async fn serves(origins: &Origins, source: &Source, pin: &Pin) -> Result<bool, Failure> {
    let listing = origins.list(source, pin, &Access::default()).await?;
    if listing.files.iter().any(|file| file.digest.is_none()) {
        return Ok(false);
    }
    // Some lists come from the pin alone: one byte proves that somebody answers.
    let Some(file) = listing.files.iter().max_by_key(|file| file.size) else { return Ok(false) };
    let content = listing.content(file);
    origins.client.probe(&file.path, &content.origin, &origins.options).await?;
    Ok(true)
}
