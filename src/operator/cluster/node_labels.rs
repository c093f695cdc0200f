//! How are labels of a node written? These and nothing else of it.

use super::{Cluster, write_error};
use crate::api::FIELD_MANAGER;
use crate::operator::error::Error;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Resource};
use serde_json::json;
use std::collections::BTreeMap;

impl Cluster {
    /// Sets labels of a node, and takes off those without a value. A node that is gone is left.
    pub async fn label_node(
        &self,
        name: &str,
        uid: &str,
        change: &BTreeMap<String, Option<&'static str>>,
    ) -> Result<(), Error> {
        // A merge patch names these keys alone, so that no other writer loses anything to it, and it takes a label off whoever put
        // it there. The UID keeps it from a node that was made anew under the name.
        let patch = json!({"metadata": {"uid": uid, "labels": change}});
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let api: Api<Node> = self.global();
        match api.patch_metadata(name, &parameters, &Patch::Merge(patch)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            other => other.map(|_: PartialObjectMeta<Node>| ()).map_err(write_error(&named(name))),
        }
    }
}

fn named(name: &str) -> Node {
    let mut node = Node::default();
    node.meta_mut().name = Some(name.to_owned());
    node
}
