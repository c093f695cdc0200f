//! Fetching one range of one content: ask, check that the answer is the one asked for, write what arrives.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{
    StatusCode,
    header::{CONTENT_ENCODING, HeaderMap, HeaderValue, LAST_MODIFIED, RANGE},
};

use super::{
    active::{Active, Mode, Written},
    answer::{Fault, Trouble, content_range, etag, header, plain_etag, unsatisfied_size},
    error::{FetchError, host_of, shown},
    flights::Ticket,
    http::{Answer, Http},
    options::MIB,
    redirect::{Answered, Target, Way, in_words, send},
    run::Run,
};

/// Room is promised to a body of unknown length in steps of this.
const ROOM: u64 = 16 * MIB;

/// Brings the range of a ticket, or as much of it as one answer holds.
pub(super) async fn fetch_part(
    run: &Arc<Run>,
    http: &Http,
    active: &Arc<Active>,
    ticket: &Ticket,
) -> Result<(), Trouble> {
    let (Answered { answer, target, slot: _held }, span) = ask(run, http, active, ticket.range.clone()).await?;
    pump(run, active, answer, &target, span, ticket).await
}

/// Sends the request to where the content was found last. The first request finds the way while the others wait: a
/// hub counts how often it is asked.
async fn ask(run: &Run, http: &Http, active: &Arc<Active>, range: Range<u64>) -> Result<(Answered, Span), Trouble> {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("bytes={}-{}", range.start, range.end - 1));
    headers.insert(RANGE, value.map_err(|error| Trouble::Restart(error.to_string()))?);
    let label = &active.content.label;
    let way = Way { http, hosts: run.client.hosts(), most: run.most(), patience: run.options.stall_after };

    let mut found = active.target.lock().await;
    if !active.wants_request() {
        return Err(Trouble::Stale);
    }
    if let Some(target) = found.clone() {
        drop(found);
        let sent = send(way, label, &target, &headers).await;
        if let Err(Trouble::Expired(..)) = &sent {
            let mut found = active.target.lock().await;
            if found.as_ref().is_some_and(|known| known.url == target.url) {
                *found = None;
                active.state().host = host_of(&active.content.origin.url);
            }
        }
        let answered = sent?;
        let span = accept(run, active, &answered.answer, &answered.target, &range)?;
        return Ok((answered, span));
    }
    let origin = Target::origin(&active.content.origin);
    let mut answered = send(way, label, &origin, &headers).await?;
    if answered.answer.status() == StatusCode::RANGE_NOT_SATISFIABLE
        && unsatisfied_size(answered.answer.headers()) == Some(0)
    {
        // No range fits into an empty file. Asked for the whole, the origin says with its tag that it is empty.
        headers.remove(RANGE);
        drop(answered);
        answered = send(way, label, &origin, &headers).await?;
    }
    let span = accept(run, active, &answered.answer, &answered.target, &range)?;
    active.state().host = host_of(&answered.target.url);
    *found = Some(answered.target.clone());
    Ok((answered, span))
}

/// The bytes that an answer holds.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u64,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// One past the last byte.
    At(u64),
    /// Wherever the body ends: no ranges here, and no length.
    Body,
}

/// Checks that an answer holds what was asked, of the content that was asked, and learns from it.
fn accept(
    run: &Run,
    active: &Arc<Active>,
    answer: &Answer,
    target: &Target,
    asked: &Range<u64>,
) -> Result<Span, Trouble> {
    let at = shown(&target.url);
    let headers = answer.headers();
    if let Some(coding) = header(headers, CONTENT_ENCODING.as_str()).filter(|coding| *coding != "identity") {
        let cause = format!("{at} sends the content compressed ({coding}), which was not asked for");
        return Err(Trouble::Terminal(FetchError::Refused { label: active.content.label.clone(), cause }));
    }
    check_validator(active, headers, target)?;
    let size = active.state().size;
    match answer.status() {
        StatusCode::PARTIAL_CONTENT => {
            let Some((start, end, total)) = content_range(headers) else {
                return Err(Trouble::Restart(format!("{at} answers a range without saying which")));
            };
            let whole = total.or(size);
            if whole.is_none() || size.is_some_and(|size| whole != Some(size)) {
                return Err(Trouble::Restart(differs(&at, size, whole)));
            }
            if start != asked.start || end != whole.unwrap_or(u64::MAX).min(asked.end) {
                let cause = format!("{at} was asked for bytes {asked:?} and answers with {start}..{end}");
                return Err(Trouble::Restart(cause));
            }
            learn(run, active, whole, Mode::Ranges)?;
            Ok(Span { start, end: End::At(end) })
        }
        StatusCode::OK => {
            let length = answer.content_length();
            if let (Some(size), Some(length)) = (size, length)
                && size != length
            {
                return Err(Trouble::Restart(differs(&at, Some(size), Some(length))));
            }
            if active.state().mode == Mode::Ranges {
                return Err(Trouble::Restart(format!("{at} does not answer ranges any more")));
            }
            learn(run, active, length, Mode::Stream)?;
            Ok(Span { start: 0, end: size.or(length).map_or(End::Body, End::At) })
        }
        StatusCode::RANGE_NOT_SATISFIABLE => Err(Trouble::Restart(differs(&at, size, unsatisfied_size(headers)))),
        status => {
            let cause = format!("{at} answered {status}, which has no content");
            Err(Trouble::Terminal(FetchError::Refused { label: active.content.label.clone(), cause }))
        }
    }
}

fn differs(at: &str, expected: Option<u64>, actual: Option<u64>) -> String {
    let words = |size: Option<u64>| size.map_or_else(|| "an unknown number of".into(), |size| size.to_string());
    format!("{at} has {} bytes where {} were promised", words(actual), words(expected))
}

/// Content without a digest is held together by its entity tag: a pinned one must be there, and none may change
/// between two parts; `Last-Modified` stands in where there is none. A redirect's target has tags of its own, unless the hub said the content's beside it.
fn check_validator(active: &Arc<Active>, headers: &HeaderMap, target: &Target) -> Result<(), Trouble> {
    if active.content.digest.is_some() {
        return Ok(());
    }
    let tag = target.linked_etag.as_deref().or_else(|| etag(headers));
    let tag = tag.or_else(|| header(headers, LAST_MODIFIED.as_str()));
    if let Some(pinned) = active.content.origin.validator.as_deref().map(plain_etag) {
        if tag == Some(pinned) {
            return Ok(());
        }
        let now = tag.map_or_else(|| "none".to_owned(), |tag| format!("{tag:?}"));
        let cause = format!("{} was pinned at ETag {pinned:?} and has {now} now: resolve it again", shown(&target.url));
        return Err(Trouble::Terminal(FetchError::Changed { label: active.content.label.clone(), cause }));
    }
    let mut state = active.state();
    match (state.validator.as_deref(), tag) {
        (Some(before), tag) if tag != Some(before) => {
            Err(Trouble::Restart(format!("{} changed while it was read", shown(&target.url))))
        }
        (None, Some(tag)) => {
            state.validator = Some(tag.to_owned());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Takes note of what the first answer says: the size, for which there must be room, and whether there are ranges.
fn learn(run: &Run, active: &Arc<Active>, size: Option<u64>, mode: Mode) -> Result<(), Trouble> {
    let mut state = active.state();
    let first = state.mode != mode;
    state.mode = mode;
    if let (None, Some(size)) = (state.size, size) {
        let rest = size.saturating_sub(state.promised);
        run.space.promise(rest, 0).map_err(Trouble::Terminal)?;
        run.progress.expect(0, rest);
        state.promised = size;
        state.size = Some(size);
    }
    drop(state);
    if first && mode == Mode::Ranges {
        run.board.changed.notify_waiters();
    }
    Ok(())
}

/// Writes a body as it arrives, nothing of it kept.
async fn pump(
    run: &Arc<Run>,
    active: &Arc<Active>,
    mut answer: Answer,
    target: &Target,
    span: Span,
    ticket: &Ticket,
) -> Result<(), Trouble> {
    let fault = |cause: String| Trouble::Transient(Fault::new(&target.url, cause));
    let mut pace = Pace::new(run.options.stall_after, run.options.stall_rate);
    let mut at = span.start;
    while End::At(at) != span.end {
        let started = Instant::now();
        let chunk = match tokio::time::timeout(run.options.stall_after, answer.chunk()).await {
            Err(_) => return Err(fault("the connection stalled".into())),
            Ok(Err(error)) => return Err(fault(in_words(&error))),
            Ok(Ok(None)) if span.end == End::Body => break,
            Ok(Ok(None)) => return Err(fault(format!("the answer ended early, at byte {at}"))),
            Ok(Ok(Some(chunk))) => chunk,
        };
        let length = chunk.len() as u64;
        if let End::At(end) = span.end
            && at + length > end
        {
            return Err(Trouble::Restart(format!("{} sends more bytes than promised", shown(&target.url))));
        }
        run.progress.fetched(length);
        grow(run, active, at + length)?;
        run.dirty.wait_for_room(|| run.is_stopping());
        let end = match active.write(ticket, at, &chunk) {
            Ok(Some(Written { new, end })) => {
                run.progress.have(new);
                run.dirty.add(new);
                end
            }
            Ok(None) => return Err(Trouble::Stale),
            Err(error) => return Err(Trouble::Terminal(FetchError::io(&active.content.label, error))),
        };
        at += length;
        run.follow(active);
        if at >= end && span.end != End::At(at) && end < ticket.range.end {
            // Another connection has taken over the rest.
            break;
        }
        if !pace.keeps_up(length, started.elapsed()) {
            return Err(fault("the connection is too slow".into()));
        }
        run.bandwidth.take(length).await;
    }
    if span.end == End::Body {
        let mut state = active.state();
        state.size = Some(at);
        run.progress.expect_less(state.promised.saturating_sub(at));
        state.promised = at;
        drop(state);
        run.follow(active);
    }
    run.conclude(active);
    Ok(())
}

/// A body of unknown length may not outgrow the room there is.
fn grow(run: &Run, active: &Arc<Active>, end: u64) -> Result<(), Trouble> {
    let mut state = active.state();
    if state.size.is_none() && end > state.promised {
        let more = (end - state.promised).max(ROOM);
        run.space.promise(more, 0).map_err(Trouble::Terminal)?;
        run.progress.expect(0, more);
        state.promised += more;
    }
    Ok(())
}

/// Notices a stream that is alive and too slow to wait for. Only the time spent waiting for the network counts.
struct Pace {
    over: Duration,
    least: u64,
    waited: Duration,
    got: u64,
}

impl Pace {
    fn new(over: Duration, rate: u64) -> Self {
        Self {
            over,
            least: rate.saturating_mul(u64::try_from(over.as_millis()).unwrap_or(u64::MAX)) / 1000,
            waited: Duration::ZERO,
            got: 0,
        }
    }

    fn keeps_up(&mut self, bytes: u64, waited: Duration) -> bool {
        self.got += bytes;
        self.waited += waited;
        if self.waited < self.over {
            return true;
        }
        let fast = self.got >= self.least;
        (self.got, self.waited) = (0, Duration::ZERO);
        fast
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_trickles_is_given_up_and_one_that_waits_for_us_is_not() {
        let second = Duration::from_secs(1);
        let mut trickle = Pace::new(20 * second, 16 * 1024);
        let kept = (0..20).take_while(|_| trickle.keeps_up(100, second)).count();
        assert_eq!(kept, 19, "dropped once the twenty seconds are over");
        let mut slow = Pace::new(20 * second, 16 * 1024);
        assert!((0..100).all(|_| slow.keeps_up(16 * 1024, second)));
        let mut ours = Pace::new(20 * second, 16 * 1024);
        assert!((0..100).all(|_| ours.keeps_up(1, Duration::ZERO)), "only waiting for the network counts");
    }
}
