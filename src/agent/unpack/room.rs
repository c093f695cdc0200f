//! May this much more be written? Asked while an archive is unpacked, because what it says of itself may be a lie.

use super::super::failure::Failure;
use super::super::fetch::Staging;
use super::super::layout::safe_path::Root;
use super::{Bad, Limits};
use crate::api::Reason;
use crate::api::quantity::human;

/// Bytes between two looks at the file system and at who may write.
const LOOK_EVERY: u64 = 16 << 20;
/// What an entry counts beside its bytes: a bomb of empty files writes too.
const PER_ENTRY: u64 = 64 << 10;

/// What is left to write.
#[derive(Debug)]
pub struct Room {
    root: Root,
    limits: Limits,
    staging: Staging,
    written: u64,
    unseen: u64,
}

impl Room {
    /// Room on a volume, for a writer that may lose it to a later one.
    pub fn new(root: Root, limits: Limits, staging: Staging) -> Self {
        Self { root, limits, staging, written: 0, unseen: LOOK_EVERY }
    }

    /// Room for an entry, whose bytes come later.
    pub(super) fn entry(&mut self) -> Result<(), Bad> {
        self.look(PER_ENTRY, 0)
    }

    /// Whether a file of this size can fit at all. Nothing is taken.
    pub(super) fn declared(&self, bytes: u64) -> Result<(), Bad> {
        self.budget(bytes)
    }

    /// Takes room for bytes that are written next.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), Bad> {
        self.budget(bytes)?;
        self.written += bytes;
        self.look(bytes, bytes)
    }

    fn budget(&self, bytes: u64) -> Result<(), Bad> {
        let wanted = self.written.saturating_add(bytes);
        match self.limits.budget_left {
            Some(left) if wanted > left => Err(refuse(format!(
                "more than {} come out of an archive, and that is all that `size` leaves beside what is kept and \
                 staged: raise it; the tree was not taken",
                human(left)
            ))),
            _ => Ok(()),
        }
    }

    fn look(&mut self, passed: u64, next: u64) -> Result<(), Bad> {
        self.unseen = self.unseen.saturating_add(passed);
        if self.unseen < LOOK_EVERY {
            return Ok(());
        }
        self.unseen = 0;
        self.staging.check().map_err(Failure::from)?;
        let free = self.root.free_bytes()?;
        // What is written until the next look must fit too.
        if free < self.limits.min_free.saturating_add(next).saturating_add(2 * LOOK_EVERY) {
            return self.tight(free, next);
        }
        Ok(())
    }

    /// Near the end of the disk every block is looked at.
    fn tight(&mut self, free: u64, next: u64) -> Result<(), Bad> {
        self.unseen = LOOK_EVERY;
        if free < self.limits.min_free.saturating_add(next) {
            return Err(refuse(format!(
                "an archive was being unpacked when the disk had {} left, of which {} must stay free: free some space, or \
                 use a larger disk; the tree was not taken",
                human(free),
                human(self.limits.min_free)
            )));
        }
        Ok(())
    }
}

fn refuse(message: String) -> Bad {
    Bad::Failed(Failure::new(Reason::InsufficientSpace, message))
}
