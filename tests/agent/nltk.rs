//! NLTK data from an index.

use crate::bench::Bench;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

/// An index of two packages and a collection of both.
fn index(bench: &Bench, punkt: &[u8]) {
    let mut packages = String::new();
    for (id, category, bytes) in [("punkt_tab", "tokenizers", punkt), ("stopwords", "corpora", b"PK stopwords")] {
        let sha256 = bench.hub.put(&format!("nltk/packages/{category}/{id}.zip"), bytes.to_vec());
        let package = format!(
            "<package id=\"{id}\" subdir=\"{category}\" size=\"{}\" unzipped_size=\"1\" unzip=\"0\" checksum=\"md5\" \
             sha256_checksum=\"{sha256}\" url=\"https://elsewhere.example/packages/{category}/{id}.zip\"/>",
            bytes.len()
        );
        packages.push_str(&package);
    }
    let index = format!(
        "<?xml version=\"1.0\"?><nltk_data><packages>{packages}</packages><collections><collection id=\"popular\">\
         <item ref=\"punkt_tab\"/><item ref=\"stopwords\"/></collection></collections></nltk_data>"
    );
    bench.hub.put("nltk/index.xml", index);
}

fn source(bench: &Bench, more: &Value) -> Value {
    let mut nltk = json!({"endpoint": format!("{}/files/nltk", bench.hub.url)});
    nltk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"name": "words", "nltk": nltk})
}

#[test]
fn a_collection_is_laid_out_by_category_and_nobody_but_its_owner_may_write() {
    let bench = Bench::new();
    index(&bench, b"PK punkt");
    bench.cache(&[source(&bench, &json!({"collections": ["popular"]}))]);
    bench.prefetch();
    let expected = [
        "nltk_data",
        "nltk_data/corpora",
        "nltk_data/corpora/stopwords.zip",
        "nltk_data/tokenizers",
        "nltk_data/tokenizers/punkt_tab.zip",
    ];
    assert_eq!(bench.published(), expected);
    for path in expected {
        let metadata = std::fs::metadata(bench.volume().join(path)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, if metadata.is_dir() { 0o755 } else { 0o644 }, "{path}");
    }
}

#[test]
fn an_index_that_changes_a_package_is_not_followed_unasked() {
    let bench = Bench::new();
    index(&bench, b"PK punkt");
    bench.cache(&[source(&bench, &json!({"packages": ["punkt_tab"]}))]);
    bench.prefetch();
    index(&bench, b"PK newer");
    assert_eq!(bench.prefetch().fetched(), 0);
    std::fs::remove_file(bench.volume().join("nltk_data/tokenizers/punkt_tab.zip")).unwrap();
    bench.run(&["prefetch"]).failed(31, "ListingMismatch", &["source `words`"]);
    assert_eq!(bench.run(&["prefetch", "--refresh"]).code, 0);
    assert_eq!(std::fs::read(bench.volume().join("nltk_data/tokenizers/punkt_tab.zip")).unwrap(), b"PK newer");
}

#[test]
fn a_package_with_other_bytes_than_the_index_says_is_never_published() {
    let bench = Bench::new();
    index(&bench, b"PK punkt");
    bench.hub.put("nltk/packages/tokenizers/punkt_tab.zip", "PK wrong");
    bench.cache(&[source(&bench, &json!({"packages": ["punkt_tab"]}))]);
    bench.run(&["prefetch"]).failed(30, "ChecksumMismatch", &["punkt_tab.zip"]);
    assert!(!bench.published().iter().any(|path| path.contains(".zip")));
}

#[test]
fn a_package_that_does_not_exist_is_named() {
    let bench = Bench::new();
    index(&bench, b"PK punkt");
    bench.cache(&[source(&bench, &json!({"packages": ["punkt"]}))]);
    bench.run(&["prefetch"]).failed(12, "NotFound", &["no package `punkt`; there is punkt_tab"]);
}
