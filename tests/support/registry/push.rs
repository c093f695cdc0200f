//! How do artifacts get into a registry? By `oci-client`, as its users push; the manifests are those that each format has.

use super::{PASSWORD, Registry, USER};
use oci_client::Reference;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A layer: its media type, its name if it has one, and its bytes.
pub type Layer<'a> = (&'a str, Option<&'a str>, &'a [u8]);

/// `sha256:` and the digits.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", modelcache::agent::fetch::hex(&Sha256::digest(bytes)))
}

pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

/// A pusher with its own runtime, so that tests need none.
pub struct Pusher {
    client: Client,
    auth: RegistryAuth,
    host: String,
    runtime: tokio::runtime::Runtime,
}

impl Registry {
    pub fn pusher(&self) -> Pusher {
        // The client needs a provider of TLS even for plain http.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() };
        Pusher {
            client: Client::new(config),
            auth: RegistryAuth::Basic(USER.into(), PASSWORD.into()),
            host: self.host.clone(),
            runtime: tokio::runtime::Runtime::new().unwrap(),
        }
    }
}

impl Pusher {
    fn reference(&self, artifact: &str) -> Reference {
        format!("{}/{artifact}", self.host).parse().unwrap()
    }

    pub fn blob(&self, artifact: &str, bytes: &[u8]) {
        let reference = self.reference(artifact);
        self.runtime.block_on(async {
            let push = oci_client::RegistryOperation::Push;
            self.client.auth(&reference, &self.auth, push).await.unwrap();
            self.client.push_blob(&reference, bytes.to_vec(), &digest(bytes)).await.unwrap();
        });
    }

    /// Pushes a manifest or an index; returns its digest.
    pub fn manifest(&self, artifact: &str, media_type: &str, manifest: &Value) -> String {
        let bytes = manifest.to_string().into_bytes();
        let (reference, digest) = (self.reference(artifact), digest(&bytes));
        self.runtime.block_on(async {
            let push = oci_client::RegistryOperation::Push;
            self.client.auth(&reference, &self.auth, push).await.unwrap();
            self.client.push_manifest_raw(&reference, bytes, media_type.parse().unwrap()).await.unwrap();
        });
        digest
    }

    /// Pushes an artifact: config, layers, manifest. Returns the manifest's digest.
    pub fn artifact(&self, artifact: &str, artifact_type: Option<&str>, config: &str, layers: &[Layer<'_>]) -> String {
        let bytes: &[u8] = br#"{"manifestVersion":"1.0.0"}"#;
        self.blob(artifact, bytes);
        let mut descriptors = Vec::new();
        for (media_type, name, bytes) in layers {
            self.blob(artifact, bytes);
            let mut layer = descriptor(media_type, bytes);
            if let Some(name) = name {
                layer["annotations"] = json!({"org.cncf.model.filepath": name});
            }
            descriptors.push(layer);
        }
        let config = descriptor(config, bytes);
        let mut manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": descriptors});
        if let Some(artifact_type) = artifact_type {
            manifest["artifactType"] = json!(artifact_type);
        }
        self.manifest(artifact, MANIFEST, &manifest)
    }

    /// A ModelPack of raw weights.
    pub fn model_pack(&self, artifact: &str, files: &[(&str, &[u8])]) -> String {
        let layers: Vec<Layer<'_>> = files
            .iter()
            .map(|(name, bytes)| ("application/vnd.cncf.model.weight.v1.raw", Some(*name), *bytes))
            .collect();
        let kind = Some("application/vnd.cncf.model.manifest.v1+json");
        self.artifact(artifact, kind, "application/vnd.cncf.model.config.v1+json", &layers)
    }
}

/// Bytes that no compressor or off-by-one makes out of others; the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
