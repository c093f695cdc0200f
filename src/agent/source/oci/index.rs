//! Which manifest of an index is the model's?
//!
//! An index is made for programs, one manifest for each platform. A model has none, and nodes of several kinds share one
//! pin: so the platform of this machine is never asked for.

use super::manifest::{Descriptor, is_model_type};
use crate::api::name::sha256_digits;

/// What the attestations of a build are marked with: they are no content.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// The digest of the one manifest that is meant. In this order, and only where it is one alone: those whose
/// `artifactType` is a model's; those without a platform; those of `linux/amd64`, which tools write that must write
/// something.
pub fn choose(entries: &[Descriptor]) -> Result<String, String> {
    let manifests: Vec<&Descriptor> = entries
        .iter()
        .filter(|it| it.media_type.ends_with("manifest.v1+json") || it.media_type.ends_with("manifest.v2+json"))
        .filter(|it| !it.annotations.contains_key(REFERENCE_TYPE))
        .collect();
    let rules: [fn(&Descriptor) -> bool; 3] = [
        |it| it.artifact_type.as_deref().is_some_and(is_model_type),
        |it| it.platform.as_ref().is_none_or(|platform| platform.os.is_empty() || platform.os == "unknown"),
        |it| it.platform.as_ref().is_some_and(|platform| platform.os == "linux" && platform.architecture == "amd64"),
    ];
    for rule in rules {
        let mut found = manifests.iter().filter(|it| rule(it));
        match (found.next(), found.next()) {
            (Some(one), None) => {
                let hex = sha256_digits(&one.digest).map(str::to_owned);
                return hex.ok_or_else(|| format!("an index with the digest `{}`: only SHA-256 is taken", one.digest));
            }
            (Some(_), Some(_)) => break,
            (None, _) => {}
        }
    }
    let digests: Vec<&str> = manifests.iter().map(|it| it.digest.as_str()).take(8).collect();
    Err(format!(
        "an index of {} manifests, of which not just one can be a model: name one by its digest ({})",
        manifests.len(),
        digests.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[allow(clippy::needless_pass_by_value, reason = "`json!` is written in place")]
    fn entry(digit: char, more: Value) -> Value {
        let mut entry = json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 5,
            "digest": format!("sha256:{}", digit.to_string().repeat(64))
        });
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        entry
    }

    fn chosen(entries: Vec<Value>) -> Result<char, String> {
        let entries: Vec<Descriptor> = entries.into_iter().map(|it| serde_json::from_value(it).unwrap()).collect();
        choose(&entries).map(|it| it.chars().next().unwrap())
    }

    fn platform(os: &str, architecture: &str) -> Value {
        json!({"platform": {"os": os, "architecture": architecture}})
    }

    #[test]
    fn the_one_manifest_of_a_model_is_found_on_every_machine_alike() {
        let model = json!({"artifactType": "application/vnd.cncf.model.manifest.v1+json"});
        let attestation = json!({"annotations": {"vnd.docker.reference.type": "attestation-manifest"}});
        for (entries, expected) in [
            (vec![entry('a', platform("linux", "amd64")), entry('b', model.clone())], 'b'),
            (vec![entry('a', platform("linux", "amd64")), entry('b', json!({}))], 'b'),
            (vec![entry('a', platform("linux", "arm64")), entry('b', platform("linux", "amd64"))], 'b'),
            (vec![entry('a', attestation), entry('b', platform("linux", "amd64"))], 'b'),
            (vec![entry('a', platform("unknown", "unknown")), entry('b', model.clone())], 'b'),
        ] {
            assert_eq!(chosen(entries), Ok(expected));
        }
    }

    #[test]
    fn an_index_that_leaves_a_choice_is_refused_with_what_there_is() {
        let model = json!({"artifactType": "application/vnd.kitops.modelkit.manifest.v1+json"});
        for entries in [
            vec![entry('a', model.clone()), entry('b', model)],
            vec![entry('a', json!({})), entry('b', json!({}))],
            vec![entry('a', platform("linux", "arm64"))],
        ] {
            let said = chosen(entries).unwrap_err();
            assert!(said.contains("sha256:aaa") && said.contains("by its digest"), "{said}");
        }
        assert!(chosen(vec![]).is_err());
    }

    #[test]
    fn a_digest_of_another_kind_is_refused() {
        let said = chosen(vec![entry('a', json!({"digest": "sha512:abc"}))]).unwrap_err();
        assert!(said.contains("sha512:abc") && said.contains("SHA-256"), "{said}");
    }
}
