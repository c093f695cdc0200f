//! What sources need that bring what a backup has no bytes of, as their pod has it: each its own, and nothing of another.

use crate::ground::{Ground, ran};
use crate::hub::{Hub, READER};
use serde_json::{Value, json};

#[test]
fn in_a_pod_each_source_shows_its_own_secret_to_its_own_host_and_reads_its_own_claim() {
    let (ground, one, other) = (Ground::new(), Hub::start(), Hub::start());
    let source = |name: &str, hub: &Hub| -> Value {
        hub.repo(&format!("org/{name}=weights.bin:200Ki,config.json:500;private"));
        let token = json!({"name": name, "key": "token"});
        json!({"name": name, "huggingFace": {"repo": format!("org/{name}"), "endpoint": hub.url, "tokenSecretRef": token}})
    };
    let (claims, secrets) = (ground.path("claims"), ground.path("secrets"));
    std::fs::create_dir_all(claims.join("old")).unwrap();
    std::fs::write(claims.join("old/notes.txt"), "what a notebook left").unwrap();
    let old = json!({"name": "old", "claim": {"claimName": "old", "path": "old"}});
    let sources = [source("one", &one), source("other", &other), old];
    ground.sources(&sources);
    let run = |arguments: &[&str], token: &str| {
        let mut command = ground.command(arguments);
        ran(command.arg("--claims-dir").arg(&claims).env("HF_TOKEN", token).output().unwrap())
    };
    let warmed = run(&["prefetch"], READER);
    assert_eq!(warmed.code, 0, "{} {}", warmed.stdout, warmed.stderr);
    ground.of_sources("2026-03-01T00:00:00Z", &sources, false);
    let there = ground.on_volume();
    // From now on either host refuses whoever shows it the token of the other.
    for (name, hub) in [("one", &one), ("other", &other)] {
        let token = format!("hf_{name}");
        hub.state.lock().tokens = [(token.clone(), false)].into();
        std::fs::create_dir_all(secrets.join(name)).unwrap();
        std::fs::write(secrets.join(name).join("token"), token).unwrap();
    }
    let restore = ["restore", "--mounted-inputs", "--secrets-dir", secrets.to_str().unwrap()];
    std::fs::remove_dir_all(ground.volume()).unwrap();
    let restored = run(&restore, "hf_one");
    assert_eq!(restored.code, 0, "{} {}", restored.stdout, restored.stderr);
    assert!(ground.on_volume() == there);
    // No variable stands in for what is not mounted.
    std::fs::remove_dir_all(ground.volume()).unwrap();
    std::fs::remove_file(secrets.join("other/token")).unwrap();
    let lacking = run(&restore, "hf_other");
    assert_ne!(lacking.code, 0);
    assert!(lacking.message().contains("key `token` of Secret `other` does not exist"), "{}", lacking.message());
}
