//! What does a real API server make of our kinds, samples, policies and roles? And of operators of some namespaces?
//!
//! Needs Go and nothing else: the control plane is built from modules and started by `tests/cluster/cluster`.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/helm/mod.rs"]
mod helm;
#[path = "../support/mod.rs"]
mod support;

mod delete_guard;
mod install;
mod lease;
mod node_labels;
mod permissions;
mod plugin;
mod plugin_requests;
mod pods;
mod policies;
mod rejections;
mod samples;
mod scoped;
mod tenants;
