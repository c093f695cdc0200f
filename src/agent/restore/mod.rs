//! Puts what was backed up onto volumes: verified, then switched at once, and taken back when that was wrong.
//!
//! ```text
//! location (which repository) ─► which (which snapshot) ─► volume: choice ─► bytes ─► fill ─► stage ─► own_state
//!      ─► journal ─► switch ─► origin (what has no bytes in the backup)      rollback: the same journal, backwards
//! ```
//!
//! # Guarantees
//!
//! - Nothing in place is touched before everything wanted is aside, proven by its hash, and on the disk.
//! - Killed at any moment, the volume has no `current` until it is whole; the next run goes on where this one was.
//! - What was there is kept, and put back by a rollback, until its time is over.
//! - Files that a snapshot does not have are left alone.

pub mod archive;
pub mod bytes;
pub mod choice;
pub mod fill;
pub mod journal;
pub mod location;
pub mod origin;
mod own_archive;
pub mod own_state;
pub mod rollback;
pub mod room;
pub mod stage;
pub mod switch;
pub mod volume;
pub mod which;
