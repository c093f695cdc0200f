//! What did the runs of the CronJob come to? Each of its Jobs is recorded once, in the cache's status, and then removed. Pure.

use crate::api::cleaning::{CleanedUp, CronJobRuns};
use crate::api::quantity::{human, signed};
use crate::api::{FailureClass, Reason};
use crate::contract::outcome::{Cleaned, Outcome};
use crate::operator::cluster::{Note, Removal};
use crate::operator::job::{JobState, ObservedJob, Problem};
use crate::operator::modelcache::observe::Observed;
use crate::operator::retry::{next_failure, whole_seconds};
use jiff::Timestamp;
use kube::ResourceExt;

/// A run that ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Name of its Job.
    pub job: String,
    /// When.
    pub time: Timestamp,
    /// Why it did not do all it should.
    pub problem: Option<Problem>,
    /// What it did.
    pub did: Option<CleanedUp>,
}

/// What a clean-up did, for a status.
pub fn did(cleaned: &Cleaned, now: Timestamp) -> CleanedUp {
    CleanedUp {
        time: whole_seconds(now).to_string(),
        deleted: signed(cleaned.deleted),
        rotated: signed(cleaned.rotated),
        freed_bytes: signed(cleaned.freed_bytes),
        gained_bytes: signed(cleaned.gained_bytes),
        trashed_bytes: signed(cleaned.trashed_bytes),
    }
}

/// What makes a success no proof that anything was cleaned.
pub fn unproven(outcome: &Outcome) -> Option<Problem> {
    let proven = outcome.clean.is_some_and(|it| !it.dry_run && it.rules > 0 && it.failed_rules == 0);
    (!proven).then(|| Problem::new(Reason::NoEvidence, "the Job completed without saying which rules it carried out"))
}

/// The runs that ended after those that are recorded, in the order of their ends.
pub fn ended(before: Option<&CronJobRuns>, jobs: &[ObservedJob]) -> Vec<Ended> {
    let mut ended: Vec<Ended> = jobs.iter().filter_map(of_job).filter(|it| is_new(before, it)).collect();
    ended.sort_by(|a, b| (a.time, &a.job).cmp(&(b.time, &b.job)));
    ended
}

fn of_job(job: &ObservedJob) -> Option<Ended> {
    let status = job.job.status.as_ref()?;
    // What the Job itself says, not its pod: one that may be tried again has not ended.
    let over = status
        .conditions
        .iter()
        .flatten()
        .find(|it| (it.type_ == "Complete" || it.type_ == "Failed") && it.status == "True")?;
    let time = over.last_transition_time.as_ref().or(status.completion_time.as_ref())?.0;
    let problem = match job.state() {
        JobState::Succeeded(outcome) => unproven(&outcome),
        JobState::Failed(problem) => Some(problem),
        JobState::Ending | JobState::Running { .. } => return None,
    };
    let did = job.said().and_then(|it| it.clean).map(|it| did(&it, time));
    Some(Ended { job: job.name().to_owned(), time: whole_seconds(time), problem, did })
}

fn is_new(before: Option<&CronJobRuns>, ended: &Ended) -> bool {
    let known = before.and_then(|it| Some((it.last_time.as_deref()?.parse::<Timestamp>().ok()?, it.last.as_deref()?)));
    known.is_none_or(|(time, job)| (ended.time, ended.job.as_str()) > (time, job))
}

/// Jobs whose end is recorded. Not those that their CronJob believes to run: it would warn of a Job that is missing.
pub fn recorded(before: Option<&CronJobRuns>, observed: &Observed, cron_job: &str) -> Vec<Removal> {
    let cron_job = observed.cron_jobs.iter().find(|it| it.name_any() == cron_job);
    let active = cron_job.and_then(|it| it.status.as_ref()).and_then(|it| it.active.as_ref());
    let active: Vec<&String> = active.into_iter().flatten().filter_map(|it| it.uid.as_ref()).collect();
    let is_recorded = |it: &&ObservedJob| {
        let waits = it.job.metadata.uid.as_ref().is_some_and(|it| active.contains(&it));
        !waits && of_job(it).is_some_and(|it| !is_new(before, &it))
    };
    observed.clean_jobs.iter().filter(is_recorded).map(|it| Removal::Job(it.job.clone())).collect()
}

/// The memory with one more run that ended.
pub fn with(before: CronJobRuns, ended: &Ended) -> CronJobRuns {
    let time = ended.time.to_string();
    let failure = ended.problem.as_ref();
    let failure = failure.map(|it| next_failure(before.failure.as_ref(), it.reason, it.message.clone(), ended.time));
    CronJobRuns {
        last: Some(ended.job.clone()),
        last_success: if failure.is_none() { Some(time.clone()) } else { before.last_success },
        last_time: Some(time),
        failure,
        did: ended.did.clone().or(before.did),
        next: before.next,
    }
}

/// What people are told of a run: what it removed, and why it failed. One that had nothing to do is no news.
pub fn note(ended: &Ended) -> Option<Note> {
    news(&format!("Job `{}`", ended.job), ended.problem.as_ref(), ended.did.as_ref())
}

/// What people are told of a clean-up somewhere.
pub fn news(place: &str, problem: Option<&Problem>, did: Option<&CleanedUp>) -> Option<Note> {
    let bytes = |it: i64| human(u64::try_from(it).unwrap_or(0));
    match (problem, did) {
        // It gave way, and the next run sees to it.
        (Some(problem), _) if problem.reason.class() == FailureClass::Disruption => None,
        (Some(problem), _) => Some(Note::warning(problem.reason, "Clean", format!("{place}: {}", problem.message))),
        (None, Some(it)) if it.deleted > 0 || it.freed_bytes > 0 => {
            let (freed, gained) = (bytes(it.freed_bytes), bytes(it.gained_bytes));
            let message = format!("{place}: {} deleted, {freed} freed, {gained} more free than before", it.deleted);
            Some(Note::normal(Reason::Cleaned, "Clean", message))
        }
        (None, _) => None,
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
