//! What is wanted, and by whom: contents in groups, each kind of bytes fetched once whoever wants it.

use std::{
    cmp::Ordering,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use super::content::{Content, Digest};

/// Which content of which group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Which of the groups.
    pub group: usize,
    /// Which content of that group.
    pub index: usize,
}

/// The contents of a run. Beside the contents themselves it takes a few words for each.
#[derive(Debug)]
pub(super) struct Wanted {
    contents: Vec<Content>,
    /// Where each group begins in `contents`.
    starts: Vec<usize>,
    ended: Vec<AtomicBool>,
    /// Another content that is the same bytes; itself where there is none. All that are the same form a ring.
    next: Vec<usize>,
    /// Size by any of the same contents, for the first of each ring.
    units: Vec<(usize, Option<u64>)>,
}

impl Wanted {
    pub(super) fn new(groups: Vec<Vec<Content>>) -> Self {
        let mut starts = Vec::with_capacity(groups.len());
        let mut contents = Vec::with_capacity(groups.iter().map(Vec::len).sum());
        for group in groups {
            starts.push(contents.len());
            contents.extend(group);
        }
        let ended = starts.iter().map(|_| AtomicBool::new(false)).collect();
        let mut next: Vec<usize> = (0..contents.len()).collect();
        let mut units = Vec::new();
        let mut sorted = next.clone();
        sorted.sort_unstable_by(|&a, &b| {
            let (a_is, b_is) = (&contents[a], &contents[b]);
            // The sizes that are known come first: one that is not joins them.
            let size = |content: &Content| content.size.unwrap_or(u64::MAX);
            same(a_is, b_is).then(size(a_is).cmp(&size(b_is))).then(a.cmp(&b))
        });
        for alike in sorted.chunk_by(|&a, &b| same(&contents[a], &contents[b]).is_eq()) {
            let mut rings: Vec<Vec<usize>> = Vec::new();
            for &index in alike {
                let size = contents[index].size;
                // Two sizes of one digest cannot both be right. Each is fetched: its origin has to say.
                match rings.iter_mut().find(|ring| size.is_none() || contents[ring[0]].size == size) {
                    Some(ring) => ring.push(index),
                    None => rings.push(vec![index]),
                }
            }
            for mut ring in rings {
                let size = contents[ring[0]].size;
                // The one that was named first is fetched, the others are its copies.
                ring.sort_unstable();
                for (at, &index) in ring.iter().enumerate() {
                    next[index] = ring[(at + 1) % ring.len()];
                }
                units.push((ring[0], size));
            }
        }
        Self { contents, starts, ended, next, units }
    }

    /// The contents to fetch, identical ones once, with their sizes where any of them has it.
    pub(super) fn units(&self) -> &[(usize, Option<u64>)] {
        &self.units
    }

    /// A content as it is fetched, with the size that the unit has.
    pub(super) fn content(&self, index: usize, size: Option<u64>) -> Content {
        Content { size: self.contents[index].size.or(size), ..self.contents[index].clone() }
    }

    pub(super) fn label(&self, index: usize) -> &str {
        &self.contents[index].label
    }

    pub(super) fn place(&self, index: usize) -> Place {
        let group = self.starts.partition_point(|start| *start <= index) - 1;
        // Empty groups begin where the next one does; the last of them is the one that has it.
        Place { group, index: index - self.starts[group] }
    }

    /// The others that are the same bytes.
    pub(super) fn also(&self, index: usize) -> Vec<Place> {
        self.others(index).map(|other| self.place(other)).collect()
    }

    fn others(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(self.next[index]), |at| Some(self.next[*at])).take_while(move |at| *at != index)
    }

    /// Says that a group is not wanted any more. True for the first who says so.
    pub(super) fn end_group(&self, group: usize) -> bool {
        !self.ended[group].swap(true, SeqCst)
    }

    /// The first of the same contents whose group is still wanted, `index` itself before all others.
    pub(super) fn still_wanted(&self, index: usize) -> Option<usize> {
        let wanted = |at: &usize| !self.ended[self.place(*at).group].load(SeqCst);
        std::iter::once(index).chain(self.others(index)).find(wanted)
    }
}

/// Orders contents so that those of the same bytes, whatever their sizes, are beside each other.
fn same(a: &Content, b: &Content) -> Ordering {
    fn address(content: &Content) -> (&str, Option<&String>, Option<u64>, Option<String>) {
        let Content { origin, size, digest, .. } = content;
        (origin.url.as_str(), origin.validator.as_ref(), *size, digest.map(|it| it.to_string()))
    }
    fn key(digest: Option<&Digest>) -> (u8, &[u8]) {
        match digest {
            Some(Digest::Sha256(bytes)) => (0, bytes),
            Some(Digest::GitBlob(bytes)) => (1, bytes),
            // A few digits of a hash do not make two contents the same.
            Some(Digest::Sha256Prefix(_)) | None => (2, &[]),
        }
    }
    key(a.digest.as_ref()).cmp(&key(b.digest.as_ref())).then_with(|| match a.digest {
        Some(Digest::Sha256(_) | Digest::GitBlob(_)) => Ordering::Equal,
        Some(Digest::Sha256Prefix(_)) | None => address(a).cmp(&address(b)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};
    use url::Url;

    use super::*;
    use crate::agent::fetch::Origin;

    fn content(digest: Option<u8>, size: Option<u64>, path: u8) -> Content {
        Content {
            label: format!("{path}"),
            size,
            digest: digest.map(|byte| Digest::Sha256([byte; 32])),
            origin: Origin {
                url: Url::parse(&format!("http://hub/{path}")).unwrap(),
                token: None,
                validator: None,
                authorizer: None,
            },
        }
    }

    #[test]
    fn a_size_that_one_of_two_knows_is_known_of_both() {
        let groups = vec![vec![content(Some(1), None, 1)], vec![], vec![content(Some(1), Some(7), 2)]];
        let wanted = Wanted::new(groups);
        assert_eq!(wanted.units(), [(0, Some(7))]);
        assert_eq!(wanted.content(0, Some(7)).size, Some(7));
        assert_eq!(wanted.also(0), [Place { group: 2, index: 0 }]);
    }

    #[test]
    fn a_group_that_ended_leaves_its_content_to_the_others_that_want_it() {
        let groups = vec![vec![content(Some(1), Some(7), 1)], vec![content(Some(1), Some(7), 2)]];
        let wanted = Wanted::new(groups);
        assert!(wanted.end_group(0) && !wanted.end_group(0));
        assert_eq!(wanted.still_wanted(0), Some(1));
        wanted.end_group(1);
        assert_eq!(wanted.still_wanted(0), None);
    }

    #[test]
    fn without_a_digest_only_the_same_address_is_the_same_content() {
        let wanted = Wanted::new(vec![vec![content(None, None, 1), content(None, None, 2), content(None, None, 1)]]);
        assert_eq!(wanted.units().len(), 2);
        assert_eq!(wanted.also(0), [Place { group: 0, index: 2 }]);
    }

    proptest! {
        #[test]
        fn every_content_is_in_one_unit_and_comes_home_to_its_place(
            groups in vec(vec((option::of(0_u8..4), option::of(0_u64..3), 0_u8..4), 0..6), 0..5)
        ) {
            let made = |group: &Vec<_>| group.iter().map(|&(digest, size, path)| content(digest, size, path)).collect();
            let wanted = Wanted::new(groups.iter().map(made).collect());
            let mut seen = Vec::new();
            for &(index, size) in wanted.units() {
                let all = std::iter::once(wanted.place(index)).chain(wanted.also(index));
                for place in all {
                    let (digest, its, _) = groups[place.group][place.index];
                    prop_assert_eq!(digest, groups[wanted.place(index).group][wanted.place(index).index].0);
                    prop_assert!(its.is_none() || its == size);
                    seen.push(place);
                }
            }
            seen.sort_unstable();
            let all: Vec<_> = groups.iter().enumerate()
                .flat_map(|(group, contents)| (0..contents.len()).map(move |index| Place { group, index })).collect();
            prop_assert_eq!(seen, all);
        }
    }
}
