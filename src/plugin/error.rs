//! Why did a command fail, and with which exit code?

use crate::api::Reason;
use crate::contract::exit_code;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(String),
    /// The command line asks for what does not go together.
    #[error("{0}")]
    Usage(String),
    /// The API server refused a request, or did not answer.
    #[error("{}", api_message(.0))]
    Api(#[from] kube::Error),
    /// There is no such object.
    #[error("there is no {kind} `{name}` in namespace `{namespace}`")]
    NoSuch {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Where it was looked for.
        namespace: String,
    },
    /// The annotation that asked is gone, or says something else.
    #[error("`{cache}` is asked no more: somebody has taken `{annotation}` away, or has asked anew")]
    Withdrawn {
        /// The cache.
        cache: String,
        /// The annotation.
        annotation: &'static str,
    },
    /// What was waited for did not come in time.
    #[error("{0}")]
    TimedOut(String),
    /// What was waited for will not come until a person acts.
    #[error("{message}")]
    Failed {
        /// Why.
        reason: Reason,
        /// What happened and what to do.
        message: String,
    },
    /// Something could not be read or written on this machine.
    #[error("{what}: {error}")]
    Io {
        /// What.
        what: String,
        /// Why.
        error: std::io::Error,
    },
    /// What was found cannot be printed.
    #[error("it cannot be printed: {0}")]
    Print(String),
}

impl Error {
    /// The exit code. The table is in `docs/kubectl-plugin.md`; a number means the same as everywhere else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Kubeconfig(_) | Self::Usage(_) => exit_code::USAGE,
            Self::Api(error) => api_code(error),
            Self::NoSuch { .. } => exit_code::of(Reason::NotFound),
            Self::TimedOut(_) => exit_code::of(Reason::DeadlineExceeded),
            Self::Failed { reason, .. } => exit_code::of(*reason),
            Self::Withdrawn { .. } | Self::Io { .. } | Self::Print(_) => exit_code::FAILURE,
        }
    }
}

fn api_code(error: &kube::Error) -> u8 {
    match error {
        kube::Error::Api(status) => match status.code {
            401 | 403 => exit_code::of(Reason::Unauthorized),
            404 => exit_code::of(Reason::NotFound),
            400 | 422 => exit_code::USAGE,
            _ => exit_code::FAILURE,
        },
        kube::Error::Service(_) | kube::Error::HyperError(_) => exit_code::of(Reason::Unreachable),
        _ => exit_code::FAILURE,
    }
}

fn api_message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 404 && status.message.contains("could not find the requested") => {
            "the cluster does not know our kinds: `kubectl modelcache install --image IMAGE | kubectl apply --server-side -f -`".into()
        }
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Service(error) => format!("the API server cannot be reached: {}", chain(error.as_ref())),
        other => chain(other),
    }
}

/// An error with what is behind it: the last cause is what helps.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut causes = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !causes.iter().any(|it| it.contains(&text)) {
            causes.push(text);
        }
        source = error.source();
    }
    causes.join(": ")
}
