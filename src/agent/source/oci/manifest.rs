//! What is a manifest, and which files do its layers hold? Pure.
//!
//! | format | known by | layers |
//! |---|---|---|
//! | CNCF ModelPack | config `application/vnd.cncf.model.config.v1+json` | `application/vnd.cncf.model.<what>.v1.<form>` |
//! | KitOps ModelKit | config `application/vnd.kitops.modelkit.config.v1+json` | `application/vnd.kitops.modelkit.<what>.v1.<form>` |
//! | Ollama | layers `application/vnd.ollama.image.*` | as they are |
//!
//! The name of a file is an annotation of its layer (`org.cncf.model.filepath` of the ModelPack specification, which KitOps writes
//! too; `org.opencontainers.image.title` where it is missing). It is from the origin, and checked like every name.

use crate::agent::fetch::{Digest, unhex_array};
use crate::agent::layout::OWN;
use crate::api::name::sha256_digits;
use crate::api::source::ArchiveFormat;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

const MODEL_PACK: &str = "application/vnd.cncf.model.";
const MODEL_KIT: &str = "application/vnd.kitops.modelkit.";
const OLLAMA: &str = "application/vnd.ollama.image.";
const MODEL_PACK_CONFIG: &str = "application/vnd.cncf.model.config.v1+json";
const MODEL_KIT_CONFIG: &str = "application/vnd.kitops.modelkit.config.v1+json";
/// What KitOps calls a ModelKit's config when it unpacks it. It is JSON, which is YAML.
const KITFILE: &str = "Kitfile";
const NAMES: [&str; 2] = ["org.cncf.model.filepath", "org.opencontainers.image.title"];

/// A manifest or an index, as far as it is of use.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    pub artifact_type: Option<String>,
    pub config: Option<Descriptor>,
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    /// Only an index has them.
    pub manifests: Option<Vec<Descriptor>>,
}

/// What a manifest says of a blob, or an index of a manifest.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    pub artifact_type: Option<String>,
    pub platform: Option<Platform>,
}

/// What a program is made for.
#[derive(Clone, Debug, Deserialize)]
pub struct Platform {
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub architecture: String,
}

/// A blob and its path in the artifact.
#[derive(Debug, PartialEq)]
pub struct Content {
    /// Path in the artifact; for an archive what its layer is called.
    pub path: String,
    pub size: u64,
    pub digest: Digest,
    /// What the archive is, when the layer is one: what is in it belongs to the artifact's own directory.
    pub archive: Option<ArchiveFormat>,
}

/// The kinds of artifact that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    ModelPack,
    ModelKit,
    Ollama,
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ModelPack => "a ModelPack",
            Self::ModelKit => "a ModelKit",
            Self::Ollama => "a model of Ollama",
        })
    }
}

impl Format {
    /// What the manifest is of.
    ///
    /// # Errors
    /// What it is instead.
    pub fn of(document: &Document) -> Result<Self, String> {
        let config = document.config.as_ref().map(|it| it.media_type.as_str()).unwrap_or_default();
        if config == MODEL_PACK_CONFIG {
            return Ok(Self::ModelPack);
        }
        if config == MODEL_KIT_CONFIG {
            return Ok(Self::ModelKit);
        }
        if document.layers.iter().any(|it| it.media_type.starts_with(OLLAMA)) {
            return Ok(Self::Ollama);
        }
        let what = match (config, document.artifact_type.as_deref()) {
            (_, Some(artifact)) => format!("an artifact of type {artifact:?}"),
            ("application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json", None) => {
                "a container image".to_owned()
            }
            ("", None) => "no manifest that is known".to_owned(),
            (config, None) => format!("an artifact with a config of type {config:?}"),
        };
        Err(format!("{what}: a CNCF ModelPack, a KitOps ModelKit or a model of Ollama is needed"))
    }
}

impl Descriptor {
    /// Digest and size of the blob.
    pub fn content(&self) -> Result<(Digest, u64), String> {
        let bytes = sha256_digits(&self.digest).and_then(unhex_array);
        let digest = bytes.map(Digest::Sha256);
        digest.map(|digest| (digest, self.size)).ok_or_else(|| {
            format!("made of a layer with the digest {:?}: only SHA-256 is taken, push it again with that", self.digest)
        })
    }

    fn name(&self) -> Option<&str> {
        NAMES.iter().find_map(|name| self.annotations.get(*name)).map(String::as_str).filter(|name| !name.is_empty())
    }
}

/// Whether an `artifactType` is a model's.
pub fn is_model_type(artifact: &str) -> bool {
    [MODEL_PACK, MODEL_KIT].iter().any(|prefix| artifact.starts_with(prefix))
}

/// The files of a ModelPack or a ModelKit, by their path in it. A ModelPack's config is for registries alone, so it is
/// no file; a ModelKit's is its `Kitfile`.
///
/// # Errors
/// What the artifact is that cannot be laid out: a layer that is left out would be a model that does not load.
pub fn files(document: &Document, format: Format) -> Result<Vec<Content>, String> {
    let config = document.config.iter().filter(|_| format == Format::ModelKit);
    config.chain(&document.layers).map(file).collect()
}

fn file(layer: &Descriptor) -> Result<Content, String> {
    let (digest, size) = layer.content()?;
    let kind = &layer.media_type;
    let path = match form(kind) {
        Some(Form::Kitfile) => layer.name().unwrap_or(KITFILE),
        Some(Form::File) => layer.name().ok_or_else(|| {
            format!("made of a layer without a file name ({}): annotate it with `{}`", layer.digest, NAMES[0])
        })?,
        Some(Form::Archive(_)) => layer.name().unwrap_or(&layer.digest),
        None => return Err(format!("made of a layer of type {kind:?}, which no model is known to have")),
    };
    if path.split('/').any(|part| part == OWN) {
        return Err(format!("made of a file called {path:?}, and `{OWN}` is the cache's own"));
    }
    let archive = match form(kind) {
        Some(Form::Archive(format)) => Some(format),
        _ => None,
    };
    Ok(Content { path: path.to_owned(), size, digest, archive })
}

/// How a layer holds its files.
enum Form {
    /// It is the file.
    File,
    /// It is the file, and has a name of its own.
    Kitfile,
    /// It is an archive of them, with their paths in the artifact.
    Archive(ArchiveFormat),
}

fn form(media_type: &str) -> Option<Form> {
    if media_type == MODEL_KIT_CONFIG {
        return Some(Form::Kitfile);
    }
    let rest = media_type.strip_prefix(MODEL_PACK).or_else(|| media_type.strip_prefix(MODEL_KIT))?;
    match rest.rsplit_once(".v1.")?.1 {
        "raw" | "gguf" | "safetensors" => Some(Form::File),
        "tar" => Some(Form::Archive(ArchiveFormat::Tar)),
        "tar+gzip" => Some(Form::Archive(ArchiveFormat::TarGz)),
        "tar+zstd" => Some(Form::Archive(ArchiveFormat::TarZst)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A document with this config and layers: media type and name.
    fn document(config: &str, layers: &[(&str, Option<(&str, &str)>)]) -> Document {
        let digest = format!("sha256:{}", "a".repeat(64));
        let layer = |(kind, name): &(&str, Option<(&str, &str)>)| -> Value {
            let annotations: BTreeMap<&str, &str> = name.iter().copied().collect();
            json!({"mediaType": kind, "digest": digest, "size": 3, "annotations": annotations})
        };
        let layers: Vec<Value> = layers.iter().map(layer).collect();
        let config = json!({"mediaType": config, "digest": digest, "size": 3});
        serde_json::from_value(json!({"schemaVersion": 2, "config": config, "layers": layers})).unwrap()
    }

    const PATH: &str = "org.cncf.model.filepath";
    const TITLE: &str = "org.opencontainers.image.title";

    #[test]
    fn an_artifact_is_known_by_its_config_and_ollamas_by_its_layers() {
        let container = "application/vnd.docker.container.image.v1+json";
        for (config, layer, expected) in [
            (MODEL_PACK_CONFIG, "x", Ok(Format::ModelPack)),
            (MODEL_KIT_CONFIG, "x", Ok(Format::ModelKit)),
            (container, "application/vnd.ollama.image.model", Ok(Format::Ollama)),
            (container, "application/vnd.docker.image.rootfs.diff.tar.gzip", Err("a container image")),
            ("application/vnd.cncf.helm.config.v1+json", "x", Err("helm")),
        ] {
            let found = Format::of(&document(config, &[(layer, None)]));
            match expected {
                Ok(format) => assert_eq!(found, Ok(format), "{config}"),
                Err(word) => assert!(found.unwrap_err().contains(word), "{config}"),
            }
        }
    }

    #[test]
    fn a_layer_has_the_name_of_its_annotation() {
        let layers = [
            ("application/vnd.cncf.model.weight.v1.raw", Some((PATH, "a/b.bin"))),
            ("application/vnd.cncf.model.weight.config.v1.raw", Some((TITLE, "config.json"))),
            ("application/vnd.cncf.model.weight.v1.gguf", Some((PATH, "m.gguf"))),
            (MODEL_KIT_CONFIG, None),
        ];
        let names = |format, config| -> Vec<String> {
            files(&document(config, &layers), format).unwrap().into_iter().map(|it| it.path).collect()
        };
        assert_eq!(names(Format::ModelPack, MODEL_PACK_CONFIG), ["a/b.bin", "config.json", "m.gguf", "Kitfile"]);
        let kit = names(Format::ModelKit, MODEL_KIT_CONFIG);
        assert_eq!(kit.iter().filter(|it| *it == "Kitfile").count(), 2, "the listing refuses what comes twice");
    }

    #[test]
    fn a_digest_of_another_kind_and_a_layer_that_nobody_knows_are_refused() {
        for (kind, word) in [
            ("application/vnd.cncf.model.weight.v1.zip", "no model is known to have"),
            ("application/vnd.oci.image.layer.v1.tar", "no model is known to have"),
            ("application/vnd.kitops.modelkit.model.v1.raw+gzip", "no model is known to have"),
        ] {
            let said =
                files(&document(MODEL_PACK_CONFIG, &[(kind, Some((PATH, "x")))]), Format::ModelPack).unwrap_err();
            assert!(said.contains(word) && said.contains(kind), "{said}");
        }
        let mut other = document(MODEL_PACK_CONFIG, &[("application/vnd.cncf.model.weight.v1.raw", Some((PATH, "x")))]);
        other.layers[0].digest = format!("sha512:{}", "a".repeat(128));
        assert!(files(&other, Format::ModelPack).unwrap_err().contains("only SHA-256"));
    }
}
