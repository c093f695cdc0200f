//! Is every sample what it claims to be: known fields only, all rules kept, and every kind of volume and source shown?

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use modelcache::api::{ModelCache, label};
use support::documents::faults;
use support::samples::{Sample, all};

#[test]
fn every_sample_has_known_fields_only_and_keeps_every_rule() {
    for sample in all() {
        let broken = faults(&sample.document);
        assert!(broken.is_empty(), "{}: {broken:#?}", sample.file);
    }
}

#[test]
fn no_two_samples_are_of_one_name_so_that_all_of_them_can_be_applied() {
    let mut seen = std::collections::BTreeMap::new();
    for sample in all() {
        let before = seen.insert((sample.kind().to_owned(), sample.name().to_owned()), sample.file.clone());
        assert!(before.is_none(), "{} and {} have one name", before.unwrap_or_default(), sample.file);
    }
}

#[test]
fn every_sample_says_in_a_comment_what_it_is_for() {
    for sample in all() {
        assert!(sample.text.starts_with("# "), "{} must begin with a comment", sample.file);
    }
}

#[test]
fn the_samples_show_every_kind_of_volume_and_source() {
    let caches: Vec<ModelCache> = all()
        .iter()
        .filter(|it| it.kind() == "ModelCache")
        .map(|it| serde_json::from_value(it.document.clone()).unwrap())
        .collect();
    let volumes = || caches.iter().flat_map(|it| &it.spec.volumes);
    let sources = || caches.iter().flat_map(|it| &it.spec.sources);
    assert!(volumes().any(|it| it.per_node.is_some()));
    assert!(volumes().any(|it| it.shared.is_some()));
    assert!(volumes().any(|it| it.existing_claim.is_some()));
    assert!(sources().any(|it| it.hugging_face.is_some()));
    assert!(sources().any(|it| it.http.is_some()));
    let stores = || sources().filter_map(|it| it.object_store.as_ref());
    assert!(stores().any(|it| it.s3.is_some()));
    assert!(stores().any(|it| it.gcs.is_some()));
    assert!(stores().any(|it| it.azure.is_some()));
    assert!(sources().any(|it| it.oci.is_some()));
    assert!(sources().any(|it| !it.secrets().is_empty()));
}

#[test]
fn every_pool_that_a_sample_names_is_a_sample() {
    let samples = all();
    let pools: Vec<&str> = samples.iter().filter(|it| it.kind() == "NodeCachePool").map(Sample::name).collect();
    for sample in samples.iter().filter(|it| it.kind() == "ModelCache") {
        let cache: ModelCache = serde_json::from_value(sample.document.clone()).unwrap();
        for pool in cache.spec.volumes.iter().filter_map(|it| it.per_node.as_ref()).map(|it| it.pool.as_str()) {
            assert!(pools.contains(&pool), "{} uses the pool {pool}, which is no sample", sample.file);
        }
    }
}

#[test]
fn every_cache_that_a_pod_of_a_sample_asks_for_is_a_sample() {
    let samples = all();
    let asked =
        |it: &Sample| it.document["spec"]["template"]["metadata"]["labels"][label::CACHE].as_str().map(str::to_owned);
    let users: Vec<(&Sample, String)> = samples.iter().filter_map(|it| Some((it, asked(it)?))).collect();
    assert!(!users.is_empty(), "no sample shows how a pod uses a cache");
    for (sample, cache) in users {
        let there = samples.iter().any(|it| it.kind() == "ModelCache" && it.name() == cache);
        assert!(there, "{} asks for the cache {cache}, which is no sample", sample.file);
    }
}
