//! How many connections are worth having. Few when few carry all that this machine can take: they cost memory and
//! cores, and a kill loses what their sockets hold. All that are allowed when each is slow.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{lock::lock, options::MIB};

/// Connections that a run starts with.
const FIRST: usize = 4;
/// A connection slower than this, in bytes per second, certainly leaves room for another.
const SLOW: u64 = 48 * MIB;
/// How often the rate is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long twice the connections are tried when they are not slow.
const TRIAL: Duration = Duration::from_secs(1);

/// Decides how many connections may work at a time, from what came over the network so far.
#[derive(Debug)]
pub(super) struct Crew {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    allowed: usize,
    /// Since when so many, and what had come by then.
    since: Option<(Instant, u64)>,
    looked: Option<(Instant, u64)>,
    /// The rate before the number was doubled to see whether that helps.
    trial: Option<u64>,
    /// How long to leave it before the next trial.
    patience: Duration,
}

impl Crew {
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        let state = State { allowed: FIRST.min(most), since: None, looked: None, trial: None, patience: TRIAL };
        Self { most, state: Mutex::new(state) }
    }

    /// How many may work now. `fetched` counts the run's bytes from the network. Pure but for what it remembers.
    pub(super) fn allowed(&self, now: Instant, fetched: u64) -> usize {
        let mut state = lock(&self.state);
        // Before the first byte there is nothing to judge: names are looked up, hands are shaken.
        let (Some(since), Some(looked)) = (state.since, state.looked) else {
            if fetched > 0 {
                (state.since, state.looked) = (Some((now, fetched)), Some((now, fetched)));
            }
            return state.allowed;
        };
        if now.duration_since(looked.0) >= LOOK {
            let current = rate(looked, now, fetched);
            state.looked = Some((now, fetched));
            if state.allowed < self.most && current / (state.allowed as u64) < SLOW {
                let more = state.allowed * 2;
                state.change(more, self.most, now, fetched, None);
            } else if now.duration_since(since.0) >= state.patience {
                let average = rate(since, now, fetched);
                match state.trial {
                    Some(before) if average < before + before / 7 => {
                        let fewer = state.allowed / 2;
                        state.patience = (state.patience * 4).min(Duration::from_secs(60));
                        state.change(fewer, self.most, now, fetched, None);
                    }
                    _ if state.allowed < self.most => {
                        state.patience = TRIAL;
                        let more = state.allowed * 2;
                        state.change(more, self.most, now, fetched, Some(average));
                    }
                    _ => state.trial = None,
                }
            }
        }
        state.allowed
    }

    /// When to ask again for those who may not work now.
    pub(super) fn look_again(now: Instant) -> Instant {
        now + LOOK
    }
}

impl State {
    fn change(&mut self, allowed: usize, most: usize, now: Instant, fetched: u64, trial: Option<u64>) {
        self.allowed = allowed.clamp(1, most);
        self.since = Some((now, fetched));
        self.trial = trial;
    }
}

fn rate((then, before): (Instant, u64), now: Instant, fetched: u64) -> u64 {
    let millis = u64::try_from(now.duration_since(then).as_millis()).unwrap_or(u64::MAX).max(1);
    fetched.saturating_sub(before).saturating_mul(1000) / millis
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets a link run for a while; `rate` gives its bytes per second for a number of connections.
    fn after(seconds: u32, rate: impl Fn(usize) -> u64) -> usize {
        let (crew, start) = (Crew::new(16), Instant::now());
        let mut fetched = 1;
        let mut allowed = 0;
        for tick in 0..seconds * 20 {
            allowed = crew.allowed(start + Duration::from_millis(50) * tick, fetched);
            fetched += rate(allowed) / 20;
        }
        allowed
    }

    #[test]
    fn slow_connections_get_company_at_once() {
        assert_eq!(after(1, |n| 40 * MIB * n as u64), 16);
    }

    #[test]
    fn a_machine_that_is_busy_with_few_is_left_with_few() {
        assert_eq!(after(1, |_| 1200 * MIB), 4);
        let long = after(3, |_| 1200 * MIB);
        assert!(long <= 8, "{long}");
    }

    #[test]
    fn fast_connections_that_add_up_are_found_out() {
        assert_eq!(after(6, |n| 100 * MIB * n as u64), 16);
    }
}
