//! Promises kept on real nodes: real API server, kubelets, containerd, disks, pods; only the hub is ours.
//!
//! `cargo test --test nodes -- [WORDS…] [--keep]` runs the scenarios whose names contain all the words. Needs root and the
//! image archive (`make image`). The cluster is started once, and removed at the end whatever happened; with `--keep` it
//! stays, and the next run with `--keep` takes it up.

#![allow(
    clippy::cast_precision_loss,
    clippy::unused_self,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::similar_names,
    reason = "a failed test panics, and the runner prints; `build` is what was `built`"
)]

#[path = "../support/hub/mod.rs"]
mod hub;
#[path = "../support/minio/mod.rs"]
#[allow(dead_code, reason = "shared with other tests, each uses a part of it")]
mod minio;

#[path = "../support/helm/mod.rs"]
#[allow(dead_code, reason = "shared with other tests, each uses a part of it")]
mod helm;

#[path = "../support/registry/program.rs"]
mod program;
#[path = "../support/gitops.rs"]
mod tools;

mod backup;
mod cleanup;
mod commands;
mod conflicts;
mod deletion;
mod failures;
mod gitops;
mod idle;
mod install;
mod labels;
mod manifests;
mod membership;
mod missing;
mod plugin;
mod pods;
mod reader;
mod records;
mod requests;
mod restarts;
mod resume;
mod revisions;
mod rights;
mod runner;
mod sample;
mod schedule;
mod shared;
mod wait;
mod warm;
mod world;

fn main() -> std::process::ExitCode {
    let scenarios = [
        warm::scenarios(),
        pods::scenarios(),
        plugin::scenarios(),
        requests::scenarios(),
        gitops::scenarios(),
        shared::scenarios(),
        resume::scenarios(),
        failures::scenarios(),
        revisions::scenarios(),
        conflicts::scenarios(),
        deletion::scenarios(),
        membership::scenarios(),
        labels::scenarios(),
        restarts::scenarios(),
        schedule::scenarios(),
        cleanup::scenarios(),
        backup::scenarios(),
        missing::scenarios(),
        install::scenarios(),
        idle::scenarios(),
    ];
    runner::run(scenarios.into_iter().flatten().collect())
}
