//! Objects at every stage of their lives, with what the operator says of them then: the fixtures of Argo CD's health scripts, which
//! `tests/gitops.rs` shows to the real tools. `UPDATE_FIXTURES=1` writes them anew.

use super::build::copies::{Copy, said, with_copies};
use super::build::fixtures::{JobEnd, cache, claim, pin, pool, resolve_job, second, stored_plan};
use super::observe::Observed;
use super::{deleting_status, status};
use crate::api::{ModelCache, ModelCacheBackup, ModelCacheReplica, ModelCacheRestore, NodeCachePool, Reason};
use crate::contract::outcome::{Backup, Outcome, Restored};
use crate::operator::cluster::Note;
use crate::operator::job::Problem;
use crate::operator::retry::next_failure;
use crate::operator::run::Step;
use crate::operator::{backup, pool as pools, restore};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;

fn directory(kind: &str) -> PathBuf {
    let argocd = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/gitops/argocd/resource_customizations");
    argocd.join("modelcache.dev").join(kind).join("testdata")
}

/// The fixtures of a kind are these, and no others.
fn are<K: Serialize>(kind: &str, stages: &[(&str, K)]) {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let mut there: Vec<String> = vec![];
    for entry in std::fs::read_dir(directory(kind)).unwrap() {
        there.push(entry.unwrap().file_name().to_string_lossy().into_owned());
    }
    for (stage, object) in stages {
        let path = directory(kind).join(format!("{stage}.yaml"));
        let text = serde_saphyr::to_string(&serde_json::to_value(object).unwrap()).unwrap();
        if update {
            std::fs::write(&path, &text).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == text, "{} is not what the operator says: UPDATE_FIXTURES=1 writes it anew", path.display());
        there.retain(|it| *it != format!("{stage}.yaml"));
    }
    assert!(there.is_empty(), "{kind}: fixtures of no stage: {there:?}");
}

fn unpinned() -> Observed {
    Observed::empty().with_nodes(&["a", "b"]).with_claim(claim("models"))
}

fn copies(copies: &[Copy]) -> Observed {
    let pinned = unpinned().with_config_map(stored_plan(&cache(), "models", &[(0, pin("a"))], 1));
    with_copies(&cache(), pinned, copies)
}

fn asked(reason: Reason) -> ModelCache {
    said(cache(), &unpinned().with_resolve_job(resolve_job(&cache(), 0, 1, JobEnd::Failed(reason))))
}

#[test]
fn the_fixtures_of_a_cache_are_what_the_operator_says() {
    let holds = [Copy::Holds, Copy::Holds];
    let first = ModelCache { status: Some(status::first_status(&cache(), second(0))), ..cache() };
    let ready = said(cache(), &copies(&holds));
    let mut changed = ready.clone();
    changed.metadata.generation = Some(4);
    let mut suspended = cache();
    suspended.spec.suspend = Some(true);
    let (suspended_cold, suspended_warm) =
        (said(suspended.clone(), &unpinned()), said(suspended, &copies(&[Copy::Holds, Copy::Holds])));
    let mut deleting = ready.clone();
    deleting.metadata.deletion_timestamp = Some(Time(second(0)));
    let note = Note::warning(Reason::InUse, "Delete", "pods mount volumes of this cache: team/trainer");
    deleting.status = Some(deleting_status(&deleting, &note, second(0)));
    are(
        "ModelCache",
        &[
            ("not-seen", json!(cache())),
            ("first-pass", json!(first)),
            (
                "resolving",
                json!(said(cache(), &unpinned().with_resolve_job(resolve_job(&cache(), 0, 1, JobEnd::Running)))),
            ),
            ("unreachable", json!(asked(Reason::Unreachable))),
            ("gated", json!(asked(Reason::Gated))),
            ("warming", json!(said(cache(), &copies(&[Copy::Holds, Copy::Working])))),
            ("copy-failed", json!(said(cache(), &copies(&[Copy::Holds, Copy::Failed(Reason::InsufficientSpace)])))),
            ("ready", json!(ready)),
            ("changed", json!(changed)),
            ("suspended-cold", json!(suspended_cold)),
            ("suspended-warm", json!(suspended_warm)),
            ("deleting", json!(deleting)),
        ],
    );
}

#[test]
fn the_fixtures_of_a_copy_are_what_the_operator_says() {
    let copy = |copy| {
        let mut replica: ModelCacheReplica = copies(&[copy]).replicas.remove(0);
        replica.metadata.generation = Some(1);
        if let Some(status) = replica.status.as_mut() {
            status.observed_generation = Some(1);
            status.conditions.iter_mut().for_each(|it| it.observed_generation = Some(1));
        }
        replica
    };
    are(
        "ModelCacheReplica",
        &[
            ("not-seen", copy(Copy::New)),
            ("warming", copy(Copy::Working)),
            ("ready", copy(Copy::Holds)),
            ("failed", copy(Copy::Failed(Reason::InsufficientSpace))),
        ],
    );
}

#[test]
fn the_fixtures_of_a_backup_are_what_the_operator_says() {
    let new: ModelCacheBackup = serde_json::from_value(json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheBackup",
        "metadata": {"name": "studio-1", "namespace": "team", "generation": 1}, "spec": {"cache": "studio"}
    }))
    .unwrap();
    let after = |steps: &[Step]| {
        let mut object = new.clone();
        for step in steps {
            object.status = Some(backup::status::status(&object, step, second(0)));
        }
        object
    };
    let mut outcome = Outcome::success(Reason::BackedUp, "done");
    outcome.backup = Some(Backup {
        snapshot: "3f9c".into(),
        files: 12,
        bytes: 5 << 20,
        new_bytes: 1 << 20,
        not_covered: 0,
        seconds: 7,
        manifest: "d".repeat(64),
        kept: vec![],
        kept_all: true,
        not_pruned: None,
    });
    let failure = |reason, message: &str| next_failure(None, reason, message, second(0));
    let suspended = Problem::new(Reason::Suspended, "`spec.suspend` of the cache is true: nothing new is started");
    are(
        "ModelCacheBackup",
        &[
            ("not-seen", after(&[])),
            ("waiting", after(&[Step::Wait(suspended, None)])),
            ("running", after(&[Step::Begin(1), Step::Watch(None)])),
            ("tried-again", after(&[Step::Begin(1), Step::Fail(1, failure(Reason::Unreachable, "no answer"))])),
            (
                "refused",
                after(&[Step::Begin(1), Step::Fail(1, failure(Reason::Unauthorized, "the store refused the keys"))]),
            ),
            ("given-up", after(&[Step::Begin(6), Step::Fail(6, failure(Reason::Unreachable, "no answer"))])),
            ("done", after(&[Step::Begin(1), Step::Succeed(1, Box::new(outcome))])),
        ],
    );
}

#[test]
fn the_fixtures_of_a_restore_are_what_the_operator_says() {
    let new: ModelCacheRestore = serde_json::from_value(json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheRestore",
        "metadata": {"name": "back", "namespace": "team", "generation": 1}, "spec": {"from": {"latest": {"cache": "studio"}}}
    }))
    .unwrap();
    let after = |steps: &[Step]| {
        let mut object = new.clone();
        for step in steps {
            object.status = Some(restore::status::status(&object, None, step, second(0)));
        }
        object
    };
    let mut outcome = Outcome::success(Reason::Restored, "done");
    outcome.restore =
        Some(Restored { snapshot: "3f9c".into(), files: 12, bytes: 5 << 20, seconds: 7, manifest: "d".repeat(64) });
    let failure = next_failure(None, Reason::ForeignBackup, "the place holds the backups of another cache", second(0));
    are(
        "ModelCacheRestore",
        &[
            ("not-seen", after(&[])),
            ("running", after(&[Step::Begin(1), Step::Watch(None)])),
            ("refused", after(&[Step::Begin(1), Step::Fail(1, failure)])),
            ("done", after(&[Step::Begin(1), Step::Succeed(1, Box::new(outcome))])),
        ],
    );
}

#[test]
fn the_fixtures_of_a_pool_are_what_the_operator_says() {
    let with = |observed: &Observed| {
        let mut object: NodeCachePool = pool();
        object.metadata.generation = Some(1);
        object.status = Some(pools::status(&object, &observed.nodes, &[], second(0)));
        object
    };
    are(
        "NodeCachePool",
        &[("with-nodes", with(&unpinned())), ("without-nodes", with(&Observed::empty())), ("not-seen", pool())],
    );
}
