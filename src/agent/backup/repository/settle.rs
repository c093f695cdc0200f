//! When does a large file get its name? Once the disk has it: until then a power cut leaves nothing that looks complete.
//!
//! A sync takes its time, so that it is waited for beside the work that goes on; the kernel was told of the bytes as they came
//! ([`crate::agent::write_behind`]). Where many files wait, one sync of the file system is for all of them.

use super::directory::place;
use crate::agent::failure::Failure;
use crate::agent::layout::safe_path::Root;
use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Files that may wait for their sync: each is open.
const WAITING: usize = 64;
/// As many files are synced one by one: others may write much to the same file system.
const FEW: usize = 2;

/// Gives files their names, each once it is on the disk.
#[derive(Debug)]
pub(super) struct Settler {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A file that is written.
#[derive(Debug)]
pub(super) struct Written {
    /// The repository.
    pub(super) root: Root,
    /// Where it lies.
    pub(super) aside: String,
    /// Its bytes.
    pub(super) file: File,
    /// What it is to be called.
    pub(super) name: String,
}

/// Brings files to the disk.
type Syncing = fn(&[Written]) -> io::Result<()>;

#[derive(Debug)]
struct Shared {
    sync: Syncing,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: Vec<Written>,
    /// Files that have no name yet, also those that the thread has taken.
    open: usize,
    failure: Option<Failure>,
    closed: bool,
}

impl Default for Settler {
    fn default() -> Self {
        Self::new(sync)
    }
}

impl Settler {
    fn new(sync: Syncing) -> Self {
        let shared = Shared { sync, state: Mutex::default(), changed: Condvar::new() };
        Self { shared: Arc::new(shared), thread: Mutex::default() }
    }

    /// Takes a file over. Waits while too many do.
    ///
    /// # Errors
    /// That of a file that was taken over before: it has no name, and never gets one.
    pub(super) fn take(&self, written: Written) -> Result<(), Failure> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| {
            let shared = Arc::clone(&self.shared);
            std::thread::spawn(move || shared.work())
        });
        let mut state = self.shared.wait_while(|it| it.open >= WAITING && it.failure.is_none());
        if let Some(failure) = state.failure.clone() {
            drop(state);
            let _ = written.root.remove(&written.aside);
            return Err(failure);
        }
        state.open += 1;
        state.queue.push(written);
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Waits until all files have their names.
    ///
    /// # Errors
    /// The first that one of them met.
    pub(super) fn settle(&self) -> Result<(), Failure> {
        let state = self.shared.wait_while(|it| it.open > 0);
        state.failure.clone().map_or(Ok(()), Err)
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_while(self.state(), |it| condition(it));
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of the thread: until nothing more can come.
    fn work(&self) {
        loop {
            let batch = std::mem::take(&mut self.wait_while(|it| it.queue.is_empty() && !it.closed).queue);
            if batch.is_empty() {
                return;
            }
            let settled = self.name(&batch);
            let mut state = self.state();
            state.open -= batch.len();
            if let Err(failure) = settled {
                state.failure.get_or_insert(failure);
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Of a batch that the disk does not take, no file gets its name.
    fn name(&self, batch: &[Written]) -> Result<(), Failure> {
        let Some(first) = batch.first() else { return Ok(()) };
        let synced = (self.sync)(batch).map_err(|error| super::directory::failed(&first.root, &first.name, error));
        let mut result = synced;
        for Written { root, aside, name, .. } in batch {
            result = result.and_then(|()| place(root, aside, name, true).map(drop));
            if result.is_err() {
                let _ = root.remove(aside);
            }
        }
        result
    }
}

fn sync(batch: &[Written]) -> io::Result<()> {
    match batch {
        [first, ..] if batch.len() > FEW => Ok(rustix::fs::syncfs(&first.file)?),
        few => few.iter().try_for_each(|it| it.file.sync_all()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Reason;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn written(root: &Root, number: usize) -> Written {
        let (aside, name) = (format!("tmp/{number}"), format!("blobs/{number}"));
        root.make_directory("tmp").unwrap();
        let path = root.shown(&aside);
        std::fs::write(&path, b"bytes").unwrap();
        Written { root: root.clone(), aside, file: File::open(path).unwrap(), name }
    }

    #[test]
    fn a_file_has_its_name_once_the_disk_has_it_and_not_before() {
        static SYNCED: AtomicUsize = AtomicUsize::new(0);
        static NAMED_BEFORE: AtomicUsize = AtomicUsize::new(0);
        /// Files that are synced are still called as they were.
        fn look(batch: &[Written]) -> io::Result<()> {
            let named = batch.iter().filter(|it| !matches!(it.root.stat(&it.name), Ok(None)));
            NAMED_BEFORE.fetch_add(named.count(), Ordering::SeqCst);
            SYNCED.fetch_add(batch.len(), Ordering::SeqCst);
            sync(batch)
        }
        let base = tempfile::tempdir().unwrap();
        let root = Root::open(base.path()).unwrap();
        let settler = Settler::new(look);
        for number in 0..3 * WAITING {
            settler.take(written(&root, number)).unwrap();
        }
        settler.settle().unwrap();
        assert_eq!((SYNCED.load(Ordering::SeqCst), NAMED_BEFORE.load(Ordering::SeqCst)), (3 * WAITING, 0));
        assert_eq!(root.names("blobs").unwrap().len(), 3 * WAITING);
        assert!(root.names("tmp").unwrap().is_empty());
    }

    #[test]
    fn a_file_that_the_disk_does_not_take_never_gets_its_name_and_ends_the_run() {
        let base = tempfile::tempdir().unwrap();
        let root = Root::open(base.path()).unwrap();
        let settler = Settler::new(|_| Err(io::Error::from(io::ErrorKind::StorageFull)));
        settler.take(written(&root, 1)).unwrap();
        assert_eq!(settler.settle().unwrap_err().reason, Reason::InsufficientSpace);
        assert_eq!(settler.take(written(&root, 2)).unwrap_err().reason, Reason::InsufficientSpace);
        drop(settler);
        assert!(root.names("blobs").unwrap().is_empty() && root.names("tmp").unwrap().is_empty());
    }
}
