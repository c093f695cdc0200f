//! How long to wait: after a fault of our own choosing, after a limit as long as the host says.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::{Duration, SystemTime},
};

use http::header::{HeaderMap, RETRY_AFTER};

/// What the answer says about when to come back: `Retry-After` in seconds or as a date, or the hub's
/// `RateLimit: "api";r=0;t=55` (nothing remains, the window ends in 55 s), to which its own client adds one second.
pub(super) fn asked(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(value) = text(RETRY_AFTER.as_str()) {
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = jiff::fmt::rfc2822::parse(value).ok()?;
        return Some(SystemTime::from(date.timestamp()).duration_since(now).unwrap_or_default());
    }
    let quota = Quota::of(headers)?;
    (quota.remaining == 0).then_some(quota.reset)
}

/// How many requests a host still takes, and when it counts anew:
/// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) remaining: u64,
    pub(super) reset: Duration,
}

impl Quota {
    /// `RateLimit: "api";r=12;t=55`. Without `t` the window of `RateLimit-Policy: "api";q=500;w=300` is waited for.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let field = |name: &str, key: &str| -> Option<u64> {
            // Of several items the first is the one that the hub counts this request by.
            let item = headers.get(name)?.to_str().ok()?.split(',').next()?;
            item.split(';').map(str::trim).find_map(|field| field.strip_prefix(key))?.parse().ok()
        };
        let remaining = field("ratelimit", "r=")?;
        let seconds = field("ratelimit", "t=").or_else(|| field("ratelimit-policy", "w="))?;
        Some(Self { remaining, reset: Duration::from_secs(seconds.saturating_add(1)) })
    }
}

/// Jittered exponential backoff: between half and the whole of `start × 2^faults`, at most `cap`.
pub(super) fn backoff(start: Duration, cap: Duration, faults: u32) -> Duration {
    doubled(start, cap, faults).mul_f64(0.5 + fraction() / 2.0)
}

/// `start × 2^times`, at most `cap`.
pub(super) fn doubled(start: Duration, cap: Duration, times: u32) -> Duration {
    start.saturating_mul(1_u32.checked_shl(times.min(30)).unwrap_or(u32::MAX)).min(cap)
}

/// A number in 0..1, different each time; std seeds every `RandomState` differently.
pub(super) fn fraction() -> f64 {
    let random = u32::try_from(RandomState::new().hash_one(0) >> 32).unwrap_or_default();
    f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        [(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn a_host_says_when_to_come_back_in_three_ways() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_470);
        let seconds = |headers| asked(&headers, now).map(|wait| wait.as_secs());
        assert_eq!(seconds(headers("retry-after", "7")), Some(7));
        assert_eq!(seconds(headers("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")), Some(10));
        assert_eq!(seconds(headers("ratelimit", "\"api\";r=0;t=55")), Some(56));
        assert_eq!(seconds(headers("ratelimit", "\"api\";r=12;t=55")), None);
        assert_eq!(seconds(headers("retry-after", "soon")), None);
    }

    #[test]
    fn backoff_grows_to_its_cap_and_stays_there() {
        let (start, cap) = (Duration::from_millis(250), Duration::from_secs(15));
        assert!(backoff(start, cap, 0) <= start && backoff(start, cap, 0) >= start / 2);
        for faults in [10, 31, 32, u32::MAX] {
            assert!(backoff(start, cap, faults) <= cap && backoff(start, cap, faults) >= cap / 2);
        }
    }

    #[test]
    fn a_quota_without_a_reset_lasts_for_the_window_of_its_policy() {
        let mut all = headers("ratelimit", "\"api\";r=3");
        assert_eq!(Quota::of(&all), None);
        all.insert("ratelimit-policy", "\"fixed window\";\"api\";q=500;w=300".parse().unwrap());
        assert_eq!(Quota::of(&all), Some(Quota { remaining: 3, reset: Duration::from_secs(301) }));
    }
}
