//! Object stores: MinIO as a real S3 server, small servers that speak the rest, and the binary or its rooms against them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of it is test code; the lint knows only marked functions")]

#[path = "../agent/bench.rs"]
#[allow(dead_code, reason = "shared with other tests, each uses a part of it")]
mod bench;
#[path = "../support/hub/mod.rs"]
#[allow(dead_code, reason = "as above")]
mod hub;
#[path = "../support/minio/mod.rs"]
#[allow(dead_code, reason = "as above")]
mod minio;

mod changed;
mod clouds;
mod fetched;
mod hostile;
mod identity;
mod refused;

use bench::{Bench, Ran};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// An objectStore source of a bucket, with the administrator's keys.
fn with_keys(bucket: &minio::Bucket) -> Value {
    let mut s3 = bucket.s3();
    s3["accessKeyIdSecretRef"] = json!({"name": "minio", "key": "id"});
    s3["secretAccessKeySecretRef"] = json!({"name": "minio", "key": "secret"});
    s3
}

/// The same without saying which keys.
fn source(store: &Value, more: &Value) -> Value {
    let mut object_store = json!({"s3": store});
    object_store.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"name": "x", "objectStore": object_store})
}

/// A command with the keys in the environment, which stand in for the Secret.
fn keyed(bench: &Bench, arguments: &[&str]) -> Command {
    let mut command = bench.command(arguments);
    command.env("AWS_ACCESS_KEY_ID", minio::ID).env("AWS_SECRET_ACCESS_KEY", minio::SECRET);
    command
}

/// `prefetch` that must do what is asked.
fn prefetch(bench: &Bench) -> Ran {
    let ran = bench::ran(keyed(bench, &["prefetch"]).output().unwrap());
    assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
    quiet(&ran);
    ran
}

/// Nothing that lets in was said.
fn quiet(ran: &Ran) {
    let said = format!("{:?}{}", ran.results, ran.stderr);
    for secret in [minio::SECRET, "X-Amz-Signature", "X-Amz-Credential"] {
        assert!(!said.contains(secret), "{said}");
    }
}

/// Files below a directory, sorted.
fn files(directory: &Path) -> Vec<String> {
    let mut paths = bench::paths(directory);
    paths.retain(|it| directory.join(it).is_file());
    paths
}

/// Where the objects of a bucket lie when nothing else is said.
fn objects(bench: &Bench, bucket: &minio::Bucket) -> PathBuf {
    bench.volume().join("objects").join(&bucket.name)
}

/// Bytes that differ with the seed and do not repeat.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(next).collect();
    bytes.truncate(length);
    bytes
}
