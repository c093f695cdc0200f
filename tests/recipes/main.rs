//! Does what the recipes, the Compose sample and the lines of `docker run` say really happen? The commands are taken out of the
//! pages, and run: the built binary, real directories, a hub that speaks the real protocol.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of it is test code; the lint knows only marked functions")]

#[path = "../support/hub/mod.rs"]
#[allow(dead_code, reason = "shared with other tests, each uses a part of it")]
mod hub;
#[path = "../documentation/pages.rs"]
#[allow(dead_code, reason = "as above")]
mod pages;
#[path = "../support/registry/program.rs"]
#[allow(clippy::pedantic, reason = "as where it comes from")]
mod program;

mod compose;
mod container;
mod docker_run;
mod shell;
mod wheel;
mod world;

mod all_in_one;
mod dev_cache;
mod dgenerate;
mod image_builds;
mod image_generator;
mod quick_start;
