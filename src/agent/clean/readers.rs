//! Who may still read a revision that was replaced? Without a cluster whoever is seen to have a file open. In one a pod on
//! another node, or one whose processes cannot be seen: somebody has to say which pods there are.

use super::super::failure::Failure;
use crate::api::Reason;
use jiff::Timestamp;

/// What Kubernetes puts into the environment of every container
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>).
const IN_A_POD: &str = "KUBERNETES_SERVICE_HOST";

/// Who may read what was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Processes of this machine: they are looked for.
    Local,
    /// Pods, of which nothing is known.
    Unknown,
    /// Pods, the oldest of which was made then. Or nobody, when somebody looked then and saw no pod.
    Since(Timestamp),
}

impl Readers {
    /// What is known: what was said; else nothing, for work in a pod or in the name of an object of a cluster.
    pub fn of(oldest_pod: Option<Timestamp>, owned: bool) -> Self {
        match oldest_pod {
            Some(time) => Self::Since(time),
            None if owned || std::env::var_os(IN_A_POD).is_some() => Self::Unknown,
            None => Self::Local,
        }
    }

    /// Refuses to decide without knowing.
    pub fn check(self) -> Result<(), Failure> {
        if self != Self::Unknown {
            return Ok(());
        }
        let message = "nobody has said which pods mount the volume, and they may still read what was replaced: give \
                       --oldest-pod the time at which the oldest of them was made, or at which there was none";
        Err(Failure::new(Reason::InvalidSpec, message))
    }

    /// The pod that is older than a switch, if there may be one: when it was made.
    pub fn before(self, switch: i64) -> Option<Timestamp> {
        match self {
            Self::Since(oldest) => Some(oldest).filter(|it| it.as_second() <= switch),
            Self::Local | Self::Unknown => None,
        }
    }
}
