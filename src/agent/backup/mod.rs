//! What is kept of a cache elsewhere, and for how long.

pub mod retention;
pub mod retention_why;
