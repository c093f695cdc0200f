//! Puts the content of a plan on a volume.
//!
//! # Flow
//!
//! ```text
//! plan ─► what is complete already (manifests, no network) ─► list the rest at their pins ─► where it goes
//!      ─► what of it is there ─► does all of it fit ─► source by source: fetch, publish, manifest ─► current
//! ```
//!
//! # Guarantees
//!
//! - Nothing becomes visible before its hash is right and it is on the disk; the branch of a repository moves last.
//! - A source that fails does not hold back the others; without all of them there is no `current`.
//! - Killed at any moment, the next run goes on where this one was.
//! - With everything there, nobody is asked and nothing is written.

pub mod inventory;
pub mod publish;
pub mod report;
pub mod space;

use super::failure::Failure;
use super::fetch::{self, Content, FetchOptions, Staging, Writer};
use super::layout::manifest::Manifest;
use super::layout::publish::Publisher;
use super::layout::safe_path::Root;
use super::layout::{self, Placement, current};
use super::source::Origins;
use super::source::access::Access;
use super::source::listing::Listing;
use super::verify::look::is_whole;
use super::verify::mend::mend;
use crate::api::Reason;
use crate::api::quantity::human;
use crate::api::source::Source;
use crate::contract::outcome::{Evidence, Outcome};
use crate::contract::plan::{Plan, PlannedSource};
use inventory::{Inventory, Known};
use report::Report;
use std::path::Path;

/// What is to be put where, and how.
pub struct Prefetch<'a> {
    /// What must be there in the end.
    pub plan: &'a Plan,
    /// The volume.
    pub volume: &'a Path,
    /// In whose name.
    pub writer: Writer,
    /// Sources that are wanted and have no pin, because they could not be resolved: the run cannot end well.
    pub unresolved: Vec<Failure>,
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
        self.check_space(&root, &staging, &known, &work)?;

        let hash = plan.content_hash();
        if (!work.is_empty() || !failures.0.is_empty()) && current::read(&root, cache)?.as_ref() == Some(&hash) {
            // It was said to be complete, and is not.
            current::remove(&root, cache)?;
        }
        let mut fetched = 0;
        for item in work {
            let source = item.planned.source.clone();
            match self.bring(&root, &staging, &mut publisher, &mut known, item).await {
                Ok(()) => {}
                Err(failure) if failure.reason == Reason::Superseded => return Err(failure.of_source(&source.name)),
                Err(failure) => failures.add(&source, failure),
            }
            fetched = self.report.engine().snapshot().bytes_fetched;
        }

        staging.check()?;
        let evidence = self.evidence(&root, fetched)?;
        let Some(failure) = failures.first() else {
            let names: Vec<&str> = plan.sources.iter().map(|it| it.source.name.as_str()).collect();
            Manifest::retain(&root, &mut publisher, cache, &names)?;
            publisher.sync()?;
            current::write(&mut publisher, cache, &hash)?;
            staging.sweep(&[])?;
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
        let key = layout::key(source)?;
        let manifest = Manifest::read(root, &self.plan.cache, &source.name)?;
        if let Some(manifest) = manifest.filter(|it| publish::is_of(it, pin, &key))
            && mend(root, &self.plan.cache, &manifest, self.say).and_then(|()| Ok(is_whole(root, &manifest)?))?
        {
            self.report.wanted(manifest.files, manifest.bytes);
            self.report.there(manifest.files, manifest.bytes);
            (self.say)(format!("source `{}`: {} files are there already", source.name, manifest.files));
            return Ok(None);
        }
        let access = (self.access)(source)?;
        let listing = self.origins.list(source, pin, &access).await?;
        let placement = layout::place(source, &listing)?;
        // Hashing what nobody vouches for may take minutes, in which signals are still heard.
        let inventory = {
            let (root, placement, revision, known) =
                (root.clone(), placement.clone(), pin.revision.clone(), known.clone());
            let looking = tokio::task::spawn_blocking(move || inventory::look(&root, &placement, &revision, &known));
            looking.await.map_err(|error| Failure::new(Reason::InternalError, error.to_string()))??
        };
        let bytes = placement.contents.iter().filter_map(|it| it.size).sum();
        self.report.wanted(listing.files.len() as u64, bytes);
        let there = placement.contents.iter().filter(|it| inventory.there.contains_key(&it.path));
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

    /// Drops what earlier runs staged for other contents, and sees whether the rest fits.
    fn check_space(&self, root: &Root, staging: &Staging, known: &Known, work: &[Work<'_>]) -> Result<(), Failure> {
        let contents: Vec<Content> = work.iter().flat_map(Work::contents).collect();
        staging.sweep(&contents)?;
        let sizes = contents.iter().filter_map(|it| it.size);
        let found = work.iter().flat_map(|it| &it.inventory.there);
        let adopted: u64 = found.filter(|(path, _)| !known.lists(path)).map(|(_, (size, _))| size).sum();
        space::check(&space::Space {
            used: known.bytes_on(root)? + adopted,
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

    /// Fetches what a source lacks, and makes it visible.
    async fn bring(
        &self,
        root: &Root,
        staging: &Staging,
        publisher: &mut Publisher<'_>,
        known: &mut Known,
        mut work: Work<'_>,
    ) -> Result<(), Failure> {
        let revision = work.listing.revision.clone();
        // The same content under another name, of another source: kept once.
        let mut missing = Vec::new();
        for placed in std::mem::take(&mut work.inventory.missing) {
            if let Some((path, size, sha256)) = known.same(root, &placed)?
                && publisher.same(&path, &placed.path).is_ok()
            {
                self.report.there(placed.files, size);
                work.inventory.there.insert(placed.path, (size, sha256));
            } else {
                missing.push(placed);
            }
        }
        work.inventory.missing = missing;

        let contents = work.contents();
        let options = FetchOptions { used_bytes: known.bytes_on(root)?, ..self.options.clone() };
        let (missing, there) = (&work.inventory.missing, &mut work.inventory.there);
        let on_staged = |staged: fetch::Staged| -> Result<(), layout::LayoutError> {
            let Some(first) = missing.get(staged.index) else { return Ok(()) };
            publisher.adopt(&staged.path, &first.path)?;
            for placed in staged.also.iter().filter_map(|index| missing.get(*index)) {
                publisher.same(&first.path, &placed.path)?;
            }
            for placed in [staged.index].iter().chain(&staged.also).filter_map(|index| missing.get(*index)) {
                known.learn(&placed.path, staged.size, staged.sha256, &revision, false);
                there.insert(placed.path.clone(), (staged.size, staged.sha256));
                self.report.published(placed.files);
            }
            Ok(())
        };
        let engine = self.report.engine();
        fetch::fetch(&self.origins.client, contents, staging, &options, engine, on_staged).await?;
        staging.check()?;
        publish::publish(
            root,
            publisher,
            &self.plan.cache,
            work.planned,
            &work.listing,
            &work.placement,
            &work.inventory,
        )
    }

    /// What the manifests say is there, read back from the disk.
    fn evidence(&self, root: &Root, fetched_bytes: u64) -> Result<Evidence, Failure> {
        let plan = self.plan.content_hash();
        let mut evidence = Evidence { plan, files: 0, bytes: 0, fetched_bytes, hashed_files: 0 };
        for planned in &self.plan.sources {
            let Some(manifest) = Manifest::read(root, &self.plan.cache, &planned.source.name)? else { continue };
            if publish::is_of(&manifest, &planned.pin, &layout::key(&planned.source)?) {
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
    fn contents(&self) -> Vec<Content> {
        let files = self.inventory.missing.iter().filter_map(|placed| self.listing.files.get(placed.index));
        files.map(|file| self.listing.content(file)).collect()
    }
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
