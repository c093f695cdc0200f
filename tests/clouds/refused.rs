//! What a cloud refuses is told with its reason and what must hold, without anything that lets in; and nothing is taken.

use crate::bench::{Bench, Ran};
use crate::clouds::{azure, google};
use crate::{Bucket, Cloud, files, for_both, prefetch, quiet, source};
use serde_json::{Value, json};

for_both!(
    what_is_not_there_is_named,
    a_private_bucket_does_not_let_everybody_in,
    something_that_is_no_object_store_is_said_to_be_none,
);

/// A `prefetch` of a place, with this in the environment, that must take nothing.
fn refused(bench: &Bench, cloud: Cloud, place: &Value, more: &Value, value: &str) -> Ran {
    bench.cache(&[source(cloud, place, more)]);
    let mut command = bench.command(&["prefetch"]);
    let variable =
        if place.get("sasTokenSecretRef").is_some() { "AZURE_STORAGE_SAS_TOKEN" } else { cloud.credentials().1 };
    command.env(variable, value);
    let ran = quiet(cloud, command);
    assert_eq!(bench.published(), Vec::<String>::new());
    ran
}

fn what_is_not_there_is_named(cloud: Cloud) {
    let (bench, bucket) = (Bench::new(), Bucket::new(cloud));
    let right = cloud.credentials().2;
    let place = bucket.with_credentials();
    refused(&bench, cloud, &place, &json!({}), &right).failed(32, "NoFiles", &["no object"]);
    bucket.put("a/b.bin", b"a");
    let prefix = json!({"prefix": "a/b"});
    refused(&bench, cloud, &place, &prefix, &right).failed(32, "NoFiles", &["`a/b/`", "`prefix` must be a directory"]);
    let pattern = json!({"include": ["*.gguf"]});
    refused(&bench, cloud, &place, &pattern, &right).failed(32, "NoFiles", &["`include` and `exclude`"]);
    let mut missing = place.clone();
    let field = if cloud == Cloud::Azure { "container" } else { "bucket" };
    missing[field] = json!("no-such-place");
    let named = format!("{field} `no-such-place`");
    refused(&bench, cloud, &missing, &json!({}), &right).failed(12, "NotFound", &[&named, "does not exist"]);
    refused(&bench, cloud, &place, &json!({}), "").failed(13, "SecretNotFound", &[cloud.credentials().1]);
}

fn a_private_bucket_does_not_let_everybody_in(cloud: Cloud) {
    let (bench, bucket) = (Bench::new(), Bucket::new(cloud));
    bucket.put("a.bin", b"a");
    let mut place = bucket.place.clone();
    place["anonymous"] = json!(true);
    refused(&bench, cloud, &place, &json!({}), "").failed(10, "Unauthorized", &["`anonymous`", "must be public"]);
}

fn something_that_is_no_object_store_is_said_to_be_none(cloud: Cloud) {
    let (bench, bucket) = (Bench::new(), Bucket::new(cloud));
    let mut place = bucket.with_credentials();
    place["endpoint"] = json!(bench.hub.url);
    let ran = refused(&bench, cloud, &place, &json!({}), &cloud.credentials().2);
    assert!(["NotFound", "Unreachable"].contains(&ran.reason()), "{}", ran.message());
}

#[test]
fn a_service_account_must_have_signed_with_its_own_key() {
    let (bench, cloud) = (Bench::new(), Cloud::Google);
    let bucket = Bucket::new(cloud);
    bucket.put("a.bin", b"a");
    let place = bucket.with_credentials();
    let wrong = refused(&bench, cloud, &place, &json!({}), &google::wrong_key_of("reader@test"));
    let words = ["AuthenticationRequired", "key `key` of Secret `cloud`", "storage.objects.list"];
    wrong.failed(10, "Unauthorized", &words);
    let broken = google::key_of("reader@test").replace("BEGIN", "BEGUN");
    for none in ["no JSON", "{}", &broken] {
        refused(&bench, cloud, &place, &json!({}), none).failed(10, "Unauthorized", &["Google service account"]);
    }
    bench.cache(&[source(cloud, &place, &json!({}))]);
    let mut command = bench.command(&["prefetch"]);
    command.env("GOOGLE_SERVICE_ACCOUNT_KEY", google::key_of("reader@test"));
    assert_eq!(quiet(cloud, command).code, 0);
}

#[test]
fn an_account_key_is_refused_when_it_is_another_accounts_or_none() {
    let (bench, cloud) = (Bench::new(), Cloud::Azure);
    let bucket = Bucket::new(cloud);
    bucket.put("a.bin", b"a");
    let place = bucket.with_credentials();
    let wrong = refused(&bench, cloud, &place, &json!({}), "YW5vdGhlciBrZXk=");
    wrong.failed(10, "Unauthorized", &["AuthorizationFailure", "key `key` of Secret `cloud`", "to read and to list"]);
    let none = refused(&bench, cloud, &place, &json!({}), "not base64!");
    none.failed(10, "Unauthorized", &["Azure credentials", "cannot be read"]);
}

#[test]
fn a_shared_access_signature_is_as_good_as_its_rights_and_its_time() {
    let (bench, cloud) = (Bench::new(), Cloud::Azure);
    let bucket = Bucket::new(cloud);
    bucket.put("ünï 🎉/a+b c.bin", b"a");
    let mut place = bucket.place.clone();
    place["sasTokenSecretRef"] = json!({"name": "cloud", "key": "key"});
    let sas = |rights: &str, minutes: i64| azure::of_container(&bucket.name, rights, minutes);
    let try_with = |token: &str| refused(&bench, cloud, &place, &json!({}), token);
    let kept = "key `key` of Secret `cloud`";
    try_with(&sas("rl", -5)).failed(10, "Unauthorized", &["403 Auth", kept]);
    try_with(&sas("rl", 60).replace("sp=rl", "sp=rwl")).failed(10, "Unauthorized", &["403 Auth", kept]);
    try_with(&sas("r", 60)).failed(10, "Unauthorized", &["403 Authoriz", "to read and to list"]);
    try_with(&sas("l", 60)).failed(10, "Unauthorized", &["may be listed and not read", kept]);
    // With the question mark, as the portal gives it, and without.
    for (path, token) in [("one", format!("?{}", sas("rl", 60))), ("two", azure::of_account("rl", 60))] {
        bench.cache(&[source(cloud, &place, &json!({"path": path}))]);
        let mut command = bench.command(&["prefetch"]);
        command.env("AZURE_STORAGE_SAS_TOKEN", token);
        let ran = quiet(cloud, command);
        assert_eq!(ran.code, 0, "{:?}", ran.results);
        assert_eq!(files(&bench.volume().join(path)), ["ünï 🎉/a+b c.bin"]);
    }
}

#[test]
fn the_endpoint_of_an_account_is_taken_with_a_slash_at_its_end() {
    let (bench, cloud) = (Bench::new(), Cloud::Azure);
    let bucket = Bucket::new(cloud);
    bucket.put("a.bin", b"a");
    let mut place = bucket.with_credentials();
    place["endpoint"] = json!(format!("{}/", azure::url()));
    bench.cache(&[source(cloud, &place, &json!({}))]);
    prefetch(&bench, cloud);
}
