//! Contents that are on a claim: copied into staging, held to their hash, and handed on as what the engine fetches is.

use super::super::failure::{Failure, reason};
use super::super::fetch::{self, Content, Digest, Place, Staged};
use super::super::layout::safe_path::Root;
use super::super::layout::{LayoutError, Placement};
use super::super::source::claim::Held;
use super::super::source::listing::Listing;
use super::inventory::Inventory;
use super::pool::{Pending, Pool};
use crate::api::Reason;
use futures::StreamExt as _;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Files that are copied at once.
const COPIES: usize = 4;

/// A content, and who wants it.
struct Copy {
    held: Arc<Held>,
    content: Content,
    places: Vec<Place>,
}

/// Tells copies that nobody waits for to stop.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Pool<'_, '_> {
    /// Copies what sources want from claims: identical content once, large files first.
    ///
    /// # Errors
    /// `Superseded` only; all else is the end of the sources that want the content.
    pub(super) async fn copy(&mut self, sources: &mut [Pending<'_>]) -> Result<(), Failure> {
        let told = Arc::new(AtomicBool::new(false));
        let _stop = Stop(Arc::clone(&told));
        let due = wanted(sources);
        if due.is_empty() {
            return Ok(());
        }
        let (staging, report) = (self.staging.clone(), self.report.clone());
        let mut running = futures::stream::iter(due)
            .map(|copy| {
                let (staging, report, stop) = (staging.clone(), report.clone(), Arc::clone(&told));
                async move {
                    let Copy { held, content, places } = copy;
                    let label = content.label.clone();
                    let copying = tokio::task::spawn_blocking(move || {
                        // Who ends the run waits for the copies as for the engine.
                        let _at_work = Arc::clone(report.engine());
                        let from = held.open(&content.label)?;
                        let went = |bytes| report.there(0, bytes);
                        let copied = fetch::copy(&staging, &content, &from, &went, &|| stop.load(Relaxed));
                        copied.map_err(Failure::from)?.ok_or_else(|| held.changed(&content.label))
                    });
                    let copied = copying
                        .await
                        .unwrap_or_else(|error| Err(Failure::new(Reason::InternalError, format!("{label}: {error}"))));
                    (places, copied)
                }
            })
            .buffer_unordered(COPIES);
        while let Some((mut places, copied)) = running.next().await {
            self.staging.check().or_else(|error| match reason(&error) {
                Reason::Superseded => Err(Failure::from(error)),
                _ => Ok(()),
            })?;
            match copied {
                Ok(copied) => {
                    let at = places.remove(0);
                    let fetch::Copied { path, size, sha256 } = copied;
                    // A source that failed here has its end; what else of it is copied is not published.
                    self.take(sources, &Staged { at, also: places, path, size, sha256 })?;
                }
                Err(failure) => {
                    for place in places {
                        if let Some(source) = sources.get_mut(place.group) {
                            source.end.get_or_insert(Err(failure.clone()));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// What there is to do where the claim is the volume itself and its files stay where they are: nothing. They were hashed a
/// moment ago; links are kept as the links that they are.
pub(super) fn in_place(root: &Root, listing: &Listing, placement: &mut Placement) -> Result<Inventory, Failure> {
    let mut inventory = Inventory { all_there: true, adopted: true, ..Inventory::default() };
    for placed in std::mem::take(&mut placement.contents) {
        let link = root.link(&placed.path).map_err(|error| match error {
            // No link is followed on the way to what is ours, so nothing behind it could be verified or restored.
            LayoutError::Link { path } => Failure::new(
                Reason::InvalidSpec,
                format!(
                    "{} is a link to a directory, and {} is adopted where it is: leave the link out with `exclude` (what it leads \
                     to is taken under its own name), or give the source a `path` of its own, which copies it",
                    path.display(),
                    listing.origin
                ),
            ),
            error @ LayoutError::Io { .. } => error.into(),
        })?;
        if let Some(link) = link {
            placement.links.push((placed.path, link));
            continue;
        }
        let file = listing.files.get(placed.index);
        if let Some((size, Digest::Sha256(sha256))) = file.and_then(|it| Some((it.size?, it.digest?))) {
            inventory.there.insert(placed.path.clone(), (size, sha256));
        }
        placement.contents.push(placed);
    }
    Ok(inventory)
}

fn wanted(sources: &mut [Pending<'_>]) -> Vec<Copy> {
    let mut copies: Vec<Copy> = Vec::new();
    let mut known: HashMap<(Option<Digest>, Option<u64>), usize> = HashMap::new();
    for (group, source) in sources.iter_mut().enumerate().filter(|(_, it)| it.end.is_none()) {
        let Some(held) = source.work.listing.held.clone() else { continue };
        for (index, content) in source.begin_round().into_iter().enumerate() {
            let place = Place { group, index };
            let at = *known.entry((content.digest, content.size)).or_insert(copies.len());
            match copies.get_mut(at) {
                Some(copy) => copy.places.push(place),
                None => copies.push(Copy { held: Arc::clone(&held), content, places: vec![place] }),
            }
        }
    }
    copies.sort_by_key(|it| std::cmp::Reverse(it.content.size));
    copies
}
