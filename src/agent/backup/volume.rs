//! How is one volume backed up? One thread walks and decides, others read and send, one writes the list in order.

use super::decide::{Decision, decide, size};
use super::lines::{Before, Lines, Total};
use super::owned::{Owned, OwnedEntry};
use super::pack::{BLOCK, FILES, Packer, SMALL, Small};
use super::repository::list::{Entry, File, What};
use super::repository::snapshot::{Count, NotCovered};
use super::send::{Sender, damaged};
use super::stable::Opener;
use super::walk::{Found, Kind, walk};
use crate::agent::failure::Failure;
use crate::agent::layout::safe_path::Root;
use crate::agent::source::fnmatch::wanted;
use crate::api::Reason;
use crate::api::backup::BackupContent;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, mpsc};

/// Entries between the walk and the list: bounds what is kept in memory.
const WINDOW: u64 = 16_384;

/// How often it is looked whether a reader is free: much less than a block takes.
const PAUSE: std::time::Duration = std::time::Duration::from_micros(200);

/// What is asked of one volume.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Its directory.
    pub root: &'a Root,
    /// What our manifests list.
    pub owned: &'a Owned,
    /// Whether only what sources put there counts: a copy on a node.
    pub per_node: bool,
    /// How much of each file.
    pub content: BackupContent,
    /// Sources that fetch again what they put there.
    pub origins: &'a BTreeSet<String>,
    /// Only these paths.
    pub include: &'a [String],
    /// Not these paths.
    pub exclude: &'a [String],
    /// Where backups go, if that may lie on the volume: device and inode.
    pub forbidden: Option<(u64, u64)>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Backed {
    /// The list.
    pub total: Total,
    /// What is not covered.
    pub not_covered: BTreeMap<NotCovered, Count>,
}

enum Work {
    Small(Vec<Small>),
    Large(Small),
}

/// A turn of the list: its place, and what belongs there, if it is still there.
type Turn = (u64, Option<Entry>);

/// Backs up one volume.
///
/// # Errors
/// `Damaged` when a file is missing or is not what its source put there; `VolumeError` when one cannot be read.
pub fn back_up(asked: &Asked<'_>, before: Before<'_>, sender: &Sender<'_>, threads: usize) -> Result<Backed, Failure> {
    let gate = Gate::default();
    let (work, queue) = mpsc::sync_channel::<Work>(2 * threads);
    let queue = Mutex::new(queue);
    let (turns, in_turn) = mpsc::channel::<Vec<Turn>>();
    let modes = Mutex::new(BTreeMap::<u64, u32>::new());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (turns, queue, gate, modes) = (turns.clone(), &queue, &gate, &modes);
                scope.spawn(move || {
                    let result = read(asked.root, sender, queue, &turns, modes, gate);
                    result.inspect_err(|_| gate.stop())
                })
            })
            .collect();
        let listing = {
            let gate = &gate;
            scope.spawn(move || list(sender, &in_turn, gate).inspect_err(|_| gate.stop()))
        };
        let walked = Walker {
            asked,
            before,
            sender,
            turns,
            work,
            gate: &gate,
            modes: &modes,
            next: 0,
            small: vec![],
            small_bytes: 0,
            backed: Backed::default(),
            seen: 0,
        }
        .run();
        if walked.is_err() {
            gate.stop();
        }
        let ended = |_| super::repository::internal("a thread ended early");
        let mut failures: Vec<Failure> =
            workers.into_iter().filter_map(|it| it.join().map_err(ended).and_then(|it| it).err()).collect();
        let listed = listing.join().map_err(ended).and_then(|it| it);
        match (walked, listed) {
            (Ok(backed), Ok(total)) if failures.is_empty() => Ok(Backed { total, ..backed }),
            (walked, listed) => {
                failures.extend(walked.err());
                failures.extend(listed.err());
                Err(cause(failures))
            }
        }
    })
}

/// The failure that the others are only the end of.
fn cause(mut failures: Vec<Failure>) -> Failure {
    let at = failures.iter().position(|it| it.reason != Reason::InternalError).unwrap_or_default();
    if failures.is_empty() { super::repository::internal("a thread ended early") } else { failures.swap_remove(at) }
}

impl Asked<'_> {
    /// Something that a source put there is gone: a backup without it would look whole.
    pub(super) fn missing(&self) -> Result<(), Failure> {
        let root = self.root;
        let mut gone = Vec::new();
        for (path, entry) in &self.owned.entries {
            if wanted(path, self.include, self.exclude) && root.stat(path)?.is_none() {
                gone.push((path, entry));
            }
        }
        gone.sort_by_key(|(path, _)| *path);
        let Some((path, _)) = gone.first() else { return Ok(()) };
        let message = format!(
            "{path} and {} more that sources put there are gone: `modelcache prefetch` brings them back; nothing half is \
             backed up",
            gone.len() - 1
        );
        Err(Failure::new(Reason::Damaged, message))
    }

    /// Why something is not covered. `None` when it is.
    pub(super) fn not_covered(&self, found: &Found, owned: Option<&OwnedEntry>) -> Option<NotCovered> {
        match found.kind {
            Kind::Special => return Some(NotCovered::Special),
            Kind::OtherFileSystem => return Some(NotCovered::OtherFileSystem),
            Kind::Closed => return Some(NotCovered::Excluded),
            // What is in it is looked at, and counted, by itself.
            Kind::Directory => return None,
            Kind::File | Kind::Link(_) => {}
        }
        if !wanted(&found.path, self.include, self.exclude) {
            return Some(NotCovered::Excluded);
        }
        if owned.is_some() {
            return None;
        }
        if self.owned.of_others.contains(&found.path) {
            return Some(NotCovered::OfAnotherCache);
        }
        match (self.per_node, self.content) {
            (true, _) => Some(NotCovered::NotOfASource),
            (false, BackupContent::Manifest) => Some(NotCovered::NoBytesAskedFor),
            (false, _) => None,
        }
    }

    /// The source that fetches a file again.
    pub(super) fn origin(&self, owned: Option<&OwnedEntry>) -> Option<&str> {
        let Some(OwnedEntry::File { source, .. }) = owned else { return None };
        let name = self.owned.sources.get(*source)?;
        self.origins.contains(name).then_some(name.as_str())
    }
}

struct Walker<'a, 'b> {
    asked: &'b Asked<'a>,
    before: Before<'b>,
    sender: &'b Sender<'b>,
    turns: mpsc::Sender<Vec<Turn>>,
    work: mpsc::SyncSender<Work>,
    gate: &'b Gate,
    modes: &'b Mutex<BTreeMap<u64, u32>>,
    next: u64,
    small: Vec<Small>,
    small_bytes: u64,
    backed: Backed,
    /// Entries of our manifests that were met.
    seen: usize,
}

impl Walker<'_, '_> {
    fn run(mut self) -> Result<Backed, Failure> {
        let (root, forbidden) = (self.asked.root, self.asked.forbidden);
        walk(root, forbidden, self.asked.exclude, &mut |found| self.see(found))?;
        self.flush()?;
        if self.seen < self.asked.owned.entries.len() {
            self.asked.missing()?;
        }
        Ok(self.backed)
    }

    fn see(&mut self, found: Found) -> Result<(), Failure> {
        if self.gate.stopped() {
            return Err(super::repository::internal("another thread has ended"));
        }
        let owned = self.asked.owned.entries.get(&found.path);
        self.seen += usize::from(owned.is_some());
        if let Some(why) = self.asked.not_covered(&found, owned) {
            let count = self.backed.not_covered.entry(why).or_default();
            count.files += 1;
            count.bytes += if found.kind == Kind::File { size(&found.stat) } else { 0 };
            return Ok(());
        }
        let before = self.before.at(&found.path)?;
        let mode = found.stat.st_mode & 0o7777;
        let Found { path, kind, stat } = found;
        let what = match kind {
            Kind::Directory if self.asked.per_node || !self.asked.include.is_empty() => return Ok(()),
            Kind::Directory => What::Directory,
            Kind::Link(target) => What::Link { target },
            Kind::Special | Kind::OtherFileSystem | Kind::Closed => return Ok(()),
            Kind::File => {
                let origin = self.asked.origin(owned);
                let before = before.as_ref().and_then(Entry::file);
                match decide(&stat, owned, origin, before, self.sender.known) {
                    Decision::List(file) => What::File(file),
                    Decision::Damaged => return Err(damaged(&path, &promised(owned).unwrap_or_default())),
                    Decision::Read(promised) => return self.read(path, mode, size(&stat), promised),
                }
            }
        };
        let seq = self.take_turn()?;
        self.send_turn(seq, Entry { path, mode, what })
    }

    fn read(
        &mut self,
        path: String,
        mode: u32,
        size: u64,
        promised: Option<super::known::Hash>,
    ) -> Result<(), Failure> {
        let seq = self.take_turn()?;
        self.modes.lock().unwrap_or_else(PoisonError::into_inner).insert(seq, mode);
        let small = Small { seq, path, promised };
        if size > SMALL {
            return self.hand(Work::Large(small));
        }
        self.small.push(small);
        self.small_bytes += size;
        if self.small.len() >= FILES || self.small_bytes >= BLOCK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.small.is_empty() {
            return Ok(());
        }
        self.small_bytes = 0;
        let batch = std::mem::take(&mut self.small);
        self.hand(Work::Small(batch))
    }

    /// Waits for a reader; not for ever, as they may have given up.
    fn hand(&self, work: Work) -> Result<(), Failure> {
        let mut waiting = work;
        loop {
            waiting = match self.work.try_send(waiting) {
                Ok(()) => return Ok(()),
                Err(mpsc::TrySendError::Full(work)) if !self.gate.stopped() => work,
                Err(error) => return Err(super::repository::internal(error)),
            };
            std::thread::sleep(PAUSE);
        }
    }

    fn take_turn(&mut self) -> Result<u64, Failure> {
        let seq = self.next;
        if seq >= self.gate.listed() + WINDOW {
            // The list waits for what is still held here.
            self.flush()?;
            self.gate.wait(seq - WINDOW + 1);
        }
        self.next += 1;
        Ok(seq)
    }

    fn send_turn(&self, seq: u64, entry: Entry) -> Result<(), Failure> {
        self.turns.send(vec![(seq, Some(entry))]).map_err(super::repository::internal)
    }
}

/// The hash that a source promises.
pub(super) fn promised(owned: Option<&OwnedEntry>) -> Option<super::known::Hash> {
    match owned {
        Some(OwnedEntry::File { sha256, .. }) => Some(*sha256),
        _ => None,
    }
}

/// What each reader does until there is no more work.
fn read(
    root: &Root,
    sender: &Sender<'_>,
    queue: &Mutex<mpsc::Receiver<Work>>,
    turns: &mpsc::Sender<Vec<Turn>>,
    modes: &Mutex<BTreeMap<u64, u32>>,
    gate: &Gate,
) -> Result<(), Failure> {
    let (mut opener, mut packer) = (Opener::new(root), Packer::new(sender));
    loop {
        let work = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = work else { return packer.finish() };
        if gate.stopped() {
            return Ok(());
        }
        let (paths, done): (BTreeMap<u64, String>, Vec<_>) = match work {
            Work::Large(small) => {
                let file = sender.large(&mut opener, &small.path, small.promised)?;
                (BTreeMap::from([(small.seq, small.path)]), vec![(small.seq, file)])
            }
            Work::Small(batch) => {
                let done = packer.block(&mut opener, &batch)?;
                (batch.into_iter().map(|it| (it.seq, it.path)).collect(), done)
            }
        };
        let mut paths = paths;
        let mut modes = modes.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = |(seq, file): (u64, Option<File>)| {
            let (path, mode) = (paths.remove(&seq).unwrap_or_default(), modes.remove(&seq).unwrap_or(0o644));
            (seq, file.map(|file| Entry { path, mode, what: What::File(file) }))
        };
        let done: Vec<Turn> = done.into_iter().map(entry).collect();
        drop(modes);
        turns.send(done).map_err(super::repository::internal)?;
    }
}

/// Writes entries in order, whoever was done first.
fn list(sender: &Sender<'_>, turns: &mpsc::Receiver<Vec<Turn>>, gate: &Gate) -> Result<Total, Failure> {
    let (mut lines, mut early, mut next) = (Lines::new(sender), BTreeMap::new(), 0);
    for batch in turns {
        early.extend(batch);
        while let Some(entry) = early.remove(&next) {
            if let Some(entry) = entry {
                lines.push(&entry)?;
            }
            next += 1;
        }
        gate.now(next);
        if gate.stopped() {
            return Err(super::repository::internal("another thread has ended"));
        }
    }
    lines.finish()
}

/// How far the list is, and whether somebody has given up.
#[derive(Default)]
struct Gate {
    listed: Mutex<u64>,
    moved: Condvar,
    stop: AtomicBool,
}

impl Gate {
    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.moved.notify_all();
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn listed(&self) -> u64 {
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self, listed: u64) {
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = listed;
        self.moved.notify_all();
    }

    fn wait(&self, until: u64) {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        while *listed < until && !self.stopped() {
            let waited = self.moved.wait_timeout(listed, std::time::Duration::from_millis(100));
            listed = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
