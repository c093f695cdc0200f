//! `version`: of this program, and of the operator.

use super::error::Error;
use super::options::{Format, Global};
use super::print;
use super::session::Session;
use crate::api::label;
use clap::Args;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::ListParams;
use serde::Serialize;
use std::time::Duration;

/// What the operator's Deployment is labelled with, in the manifests and in the chart.
const OPERATOR: &str = "app.kubernetes.io/name=modelcache-operator";

/// How long the cluster is waited for: it is only asked for company.
const PATIENCE: Duration = Duration::from_secs(5);

/// Options of `version`.
#[derive(Args, Debug)]
pub struct Version {
    /// Only of this program: ask no cluster.
    #[arg(long)]
    client: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    client: &'static str,
    api_version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    operators: Vec<String>,
}

impl Version {
    /// Runs the command. That the operator is not to be seen is no failure: few may read its namespace.
    pub async fn run(&self, global: &Global) -> Result<(), Error> {
        let operators = if self.client { vec![] } else { operators(&Session::connect(global).await?).await };
        let api_version = format!("{}/{}", crate::api::GROUP, crate::api::VERSION);
        let versions = Versions { client: env!("CARGO_PKG_VERSION"), api_version, operators };
        if let Some(format @ (Format::Json | Format::Yaml)) = global.output {
            return print::document(format, &versions);
        }
        let mut text = format!("kubectl-modelcache {}, {}\n", versions.client, versions.api_version);
        match (self.client, versions.operators.as_slice()) {
            (true, _) => {}
            (false, []) => text.push_str("operator: none that you may read\n"),
            (false, some) => text.extend(some.iter().map(|it| format!("operator: {it}\n"))),
        }
        print::text(&text)
    }
}

/// The operators of the cluster, with their image.
async fn operators(session: &Session) -> Vec<String> {
    let all: Api<Deployment> = Api::all(session.client.clone());
    let parameters = ListParams::default().labels(OPERATOR);
    let listed = tokio::time::timeout(PATIENCE, all.list(&parameters)).await;
    let Ok(Ok(found)) = listed else { return vec![] };
    let name = |it: &Deployment| {
        let pod = it.spec.as_ref().and_then(|it| it.template.spec.as_ref());
        let image = pod.and_then(|it| it.containers.first()).and_then(|it| it.image.clone()).unwrap_or_default();
        let namespace = it.metadata.namespace.clone().unwrap_or_default();
        format!("{namespace}/{} {image}", it.metadata.name.clone().unwrap_or_default())
    };
    let ours = |it: &&Deployment| it.metadata.labels.as_ref().is_none_or(|it| !it.contains_key(label::CACHE));
    found.items.iter().filter(ours).map(name).collect()
}
