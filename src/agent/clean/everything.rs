//! How does all that a cache has put on a volume leave it? As revisions do when nobody asks for them any more, all of them.
//!
//! ```text
//! `current` goes ─► every manifest is retired ─► each revision is removed whole ─► what is half fetched goes
//! ```
//!
//! # Guarantees
//!
//! - What another cache lists, what was adopted where it was, and what nobody's manifest lists stays: also what is in `directories`.
//! - Killed at any moment, the next prefetch or clean-up goes on from there: what is still whole is taken up again.

use super::super::failure::Failure;
use super::super::fetch::{Staging, Writer};
use super::super::inspect::owners::Owners;
use super::super::inspect::{known, leftovers};
use super::super::layout::manifest::Manifest;
use super::super::layout::publish::Publisher;
use super::super::layout::safe_path::Root;
use super::super::layout::{self, current};
use super::super::local::Pins;
use super::super::restore::rollback;
use super::super::unpack;
use super::hand::Hand;
use super::in_use::InUse;
use super::readers::Readers;
use super::report::RuleReport;
use super::revision::Removal;
use super::work::Work;
use crate::api::Reason;
use crate::api::cleanup::Cleanup;
use crate::api::source::Source;
use crate::contract::plan::Plan;
use jiff::Timestamp;
use std::path::Path;

/// Removes it, and says how many bytes on the disk are free because of it. Blocking.
pub fn remove(plan: &Plan, volume: &Path, writer: Writer) -> Result<u64, Failure> {
    let cache = plan.cache.as_str();
    let root = Root::open(volume)?;
    let staging = Staging::open(volume, Path::new(&layout::staging(cache)), writer)?;
    // What manifests say holds only once a restore that was killed is finished.
    rollback::resume(&root, cache)?;
    believed(&root)?;
    current::remove(&root, cache)?;
    let mut publisher = Publisher::new(&root, format!("{}/new", layout::state(cache)))?;
    Manifest::retain(&root, &mut publisher, cache, &[])?;
    publisher.sync()?;
    publisher.finish()?;

    let caches = known::caches(&root)?;
    let owners = Owners::of(&root, &caches)?;
    let left = leftovers::of(&root, &caches, &owners)?;
    let device = rustix::fs::fstat(root.directory("")?).map_err(|error| root.failure("", error))?.st_dev;
    let sources: Vec<Source> = plan.sources.iter().map(|it| it.source.clone()).collect();
    let work = Work {
        root: &root,
        cache,
        caches: &caches,
        owners: &owners,
        cleanup: &Cleanup::default(),
        sources: &sources,
        directories: &plan.directories,
        pins: &Pins::read(&root, cache)?,
        plan: None,
        in_use: &InUse::on(device),
        now: Timestamp::now(),
        readers: Readers::of(None, false),
        dry_run: false,
        acknowledged: true,
        staging: Some(&staging),
    };
    let (mut hand, mut report) = (Hand::on(&root)?, RuleReport::of("reset"));
    let mut removal = Removal::new(&work, &mut hand, &left.led_to);
    removal.finish_all(&mut report)?;
    let mut freed = report.freed_bytes;
    if let Some(at) = caches.iter().position(|it| it.name == cache) {
        for index in 0..caches[at].revisions.len() {
            work.check()?;
            freed += removal.remove((at, index), &mut report)?;
        }
    }
    staging.sweep(&[])?;
    unpack::sweep(&root, cache, &[])?;
    match report.failure {
        None => Ok(freed),
        Some(failed) => Err(Failure::new(failed.reason, failed.message)),
    }
}

/// Fails where nobody knows what a cache on the volume needs.
fn believed(root: &Root) -> Result<(), Failure> {
    let caches = known::caches(root)?;
    let Some((cache, source)) = caches.iter().find_map(|it| Some((&it.name, it.broken.first()?))) else {
        return Ok(());
    };
    let message = format!(
        "the manifest of source `{source}` of cache `{cache}` cannot be believed, so nobody knows what it lists: a warm-up writes it \
         anew; then ask again"
    );
    Err(Failure::new(Reason::Damaged, message))
}
