//! What is there to fetch? Repositories of a hub, whose large files nginx sends from a tmpfs.

use crate::Trouble;
use crate::hub::Hub;
use crate::hub::content::Content;
use crate::hub::repo::{Kind, Repo};
use crate::nginx::Nginx;
use crate::program::TRANSFER;
use crate::scratch::Scratch;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes per second that a connection to the paced server gets.
pub const PACE: u64 = 40_000_000;
/// Small files, and the bytes of each: what configurations and tokenizers are like.
const SMALL_FILES: (u32, u64) = (500, 20_000);

/// Hub, servers, and what they serve.
pub struct Origin {
    pub hub: Hub,
    /// Sends as fast as it can.
    pub fast: Nginx,
    /// Gives each connection [`PACE`].
    pub paced: Nginx,
    /// Per repository: a directory with its large files by name, and what the programs are told to fetch, as each wants it.
    pub lists: PathBuf,
    /// Bytes of one large file.
    pub file_size: u64,
}

impl Origin {
    pub fn start(scratch: &Scratch, file_size: u64, python: &Path) -> Result<Self, Trouble> {
        let hub = Hub::start();
        let (blobs, lists) = (scratch.memory.join("blobs"), scratch.memory.join("lists"));
        for directory in [&blobs, &lists] {
            std::fs::create_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        }
        std::fs::write(lists.join("transfer.py"), TRANSFER).map_err(|error| error.to_string())?;
        let fast = Nginx::start(&scratch.memory.join("fast"), &blobs, 0, python)?;
        let paced = Nginx::start(&scratch.memory.join("paced"), &blobs, PACE, python)?;
        let origin = Self { hub, fast, paced, lists, file_size };
        let large: Vec<Content> = (1..=4).map(|seed| Content::generated(seed, file_size)).collect();
        for (index, content) in large.iter().enumerate() {
            println!("making file {} of {} MiB …", index + 1, file_size >> 20);
            let path = blobs.join(&content.hashes().sha256);
            write(content, &path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        for (name, count) in [("one", 1), ("two", 2), ("four", 4)] {
            let shards = large.iter().take(count).enumerate();
            let named = shards.map(|(at, it)| (format!("model-{:05}-of-{count:05}.safetensors", at + 1), it.clone()));
            origin.offer(name, named.collect(), &blobs)?;
        }
        let (count, size) = SMALL_FILES;
        let small =
            (1..=count).map(|at| (format!("part-{at:05}.json"), Content::generated(1000 + u64::from(at), size)));
        origin.offer("small", small.collect(), &blobs)?;
        Ok(origin)
    }

    /// From now on the hub's redirects lead to this server, and each of its answers takes so much longer.
    pub fn use_server(&self, server: &Nginx, latency: Duration) {
        let mut inner = self.hub.state.lock();
        inner.files_origin = server.url();
        inner.latency = latency;
    }

    /// Sizes of a repository's files.
    pub fn sizes(&self, name: &str) -> Vec<u64> {
        let (count, size) = SMALL_FILES;
        match name {
            "one" => vec![self.file_size],
            "two" => vec![self.file_size; 2],
            "four" => vec![self.file_size; 4],
            _ => vec![size; count as usize],
        }
    }

    /// Adds a repository to the hub, and writes what it takes to fetch it.
    fn offer(&self, name: &str, files: BTreeMap<String, Content>, blobs: &Path) -> Result<(), Trouble> {
        let (mut curl, mut aria) = (String::new(), String::new());
        let directory = self.lists.join(name);
        let trouble = |error: std::io::Error| format!("{}: {error}", directory.display());
        std::fs::create_dir(&directory).map_err(trouble)?;
        for (path, content) in &files {
            let url = format!("{}/bench/{name}/resolve/main/{path}", self.hub.url);
            curl += &["url = \"", &url, "\"\noutput = \"", path, "\"\n"].concat();
            aria += &[&url, "\n  out=", path, "\n"].concat();
            let blob = blobs.join(&content.hashes().sha256);
            if blob.exists() {
                std::fs::hard_link(blob, directory.join(path)).map_err(trouble)?;
            }
        }
        let cache = serde_json::json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "bench"},
            "spec": {
                "volumes": [{"name": "models", "shared": {"size": "100Gi"}}],
                "sources": [{"name": name, "huggingFace": {"repo": format!("bench/{name}"), "endpoint": self.hub.url}}]
            }
        });
        for (ending, text) in [("curl", curl), ("aria2", aria), ("yaml", cache.to_string())] {
            std::fs::write(self.lists.join(format!("{name}.{ending}")), text).map_err(trouble)?;
        }
        let repo = Repo::new(Kind::Models, &format!("bench/{name}"), files);
        self.hub.state.lock().repos.insert((repo.kind, repo.id.clone()), repo);
        Ok(())
    }
}

fn write(content: &Content, path: &Path) -> std::io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut at = 0;
    while at < content.size() {
        let piece = content.piece(at, content.size());
        file.write_all(&piece)?;
        at += piece.len() as u64;
    }
    file.flush()
}
