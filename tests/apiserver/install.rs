//! `kubectl apply -k config/default` installs everything, twice as well as once.

use crate::support::apiserver::{administrator, control_plane, eventually};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::ListParams;

#[tokio::test]
async fn every_kind_is_established_and_structural() {
    let crds: Api<CustomResourceDefinition> = Api::all(administrator().await);
    let list = crds.list(&ListParams::default()).await.unwrap();
    let ours: Vec<_> = list.iter().filter(|crd| crd.spec.group == modelcache::api::GROUP).collect();
    assert_eq!(ours.len(), modelcache::api::crds::all().len());
    for crd in ours {
        let conditions = crd.status.iter().flat_map(|it| it.conditions.iter().flatten());
        let states: Vec<String> = conditions.map(|it| format!("{}={}", it.type_, it.status)).collect();
        assert!(states.contains(&"Established=True".to_owned()), "{:?}: {states:?}", crd.metadata.name);
        assert!(states.contains(&"NamesAccepted=True".to_owned()), "{:?}: {states:?}", crd.metadata.name);
        assert!(!states.contains(&"NonStructuralSchema=True".to_owned()), "{:?}: {states:?}", crd.metadata.name);
    }
}

#[tokio::test]
async fn every_policy_passes_the_servers_type_check() {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(administrator().await);
    for policy in policies.list(&ListParams::default()).await.unwrap() {
        let name = policy.metadata.name.clone().unwrap_or_default();
        let checked = eventually(&format!("the type check of {name}"), || async {
            let answer = policies.get_status(&name).await.map_err(|error| error.to_string())?;
            answer.status.filter(|it| it.type_checking.is_some()).ok_or_else(|| "not checked yet".to_owned())
        })
        .await;
        let warnings = checked.type_checking.and_then(|it| it.expression_warnings).unwrap_or_default();
        assert!(warnings.is_empty(), "{name}: {warnings:#?}");
    }
}

#[tokio::test]
async fn installing_twice_changes_nothing() {
    let plane = control_plane().await;
    let again = plane.kubectl(&["diff", "--server-side", "-k", "config/default"]);
    assert_eq!(again, "", "a second installation would change something");
    // The way most people install, on top of nothing of the server-side kind.
    plane.kubectl(&["apply", "--dry-run=server", "-k", "config/default"]);
}
