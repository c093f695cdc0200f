//! Puts what was backed up onto volumes: verified, then switched at once, and taken back when that was wrong.

pub mod journal;
pub mod rollback;
pub mod switch;
