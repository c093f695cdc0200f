//! Whose place is it? Two caches with one destination, and what somebody else has put there.

use super::{Place, bytes, whole};
use sha2::{Digest as _, Sha256};

#[test]
fn two_caches_with_one_destination_do_not_mix() {
    let (one, other) = (Place::new(), Place::new());
    one.put("a", b"of one");
    other.put("a", b"of the other");
    let text = std::fs::read_to_string(other.path("cache.yaml")).unwrap().replace("studio", "lab");
    std::fs::write(other.path("cache.yaml"), text).unwrap();
    one.backup();
    let mut command = other.command(&["backup"]);
    let ran = super::bench::ran(command.arg("--to").arg(one.to()).output().unwrap());
    assert_eq!(ran.code, 0, "{:?}", ran.results);
    assert_eq!(whole::contents(&one.to(), "studio", None)[0].1["a"], b"of one");
    assert_eq!(whole::contents(&one.to(), "lab", None)[0].1["a"], b"of the other");
}

#[test]
fn a_foreign_or_unreadable_marker_is_refused_and_nothing_is_written() {
    let place = Place::new();
    place.put("a", b"x");
    std::fs::create_dir_all(place.repository()).unwrap();
    let marker = place.repository().join("modelcache.json");
    for (text, word) in [
        (r#"{"version":1,"namespace":"default","cache":"lab","repository":"x"}"#, "default/lab, not of default/studio"),
        ("{", "no marker"),
        (r#"{"version":9,"namespace":"default","cache":"studio","repository":"x"}"#, "version 9"),
    ] {
        std::fs::write(&marker, text).unwrap();
        place.run().failed(70, "ForeignBackup", &[word]);
        assert_eq!(super::files(&place.repository()), ["modelcache.json"]);
    }
}

#[test]
fn a_planted_blob_is_never_trusted_and_refused_by_name() {
    let place = Place::new();
    let right = bytes(3, 1 << 20);
    place.put("model.bin", &right);
    let sha256 = modelcache::api::name::hex(&Sha256::digest(&right));
    let blob = place.repository().join(format!("blobs/sha256/{}/{sha256}", &sha256[..2]));
    std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
    std::fs::write(&blob, bytes(4, 1 << 20)).unwrap();
    place.run().failed(30, "ChecksumMismatch", &[&sha256, "remove it"]);
    assert_eq!(whole::contents(&place.to(), "studio", None).len(), 0);
    // What a killed run left whole is read once, and taken.
    std::fs::write(&blob, &right).unwrap();
    let said = place.backup();
    assert!(said["newBytes"].as_u64().unwrap() < 100_000, "{said}");
    assert_eq!(whole::contents(&place.to(), "studio", None)[0].1["model.bin"], right);
}

#[test]
fn a_blob_that_is_gone_is_sent_again() {
    let place = Place::new();
    let right = bytes(5, 1 << 20);
    place.put("model.bin", &right);
    place.backup();
    let sha256 = modelcache::api::name::hex(&Sha256::digest(&right));
    std::fs::remove_file(place.repository().join(format!("blobs/sha256/{}/{sha256}", &sha256[..2]))).unwrap();
    place.backup();
    let store = place.repository();
    assert_eq!(std::fs::read(store.join(format!("blobs/sha256/{}/{sha256}", &sha256[..2]))).unwrap(), right);
}

#[test]
fn snapshots_lists_what_is_there_and_makes_nothing() {
    let place = Place::new();
    place.put("a", b"x");
    let list = || {
        let mut command = place.command(&["snapshots"]);
        super::bench::ran(command.arg("--from").arg(place.to()).output().unwrap())
    };
    list().failed(12, "NotFound", &["no backup"]);
    assert_eq!(super::files(&place.to()), Vec::<String>::new());
    let said = place.backup();
    assert_eq!(list().one()["id"], said["snapshot"]);
    // As `restore` takes it: an address, and no ModelCache.
    let bare = |arguments: &[&str]| {
        super::bench::ran(super::bench::bare(&[&["snapshots", "-o", "json"], arguments].concat()).output().unwrap())
    };
    let place_of_all = format!("file://{}", place.to().display());
    assert_eq!(bare(&["--from", &place_of_all]).one()["id"], said["snapshot"]);
    assert_eq!(bare(&["--from", &place_of_all, "--of", "default/studio"]).one()["id"], said["snapshot"]);
    bare(&["--from", "ftp://nas"]).failed(2, "InvalidSpec", &["s3://bucket/prefix"]);
    bare(&[]).failed(2, "InvalidSpec", &["-f", "--from"]);
}
