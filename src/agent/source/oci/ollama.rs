//! How does a model lie in Ollama's store?
//!
//! ```text
//! manifests/<host>/<namespace>/<model>/<tag>   the manifest, byte for byte; last
//! blobs/sha256-<hex>                           its config and layers
//! ```
//!
//! The layout of all versions (`manifest/paths.go` of Ollama); newer ones add links to manifests of their own, and still read this.

use super::manifest::{Content, Document};
use crate::agent::fetch::Digest;
use crate::api::name::hex;
use crate::api::source::Reference;
use std::collections::BTreeMap;

/// Path of the manifest in the store. Ollama's names have exactly these four parts.
pub fn manifest(reference: &Reference) -> Result<String, &'static str> {
    let Reference { registry, repository, tag, .. } = reference;
    if repository.split('/').count() != 2 {
        return Err("in a repository that Ollama has no name for: it must be `registry/namespace/model:tag`");
    }
    Ok(format!("manifests/{registry}/{repository}/{}", tag.as_deref().unwrap_or("latest")))
}

/// Config and layers, each once.
pub fn blobs(document: &Document) -> Result<Vec<Content>, String> {
    let mut blobs: BTreeMap<String, Content> = BTreeMap::new();
    for descriptor in document.config.iter().chain(&document.layers) {
        let (digest, size) = descriptor.content()?;
        let Digest::Sha256(bytes) = digest else { continue };
        let path = format!("blobs/sha256-{}", hex(&bytes));
        blobs.insert(path.clone(), Content { path, size, digest, archive: None });
    }
    Ok(blobs.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_model_has_the_path_that_ollama_looks_for() {
        for (text, expected) in [
            ("llama3.2:3b", Some("manifests/registry.ollama.ai/library/llama3.2/3b")),
            ("me/model", Some("manifests/registry.ollama.ai/me/model/latest")),
            ("hub.example:5000/team/model:v1", Some("manifests/hub.example:5000/team/model/v1")),
            ("ghcr.io/org/team/model:v1", None),
            ("ghcr.io/model:v1", None),
        ] {
            let reference = Reference::parse(text, true).unwrap();
            assert_eq!(manifest(&reference).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn each_blob_is_there_once_and_the_config_is_one() {
        let (one, two) = (format!("sha256:{}", "1".repeat(64)), format!("sha256:{}", "2".repeat(64)));
        let layer =
            |digest: &str| json!({"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": 3});
        let document = json!({"config": layer(&two), "layers": [layer(&one), layer(&one)]});
        let blobs = blobs(&serde_json::from_value(document).unwrap()).unwrap();
        let paths: Vec<&str> = blobs.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, [format!("blobs/sha256-{}", "1".repeat(64)), format!("blobs/sha256-{}", "2".repeat(64))]);
    }
}
