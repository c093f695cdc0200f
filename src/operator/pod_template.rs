//! What is a cache's pod template laid over? What an administrator says about the pods of all caches.
//!
//! What a cache says wins. Lists are joined and maps merged, so that a cache that adds a toleration or a proxy's exception keeps
//! those of everybody; what is one thing (resources, a class, a bundle) is taken from one of the two.

use crate::api::pod_template::{PodSecurity, PodTemplate};
use serde_json::Value;

/// Reads the template of all caches: a file with the fields of `spec.podTemplate`, in JSON or YAML.
pub fn read(path: &str) -> Result<PodTemplate, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("it cannot be read: {error}"))?;
    parse(&text)
}

fn parse(text: &str) -> Result<PodTemplate, String> {
    let said: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let template: PodTemplate = serde_json::from_value(said.clone()).map_err(|error| error.to_string())?;
    let understood = serde_json::to_value(&template).map_err(|error| error.to_string())?;
    // What a mistyped field says would be left out, on every node, and nobody would know.
    let empty = |it: &Value| it.is_null() || it.as_array().is_some_and(Vec::is_empty) || *it == serde_json::json!({});
    let fields = said.as_object().into_iter().flatten();
    let unknown: Vec<&str> =
        fields.filter(|(key, it)| understood.get(key).is_none() && !empty(it)).map(|(key, _)| key.as_str()).collect();
    if unknown.is_empty() {
        Ok(template)
    } else {
        Err(format!("`{}` is no field of `spec.podTemplate`", unknown.join("`, `")))
    }
}

/// A cache's template over that of all caches.
pub fn over(own: &PodTemplate, all: &PodTemplate) -> PodTemplate {
    let named = own.env.iter().map(|it| &it.name).collect::<Vec<_>>();
    let security = |it: &PodTemplate| it.security_context.clone().unwrap_or_default();
    let (mine, theirs) = (security(own), security(all));
    let security = PodSecurity {
        run_as_user: mine.run_as_user.or(theirs.run_as_user),
        run_as_group: mine.run_as_group.or(theirs.run_as_group),
        fs_group: mine.fs_group.or(theirs.fs_group),
        se_linux_options: mine.se_linux_options.or(theirs.se_linux_options),
    };
    PodTemplate {
        resources: own.resources.clone().or_else(|| all.resources.clone()),
        tolerations: joined(&all.tolerations, &own.tolerations),
        security_context: Some(security).filter(|it| *it != PodSecurity::default()),
        priority_class_name: own.priority_class_name.clone().or_else(|| all.priority_class_name.clone()),
        runtime_class_name: own.runtime_class_name.clone().or_else(|| all.runtime_class_name.clone()),
        image_pull_secrets: joined(&all.image_pull_secrets, &own.image_pull_secrets),
        service_account_name: own.service_account_name.clone().or_else(|| all.service_account_name.clone()),
        env: all.env.iter().filter(|it| !named.contains(&&it.name)).chain(&own.env).cloned().collect(),
        labels: all.labels.clone().into_iter().chain(own.labels.clone()).collect(),
        annotations: all.annotations.clone().into_iter().chain(own.annotations.clone()).collect(),
        ca_bundle_config_map: own.ca_bundle_config_map.clone().or_else(|| all.ca_bundle_config_map.clone()),
    }
}

/// One list after the other; what both have, once.
fn joined<T: Clone + PartialEq>(first: &[T], second: &[T]) -> Vec<T> {
    first.iter().chain(second.iter().filter(|it| !first.contains(it))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn laid(own: Value, all: Value) -> Value {
        let template = |it| serde_json::from_value::<PodTemplate>(it).unwrap();
        serde_json::to_value(over(&template(own), &template(all))).unwrap()
    }

    #[test]
    fn a_cache_that_says_nothing_has_what_all_have_and_the_other_way_round() {
        let whole = json!({
            "resources": {"limits": {"memory": "4Gi"}},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000, "seLinuxOptions": {"level": "s0"}},
            "priorityClassName": "low",
            "runtimeClassName": "kata",
            "imagePullSecrets": [{"name": "registry"}],
            "serviceAccountName": "models",
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
            "labels": {"team": "studio"},
            "annotations": {"note": "x"},
            "caBundleConfigMap": {"name": "trust", "key": "ca.crt"}
        });
        assert_eq!(laid(json!({}), whole.clone()), whole);
        assert_eq!(laid(whole.clone(), json!({})), whole);
        assert_eq!(laid(whole.clone(), whole.clone()), whole, "nothing is there twice");
        assert_eq!(laid(json!({}), json!({})), json!({}));
    }

    #[test]
    fn what_a_cache_says_wins_and_lists_and_maps_are_joined() {
        for (own, all, expected) in [
            (
                json!({"resources": {"limits": {"memory": "8Gi"}}}),
                json!({"resources": {"requests": {"memory": "9Gi"}}}),
                json!({"resources": {"limits": {"memory": "8Gi"}}}),
            ),
            (
                json!({"tolerations": [{"key": "b", "operator": "Exists"}]}),
                json!({"tolerations": [{"key": "a", "operator": "Exists"}]}),
                json!({"tolerations": [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}]}),
            ),
            (
                json!({"env": [{"name": "NO_PROXY", "value": "mine"}, {"name": "X", "value": "1"}]}),
                json!({"env": [{"name": "HTTPS_PROXY", "value": "p"}, {"name": "NO_PROXY", "value": "all"}]}),
                json!({"env": [{"name": "HTTPS_PROXY", "value": "p"}, {"name": "NO_PROXY", "value": "mine"}, {"name": "X", "value": "1"}]}),
            ),
            (
                json!({"labels": {"a": "mine"}, "securityContext": {"runAsUser": 7}}),
                json!({"labels": {"a": "all", "b": "all"}, "securityContext": {"runAsUser": 8, "fsGroup": 9}}),
                json!({"labels": {"a": "mine", "b": "all"}, "securityContext": {"runAsUser": 7, "fsGroup": 9}}),
            ),
        ] {
            assert_eq!(laid(own, all), expected);
        }
    }

    #[test]
    fn a_file_with_a_field_that_is_none_is_refused_by_name() {
        assert_eq!(parse("{}"), Ok(PodTemplate::default()));
        assert!(parse(r#"{"tolerations": [], "env": [{"name": "A", "value": "1"}]}"#).is_ok());
        let refused = parse("toleration: [{key: gpu}]\nimagePullSecret: a\n").unwrap_err();
        assert_eq!(refused, "`imagePullSecret`, `toleration` is no field of `spec.podTemplate`");
        assert!(parse("tolerations: 3").is_err());
    }
}
