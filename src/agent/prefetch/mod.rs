//! Puts the content of a plan on a volume.
//!
//! # Flow
//!
//! ```text
//! plan ─► what is complete already (manifests, no network) ─► list the rest at their pins ─► where it goes
//!      ─► what of it is there ─► does all of it fit ─► all in one pool: fetch ─► source by source, as each is
//!      whole: unpack its archives, publish, manifest ─► current
//! ```
//!
//! # Guarantees
//!
//! - Nothing becomes visible before its hash is right and it is on the disk; the branch of a repository moves last.
//! - A source that fails does not hold back the others; without all of them there is no `current`.
//! - Killed at any moment, the next run goes on where this one was.
//! - With everything there, nobody is asked and nothing is written.

pub mod anew;
mod copying;
pub mod inventory;
mod pool;
pub mod publish;
pub mod report;
pub mod space;

use super::failure::Failure;
use super::fetch::{Content, FetchOptions, Staging, Writer};
use super::layout::manifest::Manifest;
use super::layout::publish::Publisher;
use super::layout::safe_path::Root;
use super::layout::{self, Placed, Placement, current};
use super::restore::rollback;
use super::source::Origins;
use super::source::access::Access;
use super::source::listing::Listing;
use super::unpack;
use super::verify::look::is_whole;
use super::verify::mend::mend;
use crate::api::Reason;
use crate::api::quantity::human;
use crate::api::source::Source;
use crate::contract::outcome::{Evidence, Outcome};
use crate::contract::plan::{Plan, PlannedSource};
use inventory::{Inventory, Known};
use jiff::Timestamp;
use pool::Pool;
use report::Report;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// What is to be put where, and how.
pub struct Prefetch<'a> {
    /// What must be there in the end.
    pub plan: &'a Plan,
    /// The volume.
    pub volume: &'a Path,
    /// In whose name.
    pub writer: Writer,
    /// Only what the plan names is brought: whatever else of the cache is on the volume stays as it is, and nobody is told
    /// that the volume is whole.
    pub partial: bool,
    /// Sources that are wanted and have no pin, because they could not be resolved: the run cannot end well.
    pub unresolved: Vec<Failure>,
    /// What the origins listed just now, by source: they need not be asked twice.
    pub listed: BTreeMap<String, Listing>,
    /// Where from.
    pub origins: &'a Origins,
    /// The token of a source.
    pub access: &'a (dyn Fn(&Source) -> Result<Access, Failure> + Sync),
    /// Limits: budget and what must stay free are taken from here.
    pub options: FetchOptions,
    /// How far it is.
    pub report: &'a Report,
    /// Lines for people.
    pub say: &'a (dyn Fn(String) + Sync),
}

/// A source that is not complete on the volume.
struct Work<'a> {
    planned: &'a PlannedSource,
    listing: Listing,
    placement: Placement,
    inventory: Inventory,
}

/// The first thing that went wrong, and how many more did.
#[derive(Default)]
struct Failures(Vec<Failure>);

impl Prefetch<'_> {
    /// Does it, and says what is there now.
    pub async fn run(&self) -> Outcome {
        match self.attempt().await {
            Ok(outcome) => outcome,
            Err(failure) => Outcome::failure(failure.reason, failure.message),
        }
    }

    async fn attempt(&self) -> Result<Outcome, Failure> {
        let (plan, cache) = (self.plan, &self.plan.cache);
        let root = Root::open(self.volume)?;
        let staging = Staging::open(self.volume, Path::new(&layout::staging(cache)), self.writer.clone())?;
        // A restore that was killed while it moved things is finished first: what manifests say holds only then.
        rollback::resume(&root, cache)?;
        let mut publisher = Publisher::new(&root, format!("{}/new", layout::state(cache)))?;
        for directory in &plan.directories {
            publisher.directory(directory)?;
        }

        // What is asked for now comes last: where two speak of a file, the newer one counts.
        let mut manifests = Manifest::read_retired(&root, cache)?;
        manifests.extend(Manifest::read_all(&root, cache)?);
        let mut known = Known::of(&manifests);
        let mut failures = Failures(self.unresolved.clone());
        let mut work = Vec::new();
        for planned in &plan.sources {
            match self.look(&root, planned, &known).await {
                Ok(found) => work.extend(found),
                Err(failure) => failures.add(&planned.source, failure),
            }
        }
        self.report.listed();
        if failures.0.is_empty() && !self.partial {
            self.sweep(&root, &staging, &work)?;
        }
        self.check_space(&root, &known, &work)?;

        let hash = plan.content_hash();
        // It was said to be complete, and is not; or it will not be, with some of its sources at another pin.
        let said = self.partial || current::read(&root, cache)?.as_ref() == Some(&hash);
        if said && !(work.is_empty() && failures.0.is_empty()) {
            current::remove(&root, cache)?;
        }
        let adopted = adopted(&known, &work);
        let options = FetchOptions { used_bytes: known.bytes_on(&root)? + adopted, ..self.options.clone() };
        let mut pool = Pool {
            client: &self.origins.client,
            root: &root,
            staging: &staging,
            publisher: &mut publisher,
            known: &mut known,
            cache,
            report: self.report,
        };
        for (source, end) in pool.bring(work, &options).await? {
            if let Err(failure) = end {
                failures.0.push(failure.of_source(source));
            }
        }
        let fetched = self.report.engine().snapshot().bytes_fetched;

        staging.check()?;
        let evidence = self.evidence(&root, fetched)?;
        let Some(failure) = failures.first() else {
            if !self.partial {
                let names: Vec<&str> = plan.sources.iter().map(|it| it.source.name.as_str()).collect();
                Manifest::retain(&root, &mut publisher, cache, &names)?;
                publisher.sync()?;
                current::write(&mut publisher, cache, &hash)?;
                staging.sweep(&[])?;
                unpack::sweep(&root, cache, &[])?;
                rollback::sweep(&root, cache, Timestamp::now())?;
                rollback::sweep_archives(&root, self.volume, Timestamp::now())?;
            }
            publisher.finish()?;
            let message = format!(
                "{} files, {} of {} sources; {} came over the network",
                evidence.files,
                human(evidence.bytes),
                plan.sources.len(),
                human(fetched)
            );
            return Ok(Outcome { evidence: Some(evidence), ..Outcome::success(Reason::Warmed, message) });
        };
        publisher.finish()?;
        Ok(Outcome { evidence: Some(evidence), ..Outcome::failure(failure.reason, failure.message) })
    }

    /// What is to be done for a source; nothing when it is complete.
    async fn look<'a>(
        &self,
        root: &Root,
        planned: &'a PlannedSource,
        known: &Known,
    ) -> Result<Option<Work<'a>>, Failure> {
        let (source, pin) = (&planned.source, &planned.pin);
        let key = layout::key_in(self.plan, source)?;
        let manifest = Manifest::read(root, &self.plan.cache, &source.name)?;
        if let Some(manifest) = manifest.filter(|it| publish::is_of(it, pin, &key))
            && mend(root, &self.plan.cache, &manifest, self.say).and_then(|()| Ok(is_whole(root, &manifest)?))?
        {
            self.report.wanted(manifest.files, manifest.bytes);
            self.report.there(manifest.files, manifest.bytes);
            (self.say)(match manifest.expired_at {
                None => format!("source `{}`: {} files are there already", source.name, manifest.files),
                Some(when) => format!("source `{}`: expired, and removed at {when:.0}", source.name),
            });
            return Ok(None);
        }
        let listing = match self.listed.get(&source.name).filter(|it| it.pin() == *pin) {
            Some(listing) => listing.clone(),
            None => self.origins.list(source, pin, &(self.access)(source)?).await?,
        };
        let mut placement = layout::place(self.plan, source, &listing)?;
        if listing.held.as_ref().is_some_and(|it| it.is_in(root)) {
            let inventory = copying::in_place(root, &listing, &mut placement)?;
            self.report.wanted(listing.files.len() as u64, listing.bytes());
            self.report.there(listing.files.len() as u64, listing.bytes());
            let (files, bytes) = (listing.files.len(), human(listing.bytes()));
            (self.say)(format!("source `{}`: {files} files, {bytes}, stay where they are", source.name));
            return Ok(Some(Work { planned, listing, placement, inventory }));
        }
        // Hashing what nobody vouches for may take minutes, in which signals are still heard.
        let inventory = {
            let (root, placement, revision, known) =
                (root.clone(), placement.clone(), pin.revision.clone(), known.clone());
            let (cache, origin) = (self.plan.cache.clone(), listing.origin.clone());
            let looking = tokio::task::spawn_blocking(move || {
                inventory::look(&root, &cache, &placement, (&revision, &origin), &known)
            });
            looking.await.map_err(|error| Failure::new(Reason::InternalError, error.to_string()))??
        };
        let bytes = placement.contents.iter().filter_map(|it| it.size).sum();
        self.report.wanted(listing.files.len() as u64, bytes);
        let there = placement.contents.iter().filter(|it| inventory.has(it).is_some());
        let there = there.fold((0, 0), |(files, bytes), it| (files + it.files, bytes + it.size.unwrap_or_default()));
        self.report.there(there.0, there.1);
        (self.say)(format!(
            "source `{}`: {} files, {} at {:.12}; {} of {} contents to fetch",
            source.name,
            listing.files.len(),
            human(listing.bytes()),
            pin.revision,
            inventory.missing.len(),
            placement.contents.len()
        ));
        Ok(Some(Work { planned, listing, placement, inventory }))
    }

    /// Drops what earlier runs staged for contents that nobody wants any more. Only when it is known of every source what it
    /// wants: what a source has staged that cannot be listed just now is kept for when it can.
    fn sweep(&self, root: &Root, staging: &Staging, work: &[Work<'_>]) -> Result<(), Failure> {
        let contents: Vec<Content> = work.iter().flat_map(|it| it.contents(&it.inventory.missing)).collect();
        staging.sweep(&contents)?;
        let trees: Vec<_> =
            work.iter().flat_map(|it| &it.placement.contents).filter_map(|it| it.tree.as_ref()).collect();
        Ok(unpack::sweep(root, &self.plan.cache, &trees)?)
    }

    /// Sees whether what is missing fits.
    fn check_space(&self, root: &Root, known: &Known, work: &[Work<'_>]) -> Result<(), Failure> {
        let contents: Vec<Content> = work.iter().flat_map(|it| it.contents(&it.inventory.missing)).collect();
        // What several sources list is fetched and kept once.
        let mut seen = HashSet::new();
        let once = contents.iter().filter(|it| it.digest.is_none_or(|digest| seen.insert((digest, it.size))));
        let sizes = once.filter_map(|it| it.size);
        let adopted = adopted(known, work);
        space::check(&space::Space {
            used: known.bytes_on(root)? + adopted + work.iter().map(|it| it.inventory.bytes_aside()).sum::<u64>(),
            new: sizes.fold(0, u64::saturating_add),
            staged: self.staged(root)?,
            free: root.free_bytes()?,
            min_free: self.options.min_free_bytes,
            budget: self.options.budget_bytes,
        })
    }

    /// Bytes on the disk of what is half fetched.
    fn staged(&self, root: &Root) -> Result<u64, Failure> {
        let directory = layout::staging(&self.plan.cache);
        let mut bytes = 0;
        for name in root.names(&directory)? {
            let stat = root.stat(&format!("{directory}/{name}"))?;
            bytes += stat.and_then(|it| u64::try_from(it.st_blocks).ok()).unwrap_or_default() * 512;
        }
        Ok(bytes)
    }

    /// What the manifests say is there, read back from the disk.
    fn evidence(&self, root: &Root, fetched_bytes: u64) -> Result<Evidence, Failure> {
        let plan = self.plan.content_hash();
        let mut evidence = Evidence { plan, fetched_bytes, ..Evidence::default() };
        for planned in &self.plan.sources {
            let Some(manifest) = Manifest::read(root, &self.plan.cache, &planned.source.name)? else { continue };
            if publish::is_of(&manifest, &planned.pin, &layout::key_in(self.plan, &planned.source)?) {
                if manifest.expired_at.is_some() {
                    evidence.expired_files += manifest.files;
                    continue;
                }
                evidence.files += manifest.files;
                evidence.bytes += manifest.bytes;
                // Every file of a manifest was hashed: by the engine, or before it was taken over.
                evidence.hashed_files += manifest.files;
            }
        }
        Ok(evidence)
    }
}

impl Work<'_> {
    /// What the engine is asked for.
    fn contents(&self, missing: &[Placed]) -> Vec<Content> {
        let files = missing.iter().filter_map(|placed| self.listing.files.get(placed.index));
        files.map(|file| self.listing.content(file)).collect()
    }
}

/// Bytes of files that are on the volume and no manifest lists yet.
fn adopted(known: &Known, work: &[Work<'_>]) -> u64 {
    let found = work.iter().flat_map(|it| &it.inventory.there);
    found.filter(|(path, _)| !known.lists(path)).map(|(_, (size, _))| size).sum()
}

impl Failures {
    fn add(&mut self, source: &Source, failure: Failure) {
        self.0.push(failure.of_source(&source.name));
    }

    /// The first failure; its message says how many other sources failed.
    fn first(&self) -> Option<Failure> {
        let first = self.0.first()?;
        let others: Vec<String> = self.0.iter().skip(1).map(|it| it.reason.to_string()).collect();
        let message = match others.as_slice() {
            [] => first.message.clone(),
            _ => format!("{} (and {} more: {})", first.message, others.len(), others.join(", ")),
        };
        Some(Failure { reason: first.reason, message })
    }
}
