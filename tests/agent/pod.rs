//! The commands as the operator's Jobs run them: everything mounted, the outcome in the termination message.

use crate::bench::{Bench, Ran, bare, ran};
use crate::hub::READER;
use modelcache::api::source::Source;
use modelcache::contract::outcome::Outcome;
use modelcache::contract::plan::{Plan, PlannedSource};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Resolves a source as a resolve Job does.
fn resolve(bench: &Bench, source: &Value) -> (Ran, Outcome) {
    let message = bench.path("termination-log");
    let mut command = bare(&["resolve", "-o", "json", "--secrets-dir"]);
    command.arg(bench.path("secrets")).arg("--termination-message").arg(&message);
    let ran = ran(command.env("MODELCACHE_SOURCE", source.to_string()).output().unwrap());
    (ran, Outcome::parse(&std::fs::read_to_string(message).unwrap()).unwrap())
}

/// `prefetch` of a plan as attempt `number` of a warm-up Job runs it; its outcome goes to this file.
pub fn attempt(bench: &Bench, plan: &Plan, number: u64, message: &Path) -> Command {
    let file = bench.path("plan.json");
    std::fs::write(&file, plan.to_json()).unwrap();
    std::fs::create_dir_all(bench.volume()).unwrap();
    let mut command = bare(&["prefetch", "-o", "json", "--owner", "0b7c-uid", "--attempt", &number.to_string()]);
    command.arg("--plan").arg(file).arg("--volumes-dir").arg(bench.path("volumes"));
    command.arg("--secrets-dir").arg(bench.path("secrets")).arg("--termination-message").arg(message);
    command
}

/// Prefetches a plan as attempt `number` of a warm-up Job does.
fn prefetch(bench: &Bench, plan: &Plan, number: u64) -> (Ran, Outcome) {
    let message = bench.path("termination-log");
    let ran = ran(attempt(bench, plan, number, &message).output().unwrap());
    (ran, Outcome::parse(&std::fs::read_to_string(message).unwrap()).unwrap())
}

/// The plan of one source, as the operator makes it of what a resolve Job said.
pub fn plan(bench: &Bench, source: &Value) -> Plan {
    let (ran, outcome) = resolve(bench, source);
    assert_eq!(ran.code, 0, "{}", outcome.message);
    let source: Source = serde_json::from_value(source.clone()).unwrap();
    Plan { sources: vec![PlannedSource { source, pin: outcome.pin.unwrap() }], ..Plan::new("studio", "models") }
}

#[test]
fn what_was_resolved_once_is_what_every_node_has() {
    let bench = Bench::new();
    let plan = plan(&bench, &bench.repo("x", "demo/tiny-llm", &json!({})));
    bench.hub.control("move?repo=demo/tiny-llm");
    let (ran, outcome) = prefetch(&bench, &plan, 1);
    assert_eq!(ran.code, 0, "{}", outcome.message);
    let evidence = outcome.evidence.unwrap();
    assert_eq!((&evidence.plan, evidence.files, evidence.bytes), (&plan.content_hash(), plan.files(), plan.bytes()));
    assert_eq!((evidence.hashed_files, evidence.fetched_bytes), (plan.files(), plan.bytes()));
    assert_eq!(bench.main("demo/tiny-llm"), plan.sources[0].pin.revision);
    assert_eq!(bench.current().unwrap(), plan.content_hash());
}

#[test]
fn a_secret_that_is_not_mounted_is_named_and_one_that_is_is_used() {
    let bench = Bench::new();
    bench.hub.repo("org/private=a.bin:1Mi;private");
    let source = bench.repo("x", "org/private", &json!({"tokenSecretRef": {"name": "hf", "key": "hub-token"}}));
    let (ran, outcome) = resolve(&bench, &source);
    assert_eq!(ran.code, 13);
    assert!(outcome.message.contains("key `hub-token` of Secret `hf` does not exist"), "{}", outcome.message);

    std::fs::create_dir_all(bench.path("secrets/x")).unwrap();
    std::fs::write(bench.path("secrets/x/token"), "hf_wrong").unwrap();
    let (ran, outcome) = resolve(&bench, &source);
    assert_eq!(ran.code, 10);
    assert!(outcome.message.contains("key `hub-token` of Secret `hf`"), "{}", outcome.message);
    assert!(!outcome.message.contains("hf_wrong"));

    std::fs::write(bench.path("secrets/x/token"), format!("{READER}\n")).unwrap();
    let plan = plan(&bench, &source);
    assert_eq!(prefetch(&bench, &plan, 1).0.code, 0);
    assert_eq!(bench.hub.counters().authorized_cdn_requests, 0);
}

#[test]
fn a_lower_attempt_gives_way() {
    let bench = Bench::new();
    let plan = plan(&bench, &bench.repo("x", "demo/tiny-llm", &json!({})));
    assert_eq!(prefetch(&bench, &plan, 7).0.code, 0);
    prefetch(&bench, &plan, 6).0.failed(50, "Superseded", &["6"]);
    assert_eq!(prefetch(&bench, &plan, 7).0.code, 0);
    assert_eq!(prefetch(&bench, &plan, 8).0.code, 0);
}

#[test]
fn going_back_to_an_earlier_plan_fetches_nothing_and_what_is_kept_for_it_counts_as_used() {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:2Mi,b.json:100");
    let source = bench.repo("x", "org/x", &json!({}));
    let first = plan(&bench, &source);
    bench.hub.control("move?repo=org/x");
    let second = plan(&bench, &source);
    assert_eq!(prefetch(&bench, &first, 1).1.evidence.unwrap().fetched_bytes, first.bytes());
    assert_eq!(prefetch(&bench, &second, 2).1.evidence.unwrap().fetched_bytes, second.bytes());
    assert_eq!(prefetch(&bench, &first, 3).1.evidence.unwrap().fetched_bytes, 0);
    assert_eq!(bench.main("org/x"), first.sources[0].pin.revision);
    assert_eq!(bench.current().unwrap(), first.content_hash());

    bench.hub.control("move?repo=org/x");
    bench.cache(&[source]);
    let third = bench.run(&["prefetch", "--refresh", "--budget", "5000000"]);
    third.failed(40, "InsufficientSpace", &["4.0 MiB that the cache holds"]);
}

#[test]
fn two_caches_on_one_volume_share_the_files_and_not_the_state() {
    let bench = Bench::new();
    let one = plan(&bench, &bench.repo("x", "demo/tiny-llm", &json!({})));
    let other = Plan { cache: "other".into(), ..one.clone() };
    assert_eq!(prefetch(&bench, &one, 9).0.code, 0);
    let (ran, outcome) = prefetch(&bench, &other, 1);
    assert_eq!((ran.code, outcome.evidence.unwrap().fetched_bytes), (0, 0));
    let current = std::fs::read_to_string(bench.volume().join(".modelcache/other/current")).unwrap();
    assert_eq!(current.trim(), other.content_hash());
    assert_eq!(bench.current().unwrap(), one.content_hash());
}

#[test]
fn a_listing_that_is_not_the_one_resolved_is_refused() {
    let bench = Bench::new();
    let mut plan = plan(&bench, &bench.repo("x", "demo/tiny-llm", &json!({})));
    plan.sources[0].pin.digest = "0".repeat(64);
    prefetch(&bench, &plan, 1).0.failed(31, "ListingMismatch", &["source `x`", "nothing was taken"]);
    assert_eq!(bench.published(), Vec::<String>::new());
}

#[test]
fn a_plan_of_another_version_and_one_that_is_not_there_are_clear_errors() {
    let bench = Bench::new();
    let path = bench.path("plan.json");
    let run = || ran(bare(&["prefetch", "-o", "json", "--plan", path.to_str().unwrap()]).output().unwrap());
    run().failed(2, "InvalidSpec", &["plan.json", "--plan"]);
    std::fs::write(&path, r#"{"version": 99}"#).unwrap();
    run().failed(2, "InvalidSpec", &["version 99"]);
}

#[test]
fn a_directory_is_prepared_and_purged_by_its_name_alone() {
    let bench = Bench::new();
    let (pool, name) = (bench.path("pool"), "0b7c-11_studio_models");
    std::fs::create_dir_all(pool.join("foreign")).unwrap();
    let message = bench.path("termination-log");
    let run = |verb: &str, name: &str, more: &[&str]| {
        let mut command = bare(&[verb, "-o", "json", "--name", name, "--root"]);
        ran(command.arg(&pool).args(more).arg("--termination-message").arg(&message).output().unwrap())
    };
    let (uid, gid) = (rustix::process::getuid().as_raw().to_string(), rustix::process::getgid().as_raw().to_string());
    let owner = ["--uid", &uid, "--gid", &gid];
    let kubelet = bench.path("kubelet");
    std::fs::create_dir(&kubelet).unwrap();
    let checked = [&owner[..], &["--kubelet-directory", kubelet.to_str().unwrap()]].concat();
    run("prepare-directory", name, &checked).failed(60, "PoolPathForbidden", &["allowRootFilesystem"]);
    assert!(!pool.join(name).exists());
    run("prepare-directory", "../evil", &checked).failed(2, "InvalidSpec", &["evil"]);

    let allowed = [&owner[..], &["--allow-root-filesystem"]].concat();
    let made = run("prepare-directory", name, &allowed);
    if uid != "0" {
        return assert_eq!(made.code, 41, "only root may own a pool");
    }
    assert_eq!(made.code, 0, "{:?}", made.results);
    assert!(Outcome::parse(&std::fs::read_to_string(&message).unwrap()).unwrap().evidence.is_some());
    std::fs::create_dir_all(pool.join(name).join("a/b")).unwrap();
    std::fs::write(pool.join(name).join("a/b/c"), "x").unwrap();
    assert_eq!(run("purge-directory", name, &[]).code, 0);
    assert!(!pool.join(name).exists() && pool.join("foreign").exists());
    assert_eq!(run("purge-directory", name, &[]).code, 0, "missing is success");
}

#[test]
fn the_crds_are_printed_and_written() {
    let bench = Bench::new();
    let printed = bare(&["crds"]).output().unwrap();
    assert!(printed.status.success());
    let documents: Vec<Value> = serde_saphyr::from_multiple(&String::from_utf8(printed.stdout).unwrap()).unwrap();
    let expected: Vec<Value> = modelcache::api::crds::all().into_iter().map(|(_, document)| document).collect();
    assert_eq!(documents, expected);
    let directory = bench.path("crds");
    assert!(bare(&["crds", "--write"]).arg(&directory).status().unwrap().success());
    assert!(directory.join("modelcaches.modelcache.dev.yaml").exists());
}

/// Checks a plan as a verification Job does.
fn verify(bench: &Bench, depth: &str) -> (Ran, Outcome) {
    let message = bench.path("termination-log");
    let mut command = bare(&["verify", depth, "-o", "json"]);
    command.arg("--plan").arg(bench.path("plan.json")).arg("--volumes-dir").arg(bench.path("volumes"));
    let ran = ran(command.arg("--termination-message").arg(&message).output().unwrap());
    (ran, Outcome::parse(&std::fs::read_to_string(message).unwrap()).unwrap())
}

#[test]
fn a_check_leaves_proof_of_what_it_saw_and_the_next_warm_up_fetches_only_what_it_found_damaged() {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:20Mi,b.bin:2Mi,c.json:100");
    let plan = plan(&bench, &bench.repo("x", "org/x", &json!({})));
    assert_eq!(prefetch(&bench, &plan, 1).0.code, 0);
    for (depth, deep) in [("--quick", false), ("--deep", true)] {
        let (ran, outcome) = verify(&bench, depth);
        assert_eq!(ran.code, 0, "{}", outcome.message);
        let (verify, evidence) = (outcome.verify.unwrap(), outcome.evidence.unwrap());
        assert_eq!((verify.files, verify.bytes, verify.damaged), (plan.files(), plan.bytes(), 0));
        assert_eq!((verify.deep, evidence.plan), (deep, plan.content_hash()));
    }
    let blobs = bench.volume().join("huggingface/hub/models--org--x/blobs");
    let size = |it: &std::fs::DirEntry| it.metadata().unwrap().len();
    let blob = std::fs::read_dir(blobs).unwrap().flatten().find(|it| size(it) == 2 << 20).unwrap().path();
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[4096] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    assert_eq!(verify(&bench, "--quick").0.code, 0, "a quick look sees sizes only");
    let (ran, outcome) = verify(&bench, "--deep");
    ran.failed(33, "Damaged", &["1 damaged"]);
    assert_eq!(outcome.verify.map(|it| (it.damaged, it.deep)), Some((1, true)));
    assert_eq!(bench.current(), None, "nobody is told any more that it is complete");
    let repaired = prefetch(&bench, &plan, 2).1.evidence.unwrap();
    assert_eq!((repaired.fetched_bytes, repaired.files), (2 << 20, plan.files()));
    assert_eq!(verify(&bench, "--deep").0.code, 0);

    std::fs::remove_dir_all(bench.volume()).unwrap();
    std::fs::create_dir_all(bench.volume()).unwrap();
    let (ran, outcome) = verify(&bench, "--quick");
    assert_eq!((ran.code, outcome.verify.map(|it| it.damaged)), (33, Some(plan.files())), "{}", outcome.message);
}
