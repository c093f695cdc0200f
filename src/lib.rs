//! The ModelCache operator: models on the nodes that serve them, verified, resumable, repairable.
//!
//! Data goes one way, through rooms named for their job:
//!
//! ```text
//! api ──► observe ──► model ──► plan ──► build ──► apply ──► status
//!         (reads)     └──────── pure ────────┘    (writes)   (always runs)
//! ```
//!
//! - [`api`]: every string and type the cluster sees.
//! - [`contract`]: all that passes between controller and agent.
//! - [`agent`]: the data plane; what the Jobs run, and what the same binary does without a cluster.
//! - [`operator`]: the controller.
//! - [`plugin`]: what people ask of it with `kubectl modelcache`.

pub mod agent;
pub mod api;
pub mod contract;

pub mod operator;
pub mod plugin;
