//! Where is each small file that the repository holds? Remembered for hundreds of thousands, so in few bytes: packs by number.

use super::known::Hash;
use super::repository::list::At;
use super::repository::seal::Form;
use std::collections::HashMap;

/// Small files whose place is remembered, so that one that was moved is not sent again: beyond that it is.
const LIMIT: usize = 200_000;

/// Places in packs, by content.
#[derive(Debug, Default)]
pub struct Packed {
    packs: Vec<String>,
    numbers: HashMap<String, u32>,
    places: HashMap<Hash, Place>,
}

/// A place in a pack, without its name.
#[derive(Clone, Copy, Debug)]
struct Place {
    pack: u32,
    offset: u32,
    length: u32,
    start: u32,
    form: Form,
}

impl Packed {
    /// Remembers where a content is, if that is in a pack, and as far as there is room.
    pub fn put(&mut self, hash: Hash, at: &At) {
        let At::Pack { pack, offset, length, form, start } = at else { return };
        let small = |it: &u64| u32::try_from(*it).ok();
        // Nothing that a backup writes is further in than that.
        let (Some(offset), Some(length), Some(start)) = (small(offset), small(length), small(start)) else { return };
        if self.places.len() >= LIMIT && !self.places.contains_key(&hash) {
            return;
        }
        let Some(pack) = self.number(pack) else { return };
        self.places.insert(hash, Place { pack, offset, length, start, form: *form });
    }

    /// Where a content is.
    pub fn get(&self, hash: &Hash) -> Option<At> {
        let Place { pack, offset, length, start, form } = *self.places.get(hash)?;
        let pack = self.packs.get(usize::try_from(pack).ok()?)?.clone();
        Some(At::Pack { pack, offset: offset.into(), length: length.into(), form, start: start.into() })
    }

    fn number(&mut self, pack: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(pack) {
            return Some(*number);
        }
        let number = u32::try_from(self.packs.len()).ok()?;
        self.packs.push(pack.to_owned());
        self.numbers.insert(pack.to_owned(), number);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back_as_it_was_put_in() {
        let mut packed = Packed::default();
        let form = Form { zstd: true, age: false };
        let at = |pack: &str, offset, start| At::Pack { pack: pack.into(), offset, length: 7, form, start };
        packed.put([1; 32], &at("a", 0, 1));
        packed.put([2; 32], &at("b", 9, 2));
        packed.put([3; 32], &at("a", 9, u64::from(u32::MAX) + 1));
        packed.put([4; 32], &At::Empty);
        assert_eq!(packed.get(&[1; 32]), Some(at("a", 0, 1)));
        assert_eq!(packed.get(&[2; 32]), Some(at("b", 9, 2)));
        assert_eq!(packed.get(&[3; 32]), None, "never a place that is cut off");
        assert_eq!(packed.get(&[4; 32]), None);
    }
}
