//! `kubectl modelcache`: what people ask of caches in a cluster, and tell them to do.
//!
//! ```text
//! options ──► session ──► read ──► render ──► standard output
//!                         (client) (pure)
//! ```
//!
//! One file per command. What is shown is made from objects by pure functions in [`render`]. The plugin does nothing that the
//! user's own rights do not allow, and runs nothing in a pod: it reads objects, and writes ModelCaches, backups and restores.

pub mod answer;
pub mod backup;
pub mod backups;
pub mod clean;
pub mod complete;
pub mod completion;
pub mod describe;
pub mod du;
pub mod env;
pub mod error;
pub mod get;
pub mod install;
pub mod logs;
pub mod nodes;
pub mod options;
pub mod print;
pub mod render;
pub mod report;
pub mod request;
pub mod reset;
pub mod restore;
pub mod runs;
pub mod session;
pub mod status;
pub mod suspend;
pub mod version;
pub mod wait;
pub mod watch;

pub use options::Plugin;

/// Names under which the binary is the plugin: kubectl looks for the first, and makes the second of a dash in a command.
pub const NAMES: [&str; 2] = ["kubectl-modelcache", "kubectl_modelcache"];
/// The name under which kubectl asks it for completions.
pub const COMPLETION_NAME: &str = "kubectl_complete-modelcache";
/// Field manager of what the plugin writes. It does not begin with `kubectl`: Flux takes over, and so undoes at its next sync, what
/// managers of that prefix have set (<https://fluxcd.io/flux/faq/#why-are-kubectl-edits-rolled-back-by-flux>).
pub const FIELD_MANAGER: &str = "modelcache-plugin";
