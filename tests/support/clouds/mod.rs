//! Buckets of Google Cloud Storage and containers of Azure Blob Storage, on servers that check who asks and what is asked.
//!
//! - `azure`: Azurite, Microsoft's own emulator.
//! - `google`: fake-gcs-server, with the rest of Google's XML API before it (`tests/servers/gcs`).
//! - `server`: a program that goes with the test's process. `azurite`: where Azurite is.

pub mod azure;
pub mod azurite;
pub mod google;
pub mod server;

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, LazyLock};

/// Who talks to the servers for the tests.
pub static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());

/// A cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    Google,
    Azure,
}

/// A bucket or a container of its own for one test.
pub struct Bucket {
    pub cloud: Cloud,
    pub name: String,
    /// As `objectStore` and `destination` name it, with nothing that lets in.
    pub place: Value,
    client: Arc<dyn ObjectStore>,
}

impl Cloud {
    /// The field of `objectStore` and `destination`.
    pub fn field(self) -> &'static str {
        match self {
            Self::Google => "gcs",
            Self::Azure => "azure",
        }
    }

    /// The field with the credentials, the variable that stands in for them, and what lets in to all.
    pub fn credentials(self) -> (&'static str, &'static str, String) {
        match self {
            Self::Google => ("credentialsSecretRef", "GOOGLE_SERVICE_ACCOUNT_KEY", google::key_of("writer@test")),
            Self::Azure => ("accountKeySecretRef", "AZURE_STORAGE_KEY", azure::KEY.to_owned()),
        }
    }

    /// What is in every secret of this cloud, and in nothing that is said.
    pub fn secret(self) -> &'static str {
        match self {
            Self::Google => "PRIVATE KEY",
            Self::Azure => azure::KEY,
        }
    }

    /// The most objects that one answer lists.
    pub fn page(self) -> usize {
        match self {
            Self::Google => 1000,
            Self::Azure => 5000,
        }
    }
}

impl Bucket {
    /// A new one that lets in nobody without credentials.
    pub fn new(cloud: Cloud) -> Self {
        Self::make(cloud, false)
    }

    /// A new one that everybody may list and read.
    pub fn public(cloud: Cloud) -> Self {
        Self::make(cloud, true)
    }

    fn make(cloud: Cloud, public: bool) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", if public { "public" } else { "models" }, NUMBER.fetch_add(1, SeqCst));
        let (place, client) = match cloud {
            Cloud::Google => google::make(&name),
            Cloud::Azure => azure::make(&name, public),
        };
        Self { cloud, name, place, client }
    }

    /// As `place`, with the credentials' Secret.
    pub fn with_credentials(&self) -> Value {
        let mut place = self.place.clone();
        place[self.cloud.credentials().0] = json!({"name": "cloud", "key": "key"});
        place
    }

    pub fn put(&self, key: &str, bytes: &[u8]) {
        RUNTIME.block_on(self.client.put(&Key::parse(key).unwrap(), PutPayload::from(bytes.to_vec()))).unwrap();
    }

    /// Many small objects that hold their own names, several at a time.
    pub fn put_all(&self, keys: impl Iterator<Item = String>) {
        let puts = keys.map(|key| async move {
            let payload = PutPayload::from(key.clone().into_bytes());
            self.client.put(&Key::parse(key).unwrap(), payload).await.unwrap();
        });
        RUNTIME.block_on(futures::stream::iter(puts).buffer_unordered(16).collect::<()>());
    }

    /// The names of all objects, sorted.
    pub fn keys(&self) -> Vec<String> {
        let all = self.client.list(None).map_ok(|it| it.location.to_string());
        let mut keys: Vec<String> = RUNTIME.block_on(all.try_collect()).unwrap();
        keys.sort();
        keys
    }

    pub fn remove(&self, key: &str) {
        RUNTIME.block_on(self.client.delete(&Key::parse(key).unwrap())).unwrap();
    }
}

/// Whoever is second finds the provider installed.
pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}
