//! What several tests share.

#![allow(dead_code, reason = "every test uses a part of it")]

pub mod apiserver;
pub mod documents;
pub mod samples;
