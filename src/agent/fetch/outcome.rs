//! What becomes of a content that is taken up, complete, or in trouble; and of a group that cannot be had.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use super::{
    active::{Active, History},
    answer::Trouble,
    api::give_up,
    board::Unit,
    error::{FetchError, Reason, SpaceLimit},
    flights::Ticket,
    keeper::checkpoint,
    partial::Partial,
    pause::backoff,
    run::{Event, Run},
};

/// How often a content may start over because the origin contradicts itself.
const MAX_RESTARTS: u32 = 3;
/// How many fresh addresses in a row may be refused.
const MAX_EXPIRIES: u32 = 3;

impl Run {
    /// Takes up a content on the disk.
    pub(super) fn open(&self, (index, size): Unit) -> Result<Arc<Active>, FetchError> {
        // Its group may have ended since, in which case another that wants the same bytes is asked.
        let index = self.wanted.still_wanted(index).unwrap_or(index);
        let content = self.wanted.content(index, size);
        let name = content.name();
        let partial = Partial::open(&self.staging, &content, &name)?;
        self.progress.have(partial.held.total());
        let history = match (content.size, partial.size) {
            (None, Some(size)) => {
                self.space.promise(size, partial.held.total())?;
                self.progress.expect(0, size);
                History { promised: size, ..History::default() }
            }
            _ => History::default(),
        };
        let active = Arc::new(Active::new(index, content, name, partial, history));
        self.board.opened(&active);
        self.follow(&active);
        self.conclude(&active);
        if self.wanted.still_wanted(index).is_none() {
            self.abandon(&active, By::Connection);
        }
        Ok(active)
    }

    /// Completes a content once all its bytes are hashed. Nothing happens before, or twice.
    pub(super) fn conclude(&self, active: &Arc<Active>) {
        if let Err(trouble) = self.complete(active) {
            self.settle(active, None, trouble);
        }
    }

    fn complete(&self, active: &Arc<Active>) -> Result<(), Trouble> {
        let Some((hashed, size)) = active.finished() else { return Ok(()) };
        let digest = active.content.digest.as_ref();
        if !hashed.matches(digest) {
            let (expected, actual) = (digest.map(ToString::to_string), hashed.like(digest).to_string());
            let label = active.content.label.clone();
            if active.history.mismatches > 0 {
                let expected = expected.unwrap_or_default();
                return Err(Trouble::Terminal(FetchError::ChecksumMismatch { label, expected, actual }));
            }
            let history = History { mismatches: 1, ..active.history };
            return self.start_over(active, active.index, history, By::Verdict).map_err(Trouble::Terminal);
        }
        checkpoint(self, active).map_err(Trouble::Terminal)?;
        self.board.finished(active);
        self.untaken.fetch_add(1, SeqCst);
        let name = active.name.clone();
        let _ = self.events.send(Event::Complete { index: active.index, name, size, sha256: hashed.sha256 });
        Ok(())
    }

    /// What follows from trouble with a content; `ticket` is of the range that the trouble met. Without one the trouble
    /// is with the content as a whole, which is complete.
    pub(super) fn settle(&self, active: &Arc<Active>, ticket: Option<&Ticket>, trouble: Trouble) {
        let by = if ticket.is_some() { By::Connection } else { By::Verdict };
        let wait = match trouble {
            Trouble::Stale => Ok(None),
            // It was complete, or dropped, without this connection.
            _ if ticket.is_some() && active.is_over() => Ok(None),
            Trouble::Terminal(error) => Err(error),
            Trouble::Restart(cause) => self.restart(active, &cause, by).map(|()| None),
            Trouble::Transient(fault) => {
                let (since, faults) = {
                    let mut state = active.state();
                    state.faults = state.faults.saturating_add(1);
                    (state.last_progress, state.faults - 1)
                };
                tracing::debug!(file = %active.content.label, host = %fault.host, cause = %fault.cause, "transient");
                give_up(&active.content.label, &fault, since, &self.options).map(|()| {
                    // A host's pause holds everybody back already.
                    let own = || backoff(self.options.backoff_start, self.options.backoff_cap, faults);
                    (!fault.limited).then(own)
                })
            }
            Trouble::Expired(fault, last_word) => {
                let mut state = active.state();
                state.expiries += 1;
                tracing::debug!(file = %active.content.label, cause = %fault.cause, "asking for a fresh address");
                // The first is likely to be age; a fresh address that is refused may need a moment to be known.
                let wait = if state.expiries == 1 { Duration::ZERO } else { self.options.backoff_start };
                if state.expiries > MAX_EXPIRIES * self.options.connections.max(1).try_into().unwrap_or(1) {
                    Err(*last_word)
                } else {
                    Ok(Some(wait))
                }
            }
        };
        if let Some(ticket) = ticket {
            active.release(ticket, wait.as_ref().ok().copied().flatten());
        }
        self.board.changed.notify_waiters();
        if let Err(error) = wait {
            self.cannot_be_had(active, error, by);
        }
    }

    /// Ends the group that wants a content which cannot be had; another that wants the same bytes has its own try.
    fn cannot_be_had(&self, active: &Arc<Active>, error: FetchError, by: By) {
        if ends_everything(&error) {
            return self.fail(error);
        }
        let group = self.wanted.place(active.index).group;
        if self.wanted.end_group(group) {
            let _ = self.events.send(Event::Failed { group, error });
            self.forget_unwanted();
        }
        let Some(other) = self.wanted.still_wanted(active.index) else { return self.abandon(active, by) };
        let history = History { promised: active.state().promised, ..History::default() };
        if let Err(error) = self.start_over(active, other, history, by) {
            self.fail(error);
        }
    }

    /// The caller does not want a group any more.
    pub(super) fn give_up_group(&self, group: usize) {
        if self.wanted.end_group(group) {
            self.forget_unwanted();
        }
    }

    fn forget_unwanted(&self) {
        let (contents, bytes) = self.board.forget(|index| self.wanted.still_wanted(index).is_some());
        self.progress.expect_less(bytes);
        let _ = self.events.send(Event::Dropped(contents));
        for active in self.board.active() {
            if self.wanted.still_wanted(active.index).is_none() {
                self.abandon(&active, By::Connection);
            }
        }
    }

    /// Ends the work on a content that nobody wants. What has arrived of it stays for a later run.
    fn abandon(&self, active: &Arc<Active>, by: By) {
        // Only to save bytes: without it the last second's are fetched again.
        if let Err(error) = checkpoint(self, active) {
            tracing::debug!(file = %active.content.label, %error, "what has arrived is not recorded");
        }
        let Some((held, unsynced)) = by.drop(active) else { return };
        self.dirty.sub(unsynced);
        self.progress.expect_less(active.state().promised.saturating_sub(held));
        self.board.finished(active);
        let _ = self.events.send(Event::Dropped(1));
    }

    fn restart(&self, active: &Arc<Active>, cause: &str, by: By) -> Result<(), FetchError> {
        if active.history.restarts >= MAX_RESTARTS {
            let (label, cause) = (active.content.label.clone(), cause.to_owned());
            return Err(FetchError::Changed { label, cause });
        }
        tracing::debug!(file = %active.content.label, cause, "starting over");
        let history = History { restarts: active.history.restarts + 1, ..active.history };
        self.start_over(active, active.index, history, by)
    }

    /// Drops all that is held of a content and begins again with a new file, with the origin that `index` names.
    fn start_over(&self, active: &Arc<Active>, index: usize, history: History, by: By) -> Result<(), FetchError> {
        let Some((held, unsynced)) = by.drop(active) else { return Ok(()) };
        self.progress.lost(held);
        self.dirty.sub(unsynced);
        self.staging.check()?;
        // Frees the blocks now: connections may have the old file open for a while.
        active.file.set_len(0).map_err(|error| FetchError::io(&active.content.label, error))?;
        let content = self.wanted.content(index, active.content.size);
        let partial = Partial::create(&self.staging, &content, &active.name)?;
        let history = History { promised: active.state().promised, ..history };
        let new = Arc::new(Active::new(index, content, active.name.clone(), partial, history));
        self.board.replaced(active, Arc::clone(&new));
        if self.wanted.still_wanted(index).is_none() {
            self.abandon(&new, By::Connection);
        }
        Ok(())
    }
}

/// Who has met the trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// A connection: the content may have become complete without it meanwhile, and then all is well.
    Connection,
    /// Who judged the complete content, or met the disk's refusal.
    Verdict,
}

impl By {
    /// Ends the work on a file; gives the bytes that were held and not synced, to the first who says so.
    fn drop(self, active: &Active) -> Option<(u64, u64)> {
        match self {
            Self::Connection => active.drop_unfinished(),
            Self::Verdict => active.drop_work(),
        }
    }
}

/// Whether an error is of this machine or this run, so that no content could be had any more.
fn ends_everything(error: &FetchError) -> bool {
    match error {
        FetchError::InsufficientSpace { limit, .. } => *limit == SpaceLimit::FileSystem,
        other => matches!(other.reason(), Reason::Superseded | Reason::Io),
    }
}
