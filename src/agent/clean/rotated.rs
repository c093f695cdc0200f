//! What is a rotated log called, and what does a killed rotation leave? Pure.
//!
//! ```text
//! app.log                              the log
//! app.log.20261121T030000Z             rotated at that time
//! app.log.20261121T030000Z.zst         and compressed
//! .app.log.20261121T030000Z.new        the empty log that takes its place
//! .app.log.20261121T030000Z.copy       CopyTruncate: being copied, the log is whole
//! .app.log.20261121T030000Z.cut        CopyTruncate: copied whole, the log is about to be cut
//! .app.log.20261121T030000Z.part       being compressed, the original is whole
//! ```

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Letters of a time in a name.
const STAMP: usize = "20261121T030000Z".len();
const FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// A rotated log.
    Rotated {
        /// The log's name.
        log: &'a [u8],
        /// When, in seconds since 1970.
        time: i64,
        /// Whether it is compressed.
        compressed: bool,
    },
    /// What a run makes on its way; a killed one leaves it.
    Aside {
        /// The log's name.
        log: &'a [u8],
        /// When, in seconds since 1970.
        time: i64,
        /// Which.
        what: Aside,
    },
    /// Anything else.
    Other,
}

/// What a run makes on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// The empty log that takes the place of the rotated one.
    New,
    /// A copy that may not be whole; the log is.
    Copy,
    /// A whole copy, of a log that is cut or not.
    Cut,
    /// A compressed file that may not be whole; the original is.
    Part,
}

impl Aside {
    const ALL: [(Self, &'static [u8]); 4] =
        [(Self::New, b".new"), (Self::Copy, b".copy"), (Self::Cut, b".cut"), (Self::Part, b".part")];

    fn suffix(self) -> &'static [u8] {
        Self::ALL.iter().find(|(it, _)| *it == self).map_or(b"", |(_, suffix)| suffix)
    }
}

/// What a file's name says.
pub fn read(name: &[u8]) -> Name<'_> {
    for (what, suffix) in Aside::ALL {
        let inner = name.strip_suffix(suffix).and_then(|it| it.strip_prefix(b"."));
        if let Some((log, time)) = inner.and_then(stamped_log) {
            return Name::Aside { log, time, what };
        }
    }
    let plain = name.strip_suffix(b".zst").unwrap_or(name);
    match stamped_log(plain) {
        Some((log, time)) => Name::Rotated { log, time, compressed: plain.len() < name.len() },
        None => Name::Other,
    }
}

fn stamped_log(name: &[u8]) -> Option<(&[u8], i64)> {
    let at = name.len().checked_sub(STAMP)?;
    let (log, time) = name.split_at_checked(at)?;
    let log = log.strip_suffix(b".").filter(|it| !it.is_empty())?;
    Some((log, stamp(time)?))
}

/// The time that a stamp says, in seconds since 1970.
pub fn stamp(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok().filter(|it| it.len() == STAMP)?;
    let time = DateTime::strptime(FORMAT, text).ok()?.to_zoned(TimeZone::UTC).ok()?;
    // What strptime forgives (a sign, a blank) is no stamp of ours.
    (stamped(time.timestamp().as_second()) == text).then(|| time.timestamp().as_second())
}

/// The stamp of a time in seconds since 1970.
pub fn stamped(time: i64) -> String {
    Timestamp::from_second(time).unwrap_or_default().strftime(FORMAT).to_string()
}

/// The name of a log rotated at a time.
pub fn rotated(log: &[u8], time: i64) -> Vec<u8> {
    [log, b".", stamped(time).as_bytes()].concat()
}

/// The name of what a run makes on its way.
pub fn aside(log: &[u8], time: i64, what: Aside) -> Vec<u8> {
    [b".", log, b".", stamped(time).as_bytes(), what.suffix()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_is_and_names_of_others_are_left_to_them() {
        let time = 1_795_230_000;
        assert_eq!(stamped(time), "20261121T030000Z");
        let rotated = |compressed| Name::Rotated { log: b"app.log", time, compressed };
        for (name, expected) in [
            (&b"app.log.20261121T030000Z"[..], rotated(false)),
            (b"app.log.20261121T030000Z.zst", rotated(true)),
            (b".app.log.20261121T030000Z.part", Name::Aside { log: b"app.log", time, what: Aside::Part }),
            (b"app.log", Name::Other),
            (b"app.log.1", Name::Other),
            (b"app.log.20261121", Name::Other),
            (b"app.log.20261341T030000Z", Name::Other),
            (b"app.log.+0261121T030000Z", Name::Other),
            (b".20261121T030000Z", Name::Other),
            (b"20261121T030000Z", Name::Other),
            (b"app.log.20261121T030000Z.part", Name::Other),
            (b"app.log.20261121T030000Z.gz", Name::Other),
        ] {
            assert_eq!(read(name), expected, "{}", String::from_utf8_lossy(name));
        }
    }

    #[test]
    fn every_name_that_we_make_is_read_back() {
        for log in [&b"app.log"[..], b"two\nlines", b"\xff", b".hidden", b"app.log.20261121T030000Z"] {
            assert_eq!(read(&super::rotated(log, 7)), Name::Rotated { log, time: 7, compressed: false });
            for (what, _) in Aside::ALL {
                assert_eq!(read(&aside(log, 7, what)), Name::Aside { log, time: 7, what });
            }
        }
    }
}
