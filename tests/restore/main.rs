//! Restore and prune as their users run them: the built binary, on real directories, from real repositories.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of it is test code; the lint knows only marked functions")]

#[path = "../support/hub/mod.rs"]
mod hub;
#[path = "../support/killing.rs"]
mod killing;
#[path = "../support/memory.rs"]
mod memory;

mod ground;

mod archives;
mod damage;
mod inputs;
mod killed;
mod models;
mod nodes;
mod prune;
mod room;
mod whole;
