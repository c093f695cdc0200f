//! How long is `7d`?

use schemars::{Schema, SchemaGenerator, json_schema};
use std::time::Duration;

/// A duration that is not written as one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` must be a duration such as 90s, 30m, 12h, 7d or 4w")]
pub struct InvalidDuration(pub String);

/// The duration that people write as a number and one unit: `s`, `m`, `h`, `d` (24 hours) or `w` (7 days).
///
/// # Errors
/// When the text is anything else, or zero.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.to_owned());
    let split = text.len().checked_sub(1).and_then(|at| text.split_at_checked(at));
    let (number, unit) = split.ok_or_else(invalid)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return Err(invalid()),
    };
    let digits = (1..=6).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = if digits { number.parse().map_err(|_| invalid())? } else { 0 };
    if number == 0 { Err(invalid()) } else { Ok(Duration::from_secs(number * seconds)) }
}

/// Schema of a duration: a number of at most six digits and a unit.
pub fn duration_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 7,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^0*[1-9][0-9]*[smhdw]$')",
            "message": "must be a duration greater than zero: a number and one of s, m, h, d, w, such as 90s, 12h or 7d"
        }]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, seconds) in
            [("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800), ("4w", 2_419_200), ("007d", 604_800)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "d", "7", "0d", "-1d", "+1d", "1.5h", "1d12h", "7 d", "7D", "1000000s", "7é"] {
            assert_eq!(parse(text), Err(InvalidDuration(text.into())));
        }
    }
}
