//! How does a revision leave a volume whole, so that a killed run leaves no link to nothing?
//!
//! ```text
//! manifest: retired/x.json ─► removing/x.json    from here on the next run finishes it
//! branches and listings, if nobody else has them
//! the snapshot, in one step, to removing/x.tree; link by link where others have put something into it
//! contents that nobody else lists
//! directories that are empty now, then removing/x.json
//! ```

use super::super::failure::Failure;
use super::super::inspect::amount::Amount;
use super::super::inspect::known::loaded_from;
use super::super::inspect::leftovers::Links;
use super::super::inspect::owners::Owner;
use super::super::inspect::walk::{Next, walk_below};
use super::super::layout::expired;
use super::super::layout::held;
use super::super::layout::manifest::{Entry, Manifest, What as Kind};
use super::super::layout::publish::Publisher;
use super::super::layout::safe_path::split;
use super::super::layout::{OWN, state};
use super::super::unpack::remove;
use super::found::Found;
use super::hand::{Hand, Refusal};
use super::report::{RuleReport, What};
use super::rule_cache::removing;
use super::work::Work;
use crate::api::Reason;
use rustix::fs::FileType;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Largest manifest that is read, in bytes.
const LIMIT: u64 = 512 << 20;

/// Removes revisions of one cache.
pub struct Removal<'a, 'w> {
    work: &'a Work<'w>,
    hand: &'a mut Hand,
    /// Revisions that are gone, or would be.
    gone: HashSet<Owner>,
    /// What links of other tools lead to.
    led_to: &'a Links,
}

impl<'a, 'w> Removal<'a, 'w> {
    /// Nothing is gone yet.
    pub fn new(work: &'a Work<'w>, hand: &'a mut Hand, led_to: &'a Links) -> Self {
        Self { work, hand, gone: HashSet::new(), led_to }
    }

    /// A revision counts as gone.
    pub fn gone(&mut self, owner: Owner) {
        self.gone.insert(owner);
    }

    /// Bytes on the disk that a cache holds for all its revisions, each file once.
    pub fn used(&mut self, cache: usize) -> Result<u64, Failure> {
        let revisions = &self.work.caches[cache].revisions;
        // What somebody else had there is not ours once nobody asks for it.
        let counted = revisions.iter().filter(|it| it.current || !it.manifest.adopted);
        let paths: BTreeSet<&str> = counted.flat_map(|it| &it.manifest.entries).map(|it| it.path.as_str()).collect();
        let mut seen = HashSet::new();
        let mut bytes = 0;
        for path in paths {
            if let Some(found) = self.found(path)?.filter(|it| it.names == 1 || seen.insert(it.inode)) {
                bytes += found.disk;
            }
        }
        Ok(bytes)
    }

    /// Bytes on the disk that are free without a revision.
    pub fn frees(&mut self, owner: Owner) -> Result<u64, Failure> {
        let mut bytes = 0;
        for path in self.alone(owner) {
            bytes += self.found(&path)?.filter(|it| it.names == 1).map_or(0, |it| it.disk);
        }
        Ok(bytes)
    }

    /// A process that has a file of a revision open, if one is seen.
    pub fn in_use(&mut self, owner: Owner) -> Result<Option<u32>, Failure> {
        for path in self.alone(owner) {
            let process = self.found(&path)?.and_then(|it| self.work.in_use.by(it.device, it.inode));
            if process.is_some() {
                return Ok(process);
            }
        }
        Ok(None)
    }

    /// Removes a revision. The bytes on the disk that are free because of it.
    pub fn remove(&mut self, owner: Owner, report: &mut RuleReport) -> Result<u64, Failure> {
        let manifest = &self.work.caches[owner.0].revisions[owner.1].manifest;
        let retired = manifest.retired_path(self.work.cache);
        let name = split(&retired).1.trim_end_matches(".json").to_owned();
        let root = self.work.root;
        root.make_directory(&removing(self.work.cache))?;
        let mut publisher = Publisher::new(root, format!("{}/new", state(self.work.cache)))?;
        publisher.bring(&retired, &format!("{}/{name}.json", removing(self.work.cache)))?;
        publisher.finish()?;
        self.gone.insert(owner);
        self.sweep(&name, manifest, report)
    }

    /// Removes the files of a source that have expired; its manifest says so from now on. The bytes on the disk that are free
    /// because of it.
    pub fn expire(&mut self, owner: Owner, report: &mut RuleReport) -> Result<u64, Failure> {
        let manifest = &self.work.caches[owner.0].revisions[owner.1].manifest;
        let name = format!("{}-expired", manifest.source);
        let root = self.work.root;
        let mut publisher = Publisher::new(root, format!("{}/new", state(self.work.cache)))?;
        root.make_directory(&removing(self.work.cache))?;
        let journal = format!("{}/{name}.json", removing(self.work.cache));
        publisher.file(&journal, &serde_json::to_vec(manifest).unwrap_or_default())?;
        publisher.sync()?;
        expired::emptied(manifest, self.work.now).write(root, &mut publisher, self.work.cache)?;
        publisher.finish()?;
        self.gone.insert(owner);
        self.sweep(&name, manifest, report)
    }

    /// Removes the rest of what a killed run had begun to remove.
    pub fn finish_all(&mut self, report: &mut RuleReport) -> Result<(), Failure> {
        for name in self.work.root.names(&removing(self.work.cache))? {
            if let Some(name) = name.strip_suffix(".json") {
                self.work.check()?;
                self.finish(name, report)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, name: &str, report: &mut RuleReport) -> Result<(), Failure> {
        let path = format!("{}/{name}.json", removing(self.work.cache));
        let bytes = self.work.root.read(&path, LIMIT)?.unwrap_or_default();
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else {
            let message = format!("{path} cannot be read: remove it, and what it lists is found as orphaned");
            report.fail(Reason::Damaged, message);
            return Ok(());
        };
        let unsound = super::super::layout::sound::unsound(&manifest);
        if let Some(unsound) = unsound {
            report.fail(Reason::Damaged, format!("{path}: {unsound}"));
            return Ok(());
        }
        let label = format!("{} of source `{}`", manifest.revision, manifest.source);
        let freed = if self.work.dry_run { 0 } else { self.sweep(name, &manifest, report)? };
        report.did(What::Finished, label, "its removal was cut short", freed);
        report.freed_bytes += freed;
        Ok(())
    }

    fn sweep(&mut self, name: &str, manifest: &Manifest, report: &mut RuleReport) -> Result<u64, Failure> {
        let root = self.work.root;
        let aside = format!("{}/{name}.tree", removing(self.work.cache));
        let listed: HashSet<&str> = manifest.entries.iter().map(|it| it.path.as_str()).collect();
        let mut mine: Vec<&Entry> =
            manifest.entries.iter().filter(|it| !manifest.adopted && !self.needed(&it.path)).collect();
        mine.retain(|it| match self.link_to(&it.path, &listed) {
            Some(link) => {
                report.note(format!("{} stays: {link}, which is another tool's, leads to it", it.path));
                false
            }
            None => true,
        });
        let is_content = |it: &&&Entry| it.path.contains("/blobs/");
        let mut freed = 0;
        // What leads to the snapshot goes before it.
        for entry in mine.iter().filter(|it| leads(manifest, it)) {
            freed += self.unlink(entry, report)?;
        }
        remove::tree(root, &aside)?;
        if let Some(whole) = loaded_from(manifest).filter(|it| self.is_whole(it, &mine)) {
            freed += self.take_away(&whole, &aside)?;
        }
        let links = mine.iter().filter(|it| matches!(it.what, Kind::Link { .. }));
        let files = mine.iter().filter(|it| matches!(it.what, Kind::File { .. }) && !is_content(it));
        let contents = mine.iter().filter(|it| matches!(it.what, Kind::File { .. }) && is_content(it));
        for (index, entry) in links.chain(files).chain(contents).enumerate() {
            if index % 256 == 0 {
                self.work.check()?;
            }
            freed += self.unlink(entry, report)?;
        }
        self.prune(&mine)?;
        if report.failure.is_none() {
            root.remove(&format!("{}/{name}.json", removing(self.work.cache)))?;
            remove::empty_directory(root, &removing(self.work.cache))?;
        }
        Ok(freed)
    }

    /// Paths that only one revision lists, of those that are not gone. None of what it adopted: that does not go with it.
    fn alone(&self, owner: Owner) -> Vec<String> {
        let manifest = &self.work.caches[owner.0].revisions[owner.1].manifest;
        let entries = if manifest.adopted { &[][..] } else { &manifest.entries };
        let only = |path: &str| {
            let set = self.work.owners.get(path).map_or(&[][..], |set| self.work.owners.revisions(set));
            set.iter().all(|it| {
                let adopted = self.work.caches[it.0].revisions[it.1].manifest.adopted;
                *it == owner || self.gone.contains(it) && !adopted
            })
        };
        let listed = entries.iter().map(|it| it.path.as_str()).collect();
        let alone = |path: &&String| only(path) && self.link_to(path, &listed).is_none();
        entries.iter().map(|it| &it.path).filter(alone).cloned().collect()
    }

    /// A link that is none of a revision's own and leads to a path now: what it leads to stays.
    fn link_to(&self, path: &str, listed: &HashSet<&str>) -> Option<&str> {
        let leads = |link: &&String| {
            let target = held::target(self.work.root, link);
            !listed.contains(link.as_str()) && target.is_ok_and(|it| it.as_deref() == Some(path))
        };
        self.led_to.get(path)?.iter().find(leads).map(String::as_str)
    }

    /// Whether a revision that stays lists a path.
    fn needed(&self, path: &str) -> bool {
        let owners = self.work.owners.get(path).map_or(&[][..], |set| self.work.owners.revisions(set));
        owners.iter().any(|it| !self.gone.contains(it) || self.work.caches[it.0].revisions[it.1].manifest.adopted)
    }

    /// Whether a directory holds nothing but what goes.
    fn is_whole(&self, directory: &str, mine: &[&Entry]) -> bool {
        if directory.is_empty() || directory == OWN || self.work.directories.iter().any(|it| it == directory) {
            return false;
        }
        let going: HashMap<&[u8], &Entry> = mine.iter().map(|it| (it.path.as_bytes(), *it)).collect();
        let (mut foreign, mut files) = (false, 0_u64);
        let walked = walk_below(self.work.root, directory, |path, stat| {
            let file = FileType::from_raw_mode(stat.st_mode) != FileType::Directory;
            files += u64::from(file);
            let ours = || going.get(path).is_some_and(|it| self.is_as_listed(it, &Found::of(path, stat)));
            foreign |= file && !ours();
            Next::Enter
        });
        walked.is_ok_and(|it| it.unreadable.is_empty() && it.mounts.is_empty()) && !foreign && files > 0
    }

    /// Takes a directory out of sight in one step, and then removes it.
    fn take_away(&mut self, directory: &str, aside: &str) -> Result<u64, Failure> {
        let root = self.work.root;
        let (mut freed, mut publisher) =
            (Amount::default(), Publisher::new(root, format!("{}/new", state(self.work.cache)))?);
        publisher.bring(directory, aside)?;
        publisher.finish()?;
        walk_below(root, aside, |_, stat| {
            let once = FileType::from_raw_mode(stat.st_mode) == FileType::Directory || stat.st_nlink == 1;
            freed += if once { Amount::of(stat) } else { Amount::default() };
            Next::Enter
        })?;
        remove::tree(root, aside)?;
        Ok(freed.disk_bytes)
    }

    /// Whether what is at an entry's path is of its kind, its size, and leads to where it did.
    fn is_as_listed(&self, entry: &Entry, found: &Found) -> bool {
        match (&entry.what, FileType::from_raw_mode(found.mode)) {
            (Kind::File { size, .. }, FileType::RegularFile) => found.size == *size,
            (Kind::Link { link }, FileType::Symlink) => {
                self.work.root.link(&entry.path).is_ok_and(|it| it.as_ref() == Some(link))
            }
            _ => false,
        }
    }

    fn unlink(&mut self, entry: &Entry, report: &mut RuleReport) -> Result<u64, Failure> {
        let Some(found) = self.found(&entry.path)? else { return Ok(0) };
        if !self.is_as_listed(entry, &found) {
            report.note(format!("{} stays: it is not what was put there, but somebody else's", found.shown()));
            return Ok(0);
        }
        match self.hand.remove(&found) {
            Ok(()) => Ok(if found.names == 1 { found.disk } else { 0 }),
            Err(refusal) => {
                if matches!(refusal, Refusal::System { .. }) {
                    report.refused(&refusal);
                }
                Ok(0)
            }
        }
    }

    /// Removes the directories that are empty because of it.
    fn prune(&mut self, mine: &[&Entry]) -> Result<(), Failure> {
        let mut directories: BTreeSet<String> = BTreeSet::new();
        for entry in mine {
            let mut path = split(&entry.path).0;
            while !path.is_empty() && directories.insert(path.to_owned()) {
                path = split(path).0;
            }
        }
        let keep =
            |path: &str| self.work.directories.iter().any(|it| it == path || it.starts_with(&format!("{path}/")));
        let gone: Vec<&String> = directories.iter().filter(|path| !keep(path)).collect();
        for path in gone.into_iter().rev() {
            remove::empty_directory(self.work.root, path)?;
        }
        Ok(())
    }

    fn found(&mut self, path: &str) -> Result<Option<Found>, Failure> {
        match self.hand.stat(path.as_bytes()) {
            Ok(stat) => Ok(stat.map(|it| Found::of(path.as_bytes(), &it))),
            Err(Refusal::Changed(_)) => Ok(None),
            Err(refusal) => Err(Failure::new(Reason::VolumeError, refusal.to_string())),
        }
    }
}

/// Whether an entry is a branch or a listing.
fn leads(manifest: &Manifest, entry: &Entry) -> bool {
    super::super::verify::hub::is_ref(manifest, entry) || super::super::verify::hub::is_tree(manifest, entry)
}
