//! Google Cloud Storage and Azure, against small servers that hold requests to what the real ones ask for.

use crate::bench::{Bench, ran};
use crate::hostile::{Parrot, listing};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use std::process::Command;

/// The bytes of one object, in the range that was asked.
fn bytes(headers: &HeaderMap, tag: &str) -> Response {
    let range = headers.get("range").and_then(|it| it.to_str().ok()).unwrap_or("bytes=0-2");
    let (first, last) = range.trim_start_matches("bytes=").split_once('-').unwrap();
    let (first, last) = (first.parse::<usize>().unwrap(), last.parse::<usize>().unwrap().min(2));
    let fields = [("content-range", format!("bytes {first}-{last}/3")), ("etag", tag.to_owned())];
    (StatusCode::PARTIAL_CONTENT, fields, b"abc"[first..=last].to_vec()).into_response()
}

fn query(uri: &Uri, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.into_owned().find(|(key, _)| key == name).map(|(_, value)| value)
}

#[test]
fn a_google_bucket_is_read_with_the_token_of_its_service_account() {
    let answers = |request: Request| async move {
        let bearer = request.headers().get("authorization").and_then(|it| it.to_str().ok()).unwrap_or_default();
        // A token that the service account's key has signed: three parts with dots between.
        if bearer.strip_prefix("Bearer ").is_none_or(|it| it.split('.').count() != 3) {
            return (StatusCode::UNAUTHORIZED, "<Error><Code>AuthenticationRequired</Code></Error>").into_response();
        }
        match request.uri().path() {
            "/models" => listing(&["v1/a.bin", "v1/b c.bin"]).into_response(),
            "/models/v1/a.bin" | "/models/v1/b%20c.bin" => bytes(request.headers(), "\"abc\""),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    };
    let (bench, server) = (Bench::new(), Parrot::with(Router::new().fallback(answers)));
    let key = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        .output()
        .unwrap();
    assert!(key.status.success(), "openssl makes the key of a service account, and cannot: install openssl");
    let account = json!({
        "type": "service_account", "private_key_id": "1", "client_email": "reader@test.iam.gserviceaccount.com",
        "private_key": String::from_utf8(key.stdout).unwrap()
    });
    let gcs =
        json!({"bucket": "models", "endpoint": server.url, "credentialsSecretRef": {"name": "gcs", "key": "key.json"}});
    bench.cache(&[json!({"name": "x", "objectStore": {"gcs": gcs, "prefix": "v1"}})]);
    let prefetch =
        |key: &str| ran(bench.command(&["prefetch"]).env("GOOGLE_SERVICE_ACCOUNT_KEY", key).output().unwrap());
    let done = prefetch(&account.to_string());
    assert_eq!(done.code, 0, "{:?}", done.results);
    assert_eq!(std::fs::read(bench.volume().join("objects/models/v1/b c.bin")).unwrap(), b"abc");
    bench.cache(&[json!({"name": "x", "objectStore": {"gcs": gcs, "prefix": "v1", "path": "again"}})]);
    prefetch("no JSON").failed(10, "Unauthorized", &["Google service account"]);

    let mut gcs = gcs;
    gcs.as_object_mut().unwrap().remove("credentialsSecretRef");
    gcs["anonymous"] = json!(true);
    bench.cache(&[json!({"name": "y", "objectStore": {"gcs": gcs, "prefix": "v1", "path": "other"}})]);
    bench.run(&["prefetch"]).failed(10, "Unauthorized", &["AuthenticationRequired", "`anonymous`"]);
}

/// A listing of one blob, as Azure gives it.
fn blobs() -> String {
    "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ContainerName=\"models\"><Blobs>\
     <Blob><Name>dir/</Name><Properties><Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified><Content-Length>0</Content-Length>\
     <Content-Type>x</Content-Type><Etag>0x0</Etag></Properties></Blob>\
     <Blob><Name>dir/a+b.bin</Name><Properties><Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified><Content-Length>3</Content-Length>\
     <Content-Type>x</Content-Type><Etag>0x8D1</Etag></Properties></Blob></Blobs><NextMarker /></EnumerationResults>"
        .to_owned()
}

#[test]
fn an_azure_container_is_read_with_a_shared_access_signature_or_a_key() {
    let answers = |request: Request| async move {
        let uri = request.uri();
        let by_key = request
            .headers()
            .get("authorization")
            .is_some_and(|it| it.to_str().unwrap().starts_with("SharedKey models:"));
        let signature = query(uri, "sig");
        if !by_key && signature.as_deref().is_none_or(|it| it != "a+b/c=" && it.len() != 44) {
            return (StatusCode::FORBIDDEN, "<Error><Code>AuthenticationFailed</Code></Error>").into_response();
        }
        match (uri.path(), query(uri, "comp").as_deref()) {
            ("/models", Some("list")) => blobs().into_response(),
            ("/models/dir/a%2Bb.bin" | "/models/dir/a+b.bin", None) => bytes(request.headers(), "\"0x8D1\""),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    };
    let (bench, server) = (Bench::new(), Parrot::with(Router::new().fallback(answers)));
    let read = |path: &str, field: &str, variable: &str, value: &str| {
        let mut azure = json!({"account": "models", "container": "models", "endpoint": server.url});
        azure[field] = json!({"name": "azure", "key": "key"});
        bench.cache(&[json!({"name": "x", "objectStore": {"azure": azure, "path": path}})]);
        let ran = ran(bench.command(&["prefetch"]).env(variable, value).output().unwrap());
        assert!(!format!("{:?}{}", ran.results, ran.stderr).contains(value), "{:?}{}", ran.results, ran.stderr);
        ran
    };
    let token = "?sv=2024-01-01&sp=rl&sig=a%2Bb%2Fc%3D";
    for (field, variable, value) in [
        ("sasTokenSecretRef", "AZURE_STORAGE_SAS_TOKEN", token),
        ("accountKeySecretRef", "AZURE_STORAGE_KEY", "c2VjcmV0a2V5"),
    ] {
        let done = read(field, field, variable, value);
        assert_eq!(done.code, 0, "{:?}", done.results);
        assert_eq!(crate::files(&bench.volume().join(field)), ["dir/a+b.bin"]);
    }
    let refused = read("again", "sasTokenSecretRef", "AZURE_STORAGE_SAS_TOKEN", "?sv=2024-01-01&sig=wrong");
    refused.failed(10, "Unauthorized", &["AuthenticationFailed", "key `key` of Secret `azure`"]);
}
