//! Does the chart install what `config/default` installs, refuse what is misspelt, and say what it can be told?
//!
//! Needs Go: helm, kubeconform and the API server whose schemas they are held against are built from modules.
//! `UPDATE_CHART=1 cargo test --test chart` writes what is generated anew: the copies in `files/`, the schema, the reference.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/helm/mod.rs"]
mod helm;
#[path = "../support/mod.rs"]
mod support;

mod checkov;
mod copies;
mod documents;
mod generated;
mod kinds;
mod labels;
mod monitors;
mod refused;
mod rendered;
mod same;
mod schema;
mod scoped;
mod signed;
mod values;
