//! What is on another claim already: copied with its hash, or kept where it is; never a damaged byte, never a link that leads out.

use crate::bench::{Bench, Ran, ran};
use modelcache::agent::fetch::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// The claim `old` of a bench.
fn claim(bench: &Bench) -> PathBuf {
    let path = bench.path("claims/old");
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn source(more: &Value) -> Value {
    let mut claim = json!({"claimName": "old"});
    claim.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"name": "old", "claim": claim})
}

fn run(bench: &Bench, arguments: &[&str]) -> Ran {
    ran(bench.command(arguments).arg("--claims-dir").arg(bench.path("claims")).output().unwrap())
}

fn prefetch(bench: &Bench) -> Ran {
    let ran = run(bench, &["prefetch"]);
    assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
    ran
}

/// A cache of the hub as its clients leave it, with what does not belong to a model. Gives the name of the blob.
fn hub_home(home: &Path, bytes: &[u8]) -> String {
    let repository = home.join("hub/models--org--x");
    for directory in ["blobs", "refs", "snapshots/c0ffee/sub"] {
        std::fs::create_dir_all(repository.join(directory)).unwrap();
    }
    let blob = hex(&Sha256::digest(bytes));
    std::fs::write(repository.join("blobs").join(&blob), bytes).unwrap();
    std::fs::write(repository.join("blobs/half.incomplete"), "half").unwrap();
    std::fs::write(repository.join("refs/main"), "c0ffee").unwrap();
    std::fs::write(home.join("token"), "hf_secret").unwrap();
    symlink(format!("../../../blobs/{blob}"), repository.join("snapshots/c0ffee/sub/model.bin")).unwrap();
    symlink(format!("../../blobs/{blob}"), repository.join("snapshots/c0ffee/other.bin")).unwrap();
    blob
}

#[test]
fn a_hub_home_is_copied_with_its_hashes_each_content_once_and_without_the_token() {
    let bench = Bench::new();
    let bytes = vec![5; 3 << 20];
    let blob = hub_home(&claim(&bench), &bytes);
    bench.cache(&[source(&json!({"path": "huggingface"}))]);
    let ran = prefetch(&bench);
    assert_eq!((ran.fetched(), bench.requests()), (0, 0), "nobody is asked");
    assert_eq!(ran.one()["evidence"]["files"], 4);
    let repository = bench.volume().join("huggingface/hub/models--org--x");
    let blob = repository.join("blobs").join(blob);
    for name in ["snapshots/c0ffee/sub/model.bin", "snapshots/c0ffee/other.bin"] {
        assert_eq!(std::fs::read(repository.join(name)).unwrap(), bytes);
        assert_eq!(repository.join(name).metadata().unwrap().ino(), blob.metadata().unwrap().ino());
    }
    assert_eq!(blob.metadata().unwrap().mode() & 0o777, 0o644);
    assert!(!bench.published().iter().any(|it| it.contains("token") || it.contains("incomplete")));
    assert!(run(&bench, &["prefetch"]).stderr.contains("there already"));
    assert_eq!(bench.run(&["verify", "--deep"]).code, 0);
}

#[test]
fn a_claim_that_is_the_volume_is_adopted_where_it_is_and_nothing_of_it_is_written() {
    let bench = Bench::new();
    let claim = claim(&bench);
    let blob = hub_home(&claim, &vec![6; 1 << 20]);
    // Two links to the content, as the clients' shared store makes them.
    let shared = claim.join("hub/blobs/ab");
    std::fs::create_dir_all(&shared).unwrap();
    let own = claim.join("hub/models--org--x/blobs").join(&blob);
    std::fs::rename(&own, shared.join("content")).unwrap();
    symlink("../../blobs/ab/content", &own).unwrap();
    std::fs::create_dir_all(bench.path("volumes")).unwrap();
    symlink(&claim, bench.volume()).unwrap();
    bench.cache(&[source(&json!({}))]);
    let before = std::fs::metadata(shared.join("content")).unwrap();
    let ran = prefetch(&bench);
    let after = std::fs::metadata(shared.join("content")).unwrap();
    assert_eq!((before.ino(), before.mtime(), before.nlink()), (after.ino(), after.mtime(), after.nlink()));
    assert_eq!(ran.one()["evidence"]["files"], 5);
    assert_eq!(ran.one()["evidence"]["hashedFiles"], 5);
    for link in ["hub/models--org--x/snapshots/c0ffee/other.bin", &format!("hub/models--org--x/blobs/{blob}")] {
        assert!(claim.join(link).symlink_metadata().unwrap().is_symlink(), "{link}");
    }
    assert_eq!(std::fs::read(claim.join("token")).unwrap(), b"hf_secret");
    assert_eq!(bench.run(&["verify", "--deep"]).code, 0);
    std::fs::write(shared.join("content"), vec![7; 1 << 20]).unwrap();
    assert_eq!(bench.run(&["verify", "--deep"]).reason(), "Damaged");
}

#[test]
fn a_link_to_a_directory_cannot_be_adopted_where_it_is_and_the_message_says_what_to_do() {
    let bench = Bench::new();
    let claim = claim(&bench);
    std::fs::create_dir_all(claim.join("v1")).unwrap();
    std::fs::write(claim.join("v1/a.bin"), "a").unwrap();
    symlink("v1", claim.join("latest")).unwrap();
    std::fs::create_dir_all(bench.path("volumes")).unwrap();
    symlink(&claim, bench.volume()).unwrap();
    bench.cache(&[source(&json!({}))]);
    let words = ["latest", "link to a directory", "claim `old`", "`exclude`", "`path`"];
    run(&bench, &["prefetch"]).failed(2, "InvalidSpec", &words);
    bench.cache(&[source(&json!({"exclude": ["latest/"]}))]);
    assert_eq!(prefetch(&bench).one()["evidence"]["files"], 1);
    bench.cache(&[source(&json!({"path": "copy"}))]);
    prefetch(&bench);
    assert_eq!(std::fs::read(claim.join("copy/latest/a.bin")).unwrap(), b"a");
}

#[test]
fn a_claim_that_changed_since_it_was_resolved_is_not_taken_until_it_is_resolved_again() {
    let bench = Bench::new();
    let file = claim(&bench).join("a.bin");
    std::fs::write(&file, "one").unwrap();
    bench.cache(&[source(&json!({"path": "x"}))]);
    prefetch(&bench);
    std::fs::write(&file, "two").unwrap();
    assert_eq!(prefetch(&bench).one()["evidence"]["files"], 1, "a complete copy does not look at the claim");
    std::fs::remove_file(bench.volume().join("x/a.bin")).unwrap();
    run(&bench, &["prefetch"]).failed(
        31,
        "ListingMismatch",
        &["claim `old` changed since it was resolved", "source `old`"],
    );
    assert!(!bench.volume().join("x/a.bin").exists());
    assert_eq!(run(&bench, &["prefetch", "--refresh"]).code, 0);
    assert_eq!(std::fs::read(bench.volume().join("x/a.bin")).unwrap(), b"two");
}

#[test]
fn what_cannot_be_taken_over_says_what_and_what_to_do() {
    let bench = Bench::new();
    bench.cache(&[source(&json!({}))]);
    bench.run(&["prefetch"]).failed(2, "InvalidSpec", &["--claims-dir"]);
    let missing = run(&bench, &["resolve"]);
    assert_eq!(missing.reason(), "VolumePending");
    assert!(missing.message().contains("there is no claim `old`"));
    let claim = claim(&bench);
    assert_eq!(run(&bench, &["resolve"]).reason(), "NoFiles");
    std::fs::write(claim.join("a.bin"), "a").unwrap();
    symlink("/etc/passwd", claim.join("b.bin")).unwrap();
    run(&bench, &["resolve"]).failed(2, "InvalidSpec", &["`b.bin`", "leads off the claim", "`exclude`"]);
    bench.cache(&[source(&json!({"exclude": ["b.bin"]}))]);
    assert_eq!(run(&bench, &["resolve"]).one()["pin"]["files"], 1);
    let blobs = claim.join("hub/models--org--x/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join("a".repeat(64)), "damaged").unwrap();
    let damaged = run(&bench, &["resolve"]);
    assert_eq!(damaged.reason(), "ChecksumMismatch");
    assert!(damaged.message().contains("is damaged"));
    for name in ["../old", "a/b", "/etc", ""] {
        bench.cache(&[json!({"name": "old", "claim": {"claimName": name}})]);
        run(&bench, &["resolve"]).failed(2, "InvalidSpec", &["`claimName`"]);
    }
}
