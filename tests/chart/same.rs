//! Is what the chart installs what `kubectl apply -k config/default` installs?

use crate::documents;
use crate::helm::{root, template};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What Helm and charts put onto an object, and kustomize does not.
const OF_HELM: [&str; 4] =
    ["helm.sh/chart", "app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by"];

fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    objects.into_iter().map(|it| (documents::name(&it), it)).collect()
}

fn kustomized() -> BTreeMap<String, Value> {
    let built = Command::new(root().join("tests/cluster/cluster")).arg("build").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let directory = String::from_utf8(built.stdout).unwrap();
    let kubectl = Path::new(directory.trim()).join("kubectl");
    let done = Command::new(kubectl).args(["kustomize", "config/default"]).current_dir(root()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut objects = by_name(documents::all(&String::from_utf8(done.stdout).unwrap()));
    // The release's own namespace is there before Helm installs anything into it: docs/install.md says how it is labelled.
    assert!(objects.remove("Namespace modelcache-system").is_some());
    objects
}

fn rendered() -> BTreeMap<String, Value> {
    let mut objects = by_name(documents::all(&template("modelcache-system", "").unwrap()));
    objects.remove("Pod modelcache-system/modelcache-operator-test").expect("the pod of `helm test`");
    for object in objects.values_mut() {
        let metadata = object["metadata"].as_object_mut().unwrap();
        let labels = metadata["labels"].as_object_mut().unwrap();
        labels.retain(|key, _| !OF_HELM.contains(&key.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("helm.sh/resource-policy");
        }
        metadata.retain(|_, it| *it != serde_json::json!({}));
    }
    objects
}

#[test]
fn the_chart_installs_what_kustomize_installs() {
    let (kustomized, rendered) = (kustomized(), rendered());
    let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&rendered), names(&kustomized));
    for (name, object) in &rendered {
        let show = |it: &Value| serde_saphyr::to_string(it).unwrap();
        assert!(
            *object == kustomized[name],
            "{name} differs.\nchart:\n{}\nconfig:\n{}",
            show(object),
            show(&kustomized[name])
        );
    }
}
