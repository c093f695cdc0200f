//! What is to be cached, and where does it come from?

mod archive;
mod civitai;
mod http;
mod hugging_face;
mod nltk;
mod object_store;
mod oci;
mod pip;
mod reference;
mod secret;
mod spacy;
mod torch_hub;
mod whisper;

pub use self::archive::ArchiveFormat;
pub use self::civitai::{Civitai, CivitaiFile};
pub use self::http::Http;
pub use self::hugging_face::{HuggingFace, Preset, RepoType};
pub use self::nltk::Nltk;
pub use self::object_store::{ObjectStore, Store};
pub use self::oci::{Layout, Oci};
pub use self::pip::{Architecture, Pip};
pub use self::reference::Reference;
pub use self::secret::{SecretFile, SecretKeyRef};
pub use self::spacy::Spacy;
pub use self::torch_hub::{HubRepo, TorchHub};
pub use self::whisper::{Whisper, WhisperEngine};
use super::pod_template::ConfigMapKeyRef;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing to cache. Exactly one kind must be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.huggingFace), has(self.http), has(self.whisper), has(self.civitai), has(self.nltk), has(self.objectStore), has(self.oci), has(self.pip), has(self.spacy), has(self.torchHub)].filter(set, set).size() == 1")
        .message("exactly one kind of source must be set, such as `huggingFace` or `http`")
)]
pub struct Source {
    /// Name of the source, unique in the cache: a DNS label of at most 63 characters.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("`name` must be a DNS label: lower-case letters, digits and dashes, with no dash at either end"))]
    pub name: String,

    /// Name of the volume that takes the content. May be left out when the cache has one volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub volume: Option<String>,

    /// A repository on the Hugging Face hub, or on a mirror that speaks its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hugging_face: Option<HuggingFace>,

    /// One file behind an http or https URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,

    /// A Whisper speech model, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whisper: Option<Whisper>,

    /// One file of a model version on Civitai.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub civitai: Option<Civitai>,

    /// Data packages of NLTK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nltk: Option<Nltk>,

    /// The objects below a prefix of an object store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_store: Option<ObjectStore>,

    /// A model in a registry: a ModelPack, a ModelKit or a model of Ollama.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<Oci>,

    /// A wheelhouse: Python packages that install with no index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pip: Option<Pip>,

    /// A trained pipeline of spaCy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spacy: Option<Spacy>,

    /// A checkpoint or a repository of torch.hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torch_hub: Option<TorchHub>,
}

/// The one kind that a source is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind<'a> {
    /// A repository of the Hugging Face hub.
    HuggingFace(&'a HuggingFace),
    /// A file behind a URL.
    Http(&'a Http),
    /// A Whisper model.
    Whisper(&'a Whisper),
    /// A file of Civitai.
    Civitai(&'a Civitai),
    /// Data packages of NLTK.
    Nltk(&'a Nltk),
    /// Objects of an object store.
    ObjectStore(&'a ObjectStore),
    /// A model in a registry.
    Oci(&'a Oci),
    /// A wheelhouse.
    Pip(&'a Pip),
    /// A pipeline of spaCy.
    Spacy(&'a Spacy),
    /// A checkpoint or a repository of torch.hub.
    TorchHub(&'a TorchHub),
}

impl Source {
    /// The one kind that is set; `None` when none is, or more than one. Every `match` on it names all kinds, so that a
    /// new one cannot be forgotten anywhere.
    pub fn kind(&self) -> Option<Kind<'_>> {
        let Self {
            name: _,
            volume: _,
            hugging_face,
            http,
            whisper,
            civitai,
            nltk,
            object_store,
            oci,
            pip,
            spacy,
            torch_hub,
        } = self;
        let kinds = [
            hugging_face.as_ref().map(Kind::HuggingFace),
            http.as_ref().map(Kind::Http),
            whisper.as_ref().map(Kind::Whisper),
            civitai.as_ref().map(Kind::Civitai),
            nltk.as_ref().map(Kind::Nltk),
            pip.as_ref().map(Kind::Pip),
            spacy.as_ref().map(Kind::Spacy),
            torch_hub.as_ref().map(Kind::TorchHub),
            object_store.as_ref().map(Kind::ObjectStore),
            oci.as_ref().map(Kind::Oci),
        ];
        let mut set = kinds.into_iter().flatten();
        set.next().filter(|_| set.next().is_none())
    }

    /// The Secret keys that the source's origin asks for, as far as the spec names any.
    pub fn secrets(&self) -> Vec<SecretFile<'_>> {
        match self.kind() {
            Some(Kind::HuggingFace(it)) => it.secrets(),
            Some(Kind::Oci(it)) => it.secrets(),
            Some(Kind::ObjectStore(it)) => it.secrets(),
            Some(Kind::Civitai(it)) => it.secrets(),
            Some(
                Kind::Http(_) | Kind::Whisper(_) | Kind::Nltk(_) | Kind::Pip(_) | Kind::Spacy(_) | Kind::TorchHub(_),
            )
            | None => vec![],
        }
    }

    /// The ConfigMap key that the source reads, if it names one.
    pub fn config_map(&self) -> Option<&ConfigMapKeyRef> {
        self.pip.as_ref().and_then(|it| it.requirements_from.as_ref())
    }

    /// How long its files are kept, as it is written, for the kinds that can say it.
    pub fn expire_after(&self) -> Option<&str> {
        let http = self.http.as_ref().and_then(|it| it.expire_after.as_deref());
        http.or_else(|| self.civitai.as_ref().and_then(|it| it.expire_after.as_deref()))
    }

    /// What of the source ends up where, wherever it comes from: endpoints, mirrors and Secrets are no part of it. It goes
    /// into the plan's content hash and into manifests, so it never changes for a spec that does not.
    pub fn identity(&self) -> Value {
        match self.kind() {
            Some(Kind::HuggingFace(it)) => it.identity(),
            Some(Kind::Http(it)) => it.identity(),
            Some(Kind::Whisper(it)) => it.identity(),
            Some(Kind::Civitai(it)) => it.identity(),
            Some(Kind::Nltk(it)) => it.identity(),
            Some(Kind::ObjectStore(it)) => it.identity(),
            Some(Kind::Oci(it)) => it.identity(&self.name),
            Some(Kind::Pip(it)) => it.identity(),
            Some(Kind::Spacy(it)) => it.identity(),
            Some(Kind::TorchHub(it)) => it.identity(),
            None => Value::Null,
        }
    }

    /// Hash of the source's own spec: a change means that it is resolved again.
    pub fn spec_hash(&self) -> String {
        use sha2::{Digest, Sha256};
        let json = serde_json::to_vec(self).unwrap_or_default();
        super::name::hex(&Sha256::digest(&json)).chars().take(16).collect()
    }
}
