//! Which commands are there, and which flags do all of them take?

use super::complete::{backups as backup_names, caches as cache_names, contexts, namespaces};
use super::error::Error;
use super::session::Session;
use super::{
    backup, backups, clean, completion, describe, du, env, get, install, logs, nodes, report, request, reset, restore,
    status, suspend, version, wait,
};
use crate::api::request::Deed;
use crate::contract::exit_code;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;
use std::process::ExitCode;

/// Looks after the ModelCaches of a cluster.
#[derive(Parser, Debug)]
#[command(name = "modelcache", bin_name = "kubectl modelcache", version, after_help = EXIT_CODES)]
pub struct Plugin {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 2 command line or kubeconfig; 10 not allowed; 12 no such object; 21 API server unreachable; 51 not in time;
`wait` and `--wait` end with the code of the reason when what is waited for has failed; 1 anything else.";

/// Flags of every command.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Namespace. [default: that of the context]
    #[arg(short, long, global = true, value_name = "NAME", add = ArgValueCandidates::new(namespaces))]
    pub namespace: Option<String>,

    /// Every namespace.
    #[arg(short = 'A', long, global = true, conflicts_with = "namespace")]
    pub all_namespaces: bool,

    /// How results are printed. [default: a table]
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,

    /// Context of the kubeconfig. [default: the current one]
    #[arg(long, global = true, value_name = "NAME", add = ArgValueCandidates::new(contexts))]
    pub context: Option<String>,

    /// The kubeconfig. [default: $KUBECONFIG, then ~/.kube/config]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// When to use colours. NO_COLOR, set to anything, means never, unless this says something.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    pub color: When,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table.
    #[default]
    #[value(skip)]
    Table,
    /// A table with more columns.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Names, a line each, as `kubectl` takes them.
    Name,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    Auto,
    /// Also into a pipe.
    Always,
    /// Not at all.
    Never,
}

/// Caches by name.
#[derive(Args, Clone, Debug)]
pub struct Names {
    /// Names of ModelCaches. [default: all]
    #[arg(value_name = "CACHE", add = ArgValueCandidates::new(cache_names))]
    pub names: Vec<String>,
}

/// Caches that something is asked of: which ones is said, one way or the other.
#[derive(Args, Clone, Debug)]
pub struct Chosen {
    /// Names of ModelCaches.
    #[arg(value_name = "CACHE", required_unless_present = "all", add = ArgValueCandidates::new(cache_names))]
    pub names: Vec<String>,

    /// All caches of the namespace.
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
}

/// One cache.
#[derive(Args, Clone, Debug)]
pub struct Name {
    /// Name of a ModelCache.
    #[arg(value_name = "CACHE", add = ArgValueCandidates::new(cache_names))]
    pub name: String,
}

/// A backup, where one is named.
#[derive(Args, Clone, Debug)]
pub struct BackupName {
    /// Name of a ModelCacheBackup. [default: the newest backup at the destination]
    #[arg(long = "backup", value_name = "NAME", add = ArgValueCandidates::new(backup_names))]
    pub backup: Option<String>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Say how far caches are: nodes, percent, rate, time left, problems.
    #[command(after_help = "\
Examples:
  kubectl modelcache status
  kubectl modelcache status image-studio --watch     # bars, until everything is ready
  kubectl modelcache status -A -o json")]
    Status(status::Status),

    /// List caches.
    #[command(after_help = "\
Examples:
  kubectl modelcache get -A -o wide
  kubectl modelcache get image-studio -o yaml")]
    Get(get::Get),

    /// Say everything that is known of a cache.
    Describe(describe::Describe),

    /// Say what each node holds.
    #[command(after_help = "\
Examples:
  kubectl modelcache nodes image-studio -o wide")]
    Nodes(nodes::Nodes),

    /// Print what a pod's spec needs to use a cache, or the environment alone.
    #[command(after_help = "\
Examples:
  kubectl modelcache env image-studio                      # for the spec of a pod
  kubectl modelcache env image-studio --format dotenv")]
    Env(env::Env),

    /// Wait until caches are ready, or say why they will not be.
    #[command(after_help = "\
Examples:
  kubectl modelcache wait image-studio --timeout 2h
  kubectl modelcache wait image-studio --for=backed-up")]
    Wait(wait::Wait),

    /// Try again at once what failed, and ask origins that are asked on schedule.
    #[command(after_help = "\
Examples:
  kubectl modelcache warm image-studio --wait
  kubectl modelcache warm image-studio --node gpu-1 --node gpu-2")]
    Warm(request::Request),

    /// Hash every file of every copy now. What is damaged is fetched again.
    #[command(after_help = "\
Examples:
  kubectl modelcache verify image-studio --wait
  kubectl modelcache verify image-studio --node gpu-1")]
    Verify(request::Request),

    /// Carry out the rules of the clean-up now, or say what they would do.
    #[command(after_help = "\
Examples:
  kubectl modelcache clean image-studio --dry-run             # what would go, why, and how many bytes
  kubectl modelcache clean image-studio --volume logs --wait")]
    Clean(clean::Clean),

    /// Remove what a cache has put on its volumes, and fetch it anew. Backups, and files of your own, stay.
    #[command(after_help = "\
Examples:
  kubectl modelcache reset image-studio --node gpu-1 --wait
  kubectl modelcache reset image-studio --yes                 # in a script")]
    Reset(reset::Reset),

    /// Back a cache up now.
    #[command(after_help = "\
Examples:
  kubectl modelcache backup image-studio --wait
  kubectl modelcache backup image-studio --volume assets --pin")]
    Backup(backup::Backup),

    /// List backups.
    Backups(backups::Backups),

    /// Put a backup back. Everything is proven before anything is replaced.
    #[command(after_help = "\
Examples:
  kubectl modelcache restore image-studio --wait                  # the newest
  kubectl modelcache restore image-studio --backup before-the-move
  kubectl modelcache restore image-studio --as-of 2026-11-20T18:00:00Z --include 'images/*'
  kubectl modelcache restore image-studio --to-claim scratch --path restored")]
    Restore(restore::Restore),

    /// Say what takes the space: by source, by volume and by node.
    Du(du::Du),

    /// Print what all Jobs of a cache say, each line with its node.
    #[command(after_help = "\
Examples:
  kubectl modelcache logs image-studio --follow
  kubectl modelcache logs image-studio --job warm-up --node gpu-1 --tail 20")]
    Logs(logs::Logs),

    /// Start nothing new for caches. What runs is left to finish.
    Suspend(suspend::Suspend),

    /// Let the work on caches go on.
    Resume(suspend::Resume),

    /// Gather what helps to find a fault into a .tar.gz without secrets.
    Report(report::Report),

    /// Print the manifests that install the operator.
    #[command(after_help = "\
Examples:
  kubectl modelcache install --image registry.example.com/modelcache:0.1.0 | kubectl apply --server-side -f -
  kubectl modelcache install --image registry.example.com/modelcache@sha256:… > modelcache.yaml")]
    Install(install::Install),

    /// Print the version of this program, and of the operator.
    Version(version::Version),

    /// Print what makes Tab complete commands, flags and names of objects.
    #[command(after_help = completion::HELP)]
    Completion(completion::Completion),
}

/// What a command prints besides text for people. What it does not have is refused: a script that asks for JSON must not get a table.
const fn formats(command: &Command) -> &'static [Format] {
    use Format::{Json, Name, Wide, Yaml};
    match command {
        Command::Status(_) | Command::Get(_) | Command::Nodes(_) | Command::Backups(_) => &[Wide, Json, Yaml, Name],
        Command::Clean(_) | Command::Backup(_) | Command::Restore(_) => &[Json, Yaml, Name],
        Command::Describe(_) | Command::Du(_) | Command::Version(_) => &[Json, Yaml],
        Command::Env(_) => &[Json],
        Command::Wait(_)
        | Command::Warm(_)
        | Command::Verify(_)
        | Command::Reset(_)
        | Command::Logs(_)
        | Command::Suspend(_)
        | Command::Resume(_)
        | Command::Report(_)
        | Command::Install(_)
        | Command::Completion(_) => &[],
    }
}

fn no_such_format(asked: Format, there: &[Format]) -> String {
    let name = |it: &Format| it.to_possible_value().map(|it| it.get_name().to_owned()).unwrap_or_default();
    let names: Vec<String> = there.iter().map(name).collect();
    let instead = if names.is_empty() { "leave out --output".into() } else { format!("it has {}", names.join(", ")) };
    format!("this command has no output `{}`: {instead}", name(&asked))
}

impl Plugin {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        match dispatch(self.command, &self.global).await {
            Ok(()) => ExitCode::SUCCESS,
            // Nobody reads on: `kubectl modelcache logs … | head` is no failure.
            Err(Error::Io { error, .. }) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                ExitCode::from(exit_code::SUCCESS)
            }
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::from(error.exit_code())
            }
        }
    }
}

async fn dispatch(command: Command, global: &Global) -> Result<(), Error> {
    if let Some(asked) = global.output.filter(|it| !formats(&command).contains(it)) {
        return Err(Error::Usage(no_such_format(asked, formats(&command))));
    }
    // These work without a cluster.
    match &command {
        Command::Completion(it) => return it.run(),
        Command::Install(it) => return it.run(global),
        Command::Version(it) => return it.run(global).await,
        _ => {}
    }
    let session = Session::connect(global).await?;
    match command {
        Command::Status(it) => it.run(&session).await,
        Command::Get(it) => it.run(&session).await,
        Command::Describe(it) => it.run(&session).await,
        Command::Nodes(it) => it.run(&session).await,
        Command::Env(it) => it.run(&session).await,
        Command::Wait(it) => it.run(&session).await,
        Command::Warm(it) => it.run(Deed::Warm, &session).await,
        Command::Verify(it) => it.run(Deed::Verify, &session).await,
        Command::Clean(it) => it.run(&session).await,
        Command::Reset(it) => it.run(&session).await,
        Command::Backup(it) => it.run(&session).await,
        Command::Backups(it) => it.run(&session).await,
        Command::Restore(it) => it.run(&session).await,
        Command::Du(it) => it.run(&session).await,
        Command::Logs(it) => it.run(&session).await,
        Command::Suspend(it) => it.run(&session).await,
        Command::Resume(it) => it.run(&session).await,
        Command::Report(it) => it.run(&session).await,
        Command::Completion(_) | Command::Install(_) | Command::Version(_) => Ok(()),
    }
}
