//! The kinds of the Prometheus operator, as it publishes them: what we make of them is held against these.

use crate::support::apiserver::{ControlPlane, eventually};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// The version that is held against, and the hash of all that is in it.
const MODULE: &str = "github.com/prometheus-operator/prometheus-operator@v0.85.0";
const SUM: &str = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=";

/// Files of the kinds that the chart makes.
const FILES: [&str; 3] = ["servicemonitors", "podmonitors", "prometheusrules"];

/// Where the module lies: got by Go from its proxy, once.
fn module() -> PathBuf {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut go = Command::new("go");
    go.args(["mod", "download", "-json", MODULE]).current_dir(elsewhere.path());
    // The hash below stands for the checksum database.
    let done = go.env("GONOSUMDB", "*").env("GOFLAGS", "-mod=mod").output();
    let done = done.unwrap_or_else(|error| panic!("go cannot be run ({error}): install Go 1.26 or newer"));
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let found: Value = serde_json::from_str(&said).unwrap_or_default();
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(found["Sum"], SUM, "{MODULE} is not what it was");
    PathBuf::from(found["Dir"].as_str().unwrap())
}

/// Installs the kinds, and waits until the server serves and describes them: its description of all kinds.
pub async fn install(plane: &ControlPlane) -> Value {
    let directory = module().join("example/prometheus-operator-crd");
    for file in FILES {
        let file = directory.join(format!("monitoring.coreos.com_{file}.yaml"));
        plane.kubectl(&["apply", "--server-side", "-f", file.to_str().unwrap()]);
    }
    eventually("the server describes the kinds of the Prometheus operator", || async {
        let openapi: Value = serde_json::from_str(&plane.kubectl(&["get", "--raw", "/openapi/v2"])).unwrap();
        for kind in ["ServiceMonitor", "PodMonitor", "PrometheusRule"] {
            let definition = &openapi["definitions"][format!("com.coreos.monitoring.v1.{kind}")];
            if definition["properties"]["spec"].is_null() {
                return Err(format!("nothing of {kind}"));
            }
        }
        Ok(openapi)
    })
    .await
}
