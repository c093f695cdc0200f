//! When is a log started anew, and what becomes of the old one?

use super::super::duration::duration_schema;
use super::super::quantity::size_schema;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rotation of logs. A rotated file is called `<log>.<YYYYmmddTHHMMSSZ>`, with `.zst` once it is compressed; none is ever
/// overwritten. Logs that have a second name (a hard link) are refused, and empty ones left alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.maxSize) || has(self.maxAge)")
    .message("at least one of `maxSize` and `maxAge` must say when a log is rotated"))]
pub struct RotateRule {
    /// A log of at least this size is rotated, as a quantity of bytes such as `100Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "size_schema")]
    pub max_size: Option<Quantity>,

    /// A log that was last rotated this long ago, or begun when it never was, is rotated, such as `1d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    pub max_age: Option<String>,

    /// Rotated files of each log that stay: the newest ones. All of them when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub keep: Option<u16>,

    /// How rotated files are compressed: `Zstd` or `None`. The original goes once the compressed file was read back and is
    /// equal to it. `None` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Compression")]
    pub compress: Option<Compression>,

    /// Leave the newest rotated file of each log as it is until the next rotation: a program that has it open still writes
    /// to it. Without it a file is compressed once it was quiet for a minute. `true` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_compress: Option<bool>,

    /// `Rename`: the log gets another name, and a new empty one with its mode and owner takes its place. A program that
    /// keeps the log open goes on writing to the renamed file until it opens the log again. `CopyTruncate`: the log is
    /// copied and then emptied, for programs that never open it again: lines that are written between the two are lost, and
    /// a program that does not append leaves a hole of zeros. `Rename` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RotateMethod")]
    pub method: Option<RotateMethod>,
}

/// How rotated files are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Compression {
    /// Zstandard: `zstdcat` and `zstdgrep` read them.
    Zstd,
    /// Not at all.
    #[default]
    None,
}

/// How a log is started anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RotateMethod {
    /// By another name. Loses nothing.
    #[default]
    Rename,
    /// By a copy and a cut. Loses what is written between the two.
    CopyTruncate,
}

impl RotateRule {
    /// The compression in effect.
    pub fn effective_compress(&self) -> Compression {
        self.compress.unwrap_or_default()
    }

    /// Whether the newest rotated file stays as it is.
    pub fn effective_delay_compress(&self) -> bool {
        self.delay_compress.unwrap_or(true)
    }

    /// The method in effect.
    pub fn effective_method(&self) -> RotateMethod {
        self.method.unwrap_or_default()
    }
}
