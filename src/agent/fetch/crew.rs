//! How many connections are worth having. Few when few carry all that this machine can take: they cost memory and
//! cores, and a kill loses what their sockets hold. All that are allowed when each is slow.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{lock::lock, options::MIB};

/// A connection slower than this, in bytes per second, certainly leaves room for another.
const SLOW: u64 = 48 * MIB;
/// How often the rate is looked at.
const LOOK: Duration = Duration::from_millis(40);
/// After so many looks the first connections have shown that they are fast. One is not enough: what a server had ready
/// comes at once, however slowly it goes on.
const LOOKS: u32 = 8;
/// How long another number is tried, after a time in which hands are shaken.
const TRIAL: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_millis(300);
/// How long a number that has proved itself is left as it is, at least and at most.
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// When nothing at all has come for so long, those who work are stuck: the others do not wait for them.
const STUCK: Duration = Duration::from_secs(2);

/// Decides how many connections may work at a time, from what came over the network so far.
#[derive(Debug)]
pub(super) struct Crew(Mutex<Law>);

impl Crew {
    pub(super) fn new(most: usize) -> Self {
        // One for each core: bytes that arrive in order are hashed on their way to the disk, and not read back.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Mutex::new(Law::new(cores.clamp(2, 4), most)))
    }

    /// How many may work now. `fetched` counts the run's bytes from the network.
    pub(super) fn allowed(&self, now: Instant, fetched: u64) -> usize {
        lock(&self.0).allowed(now, fetched)
    }

    /// When to ask again for those who may not work now.
    pub(super) fn look_again(now: Instant) -> Instant {
        now + LOOK
    }
}

/// The law: all that are allowed when each of the first is slow; then grow by half while that makes the whole faster, go
/// back when it does not, and see now and then whether fewer do as well. Pure: time and bytes are arguments.
#[derive(Debug)]
struct Law {
    most: usize,
    allowed: usize,
    stage: Stage,
    /// When this stage began, and what had come by then. `None` before the first byte.
    since: Option<(Instant, u64)>,
    /// How long to leave it before the next trial.
    rest: Duration,
    /// Whether the next trial is of fewer.
    fewer: bool,
    /// When something came last, and what had come by then.
    moved: Option<(Instant, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The first few show how fast a connection is; so many looks found them fast.
    Start {
        fast: u32,
    },
    Steady,
    /// Another number than `before`, which had this rate, is about to show what it can do.
    Settling {
        before: usize,
        rate: u64,
    },
    /// It shows.
    Trial {
        before: usize,
        rate: u64,
    },
}

impl Law {
    fn new(first: usize, most: usize) -> Self {
        let most = most.max(1);
        Self {
            most,
            allowed: first.min(most),
            stage: Stage::Start { fast: 0 },
            since: None,
            rest: REST,
            fewer: false,
            moved: None,
        }
    }

    fn allowed(&mut self, now: Instant, fetched: u64) -> usize {
        // Before the first byte there is nothing to judge: names are looked up, hands are shaken.
        let Some(since) = self.since else {
            self.since = (fetched > 0).then_some((now, fetched));
            return self.allowed;
        };
        let moved = *self.moved.insert(self.moved.filter(|(_, then)| *then == fetched).unwrap_or((now, fetched)));
        if now.saturating_duration_since(moved.0) >= STUCK && self.allowed < self.most {
            self.allowed = self.most;
            self.enter(Stage::Start { fast: 0 }, now, fetched);
            return self.allowed;
        }
        let age = now.saturating_duration_since(since.0);
        let current = rate(since, now, fetched);
        match self.stage {
            Stage::Start { .. } if age < LOOK => {}
            Stage::Start { fast } => {
                if self.allowed < self.most && current / (self.allowed as u64) < SLOW {
                    // Not step by step: a file of a gigabyte is over in two seconds, and a step costs a look. All of them
                    // is a guess, but one that costs little.
                    self.allowed = self.most;
                } else if fast < LOOKS {
                    self.enter(Stage::Start { fast: fast + 1 }, now, fetched);
                    return self.allowed;
                }
                self.fewer = self.allowed == self.most;
                self.rest = if self.fewer { REST * 5 } else { REST };
                self.enter(Stage::Steady, now, fetched);
            }
            Stage::Steady if age < self.rest => {}
            Stage::Steady => {
                let before = self.allowed;
                self.allowed = if self.fewer { (before * 3 / 4).max(1) } else { before + before.div_ceil(2) };
                self.allowed = self.allowed.min(self.most);
                if self.allowed == before {
                    self.fewer = !self.fewer;
                    self.enter(Stage::Steady, now, fetched);
                } else {
                    self.enter(Stage::Settling { before, rate: current }, now, fetched);
                }
            }
            Stage::Settling { .. } if age < SETTLE => {}
            Stage::Settling { before, rate } => self.enter(Stage::Trial { before, rate }, now, fetched),
            Stage::Trial { .. } if age < TRIAL => {}
            Stage::Trial { before, rate } => {
                let more = self.allowed > before;
                if if more { current > rate + rate / 10 } else { current >= rate - rate / 20 } {
                    self.rest = REST;
                } else {
                    self.allowed = before;
                    self.fewer = more;
                    self.rest = (self.rest * 4).min(LONGEST_REST);
                }
                self.enter(Stage::Steady, now, fetched);
            }
        }
        self.allowed
    }

    fn enter(&mut self, stage: Stage, now: Instant, fetched: u64) {
        (self.stage, self.since) = (stage, Some((now, fetched)));
    }
}

fn rate((then, before): (Instant, u64), now: Instant, fetched: u64) -> u64 {
    let millis = u64::try_from(now.saturating_duration_since(then).as_millis()).unwrap_or(u64::MAX).max(1);
    fetched.saturating_sub(before).saturating_mul(1000) / millis
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const MOST: usize = 16;

    /// Lets a link run for a while; `rate` gives its bytes per second for a number of connections. Gives how many there
    /// were at each tenth of a second.
    fn run(seconds: u32, rate: impl Fn(usize) -> u64) -> Vec<usize> {
        let (mut law, start) = (Law::new(2, MOST), Instant::now());
        let mut fetched = 1;
        let mut seen = Vec::new();
        for tick in 0..seconds * 100 {
            let allowed = law.allowed(start + Duration::from_millis(10) * tick, fetched);
            fetched += rate(allowed) / 100;
            if tick % 10 == 9 {
                seen.push(allowed);
            }
        }
        seen
    }

    #[test]
    fn slow_connections_get_company_at_once() {
        assert_eq!(run(1, |n| 40 * MIB * n as u64)[0], MOST, "within a tenth of a second");
    }

    #[test]
    fn what_a_server_sends_at_once_does_not_make_its_connections_fast() {
        let (mut law, start) = (Law::new(2, MOST), Instant::now());
        let burst = 20 * MIB;
        let seen: Vec<_> = (0..60)
            .map(|tick| law.allowed(start + Duration::from_millis(tick * 5), burst + tick * 2 * 40 * MIB / 200))
            .collect();
        assert_eq!(seen.first(), Some(&2));
        assert_eq!(seen.last(), Some(&MOST), "within three tenths of a second");
    }

    #[test]
    fn a_machine_that_is_busy_with_few_is_left_with_few() {
        let seen = run(60, |_| 1200 * MIB);
        assert!(seen.iter().all(|allowed| *allowed <= 3), "{seen:?}");
        assert!(seen.iter().filter(|allowed| **allowed == 3).count() < seen.len() / 5, "{seen:?}");
    }

    #[test]
    fn where_nothing_comes_any_more_all_connections_try() {
        let (mut law, start) = (Law::new(2, MOST), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        for tick in 0..100 {
            law.allowed(at(tick * 10), (1200 * MIB / 100) * (tick + 1));
        }
        let fetched = 1200 * MIB;
        assert!((1..30).all(|tick| law.allowed(at(1000 + tick * 50), fetched) <= 3), "no haste");
        assert_eq!(law.allowed(at(3100), fetched), MOST);
        assert_eq!(law.allowed(at(9000), fetched), MOST, "as long as it lasts");
    }

    #[test]
    fn fast_connections_that_add_up_are_found_out() {
        let seen = run(15, |n| 100 * MIB * n as u64);
        assert!(seen[120..].contains(&MOST), "but for a look at fewer: {seen:?}");
    }

    #[test]
    fn more_connections_than_a_thin_link_needs_are_given_back() {
        let seen = run(120, |n| 12 * MIB * (n as u64).min(4) / 4);
        assert!(seen.last().is_some_and(|allowed| (3..=6).contains(allowed)), "{seen:?}");
    }

    #[test]
    fn looking_for_fewer_costs_little_where_each_connection_counts() {
        let seen = run(60, |n| 40 * MIB * n as u64);
        let all: usize = seen[3..].iter().sum();
        assert!(all * 100 >= (seen.len() - 3) * MOST * 97, "{seen:?}");
    }

    proptest! {
        #[test]
        fn there_is_always_one_and_never_more_than_allowed(
            most in 1_usize..40, steps in vec((0_u64..3000, 0_u64..1 << 32), 0..300)
        ) {
            let (mut law, mut now, mut fetched) = (Law::new(4, most), Instant::now(), 0);
            for (millis, bytes) in steps {
                now += Duration::from_millis(millis);
                fetched += bytes;
                prop_assert!((1..=most).contains(&law.allowed(now, fetched)));
            }
        }
    }
}
