//! For how long is a file kept? `7d`, or `Forever`.

use super::duration::{self, InvalidDuration};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use std::time::Duration;

/// What says that a file never expires.
pub const FOREVER: &str = "Forever";

/// After how long a file expires; `None` for never.
///
/// # Errors
/// When the text is neither `Forever` nor a duration.
pub fn parse(text: Option<&str>) -> Result<Option<Duration>, InvalidDuration> {
    text.filter(|it| *it != FOREVER).map(duration::parse).transpose()
}

/// The part of a source's identity: a copy that may lose its file is another thing than one that keeps it, and a longer life
/// brings back what is gone. Nothing for a file that is kept for ever, however that is written.
pub fn identity(text: Option<&str>) -> Option<Value> {
    parse(text).ok().flatten().map(|after| json!({"expireAfterSeconds": after.as_secs()}))
}

/// Schema of an expiry.
pub fn expiry_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 7,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^(Forever|0*[1-9][0-9]*[smhdw])$')",
            "message": "must be `Forever`, or a duration greater than zero: a number and one of s, m, h, d, w, such as 90s, 12h or 7d"
        }]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_for_ever_unless_a_duration_says_otherwise() {
        for (text, days) in [(None, None), (Some("Forever"), None), (Some("7d"), Some(7)), (Some("48h"), Some(2))] {
            let expected = days.map(|days: u64| Duration::from_secs(days * 86_400));
            assert_eq!(parse(text), Ok(expected), "{text:?}");
        }
        for text in ["", "forever", "never", "0d", "7"] {
            assert!(parse(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn two_ways_to_write_one_duration_are_one_content() {
        assert_eq!(identity(Some("2d")), identity(Some("48h")));
        assert_eq!((identity(None), identity(Some("Forever"))), (None, None));
    }
}
