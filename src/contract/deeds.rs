//! What did a clean-up do, one by one? As much as fits beside the sums in a termination message.

use super::packed;
use crate::api::condition::truncate;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Deeds that are told at most.
pub const MOST: usize = 100;
/// Bytes that they may take once they are packed: the rest of a message has room beside them.
const ROOM: usize = 1800;
/// Bytes of a path, and of a reason.
const LONGEST: (usize, usize) = (512, 200);

/// One thing that was done, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// Name of the rule.
    pub rule: String,
    /// What was done.
    pub what: String,
    /// To what.
    pub path: String,
    /// Why.
    pub why: String,
    /// Bytes on the disk that it concerns.
    pub bytes: u64,
}

/// What was done one by one: what concerns the most bytes, and how many more there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deeds {
    /// The largest first.
    pub told: Vec<Deed>,
    /// How many more there were.
    pub more: u64,
}

/// A deed without names of fields.
type Row = (String, String, String, String, u64);

/// What is written.
#[derive(Serialize, Deserialize)]
struct Packed {
    packed: String,
    more: u64,
}

impl Deeds {
    /// Those of all that fit. `untold` were not named to begin with.
    pub fn of(mut all: Vec<Deed>, untold: u64) -> Self {
        let count = all.len() as u64;
        all.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| (&a.rule, &a.path).cmp(&(&b.rule, &b.path))));
        all.truncate(MOST);
        for deed in &mut all {
            deed.path = truncate(&deed.path, LONGEST.0);
            deed.why = truncate(&deed.why, LONGEST.1);
        }
        // Each try is a millisecond, and there are seven at most: what fits grows with the number of rows.
        let fits = |count: &usize| packed::text(&rows(&all[..*count])).len() <= ROOM;
        let (mut low, mut high) = (0, all.len());
        while low < high {
            let middle = (low + high).div_ceil(2);
            if fits(&middle) { low = middle } else { high = middle - 1 }
        }
        all.truncate(low);
        Self { more: untold + count - all.len() as u64, told: all }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty() && self.more == 0
    }
}

fn rows(deeds: &[Deed]) -> Vec<Row> {
    let row = |it: &Deed| (it.rule.clone(), it.what.clone(), it.path.clone(), it.why.clone(), it.bytes);
    deeds.iter().map(row).collect()
}

impl Serialize for Deeds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Packed { packed: packed::text(&rows(&self.told)), more: self.more }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Deeds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Packed { packed, more } = Packed::deserialize(deserializer)?;
        let rows: Vec<Row> = packed::read(&packed).map_err(|error| D::Error::custom(format!("deeds: {error}")))?;
        let deed = |(rule, what, path, why, bytes): Row| Deed { rule, what, path, why, bytes };
        Ok(Self { told: rows.into_iter().take(MOST).map(deed).collect(), more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Reason;
    use crate::contract::outcome::{LIMIT, Outcome};

    fn deed(number: u64) -> Deed {
        let (rule, what) = ("old-images".to_owned(), "to the trash".to_owned());
        let path = format!("assets/images/{}/{}.png", number % 7, crate::api::name::short_hash(&[&number.to_string()]));
        Deed { rule, what, path, why: "last written to 31d ago".into(), bytes: 1000 + number }
    }

    #[test]
    fn the_largest_are_told_in_the_room_that_there_is_and_the_rest_is_counted() {
        for (count, untold) in [(0, 0), (1, 0), (30, 0), (1000, 25_000)] {
            let deeds = Deeds::of((0..count).map(deed).collect(), untold);
            assert_eq!(deeds.told.len() as u64 + deeds.more, count + untold);
            assert!(count > 40 || deeds.more == 0, "{count}: {} are told", deeds.told.len());
            assert!(deeds.told.windows(2).all(|it| it[0].bytes >= it[1].bytes));
            let outcome = Outcome { deeds: deeds.clone(), ..Outcome::success(Reason::Cleaned, "m".repeat(1000)) };
            let text = outcome.to_json();
            assert!(text.len() <= LIMIT, "{}", text.len());
            let read = Outcome::parse(&text).unwrap();
            assert_eq!((read.deeds, read.message.len()), (deeds, 1000));
        }
        let long = Deed { path: "x".repeat(100_000), ..deed(1) };
        assert_eq!(Deeds::of(vec![long], 0).told.len(), 1);
    }

    #[test]
    fn what_cannot_be_unpacked_is_no_outcome() {
        let text = Outcome::success(Reason::Cleaned, "x").to_json();
        let text = text.replace("\"message\"", "\"deeds\":{\"packed\":\"%\",\"more\":0},\"message\"");
        assert!(Outcome::parse(&text).unwrap_err().to_string().contains("deeds"));
    }
}
