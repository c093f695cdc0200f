//! Which files of a hub repository does a family of programs read?
//!
//! A preset only leaves out. What it does not know stays: a file too many costs disk, a file too few costs the model. Weights
//! in an older format are left out only where the same weights lie beside them as safetensors.

use super::fnmatch::matches;
use crate::api::source::Preset;
use std::collections::BTreeSet;

/// What `faster-whisper` asks for (`download_model` in `faster_whisper/utils.py` 1.2.1).
const FASTER_WHISPER: [&str; 5] =
    ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"];

/// Endings of weights that no PyTorch program reads, in lower case.
const FOREIGN_ENDINGS: [&str; 22] = [
    ".onnx",
    ".onnx_data",
    ".onnx.data",
    ".ort",
    ".msgpack",
    ".h5",
    ".ot",
    ".tflite",
    ".litertlm",
    ".task",
    ".pb",
    ".gguf",
    ".ggml",
    ".llamafile",
    ".mlmodel",
    ".nemo",
    ".mnn",
    ".rknn",
    ".engine",
    ".plan",
    ".pte",
    ".keras",
];

/// Directories of other programs' weights, anywhere in a path.
const FOREIGN_DIRECTORIES: [&str; 7] = ["onnx", "openvino", "coreml", "gguf", "tflite", "saved_model", "tensorrt"];

/// Starts of names of other programs' weights.
const FOREIGN_STARTS: [&str; 5] = ["tf_model", "flax_model", "openvino_", "ggml-", "rust_model"];

/// What a vendor publishes beside the weights in the form of its own code, at the top of a repository.
const VENDOR_DIRECTORIES: [&str; 2] = ["original", "metal"];

/// What training leaves behind.
const TRAINING: [&str; 6] =
    ["optimizer.pt", "optimizer.bin", "scheduler.pt", "scheduler.bin", "training_args.bin", "rng_state*.pth"];

/// Endings of PyTorch's own formats.
const PICKLES: [&str; 4] = [".bin", ".pt", ".pth", ".ckpt"];

/// The files are no model of that family.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`preset: {preset:?}` leaves no weights: what is there, such as {example}, is of another format; leave `preset` out, or \
     name a repository that has them"
)]
pub struct NoWeights {
    preset: Preset,
    example: String,
}

/// The paths that the family reads, of these: a repository's, as far as `include` and `exclude` leave them.
///
/// # Errors
/// When there are weights, and none of them would be left.
pub fn choose<'a>(preset: Preset, paths: &[&'a str]) -> Result<BTreeSet<&'a str>, NoWeights> {
    let chosen: BTreeSet<&str> = if preset == Preset::FasterWhisper {
        let wanted = |path: &&str| FASTER_WHISPER.iter().any(|pattern| matches(pattern, path));
        paths.iter().copied().filter(wanted).collect()
    } else {
        let own = Own::of(preset, paths);
        paths.iter().copied().filter(|path| own.reads(path)).collect()
    };
    let weights = |path: &&str| is_own(path) || is_foreign(path);
    match paths.iter().copied().find(weights) {
        Some(example) if !chosen.iter().any(|path| is_own(path)) => {
            Err(NoWeights { preset, example: example.to_owned() })
        }
        _ => Ok(chosen),
    }
}

/// What decides over a repository's files beside their own names.
struct Own<'a> {
    preset: Preset,
    /// Safetensors, as directory and [`stem`].
    safetensors: BTreeSet<(&'a str, String)>,
    /// There is a pipeline whose components lie in directories.
    pipeline: bool,
    /// There are weights in the form of the vendor's code, and others too.
    vendor_is_double: bool,
}

impl<'a> Own<'a> {
    fn of(preset: Preset, paths: &[&'a str]) -> Self {
        let usable = paths.iter().filter(|path| !is_vendor(path) && !is_foreign(path));
        let safetensors = usable.clone().filter(|path| ends(path, ".safetensors"));
        Self {
            preset,
            safetensors: safetensors.map(|path| (directory(path), stem(name(path)))).collect(),
            pipeline: preset == Preset::Diffusers && paths.contains(&"model_index.json"),
            vendor_is_double: usable.clone().any(|path| is_own(path)),
        }
    }

    fn reads(&self, path: &str) -> bool {
        let dropped = is_foreign(path)
            || is_training(path)
            || (self.vendor_is_double && is_vendor(path))
            || self.is_older(path)
            || (self.pipeline && is_own(path) && directory(path).is_empty() && !is_lora(path));
        !dropped
    }

    /// The same weights are there as safetensors. The index of such weights goes with them.
    fn is_older(&self, path: &str) -> bool {
        let file = name(path).strip_suffix(".index.json").unwrap_or(name(path));
        if !PICKLES.iter().any(|ending| ends(file, ending)) {
            return false;
        }
        // vLLM takes the first of its patterns that matches a file at the top, and `*.safetensors` is the first one
        // (`_prepare_weights` in `vllm/model_executor/model_loader/default_loader.py` 0.33).
        let vllm = self.preset == Preset::VLLM && directory(path).is_empty();
        (vllm && self.safetensors.iter().any(|(directory, stem)| directory.is_empty() && stem.starts_with("model")))
            || self.safetensors.contains(&(directory(path), stem(file)))
    }
}

/// What weights are called apart from format, shard and the prefix of older days: `pytorch_model-00001-of-00002.bin` and
/// `model.safetensors` are both `model`; a variant such as `.fp16` stays.
fn stem(file: &str) -> String {
    let base = file.rsplit_once('.').map_or(file, |(base, _)| base);
    let base = base.strip_prefix("pytorch_").filter(|rest| rest.starts_with("model")).unwrap_or(base);
    let Some((before, after)) = base.split_once("-of-") else { return base.to_owned() };
    let total = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let shard = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    match before.get(..before.len() - shard).and_then(|it| it.strip_suffix('-')) {
        Some(before) if total > 0 && shard > 0 => format!("{before}{}", after.get(total..).unwrap_or_default()),
        _ => base.to_owned(),
    }
}

/// Weights in a format that PyTorch programs read.
fn is_own(path: &str) -> bool {
    !is_foreign(path)
        && !is_training(path)
        && (ends(path, ".safetensors") || PICKLES.iter().any(|ending| ends(path, ending)))
}

fn is_foreign(path: &str) -> bool {
    let bundle = |part: &str| ends(part, ".mlpackage") || ends(part, ".mlmodelc");
    let mut directories = directory(path).split('/');
    FOREIGN_ENDINGS.iter().any(|ending| ends(path, ending))
        || FOREIGN_STARTS.iter().any(|start| name(path).starts_with(start))
        || directories.any(|part| bundle(part) || FOREIGN_DIRECTORIES.contains(&part))
}

fn is_vendor(path: &str) -> bool {
    let top = path.split('/').next().unwrap_or_default();
    (top != path && VENDOR_DIRECTORIES.contains(&top)) || (top == path && path.starts_with("consolidated"))
}

fn is_training(path: &str) -> bool {
    TRAINING.iter().any(|pattern| matches(pattern, name(path)))
}

/// The name that `load_lora_weights` of diffusers looks for by itself.
fn is_lora(path: &str) -> bool {
    path == "pytorch_lora_weights.safetensors"
}

fn ends(text: &str, ending: &str) -> bool {
    let start = text.len().checked_sub(ending.len());
    start.and_then(|start| text.get(start..)).is_some_and(|tail| tail.eq_ignore_ascii_case(ending))
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

#[cfg(test)]
#[path = "preset_tests.rs"]
mod tests;
