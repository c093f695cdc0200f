//! When does a large file get its name? Once the disk has it: until then a power cut leaves nothing that looks complete.
//!
//! A sync takes its time, so that it is waited for beside the work that goes on; the kernel was told of the bytes as they came
//! ([`crate::agent::write_behind`]). Files that are written are few at a time: small ones are packed.

use super::directory::place;
use crate::agent::failure::Failure;
use crate::agent::layout::LayoutError;
use crate::agent::layout::safe_path::Root;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Files that are synced at once: a disk takes them together, and a network's disk is far away.
const THREADS: usize = 4;
/// Files that may wait for their sync: each is open.
const WAITING: usize = 16;

/// Gives files their names, each once it is on the disk.
#[derive(Debug)]
pub(super) struct Settler {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
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

#[derive(Debug)]
struct Shared {
    sync: fn(&File) -> io::Result<()>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Written>,
    /// Files that have no name yet, also those that a thread has taken.
    open: usize,
    failure: Option<Failure>,
    closed: bool,
}

impl Default for Settler {
    fn default() -> Self {
        Self::new(File::sync_all)
    }
}

impl Settler {
    fn new(sync: fn(&File) -> io::Result<()>) -> Self {
        let shared = Shared { sync, state: Mutex::default(), changed: Condvar::new() };
        Self { shared: Arc::new(shared), threads: Mutex::default() }
    }

    /// Takes a file over. Waits while too many do.
    ///
    /// # Errors
    /// That of a file that was taken over before: it has no name, and never gets one.
    pub(super) fn take(&self, written: Written) -> Result<(), Failure> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while threads.len() < THREADS {
            let shared = Arc::clone(&self.shared);
            threads.push(std::thread::spawn(move || shared.work()));
        }
        drop(threads);
        let mut state = self.shared.wait_while(|it| it.open >= WAITING && it.failure.is_none());
        if let Some(failure) = state.failure.clone() {
            drop(state);
            let _ = written.root.remove(&written.aside);
            return Err(failure);
        }
        state.open += 1;
        state.queue.push_back(written);
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
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        for thread in std::mem::take(threads) {
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

    /// The life of a thread: until nothing more can come.
    fn work(&self) {
        loop {
            let next = self.wait_while(|it| it.queue.is_empty() && !it.closed).queue.pop_front();
            let Some(written) = next else { return };
            let settled = self.name(&written);
            let mut state = self.state();
            state.open -= 1;
            if let Err(failure) = settled {
                state.failure.get_or_insert(failure);
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    fn name(&self, written: &Written) -> Result<(), Failure> {
        let Written { root, aside, file, name } = written;
        let synced = (self.sync)(file).map_err(|error| super::directory::failed(root, name, error));
        let placed = synced.and_then(|()| place(root, aside, name, true).map(drop));
        placed.inspect_err(|_| drop::<Result<(), LayoutError>>(root.remove(aside)))
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
        /// The file that is synced is still called as it was.
        fn look(file: &File) -> io::Result<()> {
            use std::os::fd::AsRawFd as _;
            let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
            NAMED_BEFORE.fetch_add(usize::from(!path.parent().is_some_and(|it| it.ends_with("tmp"))), Ordering::SeqCst);
            SYNCED.fetch_add(1, Ordering::SeqCst);
            Ok(())
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
