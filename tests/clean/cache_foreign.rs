//! What a cache lists and did not put there, or no longer has as it put it there: it stays, whatever the rules say.

use crate::bench::{Bench, Ran, ran};
use crate::cache::{cleaned, lived_in, retired, spec};
use crate::desk::aged;
use serde_json::json;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

fn prefetch(bench: &Bench) -> Ran {
    let claims = bench.path("claims");
    let ran = ran(bench.command(&["prefetch"]).arg("--claims-dir").arg(claims).output().unwrap());
    assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
    ran
}

#[test]
fn files_of_an_application_that_a_source_adopted_outlive_the_source() {
    let bench = Bench::new();
    let claim = bench.path("claims/old");
    std::fs::create_dir_all(claim.join("models")).unwrap();
    std::fs::create_dir_all(bench.path("volumes")).unwrap();
    std::fs::write(claim.join("models/own.bin"), vec![6; 1 << 20]).unwrap();
    symlink(&claim, bench.volume()).unwrap();
    bench.hub.repo("org/y=y.bin:1Ki");
    let rules = json!([{"name": "cache", "cache": {}}]);
    let own = json!({"name": "old", "claim": {"claimName": "old"}});
    let other = bench.repo("y", "org/y", &json!({}));
    bench.write(&spec(&[own, other.clone()], &rules));
    prefetch(&bench);
    bench.write(&spec(&[other], &rules));
    prefetch(&bench);
    assert_eq!(retired(&bench).len(), 1);
    aged(&retired(&bench)[0], 30);
    let ran = cleaned(&bench, &[]);
    assert_eq!(retired(&bench).len(), 0, "{:#}", ran.one());
    assert_eq!(std::fs::read(claim.join("models/own.bin")).unwrap().len(), 1 << 20);
    assert!(ran.one().to_string().contains("were adopted where they are, and stay"), "{:#}", ran.one());
    assert_eq!(ran.one()["clean"]["freedBytes"], 0);
}

#[test]
fn what_somebody_put_in_the_place_of_a_file_of_an_earlier_revision_stays() {
    let bench = lived_in(1, &json!({}));
    let commit = bench.main("org/x");
    let snapshots = bench.volume().join("huggingface/hub/models--org--x/snapshots");
    let mut all = std::fs::read_dir(&snapshots).unwrap().map(|it| it.unwrap().path());
    let earlier = all.find(|it| !it.ends_with(&commit)).unwrap();
    let blob = std::fs::canonicalize(earlier.join("a.bin")).unwrap();
    std::fs::write(&blob, "somebody's").unwrap();
    std::fs::remove_file(earlier.join("b.bin")).unwrap();
    symlink("/elsewhere", earlier.join("b.bin")).unwrap();
    let ran = cleaned(&bench, &[]);
    assert_eq!(std::fs::read(&blob).unwrap(), b"somebody's");
    assert!(earlier.join("b.bin").is_symlink() && !earlier.join("a.bin").is_symlink());
    assert!(ran.one().to_string().contains("not what was put there"), "{:#}", ran.one());
}

/// The directory of the repository, and of the snapshot of the earlier revision.
fn earlier(bench: &Bench) -> (PathBuf, PathBuf) {
    let commit = bench.main("org/x");
    let repository = bench.volume().join("huggingface/hub/models--org--x");
    let mut all = std::fs::read_dir(repository.join("snapshots")).unwrap().map(|it| it.unwrap().path());
    let earlier = all.find(|it| !it.ends_with(&commit)).unwrap();
    (repository, earlier)
}

#[test]
fn a_content_that_a_snapshot_of_another_tool_leads_to_outlives_its_revision() {
    let bench = lived_in(1, &json!({"match": ["Superseded", "Orphaned"]}));
    let (repository, earlier) = earlier(&bench);
    let blob = std::fs::canonicalize(earlier.join("a.bin")).unwrap();
    let name = blob.file_name().unwrap().to_str().unwrap().to_owned();
    let theirs = repository.join("snapshots/theirs");
    std::fs::create_dir_all(&theirs).unwrap();
    symlink(format!("../../blobs/{name}"), theirs.join("model.bin")).unwrap();
    let would = cleaned(&bench, &["--dry-run"]);
    let freed = would.one()["clean"]["freedBytes"].as_u64().unwrap();
    assert!(freed < 100 << 10, "what they lead to is not free: {:#}", would.one());
    let ran = cleaned(&bench, &[]);
    assert_eq!(retired(&bench).len(), 0, "{:#}", ran.one());
    assert!(!earlier.exists());
    assert_eq!(std::fs::read(theirs.join("model.bin")).unwrap().len(), 1 << 20, "their link leads to nothing");
    assert!(ran.one().to_string().contains("snapshots/theirs/model.bin, which is another tool's, leads to it"));
    // Once they have let go of it, it is as loose as anything else.
    std::fs::remove_dir_all(&theirs).unwrap();
    let then = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(48)).to_string();
    assert_eq!(bench.run(&["clean", "--now", &then]).code, 0);
    assert!(!blob.exists());
}

#[test]
fn what_cannot_be_looked_into_may_lead_to_anything_so_no_content_goes() {
    let bench = lived_in(1, &json!({"match": ["Superseded", "Orphaned", "Incomplete"]}));
    let (repository, earlier) = earlier(&bench);
    // Another file system: what links in there lead to, nobody knows. Root may read everything else.
    let theirs = repository.join("snapshots/theirs");
    std::fs::create_dir_all(&theirs).unwrap();
    let mount =
        |arguments: &[&str]| std::process::Command::new(arguments[0]).args(&arguments[1..]).arg(&theirs).status();
    assert!(mount(&["mount", "-t", "tmpfs", "modelcache-test"]).unwrap().success(), "mounting a disk needs root");
    let loose = repository.join("blobs/loose");
    let half = repository.join("blobs/half.incomplete");
    for path in [&loose, &half] {
        std::fs::write(path, "x").unwrap();
    }
    let then = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(48)).to_string();
    let ran = bench.run(&["clean", "--now", &then]);
    assert!(mount(&["umount"]).unwrap().success());
    ran.failed(41, "VolumeError", &["snapshots/theirs", "no content of the cache was removed"]);
    assert!(earlier.exists() && loose.exists() && retired(&bench).len() == 1);
    assert!(!half.exists(), "nothing leads to half a file");
    assert_eq!(bench.run(&["clean", "--now", &then]).code, 0);
    assert!(!earlier.exists() && !loose.exists());
}

#[test]
fn a_record_of_an_earlier_revision_that_cannot_be_believed_is_named() {
    let bench = lived_in(1, &json!({}));
    let record = retired(&bench).pop().unwrap();
    std::fs::write(&record, "{").unwrap();
    let ran = cleaned(&bench, &[]);
    let name = record.file_name().unwrap().to_str().unwrap();
    assert!(
        ran.one().to_string().contains(name) && ran.one().to_string().contains("cannot be believed"),
        "{:#}",
        ran.one()
    );
}
