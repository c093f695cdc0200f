//! What does a ModelCache mean without a cluster? Read from YAML, and checked as the API server would.

use super::failure::Failure;
use super::layout;
use super::layout::publish::Publisher;
use super::layout::safe_path::Root;
use super::source::name;
use crate::api::name::is_label;
use crate::api::pod_template::ConfigMapKeyRef;
use crate::api::source::Source;
use crate::api::timetable::Timetable;
use crate::api::{ModelCache, Reason, crds};
use crate::contract::plan::Pin;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Largest file of YAML that is read, in bytes.
const LIMIT: u64 = 4 << 20;

/// The caches of a file of YAML. Documents of other kinds are left to the cluster.
///
/// # Errors
/// `InvalidSpec`, with the file and what is wrong in it.
pub fn read(path: &Path) -> Result<Vec<ModelCache>, Failure> {
    let invalid = |what: String| Failure::new(Reason::InvalidSpec, format!("{}: {what}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| invalid(error.to_string()))?.len();
    if size > LIMIT {
        return Err(invalid(format!("has {size} bytes, more than any ModelCache")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| invalid(error.to_string()))?;
    let caches: Result<Vec<ModelCache>, Failure> = documents
        .into_iter()
        .filter(|document| document.get("kind").and_then(Value::as_str) == Some("ModelCache"))
        .map(|document| cache(document).map_err(|failure| invalid(failure.message)))
        .collect();
    match caches? {
        none if none.is_empty() => Err(invalid("has no document of kind ModelCache".into())),
        caches => Ok(caches),
    }
}

/// What a ConfigMap among the documents of a file of YAML has under a key.
pub fn config_map(path: &Path, reference: &ConfigMapKeyRef) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).ok()?;
    let named = |it: &&Value| it["kind"] == "ConfigMap" && it["metadata"]["name"] == reference.name.as_str();
    let found = documents.iter().find(named)?;
    found["data"][&reference.key].as_str().map(str::to_owned)
}

fn cache(document: Value) -> Result<ModelCache, Failure> {
    let invalid = |what: String| Failure::new(Reason::InvalidSpec, what);
    let expected = format!("{}/{}", crate::api::GROUP, crate::api::VERSION);
    if document.get("apiVersion").and_then(Value::as_str) != Some(expected.as_str()) {
        return Err(invalid(format!("the apiVersion of a ModelCache must be {expected}")));
    }
    if let Some(field) = unknown_field(&document) {
        return Err(invalid(format!("`{field}` is no field of a ModelCache")));
    }
    let cache: ModelCache = serde_json::from_value(document).map_err(|error| invalid(error.to_string()))?;
    check(&cache).map_err(invalid)?;
    Ok(cache)
}

/// The first field of `spec` that the CRD's schema does not have.
fn unknown_field(document: &Value) -> Option<String> {
    let crds = crds::all();
    let crd = crds.iter().map(|(_, crd)| crd).find(|crd| crd["spec"]["names"]["kind"] == "ModelCache")?;
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    unknown_below("spec", document.get("spec")?, schema)
}

fn unknown_below(at: &str, value: &Value, schema: &Value) -> Option<String> {
    match value {
        Value::Object(fields) => {
            let properties = schema.get("properties").and_then(Value::as_object)?;
            fields.iter().find_map(|(name, value)| match properties.get(name) {
                Some(schema) => unknown_below(&format!("{at}.{name}"), value, schema),
                None => Some(format!("{at}.{name}")),
            })
        }
        Value::Array(items) => {
            let schema = schema.get("items")?;
            items.iter().enumerate().find_map(|(index, item)| unknown_below(&format!("{at}[{index}]"), item, schema))
        }
        _ => None,
    }
}

/// The rules of the CRD that the agent relies on: names and paths become paths on the disk.
pub(in crate::agent) fn check(cache: &ModelCache) -> Result<(), String> {
    let name = cache.metadata.name.as_deref().unwrap_or_default();
    if !is_label(name) {
        return Err(format!("metadata.name must be a DNS label of at most 63 characters, not {name:?}"));
    }
    let spec = &cache.spec;
    if spec.volumes.is_empty() || spec.volumes.len() > 8 || spec.sources.len() > 32 {
        return Err("a ModelCache has 1 to 8 volumes and up to 32 sources".into());
    }
    let names =
        spec.volumes.iter().map(|it| ("volume", &it.name)).chain(spec.sources.iter().map(|it| ("source", &it.name)));
    Timetable::of(spec).map_err(|invalid| invalid.to_string())?;
    let mut seen = BTreeSet::new();
    for (what, name) in names {
        if !is_label(name) {
            return Err(format!("the name of a {what} must be a DNS label of at most 63 characters, not {name:?}"));
        }
        if !seen.insert((what, name)) {
            return Err(format!("two {what}s are called {name:?}"));
        }
    }
    for volume in &spec.volumes {
        for path in &volume.directories {
            let bad = name::check(path).err().map(|bad| bad.to_string());
            let ours = path.split('/').any(|part| part == layout::OWN).then(|| "is the cache's own".to_owned());
            if let Some(bad) = bad.or(ours) {
                return Err(format!("volume {:?}: directory {path:?} {bad}", volume.name));
            }
        }
    }
    if let Some(cleanup) = &spec.cleanup {
        super::clean::check::check(spec, cleanup)?;
    }
    for source in &spec.sources {
        if spec.volume_of(source).is_none() {
            return Err(format!(
                "source {:?} must name one of `volumes`; `volume` may be left out only when there is one volume",
                source.name
            ));
        }
        layout::key(source).map_err(|failure| failure.message)?;
        if let Some(field) = with_credentials("", &serde_json::to_value(source).unwrap_or_default()) {
            return Err(format!("source {:?}: `{field}` must not hold a user name or password", source.name));
        }
    }
    Ok(())
}

/// The first field that is a URL with a user name or password: it would be shown in messages and kept in manifests.
fn with_credentials(at: &str, value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| with_credentials(name, value)),
        Value::String(text) => {
            let url = url::Url::parse(text).ok().filter(|it| matches!(it.scheme(), "http" | "https"))?;
            (!url.username().is_empty() || url.password().is_some()).then(|| at.to_owned())
        }
        _ => None,
    }
}

/// What the sources of a cache resolved to when they were last resolved: what the plan `ConfigMap` is in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pins(BTreeMap<String, Kept>);

/// A pin, and the spec it was made for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    spec: String,
    pin: Pin,
}

impl Pins {
    /// The pins on a volume; none when there are none that can be read.
    pub fn read(root: &Root, cache: &str) -> Result<Self, Failure> {
        let bytes = root.read(&path(cache), LIMIT)?;
        Ok(bytes.and_then(|it| serde_json::from_slice(&it).ok()).unwrap_or_default())
    }

    /// The pin of a source, as long as its spec is what it was.
    pub fn get(&self, source: &Source) -> Option<&Pin> {
        self.0.get(&source.name).filter(|kept| kept.spec == source.spec_hash()).map(|kept| &kept.pin)
    }

    /// Keeps a pin.
    pub fn keep(&mut self, source: &Source, pin: Pin) {
        self.0.insert(source.name.clone(), Kept { spec: source.spec_hash(), pin });
    }

    /// Writes the pins.
    pub fn write(&self, root: &Root, cache: &str) -> Result<(), Failure> {
        let mut publisher = Publisher::new(root, format!("{}/pins", layout::state(cache)))?;
        publisher.file(&path(cache), &serde_json::to_vec_pretty(self).unwrap_or_default())?;
        Ok(publisher.finish()?)
    }
}

fn path(cache: &str) -> String {
    format!("{}/pins.json", layout::state(cache))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(spec: &str) -> Result<Vec<ModelCache>, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: hf}}\n---\napiVersion: modelcache.dev/v1alpha1\nkind: \
             ModelCache\nmetadata: {{name: studio, labels: {{a: b}}}}\nspec: {spec}\n"
        );
        std::fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn documents_of_other_kinds_are_left_alone() {
        let spec = "{volumes: [{name: models, shared: {size: 1Gi}}], sources: [{name: a, huggingFace: {repo: o/n}}]}";
        let caches = parse(spec).unwrap();
        assert_eq!(caches.len(), 1);
        assert_eq!(caches[0].spec.sources[0].name, "a");
    }

    #[test]
    fn what_the_api_server_would_refuse_is_refused_here_with_its_place() {
        let volume = "volumes: [{name: models, shared: {size: 1Gi}}]";
        for (spec, word) in [
            (format!("{{{volume}, sorces: []}}"), "`spec.sorces` is no field"),
            (format!("{{{volume}, sources: [{{name: a, http: {{uri: x}}}}]}}"), "`spec.sources[0].http.uri`"),
            (format!("{{{volume}, sources: [{{name: ../a, http: {{url: 'http://x/y'}}}}]}}"), "DNS label"),
            (format!("{{{volume}, sources: [{{name: a, http: {{url: 'http://x/y', path: ../y}}}}]}}"), "`..`"),
            (
                format!("{{{volume}, sources: [{{name: a, volume: b, http: {{url: 'http://x/y'}}}}]}}"),
                "must name one of",
            ),
            (format!("{{{volume}, sources: [{{name: a}}]}}"), "exactly one kind"),
            (format!("{{{volume}, timeZone: Mars/Olympus}}"), "spec.timeZone: timeZone `Mars/Olympus` must be"),
            (format!("{{{volume}, verify: {{deep: 0 2 30 2 *}}}}"), "spec.verify.deep: schedule `0 2 30 2 *` must be"),
            ("{volumes: [{name: m, shared: {size: 1Gi}, directories: [.modelcache/x]}]}".into(), "own"),
            (
                format!("{{{volume}, sources: [{{name: a, nltk: {{packages: [x], endpoint: 'https://me:pw@x'}}}}]}}"),
                "`endpoint` must not hold a user name",
            ),
        ] {
            let failure = parse(&spec).unwrap_err();
            assert_eq!(failure.reason, Reason::InvalidSpec);
            assert!(failure.message.contains(word), "{spec}: {failure}");
        }
    }

    #[test]
    fn a_pin_holds_until_the_sources_own_spec_changes() {
        let volume = tempfile::tempdir().unwrap();
        let root = Root::open(volume.path()).unwrap();
        let spec = "{volumes: [{name: models, shared: {size: 1Gi}}], sources: [{name: a, huggingFace: {repo: o/n}}]}";
        let mut source = parse(spec).unwrap()[0].spec.sources[0].clone();
        let mut pins = Pins::default();
        pins.keep(&source, Pin { revision: "r".into(), files: 1, bytes: 1, digest: "d".into() });
        pins.write(&root, "studio").unwrap();
        let pins = Pins::read(&root, "studio").unwrap();
        assert!(pins.get(&source).is_some());
        source.hugging_face.as_mut().unwrap().revision = Some("v1".into());
        assert!(pins.get(&source).is_none());
    }
}
