//! All that passes between controller and agent, and nothing else: plan, outcome, progress, exit codes, mount points.
//!
//! Versioned. A document of an unknown version is refused with a message that names both versions.

pub mod deeds;
pub mod exit_code;
pub mod mount;
pub mod outcome;
mod packed;
pub mod plan;
pub mod progress;

/// Version of every document here.
pub const VERSION: u32 = 1;

/// A document that this binary cannot read.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// Written by another version of the operator.
    #[error(
        "{what} has version {found}; this binary reads version {VERSION}: operator and agent must come from one image"
    )]
    Version {
        /// The document.
        what: &'static str,
        /// Its version.
        found: u32,
    },
    /// Not JSON, or not of the expected shape.
    #[error("{what} cannot be read: {source}")]
    Shape {
        /// The document.
        what: &'static str,
        /// Where and why.
        source: serde_json::Error,
    },
}

#[derive(serde::Deserialize)]
struct Versioned {
    version: u32,
}

/// Reads a document after its version was checked, so that a newer shape is a clear error.
fn read<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, ContractError> {
    let Versioned { version } = serde_json::from_str(text).map_err(|source| ContractError::Shape { what, source })?;
    if version != VERSION {
        return Err(ContractError::Version { what, found: version });
    }
    serde_json::from_str(text).map_err(|source| ContractError::Shape { what, source })
}
