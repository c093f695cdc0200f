//! Which files is a Whisper model? One whose hash everybody knows, or a hub repository, by the engine.

use super::super::failure::{Failure, reason};
use super::super::fetch::{Digest, Origin, unhex_array};
use super::access::Access;
use super::listing::{ListedFile, Listing};
use super::{Origins, hugging_face};
use crate::api::Reason;
use crate::api::name::below;
use crate::api::source::{HuggingFace, Whisper, WhisperEngine};
use crate::contract::plan::Pin;
use url::Url;

/// Asks the mirror how large the file is, or the hub for its repository.
pub async fn resolve(origins: &Origins, whisper: &Whisper, access: &Access) -> Result<Listing, Failure> {
    if whisper.effective_engine() == WhisperEngine::Faster {
        return hugging_face::resolve(origins, &repository(whisper)?, access).await;
    }
    let mut listing = file(whisper, None)?;
    for file in &mut listing.files {
        let origin = Origin { url: file.url.clone(), token: None, validator: None, authorizer: None };
        let probe = origins.client.probe(&file.path, &origin, &origins.options).await;
        let probe = probe.map_err(|error| Failure::new(reason(&error), error.to_string()))?;
        file.size = probe.size.filter(|size| *size > 0);
    }
    Ok(listing)
}

/// The files of a pin. For the one file nobody is asked: name and hash say everything.
pub async fn list(origins: &Origins, whisper: &Whisper, pin: &Pin, access: &Access) -> Result<Listing, Failure> {
    match whisper.effective_engine() {
        WhisperEngine::Faster => hugging_face::list(origins, &repository(whisper)?, &pin.revision, access).await,
        WhisperEngine::OpenAI => file(whisper, (pin.bytes > 0).then_some(pin.bytes)),
    }
}

/// The repository that `faster-whisper` asks the hub for.
///
/// # Errors
/// `InvalidSpec` with the names that there are.
pub fn repository(whisper: &Whisper) -> Result<HuggingFace, Failure> {
    whisper.faster_repository().ok_or_else(|| unknown(whisper))
}

/// Path on the volume, and SHA-256, of the file that `openai-whisper` loads.
///
/// # Errors
/// `InvalidSpec` with the names that there are.
pub fn path(whisper: &Whisper) -> Result<(String, String), Failure> {
    let (file, sha256) = whisper.openai_file().ok_or_else(|| unknown(whisper))?;
    Ok((below(whisper.effective_path(), &file), sha256))
}

fn unknown(whisper: &Whisper) -> Failure {
    let message = format!(
        "there is no Whisper model {:?} for `engine: {:?}`: `model` must be one of {}",
        whisper.model,
        whisper.effective_engine(),
        whisper.names()
    );
    Failure::new(Reason::InvalidSpec, message)
}

fn file(whisper: &Whisper, size: Option<u64>) -> Result<Listing, Failure> {
    let (path, sha256) = path(whisper)?;
    let invalid = |what: &str| Failure::new(Reason::InvalidSpec, what.to_owned());
    let digest = unhex_array(&sha256).map(Digest::Sha256);
    let digest = Some(digest.ok_or_else(|| invalid("`sha256` must be 64 hex digits"))?);
    let name = path.rsplit('/').next().unwrap_or_default();
    let mut url = Url::parse(whisper.effective_endpoint())
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| invalid("`endpoint` must be an http or https URL"))?;
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.pop_if_empty().extend(["main", "whisper", "models", &sha256, name]);
    }
    let origin = url.to_string();
    let file = ListedFile { path, size, digest, validator: None, git_oid: None, unpack: None, url };
    Listing::new(format!("sha256:{sha256}"), vec![file], true, None, origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_address_is_the_packages_own_and_a_mirrors_below_its_base() {
        for (endpoint, start) in [
            (None, "https://openaipublic.azureedge.net/main/whisper/models/"),
            (Some("http://mirror/a/"), "http://mirror/a/main/whisper/models/"),
        ] {
            let mut spec = json!({"model": "large", "path": "a/b"});
            if let Some(endpoint) = endpoint {
                spec["endpoint"] = json!(endpoint);
            }
            let listing = file(&serde_json::from_value(spec).unwrap(), Some(7)).unwrap();
            let hash = "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb";
            assert_eq!(listing.files[0].url.as_str(), format!("{start}{hash}/large-v3.pt"));
            assert_eq!(listing.files[0].path, "a/b/large-v3.pt");
            assert_eq!(listing.revision, format!("sha256:{hash}"));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_names_there_are() {
        for (engine, name) in [("OpenAI", "tiny.en"), ("Faster", "distil-large-v3.5")] {
            let whisper: Whisper = serde_json::from_value(json!({"model": "huge", "engine": engine})).unwrap();
            let failure = path(&whisper).and_then(|_| repository(&whisper).map(|_| ())).unwrap_err();
            assert_eq!(failure.reason, Reason::InvalidSpec);
            assert!(failure.message.contains(name) && failure.message.contains("turbo"), "{failure}");
        }
    }
}
