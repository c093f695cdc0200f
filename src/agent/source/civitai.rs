//! Which file is meant by a model version of Civitai, and what must it hash to?
//!
//! One call says it: `GET /api/v1/model-versions/<id>` lists the files with their SHA-256. The file itself is asked for at the
//! same endpoint, wherever the answer says it lies, so that the token is shown to nobody else.

use super::super::failure::{Failure, reason};
use super::super::fetch::{Digest, Origin, unhex_array};
use super::Origins;
use super::access::Access;
use super::listing::{ListedFile, Listing};
use crate::api::Reason;
use crate::api::name::below;
use crate::api::source::{Civitai, CivitaiFile};
use crate::contract::plan::Pin;
use serde::Deserialize;
use url::Url;

/// Largest answer that is read, in bytes: descriptions and image lists make it long.
const ANSWER_LIMIT: usize = 16 << 20;

/// What the site says of a version, as far as it is of use.
#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    files: Vec<File>,
}

/// A file of a version.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(rename = "sizeKB", default)]
    size_kib: Option<f64>,
    #[serde(default)]
    primary: bool,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    hashes: Hashes,
    download_url: Option<String>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    format: Option<String>,
}

#[derive(Default, Deserialize)]
struct Hashes {
    #[serde(default, rename = "SHA256")]
    sha256: Option<String>,
}

/// Asks the site for the version's files, and whether it gives the one that is meant.
pub async fn resolve(origins: &Origins, civitai: &Civitai, access: &Access) -> Result<Listing, Failure> {
    let version = version(origins, civitai, access).await?;
    let file = choose(&version.files, civitai)?;
    let listing = listing(file, civitai, access)?;
    for file in &listing.files {
        let origin = origin(file.url.clone(), access);
        let probe = origins.client.probe(&file.path, &origin, &origins.options).await;
        let probe = probe.map_err(|error| explained(civitai, reason(&error), &error.to_string(), access))?;
        // A login page is answered as if all were well: its hash would be found wrong on every node.
        if let (Some(sent), Some(listed)) = (probe.size, file.size)
            && sent != listed
        {
            let what = format!("it has {listed} bytes, and {sent} would be sent: most likely a login page");
            return Err(explained(civitai, Reason::Unauthorized, &what, access));
        }
    }
    Ok(listing)
}

/// The file of a pin, by its hash.
pub async fn list(origins: &Origins, civitai: &Civitai, pin: &Pin, access: &Access) -> Result<Listing, Failure> {
    let version = version(origins, civitai, access).await?;
    let pinned = pin.revision.strip_prefix("sha256:").unwrap_or_default();
    let file = version.files.iter().find(|file| file.sha256().is_some_and(|it| it.eq_ignore_ascii_case(pinned)));
    let file = file.ok_or_else(|| {
        let message = format!("{} has no file of hash {pinned:.12} any more, which was resolved", shown(civitai));
        Failure::new(Reason::ListingMismatch, message)
    })?;
    listing(file, civitai, access)
}

async fn version(origins: &Origins, civitai: &Civitai, access: &Access) -> Result<Version, Failure> {
    let url = address(civitai, &["api", "v1", "model-versions", &civitai.model_version_id.to_string()])?;
    let (client, options) = (&origins.client, &origins.options);
    let answer = client.get(&shown(civitai), &origin(url, access), "application/json", ANSWER_LIMIT, options).await;
    let answer = answer.map_err(|error| explained(civitai, reason(&error), &error.to_string(), access))?;
    serde_json::from_slice(&answer.body).map_err(|error| {
        let message =
            format!("the answer about {} is not the site's JSON ({error}): is `endpoint` right?", shown(civitai));
        Failure::new(Reason::Unreachable, message)
    })
}

/// The one file that is meant.
fn choose<'a>(files: &'a [File], civitai: &Civitai) -> Result<&'a File, Failure> {
    let invalid = |what: &str| {
        let there: Vec<String> = files.iter().map(File::in_words).collect();
        let message = format!("{} {what}; it has: {}", shown(civitai), there.join(", "));
        Failure::new(Reason::InvalidSpec, message)
    };
    if files.is_empty() {
        return Err(Failure::new(Reason::NoFiles, format!("{} has no files", shown(civitai))));
    }
    let Some(wanted) = &civitai.file else {
        return match (files.iter().find(|file| file.primary), files) {
            (Some(primary), _) => Ok(primary),
            (None, [only]) => Ok(only),
            _ => Err(invalid("has several files, and none is primary: say which with `file`")),
        };
    };
    let found: Vec<&File> = files.iter().filter(|file| file.is(wanted)).collect();
    match found.as_slice() {
        [] => Err(invalid("has no such `file`")),
        [one] => Ok(one),
        // Of two that fit, the primary one is what the site itself would give.
        several => several
            .iter()
            .copied()
            .find(|file| file.primary)
            .ok_or_else(|| invalid(&format!("has {} files that `file` fits: name one of them", several.len()))),
    }
}

fn listing(file: &File, civitai: &Civitai, access: &Access) -> Result<Listing, Failure> {
    let refuse = |reason: Reason, what: &str| Failure::new(reason, format!("{}: {what}", shown(civitai)));
    let sha256 = file.sha256().ok_or_else(|| {
        let what =
            format!("there is no SHA-256 of {:?}, so that nothing would tell its content from another", file.name);
        refuse(Reason::InvalidSpec, &what)
    })?;
    let sha256 = sha256.to_ascii_lowercase();
    let digest: Option<[u8; 32]> = unhex_array(&sha256);
    let digest = digest.ok_or_else(|| refuse(Reason::ListingMismatch, "lists a hash that is no SHA-256"))?;
    if file.name.contains('/') {
        return Err(refuse(
            Reason::ListingMismatch,
            &format!("lists the file name {:?}, which has a slash", file.name),
        ));
    }
    let path = below(civitai.effective_path(), &file.name);
    let mut url = address(civitai, &["api", "download", "models", &civitai.model_version_id.to_string()])?;
    // Several files of a version differ in the query alone.
    let listed = file.download_url.as_deref().and_then(|it| Url::parse(it).ok());
    url.set_query(listed.as_ref().and_then(Url::query));
    let file = ListedFile {
        path,
        size: file.bytes(),
        digest: Some(Digest::Sha256(digest)),
        validator: None,
        git_oid: None,
        unpack: None,
        url,
    };
    Listing::new(format!("sha256:{sha256}"), vec![file], true, access.token.clone(), shown(civitai))
}

impl File {
    fn is(&self, wanted: &CivitaiFile) -> bool {
        let same = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|it| it == found);
        same(&wanted.name, &self.name)
            && same(&wanted.file_type, &self.kind)
            && same(&wanted.format, self.metadata.format.as_deref().unwrap_or_default())
    }

    fn sha256(&self) -> Option<&str> {
        self.hashes.sha256.as_deref().filter(|it| !it.is_empty())
    }

    /// The size in bytes: it is listed in KiB, with all the digits that the division has. A rounded one says nothing.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a whole number within the bounds"
    )]
    fn bytes(&self) -> Option<u64> {
        let bytes = self.size_kib? * 1024.0;
        (bytes.fract() == 0.0 && (1.0..9e15).contains(&bytes)).then_some(bytes as u64)
    }

    fn in_words(&self) -> String {
        format!("{:?} ({}, {})", self.name, self.kind, self.metadata.format.as_deref().unwrap_or("no format"))
    }
}

/// A refusal, with what a person can do about it.
fn explained(civitai: &Civitai, reason: Reason, what: &str, access: &Access) -> Failure {
    let message = match reason {
        Reason::Unauthorized | Reason::Gated => {
            format!("{}: {what}; {}", shown(civitai), advice(access))
        }
        _ => what.to_owned(),
    };
    Failure::new(reason, message)
}

fn advice(access: &Access) -> String {
    match access.token {
        Some(_) => access.advice(),
        None => "no API key was sent: name one with `tokenSecretRef`".to_owned(),
    }
}

fn origin(url: Url, access: &Access) -> Origin {
    Origin { url, token: access.token.clone(), validator: None, authorizer: None }
}

fn address(civitai: &Civitai, parts: &[&str]) -> Result<Url, Failure> {
    let base = Url::parse(civitai.effective_endpoint()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let mut url =
        base.ok_or_else(|| Failure::new(Reason::InvalidSpec, "`endpoint` must be an http or https URL".to_owned()))?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(parts);
    }
    Ok(url)
}

fn shown(civitai: &Civitai) -> String {
    format!("model version {} of {}", civitai.model_version_id, civitai.effective_endpoint())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(file: &serde_json::Value) -> Civitai {
        let mut spec = json!({"modelVersionId": 7});
        if !file.is_null() {
            spec["file"] = file.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    fn files() -> Vec<File> {
        let file = |name: &str, kind: &str, format: &str, primary: bool| {
            json!({"name": name, "type": kind, "sizeKB": 1.5, "primary": primary, "metadata": {"format": format, "fp": "fp16"},
                   "hashes": {"SHA256": "AB".repeat(32)}, "downloadUrl": format!("https://elsewhere/x?format={format}")})
        };
        serde_json::from_value(json!([
            file("a.ckpt", "Model", "PickleTensor", false),
            file("a.safetensors", "Model", "SafeTensor", true),
            file("a-pruned.safetensors", "Pruned Model", "SafeTensor", false),
            file("a.vae.pt", "VAE", "PickleTensor", false),
        ]))
        .unwrap()
    }

    #[test]
    fn the_file_that_is_meant_is_found_by_what_it_is() {
        for (wanted, name) in [
            (json!(null), "a.safetensors"),
            (json!({"type": "VAE"}), "a.vae.pt"),
            (json!({"type": "Model", "format": "PickleTensor"}), "a.ckpt"),
            (json!({"format": "SafeTensor"}), "a.safetensors"),
            (json!({"name": "a-pruned.safetensors"}), "a-pruned.safetensors"),
        ] {
            assert_eq!(choose(&files(), &spec(&wanted)).unwrap().name, name, "{wanted}");
        }
        for (wanted, word) in [
            (json!({"type": "LoRA"}), "no such `file`"),
            (json!({"format": "PickleTensor"}), "2 files that `file` fits"),
        ] {
            let failure = choose(&files(), &spec(&wanted)).map(|it| it.name.clone()).unwrap_err();
            assert_eq!(failure.reason, Reason::InvalidSpec);
            assert!(
                failure.message.contains(word) && failure.message.contains("\"a.ckpt\" (Model, PickleTensor)"),
                "{failure}"
            );
        }
    }

    #[test]
    fn the_token_goes_to_the_endpoint_whatever_host_the_answer_names() {
        let listing = listing(&files()[0], &spec(&json!(null)), &Access::default()).unwrap();
        assert_eq!(listing.files[0].url.as_str(), "https://civitai.com/api/download/models/7?format=PickleTensor");
        assert_eq!((listing.files[0].path.as_str(), listing.files[0].size), ("civitai/a.ckpt", Some(1536)));
        assert_eq!(listing.revision, format!("sha256:{}", "ab".repeat(32)));
    }

    #[test]
    fn a_file_without_a_usable_name_or_hash_is_refused() {
        for (field, value, reason) in [
            ("/0/name", json!("../x"), Reason::ListingMismatch),
            ("/0/name", json!("a/b"), Reason::ListingMismatch),
            ("/0/name", json!(".."), Reason::ListingMismatch),
            ("/0/hashes", json!({}), Reason::InvalidSpec),
            ("/0/hashes", json!({"SHA256": "xyz"}), Reason::ListingMismatch),
        ] {
            let mut all = json!([{"name": "a", "hashes": {"SHA256": "AB".repeat(32)}}]);
            *all.pointer_mut(field).unwrap() = value;
            let all: Vec<File> = serde_json::from_value(all).unwrap();
            let failure = listing(&all[0], &spec(&json!(null)), &Access::default()).unwrap_err();
            assert_eq!(failure.reason, reason, "{failure}");
        }
    }

    #[test]
    fn a_rounded_size_is_no_size() {
        for (kib, expected) in
            [(json!(2_082_642.474_609_375), Some(2_132_625_894)), (json!(0.3), None), (json!(null), None)]
        {
            let file: File = serde_json::from_value(json!({"name": "a", "sizeKB": kib})).unwrap();
            assert_eq!(file.bytes(), expected);
        }
    }
}
