//! Which environment does a client need to find the content, offline?

use super::hugging_face::hub_directory;
use crate::api::ModelCacheSpec;
use std::collections::BTreeMap;

/// Where clients may write what they make of a model (remote code, data sets in their own form): caches are mounted
/// read-only.
const WRITABLE: &str = "/tmp/huggingface";

/// Variables for pods that mount the cache's volumes at their mount paths. Pure; the same spec gives the same map.
///
/// A client has one HF home: it is that of the first hub source in the order of the spec. Sources with other homes are
/// reached by giving the client a `cache_dir`, which `MODELCACHE_HUB_<VOLUME>` names for each volume.
pub fn environment(spec: &ModelCacheSpec) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for source in &spec.sources {
        let (Some(hub), Some(volume)) = (&source.hugging_face, spec.volume_of(source)) else { continue };
        let mount = volume.effective_mount_path();
        let home = match hub.effective_path() {
            "." => mount.clone(),
            path => format!("{mount}/{path}"),
        };
        let name = format!("MODELCACHE_HUB_{}", volume.name.to_ascii_uppercase().replace('-', "_"));
        variables.entry(name).or_insert_with(|| format!("{mount}/{}", hub_directory(hub.effective_path())));
        for (name, value) in hugging_face(&home) {
            variables.entry(name.to_owned()).or_insert(value);
        }
    }
    variables
}

/// What the hub's clients, `transformers`, `diffusers` and `datasets` read.
fn hugging_face(home: &str) -> [(&'static str, String); 7] {
    [
        ("HF_HOME", home.to_owned()),
        // Without it a client first asks the hub, and waits for its time-out where there is none.
        ("HF_HUB_OFFLINE", "1".to_owned()),
        ("HF_HUB_DISABLE_TELEMETRY", "1".to_owned()),
        // From 1.32 on clients move blobs to a store of their own, which other versions do not know.
        ("HF_HUB_DISABLE_SHARED_BLOBS", "1".to_owned()),
        ("HF_MODULES_CACHE", format!("{WRITABLE}/modules")),
        ("HF_ASSETS_CACHE", format!("{WRITABLE}/assets")),
        ("HF_DATASETS_CACHE", format!("{WRITABLE}/datasets")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(sources: &str) -> ModelCacheSpec {
        let text = format!(
            r#"{{"volumes": [{{"name": "models", "mountPath": "/models", "existingClaim": {{"claimName": "x"}}}},
                             {{"name": "two-b", "existingClaim": {{"claimName": "y"}}}}], "sources": {sources}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_first_hub_source_says_where_the_home_is() {
        let variables = environment(&spec(
            r#"[{"name": "f", "volume": "models", "http": {"url": "http://x/y"}},
                {"name": "a", "volume": "models", "huggingFace": {"repo": "o/a", "path": "."}},
                {"name": "b", "volume": "two-b", "huggingFace": {"repo": "o/b"}}]"#,
        ));
        assert_eq!(variables["HF_HOME"], "/models");
        assert_eq!(variables["HF_HUB_OFFLINE"], "1");
        assert_eq!(variables["MODELCACHE_HUB_MODELS"], "/models/hub");
        assert_eq!(variables["MODELCACHE_HUB_TWO_B"], "/modelcache/two-b/huggingface/hub");
    }

    #[test]
    fn a_cache_without_hub_sources_leaves_the_hubs_clients_alone() {
        assert!(environment(&spec("[]")).is_empty());
    }
}
