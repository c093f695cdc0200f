//! How are the files of a list made? Threads read objects, hash and write; small files come a block at a time.

use super::bytes::{Objects, Trouble, block_of};
use super::stage::{Stage, Writing};
use crate::agent::backup::repository::list::{At, File};
use crate::agent::backup::repository::seal::Form;
use crate::agent::failure::Failure;
use crate::agent::layout::LayoutError;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Files of one content that are written at once.
const TOGETHER: usize = 16;

/// A file that is wanted, under its path on the volume.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where it is made, relative to the staged tree.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
    /// What it is.
    pub file: File,
}

/// A file that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Its path.
    pub path: String,
    /// What is wrong, in words.
    pub why: String,
}

/// What is read in one go.
enum Job<'a> {
    /// A blob, and the files that it is the content of.
    Blob { form: Form, files: Vec<&'a Wanted> },
    /// Files without bytes.
    Empty(Vec<&'a Wanted>),
    /// A block of a pack, and the files in it.
    Block { pack: &'a str, offset: u64, length: u64, form: Form, files: Vec<(u64, &'a Wanted)> },
}

/// Makes the files; without a place to make them they are only read and hashed. Gives those that are damaged; they are not
/// there.
///
/// # Errors
/// What has nothing to do with a single file: no room, no network.
pub fn fill(objects: &Objects<'_>, stage: Option<&Stage>, wanted: &[Wanted]) -> Result<Vec<Damage>, Failure> {
    let jobs = jobs(wanted);
    let (next, found) = (AtomicUsize::new(0), Mutex::new((Vec::new(), None::<Failure>)));
    let work = || {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let done = job.run(objects, stage);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            match done {
                Ok(damaged) => found.0.extend(damaged),
                Err(failure) => {
                    next.store(jobs.len(), Ordering::Relaxed);
                    found.1.get_or_insert(failure);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..objects.threads().min(jobs.len()) {
            scope.spawn(work);
        }
        work();
    });
    let (mut damaged, failure) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    damaged.sort_by(|a, b| a.path.cmp(&b.path));
    failure.map_or(Ok(damaged), Err)
}

fn jobs(wanted: &[Wanted]) -> Vec<Job<'_>> {
    let mut jobs: Vec<Job<'_>> = Vec::new();
    let mut blobs: HashMap<(&str, Form), usize> = HashMap::new();
    let mut blocks: HashMap<(&str, u64), usize> = HashMap::new();
    let mut empty = usize::MAX;
    for file in wanted {
        if let Some((pack, offset, length, form, start)) = block_of(&file.file.at) {
            let at = *blocks.entry((pack, offset)).or_insert(jobs.len());
            match jobs.get_mut(at) {
                Some(Job::Block { files, .. }) => files.push((start, file)),
                _ => jobs.push(Job::Block { pack, offset, length, form, files: vec![(start, file)] }),
            }
        } else if matches!(file.file.at, At::Empty) {
            match jobs.get_mut(empty) {
                Some(Job::Empty(files)) => files.push(file),
                _ => {
                    empty = jobs.len();
                    jobs.push(Job::Empty(vec![file]));
                }
            }
        } else if let At::Blob { form, .. } = file.file.at {
            let at = *blobs.entry((&file.file.sha256, form)).or_insert(jobs.len());
            match jobs.get_mut(at) {
                Some(Job::Blob { files, .. }) if files.len() < TOGETHER => files.push(file),
                _ => {
                    blobs.insert((&file.file.sha256, form), jobs.len());
                    jobs.push(Job::Blob { form, files: vec![file] });
                }
            }
        }
    }
    // Large ones first: the last to end is then a small one.
    jobs.sort_by_key(|job| std::cmp::Reverse(job.bytes()));
    jobs
}

impl Job<'_> {
    fn bytes(&self) -> u64 {
        match self {
            Self::Blob { files, .. } => files.first().map_or(0, |it| it.file.size),
            Self::Block { length, .. } => *length,
            Self::Empty(_) => 0,
        }
    }

    fn run(&self, objects: &Objects<'_>, stage: Option<&Stage>) -> Result<Vec<Damage>, Failure> {
        match self {
            Self::Blob { form, files } => {
                let Some(first) = files.first() else { return Ok(vec![]) };
                let (size, sha256) = (first.file.size, &first.file.sha256);
                let mut writing = writing(stage, files.iter().copied())?;
                let read = objects.blob(sha256, *form, |bytes| {
                    if writing.length() + bytes.len() as u64 <= size {
                        return writing.take(bytes).map_err(|error| failed(stage, &first.path, error));
                    }
                    Err(Failure::new(
                        crate::api::Reason::ChecksumMismatch,
                        format!("it is longer than the {size} bytes it should have"),
                    ))
                });
                let files = files.iter().copied();
                match read {
                    Ok(()) => judge(stage, files, writing.finish(size, sha256)),
                    Err(Trouble::Damaged(why)) => judge(stage, files, Err(why)),
                    Err(Trouble::Failed(failure)) => Err(failure),
                }
            }
            Self::Empty(files) => {
                let mut damaged = Vec::new();
                for wanted in files {
                    let judged =
                        writing(stage, std::iter::once(*wanted))?.finish(wanted.file.size, &wanted.file.sha256);
                    damaged.extend(judge(stage, std::iter::once(*wanted), judged)?);
                }
                Ok(damaged)
            }
            Self::Block { pack, offset, length, form, files } => {
                let plain = match objects.block(pack, *offset, *length, *form) {
                    Ok(plain) => plain,
                    Err(Trouble::Failed(failure)) => return Err(failure),
                    Err(Trouble::Damaged(why)) => {
                        let damaged = |it: &(u64, &Wanted)| Damage { path: it.1.path.clone(), why: why.clone() };
                        return Ok(files.iter().map(damaged).collect());
                    }
                };
                let mut damaged = Vec::new();
                for (start, wanted) in files {
                    let at = usize::try_from(*start).unwrap_or(usize::MAX);
                    let end = at.saturating_add(usize::try_from(wanted.file.size).unwrap_or(usize::MAX));
                    let Some(bytes) = plain.get(at..end) else {
                        damaged
                            .push(Damage { path: wanted.path.clone(), why: "lies outside of its pack's block".into() });
                        continue;
                    };
                    let mut writing = writing(stage, std::iter::once(*wanted))?;
                    writing.take(bytes).map_err(|error| failed(stage, &wanted.path, error))?;
                    let judged = writing.finish(wanted.file.size, &wanted.file.sha256);
                    damaged.extend(judge(stage, std::iter::once(*wanted), judged)?);
                }
                Ok(damaged)
            }
        }
    }
}

/// Drops what is not what was promised.
fn judge<'a>(
    stage: Option<&Stage>,
    files: impl Iterator<Item = &'a Wanted>,
    judged: Result<(), String>,
) -> Result<Vec<Damage>, Failure> {
    let Err(why) = judged else { return Ok(vec![]) };
    files
        .map(|it| {
            stage.map_or(Ok(()), |stage| stage.drop(&it.path))?;
            Ok(Damage { path: it.path.clone(), why: why.clone() })
        })
        .collect()
}

fn writing<'a>(stage: Option<&Stage>, files: impl Iterator<Item = &'a Wanted>) -> Result<Writing, LayoutError> {
    match stage {
        Some(stage) => stage.content(files.map(|it| (it.path.as_str(), it.mode))),
        None => Ok(Writing::nowhere()),
    }
}

fn failed(stage: Option<&Stage>, path: &str, error: std::io::Error) -> Failure {
    LayoutError::new(stage.map_or_else(|| path.into(), |it| it.root().shown(path)), error).into()
}
