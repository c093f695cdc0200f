//! What GitOps tools make of objects: the program of `tests/servers/gitops`.

use crate::program::program;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a tool makes of an object.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Answer {
    /// In the tool's own words.
    pub status: String,
    /// What it shows to people.
    pub message: String,
}

/// What Flux, Helm and kpt make of objects.
pub fn kstatus<'a>(objects: impl Iterator<Item = &'a Value>) -> Vec<Answer> {
    ask(&["kstatus"], objects)
}

/// What a health script of Argo CD makes of objects.
pub fn health<'a>(script: &Path, objects: impl Iterator<Item = &'a Value>) -> Vec<Answer> {
    ask(&["health", script.to_str().unwrap()], objects)
}

fn ask<'a>(arguments: &[&str], objects: impl Iterator<Item = &'a Value>) -> Vec<Answer> {
    let objects: Vec<String> = objects.map(Value::to_string).collect();
    let mut command = Command::new(program("gitops"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Its answers are fewer than a pipe holds.
    child.stdin.take().unwrap().write_all(objects.join("\n").as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "gitops {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    let answers: Vec<Answer> =
        String::from_utf8(done.stdout).unwrap().lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(answers.len(), objects.len());
    answers
}
