//! How long is it since, and how long will it take?

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The time since then, as kubectl shows ages: `42s`, `5m`, `3h`, `12d`.
pub fn since(then: Timestamp, now: Timestamp) -> String {
    let seconds = u64::try_from(now.as_second() - then.as_second()).unwrap_or(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The age of an object.
pub fn of(created: Option<&Time>, now: Timestamp) -> String {
    created.map(|it| since(it.0, now)).unwrap_or_default()
}

/// The time since a moment that a status names.
pub fn of_text(time: Option<&str>, now: Timestamp) -> String {
    time.and_then(|it| it.parse().ok()).map(|it| since(it, now)).unwrap_or_default()
}

/// Time that is left: `42s`, `5m03s`, `2h07m`.
pub fn left(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_long_as_a_person_wants_to_read() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let ago = |seconds: i64| since(Timestamp::from_second(1_000_000 - seconds).unwrap(), now);
        assert_eq!([ago(-5), ago(42), ago(300), ago(10_000), ago(900_000)], ["0s", "42s", "5m", "2h", "10d"]);
        assert_eq!([left(42), left(303), left(7620)], ["42s", "5m03s", "2h07m"]);
    }
}
