//! How long to wait: after a fault of our own choosing, after a 429 as long as the host says.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::Mutex,
    time::{Duration, Instant, SystemTime},
};

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::lock::lock;

/// What a host that limits us without saying for how long is given at first; doubles while it goes on.
const UNSAID: Duration = Duration::from_secs(1);
const UNSAID_CAP: Duration = Duration::from_secs(60);

/// Hosts that asked us to wait. All connections to such a host wait together.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<HashMap<String, Pause>>);

#[derive(Debug)]
struct Pause {
    until: Instant,
    strikes: u32,
}

impl Pauses {
    /// Notes a "too many requests". Answers of requests that were under way when the pause began are one strike.
    pub(super) fn note(&self, host: &str, asked: Option<Duration>) -> Duration {
        let now = Instant::now();
        let mut hosts = lock(&self.0);
        let pause = hosts.entry(host.to_owned()).or_insert(Pause { until: now, strikes: 0 });
        if pause.until <= now {
            pause.strikes += 1;
        }
        let wait = asked.unwrap_or_else(|| doubled(UNSAID, UNSAID_CAP, pause.strikes.saturating_sub(1)));
        pause.until = pause.until.max(now + wait);
        wait
    }

    /// Forgets the strikes of a host that answers again.
    pub(super) fn clear(&self, host: &str) {
        let mut hosts = lock(&self.0);
        if hosts.get(host).is_some_and(|pause| pause.until <= Instant::now()) {
            hosts.remove(host);
        }
    }

    /// Waits until the host may be asked. Those who waited start over a quarter of a second, not all at once.
    pub(super) async fn wait(&self, host: &str) {
        loop {
            let until = lock(&self.0).get(host).map(|pause| pause.until);
            match until.and_then(|until| until.checked_duration_since(Instant::now())) {
                Some(left) if !left.is_zero() => {
                    tokio::time::sleep(left + Duration::from_millis(250).mul_f64(fraction())).await;
                }
                _ => return,
            }
        }
    }
}

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
    let mut fields = text("ratelimit")?.split(';').map(str::trim);
    let remaining = fields.clone().find_map(|field| field.strip_prefix("r="))?;
    let seconds: u64 = fields.find_map(|field| field.strip_prefix("t="))?.parse().ok()?;
    (remaining == "0").then(|| Duration::from_secs(seconds.saturating_add(1)))
}

/// Jittered exponential backoff: between half and the whole of `start × 2^faults`, at most `cap`.
pub(super) fn backoff(start: Duration, cap: Duration, faults: u32) -> Duration {
    doubled(start, cap, faults).mul_f64(0.5 + fraction() / 2.0)
}

fn doubled(start: Duration, cap: Duration, times: u32) -> Duration {
    start.saturating_mul(1_u32.checked_shl(times.min(30)).unwrap_or(u32::MAX)).min(cap)
}

/// A number in 0..1, different each time; std seeds every `RandomState` differently.
fn fraction() -> f64 {
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
    fn answers_that_were_under_way_count_as_one_strike() {
        let pauses = Pauses::default();
        assert_eq!(pauses.note("hub", None), UNSAID);
        assert_eq!(pauses.note("hub", None), UNSAID);
    }
}
