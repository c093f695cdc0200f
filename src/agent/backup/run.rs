//! How does a backup go, from the first look to the snapshot?
//!
//! marker ──► what is known ──► each volume ──► everything durable ──► snapshot. Killed anywhere before the last step, it never was.

use super::archive::{Archive, OWN};
use super::asked::Asked;
use super::dry::{Plan, count};
use super::guard;
use super::known::Known;
use super::lines::{Before, is_whole};
use super::manifests;
use super::origin::again;
use super::owned::Owned;
use super::repository::at_work::{AtWork, RENEWED, Work};
use super::repository::marker::{Owner, VERSION};
use super::repository::renewing::Renewing;
use super::repository::snapshot::{Snapshot, VolumeSnapshot};
use super::repository::upload::Upload;
use super::repository::{Repository, internal, names};
use super::send::Sender;
use super::volume::{Backed, back_up};
use crate::agent::failure::Failure;
use crate::agent::layout::safe_path::Root;
use crate::agent::sha256::Sha256;
use crate::agent::source::Origins;
use crate::agent::source::fnmatch::Patterns;
use crate::api::backup::{BackupContent, BackupFormat};
use crate::api::name::hex;
use crate::api::{ModelCache, Reason};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::runtime::Handle;

/// Bytes that an archive may have in a bucket: its parts are as large as that needs.
const ARCHIVE: u64 = 128 << 30;

/// Counters that others may look at while it goes on.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Bytes read.
    pub read: Arc<AtomicU64>,
    /// Bytes written.
    pub sent: Arc<AtomicU64>,
}

/// What is asked.
#[derive(Debug)]
pub struct Request<'a> {
    /// The cache.
    pub cache: &'a ModelCache,
    /// Its volumes: name, directory, whether it is a copy on a node.
    pub volumes: Vec<(String, PathBuf, bool)>,
    /// How much of each file.
    pub content: BackupContent,
    /// A repository, or one file.
    pub format: BackupFormat,
    /// Where sources come from.
    pub origins: &'a Origins,
    /// When it begins.
    pub now: Timestamp,
}

struct Volume {
    name: String,
    root: Root,
    per_node: bool,
    owned: Owned,
    again: BTreeSet<String>,
}

/// Which paths.
fn patterns_of(cache: &ModelCache) -> Patterns {
    cache.spec.backup.as_ref().map(|it| Patterns::new(&it.include, &it.exclude)).unwrap_or_default()
}

impl Volume {
    fn asked<'a>(&'a self, patterns: &'a Patterns, content: BackupContent, forbidden: Option<(u64, u64)>) -> Asked<'a> {
        Asked {
            root: &self.root,
            owned: &self.owned,
            per_node: self.per_node,
            content,
            origins: &self.again,
            patterns,
            forbidden,
        }
    }
}

/// The directory that a repository is in, by device and inode.
fn place(repository: &Repository) -> Result<Option<(u64, u64)>, Failure> {
    let Some(root) = repository.store.root() else { return Ok(None) };
    let stat = rustix::fs::fstat(root.directory("")?).map_err(internal)?;
    Ok(Some((stat.st_dev, stat.st_ino)))
}

/// Backs up the volumes of a cache.
///
/// # Errors
/// `NoFiles` when there is nothing to back up: success over nothing does not exist.
pub async fn run(
    repository: &Repository,
    request: &Request<'_>,
    progress: &Progress,
    say: &dyn Fn(&str),
) -> Result<Snapshot, Failure> {
    let volumes = volumes(request, say).await?;
    let id = names::unique()?.chars().take(16).collect::<String>();
    let at_work = AtWork::begin(repository, Work::Backup, &id).await?;
    let marker = at_work.clone();
    let renewing = Renewing::every(RENEWED, move || {
        let marker = marker.clone();
        async move {
            if let Err(failure) = marker.renew().await {
                tracing::warn!(%failure, "the marker of this backup was not renewed");
            }
        }
    });
    let result = guarded(repository, request, volumes, &id, &at_work, progress, say).await;
    renewing.end().await;
    // What was not removed is stale after a while.
    let ended = at_work.end().await;
    let snapshot = result?;
    if let Err(failure) = ended {
        say(&format!("the marker of this backup stays for a while: {failure}"));
    }
    Ok(snapshot)
}

/// What a backup would do. Nothing is written.
///
/// # Errors
/// As for a backup.
pub async fn dry_run(
    repository: Option<&Repository>,
    request: &Request<'_>,
    say: &dyn Fn(&str),
) -> Result<Vec<(String, Plan)>, Failure> {
    let volumes = volumes(request, say).await?;
    let (last, known) = match repository {
        Some(repository) => {
            let last = repository.last().await?;
            let known = Known::read(repository, last.as_ref()).await?;
            (last, known)
        }
        None => (None, Known::default()),
    };
    let (repository, handle, patterns) = (repository.cloned(), Handle::current(), patterns_of(request.cache));
    let content = request.content;
    let work = move || {
        let one = |volume: Volume| {
            let forbidden = repository.as_ref().map(place).transpose()?.flatten();
            let chunks = chunks_of(last.as_ref(), &volume.name, &known);
            let before = repository.as_ref().map(|it| Before::new(it, &handle, chunks));
            let plan = count(&volume.asked(&patterns, content, forbidden), before, &known)?;
            Ok((volume.name, plan))
        };
        volumes.into_iter().map(one).collect()
    };
    tokio::task::spawn_blocking(work).await.map_err(internal)?
}

async fn volumes(request: &Request<'_>, say: &dyn Fn(&str)) -> Result<Vec<Volume>, Failure> {
    let cache = request.cache.metadata.name.as_deref().unwrap_or_default();
    let mut volumes = Vec::new();
    for (name, path, per_node) in &request.volumes {
        let root = Root::open(path)?;
        let owned = Owned::read(&root, cache)?;
        let spec = &request.cache.spec;
        let mine = spec.sources.iter().filter(|it| spec.volume_of(it).is_some_and(|it| &it.name == name));
        let cold: Vec<&str> = mine.map(|it| it.name.as_str()).filter(|it| !owned.pins.contains_key(*it)).collect();
        if !cold.is_empty() {
            say(&format!("volume `{name}`: not there yet, so not in this backup: source {}", cold.join(", ")));
        }
        let again = again(request.origins, spec, &owned, request.content, say).await;
        volumes.push(Volume { name: name.clone(), root, per_node: *per_node, owned, again });
    }
    Ok(volumes)
}

async fn guarded(
    repository: &Repository,
    request: &Request<'_>,
    volumes: Vec<Volume>,
    id: &str,
    at_work: &AtWork,
    progress: &Progress,
    say: &dyn Fn(&str),
) -> Result<Snapshot, Failure> {
    let begun = Instant::now();
    let half_written = repository.store.half_written().await?;
    guard::wait_for_prune(at_work, say).await?;
    let others = at_work.others(Work::Backup).await?;
    at_work.tidy(others.stale).await?;
    if others.alive.is_empty() {
        repository.store.remove_half_written(half_written).await?;
    }
    let archive = request.format == BackupFormat::Archive;
    let last = if archive { None } else { repository.last().await? };
    let known = if archive { Known::default() } else { Known::read(repository, last.as_ref()).await? };
    let owner = Owner::of(request.cache);
    let job = Job {
        repository: repository.clone(),
        at_work: at_work.clone(),
        known,
        last,
        patterns: patterns_of(request.cache),
        content: request.content,
        progress: progress.clone(),
        handle: Handle::current(),
        begun,
        empty: Snapshot {
            version: VERSION,
            id: id.to_owned(),
            time: request.now,
            repository: repository.marker.repository.clone(),
            namespace: owner.namespace,
            cache: owner.cache,
            content: request.content,
            spec: serde_json::to_value(&request.cache.spec).map_err(internal)?,
            volumes: vec![],
            files: 0,
            bytes: 0,
            new_bytes: 0,
            seconds: 0,
            digest: String::new(),
        },
    };
    if archive {
        return tokio::task::spawn_blocking(move || job.archive(volumes)).await.map_err(internal)?;
    }
    let snapshot = tokio::task::spawn_blocking(move || job.volumes(volumes)).await.map_err(internal)??;
    guard::see_to_it(repository, at_work, &snapshot, say).await?;
    repository.write(&snapshot).await?;
    Ok(snapshot)
}

struct Job {
    repository: Repository,
    at_work: AtWork,
    known: Known,
    last: Option<Snapshot>,
    patterns: Patterns,
    content: BackupContent,
    progress: Progress,
    handle: Handle,
    begun: Instant,
    /// The snapshot, but for what is on the volumes.
    empty: Snapshot,
}

impl Job {
    /// The snapshot of what was found.
    fn snapshot(&self, volumes: Vec<(VolumeSnapshot, String)>) -> Result<Snapshot, Failure> {
        let mut digest = Sha256::new();
        for (volume, one) in &volumes {
            digest.update(format!("{}\0{one}\0", volume.name));
        }
        let volumes: Vec<VolumeSnapshot> = volumes.into_iter().map(|(volume, _)| volume).collect();
        let snapshot = Snapshot {
            files: volumes.iter().map(|it| it.files).sum(),
            bytes: volumes.iter().map(|it| it.bytes).sum(),
            new_bytes: self.progress.sent.load(Ordering::Relaxed),
            seconds: self.begun.elapsed().as_secs(),
            digest: hex(&digest.finalize()),
            volumes,
            ..self.empty.clone()
        };
        if snapshot.files == 0 {
            let message = "the volumes have no file that the backup covers: nothing was backed up";
            return Err(Failure::new(Reason::NoFiles, message));
        }
        Ok(snapshot)
    }

    /// One file with everything in it. It has its name only when it is whole and durable.
    fn archive(&self, volumes: Vec<Volume>) -> Result<Snapshot, Failure> {
        let form = self.repository.seal.form(true);
        let name = names::archive(self.empty.time, &self.empty.id, form);
        let (handle, at_work) = (self.handle.clone(), self.at_work.clone());
        let begun = move |name: &str, id: &str| handle.block_on(at_work.note_upload(name, id));
        let expected = ARCHIVE;
        let upload = Upload::new(&self.repository.store, &self.handle, &name, expected, begun)?;
        let teller = upload.teller();
        let writer = self.repository.seal.writer(upload, form).map_err(|error| teller.tell(&error))?;
        let mut archive = Archive::new(writer, teller);
        let forbidden = place(&self.repository)?;
        let mut done = Vec::new();
        for volume in volumes {
            let backed = archive.volume(&volume.name, &volume.asked(&self.patterns, self.content, forbidden))?;
            some(&volume, &backed)?;
            let digest = backed.total.digest.clone();
            let manifests = archive.manifests(&volume.name, &volume.owned.manifests)?;
            done.push((VolumeSnapshot { manifests, ..snapshot_of(volume, backed) }, digest));
        }
        let snapshot = self.snapshot(done)?;
        let document = serde_json::to_vec_pretty(&snapshot).map_err(internal)?;
        archive.document(&format!("{OWN}/snapshot.json"), &document)?;
        let upload = archive.finish()?;
        let new_bytes = upload.finish(&name)?;
        self.handle.block_on(self.repository.store.sync())?;
        Ok(Snapshot { new_bytes, ..snapshot })
    }

    fn volumes(&self, volumes: Vec<Volume>) -> Result<Snapshot, Failure> {
        let sender = Sender {
            repository: &self.repository,
            handle: &self.handle,
            known: &self.known,
            at_work: &self.at_work,
            sent: &self.progress.sent,
            read: &self.progress.read,
        };
        let forbidden = place(&self.repository)?;
        let threads = std::thread::available_parallelism().map_or(2, |it| it.get().clamp(2, 4));
        let mut done = Vec::new();
        for volume in volumes {
            let asked = volume.asked(&self.patterns, self.content, forbidden);
            let chunks = chunks_of(self.last.as_ref(), &volume.name, &self.known);
            let before = Before::new(&self.repository, &self.handle, chunks);
            let backed = back_up(&asked, before, &sender, threads)?;
            some(&volume, &backed)?;
            let digest = backed.total.digest.clone();
            let last = self.last.iter().flat_map(|it| &it.volumes).find(|it| it.name == volume.name);
            let last = last.map(|it| it.manifests.clone()).unwrap_or_default();
            let kept = manifests::keep(&self.repository, &volume.owned.manifests, &last);
            let manifests = self.handle.block_on(kept)?;
            done.push((VolumeSnapshot { manifests, ..snapshot_of(volume, backed) }, digest));
        }
        self.snapshot(done)
    }
}

/// A volume with nothing on it is one that is not mounted, or was never warmed.
fn some(volume: &Volume, backed: &Backed) -> Result<(), Failure> {
    if backed.total.entries > 0 {
        return Ok(());
    }
    let message = format!("volume `{}` has nothing to back up: is it mounted, and was it warmed?", volume.name);
    Err(Failure::new(Reason::NoFiles, message))
}

/// The last list of a volume, if all of it is still there.
fn chunks_of<'a>(last: Option<&'a Snapshot>, volume: &str, known: &Known) -> &'a [super::repository::list::Chunk] {
    let found = last.iter().flat_map(|it| &it.volumes).find(|it| it.name == volume);
    found.map(|it| it.list.as_slice()).filter(|it| is_whole(known, it)).unwrap_or_default()
}

fn snapshot_of(volume: Volume, backed: Backed) -> VolumeSnapshot {
    VolumeSnapshot {
        name: volume.name,
        files: backed.total.files,
        bytes: backed.total.bytes,
        from_origin: backed.total.from_origin,
        not_covered: backed.not_covered,
        pins: volume.owned.pins,
        manifests: BTreeMap::new(),
        list: backed.total.chunks,
    }
}
