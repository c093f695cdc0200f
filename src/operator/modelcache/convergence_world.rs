//! A cluster in memory, an origin that answers, and the pure rooms at work on it.

use super::super::*;
use crate::api::condition::is_true;
use crate::api::model_cache_replica::AttemptStage;
use crate::api::timetable::Timetable;
use crate::api::{ConditionType, JobRole};
use crate::contract::outcome::{Cleaned, Evidence, Outcome, VerifyEvidence};
use crate::contract::plan::Pin;
use crate::operator::clean::runner::runner;
use crate::operator::job::JobState;
use crate::operator::modelcache::build::fixtures::{
    JobEnd, Pass, cache, ended, pass, pin, second, settings, status_of,
};
use crate::operator::modelcache::build::transcript::{tell, tell_status};
use crate::operator::placement::node_state;
use crate::operator::replica::cleaning::CleanedHere;
use crate::operator::replica::requests::Asked;
use crate::operator::replica::slots::Slots;
use crate::operator::replica::status::status as replica_status;
use crate::operator::replica::step::{Recording, Situation, Step};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// The Jobs of a Replica's attempt.
#[derive(Default)]
pub(super) struct ReplicaJobs {
    pub(super) number: i64,
    pub(super) prepare: Option<JobState>,
    pub(super) warm_up: Option<JobState>,
}

/// A cluster in memory, and an origin that answers.
pub(super) struct World {
    pub(super) cache: ModelCache,
    pub(super) observed: Observed,
    pub(super) jobs: BTreeMap<String, ReplicaJobs>,
    pub(super) slots: Slots,
    /// What the origin says about a source.
    pub(super) origin: BTreeMap<String, Result<Pin, Reason>>,
    pub(super) now: i64,
    pub(super) claims_made: u32,
    pub(super) warm_ups: u32,
    /// Checks that were made.
    pub(super) checks: u32,
    /// Clean-ups that were made.
    pub(super) cleans: u32,
    /// Times that an origin was asked whether it moved.
    pub(super) asked: u32,
    /// Replicas whose files are damaged.
    pub(super) damaged: BTreeSet<String>,
    pub(super) transcript: String,
}

impl World {
    pub(super) fn new() -> Self {
        let mut cache = cache();
        let speech =
            json!({"name": "speech", "http": {"url": "https://example.org/speech.bin", "sha256": "0".repeat(64)}});
        cache.spec.sources.push(serde_json::from_value(speech).unwrap());
        let origin = [("sana", pin("a")), ("speech", pin("b"))];
        Self {
            cache,
            observed: Observed::empty().with_nodes(&["a", "b"]),
            jobs: BTreeMap::new(),
            slots: Slots::default(),
            origin: origin.into_iter().map(|(name, pin)| (name.to_owned(), Ok(pin))).collect(),
            now: 0,
            claims_made: 0,
            warm_ups: 0,
            checks: 0,
            cleans: 0,
            asked: 0,
            damaged: BTreeSet::new(),
            transcript: String::new(),
        }
    }

    pub(super) fn happens(&mut self, what: &str) {
        writeln!(self.transcript, "## {what}").unwrap();
    }

    /// The plan moves to another revision of the first source.
    pub(super) fn asks_for(&mut self, revision: &str, letter: &str) {
        self.cache.spec.sources[0].hugging_face.as_mut().unwrap().revision = Some(revision.into());
        self.cache.metadata.generation = self.cache.metadata.generation.map(|it| it + 1);
        self.origin.insert("sana".into(), Ok(pin(letter)));
    }

    /// Checks and refreshes by themselves, every day.
    pub(super) fn scheduled(&mut self, policy: &str) {
        self.cache.spec.verify = serde_json::from_value(json!({"quick": "0 4 * * *", "deep": "0 5 * * *"})).unwrap();
        self.cache.spec.refresh = serde_json::from_value(json!({"policy": policy, "schedule": "0 6 * * *"})).unwrap();
    }

    /// The spec has a clean-up of what was replaced, or none.
    pub(super) fn cleaned(&mut self, wanted: bool) {
        let cleanup = json!({"schedule": "0 3 * * *", "rules": [{"name": "old", "cache": {}}]});
        self.cache.spec.cleanup = wanted.then(|| serde_json::from_value(cleanup).unwrap());
    }

    pub(super) fn later(&mut self) {
        self.now += 100_000;
    }

    /// One reconcile of the cache and of every Replica; then the Jobs end. Whether anything changed.
    pub(super) fn round(&mut self) -> bool {
        let pass = pass(&self.cache, &self.observed, second(self.now));
        let told = tell(&pass.wanted.children);
        let status = status_of(&self.cache, &self.observed, &pass, second(self.now));
        let mut changed = !told.is_empty() || self.cache.status.as_ref() != Some(&status);
        for line in told.lines() {
            writeln!(self.transcript, "{line}").unwrap();
        }
        self.cache.status = Some(status);
        let Pass { wanted, .. } = pass;
        self.apply(wanted.children);
        for index in 0..self.observed.replicas.len() {
            changed |= self.reconcile_replica(index);
        }
        for job in self.observed.resolve_jobs.iter_mut().chain(&mut self.observed.refresh_jobs) {
            let source = job.job.labels().get(label::SOURCE).cloned().unwrap_or_default();
            if matches!(job.state(), JobState::Running { .. }) {
                let end = match &self.origin[&source] {
                    Ok(pin) => JobEnd::Pinned(pin.clone()),
                    Err(reason) => JobEnd::Failed(*reason),
                };
                *job = ended(job.clone(), end);
                changed = true;
            }
        }
        changed
    }

    /// Rounds until nothing changes; then the last word.
    pub(super) fn settle(&mut self) -> &mut Self {
        let rounds = (0..80).take_while(|_| self.round()).count();
        assert!(rounds < 80, "it does not end:\n{}", self.transcript);
        // A second look wants nothing new, and says the same: an idle operator writes nothing.
        let pass = pass(&self.cache, &self.observed, second(self.now));
        assert_eq!(tell(&pass.wanted.children), "");
        let again = status_of(&self.cache, &self.observed, &pass, second(self.now));
        assert_eq!(Some(&again), self.cache.status.as_ref());
        write!(self.transcript, "-- settled --\n{}", tell_status(&again)).unwrap();
        self
    }

    pub(super) fn apply(&mut self, children: Children) {
        let Children { persistent_volumes, rebound, claims, grown, config_maps, replicas, cron_jobs, jobs, removals } =
            children;
        for (mut wanted, found) in persistent_volumes {
            wanted.status = found.as_ref().and_then(|it| it.status.clone());
            if let (Some(spec), Some(found)) = (wanted.spec.as_mut(), found.and_then(|it| it.spec)) {
                spec.claim_ref.as_mut().unwrap().uid = found.claim_ref.and_then(|it| it.uid);
            }
            put(&mut self.observed.persistent_volumes, wanted);
        }
        for mut volume in rebound {
            volume.spec.as_mut().unwrap().claim_ref.as_mut().unwrap().uid = None;
            volume.status = serde_json::from_value(json!({"phase": "Available"})).unwrap();
            put(&mut self.observed.persistent_volumes, volume);
        }
        for mut claim in claims {
            assert!(!self.observed.claims.contains_key(&claim.name_any()), "a claim is never made over another");
            self.claims_made += 1;
            let uid = format!("claim-{}", self.claims_made);
            claim.metadata.uid = Some(uid.clone());
            claim.status = serde_json::from_value(json!({"phase": "Bound"})).unwrap();
            for volume in &mut self.observed.persistent_volumes {
                let reference = volume.spec.as_mut().unwrap().claim_ref.as_mut().unwrap();
                assert!(reference.uid.is_none(), "a volume that is bound to another claim would never bind");
                reference.uid = Some(uid.clone());
                volume.status = serde_json::from_value(json!({"phase": "Bound"})).unwrap();
            }
            self.observed.claims.insert(claim.name_any(), claim);
        }
        assert!(grown.is_empty(), "no size changes here");
        for (wanted, _) in config_maps {
            put(&mut self.observed.config_maps, wanted);
        }
        for (mut wanted, found) in replicas {
            wanted.metadata.uid = Some(wanted.name_any());
            wanted.status = found.and_then(|it| it.status);
            put(&mut self.observed.replicas, wanted);
        }
        assert!(cron_jobs.is_empty(), "no backups here");
        for job in jobs {
            let again = job.labels().get(label::JOB).is_some_and(|it| it == JobRole::Refresh.as_str());
            self.asked += u32::from(again);
            let jobs = if again { &mut self.observed.refresh_jobs } else { &mut self.observed.resolve_jobs };
            assert!(!jobs.iter().any(|it| it.name() == job.name_any()), "{} is there already", job.name_any());
            jobs.push(crate::operator::job::ObservedJob { job, ..Default::default() });
        }
        for removal in removals {
            match removal {
                Removal::Job(it) => {
                    self.observed.resolve_jobs.retain(|job| job.name() != it.name_any());
                    self.observed.refresh_jobs.retain(|job| job.name() != it.name_any());
                }
                Removal::Replica(it) => self.observed.replicas.retain(|replica| replica.name_any() != it.name_any()),
                Removal::ConfigMap(it) => {
                    let name = it.name_any();
                    let used = |it: &ModelCacheReplica| it.spec.plan.as_ref().is_some_and(|it| it.config_map == name);
                    assert!(!self.observed.replicas.iter().any(used), "a plan in use is never deleted");
                    self.observed.config_maps.retain(|it| it.name_any() != name);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) fn reconcile_replica(&mut self, index: usize) -> bool {
        let replica = self.observed.replicas[index].clone();
        let uid = replica.spec.node.as_ref().map(|it| it.uid.clone());
        let node = self.observed.nodes.iter().find(|it| it.uid() == uid).map(|it| node_state(it));
        let jobs = self.jobs.entry(replica.name_any()).or_default();
        let retry = settings().retry;
        let timetable = Timetable::of(&self.cache.spec).unwrap_or_default();
        let damaged = self.damaged.contains(&replica.name_any());
        let cleaned_here = match runner(&self.cache.spec, &self.cache.spec.volumes[0], None) {
            Some(_) => CleanedHere::Yes,
            None => CleanedHere::No,
        };
        let situation = Situation {
            replica: &replica,
            node,
            suspended: self.cache.spec.suspended(),
            prepare: jobs.prepare.clone(),
            work: jobs.warm_up.clone(),
            said: None,
            timetable: &timetable,
            cleaned_here,
            asked: Asked::default(),
            claim_busy: None,
            own_claim_busy: None,
            retry: &retry,
            now: second(self.now),
        };
        let mut step = situation.next_step();
        let all: Vec<_> = self.observed.replicas.iter().cloned().map(Arc::new).collect();
        let mut no_slot = None;
        if let Step::AskForSlot(attempt) = step.clone() {
            match self.slots.take(&replica, &all, self.cache.spec.rollout.as_ref(), None) {
                Ok(()) => {
                    let failure = replica.status.as_ref().and_then(|it| it.failure.clone());
                    step = Step::Record(Recording { attempt, holds: None, failure });
                }
                Err(why) => no_slot = Some(why),
            }
        }
        let status = replica_status(&replica, node, &step, no_slot.as_ref(), None, second(self.now));
        let succeeded = |plan: Option<String>| {
            let mut outcome = Outcome::success(Reason::Warmed, "done");
            let files = replica.spec.plan.as_ref().and_then(|it| u64::try_from(it.files).ok()).unwrap_or(0);
            outcome.evidence = plan.map(|plan| Evidence {
                plan,
                files,
                bytes: 1,
                fetched_bytes: 1,
                hashed_files: files,
                ..Evidence::default()
            });
            Some(JobState::Succeeded(Box::new(outcome)))
        };
        let plan = replica.status.as_ref().and_then(|it| it.attempt.as_ref()).and_then(|it| it.plan.clone());
        let name = replica.spec.node.as_ref().map_or("", |it| it.name.as_str());
        match &step {
            Step::CreatePrepareJob => jobs.prepare = succeeded(None),
            Step::CreateWarmUpJob => {
                assert!(jobs.warm_up.is_none(), "never two writers");
                self.warm_ups += 1;
                self.damaged.remove(&replica.name_any());
                writeln!(self.transcript, "  {name}: warms up").unwrap();
                jobs.warm_up = succeeded(plan);
            }
            Step::CreateVerifyJob(stage) => {
                assert!(jobs.warm_up.is_none(), "never two at work on a volume");
                self.checks += 1;
                writeln!(self.transcript, "  {name}: {stage:?}").unwrap();
                jobs.warm_up = if damaged {
                    Some(JobState::Failed(Problem::new(Reason::Damaged, "1 damaged: model.bin")))
                } else {
                    Some(checked(plan, &replica, *stage))
                };
            }
            Step::CreateCleanJob => {
                assert!(jobs.warm_up.is_none(), "never two at work on a volume");
                self.cleans += 1;
                writeln!(self.transcript, "  {name}: cleans").unwrap();
                let mut outcome = Outcome::success(Reason::Cleaned, "clean");
                outcome.clean = Some(Cleaned { rules: 1, ..Cleaned::default() });
                jobs.warm_up = Some(JobState::Succeeded(Box::new(outcome)));
            }
            Step::RecordChecks(Some(attempt), _) | Step::RecordCleaning(Some(attempt), _) => {
                self.slots.give_back(&replica, attempt.number);
            }
            Step::StopJob => jobs.warm_up = None,
            Step::Record(recording) => {
                if recording.attempt.number > jobs.number {
                    *jobs = ReplicaJobs { number: recording.attempt.number, ..ReplicaJobs::default() };
                }
                if recording.attempt.stage == AttemptStage::Done {
                    self.slots.give_back(&replica, recording.attempt.number);
                }
            }
            _ => {}
        }
        let changed = replica.status.as_ref() != Some(&status);
        self.observed.replicas[index].status = Some(status);
        let creates = matches!(
            step,
            Step::CreatePrepareJob | Step::CreateWarmUpJob | Step::CreateVerifyJob(_) | Step::CreateCleanJob
        );
        changed || creates || step == Step::StopJob
    }

    pub(super) fn ready(&self) -> bool {
        self.cache.status.as_ref().is_some_and(|it| is_true(&it.conditions, ConditionType::Ready))
    }
}

/// A check that found everything as it was published.
fn checked(plan: Option<String>, replica: &ModelCacheReplica, stage: AttemptStage) -> JobState {
    let files = replica.spec.plan.as_ref().and_then(|it| u64::try_from(it.files).ok()).unwrap_or(0);
    let mut outcome = Outcome::success(Reason::Warmed, "as published");
    outcome.evidence = plan.map(|plan| Evidence { plan, files, ..Evidence::default() });
    outcome.verify = Some(VerifyEvidence { files, bytes: 1, damaged: 0, deep: stage == AttemptStage::DeepVerify });
    JobState::Succeeded(Box::new(outcome))
}

pub(super) fn put<K: ResourceExt>(all: &mut Vec<K>, object: K) {
    all.retain(|it| it.name_any() != object.name_any());
    all.push(object);
}
