//! The data plane: what the Jobs run, and what the same binary does without a cluster.
//!
//! ```text
//! source (spec ──► list of files) ──► fetch (bytes, verified) ──► unpack (archives) ──► layout (where they go, for whom)
//!     └────────────────── prefetch holds them together; command is one file per subcommand ──────────────────┘
//! what is there: verify (and mend), inspect (ls, du), materialize, wait; what need not be there: clean
//! ```

pub mod backup;
pub mod clean;
pub mod command;
pub mod directory;
pub mod failure;
pub mod fetch;
pub mod inspect;
pub mod layout;
pub mod local;
pub mod materialize;
pub mod prefetch;
pub mod restore;
pub mod sha256;
pub mod source;
pub mod unpack;
pub mod verify;
pub mod wait;
pub mod write_behind;
