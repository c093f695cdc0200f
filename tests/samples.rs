//! Is every sample what it claims to be: known fields only, all rules kept, and every kind of volume and source shown?

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use modelcache::api::{ModelCache, ModelCacheBackup, ModelCacheRestore, NodeCachePool, label};
use serde_json::Value;
use support::samples::{Sample, all};

/// What is in `written` and not in `understood`: a field that the types do not know.
fn lost(path: &str, written: &Value, understood: &Value, found: &mut Vec<String>) {
    match (written, understood) {
        (Value::Object(written), understood) => {
            for (name, value) in written {
                lost(&format!("{path}.{name}"), value, &understood[name], found);
            }
        }
        (Value::Array(written), Value::Array(understood)) if written.len() == understood.len() => {
            for (index, (value, read)) in written.iter().zip(understood).enumerate() {
                lost(&format!("{path}[{index}]"), value, read, found);
            }
        }
        (written, understood) if written != understood => found.push(format!("{path}: {written} became {understood}")),
        _ => {}
    }
}

fn reads_back<T: serde::Serialize + serde::de::DeserializeOwned>(sample: &Sample) -> T {
    let typed: T =
        serde_json::from_value(sample.document.clone()).unwrap_or_else(|error| panic!("{}: {error}", sample.file));
    let mut found = vec![];
    lost("", &sample.document, &serde_json::to_value(&typed).unwrap(), &mut found);
    assert!(found.is_empty(), "{} has fields that we do not know: {found:#?}", sample.file);
    typed
}

#[test]
fn every_sample_has_known_fields_only_and_keeps_every_rule() {
    for sample in all() {
        let result = match sample.kind() {
            "ModelCache" => kube::core::cel::validate_cel(&reads_back::<ModelCache>(&sample)),
            "ModelCacheBackup" => kube::core::cel::validate_cel(&reads_back::<ModelCacheBackup>(&sample)),
            "ModelCacheRestore" => kube::core::cel::validate_cel(&reads_back::<ModelCacheRestore>(&sample)),
            "NodeCachePool" => kube::core::cel::validate_cel(&reads_back::<NodeCachePool>(&sample)),
            // What uses a cache. Its rules are Kubernetes' own: tests/apiserver asks them.
            "Deployment" => {
                reads_back::<Deployment>(&sample);
                Ok(())
            }
            "Job" => {
                reads_back::<Job>(&sample);
                Ok(())
            }
            other => panic!("{}: no sample may be of kind {other}", sample.file),
        };
        // A rule that uses what only the API server knows (`type`) is checked in tests/apiserver.
        let broken: Vec<_> = result
            .err()
            .map(kube::core::cel::ValidationErrors::into_vec)
            .unwrap_or_default()
            .into_iter()
            .filter(|error| error.kind != kube::core::cel::ErrorKind::UnsupportedReference)
            .collect();
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
