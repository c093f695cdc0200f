//! How far is a running agent? JSON at `GET /progress` of its pod.

use super::{ContractError, VERSION, read};
use serde::{Deserialize, Serialize};

/// Port that the agent serves `/progress` and `/metrics` on.
pub const PORT: u16 = 8080;

/// How far a warm-up is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Version of the document.
    pub version: u32,
    /// Files on the volume.
    pub files_done: u64,
    /// Files wanted; nothing before the listing is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_total: Option<u64>,
    /// Bytes on the volume, those of earlier runs included.
    pub bytes_done: u64,
    /// Bytes wanted; nothing before the listing is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
    /// Bytes that came over the network in this run.
    pub bytes_fetched: u64,
    /// Bytes per second over the last few seconds.
    pub bytes_per_second: u64,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            version: VERSION,
            files_done: 0,
            files_total: None,
            bytes_done: 0,
            bytes_total: None,
            bytes_fetched: 0,
            bytes_per_second: 0,
        }
    }
}

impl Progress {
    /// Reads a progress document.
    pub fn parse(text: &str) -> Result<Self, ContractError> {
        read("the progress", text)
    }
}
