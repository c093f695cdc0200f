//! The promises of a purge: a few at a time, only where somebody answers, until there is evidence.

use super::*;
use crate::api::Reason;
use crate::api::{annotation, name};
use crate::operator::modelcache::build::fixtures::{JobEnd, ended, node_object, pin, silent_node};
use serde_json::json;

const VOLUME: &str = "team-studio-models-0";

fn tombstone(nodes: &[&str]) -> PersistentVolume {
    let holding: Vec<HoldingNode> = nodes
        .iter()
        .map(|it| HoldingNode { name: (*it).into(), uid: format!("{it}-uid"), hostname: (*it).into() })
        .collect();
    let text = serde_json::to_string(&holding).unwrap();
    serde_json::from_value(json!({"metadata": {"name": VOLUME, "annotations": {annotation::NODES: text}}})).unwrap()
}

fn job(node: &str, end: JobEnd) -> ObservedJob {
    let mut job = ObservedJob::default();
    job.job.metadata.name = Some(name::purge_job(VOLUME, &format!("{node}-uid")));
    ended(job, end)
}

/// What is done, node by node, in words.
fn decided(listed: &[&str], nodes: Vec<Node>, jobs: &[ObservedJob]) -> Vec<&'static str> {
    let nodes: Vec<Arc<Node>> = nodes.into_iter().map(Arc::new).collect();
    let words = |it| match it {
        NodePurge::Forget(_) => "forget",
        NodePurge::Start(_) => "start",
        NodePurge::Retry(_) => "retry",
        NodePurge::Wait => "wait",
    };
    purges(&tombstone(listed), &nodes, jobs).into_iter().map(words).collect()
}

#[test]
fn a_node_is_purged_when_it_answers_and_forgotten_with_evidence_or_when_it_is_gone() {
    let mut rebuilt = node_object("a");
    rebuilt.metadata.uid = Some("rebuilt-uid".into());
    for (what, nodes, jobs, expected) in [
        ("answers", vec![node_object("a")], vec![], "start"),
        ("is silent", vec![silent_node("a")], vec![], "wait"),
        ("is gone", vec![], vec![], "forget"),
        ("is rebuilt", vec![rebuilt], vec![], "forget"),
        ("is at work", vec![node_object("a")], vec![job("a", JobEnd::Running)], "wait"),
        ("fell silent at work", vec![silent_node("a")], vec![job("a", JobEnd::Running)], "wait"),
        ("has a Job that is being deleted", vec![node_object("a")], vec![job("a", JobEnd::Ending)], "wait"),
        ("is done", vec![node_object("a")], vec![job("a", JobEnd::Pinned(pin("a")))], "forget"),
        ("failed", vec![node_object("a")], vec![job("a", JobEnd::Failed(Reason::VolumeError))], "retry"),
        ("is told about another", vec![node_object("a")], vec![job("b", JobEnd::Running)], "start"),
    ] {
        assert_eq!(decided(&["a"], nodes, &jobs), [expected], "a node that {what}");
    }
}

#[test]
fn a_job_that_completed_without_evidence_is_run_again() {
    let mut silent = job("a", JobEnd::Pinned(pin("a")));
    silent.pods.clear();
    assert_eq!(decided(&["a"], vec![node_object("a")], &[silent]), ["retry"]);
}

#[test]
fn no_more_than_ten_run_at_once_wherever_they_stand_in_the_list() {
    let names: Vec<String> = (10..35).map(|it| format!("n{it}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let nodes = || names.iter().map(|it| node_object(it)).collect::<Vec<_>>();
    let started = |jobs: &[ObservedJob]| decided(&names, nodes(), jobs).iter().filter(|it| **it == "start").count();
    assert_eq!(started(&[]), PARALLEL);
    let last: Vec<ObservedJob> = names.iter().rev().take(8).map(|it| job(it, JobEnd::Running)).collect();
    assert_eq!(started(&last), 2, "those that run stand behind those that could start");
    let full: Vec<ObservedJob> = names.iter().rev().take(12).map(|it| job(it, JobEnd::Running)).collect();
    assert_eq!(started(&full), 0);
}

#[test]
fn a_tombstone_that_lists_nobody_has_nothing_left_to_do() {
    assert_eq!(decided(&[], vec![node_object("a")], &[]), Vec::<&str>::new());
}
