//! What is on a volume, whose is it, and what does it take? Read only: nothing is asked of anybody, nothing is written.
//!
//! ```text
//! places (which volumes) ─► known (manifests of all caches) ─► owners (path ─► revisions) ─┐
//!                                     │                   walk (every inode, once) ────────┴─► usage   (`du`)
//!                                     └─► catalogue (`ls`)
//! ```

pub mod amount;
pub mod bucket;
pub mod catalogue;
pub mod known;
pub mod leftovers;
pub mod owners;
pub mod places;
pub mod usage;
pub mod walk;
