//! May a backup rely on what the repository holds? As long as no prune can have taken it for dead; else it looks again.

use super::check::{self, Check};
use super::repository::Repository;
use super::repository::at_work::{AtWork, Work};
use super::repository::snapshot::Snapshot;
use crate::agent::failure::Failure;
use crate::api::Reason;
use std::time::{Duration, Instant};

/// How long a prune that is at work is waited for.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How often it is looked whether it is done.
const LOOK: Duration = Duration::from_secs(5);

/// Waits until no prune is at work.
///
/// # Errors
/// `DeadlineExceeded` when one does not end.
pub async fn wait_for_prune(at_work: &AtWork, say: &dyn Fn(&str)) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let others = at_work.others(Work::Prune).await?;
        if others.alive.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            let message = "a prune is at work on the same repository and does not end: look at its Job, and try again";
            return Err(Failure::new(Reason::DeadlineExceeded, message));
        }
        say("waits for a prune of the same repository");
        tokio::time::sleep(LOOK).await;
    }
}

/// Sees that everything is there that a snapshot will name, if a prune may have removed some of it meanwhile: right before the
/// snapshot is written.
///
/// # Errors
/// `Evicted` when something is gone: the next run sends it again.
pub async fn see_to_it(
    repository: &Repository,
    at_work: &AtWork,
    snapshot: &Snapshot,
    say: &dyn Fn(&str),
) -> Result<(), Failure> {
    at_work.renew().await?;
    while at_work.lapsed() {
        say(
            "this run could not say for long that it is at work: it looks whether a prune has removed what it relies on",
        );
        // Whoever removes has begun before our marker was there again; whoever begins now sees it.
        wait_for_prune(at_work, say).await?;
        let objects = check::all(repository).await?;
        let gone = Check::new(repository, &objects).quick(snapshot).await;
        let why = match gone {
            Ok(gone) => gone.first().map(|it| it.why.clone()),
            // A list that is gone cannot be read.
            Err(failure) if failure.reason == Reason::ChecksumMismatch => Some(failure.message),
            Err(failure) => return Err(failure),
        };
        if let Some(why) = why {
            let message = format!(
                "the backup could not say for minutes that it is at work, and a prune has removed what it relies on ({why}): \
                 nothing was backed up; run it again"
            );
            return Err(Failure::new(Reason::Evicted, message));
        }
        at_work.renew().await?;
    }
    Ok(())
}
