//! Which ranges of a content are under way, and which of them is worth taking over by a connection with nothing to do.
//! Pure: the time is an argument.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use super::options::MIB;

/// A connection that was watched for this long, and needs longer than this for the rest of its range, gets help.
const WORTH: Duration = Duration::from_secs(1);
/// How often one range may be asked for anew because nothing came of it: a slow server is not helped by more requests.
const ANEW: u8 = 2;

/// A range that was given to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    id: u64,
    /// As it was given; its end may have come nearer since.
    pub(super) range: Range<u64>,
}

/// The ranges of one content that are under way.
#[derive(Debug, Default)]
pub(super) struct Flights {
    next: u64,
    all: Vec<Flight>,
}

#[derive(Debug)]
struct Flight {
    id: u64,
    start: u64,
    at: u64,
    end: u64,
    since: Instant,
    moved: Instant,
    anew: u8,
}

impl Flights {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// A connection begins to fetch a range.
    pub(super) fn begin(&mut self, range: Range<u64>, now: Instant) -> Ticket {
        self.begin_again(range, now, 0)
    }

    fn begin_again(&mut self, range: Range<u64>, now: Instant, anew: u8) -> Ticket {
        let id = self.next;
        self.next += 1;
        self.all.push(Flight { id, start: range.start, at: range.start, end: range.end, since: now, moved: now, anew });
        Ticket { id, range }
    }

    /// Bytes up to `at` have arrived. Gives where the range ends by now.
    pub(super) fn arrived(&mut self, ticket: &Ticket, at: u64, now: Instant) -> u64 {
        let Some(flight) = self.all.iter_mut().find(|flight| flight.id == ticket.id) else { return ticket.range.end };
        (flight.at, flight.moved) = (at.max(flight.at), now);
        flight.end
    }

    /// A connection ends its work. Gives the range that was still its own.
    pub(super) fn end(&mut self, ticket: &Ticket) -> Range<u64> {
        match self.all.iter().position(|flight| flight.id == ticket.id) {
            Some(at) => {
                let flight = self.all.swap_remove(at);
                flight.start..flight.end
            }
            None => ticket.range.clone(),
        }
    }

    /// Takes over what is furthest from its end: half the rest of a connection that is slow, all of one that has
    /// brought nothing for `silence`.
    pub(super) fn take_over(&mut self, now: Instant, silence: Duration) -> Option<Ticket> {
        let worst =
            self.all.iter_mut().filter_map(|it| Some((it.left(now, silence)?, it))).max_by_key(|(left, _)| *left)?;
        let flight = worst.1;
        let rest = flight.end - flight.at;
        let silent = flight.is_silent(now, silence);
        let (from, anew) = if silent { (flight.at, flight.anew + 1) } else { (flight.at + rest / 2, flight.anew) };
        let range = from..flight.end;
        flight.end = from;
        Some(self.begin_again(range, now, anew))
    }
}

impl Flight {
    fn is_silent(&self, now: Instant, silence: Duration) -> bool {
        now.saturating_duration_since(self.moved) >= silence
    }

    /// How long it will take at its own speed, if that is worth another request.
    fn left(&self, now: Instant, silence: Duration) -> Option<Duration> {
        let rest = self.end.saturating_sub(self.at);
        if rest == 0 {
            return None;
        }
        if self.is_silent(now, silence) {
            return (self.anew < ANEW).then_some(Duration::MAX);
        }
        let (got, took) = (self.at - self.start, now.saturating_duration_since(self.since));
        if got == 0 || rest < MIB || took < WORTH {
            return None;
        }
        let left = took.saturating_mul(u32::try_from(rest / got.max(1)).unwrap_or(u32::MAX));
        (left > WORTH).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const SILENCE: Duration = Duration::from_secs(5);

    #[test]
    fn a_slow_connection_gives_half_of_its_rest_away_and_a_fast_one_nothing() {
        let (mut flights, start) = (Flights::default(), Instant::now());
        let slow = flights.begin(0..16 * MIB, start);
        let fast = flights.begin(16 * MIB..32 * MIB, start);
        let now = start + Duration::from_secs(2);
        flights.arrived(&slow, 2 * MIB, now);
        flights.arrived(&fast, 31 * MIB, now);
        let taken = flights.take_over(now, SILENCE).unwrap();
        assert_eq!(taken.range, 9 * MIB..16 * MIB);
        assert_eq!(flights.arrived(&slow, 9 * MIB, now), 9 * MIB, "the slow one stops where the other began");
        assert_eq!(flights.end(&slow), 0..9 * MIB);
        assert_eq!(flights.take_over(now, SILENCE), None);
    }

    #[test]
    fn a_silent_connection_loses_all_of_its_rest_and_a_silent_server_is_not_asked_for_ever() {
        let (mut flights, mut now) = (Flights::default(), Instant::now());
        flights.begin(0..100, now);
        assert_eq!(flights.take_over(now, SILENCE), None);
        for _ in 0..ANEW {
            now += SILENCE;
            assert_eq!(flights.take_over(now, SILENCE).unwrap().range, 0..100);
        }
        now += SILENCE;
        assert_eq!(flights.take_over(now, SILENCE), None);
    }

    proptest! {
        #[test]
        fn whatever_is_taken_over_no_byte_is_left_to_nobody(
            steps in vec((0..3_u8, 0..8_usize, 1..4_u64, 0..9_u64), 0..60)
        ) {
            let (mut flights, mut now) = (Flights::default(), Instant::now());
            let whole = 64 * MIB;
            let mut tickets = vec![flights.begin(0..whole, now)];
            let mut at = vec![0];
            for (step, which, mib, seconds) in steps {
                now += Duration::from_secs(seconds);
                let which = which % tickets.len();
                if step > 0 {
                    let end = flights.arrived(&tickets[which], at[which], now);
                    at[which] = (at[which] + mib * MIB).min(end.max(at[which]));
                    flights.arrived(&tickets[which], at[which], now);
                } else if let Some(ticket) = flights.take_over(now, SILENCE) {
                    at.push(ticket.range.start);
                    tickets.push(ticket);
                }
            }
            let mut covered: Vec<_> = tickets.iter().map(|ticket| flights.end(ticket)).collect();
            covered.sort_by_key(|range| (range.start, range.end));
            let mut reached = 0;
            for range in covered {
                prop_assert!(range.start <= reached);
                reached = reached.max(range.end);
            }
            prop_assert_eq!(reached, whole);
        }
    }
}
