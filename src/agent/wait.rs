//! Is the content complete here? Waits until it is: the init container of a pod that needs it.

use super::failure::Failure;
use super::layout::current;
use super::layout::safe_path::Root;
use crate::api::Reason;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the volume is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often it is said what is waited for.
const SAY: Duration = Duration::from_secs(30);

/// Waits until the plan is complete on the volume: that of this content hash, or any when none is given. Returns the hash.
///
/// # Errors
/// `DeadlineExceeded` when it is not within the time given.
pub async fn wait(
    volume: &Path,
    cache: &str,
    wanted: Option<&str>,
    timeout: Option<Duration>,
    say: &(dyn Fn(String) + Sync),
) -> Result<String, Failure> {
    let root = Root::open(volume)?;
    let started = Instant::now();
    let mut said: Option<Instant> = None;
    loop {
        let found = current::read(&root, cache)?;
        if let Some(hash) = found.as_ref().filter(|it| wanted.is_none_or(|wanted| wanted == *it)) {
            return Ok(hash.clone());
        }
        let state = match (&found, wanted) {
            (Some(found), Some(wanted)) => format!("plan {found:.12} is there, plan {wanted:.12} is wanted"),
            _ => "nothing is complete yet".to_owned(),
        };
        let what = format!("cache `{cache}` on {}: {state}", volume.display());
        if timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
            let message = format!(
                "{what} after {} s: look at `kubectl describe modelcache {cache}`",
                started.elapsed().as_secs()
            );
            return Err(Failure::new(Reason::DeadlineExceeded, message));
        }
        if said.is_none_or(|at| at.elapsed() >= SAY) {
            say(format!("waiting for {what}"));
            said = Some(Instant::now());
        }
        tokio::time::sleep(LOOK).await;
    }
}
