//! When is the next time? Five-field cron in a time zone, as `batch/v1` CronJobs have them.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use schemars::{Schema, SchemaGenerator, json_schema};

/// A schedule that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// Not five fields of cron, or a time that never comes.
    #[error(
        "schedule `{0}` must be five fields of cron (minute, hour, day of month, month, day of week) that meet a day"
    )]
    Cron(String),
    /// Not a zone of the IANA database.
    #[error("timeZone `{0}` must be a name of the IANA time zone database, such as Europe/Istanbul")]
    TimeZone(String),
}

/// A schedule in its time zone.
#[derive(Clone)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// Reads a schedule. UTC when no time zone is named.
    ///
    /// # Errors
    /// When the cron or the zone cannot be read, or no day ever matches (30 February).
    pub fn parse(cron: &str, time_zone: Option<&str>) -> Result<Self, InvalidSchedule> {
        let invalid = || InvalidSchedule::Cron(cron.to_owned());
        // What only croner knows (seconds, `L`, `W`, `#`, `?`, `@daily`) a CronJob of Kubernetes does not read alike.
        let fields: Vec<&str> = cron.split(' ').collect();
        let plain = fields.len() == 5 && fields.iter().enumerate().all(|(at, field)| is_plain(field, at >= 3));
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parsed = parser.parse(cron).ok().filter(|_| plain).ok_or_else(invalid)?;
        let this = Self { cron: parsed, zone: zone(time_zone)? };
        this.next_after(Timestamp::UNIX_EPOCH).map(|_| this).ok_or_else(invalid)
    }

    /// The first time after this one.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        self.cron.find_next_occurrence(&self.local(time), false).ok().map(|it| it.timestamp())
    }

    /// The last time that is not after this one.
    pub fn last_until(&self, time: Timestamp) -> Option<Timestamp> {
        self.cron.find_previous_occurrence(&self.local(time), true).ok().map(|it| it.timestamp())
    }

    fn local(&self, time: Timestamp) -> Zoned {
        time.to_zoned(self.zone.clone())
    }
}

/// Numbers, lists, ranges and steps; names of three letters where months and days have them.
fn is_plain(field: &str, names: bool) -> bool {
    let letters = field.split(|it: char| !it.is_ascii_alphabetic()).filter(|it| !it.is_empty());
    let known = field.bytes().all(|it| it.is_ascii_alphanumeric() || b"*/,-".contains(&it));
    known && letters.into_iter().all(|word| names && word.len() == 3)
}

/// A zone of the IANA database that this binary carries; UTC when none is named.
///
/// # Errors
/// When there is no such zone.
pub fn zone(name: Option<&str>) -> Result<TimeZone, InvalidSchedule> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    TimeZone::get(name).map_err(|_| InvalidSchedule::TimeZone(name.to_owned()))
}

/// Schema of a schedule. What the fields may hold is checked by the operator; the shape is checked here.
pub fn schedule_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 100,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[0-9*/,-]+ [0-9*/,-]+ [0-9*/,-]+ [0-9A-Za-z*/,-]+ [0-9A-Za-z*/,-]+$')",
            "message": "must be five fields of cron (minute, hour, day of month, month, day of week) with one space between them, such as `0 2 * * *`"
        }]
    })
}

/// Schema of a time zone's name.
pub fn time_zone_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 64,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$') && self != 'Local'",
            "message": "must be a name of the IANA time zone database, such as Europe/Istanbul or UTC"
        }]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_next_and_the_last_time_are_those_of_the_wall_clock_in_the_zone() {
        for (cron, zone, from, last, next) in [
            ("0 2 * * *", None, "2026-11-21T12:00:00Z", "2026-11-21T02:00:00Z", "2026-11-22T02:00:00Z"),
            ("0 2 * * *", None, "2026-11-21T02:00:00Z", "2026-11-21T02:00:00Z", "2026-11-22T02:00:00Z"),
            (
                "0 2 * * *",
                Some("Europe/Istanbul"),
                "2026-11-21T12:00:00Z",
                "2026-11-20T23:00:00Z",
                "2026-11-21T23:00:00Z",
            ),
            ("*/15 * * * 1-5", None, "2026-11-21T12:01:00Z", "2026-11-20T23:45:00Z", "2026-11-23T00:00:00Z"),
            ("0 4 * * sun", None, "2026-11-21T12:00:00Z", "2026-11-15T04:00:00Z", "2026-11-22T04:00:00Z"),
            ("30 12 29 2 *", None, "2026-11-21T12:00:00Z", "2024-02-29T12:30:00Z", "2028-02-29T12:30:00Z"),
        ] {
            let schedule = Schedule::parse(cron, zone).unwrap();
            assert_eq!(schedule.last_until(at(from)), Some(at(last)), "{cron} {zone:?}");
            assert_eq!(schedule.next_after(at(from)), Some(at(next)), "{cron} {zone:?}");
        }
    }

    #[test]
    fn an_hour_that_is_skipped_or_repeated_makes_one_run_a_day() {
        // Clocks in Berlin go from 02:00 to 03:00 on 29 March 2026, and from 03:00 back to 02:00 on 25 October.
        let schedule = Schedule::parse("30 2 * * *", Some("Europe/Berlin")).unwrap();
        for (from, until) in
            [("2026-03-28T12:00:00Z", "2026-03-31T12:00:00Z"), ("2026-10-24T12:00:00Z", "2026-10-27T12:00:00Z")]
        {
            let (mut time, mut runs) = (at(from), 0);
            while let Some(next) = schedule.next_after(time).filter(|it| *it < at(until)) {
                (time, runs) = (next, runs + 1);
            }
            assert_eq!(runs, 3, "{from}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_what_one_is() {
        for cron in [
            "",
            "0 2 * *",
            "0 0 2 * * *",
            "60 2 * * *",
            "0 2 30 2 *",
            "@daily",
            "TZ=UTC 0 2 * * *",
            "0 2 L * *",
            "0 2 ? * *",
            "0 2 * * 5L",
            "0  2 * * *",
        ] {
            assert_eq!(Schedule::parse(cron, None).err().unwrap(), InvalidSchedule::Cron(cron.into()));
        }
        let error = Schedule::parse("0 2 * * *", Some("Mars/Olympus")).err().unwrap();
        assert_eq!(error, InvalidSchedule::TimeZone("Mars/Olympus".into()));
    }
}
