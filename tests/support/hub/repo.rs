//! What is in a repository, at which commit, and who may see it?

use super::content::{Content, hex};
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;

/// Endings that hubs keep in large file storage whatever the size.
const LARGE: [&str; 12] =
    ["safetensors", "bin", "gguf", "onnx", "pt", "pth", "h5", "model", "zip", "parquet", "tar", "msgpack"];
/// Files from this size on are in large file storage whatever they are called.
const LARGE_SIZE: u64 = 10 << 20;

/// Kind of a repository, as URLs spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Models,
    Datasets,
    Spaces,
}

/// A repository with its history.
#[derive(Clone)]
pub struct Repo {
    pub kind: Kind,
    pub id: String,
    /// Only holders of a known token see it.
    pub private: bool,
    /// Only holders of a token with the grant may read it.
    pub gated: bool,
    /// Branches and tags: to commits.
    pub refs: BTreeMap<String, String>,
    /// Files by commit. A commit stays when a branch moves on.
    pub commits: BTreeMap<String, BTreeMap<String, Content>>,
}

impl Kind {
    /// The kind that is called so in `/api/<kind>/…`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Models, Self::Datasets, Self::Spaces].into_iter().find(|kind| kind.as_str() == text)
    }

    /// As URLs spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Datasets => "datasets",
            Self::Spaces => "spaces",
        }
    }
}

impl Repo {
    /// A repository with one commit, which is `main` and the tag `v1`.
    pub fn new(kind: Kind, id: &str, files: BTreeMap<String, Content>) -> Self {
        let commit = commit(id, 0);
        Self {
            kind,
            id: id.to_owned(),
            private: false,
            gated: false,
            refs: BTreeMap::from([("main".into(), commit.clone()), ("v1".into(), commit.clone())]),
            commits: BTreeMap::from([(commit, files)]),
        }
    }

    /// Reads `[dataset:|space:]org/name=FILE:SIZE,…[;private][;gated][;seed=N]`, sizes as `10`, `4Ki`, `300Mi`, `2Gi`.
    /// `FILE@N:SIZE` makes N files, with a number before the ending.
    pub fn parse(spec: &str) -> Result<Self, String> {
        let (name, rest) = spec.split_once('=').ok_or_else(|| format!("`{spec}` has no `=`"))?;
        let (kind, id) = match name.split_once(':') {
            None | Some(("model", _)) => (Kind::Models, name.trim_start_matches("model:")),
            Some(("dataset", id)) => (Kind::Datasets, id),
            Some(("space", id)) => (Kind::Spaces, id),
            Some((other, _)) => return Err(format!("`{other}` is no kind of repository")),
        };
        let mut options = rest.split(';');
        let listed = options.next().unwrap_or_default();
        let (mut private, mut gated, mut seed) = (false, false, 1);
        for option in options {
            match option.split_once('=') {
                None if option == "private" => private = true,
                None if option == "gated" => gated = true,
                Some(("seed", value)) => seed = value.parse().map_err(|_| format!("`{value}` is no seed"))?,
                _ => return Err(format!("`{option}` is no option of a repository")),
            }
        }
        let mut files = BTreeMap::new();
        for file in listed.split(',').filter(|it| !it.is_empty()) {
            let (path, size) = file.rsplit_once(':').ok_or_else(|| format!("`{file}` has no size"))?;
            let size = bytes(size).ok_or_else(|| format!("`{size}` is no size"))?;
            for path in numbered(path)? {
                let content = Content::generated(seed_of(id, &path, seed), size);
                files.insert(path, content);
            }
        }
        Ok(Self { private, gated, ..Self::new(kind, id, files) })
    }

    /// The commit of a branch, a tag, or a commit itself.
    pub fn commit_of(&self, revision: &str) -> Option<&str> {
        match self.refs.get(revision) {
            Some(commit) => Some(commit),
            None => self.commits.get_key_value(revision).map(|(commit, _)| commit.as_str()),
        }
    }

    /// Moves `main` to a new commit, in which `changed` files (all of them when none is named) have other content of the
    /// same size. A name that was not there becomes a file of 100 bytes. Returns the commit.
    pub fn move_main(&mut self, changed: &[&str]) -> String {
        let number = self.commits.len() as u64;
        let mut files = self.refs.get("main").and_then(|main| self.commits.get(main)).cloned().unwrap_or_default();
        let names: Vec<String> = match changed {
            [] => files.keys().cloned().collect(),
            some => some.iter().map(ToString::to_string).collect(),
        };
        for path in names {
            let size = files.get(&path).map_or(100, Content::size);
            let content = Content::generated(seed_of(&self.id, &path, 1000 + number), size);
            files.insert(path, content);
        }
        let commit = commit(&self.id, number);
        self.commits.insert(commit.clone(), files);
        self.refs.insert("main".into(), commit.clone());
        commit
    }
}

/// Whether a hub keeps a file in large file storage.
pub fn is_large(path: &str, content: &Content) -> bool {
    content.size() >= LARGE_SIZE || path.rsplit_once('.').is_some_and(|(_, ending)| LARGE.contains(&ending))
}

/// Bytes of `10`, `4Ki`, `300Mi`, `2Gi`.
pub fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits)? {
        "" => 1,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn numbered(path: &str) -> Result<Vec<String>, String> {
    let Some((path, count)) = path.split_once('@') else { return Ok(vec![path.to_owned()]) };
    let count: u32 = count.parse().map_err(|_| format!("`{count}` is no count"))?;
    let (stem, ending) = path.rsplit_once('.').unwrap_or((path, "txt"));
    Ok((1..=count).map(|number| format!("{stem}-{number:05}.{ending}")).collect())
}

fn commit(id: &str, number: u64) -> String {
    hex(&Sha1::digest(format!("commit {number} of {id}")))
}

fn seed_of(id: &str, path: &str, salt: u64) -> u64 {
    let hash = Sha1::digest(format!("{id}\0{path}\0{salt}"));
    hash.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}
