//! May this object be looked at again already?
//!
//! The first event of a burst is answered at once and the rest together, one interval later. A debounce would answer none of
//! them while they keep coming, and a cache of a large fleet never falls silent while its copies move.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between the beginnings of two reconciles of an object.
#[derive(Debug)]
pub(super) struct Throttle {
    interval: Duration,
    begun: Mutex<HashMap<String, Instant>>,
}

impl Throttle {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, begun: Mutex::default() }
    }

    /// Begins a reconcile of an object now, or says how long it must wait.
    pub(super) fn begin(&self, object: &str, now: Instant) -> Result<(), Duration> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |since: &Instant| self.interval.saturating_sub(now.saturating_duration_since(*since));
        if let Some(wait) = begun.get(object).map(wait).filter(|it| !it.is_zero()) {
            return Err(wait);
        }
        // What began long ago holds nobody back: no object that is gone is remembered.
        begun.retain(|_, since| !wait(since).is_zero());
        begun.insert(object.to_owned(), now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(300);

    #[test]
    fn the_first_of_a_burst_begins_at_once_and_the_rest_once_an_interval_however_many_come() {
        let (throttle, start) = (Throttle::new(INTERVAL), Instant::now());
        let begun: Vec<u64> = (0..1000)
            .step_by(10)
            .filter(|at| throttle.begin("a", start + Duration::from_millis(*at)).is_ok())
            .collect();
        assert_eq!(begun, [0, 300, 600, 900]);
    }

    #[test]
    fn what_must_wait_is_told_how_long_and_then_begins() {
        let (throttle, start) = (Throttle::new(INTERVAL), Instant::now());
        assert_eq!(throttle.begin("a", start), Ok(()));
        let later = start + Duration::from_millis(100);
        assert_eq!(throttle.begin("a", later), Err(Duration::from_millis(200)));
        assert_eq!(throttle.begin("b", later), Ok(()), "objects do not hold each other back");
        assert_eq!(throttle.begin("a", later + Duration::from_millis(200)), Ok(()));
    }

    #[test]
    fn objects_that_are_gone_are_forgotten() {
        let (throttle, start) = (Throttle::new(INTERVAL), Instant::now());
        for index in 0..100_u64 {
            let _ = throttle.begin(&format!("{index}"), start + Duration::from_millis(index));
        }
        let _ = throttle.begin("last", start + Duration::from_secs(9));
        assert_eq!(throttle.begun.lock().unwrap().len(), 1);
    }
}
