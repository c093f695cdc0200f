//! How is one volume backed up? One thread walks and decides, others read and send, one writes the list in order.

use super::asked::{Asked, lost, promised};
use super::decide::{Decision, decide, size};
use super::lines::{Before, Lines, Total};
use super::pack::{BLOCK, FILES, Packer, SMALL, Small};
use super::repository::list::{Entry, File, What};
use super::repository::snapshot::{Count, NotCovered};
use super::send::{Sender, damaged};
use super::stable::Opener;
use super::walk::{Found, Kind, walk};
use crate::agent::failure::Failure;
use crate::agent::layout::safe_path::Root;
use crate::api::Reason;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, mpsc};

/// Entries between the walk and the list: bounds what is kept in memory.
const WINDOW: u64 = 16_384;

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

/// What a file is listed as once it was read.
struct Reading {
    path: String,
    mode: u32,
    size: u64,
}

/// Files that are read, by their places in the list.
type Readings = Mutex<BTreeMap<u64, Reading>>;

/// Backs up one volume.
///
/// # Errors
/// `Damaged` when a file is missing or is not what its source put there; `VolumeError` when one cannot be read.
pub fn back_up(asked: &Asked<'_>, before: Before<'_>, sender: &Sender<'_>, threads: usize) -> Result<Backed, Failure> {
    let gate = Gate::default();
    let (work, queue) = mpsc::sync_channel::<Work>(2 * threads);
    let queue = Mutex::new(queue);
    let (turns, in_turn) = mpsc::channel::<Vec<Turn>>();
    let readings = Readings::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (turns, queue, gate, readings) = (turns.clone(), &queue, &gate, &readings);
                scope.spawn(move || {
                    let result = read(asked.root, sender, queue, &turns, readings, gate);
                    if result.is_err() {
                        gate.stop();
                        // The walk is never left waiting for somebody to take its work.
                        while next(queue).is_some() {}
                    }
                    result
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
            readings: &readings,
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
            (Ok(mut backed), Ok(total)) if failures.is_empty() => {
                let vanished = gate.vanished();
                if vanished.files > 0 {
                    backed.not_covered.insert(NotCovered::Vanished, vanished);
                }
                Ok(Backed { total, ..backed })
            }
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

struct Walker<'a, 'b> {
    asked: &'b Asked<'a>,
    before: Before<'b>,
    sender: &'b Sender<'b>,
    turns: mpsc::Sender<Vec<Turn>>,
    work: mpsc::SyncSender<Work>,
    gate: &'b Gate,
    readings: &'b Readings,
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
        walk(root, forbidden, self.asked.patterns, &mut |found| self.see(found))?;
        self.flush()?;
        if self.seen < self.asked.owned.entries.len() {
            self.asked.missing()?;
        }
        Ok(self.backed)
    }

    fn see(&mut self, mut found: Found) -> Result<(), Failure> {
        if self.gate.stopped() {
            return Err(super::repository::internal("another thread has ended"));
        }
        let asked = self.asked;
        let owned = asked.owned.entries.get(&found.path);
        self.seen += usize::from(owned.is_some());
        let real = asked.held(&mut found, owned)?;
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
            Kind::Directory if self.asked.per_node || self.asked.patterns.name_what_is_wanted() => return Ok(()),
            Kind::Directory => What::Directory,
            Kind::Link(target) => What::Link { target },
            Kind::Special | Kind::OtherFileSystem | Kind::Closed => return Ok(()),
            Kind::File => {
                let (origin, owned) = (asked.origin(owned), asked.known(&path, owned));
                let before = before.as_ref().and_then(Entry::file);
                match decide(&stat, owned, origin, before, self.sender.known) {
                    Decision::List(file) => What::File(file),
                    Decision::Damaged => return Err(damaged(&path, &promised(owned).unwrap_or_default())),
                    Decision::Read(promised) => {
                        let real = real.unwrap_or_else(|| path.clone());
                        return self.read(Reading { path, mode, size: size(&stat) }, real, promised);
                    }
                }
            }
        };
        let seq = self.take_turn()?;
        self.send_turn(seq, Entry { path, mode, what })
    }

    /// Has a file read, which is at `real`.
    fn read(&mut self, reading: Reading, real: String, promised: Option<super::known::Hash>) -> Result<(), Failure> {
        let (seq, size) = (self.take_turn()?, reading.size);
        self.readings.lock().unwrap_or_else(PoisonError::into_inner).insert(seq, reading);
        let small = Small { seq, path: real, promised };
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

    /// Waits for a reader; they take work until there is no more, whatever happens.
    fn hand(&self, work: Work) -> Result<(), Failure> {
        self.work.send(work).map_err(super::repository::internal)
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

/// The next work. `None` when there is no more.
fn next(queue: &Mutex<mpsc::Receiver<Work>>) -> Option<Work> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// What each reader does until there is no more work.
fn read(
    root: &Root,
    sender: &Sender<'_>,
    queue: &Mutex<mpsc::Receiver<Work>>,
    turns: &mpsc::Sender<Vec<Turn>>,
    readings: &Readings,
    gate: &Gate,
) -> Result<(), Failure> {
    let (mut opener, mut packer) = (Opener::new(root), Packer::new(sender));
    while let Some(work) = next(queue) {
        if gate.stopped() {
            // Nobody needs it any more; it is taken all the same, as the walk must not be left waiting.
            continue;
        }
        let (promised, done) = match work {
            Work::Large(small) => {
                let file = sender.large(&mut opener, &small.path, small.promised)?;
                (vec![(small.seq, small.promised)], vec![(small.seq, file)])
            }
            Work::Small(batch) => {
                (batch.iter().map(|it| (it.seq, it.promised)).collect(), packer.block(&mut opener, &batch)?)
            }
        };
        let promised: HashSet<u64> = promised.into_iter().filter_map(|(seq, hash)| hash.map(|_| seq)).collect();
        let mut readings = readings.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = |(seq, file): (u64, Option<File>)| {
            let Reading { path, mode, size } =
                readings.remove(&seq).ok_or_else(|| super::repository::internal("nobody asked for this file"))?;
            if file.is_none() && promised.contains(&seq) {
                return Err(lost(&path));
            }
            if file.is_none() {
                gate.gone(size);
            }
            Ok((seq, file.map(|file| Entry { path, mode, what: What::File(file) })))
        };
        let done: Result<Vec<Turn>, Failure> = done.into_iter().map(entry).collect();
        drop(readings);
        turns.send(done?).map_err(super::repository::internal)?;
    }
    if gate.stopped() { Ok(()) } else { packer.finish() }
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
    vanished: Mutex<Count>,
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

    /// A file went away before it was read.
    fn gone(&self, size: u64) {
        let mut vanished = self.vanished.lock().unwrap_or_else(PoisonError::into_inner);
        *vanished = Count { files: vanished.files + 1, bytes: vanished.bytes + size };
    }

    fn vanished(&self) -> Count {
        *self.vanished.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::super::known::Known;
    use super::super::repository::Repository;
    use super::super::repository::at_work::{AtWork, Work as AtWorkOn};
    use super::super::repository::marker::Owner;
    use super::super::repository::seal::Seal;
    use super::super::repository::store::Store;
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_that_went_away_before_it_was_read_is_counted_and_one_of_a_source_is_a_failure() {
        let (volume, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(volume.path().join("there"), "12345").unwrap();
        let store = Store::in_directory(to.path(), "default/c", true).unwrap();
        let owner = Owner { namespace: "default".into(), cache: "c".into() };
        let repository = Repository::open_or_create(store, &owner, Seal::default()).await.unwrap();
        let at_work = AtWork::begin(&repository, AtWorkOn::Backup, "1").await.unwrap();
        let (known, counter, handle) = (Known::default(), AtomicU64::new(0), tokio::runtime::Handle::current());
        let sender = Sender {
            repository: &repository,
            handle: &handle,
            known: &known,
            at_work: &at_work,
            sent: &counter,
            read: &counter,
        };
        let root = Root::open(volume.path()).unwrap();
        let work = |promised, large: bool| {
            let (gate, readings) = (Gate::default(), Readings::default());
            let mut batch = vec![];
            for (seq, path) in [(0, "there"), (1, "gone")] {
                let reading = Reading { path: path.to_owned(), mode: 0o644, size: 7 };
                readings.lock().unwrap().insert(seq, reading);
                let promised = if path == "gone" { promised } else { None };
                batch.push(Small { seq, path: path.to_owned(), promised });
            }
            let work = if large { batch.into_iter().map(Work::Large).collect() } else { vec![Work::Small(batch)] };
            let (send, queue) = mpsc::sync_channel(2);
            for it in work {
                send.send(it).unwrap();
            }
            drop(send);
            let (turns, in_turn) = mpsc::channel();
            let done = read(&root, &sender, &Mutex::new(queue), &turns, &readings, &gate);
            drop(turns);
            let mut listed: Vec<Turn> = in_turn.into_iter().flatten().collect();
            listed.sort_by_key(|it| it.0);
            (done, listed, gate.vanished())
        };
        for large in [false, true] {
            let (done, listed, vanished) = tokio::task::block_in_place(|| work(None, large));
            done.unwrap();
            assert!(matches!(listed.as_slice(), [(0, Some(_)), (1, None)]), "{listed:?}");
            assert_eq!(vanished, Count { files: 1, bytes: 7 });
            let (done, ..) = tokio::task::block_in_place(|| work(Some([7; 32]), large));
            let failure = done.unwrap_err();
            assert_eq!(failure.reason, Reason::Damaged);
            assert!(failure.message.contains("gone was put there by a source"), "{failure}");
        }
    }
}
