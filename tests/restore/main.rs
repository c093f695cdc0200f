//! Restore and prune as their users run them: the built binary, on real directories, from real repositories.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of it is test code; the lint knows only marked functions")]

#[path = "../support/hub/mod.rs"]
mod hub;
#[path = "../support/memory.rs"]
mod memory;

mod ground;

mod archives;
mod damage;
mod killed;
mod models;
mod nodes;
mod prune;
mod whole;
