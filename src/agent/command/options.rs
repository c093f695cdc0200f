//! Which options do several commands share?

use super::output::{Done, Format, Output};
use crate::agent::failure::Failure;
use crate::agent::fetch::{ClientOptions, HttpClient};
use crate::agent::local;
use crate::agent::source::Origins;
use crate::agent::source::access::Access;
use crate::api::Reason;
use crate::api::pod_template::ConfigMapKeyRef;
use crate::api::source::Source;
use crate::contract::mount;
use crate::contract::outcome::Outcome;
use crate::contract::plan::Plan;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to work on: a ModelCache in a file, or what the operator mounted.
#[derive(Args, Clone, Debug)]
pub struct Input {
    /// Work without a cluster: a file with one ModelCache or more.
    #[arg(short = 'f', long = "file", value_name = "YAML", requires = "volumes_dir")]
    pub file: Option<PathBuf>,

    /// Directory that has a directory for each volume. [default without --file: /volumes]
    #[arg(long, value_name = "DIR")]
    pub volumes_dir: Option<PathBuf>,

    /// The plan, as the operator writes it. Ignored with --file.
    #[arg(long, value_name = "FILE", default_value = mount::PLAN)]
    pub plan: PathBuf,
}

/// How to reach origins.
#[derive(Args, Clone, Debug)]
pub struct Network {
    /// Certificate authorities to trust beside the system's, as PEM.
    #[arg(long, value_name = "FILE", env = "MODELCACHE_CA_BUNDLE")]
    pub ca_bundle: Option<PathBuf>,

    /// Hub of the sources that name no `endpoint`. [default: the public hub]
    #[arg(long, value_name = "URL", env = "HF_ENDPOINT")]
    pub hf_endpoint: Option<String>,

    /// Directory with `<source>/token` for each source whose Secret is mounted. Ignored with --file.
    #[arg(long, value_name = "DIR", default_value = mount::SECRETS)]
    pub secrets_dir: PathBuf,

    /// Directory with `<source>/content` for each source whose ConfigMap is mounted. Ignored with --file.
    #[arg(long, value_name = "DIR", default_value = mount::CONFIG)]
    pub config_dir: PathBuf,

    /// Directory that has the claims of `claim` sources: with --file as `<claimName>`, in a pod as `<source>`. [default
    /// without --file: /claims]
    #[arg(long, value_name = "DIR")]
    pub claims_dir: Option<PathBuf>,
}

/// How to say what was done.
#[derive(Args, Clone, Debug)]
pub struct Say {
    /// How to print the result.
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Text)]
    pub output: Format,

    /// File for the outcome as JSON. The default is written only where it exists, as in a pod.
    #[arg(long, value_name = "FILE", default_value = mount::TERMINATION_MESSAGE)]
    pub termination_message: PathBuf,
}

impl Input {
    /// The mounted plan and the directory of its volume.
    pub fn planned(&self) -> Result<(Plan, PathBuf), Failure> {
        let text = std::fs::read_to_string(&self.plan).map_err(|error| {
            let message = format!("{}: {error}: name a plan with --plan, or a ModelCache with -f", self.plan.display());
            Failure::new(Reason::InvalidSpec, message)
        })?;
        let plan = Plan::parse(&text).map_err(|error| Failure::new(Reason::InvalidSpec, error.to_string()))?;
        let volume = self.volume(&plan.volume);
        Ok((plan, volume))
    }

    /// The directory of a volume.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.volumes_dir.as_deref().unwrap_or(Path::new(mount::VOLUMES)).join(name)
    }
}

impl Network {
    /// What a source gets to use in its pod.
    pub fn mounted(&self, source: &Source) -> Result<Access, Failure> {
        let access = Access::in_pod(source, &self.secrets_dir, &self.config_dir)?;
        let directory = self.claims_dir.as_deref().unwrap_or(Path::new(mount::CLAIMS));
        Ok(Access { claim: source.claim.as_ref().map(|_| directory.join(&source.name)), ..access })
    }

    /// What a source of a YAML gets to use without a cluster: ConfigMaps are documents of the same YAML, and the process's
    /// environment stands in for Secrets. Never the command line, which everybody on the machine can read.
    pub fn local(&self, source: &Source, yaml: &Path) -> Result<Access, Failure> {
        let config_map = |reference: &ConfigMapKeyRef| local::config_map(yaml, reference);
        let access = Access::local(source, &|name| std::env::var(name).ok(), &config_map)?;
        let claim = self.claims_dir.as_ref().zip(source.claim.as_ref());
        Ok(Access { claim: claim.map(|(directory, it)| directory.join(&it.claim_name)), ..access })
    }

    /// The origins, reached so.
    pub fn origins(&self) -> Result<Origins, Failure> {
        let options = ClientOptions { ca_bundle: self.ca_bundle.clone(), ..ClientOptions::default() };
        let client = HttpClient::new(&options).map_err(|error| Failure::new(Reason::InvalidSpec, error.to_string()))?;
        let endpoint = self.hf_endpoint.clone().filter(|it| !it.is_empty());
        Ok(Origins::new(client, endpoint))
    }
}

impl Say {
    /// Where lines and results go.
    pub fn output(&self) -> Output {
        Output::new(self.output)
    }

    /// The end of a command that works on volumes: its one outcome for the kubelet where it runs in a pod, and the results
    /// for people.
    pub fn finish(&self, input: &Input, output: &Output, results: Result<Vec<Done>, Failure>) -> ExitCode {
        let results = match results {
            Ok(results) => results,
            Err(failure) => vec![Done::of(Outcome::failure(failure.reason, failure.message))],
        };
        if input.file.is_none()
            && let [one] = results.as_slice()
        {
            self.leave(&one.outcome);
        }
        output.finish(&results)
    }

    /// Leaves the outcome for the kubelet.
    pub fn leave(&self, outcome: &Outcome) {
        let path: &Path = &self.termination_message;
        if path == Path::new(mount::TERMINATION_MESSAGE) && !path.exists() {
            return;
        }
        if let Err(error) = std::fs::write(path, outcome.to_json()) {
            self.output().line(&format!("{}: {error}", path.display()));
        }
    }
}
