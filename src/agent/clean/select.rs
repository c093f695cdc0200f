//! Which of these files are too old, too many, or too much together? Pure.

use std::time::Duration;

/// What decides about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// When it was last written to, in nanoseconds since 1970.
    pub written: i128,
    /// Its size in bytes.
    pub size: u64,
}

/// What is too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Older goes.
    pub older_than: Option<Duration>,
    /// All together may have this many bytes.
    pub max_total_size: Option<u64>,
    /// There may be this many.
    pub max_files: Option<u64>,
    /// The newest of them, which stay whatever happens.
    pub keep_newest: u64,
}

/// Why a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is too old.
    Old,
    /// There are too many.
    Many,
    /// They are too large together.
    Large,
}

/// What becomes of each file, in the order given: `None` stays.
pub fn select(files: &[Candidate], limits: &Limits, now: i128) -> Vec<Option<Why>> {
    let mut newest_first: Vec<usize> = (0..files.len()).collect();
    // Of two that are equally old, the one that was named first counts as newer: the same files, the same answer.
    newest_first.sort_by_key(|index| (std::cmp::Reverse(files[*index].written), *index));
    let mut gone = vec![None; files.len()];
    for (rank, index) in newest_first.iter().enumerate() {
        let rank = rank as u64;
        let too_old = limits.older_than.is_some_and(|limit| {
            let limit = i128::try_from(limit.as_nanos()).unwrap_or(i128::MAX);
            now.saturating_sub(files[*index].written) > limit
        });
        let too_many = limits.max_files.is_some_and(|limit| rank >= limit);
        gone[*index] = match (rank < limits.keep_newest, too_old, too_many) {
            (true, ..) | (false, false, false) => None,
            (false, true, _) => Some(Why::Old),
            (false, false, true) => Some(Why::Many),
        };
    }
    if let Some(limit) = limits.max_total_size {
        let left = (0..files.len()).filter(|index| gone[*index].is_none());
        let mut total: u128 = left.map(|index| u128::from(files[index].size)).sum();
        let floor = usize::try_from(limits.keep_newest).unwrap_or(usize::MAX).min(files.len());
        for index in newest_first[floor..].iter().rev() {
            if total <= u128::from(limit) {
                break;
            }
            // What has no bytes makes nothing smaller.
            if gone[*index].is_none() && files[*index].size > 0 {
                gone[*index] = Some(Why::Large);
                total -= u128::from(files[*index].size);
            }
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i128 = 24 * 3600 * 1_000_000_000;

    /// Files by age in days and size, the newest first.
    fn files(all: &[(i128, u64)]) -> Vec<Candidate> {
        all.iter().map(|(age, size)| Candidate { written: -age * DAY, size: *size }).collect()
    }

    #[test]
    fn the_oldest_go_until_what_is_left_is_little_enough() {
        use Why::{Large, Many, Old};
        let seven_days = Some(Duration::from_secs(7 * 24 * 3600));
        let four = [(1, 10), (3, 10), (8, 10), (40, 10)];
        let none = Limits::default();
        for (what, limits, expected) in [
            ("nothing is asked", none, [None, None, None, None]),
            ("by age", Limits { older_than: seven_days, ..none }, [None, None, Some(Old), Some(Old)]),
            ("by number", Limits { max_files: Some(3), ..none }, [None, None, None, Some(Many)]),
            ("all", Limits { max_files: Some(0), ..none }, [Some(Many), Some(Many), Some(Many), Some(Many)]),
            ("by size", Limits { max_total_size: Some(25), ..none }, [None, None, Some(Large), Some(Large)]),
            ("just fits", Limits { max_total_size: Some(40), ..none }, [None, None, None, None]),
            (
                "the floor wins over all",
                Limits { older_than: seven_days, max_files: Some(0), max_total_size: Some(1), keep_newest: 3 },
                [None, None, None, Some(Old)],
            ),
            (
                "age first, then size",
                Limits { older_than: seven_days, max_total_size: Some(15), ..none },
                [None, Some(Large), Some(Old), Some(Old)],
            ),
        ] {
            assert_eq!(select(&files(&four), &limits, 0), expected, "{what}");
        }
    }

    #[test]
    fn a_file_from_the_future_is_the_newest_and_exactly_the_limit_is_not_too_old() {
        let limits = Limits { older_than: Some(Duration::from_secs(24 * 3600)), ..Limits::default() };
        assert_eq!(select(&files(&[(-5, 1), (1, 1), (2, 1)]), &limits, 0), [None, None, Some(Why::Old)]);
    }

    proptest! {
        #[test]
        fn the_newest_stay_and_nothing_newer_goes_than_what_stays_by_the_caps(
            all in proptest::collection::vec((0i128..100, 1u64..50), 0..40),
            max_files in proptest::option::of(0u64..40),
            max_total_size in proptest::option::of(0u64..1000),
            keep_newest in 0u64..10,
        ) {
            let files = files(&all);
            let gone = select(&files, &Limits { older_than: None, max_total_size, max_files, keep_newest }, 0);
            let mut order: Vec<usize> = (0..files.len()).collect();
            order.sort_by_key(|index| (std::cmp::Reverse(files[*index].written), *index));
            let first_gone = order.iter().position(|index| gone[*index].is_some()).unwrap_or(order.len());
            prop_assert!(order[first_gone..].iter().all(|index| gone[*index].is_some()), "the oldest go first");
            prop_assert!(first_gone as u64 >= keep_newest.min(files.len() as u64), "the floor holds");
            let left: u64 = order[..first_gone].iter().map(|index| files[*index].size).sum();
            if first_gone as u64 > keep_newest {
                prop_assert!(max_total_size.is_none_or(|cap| left <= cap), "the caps hold");
                prop_assert!(max_files.is_none_or(|cap| first_gone as u64 <= cap));
            }
        }
    }
}
