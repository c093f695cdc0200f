//! Models in a registry, with the real one: what is pushed by a registry's own client is on the volume, byte for byte.

use crate::bench::{Bench, bare, paths, ran, until};
use crate::registry::blobs::BlobServer;
use crate::registry::program::program;
use crate::registry::push::{DOCKER_MANIFEST, INDEX, MANIFEST, descriptor, digest, noise};
use crate::registry::{Access, Registry};
use modelcache::contract::outcome::Outcome;
use modelcache::contract::plan::{Pin, Plan, PlannedSource};
use serde_json::{Value, json};

const WEIGHT: &str = "application/vnd.cncf.model.weight.v1.raw";
const PACK: &str = "application/vnd.cncf.model.config.v1+json";
const KIT: &str = "application/vnd.kitops.modelkit.config.v1+json";

fn read(bench: &Bench, path: &str) -> Vec<u8> {
    std::fs::read(bench.volume().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files on the volume.
fn files(bench: &Bench) -> Vec<String> {
    bench.published().into_iter().filter(|path| bench.volume().join(path).is_file()).collect()
}

fn pin(bench: &Bench, source: &Value) -> Pin {
    let message = bench.path("termination-log");
    let mut command = bare(&["resolve", "-o", "json", "--termination-message"]);
    let ran = ran(command.arg(&message).env("MODELCACHE_SOURCE", source.to_string()).output().unwrap());
    let outcome = Outcome::parse(&std::fs::read_to_string(message).unwrap()).unwrap();
    assert_eq!(ran.code, 0, "{}", outcome.message);
    outcome.pin.unwrap()
}

/// Prefetches a source at a pin, as a node does.
fn at(bench: &Bench, source: &Value, pin: Pin) -> crate::bench::Ran {
    let source = serde_json::from_value(source.clone()).unwrap();
    let plan = Plan { sources: vec![PlannedSource { source, pin }], ..Plan::new("studio", "models") };
    let file = bench.path("plan.json");
    std::fs::write(&file, plan.to_json()).unwrap();
    std::fs::create_dir_all(bench.volume()).unwrap();
    let mut command = bare(&["prefetch", "-o", "json", "--plan"]);
    ran(command.arg(file).arg("--volumes-dir").arg(bench.path("volumes")).output().unwrap())
}

#[test]
fn a_model_pack_is_its_files() {
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Open));
    let (weights, tokens) = (noise(1, 3 << 20), noise(2, 1000));
    let layers: [(&str, Option<&str>, &[u8]); 4] = [
        ("application/vnd.cncf.model.weight.v1.safetensors", Some("model/weights.safetensors"), &weights),
        ("application/vnd.cncf.model.weight.config.v1.raw", Some("model/tokenizer.json"), &tokens),
        ("application/vnd.cncf.model.doc.v1.raw", Some("README.md"), b"read me"),
        ("application/vnd.cncf.model.weight.v1.raw", Some("empty"), b""),
    ];
    let digest =
        registry.pusher().artifact("team/pack:v1", Some("application/vnd.cncf.model.manifest.v1+json"), PACK, &layers);
    bench.cache(&[registry.source("pack", "team/pack:v1", &json!({}))]);
    bench.prefetch();
    for (_, name, bytes) in layers {
        assert!(read(&bench, &format!("oci/pack/{}", name.unwrap())) == bytes, "{name:?}");
    }
    assert_eq!(files(&bench).len(), 4);
    let manifest = std::fs::read_to_string(bench.volume().join(".modelcache/studio/manifests/pack.json")).unwrap();
    assert!(manifest.contains(&digest));
    assert_eq!(bench.run(&["verify", "--deep"]).code, 0);

    let again = bench.prefetch();
    assert_eq!(again.fetched(), 0);

    bench.cache(&[registry.source("pack", "team/pack:v1", &json!({"exclude": ["*.md"], "path": "elsewhere"}))]);
    bench.prefetch();
    let published = bench.published();
    assert!(published.contains(&"elsewhere/model/weights.safetensors".to_owned()), "{published:?}");
    assert!(!published.contains(&"elsewhere/README.md".to_owned()));
}

#[test]
fn a_model_kit_is_its_files_and_its_kitfile() {
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Open));
    let weights = noise(3, 2 << 20);
    let layers: [(&str, Option<&str>, &[u8]); 2] = [
        ("application/vnd.kitops.modelkit.model.v1.raw", Some("model.gguf"), &weights),
        ("application/vnd.kitops.modelkit.docs.v1.raw", Some("docs/a.md"), b"words"),
    ];
    registry.pusher().artifact("kit:v1", None, KIT, &layers);
    bench.cache(&[registry.source("kit", "kit:v1", &json!({}))]);
    bench.prefetch();
    assert!(read(&bench, "oci/kit/model.gguf") == weights);
    assert_eq!(read(&bench, "oci/kit/docs/a.md"), b"words");
    assert_eq!(read(&bench, "oci/kit/Kitfile"), br#"{"manifestVersion":"1.0.0"}"#);
}

#[test]
fn layers_that_are_archives_become_the_files_in_them() {
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Open));
    let weights = noise(5, 2 << 20);
    let tar = |files: &[(&str, &[u8])]| {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    };
    let model = tar(&[("model/weights.bin", &weights), ("model/config.json", b"{}")]);
    let docs = zstd::encode_all(tar(&[("docs/a.md", b"words")]).as_slice(), 1).unwrap();
    let layers: [(&str, Option<&str>, &[u8]); 3] = [
        ("application/vnd.kitops.modelkit.model.v1.tar", Some("model"), &model),
        ("application/vnd.kitops.modelkit.docs.v1.tar+zstd", None, &docs),
        ("application/vnd.kitops.modelkit.code.v1.raw", Some("run.py"), b"pass"),
    ];
    registry.pusher().artifact("kit:v1", None, KIT, &layers);
    bench.cache(&[registry.source("kit", "kit:v1", &json!({}))]);
    bench.prefetch();
    assert!(read(&bench, "oci/kit/model/weights.bin") == weights);
    assert_eq!(read(&bench, "oci/kit/model/config.json"), b"{}");
    assert_eq!(read(&bench, "oci/kit/docs/a.md"), b"words");
    assert_eq!(read(&bench, "oci/kit/run.py"), b"pass");
    assert_eq!(read(&bench, "oci/kit/Kitfile"), br#"{"manifestVersion":"1.0.0"}"#);
    assert_eq!(bench.run(&["verify", "--deep"]).code, 0);
    assert_eq!(bench.prefetch().fetched(), 0);

    // One damaged file brings its own layer again, and no other.
    std::fs::write(bench.volume().join("oci/kit/model/config.json"), b"[]").unwrap();
    assert_eq!(bench.run(&["verify", "--deep"]).code, 33);
    bench.prefetch().fetched_once(model.len() as u64);
    assert_eq!(read(&bench, "oci/kit/model/config.json"), b"{}");

    bench.cache(&[registry.source("kit", "kit:v1", &json!({"path": "."}))]);
    bench.run(&["resolve"]).failed(2, "InvalidSpec", &["a directory of their own", "`path`"]);
}

/// Pushes a model as Ollama has it; returns its manifest.
fn ollama(registry: &Registry, artifact: &str, weights: &[u8]) -> Value {
    let pusher = registry.pusher();
    let parts: [(&str, &[u8]); 4] = [
        ("application/vnd.docker.container.image.v1+json", br#"{"model_format":"gguf","model_family":"llama"}"#),
        ("application/vnd.ollama.image.model", weights),
        ("application/vnd.ollama.image.template", b"{{ .Prompt }}"),
        ("application/vnd.ollama.image.params", br#"{"stop":["x"]}"#),
    ];
    for (_, bytes) in parts {
        pusher.blob(artifact, bytes);
    }
    let [config, layers @ ..] = parts.map(|(kind, bytes)| descriptor(kind, bytes));
    let manifest = json!({"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": layers});
    pusher.manifest(artifact, DOCKER_MANIFEST, &manifest);
    manifest
}

#[test]
fn a_model_of_ollama_is_its_store() {
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Open));
    let weights = noise(4, 2 << 20);
    let manifest = ollama(&registry, "library/tiny:3b", &weights);
    bench.cache(&[registry.source("tiny", "library/tiny:3b", &json!({"layout": "Ollama"}))]);
    bench.prefetch();
    let path = format!("ollama/manifests/{}/library/tiny/3b", registry.host);
    let found: Value = serde_json::from_slice(&read(&bench, &path)).unwrap();
    assert_eq!(found, manifest);
    // Ollama's own code finds the model by its name and opens every part of it.
    let name = format!("{}/library/tiny:3b", registry.host);
    let mut ollama = std::process::Command::new(program("ollama"));
    let output = ollama.arg(&name).env("OLLAMA_MODELS", bench.volume().join("ollama")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["names"], json!([name]));
    let mut parts = vec![manifest["config"].clone()];
    parts.extend(manifest["layers"].as_array().unwrap().clone());
    assert_eq!(said["layers"], json!(parts));
    assert_eq!(files(&bench).len(), 5, "nothing else is in the store: {:?}", files(&bench));

    // Other bytes of the same length: only its hash tells.
    let mut changed = read(&bench, &path);
    changed[10] ^= 1;
    std::fs::write(bench.volume().join(&path), changed).unwrap();
    bench.prefetch();
    assert_eq!(serde_json::from_slice::<Value>(&read(&bench, &path)).unwrap(), manifest);
}

#[test]
fn the_layout_must_be_one_that_the_artifact_can_have() {
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Open));
    ollama(&registry, "library/tiny:1", b"weights");
    registry.pusher().model_pack("team/pack:1", &[("a.bin", b"a")]);
    for (artifact, more, word) in [
        ("library/tiny:1", json!({"layout": "Files"}), "set `layout: Ollama`"),
        ("library/tiny:1", json!({}), "set `layout: Ollama`"),
        ("library/tiny:1", json!({"layout": "Ollama", "exclude": ["x"]}), "remove `include` and `exclude`"),
        ("team/pack:1", json!({"layout": "Ollama"}), "a ModelPack, which Ollama's store cannot hold"),
    ] {
        bench.cache(&[registry.source("x", artifact, &more)]);
        bench.run(&["prefetch"]).failed(2, "InvalidSpec", &[word]);
    }
}

#[test]
fn an_index_leads_to_the_models_own_manifest() {
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Open));
    let pusher = registry.pusher();
    let image = pusher.artifact("a:image", None, "application/vnd.oci.image.config.v1+json", &[]);
    let model = pusher.model_pack("a:model", &[("a.bin", b"the model")]);
    let entry = |digest: &str, more: Value| {
        let size = std::fs::metadata(registry.blob(digest)).unwrap().len();
        let mut entry = json!({"mediaType": MANIFEST, "digest": digest, "size": size});
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        entry
    };
    let entries = [
        entry(&image, json!({"platform": {"os": "linux", "architecture": "amd64"}})),
        entry(&model, json!({"artifactType": "application/vnd.cncf.model.manifest.v1+json"})),
    ];
    pusher.manifest("a:v1", INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}));
    let source = registry.source("x", "a:v1", &json!({}));
    assert_eq!(pin(&bench, &source).revision, model);
    bench.cache(&[source]);
    bench.prefetch();
    assert_eq!(read(&bench, "oci/x/a.bin"), b"the model");
}

#[test]
fn every_node_gets_the_digest_that_was_resolved_wherever_the_tag_has_moved() {
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Open));
    let first = registry.pusher().model_pack("a:latest", &[("a.bin", b"first")]);
    let source = registry.source("x", "a", &json!({}));
    let pinned = pin(&bench, &source);
    assert_eq!(pinned.revision, first);
    let second = registry.pusher().model_pack("a:latest", &[("a.bin", b"second")]);
    assert_eq!(pin(&bench, &source).revision, second);
    assert_eq!(at(&bench, &source, pinned).code, 0);
    assert_eq!(read(&bench, "oci/x/a.bin"), b"first");

    let by_digest = registry.source("x", &format!("a@{first}"), &json!({}));
    assert_eq!(pin(&bench, &by_digest).revision, first);
}

#[test]
fn other_bytes_behind_the_right_digest_are_never_published() {
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Open));
    let weights = noise(5, 3 << 20);
    let manifest = registry.pusher().model_pack("a:1", &[("a.bin", &weights), ("b.json", b"{}")]);
    std::fs::write(registry.blob(&digest(&weights)), noise(6, 3 << 20)).unwrap();
    bench.cache(&[registry.source("x", "a:1", &json!({}))]);
    bench.run(&["prefetch"]).failed(30, "ChecksumMismatch", &["a.bin", "nothing was published"]);
    assert!(!bench.volume().join("oci/x/a.bin").exists());
    assert_eq!(bench.current(), None);

    // A manifest with other bytes is refused before anything of it is believed.
    let mut bytes = std::fs::read(registry.blob(&manifest)).unwrap();
    let at = bytes.windows(5).position(|it| it == b"a.bin").unwrap();
    bytes[at] = b'c';
    std::fs::write(registry.blob(&manifest), bytes).unwrap();
    let by_digest = registry.source("x", &format!("a@{manifest}"), &json!({}));
    bench.cache(&[by_digest]);
    bench.run(&["prefetch"]).failed(30, "ChecksumMismatch", &[&manifest, "nothing was taken"]);
}

#[test]
fn what_is_no_model_is_refused_by_name() {
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Open));
    let pusher = registry.pusher();
    let image = "application/vnd.oci.image.config.v1+json";
    pusher.artifact("image:1", None, image, &[("application/vnd.oci.image.layer.v1.tar", None, b"tar")]);
    pusher.artifact("chart:1", None, "application/vnd.cncf.helm.config.v1+json", &[("application/x", None, b"x")]);
    pusher.artifact("odd:1", None, PACK, &[("application/vnd.oci.image.layer.v1.tar", Some("x"), b"tar")]);
    pusher.artifact("bare:1", None, PACK, &[(WEIGHT, None, b"x")]);
    for (artifact, words) in [
        ("image:1", ["a container image", "a CNCF ModelPack, a KitOps ModelKit or a model of Ollama"]),
        ("chart:1", ["application/vnd.cncf.helm.config.v1+json", "ModelPack"]),
        ("odd:1", ["application/vnd.oci.image.layer.v1.tar", "no model is known to have"]),
        ("bare:1", ["without a file name", "org.cncf.model.filepath"]),
    ] {
        bench.cache(&[registry.source("x", artifact, &json!({}))]);
        bench.run(&["resolve"]).failed(2, "InvalidSpec", &words);
    }
}

#[test]
fn names_that_leave_their_directory_are_refused_with_all_of_their_artifact() {
    for (name, code, reason) in [
        ("../../../evil", 31, "ListingMismatch"),
        ("/etc/evil", 31, "ListingMismatch"),
        ("a/../../evil", 31, "ListingMismatch"),
        ("a\\..\\evil", 31, "ListingMismatch"),
        ("a\nb", 31, "ListingMismatch"),
        (".modelcache/studio/manifests/y.json", 2, "InvalidSpec"),
    ] {
        let (bench, registry) = (Bench::new(), Registry::start(&Access::Open));
        registry.pusher().model_pack("a:1", &[("good.bin", b"good"), (name, b"evil")]);
        bench.cache(&[registry.source("x", "a:1", &json!({"path": "."}))]);
        bench.run(&["prefetch"]).failed(code, reason, &[]);
        assert_eq!(bench.published(), Vec::<String>::new(), "{name}");
        let everything = paths(&bench.path("")).into_iter().filter(|path| path.contains("evil")).count();
        assert_eq!(everything, 0, "{name}");
    }
}

#[test]
fn a_killed_run_is_resumed() {
    let blobs = BlobServer::start();
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Elsewhere(&blobs.url)));
    blobs.serve(registry.data());
    let size = 160 << 20;
    let weights = noise(7, size);
    registry.pusher().model_pack("a:1", &[("a.bin", &weights)]);
    bench.cache(&[registry.source("x", "a:1", &json!({}))]);
    let mut child = bench.start(&["prefetch", "--max-bandwidth", "20000000", "--connections", "2"]);
    // Two ranges of 16 MiB are under way: what was asked before them has arrived.
    until("most of it was asked for", || blobs.asked() >= size * 4 / 5);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(files(&bench), Vec::<String>::new());
    let rest = bench.prefetch().fetched();
    assert!(rest < size as u64 * 3 / 4, "{rest} bytes of {size} were fetched again");
    assert!(read(&bench, "oci/x/a.bin") == weights);
}
