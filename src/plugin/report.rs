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
use std::collections::BTreeSet;
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
    /// Kind, namespace and name of each object: Events are about one of them.
    objects: BTreeSet<(String, String, String)>,
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
                let mut chosen = found.items;
                chosen.retain(|it| self.is_about(name, it, gathered));
                let known = |it: &DynamicObject| (name.to_owned(), it.namespace().unwrap_or_default(), it.name_any());
                gathered.objects.extend(chosen.iter().map(known));
                let objects: Vec<String> = chosen.into_iter().filter_map(|it| yaml(it, &resource)).collect();
                if !objects.is_empty() {
                    gathered.files.push((format!("{}.yaml", name.to_lowercase()), objects.concat()));
                }
            }
        }
    }

    /// Whether an object has to do with the caches that are named.
    fn is_about(&self, kind: &str, object: &DynamicObject, gathered: &Gathered) -> bool {
        let names = &self.names.names;
        let field = |path: &str| object.data.pointer(path).and_then(|it| it.as_str()).unwrap_or_default().to_owned();
        if kind == "Event" {
            let about =
                (field("/involvedObject/kind"), field("/involvedObject/namespace"), field("/involvedObject/name"));
            return gathered.is_about(&about, names.is_empty());
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
    /// Whether an Event about an object belongs to what is gathered: the object is part of it, or is gone and was made for a part of
    /// it. `all`: every cache is meant, so what is of our kinds belongs to it, whether it is still there or not.
    fn is_about(&self, about: &(String, String, String), all: bool) -> bool {
        let (kind, namespace, name) = about;
        let of_ours = matches!(
            kind.as_str(),
            "ModelCache" | "ModelCacheReplica" | "ModelCacheBackup" | "ModelCacheRestore" | "NodeCachePool"
        );
        if self.objects.contains(about) || (all && of_ours) {
            return true;
        }
        // Jobs go once their result is recorded, with their pods; they are named after what they were made for.
        let made_for = |(kind, of, owner): &(String, String, String)| {
            let makes =
                matches!(kind.as_str(), "ModelCacheReplica" | "ModelCacheBackup" | "ModelCacheRestore" | "CronJob");
            let rest = name.strip_prefix(owner.as_str()).and_then(|it| it.strip_prefix('-'));
            makes && of == namespace && rest.is_some_and(is_of_job)
        };
        matches!(kind.as_str(), "Job" | "Pod") && self.objects.iter().any(made_for)
    }

    fn add(&mut self, name: &str, text: &str) {
        self.files.push((name.to_owned(), redact::text(text)));
    }
}

/// Whether this is what is behind an owner's name in that of a Job (a letter and a number, or the time of a CronJob) or of its pod
/// (five characters more).
fn is_of_job(rest: &str) -> bool {
    let (job, pod) = rest.split_once('-').map_or((rest, None), |(job, pod)| (job, Some(pod)));
    let number = job.trim_start_matches(|it: char| it.is_ascii_lowercase());
    let numbered = job.len() - number.len() <= 1 && !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit());
    numbered && pod.is_none_or(|it| it.len() == 5 && it.bytes().all(|it| it.is_ascii_alphanumeric()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_of_the_objects_that_are_gathered_and_of_jobs_that_were_made_for_them() {
        let object = |kind: &str, name: &str| (kind.to_owned(), "studio".to_owned(), name.to_owned());
        let objects = [object("ModelCache", "speech"), object("ModelCacheReplica", "speech-models-gpu-1-0f3a")];
        let gathered = Gathered { objects: objects.into(), ..Gathered::default() };
        for (kind, name, expected) in [
            ("ModelCache", "speech", true),
            ("ModelCache", "speech-large", false),
            ("ModelCacheReplica", "speech-models-gpu-1-0f3a", true),
            ("ModelCacheReplica", "speech-large-models-gpu-1-77aa", false),
            ("Job", "speech-models-gpu-1-0f3a-w12", true),
            ("Pod", "speech-models-gpu-1-0f3a-w12-x7k2p", true),
            ("Pod", "speech-models-gpu-1-0f3a-large-w12-x7k2p", false),
            ("Pod", "speech-x7k2p", false),
        ] {
            assert_eq!(gathered.is_about(&object(kind, name), false), expected, "{kind} {name}");
        }
        assert!(gathered.is_about(&object("ModelCache", "gone"), true), "every cache is meant");
        let elsewhere = ("ModelCache".to_owned(), "other".to_owned(), "speech".to_owned());
        assert!(!gathered.is_about(&elsewhere, false));
    }
}
