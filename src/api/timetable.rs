//! When is what of a cache done by itself? The schedules of its spec, read in its time zone.

use super::model_cache::ModelCacheSpec;
use super::schedule::{InvalidSchedule, Schedule, schedule_schema, zone};
use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Checks, by themselves, that what is on the volumes is still what was put there. Damage makes a copy not ready and is
/// repaired: only what is damaged is fetched again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.quick) || has(self.deep)")
        .message("`verify` must have `quick`, `deep` or both")
)]
pub struct Verify {
    /// When kind, size, mode and target of every file and link are looked at, such as `0 4 * * *`. Seconds of work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schedule_schema")]
    pub quick: Option<String>,
    /// When every file is hashed, such as `0 4 * * 0`. Reads every byte of the copy once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schedule_schema")]
    pub deep: Option<String>,
}

/// Asks the origins anew, by themselves, what the sources are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.policy == 'Never' || has(self.schedule)")
        .message("`schedule` must be set when `policy` is Notify or Update")
)]
pub struct Refresh {
    /// What happens when an origin has something newer than what is pinned.
    pub policy: RefreshPolicy,
    /// When the origins are asked, such as `0 5 * * 1`. A source that names a commit or a hash is never asked: it cannot move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schedule_schema")]
    pub schedule: Option<String>,
}

/// What happens when an origin has something newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RefreshPolicy {
    /// The origins are not asked again.
    Never,
    /// It is said (`UpToDate=False`); what is pinned stays.
    Notify,
    /// It is pinned, and put beside the old content on every node before it takes its place.
    Update,
}

/// The schedules of a cache.
#[derive(Clone, Default)]
pub struct Timetable {
    /// When every copy is looked at.
    pub quick: Option<Times>,
    /// When every copy is hashed.
    pub deep: Option<Times>,
    /// When the origins are asked anew.
    pub refresh: Option<Times>,
    /// When the volumes are cleaned.
    pub clean: Option<Times>,
}

/// A schedule, and how it is written.
#[derive(Clone)]
pub struct Times {
    schedule: Schedule,
    text: String,
}

/// A schedule of a cache that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("spec.{field}: {source}")]
pub struct InvalidTimetable {
    /// Path of the field below `spec`.
    pub field: &'static str,
    /// What must hold.
    pub source: InvalidSchedule,
}

impl Timetable {
    /// Reads the schedules of a spec.
    ///
    /// # Errors
    /// What the schema cannot check: a time zone that does not exist, a day that never comes.
    pub fn of(spec: &ModelCacheSpec) -> Result<Self, InvalidTimetable> {
        let name = spec.time_zone.as_deref();
        // Also where nothing is scheduled yet: a wrong name is said when it is written.
        zone(name).map_err(|source| InvalidTimetable { field: "timeZone", source })?;
        let times = |field, cron: Option<&String>| -> Result<Option<Times>, InvalidTimetable> {
            cron.map(|cron| Times::parse(cron, name).map_err(|source| InvalidTimetable { field, source })).transpose()
        };
        let refresh = times("refresh.schedule", spec.refresh.as_ref().and_then(|it| it.schedule.as_ref()))?;
        Ok(Self {
            quick: times("verify.quick", spec.verify.as_ref().and_then(|it| it.quick.as_ref()))?,
            deep: times("verify.deep", spec.verify.as_ref().and_then(|it| it.deep.as_ref()))?,
            refresh: refresh.filter(|_| spec.refresh_policy() != RefreshPolicy::Never),
            clean: times("cleanup.schedule", spec.cleanup.as_ref().and_then(|it| it.schedule.as_ref()))?,
        })
    }
}

impl Times {
    /// Reads a schedule.
    ///
    /// # Errors
    /// See [`Schedule::parse`].
    pub fn parse(cron: &str, time_zone: Option<&str>) -> Result<Self, InvalidSchedule> {
        let schedule = Schedule::parse(cron, time_zone)?;
        Ok(Self { schedule, text: format!("{cron} {}", time_zone.unwrap_or("UTC")) })
    }

    /// The schedule with its time zone, as the status remembers it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first time after this one.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        self.schedule.next_after(time)
    }

    /// The last time that is not after this one.
    pub fn last_until(&self, time: Timestamp) -> Option<Timestamp> {
        self.schedule.last_until(time)
    }
}

impl std::fmt::Debug for Times {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::fmt::Debug for Timetable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { quick, deep, refresh, clean } = self;
        write!(formatter, "quick {quick:?}, deep {deep:?}, refresh {refresh:?}, clean {clean:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(fields: &Value) -> Result<Timetable, InvalidTimetable> {
        let mut spec = json!({"volumes": [{"name": "models", "existingClaim": {"claimName": "c"}}]});
        spec.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap());
        Timetable::of(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn the_schedules_are_those_of_the_wall_clock_in_the_caches_time_zone() {
        let fields = json!({"timeZone": "Europe/Istanbul", "verify": {"deep": "0 4 * * 0"}});
        let table = read(&fields).unwrap();
        let deep = table.deep.unwrap();
        let next = deep.next_after("2026-11-21T12:00:00Z".parse().unwrap());
        assert_eq!(next, Some("2026-11-22T01:00:00Z".parse().unwrap()));
        assert_eq!(deep.text(), "0 4 * * 0 Europe/Istanbul");
        assert!(table.quick.is_none() && table.refresh.is_none());
    }

    #[test]
    fn a_policy_of_never_asks_nobody_whatever_the_schedule_says() {
        let refresh = |policy: &str| read(&json!({"refresh": {"policy": policy, "schedule": "0 5 * * 1"}})).unwrap();
        assert!(refresh("Never").refresh.is_none());
        assert!(refresh("Notify").refresh.is_some());
        assert!(refresh("Update").refresh.is_some());
    }

    #[test]
    fn what_the_schema_cannot_check_names_its_field_and_says_what_must_hold() {
        for (fields, field, message) in [
            (json!({"timeZone": "Mars/Olympus"}), "timeZone", "must be a name of the IANA time zone database"),
            (json!({"verify": {"quick": "0 2 30 2 *"}}), "verify.quick", "that meet a day"),
            (json!({"verify": {"deep": "61 2 * * *"}}), "verify.deep", "must be five fields of cron"),
            (
                json!({"refresh": {"policy": "Never", "schedule": "0 25 * * *"}}),
                "refresh.schedule",
                "must be five fields of cron",
            ),
            (
                json!({"cleanup": {"schedule": "0 2 31 2 *", "rules": [{"name": "x", "cache": {}}]}}),
                "cleanup.schedule",
                "that meet a day",
            ),
        ] {
            let error = read(&fields).unwrap_err();
            assert_eq!(error.field, field);
            let text = error.to_string();
            assert!(text.starts_with(&format!("spec.{field}: ")) && text.contains(message), "{text}");
        }
    }
}
