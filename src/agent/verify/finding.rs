//! What can be wrong with something on a volume, and what is only worth a word?

use serde::Serialize;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// It is not there, or something else than a file stands in its place.
    Missing,
    /// It has another size.
    Size,
    /// It has other bytes.
    Content,
    /// It is another link, or none.
    Link,
    /// A branch of a hub's cache does not name its commit as clients read it.
    Ref,
    /// A listing of a hub's cache says that there are files that are not.
    Tree,
    /// Its readers, who are other users, may not or will not read it.
    Mode,
    /// The system does not give its bytes.
    Unreadable,
    /// The manifest of a source is missing or cannot be believed.
    Manifest,
}

/// Something damaged: a prefetch brings it or mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Path, relative to the volume's root.
    pub path: String,
    /// Name of the source that it belongs to.
    pub source: String,
    /// What is wrong.
    pub kind: Kind,
    /// What is wrong, in words: what was found, what it should be.
    pub detail: String,
}

/// Something that is not damaged, or not ours to mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// Path, relative to the volume's root.
    pub path: String,
    /// What it is, and what can be done about it.
    pub detail: String,
}

/// What is wrong with one thing, before it is said whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong.
    pub kind: Kind,
    /// In words.
    pub detail: String,
}

impl Wrong {
    /// Something wrong.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// The finding of a source.
    pub fn at(self, path: &str, source: &str) -> Finding {
        Finding { path: path.to_owned(), source: source.to_owned(), kind: self.kind, detail: self.detail }
    }
}

impl Note {
    /// A note.
    pub fn new(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { path: path.into(), detail: detail.into() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.path, self.detail)
    }
}
