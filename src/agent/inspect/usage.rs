//! What takes the space of a volume? By cache, source and revision; every inode once, so that the sum is what the disk says.

use super::super::failure::Failure;
use super::super::layout::held;
use super::super::layout::safe_path::{Root, split};
use super::amount::Amount;
use super::bucket::{Bucket, Foreign, Map};
use super::known::{self, Cache};
use super::owners::{Owners, Set};
use super::places::Place;
use super::walk::{Skipped, walk};
use rustix::fs::{FileType, Stat};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What takes the space of a volume.
///
/// `total` = the `own`, `staging`, `trash` and `state` of all caches + `sharedByCaches` + all of `foreign` + `other` +
/// `directories` + `trash` + `state`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Name of the volume.
    pub volume: String,
    /// Where it is.
    pub path: String,
    /// Everything.
    pub total: Amount,
    /// What each cache has.
    pub caches: Vec<CacheUsage>,
    /// What more than one cache needs, once.
    pub shared_by_caches: Amount,
    /// What other tools have in hub directories.
    pub foreign: Vec<ForeignUsage>,
    /// Files that have nothing to do with any cache.
    pub other: Amount,
    /// Directories themselves.
    pub directories: Amount,
    /// What was thrown away, of no cache in particular.
    pub trash: Amount,
    /// Other state of ours, of no cache in particular.
    pub state: Amount,
    /// What could go, and why.
    pub reclaimable: Vec<Reclaimable>,
    /// Directories that could not be read: what is in them is missing from the sums.
    pub unreadable: Vec<String>,
    /// Directories that other file systems are mounted at: not part of the sums.
    pub other_file_systems: Vec<String>,
}

/// What a cache has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheUsage {
    /// Its name.
    pub cache: String,
    /// Content that only this cache needs.
    pub own: Amount,
    /// Content that another cache needs too.
    pub shared: Amount,
    /// What is half fetched.
    pub staging: Amount,
    /// What was thrown away and is kept for a while.
    pub trash: Amount,
    /// Manifests and the like.
    pub state: Amount,
    /// What each source has.
    pub sources: Vec<SourceUsage>,
}

/// What a source has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceUsage {
    /// Its name.
    pub source: String,
    /// Content that only this source needs.
    pub own: Amount,
    /// Content that another source needs too.
    pub shared: Amount,
    /// What each revision has.
    pub revisions: Vec<RevisionUsage>,
}

/// What a revision of a source has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionUsage {
    /// The commit, or what else the source is pinned by.
    pub revision: String,
    /// Whether the cache asks for it.
    pub current: bool,
    /// Content that only this revision needs: what would be free without it.
    pub own: Amount,
    /// Content that another revision needs too.
    pub shared: Amount,
}

/// What another tool has in a hub directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForeignUsage {
    /// What it is.
    pub kind: Foreign,
    /// The directory or file that it is counted under.
    pub path: String,
    /// How much it is.
    pub amount: Amount,
}

/// What could go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reclaimable {
    /// What it is.
    pub what: String,
    /// How much it is.
    pub amount: Amount,
    /// Why nobody needs it, and who may remove it.
    pub why: String,
}

/// A file with several names, until all of them have been seen.
struct Linked {
    amount: Amount,
    set: Option<Set>,
    /// What it counts as when nobody needs it: as its first name.
    bucket: Bucket,
}

/// The sums while the volume is walked.
struct Count<'a> {
    root: &'a Root,
    map: Map,
    owners: Owners,
    needed: HashMap<Set, Amount>,
    linked: HashMap<u64, Linked>,
    foreign: BTreeMap<(Foreign, String), Amount>,
    /// Blobs that foreign snapshots link to.
    wanted_blobs: HashSet<String>,
    usage: Usage,
}

/// Counts a volume. Blocking.
pub fn of(place: &Place) -> Result<Usage, Failure> {
    let root = Root::open(&place.path)?;
    let caches = known::caches(&root)?;
    let mut usage = Usage { volume: place.name.clone(), path: place.path.display().to_string(), ..Usage::default() };
    usage.caches = caches.iter().map(|it| CacheUsage { cache: it.name.clone(), ..CacheUsage::default() }).collect();
    let mut count = Count {
        root: &root,
        map: Map::of(&caches),
        owners: Owners::of(&root, &caches)?,
        needed: HashMap::new(),
        linked: HashMap::new(),
        foreign: BTreeMap::new(),
        wanted_blobs: HashSet::new(),
        usage,
    };
    let skipped = walk(&root, |path, stat| count.take(path, stat))?;
    Ok(count.finish(&caches, skipped))
}

impl Count<'_> {
    fn take(&mut self, path: &str, stat: &Stat) {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let amount = Amount::of(stat);
        self.usage.total +=
            if kind != FileType::Directory && stat.st_nlink > 1 && self.linked.contains_key(&stat.st_ino) {
                Amount::default()
            } else {
                amount
            };
        let set = self.owners.get(path);
        let bucket = self.map.bucket(path, kind == FileType::Directory);
        if kind == FileType::Symlink && set.is_none() {
            // What a snapshot of another tool links to is no loose blob.
            self.wanted_blobs.extend(held::target(self.root, path).ok().flatten());
        }
        if kind == FileType::Directory || stat.st_nlink <= 1 {
            return self.add(set, &bucket, amount);
        }
        let known = self.linked.entry(stat.st_ino).or_insert(Linked { amount, set, bucket });
        if let (Some(before), Some(now)) = (known.set, set) {
            known.set = Some(self.owners.both(before, now));
        } else {
            known.set = known.set.or(set);
        }
    }

    fn add(&mut self, set: Option<Set>, bucket: &Bucket, amount: Amount) {
        if let Some(set) = set {
            *self.needed.entry(set).or_default() += amount;
            return;
        }
        let Usage { caches, trash, state, directories, other, .. } = &mut self.usage;
        let sum = match bucket {
            Bucket::Staging(cache) => named(caches, cache).map_or(state, |it| &mut it.staging),
            Bucket::Trash(cache) => named(caches, cache).map_or(trash, |it| &mut it.trash),
            Bucket::State(cache) => named(caches, cache).map_or(state, |it| &mut it.state),
            Bucket::Foreign(kind, path) => self.foreign.entry((*kind, path.clone())).or_default(),
            Bucket::Directory => directories,
            Bucket::Other => other,
        };
        *sum += amount;
    }

    fn finish(mut self, caches: &[Cache], skipped: Skipped) -> Usage {
        for (_, Linked { amount, set, bucket }) in std::mem::take(&mut self.linked) {
            self.add(set, &bucket, amount);
        }
        self.fold_foreign();
        self.share_out(caches);
        let mut earlier = Amount::default();
        for (set, amount) in &self.needed {
            let revisions = self.owners.revisions(*set);
            let known = |(cache, revision): &(usize, usize)| &caches[*cache].revisions[*revision];
            if revisions.iter().map(known).all(|it| !it.current && !it.manifest.adopted) {
                earlier += *amount;
            }
        }
        self.usage.unreadable = skipped.unreadable;
        self.usage.other_file_systems = skipped.mounts;
        self.usage.reclaimable = reclaimable(&self.usage, earlier);
        self.usage
    }

    /// Loose blobs one by one become one line for each repository, apart from those that something links to.
    fn fold_foreign(&mut self) {
        let mut folded: BTreeMap<(Foreign, String), Amount> = BTreeMap::new();
        for ((kind, path), amount) in std::mem::take(&mut self.foreign) {
            let key = match kind {
                Foreign::LooseBlob => {
                    let repository = split(split(&path).0).0.to_owned();
                    let wanted = self.wanted_blobs.contains(&path);
                    (if wanted { Foreign::Blob } else { Foreign::LooseBlob }, repository)
                }
                kind => (kind, path),
            };
            *folded.entry(key).or_default() += amount;
        }
        let lines = folded.into_iter().map(|((kind, path), amount)| ForeignUsage { kind, path, amount });
        self.usage.foreign = lines.collect();
    }

    /// Gives each cache, source and revision what it needs: alone, or with others.
    fn share_out(&mut self, caches: &[Cache]) {
        for (index, cache) in caches.iter().enumerate() {
            let Some(told) = self.usage.caches.get_mut(index) else { continue };
            let mut sources: BTreeMap<&str, SourceUsage> = BTreeMap::new();
            for revision in &cache.revisions {
                let manifest = &revision.manifest;
                let source = sources
                    .entry(&manifest.source)
                    .or_insert_with(|| SourceUsage { source: manifest.source.clone(), ..SourceUsage::default() });
                source.revisions.push(RevisionUsage {
                    revision: manifest.revision.clone(),
                    current: revision.current,
                    ..RevisionUsage::default()
                });
            }
            told.sources = sources.into_values().collect();
        }
        // Where a revision of a cache is told.
        let place = |usage: &Usage, (cache, revision): (usize, usize)| -> Option<(usize, usize)> {
            let known = &caches[cache].revisions;
            let source = known[revision].manifest.source.as_str();
            let at = usage.caches[cache].sources.iter().position(|it| it.source == source)?;
            let before = known[..revision].iter().filter(|it| it.manifest.source == source).count();
            Some((at, before))
        };
        for (set, amount) in &self.needed {
            let needed_by = self.owners.revisions(*set);
            let one_cache = needed_by.iter().all(|it| it.0 == needed_by[0].0);
            let usage = &mut self.usage;
            if !one_cache {
                usage.shared_by_caches += *amount;
            }
            let places: Vec<(usize, usize, usize)> =
                needed_by.iter().filter_map(|it| place(usage, *it).map(|at| (it.0, at.0, at.1))).collect();
            let one_source = one_cache && places.iter().all(|it| it.1 == places[0].1);
            for (position, (cache, source, revision)) in places.iter().enumerate() {
                let told = &mut usage.caches[*cache];
                if !places[..position].iter().any(|it| it.0 == *cache) {
                    *(if one_cache { &mut told.own } else { &mut told.shared }) += *amount;
                }
                let told = &mut told.sources[*source];
                if !places[..position].iter().any(|it| (it.0, it.1) == (*cache, *source)) {
                    *(if one_source { &mut told.own } else { &mut told.shared }) += *amount;
                }
                let told = &mut told.revisions[*revision];
                *(if places.len() == 1 { &mut told.own } else { &mut told.shared }) += *amount;
            }
        }
    }
}

fn named<'a>(caches: &'a mut [CacheUsage], name: &str) -> Option<&'a mut CacheUsage> {
    caches.iter_mut().find(|it| it.cache == name)
}

fn reclaimable(usage: &Usage, earlier: Amount) -> Vec<Reclaimable> {
    let of = |kind: Foreign| usage.foreign.iter().filter(|it| it.kind == kind).map(|it| it.amount).sum::<Amount>();
    let staging = usage.caches.iter().map(|it| it.staging).sum();
    let trash = usage.caches.iter().map(|it| it.trash).chain([usage.trash]).sum();
    let all = [
        ("earlierRevisions", earlier, "no cache asks for these revisions any more; they are good for going back"),
        ("staging", staging, "half fetched: the next prefetch goes on from it, or drops it"),
        ("trash", trash, "removed already, and kept for undoing that"),
        (
            "incomplete",
            of(Foreign::Incomplete),
            "other tools' interrupted downloads, which no client from 1.18 on takes up again: yours to delete while none runs",
        ),
        ("looseBlobs", of(Foreign::LooseBlob), "other tools' blobs that no snapshot links to: yours to delete"),
        ("xet", of(Foreign::Xet), "the hub client's transfer cache, not needed offline: yours to delete"),
    ];
    let there = all.into_iter().filter(|(_, amount, _)| amount.disk_bytes > 0);
    there.map(|(what, amount, why)| Reclaimable { what: what.into(), amount, why: why.into() }).collect()
}
