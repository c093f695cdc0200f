//! `install`: prints the manifests that install the operator, with an image of one's choice.
//!
//! They are those of `config/default`, in the binary: what it installs is of its own version, also where there is no network.

use super::error::Error;
use super::options::{Format, Global};
use super::print;
use crate::api::crds;
use clap::Args;
use serde_json::{Value, json};

/// The files that `config/default` takes together, in the order in which they are applied.
const FILES: [&str; 13] = [
    include_str!("../../config/manager/namespaces.yaml"),
    include_str!("../../config/rbac/service-account.yaml"),
    include_str!("../../config/rbac/operator-role.yaml"),
    include_str!("../../config/rbac/lease-role.yaml"),
    include_str!("../../config/rbac/user-roles.yaml"),
    include_str!("../../config/policy/parameters.yaml"),
    include_str!("../../config/policy/own-objects.yaml"),
    include_str!("../../config/policy/jobs.yaml"),
    include_str!("../../config/policy/pool-path.yaml"),
    include_str!("../../config/policy/volumes.yaml"),
    include_str!("../../config/policy/pods.yaml"),
    include_str!("../../config/manager/service.yaml"),
    include_str!("../../config/manager/deployment.yaml"),
];

/// The name of the policies for labelled pods, and of their bindings.
const POD_POLICIES: &str = "modelcache-pods";

/// Options of `install`.
#[derive(Args, Debug)]
pub struct Install {
    /// The image, of the operator and of its Jobs. By digest nobody can change what it names.
    #[arg(long, value_name = "IMAGE")]
    image: String,

    /// Leave out the policies for labelled pods: clusters below Kubernetes 1.36 do not know them.
    #[arg(long)]
    without_pod_policies: bool,
}

impl Install {
    /// Runs the command.
    pub fn run(&self, global: &Global) -> Result<(), Error> {
        let image = self.image.trim();
        if image.is_empty() || image.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\'') {
            return Err(Error::Usage(format!("`{image}` is no name of an image")));
        }
        let mut manifests = manifests(image).map_err(Error::Print)?;
        if self.without_pod_policies {
            manifests.retain(|it| it["metadata"]["name"] != POD_POLICIES);
        }
        if global.output == Some(Format::Json) {
            return print::objects(Format::Json, &manifests);
        }
        manifests.iter().try_for_each(|it| {
            print::text("---\n")?;
            print::document(Format::Yaml, it)
        })
    }
}

/// Every object, with the labels and the image that `config/default` would give it.
///
/// # Errors
/// When a file of the binary's own cannot be read, which the tests rule out.
pub fn manifests(image: &str) -> Result<Vec<Value>, String> {
    let mut all: Vec<Value> = crds::all().into_iter().map(|(_, crd)| crd).collect();
    for file in FILES {
        let documents: Vec<Value> = serde_saphyr::from_multiple(file).map_err(|error| error.to_string())?;
        all.extend(documents.into_iter().filter(Value::is_object));
    }
    for object in &mut all {
        let labels = &mut object["metadata"]["labels"];
        if !labels.is_object() {
            *labels = json!({});
        }
        labels["app.kubernetes.io/name"] = "modelcache-operator".into();
        labels["app.kubernetes.io/part-of"] = "modelcache".into();
        match object["kind"].as_str() {
            Some("ConfigMap") => object["data"]["agentImage"] = image.into(),
            Some("Deployment") => set_image(object, image),
            Some("MutatingAdmissionPolicy") => set_variable(object, image),
            _ => {}
        }
    }
    Ok(all)
}

fn set_image(deployment: &mut Value, image: &str) {
    let containers = deployment.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        container["image"] = image.into();
        let variables = container.get_mut("env").and_then(Value::as_array_mut);
        let own = variables.into_iter().flatten().filter(|it| it["name"] == "MODELCACHE_AGENT_IMAGE");
        own.for_each(|it| it["value"] = image.into());
    }
}

/// The image of the container that waits, as CEL writes a string.
fn set_variable(policy: &mut Value, image: &str) {
    let variables = policy.pointer_mut("/spec/variables").and_then(Value::as_array_mut);
    let own = variables.into_iter().flatten().filter(|it| it["name"] == "image");
    own.for_each(|it| it["expression"] = format!("'{image}'").into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_policies_for_pods_nothing_is_of_a_kind_that_came_with_kubernetes_1_36() {
        let all = manifests("i:1").unwrap();
        let of = |it: &&Value| it["metadata"]["name"] == POD_POLICIES;
        assert_eq!(all.iter().filter(of).count(), 4, "two policies and their bindings");
        let left = all.iter().filter(|it| !of(it));
        assert!(left.clone().all(|it| !it["kind"].as_str().unwrap_or_default().starts_with("Mutating")));
    }

    #[test]
    fn the_image_stands_wherever_one_is_named_and_nowhere_else_another() {
        let all = manifests("registry.example.com/modelcache@sha256:0123").unwrap();
        let text = serde_json::to_string(&all).unwrap();
        assert!(!text.contains("localhost/modelcache"), "the image of config/ is left over");
        assert_eq!(text.matches("registry.example.com/modelcache@sha256:0123").count(), 4);
        let kinds: Vec<&str> = all.iter().filter_map(|it| it["kind"].as_str()).collect();
        let first = |kind: &str| kinds.iter().position(|it| *it == kind).unwrap();
        assert!(first("CustomResourceDefinition") < first("Namespace") && first("Namespace") < first("Deployment"));
    }
}
