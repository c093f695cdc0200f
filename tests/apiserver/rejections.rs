//! Rejections.
