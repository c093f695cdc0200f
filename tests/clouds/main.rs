//! Google Cloud Storage and Azure Blob Storage, as sources and as places for backups: the binary and its rooms against Azurite,
//! and against fake-gcs-server with the rest of Google's XML API before it.
//!
//! Each promise is kept for both. Needs Go, `node` with `npm`, and `openssl`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of it is test code; the lint knows only marked functions")]

#[path = "../agent/bench.rs"]
#[allow(dead_code, reason = "shared with other tests, each uses a part of it")]
mod bench;
#[path = "../support/clouds/mod.rs"]
#[allow(dead_code, reason = "as above")]
mod clouds;
#[path = "../support/hub/mod.rs"]
#[allow(dead_code, reason = "as above")]
mod hub;
#[path = "../support/registry/program.rs"]
mod program;

mod backups;
mod changed;
mod identity;
mod refused;
mod sources;

use bench::{Bench, Ran};
use clouds::{Bucket, Cloud};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A test of each sentence for each cloud.
macro_rules! for_both {
    ($($sentence:ident),* $(,)?) => {
        mod at_google {
            $(#[test] fn $sentence() { super::$sentence(crate::Cloud::Google) })*
        }
        mod at_azure {
            $(#[test] fn $sentence() { super::$sentence(crate::Cloud::Azure) })*
        }
    };
}
pub(crate) use for_both;

/// An objectStore source of a place.
fn source(cloud: Cloud, place: &Value, more: &Value) -> Value {
    let mut object_store = json!({cloud.field(): place});
    object_store.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"name": "x", "objectStore": object_store})
}

/// A command with the credentials in the environment, which stand in for the Secret.
fn keyed(bench: &Bench, cloud: Cloud, arguments: &[&str]) -> Command {
    let (_, variable, value) = cloud.credentials();
    let mut command = bench.command(arguments);
    command.env(variable, value);
    command
}

/// What a run said, and nothing of it lets in.
fn quiet(cloud: Cloud, mut command: Command) -> Ran {
    let ran = bench::ran(command.output().unwrap());
    let said = format!("{:?}{}", ran.results, ran.stderr);
    for secret in [cloud.secret(), "sig=", "Bearer", "Signature="] {
        assert!(!said.contains(secret), "{said}");
    }
    ran
}

/// `prefetch` that must do what is asked.
fn prefetch(bench: &Bench, cloud: Cloud) -> Ran {
    let ran = quiet(cloud, keyed(bench, cloud, &["prefetch"]));
    assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
    ran
}

/// Where the objects of a bucket lie when nothing else is said.
fn objects(bench: &Bench, bucket: &Bucket) -> PathBuf {
    bench.volume().join("objects").join(&bucket.name)
}

/// Files below a directory, sorted.
fn files(directory: &Path) -> Vec<String> {
    let mut paths = bench::paths(directory);
    paths.retain(|it| directory.join(it).is_file());
    paths
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
