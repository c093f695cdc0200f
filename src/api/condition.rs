//! Which conditions does an object have, and when did each last change?
//!
//! The kstatus contract: `Ready` always, `Reconciling` and `Stalled` only while true
//! (<https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md>).

use super::Reason;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Every condition type of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConditionType {
    /// The summary: everything wanted is there and verified.
    Ready,
    /// Work is under way. Absent when there is none.
    Reconciling,
    /// Nothing will change until a person acts. Absent otherwise.
    Stalled,
    /// Every source has a pin.
    Resolved,
    /// Every volume has its claim.
    StorageReady,
    /// Every copy holds the plan wanted.
    Warm,
    /// Every copy was found as it was published, when it was last checked. Stated while `verify` is set.
    Verified,
    /// What is pinned is what the origins have, when they were last asked. Stated while `refresh` asks.
    UpToDate,
    /// The last backup succeeded. Only where backups are asked for.
    BackedUp,
    /// The last clean-up of every copy did all it should. Stated while `cleanup` has a schedule.
    Clean,
    /// A backup or a restore is done, for good.
    Complete,
    /// A NodeCachePool has matching nodes.
    NodesMatched,
}

/// A condition's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Holds.
    True,
    /// Does not hold.
    False,
    /// Not known yet.
    Unknown,
}

impl Truth {
    const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// What a condition says now; [`merge`] adds since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Which condition.
    pub type_: ConditionType,
    /// Its value.
    pub status: Truth,
    /// Why, from the closed list.
    pub reason: Reason,
    /// What happened and what to do.
    pub message: String,
}

impl Statement {
    /// A statement.
    pub fn new(type_: ConditionType, status: Truth, reason: Reason, message: impl Into<String>) -> Self {
        Self { type_, status, reason, message: message.into() }
    }
}

/// The new list of conditions: what `statements` say, with the transition time kept where the status did not change.
/// Conditions that are not stated are dropped: nobody else writes to our status.
pub fn merge(previous: &[Condition], statements: &[Statement], generation: Option<i64>, now: &Time) -> Vec<Condition> {
    statements
        .iter()
        .map(|statement| {
            let type_ = format!("{:?}", statement.type_);
            let status = statement.status.as_str().to_owned();
            let since = previous
                .iter()
                .find(|condition| condition.type_ == type_ && condition.status == status)
                .map_or_else(|| now.clone(), |condition| condition.last_transition_time.clone());
            Condition {
                type_,
                status,
                reason: statement.reason.as_str(),
                message: truncate(&statement.message, 2048),
                observed_generation: generation,
                last_transition_time: since,
            }
        })
        .collect()
}

/// The condition of a type, if it is stated.
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    let name = format!("{type_:?}");
    conditions.iter().find(|condition| condition.type_ == name)
}

/// Whether the condition of a type is stated and true.
pub fn is_true(conditions: &[Condition], type_: ConditionType) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}

/// The reason of a condition. `None` for one that is not of our list.
pub fn reason_of(condition: &Condition) -> Option<Reason> {
    serde_json::from_value(serde_json::Value::String(condition.reason.clone())).ok()
}

/// At most `limit` bytes of a text, cut between characters.
pub fn truncate(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = (0..=limit.saturating_sub(3)).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// Schema of a list of conditions: a map keyed by type.
pub(crate) fn conditions_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "description": "What is known about the object, by type. `Ready` sums it up.",
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string", "maxLength": 63, "description": "Which condition."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Its value."},
                "reason": {"type": "string", "maxLength": 63, "description": "Why, from a closed list."},
                "message": {"type": "string", "maxLength": 4096, "description": "What happened and what to do."},
                "observedGeneration": {"type": "integer", "format": "int64", "description": "The generation of the spec this was said about."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When the status last changed."}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(jiff::Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn the_transition_time_moves_only_when_the_status_does() {
        let said = |status, reason| [Statement::new(ConditionType::Ready, status, reason, "x")];
        let first = merge(&[], &said(Truth::Unknown, Reason::Pending), Some(1), &at(1));
        let second = merge(&first, &said(Truth::Unknown, Reason::Resolving), Some(1), &at(2));
        let third = merge(&second, &said(Truth::True, Reason::Warmed), Some(2), &at(3));
        assert_eq!(second[0].last_transition_time, at(1));
        assert_eq!(second[0].reason, "Resolving");
        assert_eq!(third[0].last_transition_time, at(3));
        assert_eq!(third[0].observed_generation, Some(2));
    }

    #[test]
    fn a_condition_that_is_no_longer_stated_goes() {
        let first =
            merge(&[], &[Statement::new(ConditionType::Stalled, Truth::True, Reason::NotFound, "x")], None, &at(1));
        assert!(merge(&first, &[], None, &at(2)).is_empty());
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        assert_eq!(truncate("ééé", 6), "ééé");
        assert_eq!(truncate("éééé", 6), "é…");
    }
}
