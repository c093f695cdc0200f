//! `prepare-directory` and `purge-directory`: the directory of a per-node volume, on the node's own disk.

use super::options::Say;
use super::output::Done;
use crate::agent::directory::{Prepare, prepare, purge};
use crate::agent::failure::Failure;
use crate::api::Reason;
use crate::api::quantity::human;
use crate::contract::mount;
use crate::contract::outcome::{Evidence, Outcome};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which directory.
#[derive(Args, Debug)]
struct Leaf {
    /// The pool's directory.
    #[arg(long, value_name = "DIR", default_value = mount::POOL)]
    root: PathBuf,

    /// Name of the directory in it: `<namespace uid>_<cache>_<volume>`.
    #[arg(long, value_name = "NAME")]
    name: String,
}

/// Options of `prepare-directory`.
#[derive(Args, Debug)]
pub struct PrepareDirectory {
    #[command(flatten)]
    leaf: Leaf,

    /// Owner of the directory.
    #[arg(long)]
    uid: u32,

    /// Group of the directory.
    #[arg(long)]
    gid: u32,

    /// The pool may lie on the kubelet's own file system.
    #[arg(long)]
    allow_root_filesystem: bool,

    /// A directory on the kubelet's own file system, to compare with.
    #[arg(long, value_name = "DIR", default_value = mount::KUBELET)]
    kubelet_directory: PathBuf,

    #[command(flatten)]
    say: Say,
}

/// Options of `purge-directory`.
#[derive(Args, Debug)]
pub struct PurgeDirectory {
    #[command(flatten)]
    leaf: Leaf,
    #[command(flatten)]
    say: Say,
}

impl PrepareDirectory {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        let Self { leaf: Leaf { root, name }, uid, gid, allow_root_filesystem, kubelet_directory, say } = self;
        let kubelet = (!allow_root_filesystem).then_some(kubelet_directory.as_path());
        let prepared = prepare(&Prepare { root: &root, name: &name, uid, gid, kubelet });
        let done = prepared.map(|free| format!("{name} is there for user {uid}; its disk has {} left", human(free)));
        finish(&say, &name, done)
    }
}

impl PurgeDirectory {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        let Self { leaf: Leaf { root, name }, say } = self;
        let done = purge(&root, &name);
        let done = done.map(|was| if was { format!("{name} is removed") } else { format!("{name} was not there") });
        finish(&say, &name, done)
    }
}

/// The evidence of a directory is its name: there is nothing in it yet, or any more.
fn finish(say: &Say, name: &str, done: Result<String, Failure>) -> ExitCode {
    let outcome = match done {
        Ok(message) => {
            let plan = name.to_owned();
            let evidence = Evidence { plan, ..Evidence::default() };
            Outcome { evidence: Some(evidence), ..Outcome::success(Reason::Provisioned, message) }
        }
        Err(failure) => Outcome::failure(failure.reason, failure.message),
    };
    say.leave(&outcome);
    say.output().finish(&[Done::of(outcome)])
}
