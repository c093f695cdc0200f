//! What kind of archive is a file whose content is wanted?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an archive is. It is unpacked when all of it has arrived; its names, links and sizes are not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ArchiveFormat {
    /// A zip file, as Python wheels are too.
    Zip,
    /// A tar file.
    Tar,
    /// A tar file, compressed with gzip.
    TarGz,
    /// A tar file, compressed with Zstandard.
    TarZst,
}

impl ArchiveFormat {
    /// A file's name without the ending that archives of this format have.
    pub fn stem(self, name: &str) -> &str {
        let endings: &[&str] = match self {
            Self::Zip => &[".zip", ".whl"],
            Self::Tar => &[".tar"],
            Self::TarGz => &[".tar.gz", ".tgz"],
            Self::TarZst => &[".tar.zst", ".tzst"],
        };
        endings.iter().find_map(|it| name.strip_suffix(it)).unwrap_or(name)
    }
}
