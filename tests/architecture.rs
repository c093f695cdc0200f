//! Do the rooms of `src/` keep apart what they promise to keep apart?
//!
//! Read from the sources as text: what stands after a file's `#[cfg(test)]`, and comments, do not count.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

/// Lines of a file before its tests. More, and it answers more than one question.
const LONGEST_FILE: usize = 400;

/// What the operator may call in the agent, and why.
const OPERATOR_MAY_USE: [(&str, &str); 1] =
    [("agent::layout::environment", "the ConfigMap for pods says where the agent's layout puts things")];

/// What the plugin may call in the agent, and why.
const PLUGIN_MAY_USE: [(&str, &str); 1] =
    [("agent::command::env", "what a pod's spec needs is the same, whoever prints it")];

/// Files of the operator that are pure although they stand beside some that are not.
const PURE_FILES: [&str; 30] = [
    "operator/backup/history.rs",
    "operator/backup/kept.rs",
    "operator/backup/summary.rs",
    "operator/clean/readers.rs",
    "operator/clean/record.rs",
    "operator/clean/runner.rs",
    "operator/clean/summary.rs",
    "operator/cron_job/document.rs",
    "operator/cron_job/jitter.rs",
    "operator/job.rs",
    "operator/modelcache/conditions.rs",
    "operator/modelcache/deletion.rs",
    "operator/modelcache/resolution.rs",
    "operator/mounting_pod.rs",
    "operator/placement.rs",
    "operator/pod.rs",
    "operator/pool/reserve.rs",
    "operator/replica/cleaning.rs",
    "operator/replica/cleaning_on_request.rs",
    "operator/replica/requests.rs",
    "operator/replica/reset.rs",
    "operator/replica/slots.rs",
    "operator/replica/step.rs",
    "operator/restore/cleaned.rs",
    "operator/restore/pins.rs",
    "operator/restore/resolve.rs",
    "operator/retry.rs",
    "operator/run.rs",
    "operator/scope.rs",
    "plugin/answer.rs",
];

/// A source file: its path below `src/`, and its code.
struct File {
    path: String,
    code: Vec<String>,
}

impl File {
    fn is_in(&self, rooms: &[&str]) -> bool {
        rooms.iter().any(|room| self.path.starts_with(room))
    }

    /// Rooms and files without a client, a clock or a wait. `status.rs` of a kind, not of a room that talks to the cluster.
    fn is_pure(&self) -> bool {
        let kind =
            self.path.strip_prefix("operator/").filter(|_| !self.is_in(&["operator/cluster/", "operator/runtime/"]));
        let pure_file = |rest: &str| {
            rest.split_once('/').is_some_and(|(_, rest)| {
                matches!(rest, "model.rs" | "plan.rs" | "status.rs")
                    || ["model/", "plan/", "status/", "build/"].iter().any(|room| rest.starts_with(room))
                    || rest == "build.rs"
            })
        };
        self.is_in(&["api/", "contract/", "plugin/render/"])
            || kind.is_some_and(pure_file)
            || PURE_FILES.contains(&self.path.as_str())
    }

    /// Lines with one of the words, as whole identifiers or paths.
    fn lines_with(&self, words: &[&str]) -> Vec<String> {
        let found = |line: &&String| words.iter().any(|word| has_word(line, word));
        self.code.iter().filter(found).map(|line| format!("{}: {}", self.path, line.trim())).collect()
    }
}

fn has_word(line: &str, word: &str) -> bool {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line.get(..start).unwrap_or_default().chars().next_back();
        let after = line.get(start + word.len()..).unwrap_or_default().chars().next();
        let open_end = word.ends_with(['(', ':']);
        !before.is_some_and(part_of_a_name) && (open_end || !after.is_some_and(part_of_a_name))
    })
}

fn sources() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = vec![];
    collect(&root, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text
                .lines()
                .take_while(|line| line.trim() != "#[cfg(test)]")
                .map(|line| if line.trim_start().starts_with("//") { String::new() } else { line.to_owned() })
                .collect();
            File { path: path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(), code }
        })
        .collect()
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|it| it == "rs") {
            paths.push(path);
        }
    }
}

fn none(promise: &str, found: &[String]) {
    assert!(found.is_empty(), "{promise}:\n  {}", found.join("\n  "));
}

#[test]
fn pure_rooms_do_not_wait_and_have_no_client() {
    let found: Vec<String> = sources()
        .iter()
        .filter(|it| it.is_pure())
        .flat_map(|it| it.lines_with(&["async", "await", "Client", "tokio"]))
        .collect();
    none("the pure rooms take values and return values", &found);
}

#[test]
fn pure_rooms_have_no_clock() {
    let clocks = ["now(", "SystemTime", "Instant", "Zoned::now(", "Utc::now("];
    let found: Vec<String> = sources().iter().filter(|it| it.is_pure()).flat_map(|it| it.lines_with(&clocks)).collect();
    none("in the pure rooms the time is an argument", &found);
}

#[test]
fn only_the_rooms_at_the_edge_hold_a_client() {
    let found: Vec<String> = sources()
        .iter()
        .filter(|it| it.is_in(&["operator/"]))
        .filter(|it| {
            !it.is_in(&["operator/cluster/", "operator/cluster.rs", "operator/runtime/", "operator/runtime.rs"])
        })
        .filter(|it| !it.path.ends_with("/observe.rs") && !it.path.contains("/observe/"))
        .flat_map(|it| it.lines_with(&["kube::Client", "Client"]))
        .collect();
    none("only operator/cluster, operator/runtime and observe may name a Client", &found);
}

#[test]
fn api_imports_nothing_of_ours_and_contract_nothing_but_api() {
    let files = sources();
    let api = files.iter().filter(|it| it.is_in(&["api/"]));
    let found: Vec<String> =
        api.flat_map(|it| it.lines_with(&["crate::contract", "crate::operator", "crate::agent"])).collect();
    none("api imports nothing of ours", &found);
    let contract = files.iter().filter(|it| it.is_in(&["contract/"]));
    let found: Vec<String> = contract.flat_map(|it| it.lines_with(&["crate::operator", "crate::agent"])).collect();
    none("contract imports nothing but api", &found);
}

#[test]
fn operator_and_agent_meet_only_in_the_contract() {
    let files = sources();
    let agent = files.iter().filter(|it| it.is_in(&["agent/"]));
    let found: Vec<String> = agent.flat_map(|it| it.lines_with(&["crate::operator", "operator::"])).collect();
    none("the agent knows nothing of the operator", &found);
    let operator = files.iter().filter(|it| it.is_in(&["operator/"]));
    let found: Vec<String> = operator
        .flat_map(|it| it.lines_with(&["crate::agent"]))
        .filter(|line| !OPERATOR_MAY_USE.iter().any(|(path, _)| line.contains(path)))
        .collect();
    none("the operator knows of the agent what the contract says", &found);
}

#[test]
fn the_plugin_knows_only_what_the_cluster_shows() {
    let files = sources();
    let plugin = files.iter().filter(|it| it.is_in(&["plugin/"]));
    let found: Vec<String> = plugin
        .flat_map(|it| it.lines_with(&["crate::agent", "crate::operator"]))
        .filter(|line| !PLUGIN_MAY_USE.iter().any(|(path, _)| line.contains(path)))
        .collect();
    none("the plugin reads objects, and knows nothing of how they are made", &found);
    let others = files.iter().filter(|it| it.is_in(&["api/", "contract/", "agent/", "operator/"]));
    let found: Vec<String> = others.flat_map(|it| it.lines_with(&["crate::plugin"])).collect();
    none("nothing knows of the plugin", &found);
}

#[test]
fn the_agent_needs_no_cluster() {
    let files = sources();
    let agent = files.iter().filter(|it| it.is_in(&["agent/"]));
    let found: Vec<String> = agent.flat_map(|it| it.lines_with(&["kube::"])).collect();
    none("the same commands work on a laptop: the agent has no Kubernetes client", &found);
}

#[test]
fn no_file_is_longer_than_one_question() {
    let found: Vec<String> = sources()
        .iter()
        .filter(|it| it.code.len() > LONGEST_FILE)
        .map(|it| format!("{}: {} lines before its tests", it.path, it.code.len()))
        .collect();
    none(&format!("a file is split before {LONGEST_FILE} lines"), &found);
}

#[test]
fn every_file_says_first_which_question_it_answers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found: Vec<String> = sources()
        .iter()
        .filter(|it| !std::fs::read_to_string(root.join(&it.path)).unwrap().starts_with("//!"))
        .map(|it| it.path.clone())
        .collect();
    none("a file begins with //! and the question that it answers", &found);
}

#[test]
fn the_reader_of_sources_finds_what_it_looks_for() {
    assert!(has_word("let client: Client = x;", "Client"));
    assert!(!has_word("use crate::ClientError;", "Client"));
    assert!(has_word("Timestamp::now()", "now("));
    assert!(!has_word("unknown(x)", "now("));
    let sources = sources();
    assert!(sources.len() > 10, "the sources are where this test looks");
    for path in PURE_FILES.into_iter().chain(["operator/tombstone/plan.rs", "operator/modelcache/model.rs"]) {
        assert!(sources.iter().any(|it| it.path == path && it.is_pure()), "{path} is there, and held to be pure");
    }
}
