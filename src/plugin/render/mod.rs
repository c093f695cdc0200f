//! What is shown of objects? Pure: objects and the time in, text out.

pub mod age;
pub mod deeds;
pub mod describe;
pub mod paint;
pub mod progress;
pub mod redact;
pub mod space;
pub mod table;
pub mod tables;

#[cfg(test)]
pub(crate) mod fixtures;
