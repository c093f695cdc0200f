//! Is a listed file an archive, and which of its content is wanted?

use crate::api::source::ArchiveFormat;
use serde::{Deserialize, Serialize};

/// How an archive becomes a tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unpack {
    /// What it is.
    pub format: ArchiveFormat,
    /// Everything in it lies in one directory whose name nobody can know before: that directory is dropped first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop_top: bool,
    /// The directory in it whose content is wanted, without a slash at its end; the directory itself is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
}

impl Unpack {
    /// All that is in it, as it is.
    pub fn whole(format: ArchiveFormat) -> Self {
        Self { format, drop_top: false, only: None }
    }
}
