//! Which commands are there? Parsing and dispatch; what each does is beside its options in `agent/command`.

use clap::{Parser, Subcommand};
use modelcache::agent::command::backup::Backup;
use modelcache::agent::command::clean::Clean;
use modelcache::agent::command::crds::Crds;
use modelcache::agent::command::directory::{PrepareDirectory, PurgeDirectory};
use modelcache::agent::command::du::Du;
use modelcache::agent::command::env::Env;
use modelcache::agent::command::ls::Ls;
use modelcache::agent::command::materialize::Materialize;
use modelcache::agent::command::prefetch::Prefetch;
use modelcache::agent::command::prune::Prune;
use modelcache::agent::command::resolve::Resolve;
use modelcache::agent::command::restore::Restore;
use modelcache::agent::command::restore_trash::RestoreTrash;
use modelcache::agent::command::snapshots::Snapshots;
use modelcache::agent::command::verify::Verify;
use modelcache::agent::command::wait::Wait;
use modelcache::operator::OperatorOptions;
use modelcache::plugin::{self, Plugin};
use std::ffi::OsString;
use std::process::ExitCode;

/// Puts models where pods and people need them, verified and ready to be used offline.
///
/// The agent's commands need no cluster: give them a ModelCache with `-f` and a directory with `--volumes-dir`.
#[derive(Parser, Debug)]
#[command(name = "modelcache", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 2 command line or YAML; 10 unauthorized; 11 gated; 12 not found; 13 secret missing; 20 rate limited;
21 unreachable; 30 checksum; 31 listing; 32 no files; 33 damaged; 40 no space; 41 volume; 50 superseded; 51 deadline;
60 pool path forbidden; 61 deletion refused; 70 foreign backup; 71 repository in use; 1 anything else.";

#[derive(Subcommand, Debug)]
enum Command {
    /// Ask the origins what the sources are now: revision, files, bytes.
    #[command(after_help = "\
Examples:
  modelcache resolve -f cache.yaml
  modelcache resolve --source-json '{\"name\":\"gpt2\",\"huggingFace\":{\"repo\":\"gpt2\"}}' -o json")]
    Resolve(Box<Resolve>),

    /// Put the content on the volumes: resumable, verified, atomic.
    #[command(after_help = "\
Examples:
  modelcache prefetch -f cache.yaml --volumes-dir ./volumes
  modelcache prefetch -f cache.yaml --volumes-dir ./volumes --refresh     # take the newest revisions
  HF_TOKEN=hf_… modelcache prefetch -f private.yaml --volumes-dir ./volumes -o json")]
    Prefetch(Box<Prefetch>),

    /// Check, offline, that what is on the volumes is what was put there.
    #[command(after_help = "\
Examples:
  modelcache verify -f cache.yaml --volumes-dir ./volumes           # hashes every file
  modelcache verify -f cache.yaml --volumes-dir ./volumes --quick   # kinds, sizes, links, modes")]
    Verify(Box<Verify>),

    /// Keep what is on the volumes somewhere else: only new content is read and sent.
    #[command(after_help = "\
Examples:
  modelcache backup -f cache.yaml --volumes-dir ./volumes                # where `backup.destination` says
  modelcache backup -f cache.yaml --volumes-dir ./volumes --to /mnt/nas  # a directory instead
  modelcache backup -f cache.yaml --volumes-dir ./volumes --to /mnt/nas --dry-run")]
    Backup(Box<Backup>),

    /// List the backups of a cache.
    #[command(after_help = "\
Examples:
  modelcache snapshots -f cache.yaml
  modelcache snapshots -f cache.yaml --from /mnt/nas -o json")]
    Snapshots(Box<Snapshots>),

    /// Say which sources are on volumes, whether they are whole, and where they are loaded from.
    #[command(after_help = "\
Examples:
  modelcache ls --volumes-dir ./volumes
  modelcache ls -f cache.yaml --volumes-dir ./volumes
  modelcache ls speech --volume /models            # the files of one source, with their hashes")]
    Ls(Box<Ls>),

    /// Say what takes the space of volumes: by cache, source and revision, what is shared, what could go.
    #[command(after_help = "\
Examples:
  modelcache du --volumes-dir ./volumes
  modelcache du --volume /models -o json")]
    Du(Box<Du>),

    /// Rotate logs, delete what is too old or too much, remove earlier revisions, mend modes: the rules of `cleanup`.
    #[command(after_help = "\
Examples:
  modelcache clean -f cache.yaml --volumes-dir ./volumes --dry-run    # what would be done, and why
  modelcache clean -f cache.yaml --volumes-dir ./volumes
  modelcache clean -f cache.yaml --volumes-dir ./volumes --rule old-images --acknowledge")]
    Clean(Box<Clean>),

    /// Put back what a clean-up has thrown away, as long as it is in the trash.
    #[command(after_help = "\
Examples:
  modelcache restore-trash --volumes-dir ./volumes --list
  modelcache restore-trash --volume ./volumes/assets images/cat.png
  modelcache restore-trash --volume ./volumes/assets 20261121T030000Z-old-images-3f2a")]
    RestoreTrash(RestoreTrash),

    /// Make a tree without symbolic links, for readers that cannot follow them.
    #[command(after_help = "\
Examples:
  modelcache materialize -f cache.yaml --volumes-dir ./volumes --to ./plain
  modelcache materialize -f cache.yaml --volumes-dir ./volumes --source speech --to /mnt/nas --copy")]
    Materialize(Box<Materialize>),

    /// Return when the content is complete.
    #[command(after_help = "\
Examples:
  modelcache wait --volume /models --cache image-studio --timeout 30m
  modelcache wait -f cache.yaml --volumes-dir ./volumes")]
    Wait(Box<Wait>),

    /// Print the environment that clients need to find the content, offline.
    #[command(after_help = "\
Examples:
  eval \"$(modelcache env -f cache.yaml --volumes-dir ./volumes)\"
  modelcache env -f cache.yaml --format dotenv > models.env     # env_file in Compose
  modelcache env -f cache.yaml --format pod                     # what a pod's spec needs")]
    Env(Env),

    /// Make the directory of a per-node volume. What the operator's prepare Jobs run.
    #[command(after_help = "\
Example:
  modelcache prepare-directory --root /pool --name 3b1c…_image-studio_models --uid 65532 --gid 65532")]
    PrepareDirectory(PrepareDirectory),

    /// Remove the directory of a per-node volume. What the operator's purge Jobs run.
    #[command(after_help = "\
Example:
  modelcache purge-directory --root /pool --name 3b1c…_image-studio_models")]
    PurgeDirectory(PurgeDirectory),

    /// Put what was backed up onto volumes: verified, then switched at once; --rollback takes it back.
    #[command(after_help = "\
Examples:
  modelcache restore -f cache.yaml --volumes-dir ./volumes                       # the latest, from its own destination
  modelcache restore --from file:///mnt/nas --volumes-dir ./volumes --as-of 2026-11-20T18:00:00+03:00
  modelcache restore --from s3://backups/studio/image --print-spec > cache.yaml  # with nothing left in the cluster
  modelcache restore -f cache.yaml --volumes-dir ./volumes --volume assets --include 'images/*'
  modelcache restore --archive assets.tar.gz --to ./volumes/assets:imported
  modelcache restore -f cache.yaml --volumes-dir ./volumes --rollback")]
    Restore(Box<Restore>),

    /// Remove the backups that retention does not keep, and what only they needed.
    #[command(after_help = "\
Examples:
  modelcache prune -f cache.yaml --dry-run     # what would go, what stays, and why
  modelcache prune -f cache.yaml
  modelcache prune -f cache.yaml --from file:///mnt/nas --acknowledge")]
    Prune(Box<Prune>),

    /// Run the Kubernetes operator.
    Operator(Box<OperatorOptions>),

    /// Look after the caches of a cluster: what `kubectl modelcache` is, where this binary is called kubectl-modelcache.
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Kubectl {
        /// What would stand behind `kubectl modelcache`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
        arguments: Vec<OsString>,
    },

    /// Print the CustomResourceDefinitions.
    #[command(after_help = "\
Examples:
  modelcache crds | kubectl apply --server-side -f -
  modelcache crds --write crds/")]
    Crds(Crds),
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Resolve(command) => on_runtime(command.run()),
            Command::Prefetch(command) => on_runtime(command.run()),
            Command::Verify(command) => on_runtime(command.run()),
            Command::Backup(command) => on_runtime(command.run()),
            Command::Snapshots(command) => on_runtime(command.run()),
            Command::Ls(command) => command.run(),
            Command::Du(command) => command.run(),
            Command::Clean(command) => command.run(),
            Command::RestoreTrash(command) => command.run(),
            Command::Materialize(command) => command.run(),
            Command::Wait(command) => on_runtime(command.run()),
            Command::Env(command) => command.run(),
            Command::Restore(command) => on_runtime(command.run()),
            Command::Prune(command) => on_runtime(command.run()),
            Command::PrepareDirectory(command) => command.run(),
            Command::PurgeDirectory(command) => command.run(),
            Command::Operator(options) => operate(*options),
            Command::Kubectl { arguments } => plugin(arguments),
            Command::Crds(command) => command.run(),
        }
    }
}

/// The binary as `kubectl modelcache`.
pub fn plugin(arguments: Vec<OsString>) -> ExitCode {
    plugin::complete::answer_shell();
    // Asked by the script that `completion kubectl` prints; no command of a person's.
    if let Some((_, words)) = arguments.split_first().filter(|(first, _)| *first == "__complete") {
        return complete(words.to_vec());
    }
    let name = OsString::from(plugin::NAMES[0]);
    on_runtime(Plugin::parse_from(std::iter::once(name).chain(arguments)).run())
}

/// The binary as what kubectl asks for completions.
pub fn complete(words: Vec<OsString>) -> ExitCode {
    match plugin::complete::answer_kubectl(words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(error.exit_code()),
    }
}

/// The operator's end is reported here, and nowhere else.
fn operate(options: OperatorOptions) -> ExitCode {
    modelcache::operator::runtime::log(options.log_json);
    on_runtime(async {
        match modelcache::operator::run(options).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(%error, "the operator ended");
                ExitCode::from(modelcache::contract::exit_code::FAILURE)
            }
        }
    })
}

/// Two threads: one for the work's own task, one for signals and progress. Bytes are moved by threads of the engine's.
fn on_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // A thread that is still hashing what nobody waits for any more is left behind.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("the runtime cannot be started: {error}");
            ExitCode::from(modelcache::contract::exit_code::FAILURE)
        }
    }
}
