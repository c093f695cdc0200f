//! What a cache lists and did not put there, or no longer has as it put it there: it stays, whatever the rules say.

use crate::bench::{Bench, Ran, ran};
use crate::cache::{cleaned, lived_in, retired, spec};
use crate::desk::aged;
use serde_json::json;
use std::os::unix::fs::symlink;

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
