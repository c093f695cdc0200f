//! When is a failure tried again?

use crate::api::model_cache::Failure;
use crate::api::name::short_hash;
use crate::api::{FailureClass, Reason};
use jiff::Timestamp;
use std::time::Duration;

/// When failures are tried again.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Pause before the first retry of a transient failure; doubled each time.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
    /// Pause after a failure that a person must mend.
    pub stalled: Duration,
}

impl RetryPolicy {
    /// The pause after `count` failures in a row. `seed` spreads the retries of many copies over a quarter of the pause;
    /// the same seed and count give the same pause, so that looking twice does not move the goal.
    pub fn pause(&self, reason: Reason, count: i64, seed: &str) -> Duration {
        let pause = match reason.class() {
            // Soon, but not at once: a node that turns every pod away would be asked without end.
            FailureClass::Disruption => self.first,
            FailureClass::User => self.stalled,
            FailureClass::Transient => {
                let doublings = u32::try_from(count.clamp(1, 21) - 1).unwrap_or(0);
                self.first.saturating_mul(1 << doublings).min(self.most)
            }
        };
        let jitter = u32::from_str_radix(&short_hash(&[seed, &count.to_string()]), 16).unwrap_or(0) % 256;
        pause + pause / 4 * jitter / 256
    }

    /// When a failure is due for its next try. A failure whose time cannot be read is due at once.
    pub fn due(&self, failure: &Failure, seed: &str) -> Timestamp {
        let since: Timestamp = failure.time.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        since.checked_add(self.pause(failure.reason, failure.count, seed)).unwrap_or(since)
    }
}

/// The record of one more failure. Disruptions do not count.
pub fn next_failure(previous: Option<&Failure>, reason: Reason, message: impl Into<String>, now: Timestamp) -> Failure {
    let before = previous.map_or(0, |failure| failure.count);
    let count = if reason.class() == FailureClass::Disruption { before } else { before + 1 };
    let message = crate::api::condition::truncate(&message.into(), 2048);
    Failure { reason, message, count, time: whole_seconds(now).to_string() }
}

/// The time without fractions: two looks within a second say the same.
pub fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            first: Duration::from_secs(10),
            most: Duration::from_secs(900),
            stalled: Duration::from_secs(600),
        }
    }

    #[test]
    fn pauses_grow_to_the_cap_and_never_past_it_and_its_jitter() {
        let mut last = Duration::ZERO;
        for count in 1..100 {
            let pause = policy().pause(Reason::Unreachable, count, "replica");
            assert!(pause <= Duration::from_secs(900 * 5 / 4), "{count}: {pause:?}");
            assert!(pause >= last.min(Duration::from_secs(900)) || count > 1, "{count}");
            last = pause;
        }
        assert!(policy().pause(Reason::Unreachable, 1, "x") < Duration::from_secs(13));
        assert!(last >= Duration::from_secs(900));
    }

    #[test]
    fn what_a_person_must_mend_is_retried_slowly_and_a_disruption_soon() {
        assert!(policy().pause(Reason::Unauthorized, 1, "x") >= Duration::from_secs(600));
        assert!(policy().pause(Reason::Evicted, 9, "x") < Duration::from_secs(13));
    }

    #[test]
    fn a_disruption_does_not_count_as_a_failure() {
        let now = Timestamp::UNIX_EPOCH;
        let first = next_failure(None, Reason::Unreachable, "x", now);
        let second = next_failure(Some(&first), Reason::Evicted, "x", now);
        let third = next_failure(Some(&second), Reason::OutOfMemory, "x", now);
        assert_eq!((first.count, second.count, third.count), (1, 1, 2));
    }
}
