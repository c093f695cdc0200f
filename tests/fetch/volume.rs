//! A volume to fetch onto, and what tests look at on it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use modelcache::agent::fetch::{
    Arrival, ClientOptions, Content, FetchError, FetchOptions, HttpClient, Place, Progress, Staging, Summary, Writer,
    fetch,
};

/// A directory that is gone at the end of its test.
pub(crate) struct Volume {
    dir: tempfile::TempDir,
    pub(crate) progress: Arc<Progress>,
}

impl Volume {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), progress: Arc::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Fetches, publishing each content as `<index>`.
    pub(crate) fn fetch(&self, contents: Vec<Content>, options: &FetchOptions) -> Result<Summary, FetchError> {
        fetch_onto(self.path(), Writer::Local, contents, options, &self.progress)
    }

    pub(crate) fn published(&self, index: usize) -> Option<Vec<u8>> {
        std::fs::read(self.path().join(index.to_string())).ok()
    }

    /// Partials and journals that are left in staging.
    pub(crate) fn left(&self) -> Vec<PathBuf> {
        let staging = self.path().join("staging");
        let all = std::fs::read_dir(staging).into_iter().flatten().map(|entry| entry.unwrap().path());
        all.filter(|path| !path.ends_with("fence") && !path.ends_with("lock")).collect()
    }
}

/// What became of the groups of a run.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// What was staged, with what is the same.
    pub(crate) staged: Vec<(Place, Vec<Place>)>,
    pub(crate) failed: Vec<(usize, FetchError)>,
}

impl Volume {
    /// Fetches groups, publishing each content as `<group>.<index>`.
    pub(crate) fn fetch_groups(
        &self,
        groups: Vec<Vec<Content>>,
        options: &FetchOptions,
    ) -> (Groups, Result<Summary, FetchError>) {
        let mut seen = Groups::default();
        let name = |place: &Place| self.path().join(format!("{}.{}", place.group, place.index));
        let done = fetch_with(self.path(), Writer::Local, groups, options, &self.progress, |arrival| {
            match arrival {
                Arrival::Staged(staged) => {
                    std::fs::rename(&staged.path, name(&staged.at))?;
                    for also in &staged.also {
                        std::fs::hard_link(name(&staged.at), name(also))?;
                    }
                    seen.staged.push((staged.at, staged.also));
                }
                Arrival::Failed { group, error } => seen.failed.push((group, error)),
            }
            Ok(vec![])
        });
        (seen, done)
    }

    pub(crate) fn published_as(&self, group: usize, index: usize) -> Option<Vec<u8>> {
        std::fs::read(self.path().join(format!("{group}.{index}"))).ok()
    }
}

/// Fetches groups, with every arrival told to `on`.
pub(crate) fn fetch_with(
    volume: &Path,
    writer: Writer,
    groups: Vec<Vec<Content>>,
    options: &FetchOptions,
    progress: &Arc<Progress>,
    on: impl FnMut(Arrival) -> std::io::Result<Vec<usize>>,
) -> Result<Summary, FetchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = HttpClient::new(&ClientOptions { proxy_from_env: false, ..ClientOptions::default() }).unwrap();
    runtime.block_on(async {
        let staging = Staging::open(volume, Path::new("staging"), writer)?;
        fetch(&client, groups, &staging, options, progress, on).await
    })
}

pub(crate) fn fetch_onto(
    volume: &Path,
    writer: Writer,
    contents: Vec<Content>,
    options: &FetchOptions,
    progress: &Arc<Progress>,
) -> Result<Summary, FetchError> {
    let mut failed = None;
    let done = fetch_with(volume, writer, vec![contents], options, progress, |arrival| {
        match arrival {
            Arrival::Staged(staged) => std::fs::rename(&staged.path, volume.join(staged.at.index.to_string()))?,
            Arrival::Failed { error, .. } => failed = Some(error),
        }
        Ok(vec![])
    });
    failed.map_or(done, Err)
}

/// Small parts and short pauses, so that a few megabytes show what gigabytes would. The patience is long: a machine that
/// stands still for a moment is no server that does.
pub(crate) fn options() -> FetchOptions {
    FetchOptions {
        connections: 4,
        part_size: 1 << 20,
        stall_after: Duration::from_secs(60),
        give_up_after: Duration::from_secs(240),
        backoff_start: Duration::from_millis(20),
        backoff_cap: Duration::from_millis(200),
        ..FetchOptions::default()
    }
}

/// The same, where a server says nothing or fails for ever.
pub(crate) fn impatient() -> FetchOptions {
    FetchOptions { stall_after: Duration::from_secs(1), give_up_after: Duration::from_secs(6), ..options() }
}

/// What an engine does that nothing disturbs: in one of five tries, since a machine that is busy makes it slower, and one
/// that stands still for a moment makes it ask again. What is wrong by itself is so each time.
pub(crate) fn undisturbed(promise: impl Fn()) {
    for _ in 1..5 {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(&promise)).is_ok() {
            return;
        }
    }
    promise();
}

/// Waits until something holds; fails with its name when it does not in time.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(240);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
