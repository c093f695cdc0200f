//! The agent as its users run it: the built binary, on real directories, against a hub that speaks the real protocol.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of it is test code; the lint knows only marked functions")]

#[path = "../support/hub/mod.rs"]
mod hub;
#[path = "../support/registry/mod.rs"]
mod registry;

mod bench;

mod anew;
mod artifacts;
mod civitai;
mod claims;
mod disk;
mod env;
mod expiry;
mod hostile;
mod inspect;
mod interrupted;
mod killed;
mod large;
mod logins;
mod materialize;
mod network;
mod nltk;
mod others;
mod pip;
mod pod;
mod pool;
mod presets;
mod refusals;
mod revisions;
mod secrecy;
mod side_by_side;
mod spacy;
mod torch_hub;
mod unpacked;
mod warm;
mod whisper;
