//! The download engine against a server that misbehaves, a disk that is full, and a power switch.

// All of it is test code; the lint knows only functions that are marked as tests.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/origin.rs"]
mod origin;

mod adversary;
mod kill;
mod limits;
mod many;
mod measure;
mod pace;
mod pool;
mod volume;
mod writers;
