//! Azurite, and what lets in to it: the account's key, and signatures made with it.

use super::azurite;
use super::server::Server;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::{ClientOptions, ObjectStore};
use ring::hmac;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::sync::{Arc, LazyLock};

/// The account.
pub const ACCOUNT: &str = "studio";
/// Its key.
pub const KEY: &str = "YSBrZXkgdGhhdCBpcyB1c2VkIGluIHRlc3RzIGFsb25lLCBhbmQgbG9uZyBlbm91Z2ggZm9yIEF6dXJlIQ==";
/// Version of the signatures: the one that Azure's own tools make today.
const VERSION: &str = "2022-11-02";

/// One server for all tests of a binary: containers keep them apart.
pub static SERVER: LazyLock<Server> = LazyLock::new(|| start(|_| vec![]));

/// Starts a server with more arguments, made of its directory.
pub fn start(more: impl FnOnce(&std::path::Path) -> Vec<String>) -> Server {
    let script = azurite::script();
    let accounts = format!("{ACCOUNT}:{KEY}");
    Server::start(OsStr::new("node"), &[("AZURITE_ACCOUNTS", &accounts)], |address, directory| {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let mut arguments = vec![script.to_str().unwrap().to_owned()];
        arguments.extend(["--blobHost", &host, "--blobPort", &port].map(str::to_owned));
        arguments.extend(["--inMemoryPersistence", "--silent", "--disableTelemetry"].map(str::to_owned));
        arguments.extend(more(directory));
        arguments
    })
}

/// Base URL of the account's blobs.
pub fn url() -> String {
    format!("http://{}/{ACCOUNT}", SERVER.address)
}

/// Makes a container: as a spec names it, and who may do everything there.
pub(super) fn make(name: &str, public: bool) -> (Value, Arc<dyn ObjectStore>) {
    container(&super::http(), &url(), name, public);
    let client = MicrosoftAzureBuilder::new()
        .with_account(ACCOUNT)
        .with_access_key(KEY)
        .with_container_name(name)
        .with_endpoint(url())
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .build()
        .unwrap();
    (json!({"account": ACCOUNT, "container": name, "endpoint": url()}), Arc::new(client))
}

/// Makes a container at a base URL.
pub fn container(http: &reqwest::Client, url: &str, name: &str, public: bool) {
    super::RUNTIME.block_on(async {
        let request = http.put(format!("{url}/{name}?restype=container&{}", of_account("rwdlac", 60)));
        let request = request.header("x-ms-version", VERSION).header("content-length", "0");
        let request = if public { request.header("x-ms-blob-public-access", "container") } else { request };
        let made = request.send().await.unwrap();
        assert!(made.status().is_success(), "{} {}", made.status(), made.text().await.unwrap());
    });
}

/// Puts a small blob into a container at a base URL.
pub fn put(http: &reqwest::Client, url: &str, name: &str, key: &str, bytes: &[u8]) {
    super::RUNTIME.block_on(async {
        let request = http.put(format!("{url}/{name}/{key}?{}", of_account("rwdlac", 60)));
        let request = request.header("x-ms-version", VERSION).header("x-ms-blob-type", "BlockBlob");
        let made = request.body(bytes.to_vec()).send().await.unwrap();
        assert!(made.status().is_success(), "{} {}", made.status(), made.text().await.unwrap());
    });
}

fn sign(lines: &[&str]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64_STANDARD.decode(KEY).unwrap());
    BASE64_STANDARD.encode(hmac::sign(&key, lines.join("\n").as_bytes()))
}

fn ends(minutes: i64) -> String {
    (Timestamp::now() + SignedDuration::from_mins(minutes)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn query(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// A signature for all containers, which ends in so many minutes.
/// <https://learn.microsoft.com/en-us/rest/api/storageservices/create-account-sas>
pub fn of_account(rights: &str, minutes: i64) -> String {
    let until = ends(minutes);
    let signature = sign(&[ACCOUNT, rights, "b", "sco", "", &until, "", "", VERSION, "", ""]);
    query(&[("sv", VERSION), ("ss", "b"), ("srt", "sco"), ("sp", rights), ("se", &until), ("sig", &signature)])
}

/// A signature for one container, which ends in so many minutes.
/// <https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas#version-2020-12-06-and-later>
pub fn of_container(name: &str, rights: &str, minutes: i64) -> String {
    let until = ends(minutes);
    let resource = format!("/blob/{ACCOUNT}/{name}");
    let signature = sign(&[rights, "", &until, &resource, "", "", "", VERSION, "c", "", "", "", "", "", "", ""]);
    query(&[("sv", VERSION), ("sr", "c"), ("sp", rights), ("se", &until), ("sig", &signature)])
}
