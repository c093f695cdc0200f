//! What each host lets us do: how many requests at a time, how many more at all, and from when on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    lock::lock,
    pause::{Quota, doubled, fraction},
};

/// What a host that limits us without saying for how long is given at first; doubles while it goes on.
const UNSAID: Duration = Duration::from_secs(1);
const UNSAID_CAP: Duration = Duration::from_secs(60);
/// A host that still answers is not left alone for longer than this: if it means it, its next answer is a refusal.
const LONGEST_QUOTA: Duration = Duration::from_secs(600);
/// Those who waited for a host start over this time, not all at once.
const SPREAD: Duration = Duration::from_millis(250);
/// How soon a full host is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// All hosts that were asked. Cheap to clone; clones share everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    hosts: Mutex<HashMap<String, Host>>,
    freed: Notify,
}

/// One request at a host, until its answer is read to the end.
#[derive(Debug)]
pub(super) struct Slot {
    hosts: Hosts,
    host: String,
    answered: bool,
}

/// What a host lets us do. Pure: the time is an argument.
#[derive(Debug, Default)]
struct Host {
    /// Requests under way.
    busy: usize,
    /// Of those, the ones without an answer.
    unanswered: u64,
    /// How many it takes at a time, once it has said that it was too many.
    cap: Option<usize>,
    /// Good answers since the cap was moved.
    good: usize,
    paused_until: Option<Instant>,
    strikes: u32,
    halved: Option<Instant>,
    quota: Option<(u64, Instant)>,
}

/// Whether a host may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Now,
    /// Not before this moment.
    At(Instant),
}

impl Host {
    fn turn(&self, now: Instant, most: usize) -> Turn {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Turn::At(until);
        }
        if let Some((0, reset)) = self.quota.filter(|(_, reset)| *reset > now) {
            return Turn::At(reset);
        }
        if self.busy >= self.cap.unwrap_or(most).min(most) {
            return Turn::At(now + LOOK_AGAIN);
        }
        Turn::Now
    }

    fn enter(&mut self) {
        self.busy += 1;
        self.unanswered += 1;
        if let Some((left, _)) = &mut self.quota {
            *left = left.saturating_sub(1);
        }
    }

    /// It cannot keep up: half as many at a time. Answers of requests that were under way then say nothing new.
    fn halve(&mut self, now: Instant) {
        if self.halved.is_none_or(|halved| now.duration_since(halved) >= UNSAID) {
            self.cap = Some((self.cap.unwrap_or(self.busy).min(self.busy) / 2).max(1));
            (self.good, self.halved) = (0, Some(now));
        }
    }

    /// It said "too many": half as many at a time from now on, and a pause. Answers of requests that were under way
    /// when the pause began are one strike.
    fn strike(&mut self, now: Instant, asked: Option<Duration>) -> Duration {
        if self.paused_until.is_none_or(|until| until <= now) {
            self.strikes += 1;
            self.halve(now);
        }
        let wait = asked.unwrap_or_else(|| doubled(UNSAID, UNSAID_CAP, self.strikes.saturating_sub(1)));
        self.paused_until = self.paused_until.max(Some(now + wait));
        wait
    }

    /// It answered: one more at a time for each full round of good answers.
    fn good(&mut self, now: Instant, most: usize) {
        if self.paused_until.is_none_or(|until| until <= now) {
            self.strikes = 0;
        }
        if let Some(cap) = self.cap {
            self.good += 1;
            if self.good >= cap {
                (self.good, self.cap) = (0, (cap < most).then_some(cap + 1));
            }
        }
    }

    fn quota(&mut self, now: Instant, quota: Option<Quota>) {
        // What is under way is not counted yet by an answer that left before.
        let left = |quota: Quota| quota.remaining.saturating_sub(self.unanswered);
        let fresh = quota.filter(|it| it.reset <= LONGEST_QUOTA).map(|it| (left(it), now + it.reset));
        self.quota = fresh.or(self.quota).filter(|(_, reset)| *reset > now);
    }

    fn is_plain(&self) -> bool {
        self.busy == 0 && self.cap.is_none() && self.paused_until.is_none() && self.quota.is_none()
    }
}

impl Hosts {
    /// Whether a host would take another request, of at most `most` at a time.
    pub(super) fn turn(&self, host: &str, now: Instant, most: usize) -> Turn {
        lock(&self.0.hosts).get(host).map_or(Turn::Now, |host| host.turn(now, most))
    }

    /// Waits until the host may be asked.
    pub(super) async fn enter(&self, host: &str, most: usize) -> Slot {
        loop {
            let freed = self.0.freed.notified();
            let turn = {
                let mut hosts = lock(&self.0.hosts);
                let state = hosts.entry(host.to_owned()).or_default();
                let turn = state.turn(Instant::now(), most.max(1));
                if turn == Turn::Now {
                    state.enter();
                }
                turn
            };
            match turn {
                Turn::Now => return Slot { hosts: self.clone(), host: host.to_owned(), answered: false },
                Turn::At(moment) => {
                    let left = moment.saturating_duration_since(Instant::now());
                    let spread = if left > LOOK_AGAIN { SPREAD.mul_f64(fraction()) } else { Duration::ZERO };
                    let _ = tokio::time::timeout(left + spread, async {
                        freed.await;
                        // A place that is free ends no pause.
                        if left > LOOK_AGAIN {
                            std::future::pending::<()>().await;
                        }
                    })
                    .await;
                }
            }
        }
    }
}

impl Slot {
    /// Notes a "too many requests".
    pub(super) fn limited(&mut self, asked: Option<Duration>) {
        self.with(|host, now| _ = host.strike(now, asked));
    }

    /// Notes a "cannot keep up".
    pub(super) fn overloaded(&mut self) {
        self.with(Host::halve);
    }

    /// Notes an answer that is none, and what it says about the ones to come.
    pub(super) fn answered(&mut self, most: usize, quota: Option<Quota>, wait: Option<Duration>) {
        if !std::mem::replace(&mut self.answered, true) {
            self.with(|host, _| host.unanswered -= 1);
        }
        self.with(|host, now| {
            host.good(now, most);
            host.quota(now, quota);
            if let Some(wait) = wait.filter(|wait| *wait <= LONGEST_QUOTA) {
                host.paused_until = host.paused_until.max(Some(now + wait));
            }
        });
    }

    fn with(&self, change: impl FnOnce(&mut Host, Instant)) {
        if let Some(host) = lock(&self.hosts.0.hosts).get_mut(&self.host) {
            change(host, Instant::now());
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut hosts = lock(&self.hosts.0.hosts);
        if let Some(host) = hosts.get_mut(&self.host) {
            host.busy -= 1;
            host.unanswered -= u64::from(!self.answered);
            if host.is_plain() {
                hosts.remove(&self.host);
            }
        }
        drop(hosts);
        self.hosts.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const MOST: usize = 16;

    fn busy(requests: usize) -> Host {
        let mut host = Host::default();
        (0..requests).for_each(|_| host.enter());
        host
    }

    #[test]
    fn a_host_that_says_too_many_is_asked_by_half_as_many_and_wins_them_back_one_by_one() {
        let (mut host, now) = (busy(16), Instant::now());
        assert_eq!(host.strike(now, None), UNSAID);
        assert_eq!(host.strike(now, None), UNSAID, "answers that were under way are one strike");
        assert_eq!(host.cap, Some(8));
        host.busy = 8;
        assert_eq!(host.turn(now, MOST), Turn::At(now + UNSAID));
        let later = now + UNSAID;
        assert_eq!(host.turn(later, MOST), Turn::At(later + LOOK_AGAIN));
        (0..8).for_each(|_| host.good(later, MOST));
        assert_eq!(host.cap, Some(9));
        assert_eq!(host.turn(later, MOST), Turn::Now);
        (0..200).for_each(|_| host.good(later, MOST));
        assert_eq!(host.cap, None);
    }

    #[test]
    fn what_a_host_has_left_is_shared_out_and_then_waited_for() {
        let (mut host, now) = (busy(2), Instant::now());
        host.quota(now, Some(Quota { remaining: 4, reset: Duration::from_secs(9) }));
        host.enter();
        assert_eq!(host.turn(now, MOST), Turn::Now, "two of four are under way already");
        host.enter();
        let reset = now + Duration::from_secs(9);
        assert_eq!(host.turn(now, MOST), Turn::At(reset));
        assert_eq!(host.turn(reset, MOST), Turn::Now);
    }

    #[test]
    fn a_quota_that_ends_in_an_hour_holds_nobody_up_before_it_is_used_up() {
        let (mut host, now) = (busy(1), Instant::now());
        host.quota(now, Some(Quota { remaining: 0, reset: Duration::from_secs(3600) }));
        assert_eq!(host.turn(now, MOST), Turn::Now);
    }

    proptest! {
        #[test]
        fn the_cap_stays_between_one_and_the_most(steps in vec(0..3_u8, 0..200)) {
            let (mut host, mut now) = (Host::default(), Instant::now());
            for step in steps {
                match step {
                    0 if host.turn(now, MOST) == Turn::Now => host.enter(),
                    1 => _ = host.strike(now, None),
                    _ => {
                        host.good(now, MOST);
                        host.busy = host.busy.saturating_sub(1);
                    }
                }
                now += Duration::from_secs(20);
                prop_assert!(host.cap.is_none_or(|cap| (1..=MOST).contains(&cap)));
                prop_assert!(host.busy <= MOST);
            }
        }
    }
}
