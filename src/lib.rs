//! The ModelCache operator: models on the nodes that serve them, verified, resumable, repairable.

pub mod agent;
