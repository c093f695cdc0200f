//! How does what is on the volumes survive the volumes?
//!
//! ```text
//! repository (where it is kept: names, marker, snapshots, lists) ◄── run (walk ──► compare ──► read and send ──► list ──► snapshot)
//!            ◄── prune (retention: which snapshots stay ──► mark ──► sweep)      ◄── check (is a snapshot whole)
//! ```

pub mod access;
pub mod archive;
pub mod asked;
pub mod check;
pub mod decide;
pub mod dry;
pub mod guard;
pub mod known;
pub mod lines;
pub mod manifests;
pub mod origin;
pub mod owned;
pub mod pack;
mod packed;
pub mod prune;
pub mod repository;
pub mod retention;
pub mod retention_why;
pub mod run;
pub mod send;
pub mod stable;
pub mod volume;
pub mod walk;
