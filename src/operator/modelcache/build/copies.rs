//! Copies that say how they are, and what tools make of a cache: for the tests of the status.

use super::fixtures::{pass, second, status_of};
use crate::api::condition::{ConditionType, find};
use crate::api::model_cache_replica::{Attempt, AttemptStage, Holding};
use crate::api::{ModelCache, ModelCacheReplica, Reason};
use crate::operator::job::Problem;
use crate::operator::modelcache::observe::Observed;
use crate::operator::placement::NodeState;
use crate::operator::replica::slots::NoSlot;
use crate::operator::replica::step::{Recording, Step};

/// What a tool that knows kstatus makes of an object
/// (<https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/status/core.go>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kstatus {
    Current,
    InProgress,
    Failed,
}

pub(crate) fn kstatus(cache: &ModelCache) -> Kstatus {
    let status = cache.status.as_ref().unwrap();
    if status.observed_generation.is_some() && status.observed_generation != cache.metadata.generation {
        return Kstatus::InProgress;
    }
    for condition in status.conditions.iter().filter(|it| it.status == "True") {
        match condition.type_.as_str() {
            "Reconciling" => return Kstatus::InProgress,
            "Stalled" => return Kstatus::Failed,
            _ => {}
        }
    }
    let ready = find(&status.conditions, ConditionType::Ready).map(|it| it.status.as_str());
    if ready == Some("True") { Kstatus::Current } else { Kstatus::InProgress }
}

/// How a copy is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Copy {
    New,
    Working,
    Holds,
    HoldsOther,
    Failed(Reason),
    RetryOf(Reason),
    Waits(Reason),
    Queued,
}

/// A Replica of which its own reconcile has said this.
pub(crate) fn saying(mut replica: ModelCacheReplica, copy: Copy) -> ModelCacheReplica {
    let plan = replica.spec.plan.as_ref().map(|it| it.hash.clone());
    let attempt = |stage| Attempt {
        number: 1,
        stage,
        plan: plan.clone(),
        claim_uid: replica.spec.claim_uid.clone(),
        restored: replica.spec.restored.clone(),
    };
    let holds = |plan: Option<String>| {
        let claim_uid = replica.spec.claim_uid.clone();
        plan.map(|plan| Holding {
            plan,
            claim_uid,
            files: 3,
            bytes: 9,
            fetched_bytes: 9,
            restored: replica.spec.restored.clone(),
        })
    };
    let failed = |reason: Reason| {
        crate::operator::retry::next_failure(None, reason, format!("the copy says {reason}"), second(0))
    };
    let watch = Step::Watch { stage: AttemptStage::WarmUp, problem: None, pod_ip: None };
    let record = |holds, failure| Step::Record(Recording { attempt: attempt(AttemptStage::Done), holds, failure });
    let mut steps = vec![];
    let mut no_slot = None;
    match copy {
        Copy::New => {}
        Copy::Working => {
            steps.push(Step::Record(Recording { attempt: attempt(AttemptStage::WarmUp), holds: None, failure: None }));
            steps.push(watch);
        }
        Copy::Holds => steps.push(record(holds(plan.clone()), None)),
        Copy::HoldsOther => steps.push(record(holds(Some("other".into())), None)),
        Copy::Failed(reason) => steps.push(record(None, Some(failed(reason)))),
        Copy::RetryOf(reason) => {
            let failure = Some(failed(reason));
            steps.push(Step::Record(Recording { attempt: attempt(AttemptStage::WarmUp), holds: None, failure }));
            steps.push(watch);
        }
        Copy::Waits(reason) => {
            steps.push(Step::Wait(Problem::new(reason, format!("the copy waits for {reason}")), None));
        }
        Copy::Queued => {
            no_slot = Some(NoSlot::Cache(1));
            steps.push(Step::AskForSlot(attempt(AttemptStage::WarmUp)));
        }
    }
    for step in steps {
        let status = crate::operator::replica::status::status(
            &replica,
            Some(NodeState::Ready),
            &step,
            no_slot.as_ref(),
            None,
            second(0),
        );
        replica.status = Some(status);
    }
    replica
}

/// A cluster in which the Replicas that are wanted say these things, in the order of their nodes.
pub(crate) fn with_copies(cache: &ModelCache, mut observed: Observed, copies: &[Copy]) -> Observed {
    let replicas = pass(cache, &observed, second(0)).wanted.children.replicas;
    let copies = copies.iter().chain(std::iter::repeat(&Copy::New));
    observed.replicas = replicas.into_iter().zip(copies).map(|((it, _), copy)| saying(it, *copy)).collect();
    observed
}

/// The cache after a pass has said what it thinks of it.
pub(crate) fn said(mut cache: ModelCache, observed: &Observed) -> ModelCache {
    cache.status = Some(status_of(&cache, observed, &pass(&cache, observed, second(0)), second(0)));
    cache
}
