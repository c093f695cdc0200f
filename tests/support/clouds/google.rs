//! A server that speaks Google's XML API, and service accounts that it knows.

use super::server::Server;
use crate::program::program;
use object_store::ObjectStore;
use object_store::gcp::GoogleCloudStorageBuilder;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::{Arc, LazyLock};

/// The token of the machine's own account.
pub const MACHINE: &str = "ya29.a-token-of-the-machine";

/// One server for all tests of a binary: buckets keep them apart.
pub static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let program = program("gcs");
    Server::start(program.as_os_str(), &[], |address, directory| {
        let public = directory.join("public.pem");
        std::fs::write(&public, openssl(&["pkey", "-pubout"], &PRIVATE)).unwrap();
        let address = address.to_string();
        let arguments = ["--address", &address, "--token", MACHINE, "--key", public.to_str().unwrap()];
        arguments.map(str::to_owned).to_vec()
    })
});

/// The key that all accounts sign with.
static PRIVATE: LazyLock<String> =
    LazyLock::new(|| openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], ""));

fn openssl(arguments: &[&str], input: &str) -> String {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("openssl cannot be run ({error}): install openssl"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The key of a service account, as Google gives it.
pub fn key_of(account: &str) -> String {
    with_key(account, &PRIVATE)
}

/// The same with a key that was never this account's.
pub fn wrong_key_of(account: &str) -> String {
    with_key(account, &openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], ""))
}

fn with_key(account: &str, key: &str) -> String {
    let email = format!("{account}.iam.gserviceaccount.com");
    json!({"type": "service_account", "private_key_id": "1", "client_email": email, "private_key": key}).to_string()
}

/// Base URL.
pub fn url() -> String {
    format!("http://{}", SERVER.address)
}

/// Makes a bucket: as a spec names it, and who may do everything there.
pub(super) fn make(name: &str) -> (Value, Arc<dyn ObjectStore>) {
    let http = super::http();
    let client = GoogleCloudStorageBuilder::new()
        .with_base_url(&url())
        .with_client_options(object_store::ClientOptions::new().with_allow_http(true))
        .with_bucket_name(name)
        .with_service_account_key(key_of("writer@test"))
        .build()
        .unwrap();
    super::RUNTIME.block_on(async {
        let token = client.credentials().get_credential().await.unwrap();
        let made = http.put(format!("{}/{name}", url())).bearer_auth(&token.bearer).send().await.unwrap();
        assert!(made.status().is_success(), "{}", made.text().await.unwrap());
    });
    (json!({"bucket": name, "endpoint": url()}), Arc::new(client))
}
