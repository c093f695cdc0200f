//! Whose keys are used: those of mounted Secrets, or those that the cloud gives to the pod.

use crate::bench::{Bench, Ran, bare, ran};
use crate::hostile::{Parrot, listing};
use crate::{minio, source, with_keys};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use modelcache::contract::outcome::Outcome;
use serde_json::{Value, json};

/// Resolves a source as a resolve Job does.
fn resolve(bench: &Bench, source: &Value, environment: &[(&str, &str)]) -> (Ran, Outcome) {
    let message = bench.path("termination-log");
    let mut command = bare(&["resolve", "-o", "json", "--secrets-dir"]);
    command.arg(bench.path("secrets")).arg("--termination-message").arg(&message);
    command.env("MODELCACHE_SOURCE", source.to_string()).envs(environment.iter().copied());
    let ran = ran(command.output().unwrap());
    (ran, Outcome::parse(&std::fs::read_to_string(message).unwrap()).unwrap())
}

#[test]
fn the_keys_of_a_pod_are_files_and_a_missing_one_is_named() {
    let (bench, bucket) = (Bench::new(), minio::bucket());
    bucket.put("a.bin", b"abc");
    let source = source(&with_keys(&bucket), &json!({}));
    std::fs::create_dir_all(bench.path("secrets/x")).unwrap();
    std::fs::write(bench.path("secrets/x/access-key-id"), format!("{}\n", minio::ID)).unwrap();
    let (ran, outcome) = resolve(&bench, &source, &[]);
    assert_eq!(ran.code, 13);
    assert!(outcome.message.contains("key `secret` of Secret `minio` does not exist"), "{}", outcome.message);
    std::fs::write(bench.path("secrets/x/secret-access-key"), minio::SECRET).unwrap();
    let (_, outcome) = resolve(&bench, &source, &[]);
    let pin = outcome.pin.unwrap_or_else(|| panic!("{}", outcome.message));
    assert_eq!((pin.files, pin.bytes), (1, 3));
    assert!(pin.revision.starts_with("etag:") && pin.revision.len() == 21, "{}", pin.revision);
    let (_, again) = resolve(&bench, &source, &[]);
    assert_eq!(again.pin.unwrap(), pin);
}

/// A cloud: gives keys to those who show the pod's token, and lets in those who show the keys.
fn cloud() -> Parrot {
    let served = |request: Request| async move {
        let (uri, headers) = (request.uri().clone(), request.headers());
        let query = uri.query().unwrap_or_default();
        if uri.path() == "/sts" {
            let credentials = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><SessionToken>session</SessionToken>\
                 <SecretAccessKey>secret</SecretAccessKey><AccessKeyId>ASIA1</AccessKeyId><Expiration>2100-01-01T00:00:00Z</Expiration>\
                 </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
            if query.contains("WebIdentityToken=pod-token") {
                return credentials.into_response();
            }
            let refusal = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>";
            return (StatusCode::BAD_REQUEST, refusal).into_response();
        }
        let by_header = headers.get("x-amz-security-token").is_some_and(|it| it == "session");
        if query.contains("list-type=2") && by_header {
            return listing(&["a.bin"]).into_response();
        }
        if uri.path() == "/models/a.bin"
            && query.contains("X-Amz-Credential=ASIA1")
            && query.contains("X-Amz-Security-Token=session")
        {
            let fields = [("content-range", "bytes 0-0/3"), ("etag", "\"abc\"")];
            return (StatusCode::PARTIAL_CONTENT, fields, "a").into_response();
        }
        (StatusCode::FORBIDDEN, "<Error><Code>AccessDenied</Code></Error>").into_response()
    };
    Parrot::with(Router::new().fallback(served))
}

#[test]
fn without_a_secret_the_pods_own_role_is_asked_for_keys() {
    // Two hosts, as in a cloud.
    let (bench, store, identities) = (Bench::new(), cloud(), cloud());
    let source = source(&json!({"bucket": "models", "endpoint": store.url}), &json!({}));
    let token = bench.path("token");
    let sts = format!("{}/sts", identities.url);
    let environment = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/reader"),
        ("AWS_ENDPOINT_URL_STS", sts.as_str()),
    ];
    let (ran, outcome) = resolve(&bench, &source, &environment);
    assert_eq!(ran.code, 10, "{}", outcome.message);
    assert!(outcome.message.contains("`podTemplate.serviceAccountName`"), "{}", outcome.message);
    std::fs::write(&token, "pod-token").unwrap();
    let (ran, outcome) = resolve(&bench, &source, &environment);
    assert_eq!(ran.code, 0, "{}", outcome.message);
    std::fs::write(&token, "stale-token").unwrap();
    let (ran, outcome) = resolve(&bench, &source, &environment);
    assert_eq!(ran.code, 10, "{}", outcome.message);
    assert!(!format!("{}{}", outcome.message, ran.stderr).contains("stale-token"), "{}", outcome.message);
}
