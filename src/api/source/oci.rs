//! Which artifact of a registry is wanted, and how is it laid out?

use super::reference::Reference;
use super::{SecretFile, SecretKeyRef};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

/// A model in a registry: a CNCF ModelPack, a KitOps ModelKit, or a model of Ollama. Container images are not taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.layout) && self.layout == 'Ollama') || self.reference.matches('^([^/@]+[.:][^/@]*|localhost)/')")
        .message("`reference` must begin with a registry, such as `ghcr.io/…`: only `layout: Ollama` has one by default"),
    validation = Rule::new("!has(self.layout) || self.layout != 'Ollama' || !(has(self.include) || has(self.exclude))")
        .message("`include` and `exclude` must be left out with `layout: Ollama`: a model without one of its parts does not load")
)]
pub struct Oci {
    /// The artifact: `registry/repository:tag`, `registry/repository@sha256:…`, or both. The tag is `latest` when left out. It
    /// is resolved once to the digest of a manifest, and every node gets that digest. With `layout: Ollama` also a name as Ollama
    /// has it, such as `llama3.2:3b`.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]+([._-]+[A-Za-z0-9]+)*(:[0-9]{1,5}/[A-Za-z0-9]+([._-]+[A-Za-z0-9]+)*)?(/[A-Za-z0-9]+([._-]+[A-Za-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$')")
        .message("`reference` must be `registry/repository`, with `:tag` or `@sha256:` and 64 hex digits, without a scheme such as https://"))]
    pub reference: String,

    /// Only files of the artifact that match one of these patterns, as Python's fnmatch reads them: `*` also crosses `/`, a
    /// pattern that ends in `/` takes the whole directory. A layer that is an archive goes by the name of the layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub include: Vec<String>,

    /// No file that matches one of these patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub exclude: Vec<String>,

    /// What the registry asks for, in a Secret of this namespace as `kubectl create secret docker-registry` makes it. Without a
    /// cluster the docker config file stands in for it (`$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "with_key")]
    #[schemars(with = "Option<PullSecretRef>")]
    pub pull_secret_ref: Option<SecretKeyRef>,

    /// Talk http to the registry, not https. Passwords and models then cross the network for everybody on the way to read:
    /// for a registry inside the cluster only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub plain_http: Option<bool>,

    /// How the files lie on the volume. When left out: as Ollama has them for `registry.ollama.ai`, as files for any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Layout")]
    pub layout: Option<Layout>,

    /// Where the files go, relative to the volume's root: `oci/<name of the source>` when left out, or `ollama` for a model of
    /// Ollama, which is what `OLLAMA_MODELS` points to. `.` is the root itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self == '.' || (!self.startsWith('/') && !self.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache'))")
        .message("`path` must be `.` or a relative path without `.`, `..`, empty parts or `.modelcache`"))]
    pub path: Option<String>,
}

/// How the files of an artifact lie on the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Layout {
    /// Each file under the name that the artifact gives it: ModelPack and ModelKit.
    Files,
    /// As Ollama's own store, for `OLLAMA_MODELS`.
    Ollama,
}

/// A Secret of type `kubernetes.io/dockerconfigjson` in the cache's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
struct PullSecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    name: String,
    /// Key in the Secret; `.dockerconfigjson` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._A-Za-z0-9]+$"))]
    key: Option<String>,
}

/// The key that Kubernetes gives to a docker config.
const DOCKER_CONFIG_JSON: &str = ".dockerconfigjson";

fn with_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretKeyRef>, D::Error> {
    let written = Option::<PullSecretRef>::deserialize(deserializer)?;
    let key = |key: Option<String>| key.unwrap_or_else(|| DOCKER_CONFIG_JSON.to_owned());
    Ok(written.map(|PullSecretRef { name, key: written }| SecretKeyRef { name, key: key(written) }))
}

impl Oci {
    /// Name of the file that holds the docker config.
    pub const PULL_SECRET: &'static str = "docker-config.json";
    /// The variable that says where a docker config is without a cluster.
    pub const STAND_IN: &'static str = "DOCKER_CONFIG";

    /// The reference, with everything that is left out.
    ///
    /// # Errors
    /// What must be written instead.
    pub fn effective_reference(&self) -> Result<Reference, String> {
        Reference::parse(&self.reference, self.layout == Some(Layout::Ollama))
    }

    /// Whether the registry is asked by plain http.
    pub fn effective_plain_http(&self) -> bool {
        self.plain_http.unwrap_or_default()
    }

    /// Where the files go, relative to the volume's root, for an artifact that is laid out so.
    pub fn effective_path(&self, source: &str, layout: Layout) -> String {
        match (&self.path, layout) {
            (Some(path), _) => path.clone(),
            (None, Layout::Files) => format!("oci/{source}"),
            (None, Layout::Ollama) => "ollama".to_owned(),
        }
    }

    /// The layout in effect: Ollama's own registry holds nothing but its models, any other is taken to hold files.
    pub fn effective_layout(&self) -> Layout {
        let of_ollama = || self.effective_reference().is_ok_and(|it| it.registry == Reference::OLLAMA);
        let left_out = || if of_ollama() { Layout::Ollama } else { Layout::Files };
        self.layout.unwrap_or_else(left_out)
    }

    /// What ends up where. In Ollama's layout registry and tag are a part of it: they are the path of the manifest.
    pub fn identity(&self, source: &str) -> Value {
        let layout = self.effective_layout();
        let path = self.effective_path(source, layout);
        match layout {
            Layout::Files => json!(["oci", path]),
            Layout::Ollama => {
                let reference = self.effective_reference().map(|it| it.to_string()).unwrap_or_default();
                json!(["oci", path, reference])
            }
        }
    }

    /// The Secret that it names.
    pub fn secrets(&self) -> Vec<SecretFile<'_>> {
        let file = |reference| SecretFile { file: Self::PULL_SECRET, reference, stand_in: Self::STAND_IN };
        self.pull_secret_ref.iter().map(file).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "`json!` is written in place")]
    fn oci(more: Value) -> Oci {
        let mut oci = json!({"reference": "ghcr.io/org/model:v1"});
        oci.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(oci).unwrap()
    }

    #[test]
    fn a_pull_secret_has_the_key_of_kubernetes_unless_it_says_another() {
        let key = |more: Value| oci(json!({"pullSecretRef": more})).secrets()[0].reference.key.clone();
        assert_eq!(key(json!({"name": "regcred"})), ".dockerconfigjson");
        assert_eq!(key(json!({"name": "regcred", "key": "config.json"})), "config.json");
        assert!(oci(json!({})).secrets().is_empty());
    }

    #[test]
    fn what_is_written_once_is_the_same_source_when_it_is_read_back() {
        let written = oci(json!({"pullSecretRef": {"name": "regcred"}, "layout": "Files", "plainHttp": true}));
        let read: Oci = serde_json::from_value(serde_json::to_value(&written).unwrap()).unwrap();
        assert_eq!(read, written);
    }

    #[test]
    fn the_identity_is_golden_so_that_an_upgrade_never_warms_a_fleet_again() {
        for (more, expected) in [
            (json!({}), json!(["oci", "oci/x"])),
            (json!({"layout": "Files", "path": "."}), json!(["oci", "."])),
            (
                json!({"reference": "llama3.2:3b", "layout": "Ollama"}),
                json!(["oci", "ollama", "registry.ollama.ai/library/llama3.2:3b"]),
            ),
            (
                json!({"reference": "registry.ollama.ai/me/x", "plainHttp": true, "pullSecretRef": {"name": "a"}}),
                json!(["oci", "ollama", "registry.ollama.ai/me/x:latest"]),
            ),
        ] {
            assert_eq!(oci(more).identity("x"), expected);
        }
    }
}
