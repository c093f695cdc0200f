//! The data plane: what the Jobs run, and what the same binary does without a cluster.

pub mod layout;
