//! The CronJob of a cache's scheduled backups. It fires while the operator is down, too.

use super::place::Place;
use super::pod;
use crate::api::backup::Backup;
use crate::api::{JobRole, ModelCache, Reason, duration, name};
use crate::operator::cron_job::build::{self, Scheduled};
use crate::operator::options::Settings;
use crate::operator::pod::AgentJob;
use k8s_openapi::api::batch::v1::CronJob;
use kube::ResourceExt;
use std::time::Duration;

/// What is not tried again at once: a person must mend it.
const FINAL: [Reason; 9] = [
    Reason::InvalidSpec,
    Reason::Unauthorized,
    Reason::Gated,
    Reason::NotFound,
    Reason::SecretNotFound,
    Reason::NoFiles,
    Reason::InsufficientSpace,
    Reason::DeadlineExceeded,
    Reason::ForeignBackup,
];

/// The CronJob. `schedule` is moved by the jitter already.
pub fn cron_job(
    cache: &ModelCache,
    backup: &Backup,
    schedule: &str,
    place: &Place,
    pinned: &[String],
    settings: &Settings,
) -> CronJob {
    let name = name::backup(&cache.name_any());
    let deadline = duration::parse(backup.effective_starting_deadline());
    let scheduled = Scheduled {
        job: AgentJob { name: name.clone(), ..pod::agent_job(cache, backup, name, place, pinned) },
        role: JobRole::Backup,
        schedule,
        starting_deadline: deadline.unwrap_or(Duration::from_secs(3600)),
        suspend: backup.suspended() || place.nowhere,
        final_reasons: &FINAL,
    };
    build::cron_job(cache, scheduled, settings)
}
