//! Which samples are there?

use serde_json::Value;
use std::path::Path;

/// One document of `config/samples`.
pub struct Sample {
    /// Name of its file.
    pub file: String,
    /// The whole file.
    pub text: String,
    /// What it says.
    pub document: Value,
}

impl Sample {
    /// Its kind.
    pub fn kind(&self) -> &str {
        self.document["kind"].as_str().unwrap_or_default()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.document["metadata"]["name"].as_str().unwrap_or_default()
    }
}

/// Every sample, by file name. One document in each file. Those for Compose have a directory and a test of their own.
pub fn all() -> Vec<Sample> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/samples");
    let mut samples: Vec<Sample> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        // What is for other tools stands in directories of their own.
        .filter(|path| path.is_file())
        .map(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let document = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
            Sample { file, text, document }
        })
        .collect();
    samples.sort_by(|left, right| left.file.cmp(&right.file));
    assert!(!samples.is_empty(), "no sample in {}", directory.display());
    samples
}
