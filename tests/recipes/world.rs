//! A machine as a reader of the pages has it: an empty directory, our binary, and a hub.

use crate::hub::Hub;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The user of the image.
pub const USER: u32 = 65532;

pub struct World {
    pub hub: Hub,
    directory: tempfile::TempDir,
}

impl World {
    /// With the repositories that the pages name, as small ones.
    pub fn new() -> Self {
        let hub = Hub::start();
        for repo in [
            "Efficient-Large-Model/Sana_Sprint_0.6B_1024px_diffusers=model_index.json:200,transformer/config.json:90,\
             transformer/diffusion_pytorch_model.safetensors:300Ki,extra.onnx:10Ki",
            "ezb/NSFW-Prompt-Detector=config.json:90,model.safetensors:60Ki,tokenizer.json:40",
            "stable-diffusion-v1-5/stable-diffusion-v1-5=model_index.json:200,unet/config.json:90,\
             unet/diffusion_pytorch_model.safetensors:200Ki,unet/diffusion_pytorch_model.bin:200Ki,v1-5-pruned.ckpt:200Ki",
            "Systran/faster-whisper-small=config.json:90,model.bin:90Ki,tokenizer.json:50,vocabulary.txt:40,README.md:9",
            "stabilityai/stable-diffusion-xl-base-1.0=model_index.json:200,unet/config.json:90,\
             unet/diffusion_pytorch_model.safetensors:200Ki,sd_xl_base_1.0.safetensors:200Ki",
            "openai-community/gpt2=config.json:90,model.safetensors:90Ki,tokenizer.json:40",
        ] {
            hub.repo(repo);
        }
        Self { hub, directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file, and its directories.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Makes a file look as if it was last written to so many days ago.
    pub fn age(&self, name: &str, days: u64) {
        let time = SystemTime::now() - Duration::from_secs(days * 86400);
        let file = std::fs::File::options().write(true).open(self.path(name)).unwrap();
        file.set_modified(time).unwrap();
    }

    pub fn there(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The paths below a directory, sorted, without what is ours.
    pub fn below(&self, name: &str) -> Vec<String> {
        let mut found = vec![];
        walk(&self.path(name), &self.path(name), &mut found);
        found.sort();
        found
    }

    /// The snapshot of a repository on a volume.
    pub fn snapshot(&self, home: &str, repo: &str) -> PathBuf {
        let repo = self.path(home).join("hub").join(format!("models--{}", repo.replace('/', "--")));
        let commit = std::fs::read_to_string(repo.join("refs/main"))
            .unwrap_or_else(|error| panic!("{}: {error}", repo.display()));
        repo.join("snapshots").join(commit)
    }
}

fn walk(root: &Path, directory: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        if name.starts_with(".modelcache") {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            walk(root, &path, found);
        } else {
            found.push(name);
        }
    }
}
