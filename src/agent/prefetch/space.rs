//! Does it fit? Asked of everything at once, before the first byte.

use super::super::failure::Failure;
use crate::api::Reason;
use crate::api::quantity::human;

/// What is to be kept and what there is, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// What the cache holds on the volume.
    pub used: u64,
    /// What is to be added.
    pub new: u64,
    /// How much of that is on the disk already, half fetched.
    pub staged: u64,
    /// What the file system has left.
    pub free: u64,
    /// What must stay free.
    pub min_free: u64,
    /// What the cache may hold.
    pub budget: Option<u64>,
}

/// Whether it fits.
///
/// # Errors
/// `InsufficientSpace`, with all the numbers: what is needed, what there is, and what would help.
pub fn check(space: &Space) -> Result<(), Failure> {
    let Space { used, new, staged, free, min_free, budget } = *space;
    let refuse = |message: String| Err(Failure::new(Reason::InsufficientSpace, message));
    if let Some(budget) = budget.filter(|budget| new > 0 && used.saturating_add(new) > *budget) {
        return refuse(format!(
            "{} more are needed beside the {} that the cache holds on this volume, and its size is {}: raise `size`, or \
             cache less (files that the plan no longer needs count until they are cleaned up); nothing was fetched",
            human(new),
            human(used),
            human(budget)
        ));
    }
    let to_write = new.saturating_sub(staged);
    if to_write > free.saturating_sub(min_free) {
        let kept = if min_free == 0 { String::new() } else { format!(", of which {} must stay free", human(min_free)) };
        return refuse(format!(
            "{} more are needed, and the disk has {} left{kept}: free some space, or use a larger disk; nothing was fetched",
            human(to_write),
            human(free)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FITS: Space = Space { used: 10, new: 20, staged: 5, free: 20, min_free: 5, budget: Some(30) };

    #[test]
    fn what_is_half_fetched_is_on_the_disk_already_but_counts_against_the_budget() {
        assert_eq!(check(&FITS), Ok(()));
        assert!(check(&Space { budget: Some(29), ..FITS }).unwrap_err().message.contains("raise `size`"));
        assert!(check(&Space { min_free: 6, ..FITS }).unwrap_err().message.contains("must stay free"));
        assert!(check(&Space { staged: 4, ..FITS }).is_err());
    }

    #[test]
    fn a_cache_that_has_everything_is_ready_on_a_full_disk() {
        assert_eq!(check(&Space { new: 0, staged: 0, free: 0, budget: Some(1), ..FITS }), Ok(()));
    }
}
