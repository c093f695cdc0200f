//! `completion`: what makes Tab complete.
//!
//! kubectl asks a program of the name `kubectl_complete-<plugin>` on the PATH, in every shell that it completes for itself
//! (<https://github.com/kubernetes/enhancements/tree/master/keps/sig-cli/2379-kubectl-plugins#shell-completion-support>). A shell
//! that calls the plugin directly asks the plugin.

use super::error::Error;
use super::{COMPLETION_NAME, NAMES, print};
use clap::{Args, ValueEnum};
use clap_complete::env::{EnvCompleter, Shells};

/// The variable by which a shell asks for completions.
pub const VARIABLE: &str = "KUBECTL_MODELCACHE_COMPLETE";

/// Where what is printed goes.
pub const HELP: &str = "\
For `kubectl modelcache`, in bash, zsh and fish, where kubectl's own completion is set up:
  kubectl modelcache completion kubectl > ~/.local/bin/kubectl_complete-modelcache
  chmod +x ~/.local/bin/kubectl_complete-modelcache      # any directory of the PATH

For `kubectl-modelcache`, called directly:
  source <(kubectl-modelcache completion bash)           # in ~/.bashrc
  source <(kubectl-modelcache completion zsh)            # in ~/.zshrc
  kubectl-modelcache completion fish | source            # in ~/.config/fish/config.fish";

/// Options of `completion`.
#[derive(Args, Debug)]
pub struct Completion {
    /// Who completes.
    #[arg(value_enum, default_value_t = Completer::Kubectl)]
    completer: Completer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Completer {
    /// `kubectl modelcache`, in any shell.
    Kubectl,
    /// `kubectl-modelcache`, in bash.
    Bash,
    /// `kubectl-modelcache`, in zsh.
    Zsh,
    /// `kubectl-modelcache`, in fish.
    Fish,
}

impl Completion {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Error> {
        let shell = match self.completer {
            Completer::Kubectl => return print::text(&script()),
            Completer::Bash => "bash",
            Completer::Zsh => "zsh",
            Completer::Fish => "fish",
        };
        let mut script = vec![];
        let shells = Shells::builtins();
        let completer: &dyn EnvCompleter =
            shells.completer(shell).ok_or_else(|| Error::Usage(format!("{shell} is not completed for")))?;
        let written = completer.write_registration(VARIABLE, NAMES[0], NAMES[0], NAMES[0], &mut script);
        written.map_err(|error| Error::Io { what: "the script".into(), error })?;
        print::bytes(&script)
    }
}

/// The program that kubectl asks. A link to the binary, of the same name, does the same.
fn script() -> String {
    format!("#!/bin/sh\n# {COMPLETION_NAME}: kubectl runs this for completions.\nexec {} __complete \"$@\"\n", NAMES[0])
}
