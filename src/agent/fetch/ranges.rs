//! Which bytes of a file are there: a set of byte ranges. Pure.

use std::ops::Range;

/// Sorted ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RangeSet(Vec<Range<u64>>);

impl RangeSet {
    /// Adds a range, merging it with what it touches.
    pub(super) fn insert(&mut self, mut range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.0.partition_point(|r| r.end < range.start);
        let last = self.0.partition_point(|r| r.start <= range.end);
        if let (Some(low), Some(high)) = (self.0.get(first), last.checked_sub(1).and_then(|i| self.0.get(i)))
            && first < last
        {
            range = range.start.min(low.start)..range.end.max(high.end);
        }
        self.0.splice(first..last, [range]);
    }

    /// Takes a range out.
    pub(super) fn remove(&mut self, range: &Range<u64>) {
        if range.is_empty() {
            return;
        }
        self.0 = std::mem::take(&mut self.0)
            .into_iter()
            .flat_map(|r| [r.start..r.end.min(range.start), r.start.max(range.end)..r.end])
            .filter(|r| !r.is_empty())
            .collect();
    }

    /// The parts of `range` that are not in the set, in order.
    pub(super) fn gaps(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self.0.partition_point(|r| r.end <= range.start);
        let mut at = range.start;
        let end = range.end;
        self.0[first..]
            .iter()
            .cloned()
            .chain(std::iter::once(end..end))
            .map(move |r| {
                let gap = at..r.start.min(end);
                at = at.max(r.end);
                gap
            })
            .filter(|gap| gap.start < gap.end)
    }

    /// How far the bytes are there without a gap, from the start.
    pub(super) fn contiguous(&self) -> u64 {
        self.0.first().filter(|r| r.start == 0).map_or(0, |r| r.end)
    }

    /// How many bytes are there.
    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|r| r.end - r.start).sum()
    }

    /// One past the last byte that is there.
    pub(super) fn end(&self) -> u64 {
        self.0.last().map_or(0, |r| r.end)
    }

    /// The ranges, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set_of_bytes(steps in vec((any::<bool>(), 0_u64..64, 0_u64..16), 0..40)) {
            let mut set = RangeSet::default();
            let mut plain = [false; 80];
            for (add, start, len) in steps {
                let range = start..start + len;
                for byte in range.clone() {
                    plain[usize::try_from(byte).unwrap()] = add;
                }
                if add { set.insert(range) } else { set.remove(&range) }
            }
            let there = |byte: u64| set.iter().any(|r| r.contains(&byte));
            for byte in 0..80 {
                prop_assert_eq!(there(byte), plain[usize::try_from(byte).unwrap()]);
            }
            for pair in set.0.windows(2) {
                prop_assert!(pair[0].end < pair[1].start);
            }
            let missing: u64 = set.gaps(5..70).map(|g| g.end - g.start).sum();
            prop_assert_eq!(missing, (5..70).filter(|b| !there(*b)).count() as u64);
            prop_assert_eq!(set.contiguous(), (0..80).take_while(|b| there(*b)).count() as u64);
        }
    }
}
