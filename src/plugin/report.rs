//! `report`: gathers what helps to find a fault, without secrets.
//!
//! Secrets are never read. What may not be read is named in `unread.txt`, and is no failure.

use super::error::Error;
use super::options::Names;
use super::print;
use super::render::progress::caches;
use super::render::redact;
use super::render::tables::{self, Look};
use super::session::Session;
use crate::api::{GROUP, VERSION, label};
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, ListParams, LogParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Lines of each pod's log at most.
const LINES: i64 = 2000;
/// What selects the operator's pods.
const OPERATOR: &str = "app.kubernetes.io/name=modelcache-operator";

/// Group, version and kind of what is gathered, and whether only what is labelled as ours.
const KINDS: [(&str, &str, &str, bool); 12] = [
    (GROUP, VERSION, "ModelCache", false),
    (GROUP, VERSION, "ModelCacheReplica", false),
    (GROUP, VERSION, "ModelCacheBackup", false),
    (GROUP, VERSION, "ModelCacheRestore", false),
    (GROUP, VERSION, "NodeCachePool", false),
    ("batch", "v1", "Job", true),
    ("batch", "v1", "CronJob", true),
    ("", "v1", "Pod", true),
    ("", "v1", "ConfigMap", true),
    ("", "v1", "PersistentVolumeClaim", true),
    ("", "v1", "PersistentVolume", true),
    ("", "v1", "Event", false),
];

/// Options of `report`.
#[derive(Args, Debug)]
pub struct Report {
    #[command(flatten)]
    names: Names,

    /// Where to. [default: modelcache-report-<time>.tar.gz]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What is gathered: names of files, and what is in them.
#[derive(Default)]
struct Gathered {
    files: Vec<(String, String)>,
    unread: Vec<String>,
}

impl Report {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        let now = Timestamp::now();
        let found = session.caches(&self.names.names).await?;
        let mut gathered = Gathered::default();
        let rows = caches(&found, &session.replicas().await?);
        let look = Look { namespaces: true, wide: true, paint: super::render::paint::Paint(false), now };
        gathered.add("status.txt", &tables::status(&rows, look));
        for kind in KINDS {
            self.objects(session, kind, &mut gathered).await;
        }
        self.logs(session, &mut gathered).await;
        let versions = session.client.apiserver_version().await;
        let server = versions.map_or_else(|error| Error::from(error).to_string(), |it| it.git_version);
        gathered.add("versions.txt", &format!("kubectl-modelcache {}\nserver {server}\n", env!("CARGO_PKG_VERSION")));
        if !gathered.unread.is_empty() {
            let unread = gathered.unread.join("\n") + "\n";
            gathered.add("unread.txt", &unread);
        }
        let directory = format!("modelcache-report-{}", now.strftime("%Y%m%d-%H%M%S"));
        let file = self.file.unwrap_or_else(|| PathBuf::from(format!("{directory}.tar.gz")));
        let failed = |error| Error::Io { what: file.display().to_string(), error };
        // For nobody else's eyes, although nothing secret should be in it; and never over something that is there.
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file).map_err(failed)?;
        write(opened, &directory, &gathered.files, now).map_err(failed)?;
        print::text(&format!(
            "{}: {} files; look through it before you send it\n",
            file.display(),
            gathered.files.len()
        ))
    }

    async fn objects(&self, session: &Session, kind: (&str, &str, &str, bool), gathered: &mut Gathered) {
        let (group, version, name, ours) = kind;
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, name));
        let client = session.client.clone();
        let cluster_wide = session.all || matches!(name, "NodeCachePool" | "PersistentVolume");
        let api: Api<DynamicObject> = if cluster_wide {
            Api::all_with(client, &resource)
        } else {
            Api::namespaced_with(client, &session.namespace, &resource)
        };
        let managed = format!("{}={}", label::MANAGED_BY, label::MANAGER);
        let parameters = if ours { ListParams::default().labels(&managed) } else { ListParams::default() };
        match api.list(&parameters).await {
            Err(error) => gathered.unread.push(format!("{name}: {}", Error::from(error))),
            Ok(found) => {
                let chosen = found.items.into_iter().filter(|it| self.is_about(name, it));
                let objects: Vec<String> = chosen.filter_map(|it| yaml(it, &resource)).collect();
                if !objects.is_empty() {
                    gathered.files.push((format!("{}.yaml", name.to_lowercase()), objects.concat()));
                }
            }
        }
    }

    /// Whether an object has to do with the caches that are named. An Event has where it is about something of ours.
    fn is_about(&self, kind: &str, object: &DynamicObject) -> bool {
        let names = &self.names.names;
        let field = |path: &str| object.data.pointer(path).and_then(|it| it.as_str()).unwrap_or_default().to_owned();
        if kind == "Event" {
            let about = field("/involvedObject/name");
            let kinds = ["ModelCache", "ModelCacheReplica", "ModelCacheBackup", "ModelCacheRestore", "NodeCachePool"];
            let of_ours = kinds.contains(&field("/involvedObject/kind").as_str());
            return (names.is_empty() && of_ours) || names.iter().any(|it| about.starts_with(it.as_str()));
        }
        let cache = match kind {
            "ModelCache" => object.name_any(),
            "ModelCacheReplica" | "ModelCacheBackup" => field("/spec/cache"),
            _ => object.labels().get(label::CACHE).cloned().unwrap_or_default(),
        };
        names.is_empty() || matches!(kind, "NodeCachePool" | "ModelCacheRestore") || names.contains(&cache)
    }

    async fn logs(&self, session: &Session, gathered: &mut Gathered) {
        let managed = format!("{}={}", label::MANAGED_BY, label::MANAGER);
        let everywhere = Api::<Pod>::all(session.client.clone());
        for (api, labels) in [(session.api::<Pod>(), managed.as_str()), (everywhere, OPERATOR)] {
            let pods = match session.list(&api, labels).await {
                Ok(pods) => pods,
                Err(error) => {
                    gathered.unread.push(format!("logs of {labels}: {error}"));
                    continue;
                }
            };
            let names = &self.names.names;
            let cache =
                |it: &Pod| it.labels().get(label::CACHE).is_none_or(|it| names.is_empty() || names.contains(it));
            for pod in pods.iter().filter(|it| cache(it)) {
                let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
                let api = Api::<Pod>::namespaced(session.client.clone(), &namespace);
                let parameters = LogParams { tail_lines: Some(LINES), timestamps: true, ..LogParams::default() };
                match api.logs(&name, &parameters).await {
                    Ok(log) => gathered.add(&format!("logs/{namespace}/{name}.log"), &log),
                    Err(error) => gathered.unread.push(format!("log of {namespace}/{name}: {}", Error::from(error))),
                }
            }
        }
    }
}

impl Gathered {
    fn add(&mut self, name: &str, text: &str) {
        self.files.push((name.to_owned(), redact::text(text)));
    }
}

/// A YAML document of an object, without secrets.
fn yaml(object: DynamicObject, resource: &ApiResource) -> Option<String> {
    let mut value = serde_json::to_value(object).ok()?;
    value["apiVersion"] = resource.api_version.clone().into();
    value["kind"] = resource.kind.clone().into();
    redact::object(&mut value);
    Some(format!("---\n{}\n", serde_saphyr::to_string(&value).ok()?.trim_end()))
}

fn write(out: impl Write, directory: &str, files: &[(String, String)], now: Timestamp) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(out, Compression::default()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now.as_second()).unwrap_or(0));
        archive.append_data(&mut header, format!("{directory}/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.flush()
}
