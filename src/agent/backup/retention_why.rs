//! Why does a snapshot stay or go? Words for plans, Events and status.

use std::fmt;

/// A reason to keep a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// `keepLast`.
    Last,
    /// `keepHourly`.
    Hourly,
    /// `keepDaily`.
    Daily,
    /// `keepWeekly`.
    Weekly,
    /// `keepMonthly`.
    Monthly,
    /// `keepYearly`.
    Yearly,
    /// The oldest there is, while a rule has places left.
    Oldest(Box<Why>),
    /// `keepWithin`.
    Within,
    /// Pinned by a person.
    Pinned,
    /// `minGood`.
    LastGood,
    /// Made after now: a clock is wrong, and nothing is decided by it.
    Future,
    /// Not whole, but newer than every whole one.
    NewerThanGood,
    /// There are no rules.
    NoRules,
}

/// A reason to remove a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// No rule keeps it.
    NoRule,
    /// Not whole, and a newer one is.
    Failed,
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Last => "among the last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
            Self::Oldest(rule) => return write!(formatter, "oldest {rule}"),
            Self::Within => "within keepWithin",
            Self::Pinned => "pinned",
            Self::LastGood => "among the last good ones",
            Self::Future => "made in the future: a clock is wrong",
            Self::NewerThanGood => "incomplete, but newer than every good one",
            Self::NoRules => "no rule removes anything",
        })
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoRule => "no rule keeps it",
            Self::Failed => "incomplete, and a newer one is good",
        })
    }
}
