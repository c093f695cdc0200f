//! How does what is on the volumes survive the volumes?
//!
//! ```text
//! repository (where it is kept: names, marker, snapshots, lists) ◄── run (walk ──► compare ──► read and send ──► list ──► snapshot)
//! ```

pub mod access;
pub mod repository;
