//! What is there to keep? A model and its logs, and many small files: on the disk, made anew for each run of a scenario.

use crate::Trouble;
use crate::scratch::emptied;
use modelcache::agent::fetch::{over_cores, sha256_of_file};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Bytes of text for each GiB of weights.
const TEXT: u64 = 200 << 20;
const LOGS: u64 = 20;
/// Files in each directory of the small ones.
const TOGETHER: u64 = 1_000;
/// What captions and log lines are made of.
const WORDS: [&str; 32] = [
    "a",
    "portrait",
    "of",
    "the",
    "old",
    "lighthouse",
    "keeper",
    "in",
    "heavy",
    "rain",
    "with",
    "soft",
    "light",
    "from",
    "left",
    "oil",
    "on",
    "canvas",
    "wide",
    "angle",
    "city",
    "street",
    "at",
    "night",
    "neon",
    "signs",
    "and",
    "wet",
    "asphalt",
    "highly",
    "detailed",
    "photograph",
];

/// SHA-256 of each file, by its path below the directory.
pub type Tree = BTreeMap<PathBuf, [u8; 32]>;

/// Files to keep.
pub struct Data {
    /// Where they are: the only volume below [`Data::volumes`].
    pub files: PathBuf,
    /// What is in them.
    pub tree: Tree,
    pub bytes: u64,
}

impl Data {
    /// Two files that nobody can compress, of `weights` bytes together, and a fifth as much text.
    pub fn model(directory: &Path, weights: u64) -> Result<Self, Trouble> {
        Self::make(directory, |files| {
            for part in 1..=2 {
                let path = files.join(format!("model-{part:05}-of-00002.safetensors"));
                write(&path, weights / 2, noise(part))?;
            }
            for part in 0..LOGS {
                let bytes = weights / 1024 * (TEXT >> 20) / LOGS;
                write(&files.join(format!("logs/server-{part:02}.log")), bytes, text(100 + part))?;
            }
            Ok(())
        })
    }

    /// So many small files: three captions of some hundred bytes, then a picture of some thousand.
    pub fn small(directory: &Path, count: u64) -> Result<Self, Trouble> {
        Self::make(directory, |files| {
            for at in 0..count {
                let (place, seed) = (files.join(format!("set-{:03}", at / TOGETHER)), 1_000 + at);
                if at % 4 == 3 {
                    write(&place.join(format!("{at:06}.png")), 2_000 + at % 6_000, noise(seed))?;
                } else {
                    write(&place.join(format!("{at:06}.txt")), 200 + at % 1_500, text(seed))?;
                }
            }
            Ok(())
        })
    }

    fn make(directory: &Path, fill: impl Fn(&Path) -> std::io::Result<()>) -> Result<Self, Trouble> {
        println!("making files to keep …");
        emptied(directory)?;
        let files = directory.join("volumes/files");
        let trouble = |error: std::io::Error| format!("{}: {error}", files.display());
        std::fs::create_dir_all(&files).and_then(|()| fill(&files)).map_err(trouble)?;
        let cache = serde_json::json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "bench"},
            "spec": {
                "volumes": [{"name": "files", "shared": {"size": "100Gi"}}],
                "backup": {"destination": {"volume": {"claimName": "nas"}}, "content": "Full"}
            }
        });
        std::fs::write(directory.join("cache.yaml"), cache.to_string()).map_err(trouble)?;
        rustix::fs::sync();
        let tree = tree(&files)?;
        let bytes = crate::scratch::sizes(&files).iter().sum();
        Ok(Self { files, tree, bytes })
    }

    /// Fails unless the very same files, and no others, are below a directory.
    pub fn compare(&self, directory: &Path, who: &str) -> Result<(), Trouble> {
        let there = tree(directory)?;
        let differs = |path: &&PathBuf| there.get(*path) != self.tree.get(*path);
        match self.tree.keys().chain(there.keys()).find(differs) {
            None => Ok(()),
            Some(path) => {
                let what = if there.contains_key(path) { "is not what it was" } else { "is missing" };
                Err(format!("{who} says done, and {} {what}", path.display()))
            }
        }
    }
}

/// Reads everything below a directory: then it is in the page cache, as far as that reaches.
pub fn tree(directory: &Path) -> Result<Tree, Trouble> {
    let (mut paths, mut open) = (vec![], vec![directory.to_owned()]);
    while let Some(next) = open.pop() {
        let trouble = |error: std::io::Error| format!("{}: {error}", next.display());
        for entry in std::fs::read_dir(&next).map_err(trouble)? {
            let entry = entry.map_err(trouble)?;
            let kind = entry.file_type().map_err(trouble)?;
            let path = entry.path();
            // Our own state on a volume is no file of anybody's.
            if kind.is_dir() && entry.file_name() != ".modelcache" {
                open.push(path);
            } else if kind.is_file() {
                paths.push(path);
            }
        }
    }
    let hash = |path: &PathBuf| File::open(path).and_then(|file| sha256_of_file(&file)).map(|(_, sha256)| sha256);
    let hashes = over_cores(&paths, hash);
    let named = paths.into_iter().zip(hashes).map(|(path, hash)| {
        let hash = hash.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok((path.strip_prefix(directory).unwrap_or(&path).to_owned(), hash))
    });
    named.collect()
}

/// A file of so many bytes, from pieces of whatever length.
fn write(path: &Path, bytes: u64, content: impl Iterator<Item = Vec<u8>>) -> std::io::Result<()> {
    if let Some(parent) = path.parent().filter(|it| !it.is_dir()) {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut left = usize::try_from(bytes).unwrap_or_default();
    for mut piece in content {
        piece.truncate(left);
        left -= piece.len();
        file.write_all(&piece)?;
        if left == 0 {
            break;
        }
    }
    file.flush()
}

/// The generator of Marsaglia's "Xorshift RNGs": the same numbers each time, and no pattern that a compressor finds.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    let next = |state: &u64| {
        let mut state = *state;
        state ^= state << 13;
        state ^= state >> 7;
        Some(state ^ (state << 17))
    };
    std::iter::successors(Some(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), next).skip(8)
}

fn noise(seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let mut numbers = numbers(seed);
    std::iter::repeat_with(move || numbers.by_ref().take(512).flat_map(u64::to_le_bytes).collect())
}

/// Lines as a server logs them. zstd makes less than a third of them.
fn text(seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let mut numbers = numbers(seed);
    let mut milliseconds = seed * 1_000;
    let line = move || {
        let mut next = || numbers.next().unwrap_or_default();
        milliseconds += next() % 900;
        let (minutes, seconds) = (milliseconds / 60_000 % 60, milliseconds / 1_000 % 60);
        let mut line = format!("07:{minutes:02}:{seconds:02}.{:03} {:08x} prompt:", milliseconds % 1_000, next() >> 32);
        for _ in 0..8 + next() % 16 {
            let word = usize::try_from(next() >> 32).unwrap_or_default() % WORDS.len();
            let _ = write!(line, " {}", WORDS[word]);
        }
        let _ = writeln!(line, "; {} ms", next() % 4_000);
        line.into_bytes()
    };
    std::iter::repeat_with(line)
}
