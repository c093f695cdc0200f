//! All sources at once: what they lack is fetched in one go, and each becomes visible as soon as its last content is there.

use super::super::failure::{Failure, reason};
use super::super::fetch::{self, Arrival, Content, FetchOptions, HttpClient, Place, Staged, Staging};
use super::super::layout::manifest::{Entry, Manifest, What};
use super::super::layout::publish::Publisher;
use super::super::layout::safe_path::Root;
use super::super::layout::{LayoutError, Placed};
use super::super::source::listing::Listing;
use super::super::unpack;
use super::inventory::{Known, Pinned};
use super::report::Report;
use super::{Work, publish};
use crate::api::Reason;
use std::collections::HashSet;

/// What the sources of a run are brought onto.
pub(super) struct Pool<'a, 'p> {
    pub(super) client: &'a HttpClient,
    pub(super) root: &'a Root,
    pub(super) staging: &'a Staging,
    pub(super) publisher: &'a mut Publisher<'p>,
    pub(super) known: &'a mut Known,
    pub(super) cache: &'a str,
    pub(super) report: &'a Report,
}

/// A source on its way.
pub(super) struct Pending<'w> {
    pub(super) work: Work<'w>,
    /// Contents to fetch, in the order of the engine's group.
    missing: Vec<Placed>,
    left: usize,
    /// Whether the manifest on the volume says that its files may be others by now.
    distrusted: bool,
    pub(super) end: Option<Result<(), Failure>>,
}

impl Pool<'_, '_> {
    /// Fetches what the sources lack, large contents first whatever source they are of, and makes each source visible
    /// once it is whole. Gives what became of each.
    ///
    /// A source that fails does not hold back the others. What ends the run is the end of all that were not whole.
    ///
    /// # Errors
    /// `Superseded`: nothing more may be written.
    pub(super) async fn bring<'w>(
        &mut self,
        work: Vec<Work<'w>>,
        options: &FetchOptions,
    ) -> Result<Vec<(&'w str, Result<(), Failure>)>, Failure> {
        let mut sources: Vec<_> = work.into_iter().map(Pending::new).collect();
        for source in &mut sources {
            if let Err(failure) = self.link_known(source) {
                source.end = Some(Err(failure));
            }
            self.publish_whole(source)?;
        }
        let (client, staging, engine) = (self.client, self.staging, self.report.engine());
        // A second round is for paths that could not be given a link, each of which is fetched on its own, and for archives:
        // expanding one takes too long for the engine to wait.
        self.unpack_whole(&mut sources, options).await?;
        while sources.iter().any(|source| source.end.is_none()) {
            self.copy(&mut sources).await?;
            let groups = sources.iter_mut().map(Pending::fetch_round).collect();
            let mut stopped = None;
            let on =
                |arrival| self.arrive(&mut sources, arrival).inspect_err(|failure| stopped = Some(failure.clone()));
            let fetched = fetch::fetch(client, groups, staging, options, engine, on).await;
            let failure = match (stopped, fetched) {
                (Some(failure), _) => failure,
                (None, Ok(_)) => {
                    self.unpack_whole(&mut sources, options).await?;
                    continue;
                }
                (None, Err(error)) => error.into(),
            };
            let mut unfinished = sources.iter_mut().filter(|source| source.end.is_none());
            if failure.reason == Reason::Superseded {
                let name = unfinished.next().map_or("", |source| source.name());
                return Err(failure.of_source(name));
            }
            unfinished.for_each(|source| source.end = Some(Err(failure.clone())));
        }
        Ok(sources.into_iter().filter_map(|source| Some((source.name(), source.end?))).collect())
    }

    /// The same content under another name, of another source: kept once.
    fn link_known(&mut self, source: &mut Pending<'_>) -> Result<(), Failure> {
        for placed in std::mem::take(&mut source.missing) {
            if let Some((path, size, sha256)) = self.known.same(self.root, &placed)?
                && self.publisher.same(&path, &placed.path).is_ok()
            {
                self.report.there(placed.files, size);
                source.work.inventory.there.insert(placed.path, (size, sha256));
            } else {
                source.missing.push(placed);
            }
        }
        source.left = source.missing.len();
        Ok(())
    }

    /// Takes what the engine hands over. Gives the sources that failed here and need nothing more.
    fn arrive(&mut self, sources: &mut [Pending<'_>], arrival: Arrival) -> Result<Vec<usize>, Failure> {
        match arrival {
            Arrival::Failed { group, error } => {
                if let Some(source) = sources.get_mut(group) {
                    source.end.get_or_insert(Err(error.into()));
                }
                Ok(vec![])
            }
            Arrival::Staged(staged) => self.take(sources, &staged),
        }
    }

    pub(super) fn take(&mut self, sources: &mut [Pending<'_>], staged: &Staged) -> Result<Vec<usize>, Failure> {
        let placed = |sources: &[Pending<'_>], at: Place| sources.get(at.group)?.missing.get(at.index).cloned();
        let Some(first) = placed(sources, staged.at) else { return Ok(vec![]) };
        let mut adopted = Ok(());
        for at in std::iter::once(&staged.at).chain(&staged.also) {
            if let Some(source) = sources.get_mut(at.group) {
                adopted = adopted.and_then(|()| self.distrust(source));
            }
        }
        let adopted = adopted.and_then(|()| self.publisher.adopt(&staged.path, &first.path));
        let mut failed = Vec::new();
        for at in std::iter::once(&staged.at).chain(&staged.also) {
            let (Some(placed), Some(source)) = (placed(sources, *at), sources.get_mut(at.group)) else { continue };
            let is_first = *at == staged.at;
            if let Err(error) = &adopted {
                if is_first {
                    source.end.get_or_insert(Err(Failure::new(Reason::VolumeError, error.to_string())));
                    failed.push(at.group);
                }
                // The others fetch it for themselves.
                continue;
            }
            if !is_first && placed.path != first.path && self.publisher.same(&first.path, &placed.path).is_err() {
                continue;
            }
            if !is_first {
                self.report.there(0, staged.size);
            }
            self.report.published(placed.files);
            let Listing { revision, origin, .. } = &source.work.listing;
            let (revision, origin) = (revision.as_str().into(), origin.as_str().into());
            let validator = placed.validator.clone();
            let pin = Pinned { revision, origin, validator };
            self.known.learn(&placed.path, staged.size, staged.sha256, pin, false);
            source.work.inventory.there.insert(placed.path, (staged.size, staged.sha256));
            source.left -= 1;
            self.publish_whole(source)?;
            if matches!(source.end, Some(Err(_))) {
                failed.push(at.group);
            }
        }
        Ok(failed)
    }

    /// Before the first file of a source is replaced: the manifest that is there speaks of the earlier ones, which may be as
    /// long. Should this run be killed, and the origin go back to what it had, nobody takes the new for the old.
    fn distrust(&mut self, source: &mut Pending<'_>) -> Result<(), LayoutError> {
        if std::mem::replace(&mut source.distrusted, true) {
            return Ok(());
        }
        let paths: HashSet<&str> = source.missing.iter().map(|it| it.path.as_str()).collect();
        let replaced = |entry: &Entry| matches!(entry.what, What::File { .. }) && paths.contains(entry.path.as_str());
        Manifest::distrust(self.root, self.publisher, self.cache, source.name(), replaced)
    }

    /// Expands the archives of sources whose contents are all there, and makes those sources visible.
    ///
    /// # Errors
    /// `Superseded` only; all else is the end of one source.
    async fn unpack_whole(&mut self, sources: &mut [Pending<'_>], options: &FetchOptions) -> Result<(), Failure> {
        for source in sources.iter_mut().filter(|it| it.left == 0 && it.end.is_none() && it.has_archives()) {
            match self.unpack(source, options).await {
                Ok(()) => self.publish_now(source)?,
                Err(failure) if failure.reason == Reason::Superseded => return Err(failure),
                Err(failure) => source.end = Some(Err(failure)),
            }
        }
        Ok(())
    }

    async fn unpack(&self, source: &mut Pending<'_>, options: &FetchOptions) -> Result<(), Failure> {
        let Work { placement, inventory, .. } = &mut source.work;
        let used = self.known.bytes_on(self.root)? + inventory.bytes_aside();
        let limits = unpack::Limits {
            budget_left: options.budget_bytes.map(|budget| budget.saturating_sub(used)),
            min_free: options.min_free_bytes,
        };
        unpack::expand(self.root, self.staging, self.cache, placement, inventory, limits).await
    }

    /// Makes a source visible whose contents are all there and need no unpacking.
    ///
    /// # Errors
    /// `Superseded` only; all else is the end of this source.
    fn publish_whole(&mut self, source: &mut Pending<'_>) -> Result<(), Failure> {
        if source.left > 0 || source.end.is_some() || source.has_archives() {
            return Ok(());
        }
        self.publish_now(source)
    }

    fn publish_now(&mut self, source: &mut Pending<'_>) -> Result<(), Failure> {
        if let Err(error) = self.staging.check() {
            if reason(&error) == Reason::Superseded {
                return Err(error.into());
            }
            source.end = Some(Err(error.into()));
            return Ok(());
        }
        let Work { planned, listing, placement, inventory } = &source.work;
        let published = publish::publish(self.root, self.publisher, self.cache, planned, listing, placement, inventory);
        source.end = Some(published.map(|manifest| self.known.learn_all(&manifest)));
        Ok(())
    }
}

impl<'w> Pending<'w> {
    fn new(mut work: Work<'w>) -> Self {
        let missing = std::mem::take(&mut work.inventory.missing);
        Self { left: missing.len(), missing, distrusted: false, work, end: None }
    }

    fn name(&self) -> &'w str {
        &self.work.planned.source.name
    }

    fn has_archives(&self) -> bool {
        self.work.placement.contents.iter().any(|it| it.tree.is_some())
    }

    /// The contents that are not there yet.
    pub(super) fn begin_round(&mut self) -> Vec<Content> {
        if self.end.is_some() {
            self.missing.clear();
        }
        let there = &self.work.inventory.there;
        self.missing.retain(|placed| !there.contains_key(&placed.path));
        self.work.contents(&self.missing)
    }

    /// Those of them that the engine fetches: what is on a claim was copied.
    fn fetch_round(&mut self) -> Vec<Content> {
        if self.work.listing.held.is_some() { vec![] } else { self.begin_round() }
    }
}
