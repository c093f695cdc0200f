//! The agent's subcommands: one file each, with its options beside what it does.
//!
//! What works on volumes has two modes. In its pod it reads what the operator mounted and writes its outcome as the termination
//! message. With `-f cache.yaml` it needs no cluster: `--volumes-dir DIR` has a directory for each volume.

pub mod backup;
pub mod clean;
pub mod crds;
pub mod directory;
pub mod du;
pub mod env;
pub mod look_at;
pub mod ls;
pub mod materialize;
pub mod options;
pub mod output;
pub mod prefetch;
pub mod prune;
pub mod repository;
pub mod resolve;
pub mod restore;
pub mod restore_trash;
pub mod seed;
pub mod serve;
pub mod snapshots;
pub mod table;
pub mod verify;
pub mod wait;
