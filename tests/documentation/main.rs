//! Do the pages say what the code does? Everything in them that a machine can check is checked here: the YAML, the command
//! lines, the links, the tables, and the reference, which is generated.
//!
//! `UPDATE_DOCS=1 cargo test --test documentation` (or `make generate`) writes the reference anew.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../src/cli.rs"]
#[allow(dead_code, reason = "lines are parsed here, and not run")]
mod cli;
mod commands;
#[path = "../support/documents.rs"]
mod documents;
mod fragments;
mod links;
mod pages;
mod reference;
mod schema_page;
mod tables;
mod yaml;
