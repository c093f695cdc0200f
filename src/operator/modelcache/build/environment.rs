//! The ConfigMap `<cache>-env` that pods read their environment from.

use super::metadata;
use crate::agent::layout::environment::environment as client_environment;
use crate::api::{ModelCache, name};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;

/// The environment that the clients need for this cache's mount paths.
pub fn environment(cache: &ModelCache) -> ConfigMap {
    ConfigMap {
        metadata: metadata(cache, name::environment(&cache.name_any()), None, true),
        data: Some(client_environment(&cache.spec)),
        ..ConfigMap::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::cache;
    use super::*;

    #[test]
    fn the_environment_names_the_mount_path_and_keeps_clients_offline() {
        insta::assert_yaml_snapshot!(environment(&cache()));
    }
}
