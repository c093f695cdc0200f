//! Does a path match a pattern, as Python's `fnmatch` reads it? The semantics that users of the hub's own client know.
//!
//! `*` is any text, also across `/`; `?` is one character; `[seq]` and `[!seq]` are sets with ranges; there is no escape
//! and no brace. Case counts. Differs from every glob crate, hence ours; held to a table made by `CPython`.

/// What is wanted, and what is not. Patterns are read once, however many paths are held against them.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    include: Vec<Vec<Piece>>,
    exclude: Vec<Vec<Piece>>,
}

impl Patterns {
    /// Reads them.
    pub fn new(include: &[String], exclude: &[String]) -> Self {
        let read = |patterns: &[String]| patterns.iter().map(|it| entry(it)).collect();
        Self { include: read(include), exclude: read(exclude) }
    }

    /// Whether a path is wanted: it matches one of `include` (or there is none) and none of `exclude`.
    pub fn want(&self, path: &str) -> bool {
        if self.are_none() {
            return true;
        }
        let text: Vec<char> = path.chars().collect();
        let any = |patterns: &[Vec<Piece>]| patterns.iter().any(|it| is_matched(it, &text));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }

    /// Whether a path matches one of `exclude`.
    pub fn exclude(&self, path: &str) -> bool {
        let text: Vec<char> = path.chars().collect();
        self.exclude.iter().any(|it| is_matched(it, &text))
    }

    /// Whether only some paths can be wanted because `include` says which.
    pub fn name_what_is_wanted(&self) -> bool {
        !self.include.is_empty()
    }

    /// Whether there are none: then everything is wanted.
    pub fn are_none(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }
}

/// A pattern that ends in `/` takes the whole directory, as in `huggingface_hub`'s `filter_repo_objects`.
fn entry(pattern: &str) -> Vec<Piece> {
    if pattern.ends_with('/') { parse(&format!("{pattern}*")) } else { parse(pattern) }
}

/// One piece of a pattern.
#[derive(Clone, Debug)]
enum Piece {
    Star,
    Any,
    One(char),
    Set { negated: bool, ranges: Vec<(char, char)> },
}

/// Whether the whole text matches the pattern.
pub fn matches(pattern: &str, text: &str) -> bool {
    is_matched(&parse(pattern), &text.chars().collect::<Vec<char>>())
}

fn is_matched(pieces: &[Piece], text: &[char]) -> bool {
    let (mut piece, mut at) = (0, 0);
    // Where the last star stands, and how much of the text it has taken. Only the last one need ever take more.
    let mut star: Option<(usize, usize)> = None;
    while let Some(&character) = text.get(at) {
        let step = match pieces.get(piece) {
            Some(Piece::Star) => {
                star = Some((piece, at));
                piece += 1;
                continue;
            }
            Some(Piece::Any) => true,
            Some(Piece::One(expected)) => *expected == character,
            Some(Piece::Set { negated, ranges }) => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&character)) != *negated
            }
            None => false,
        };
        if step {
            (piece, at) = (piece + 1, at + 1);
        } else if let Some((after, taken)) = star {
            star = Some((after, taken + 1));
            (piece, at) = (after + 1, taken + 1);
        } else {
            return false;
        }
    }
    pieces.get(piece..).is_some_and(|rest| rest.iter().all(|it| matches!(it, Piece::Star)))
}

fn parse(pattern: &str) -> Vec<Piece> {
    let pattern: Vec<char> = pattern.chars().collect();
    let mut pieces = Vec::with_capacity(pattern.len());
    let mut at = 0;
    while let Some(&character) = pattern.get(at) {
        at += 1;
        match character {
            '*' => pieces.push(Piece::Star),
            '?' => pieces.push(Piece::Any),
            '[' => match set(pattern.get(at..).unwrap_or_default()) {
                Some((set, length)) => {
                    pieces.push(set);
                    at += length;
                }
                // Never closed: a bracket as any other character.
                None => pieces.push(Piece::One('[')),
            },
            other => pieces.push(Piece::One(other)),
        }
    }
    pieces
}

/// The set that begins after `[`, and the characters up to and with its `]`. A `]` in first place is one of the set.
fn set(rest: &[char]) -> Option<(Piece, usize)> {
    let negated = rest.first() == Some(&'!');
    let body = rest.get(usize::from(negated)..)?;
    let length = body.iter().skip(1).position(|character| *character == ']')? + 1;
    let ranges = ranges(body.get(..length)?);
    Some((Piece::Set { negated, ranges }, usize::from(negated) + length + 1))
}

/// Characters and ranges of a set's body, by `CPython`'s rule: cut it at each `-` that can stand for a range, drop the
/// ranges that run backwards, and what is left between the cuts are single characters.
fn ranges(body: &[char]) -> Vec<(char, char)> {
    let mut chunks: Vec<Vec<char>> = vec![];
    let (mut start, mut search) = (0, 1);
    while let Some(dash) = (search..body.len()).find(|at| body.get(*at) == Some(&'-')) {
        chunks.push(body.get(start..dash).unwrap_or_default().to_vec());
        (start, search) = (dash + 1, dash + 3);
    }
    match (body.get(start..).unwrap_or_default(), chunks.last_mut()) {
        ([], Some(last)) => last.push('-'),
        (rest, _) => chunks.push(rest.to_vec()),
    }
    for at in (1..chunks.len()).rev() {
        let [.., before, after] = chunks.get(..=at).unwrap_or_default() else { continue };
        if let (Some(first), Some(last)) = (before.last(), after.first())
            && first > last
        {
            let merged = [before.get(..before.len() - 1), after.get(1..)].into_iter().flatten().flatten().copied();
            let merged = merged.collect();
            chunks.splice(at - 1..=at, [merged]);
        }
    }
    let between = chunks.windows(2).filter_map(|pair| match pair {
        [before, after] => Some((*before.last()?, *after.first()?)),
        _ => None,
    });
    let singles = chunks.iter().flatten().map(|character| (*character, *character));
    singles.chain(between).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pattern, text, and what `CPython`'s `fnmatch.fnmatchcase` says; see `fnmatch_table.py`.
    const TABLE: &str = include_str!("fnmatch_table.json");

    #[test]
    fn every_row_of_cpythons_table_is_answered_the_same() {
        let rows: Vec<(String, String, bool)> = serde_json::from_str(TABLE).unwrap();
        assert!(rows.len() > 1000);
        for (pattern, text, expected) in rows {
            assert_eq!(matches(&pattern, &text), expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn a_pattern_that_ends_in_a_slash_takes_the_whole_directory() {
        let list = |text: &str| if text.is_empty() { vec![] } else { vec![text.to_owned()] };
        for (path, include, exclude, wanted) in [
            ("original/a/b.bin", "original/", "", true),
            ("originals.bin", "original/", "", false),
            ("a/b.onnx", "", "*.onnx", false),
            ("A.ONNX", "*.onnx", "", false),
            ("a/b.onnx", "a/", "*.onnx", false),
            ("x", "", "", true),
        ] {
            let patterns = Patterns::new(&list(include), &list(exclude));
            assert_eq!(patterns.want(path), wanted, "{path}: {patterns:?}");
            assert_eq!(patterns.exclude(path), exclude == "*.onnx", "{path}: {patterns:?}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        assert!(!matches(&"a*".repeat(500), &"a".repeat(499)));
        assert!(!matches(&format!("{}b", "*a".repeat(100)), &"a".repeat(1000)));
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in "[\\[\\]!^a-c*?/\\\\-]{0,16}", text in "[a-c/\\[\\]-]{0,12}") {
            let _ = matches(&pattern, &text);
        }

        #[test]
        fn a_text_without_special_characters_matches_itself(text in "[^\\[*?]{0,20}") {
            prop_assert!(matches(&text, &text));
        }
    }
}
