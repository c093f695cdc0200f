//! What a store refuses is told with its reason and what must hold, and without anything that lets in.

use crate::bench::{Bench, Ran, ran};
use crate::{keyed, minio, quiet, source, with_keys};
use serde_json::{Value, json};

fn refused(bench: &Bench, s3: &Value, more: &Value, environment: &[(&str, &str)]) -> Ran {
    bench.cache(&[source(s3, more)]);
    let ran = ran(keyed(bench, &["prefetch"]).envs(environment.iter().copied()).output().unwrap());
    quiet(&ran);
    assert_eq!(bench.published(), Vec::<String>::new());
    ran
}

#[test]
fn wrong_keys_are_named_by_their_secrets() {
    let (bench, bucket) = (Bench::new(), minio::bucket());
    bucket.put("a.bin", b"a");
    let s3 = with_keys(&bucket);
    let wrong = refused(&bench, &s3, &json!({}), &[("AWS_SECRET_ACCESS_KEY", "another secret")]);
    wrong.failed(10, "Unauthorized", &["SignatureDoesNotMatch", "key `secret` of Secret `minio`", "s3:ListBucket"]);
    let unknown = refused(&bench, &s3, &json!({}), &[("AWS_ACCESS_KEY_ID", "nobody")]);
    unknown.failed(10, "Unauthorized", &["InvalidAccessKeyId", "key `id` of Secret `minio`"]);
    let none = refused(&bench, &s3, &json!({}), &[("AWS_SECRET_ACCESS_KEY", "")]);
    none.failed(13, "SecretNotFound", &["AWS_SECRET_ACCESS_KEY"]);
}

#[test]
fn a_private_bucket_does_not_let_everybody_in() {
    let (bench, bucket) = (Bench::new(), minio::bucket());
    bucket.put("a.bin", b"a");
    let mut s3 = bucket.s3();
    s3["anonymous"] = json!(true);
    refused(&bench, &s3, &json!({}), &[]).failed(10, "Unauthorized", &["AccessDenied", "`anonymous`"]);
    bucket.listed_by_all();
    refused(&bench, &s3, &json!({}), &[]).failed(10, "Unauthorized", &["may be listed and not read"]);
}

#[test]
fn what_is_not_there_is_named() {
    let (bench, bucket) = (Bench::new(), minio::bucket());
    bucket.put("a/b.bin", b"a");
    let mut s3 = with_keys(&bucket);
    refused(&bench, &s3, &json!({"prefix": "a/b"}), &[]).failed(
        32,
        "NoFiles",
        &["`a/b/`", "`prefix` must be a directory"],
    );
    refused(&bench, &s3, &json!({"include": ["*.gguf"]}), &[]).failed(32, "NoFiles", &["`include` and `exclude`"]);
    s3["bucket"] = json!("no-such-bucket");
    refused(&bench, &s3, &json!({}), &[]).failed(12, "NotFound", &["bucket `no-such-bucket`", "does not exist"]);
}

#[test]
fn a_wrong_region_or_endpoint_says_what_must_hold() {
    let (bench, bucket) = (Bench::new(), minio::bucket());
    bucket.put("a.bin", b"a");
    let mut s3 = with_keys(&bucket);
    s3["region"] = json!("us-west-2");
    let hint = format!("`region: {}`", minio::REGION);
    refused(&bench, &s3, &json!({}), &[]).failed(2, "InvalidSpec", &[&hint]);
    s3["region"] = json!(minio::REGION);
    // Something that answers, and is no object store.
    s3["endpoint"] = json!(bench.hub.url);
    let ran = refused(&bench, &s3, &json!({}), &[]);
    assert!(["NotFound", "Unreachable"].contains(&ran.reason()), "{}", ran.message());
}

#[test]
fn a_pods_own_identity_is_for_the_clouds_own_store_alone() {
    let bench = Bench::new();
    for (store, word) in [
        (json!({"gcs": {"bucket": "models", "endpoint": bench.hub.url}}), "credentialsSecretRef"),
        (
            json!({"azure": {"account": "models", "container": "models", "endpoint": bench.hub.url}}),
            "accountKeySecretRef",
        ),
    ] {
        bench.cache(&[json!({"name": "x", "objectStore": store})]);
        bench.run(&["prefetch"]).failed(2, "InvalidSpec", &["`endpoint`", word]);
    }
}
