//! Who may pull what: user name and password, tokens that end, and hosts that must see neither.

use crate::bench::{Bench, Ran, bare, ran};
use crate::registry::blobs::BlobServer;
use crate::registry::push::noise;
use crate::registry::tokens::TokenServer;
use crate::registry::{Access, PASSWORD, Registry, USER};
use serde_json::json;
use std::sync::atomic::Ordering::SeqCst;

/// `prefetch` with this docker config, of a source that names a Secret.
fn prefetch(bench: &Bench, config: &str, more: &[&str]) -> Ran {
    std::fs::create_dir_all(bench.path("docker")).unwrap();
    std::fs::write(bench.path("docker/config.json"), config).unwrap();
    let mut command = bench.command(&["prefetch"]);
    let ran = ran(command.args(more).env("DOCKER_CONFIG", bench.path("docker")).output().unwrap());
    let all = format!("{:?} {}", ran.results, ran.stderr);
    assert!(!all.contains(PASSWORD), "{all}");
    ran
}

#[test]
fn a_registry_with_a_password_gets_it_and_says_whose_was_wrong() {
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Password));
    registry.pusher().model_pack("team/a:1", &[("a.bin", b"secret weights")]);
    let named = registry.source("x", "team/a:1", &json!({"pullSecretRef": {"name": "regcred"}}));

    bench.cache(&[registry.source("x", "team/a:1", &json!({}))]);
    bench.run(&["prefetch"]).failed(10, "Unauthorized", &["team/a:1", "nobody is logged in", "`pullSecretRef`"]);

    bench.cache(std::slice::from_ref(&named));
    bench.run(&["prefetch"]).failed(
        13,
        "SecretNotFound",
        &["Secret `regcred`", "`.dockerconfigjson`", "DOCKER_CONFIG"],
    );
    prefetch(&bench, r#"{"auths": {"ghcr.io": {"auth": "bWU6cHc="}}}"#, &[]).failed(
        13,
        "SecretNotFound",
        &["has nothing for the registry", &registry.host, "docker-registry"],
    );
    let wrong = registry.docker_config(USER, "guessed");
    let refused = prefetch(&bench, &wrong, &[]);
    refused.failed(10, "Unauthorized", &["the registry refuses", "docker/config.json"]);
    assert!(!refused.message().contains("guessed"));
    assert_eq!(bench.published(), Vec::<String>::new());

    let good = prefetch(&bench, &registry.docker_config(USER, PASSWORD), &[]);
    assert_eq!(good.code, 0, "{:?}", good.results);
    assert_eq!(std::fs::read(bench.volume().join("oci/x/a.bin")).unwrap(), b"secret weights");
}

#[test]
fn in_a_pod_the_mounted_secret_is_used_and_a_missing_one_is_named() {
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Password));
    registry.pusher().model_pack("a:1", &[("a.bin", b"weights")]);
    let source = registry.source("x", "a:1", &json!({"pullSecretRef": {"name": "regcred"}}));
    let resolve = || {
        let mut command = bare(&["resolve", "-o", "json", "--secrets-dir"]);
        command.arg(bench.path("secrets")).env("MODELCACHE_SOURCE", source.to_string());
        ran(command.output().unwrap())
    };
    resolve().failed(13, "SecretNotFound", &["key `.dockerconfigjson` of Secret `regcred` does not exist"]);
    std::fs::create_dir_all(bench.path("secrets/x")).unwrap();
    let file = bench.path("secrets/x/docker-config.json");
    std::fs::write(&file, registry.docker_config(USER, "guessed")).unwrap();
    resolve().failed(10, "Unauthorized", &["key `.dockerconfigjson` of Secret `regcred`"]);
    std::fs::write(&file, registry.docker_config(USER, PASSWORD)).unwrap();
    assert_eq!(resolve().code, 0);
}

#[test]
fn a_docker_config_that_no_source_names_is_not_sent_in_the_clear() {
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Password));
    registry.pusher().model_pack("a:1", &[("a.bin", b"weights")]);
    bench.cache(&[registry.source("x", "a:1", &json!({}))]);
    let ran = prefetch(&bench, &registry.docker_config(USER, PASSWORD), &[]);
    ran.failed(10, "Unauthorized", &["nobody is logged in"]);
}

#[test]
fn what_is_not_there_is_not_found() {
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Open));
    registry.pusher().model_pack("a:1", &[("a.bin", b"weights")]);
    bench.cache(&[registry.source("x", "a:2", &json!({}))]);
    bench.run(&["resolve"]).failed(12, "NotFound", &["a:2", "`pullSecretRef`"]);
    bench.cache(&[registry.source("x", "nothing/here", &json!({}))]);
    bench.run(&["resolve"]).failed(12, "NotFound", &["nothing/here:latest"]);
}

#[test]
fn a_token_that_ends_in_the_middle_is_asked_for_again() {
    let tokens = TokenServer::start();
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Token(&tokens)));
    let weights = noise(11, 64 << 20);
    registry.pusher().model_pack("team/a:1", &[("a.bin", &weights), ("b.json", b"{}")]);
    bench.cache(&[registry.source("x", "team/a:1", &json!({"pullSecretRef": {"name": "regcred"}}))]);
    let pushing = tokens.state.given.load(SeqCst);
    // The registry takes a token for two seconds, and the work takes more than five.
    tokens.state.life.store(2, SeqCst);
    let config = registry.docker_config(USER, PASSWORD);
    let ran = prefetch(&bench, &config, &["--max-bandwidth", "12000000", "--connections", "2"]);
    assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
    assert!(std::fs::read(bench.volume().join("oci/x/a.bin")).unwrap() == weights);
    let given = tokens.state.given.load(SeqCst) - pushing;
    // One to resolve, one to list and begin, and one for each that ended; not one for each request.
    assert!((3..=12).contains(&given), "{given} tokens");
    let scopes = tokens.state.scopes.lock().unwrap();
    assert!(scopes[pushing..].iter().all(|it| it == "repository:team/a:pull"), "{scopes:?}");
}

#[test]
fn a_token_server_that_refuses_or_limits_is_understood() {
    let tokens = TokenServer::start();
    let (bench, registry) = (Bench::new(), Registry::start(&Access::Token(&tokens)));
    registry.pusher().model_pack("a:1", &[("a.bin", b"weights")]);
    bench.cache(&[registry.source("x", "a:1", &json!({"pullSecretRef": {"name": "regcred"}}))]);
    let wrong = registry.docker_config(USER, "guessed");
    prefetch(&bench, &wrong, &[]).failed(10, "Unauthorized", &["the registry refuses", "docker/config.json"]);
    // It asks to wait for longer than anybody waits here.
    tokens.state.status.store(429, SeqCst);
    let config = registry.docker_config(USER, PASSWORD);
    prefetch(&bench, &config, &[]).failed(20, "RateLimited", &["600 s"]);
}

#[test]
fn a_host_to_which_blobs_are_redirected_sees_no_credential() {
    let (blobs, tokens) = (BlobServer::start(), TokenServer::start());
    let (bench, registry) = (Bench::new(), Registry::start(&Access::TokenElsewhere(&tokens, &blobs.url)));
    blobs.serve(registry.data());
    let weights = noise(12, 5 << 20);
    registry.pusher().model_pack("a:1", &[("a.bin", &weights), ("b.json", b"{}")]);
    bench.cache(&[registry.source("x", "a:1", &json!({"pullSecretRef": {"name": "regcred"}}))]);
    let ran = prefetch(&bench, &registry.docker_config(USER, PASSWORD), &[]);
    assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
    assert!(std::fs::read(bench.volume().join("oci/x/a.bin")).unwrap() == weights);
    let seen = blobs.seen();
    assert!(seen.len() >= 2 && seen.iter().all(Option::is_none), "{seen:?}");
}
