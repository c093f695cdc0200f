//! Is the content complete here? Waits until it is: the init container of a pod that needs it.

use super::failure::Failure;
use super::fetch::{JOURNAL_END, held_of_journal};
use super::layout::safe_path::Root;
use super::layout::{self, current};
use crate::api::Reason;
use crate::api::quantity::human;
use std::fmt::{Display, Formatter};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the volume is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often it is said what is waited for.
const SAY: Duration = Duration::from_secs(30);
/// Longest journal that is read, in bytes: the engine writes shorter ones.
const JOURNAL_LIMIT: u64 = 1 << 20;

/// What is waited for, and where.
#[derive(Clone, Copy, Debug)]
pub struct Awaited<'a> {
    /// Directory of the volume; it may be read-only.
    pub volume: &'a Path,
    /// Name of the `ModelCache`.
    pub cache: &'a str,
    /// Content hash of the plan; any plan that is complete when none is given.
    pub plan: Option<&'a str>,
    /// The node that it is waited on, for people.
    pub node: Option<&'a str>,
}

/// Waits until the plan is complete on the volume. Returns its hash.
///
/// # Errors
/// `DeadlineExceeded` when it is not within the time given.
pub async fn wait(
    awaited: Awaited<'_>,
    timeout: Option<Duration>,
    say: &(dyn Fn(String) + Sync),
) -> Result<String, Failure> {
    let root = Root::open(awaited.volume)?;
    let started = Instant::now();
    let mut said: Option<Instant> = None;
    loop {
        let found = current::read(&root, awaited.cache)?;
        if let Some(hash) = found.as_ref().filter(|it| awaited.plan.is_none_or(|wanted| wanted == *it)) {
            return Ok(hash.clone());
        }
        let over = timeout.is_some_and(|timeout| started.elapsed() >= timeout);
        if over || said.is_none_or(|at| at.elapsed() >= SAY) {
            let what = awaited.describe(found.as_deref(), &staged(&root, awaited.cache)?);
            let look = format!("look at `kubectl describe modelcache {}`", awaited.cache);
            if over {
                let message = format!("{what} after {} s: {look}", started.elapsed().as_secs());
                return Err(Failure::new(Reason::DeadlineExceeded, message));
            }
            say(format!("waiting for {what}; {look}"));
            said = Some(Instant::now());
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Awaited<'_> {
    /// Which cache, where, what is there and how much is on its way.
    fn describe(&self, found: Option<&str>, staged: &Staged) -> String {
        let node = self.node.map(|it| format!(" of node {it}")).unwrap_or_default();
        let state = match (found, self.plan) {
            (Some(found), Some(wanted)) => format!("plan {found:.12} is there, plan {wanted:.12} is wanted"),
            _ => "nothing is complete yet".to_owned(),
        };
        format!("cache `{}` on {}{node}: {state}, {staged}", self.cache, self.volume.display())
    }
}

/// Files that are being fetched.
#[derive(Debug, Default, PartialEq, Eq)]
struct Staged {
    files: u64,
    held: u64,
    size: u64,
}

impl Display for Staged {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self.files {
            0 => f.write_str("no file is being fetched"),
            1 => write!(f, "{} of {} of a file are fetched", human(self.held), human(self.size)),
            files => write!(f, "{} of {} of {files} files are fetched", human(self.held), human(self.size)),
        }
    }
}

/// What journals say of the files that are not whole yet.
fn staged(root: &Root, cache: &str) -> Result<Staged, Failure> {
    let directory = layout::staging(cache);
    let mut staged = Staged::default();
    for name in root.names(&directory)?.iter().filter(|it| it.ends_with(JOURNAL_END)) {
        // One that was finished meanwhile has left.
        let bytes = root.read(&format!("{directory}/{name}"), JOURNAL_LIMIT)?;
        if let Some((held, size)) = bytes.as_deref().and_then(held_of_journal) {
            staged.files += 1;
            staged.held += held;
            staged.size += size.unwrap_or(held);
        }
    }
    Ok(staged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_names_the_cache_the_node_the_plans_and_how_far_it_is() {
        let wanted = "b".repeat(64);
        let awaited =
            Awaited { volume: Path::new("/volumes/models"), cache: "studio", plan: None, node: Some("gpu-3") };
        let staged = Staged { files: 2, held: 3 << 20, size: 4 << 30 };
        assert_eq!(
            awaited.describe(None, &staged),
            "cache `studio` on /volumes/models of node gpu-3: nothing is complete yet, 3.0 MiB of 4.0 GiB of 2 files are fetched"
        );
        let awaited = Awaited { plan: Some(&wanted), node: None, ..awaited };
        assert_eq!(
            awaited.describe(Some(&"a".repeat(64)), &Staged::default()),
            "cache `studio` on /volumes/models: plan aaaaaaaaaaaa is there, plan bbbbbbbbbbbb is wanted, no file is being fetched"
        );
    }
}
