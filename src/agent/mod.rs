//! The data plane: what the Jobs run, and what the same binary does without a cluster.
//!
//! ```text
//! source (spec ──► list of files) ──► fetch (bytes, verified) ──► layout (where they go, for whom)
//!                         └──────────── command (one file per subcommand) ────────────┘
//! ```

pub mod command;
pub mod directory;
pub mod failure;
pub mod fetch;
pub mod inspect;
pub mod layout;
pub mod local;
pub mod materialize;
pub mod prefetch;
pub mod source;
pub mod verify;
pub mod wait;
