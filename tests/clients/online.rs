//! What the agent brought, the real `hf` takes for its own when there is a network: it fetches no file again, finds every
//! byte right, lists and removes it; and what it removes, the agent sees and brings again.

use crate::hf::{Both, VERSIONS, Version};
use crate::hub::content::Content;
use serde_json::json;

/// Deletes as the menu of old clients does, for which a person is needed.
const DELETE: &str = "
from huggingface_hub import scan_cache_dir
cache = scan_cache_dir()
assert not cache.warnings, cache.warnings
commits = [it.commit_hash for repo in cache.repos if repo.repo_id in @REPOS for it in repo.revisions]
assert commits
cache.delete_revisions(*commits).execute()
";

fn warmed(version: Version) -> Both {
    let both = Both::new(version, &|hub| {
        hub.repo("org/filtered=config.json:200,model.safetensors:1Mi,original/model.safetensors:1Mi,a/b/c.json:20");
        hub.repo("dataset:org/rows=data/train.parquet:1Mi,README.md:90");
        hub.repo("org/tagged=config.json:70,deep/er/x.bin:300Ki");
        let detached = hub.repo("org/detached=config.json:71,y.bin:700Ki");
        vec![
            json!({"name": "tiny", "huggingFace": {"repo": "demo/tiny-llm"}}),
            json!({"name": "filtered", "huggingFace": {"repo": "org/filtered", "exclude": ["original/"]}}),
            json!({"name": "rows", "huggingFace": {"repo": "org/rows", "repoType": "Dataset"}}),
            json!({"name": "tag", "huggingFace": {"repo": "org/tagged", "revision": "v1"}}),
            // No branch and no tag leads to it.
            json!({"name": "commit", "huggingFace": {"repo": "org/detached", "revision": detached}}),
        ]
    });
    both.prefetch();
    both
}

/// Downloads of everything that is there, each as a person would ask for it.
const DOWNLOADS: [&[&str]; 4] = [
    &["demo/tiny-llm"],
    &["org/filtered", "--exclude", "original/*"],
    &["org/rows", "--repo-type", "dataset"],
    &["org/tagged", "--revision", "v1"],
];

fn downloads_nothing(both: &Both, which: &[&[&str]]) {
    both.hub.control("reset");
    for arguments in which {
        let said = both.hf(&[&["download"], *arguments].concat());
        assert!(said.contains("/snapshots/"), "{arguments:?}: {said}");
        assert_eq!((both.gets(), both.hub.counters().bytes_sent), (0, 0), "{arguments:?}: {said}");
    }
}

/// Our own view of what another program did: as it says, at this price, and then all is well and `hf` agrees.
fn is_mended(both: &Both, what: &str, damaged: &str, bytes: u64) {
    let found = both.ours_ends("verify", 33);
    assert_eq!(found["reason"], "Damaged", "{what}");
    assert!(found["damage"].to_string().contains(damaged), "{what}: {}", found["damage"]);
    let fetched = both.prefetch();
    assert!((bytes..=bytes + bytes / 4).contains(&fetched), "{what}: {fetched} bytes were fetched for {bytes}");
    both.is_right("demo/tiny-llm", "");
    both.is_right("org/filtered", "original/");
    both.is_right("org/detached", "");
}

fn bytes_of(both: &Both, repo: &str) -> u64 {
    let inner = both.hub.state.lock();
    let repo = inner.repos.values().find(|it| it.id == repo).unwrap();
    repo.commits[&repo.refs["main"]].values().map(Content::size).sum()
}

#[test]
fn hf_fetches_nothing_that_is_there_and_what_it_removes_is_seen_and_brought_again() {
    for version in VERSIONS {
        let both = warmed(version);
        downloads_nothing(&both, &DOWNLOADS);
        let requests = both.hub.counters().requests;
        assert_eq!(both.prefetch(), 0, "{version:?}: what hf does to a cache that it uses costs nothing");
        assert_eq!(both.hub.counters().requests, requests, "{version:?}: nobody needs to be asked");

        let listed = both.hf(if version.has_cache_commands { &["cache", "ls"] } else { &["cache", "scan"] });
        for repo in ["demo/tiny-llm", "org/filtered", "org/rows", "org/tagged", "org/detached"] {
            assert!(listed.contains(repo), "{version:?}: {repo} is not in {listed}");
        }
        let (tiny, detached) = (bytes_of(&both, "demo/tiny-llm"), bytes_of(&both, "org/detached"));
        if version.has_cache_commands {
            let all = ["--fail-on-missing-files", "--fail-on-extra-files"];
            both.hf(&[&["cache", "verify", "demo/tiny-llm"], &all[..]].concat());
            both.hf(&[&["cache", "verify", "org/tagged", "--revision", "v1"], &all[..]].concat());
            both.hf(&["cache", "verify", "org/filtered", "--fail-on-extra-files"]);

            both.hf(&["cache", "prune", "--yes"]);
            is_mended(&both, "prune", "models--org--detached", detached);
            both.hf(&["cache", "rm", "model/demo/tiny-llm", "model/org/detached", "--yes"]);
        } else {
            both.code(&DELETE.replace("@REPOS", "['demo/tiny-llm', 'org/detached']"));
        }
        assert!(!both.repository("demo/tiny-llm").join("snapshots").exists(), "{version:?}: hf removed nothing");
        is_mended(&both, "rm", "models--demo--tiny-llm", tiny + detached);
        downloads_nothing(&both, &DOWNLOADS[..1]);
    }
}

#[test]
fn a_single_file_that_hf_removes_is_the_only_one_that_is_brought_again() {
    // Only the newest client removes files.
    let both = warmed(VERSIONS[3]);
    both.hf(&["cache", "rm", "hf://models/demo/tiny-llm/model.safetensors", "--yes"]);
    let size = both.hub.content("demo/tiny-llm", "model.safetensors").size();
    is_mended(&both, "rm of a file", "models--demo--tiny-llm", size);
    both.hf(&["cache", "verify", "demo/tiny-llm", "--fail-on-missing-files", "--fail-on-extra-files"]);
}
