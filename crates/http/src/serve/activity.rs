//! The current activity of one connection: its stage, signals to its task, and resources held until its answer is written.
//!
//! Reads, writes and requests only change flags and counters. The sweeper ([`super::registry`]) looks at all connections, and keeps
//! the time of each stage and of the answer that a request awaits. So requests read no clock and register no timer.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crate::Limits;
use crate::admission::Kept;
use crate::traffic::{Turned, millis};

/// No reason to cut.
const UNCUT: u8 = u8::MAX;
/// No answer is awaited.
const NO_TURN: u64 = 0;

/// The current activity of one connection.
#[derive(Default)]
pub(super) struct Activity {
    /// Whether it speaks HTTP. Before that the handshake has a deadline of its own.
    is_open: AtomicBool,
    is_http2: AtomicBool,
    /// Whether bytes came of a request that has not begun.
    heard: AtomicBool,
    /// Whether the caller takes nothing of the bytes being written.
    stalled: AtomicBool,
    /// How often a stall ended.
    moves: AtomicU64,
    in_flight: AtomicU32,
    begun: AtomicU64,
    taken_back: AtomicU32,
    cut: AtomicU8,
    /// The turn of the stage whose deadline is the reason of the cut.
    cut_turn: AtomicU64,
    drains: AtomicBool,
    answer: AnswerDeadline,
    /// Wakes the connection's task, where something outside of it changed.
    waker: Mutex<Option<Waker>>,
    held: Mutex<Vec<Kept>>,
    holds: AtomicBool,
}

/// The deadline of the answer that a request of this connection awaits. HTTP/1 has one at a time.
#[derive(Default)]
struct AnswerDeadline {
    last_turn: AtomicU64,
    awaited: AtomicU64,
    limit_ms: AtomicU64,
    late: AtomicU64,
}

/// A stage that has a deadline. Two stages of the same kind differ in their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    /// The reason of a close at its deadline.
    pub why: Turned,
    turn: u64,
}

impl Stage {
    /// Longest that it may last, in milliseconds.
    pub fn limit_ms(self, limits: &Limits) -> u64 {
        match self.why {
            Turned::Headers => limits.header_timeout_ms,
            Turned::Idle => limits.idle_timeout_ms,
            Turned::Write => limits.write_timeout_ms,
            Turned::FirstByte
            | Turned::NodeFull
            | Turned::PeerFull
            | Turned::GaveWay
            | Turned::NoDescriptor
            | Turned::Handshake
            | Turned::Resets => limits.first_byte_timeout_ms,
        }
    }
}

/// An answer that is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Awaited {
    turn: u64,
    pub limit_ms: u64,
}

impl Activity {
    pub fn new() -> Arc<Activity> {
        Arc::new(Activity { cut: AtomicU8::new(UNCUT), ..Activity::default() })
    }

    /// It speaks HTTP from here on.
    pub fn open(&self) {
        self.is_open.store(true, Ordering::Release);
    }

    /// Bytes came.
    pub fn heard(&self) {
        let waiting = self.in_flight.load(Ordering::Relaxed) == 0 && !self.is_http2.load(Ordering::Relaxed);
        if waiting && !self.heard.load(Ordering::Relaxed) {
            self.heard.store(true, Ordering::Relaxed);
        }
    }

    /// A write moved on, or could not.
    pub fn wrote(&self, moved: bool) {
        if self.stalled.load(Ordering::Relaxed) == moved {
            self.moves.fetch_add(u64::from(moved), Ordering::Relaxed);
            self.stalled.store(!moved, Ordering::Relaxed);
        }
    }

    /// Everything written so far is with the operating system.
    pub fn flushed(&self) {
        if self.holds.load(Ordering::Relaxed) && self.holds.swap(false, Ordering::AcqRel) {
            self.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Keeps the shares of a request until its answer is flushed.
    fn hold(&self, kept: Kept) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
        self.holds.store(true, Ordering::Release);
    }

    /// A request begins.
    pub fn begin(self: &Arc<Self>, is_http2: bool, resets: u32) -> InFlight {
        if is_http2 {
            self.is_http2.store(true, Ordering::Relaxed);
        }
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        self.heard.store(false, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        InFlight { activity: self.clone(), resets, is_answered: false, kept: None }
    }

    /// Whether no request is open or its answer stalls, so that closing it loses no awaited answer.
    pub fn is_quiet(&self) -> bool {
        let stalled = self.stalled.load(Ordering::Relaxed);
        (stalled || self.in_flight.load(Ordering::Acquire) == 0) && self.cut_for().is_none()
    }

    /// The current stage; `None` while a request is under way, which has deadlines of its own.
    pub fn stage(&self) -> Option<Stage> {
        let begun = self.begun.load(Ordering::Relaxed);
        let (why, turn) = if !self.is_open.load(Ordering::Acquire) {
            return None;
        } else if self.stalled.load(Ordering::Relaxed) {
            (Turned::Write, self.moves.load(Ordering::Relaxed))
        } else if self.in_flight.load(Ordering::Acquire) > 0 {
            return None;
        } else if self.heard.load(Ordering::Relaxed) {
            (Turned::Headers, begun)
        } else if begun == 0 {
            (Turned::FirstByte, begun)
        } else {
            (Turned::Idle, begun)
        };
        Some(Stage { why, turn })
    }

    /// Asks its task to close it.
    pub fn cut(&self, why: Turned) {
        self.cut.store(why as u8, Ordering::Release);
        self.wake();
    }

    /// Asks its task to close it, if it is still at this stage.
    pub fn expire(&self, stage: Stage) {
        if self.cut_for().is_none() {
            self.cut_turn.store(stage.turn, Ordering::Relaxed);
            self.cut(stage.why);
        }
    }

    /// The reason of a requested close, if any.
    pub fn cut_for(&self) -> Option<Turned> {
        Turned::ALL.get(usize::from(self.cut.load(Ordering::Acquire))).copied()
    }

    /// The reason to close it now. A deadline is none where the stage ended before its task could look.
    pub fn over(&self) -> Option<Turned> {
        let why = self.cut_for()?;
        let stage = Stage { why, turn: self.cut_turn.load(Ordering::Relaxed) };
        if !why.is_deadline() || self.stage() == Some(stage) {
            return Some(why);
        }
        // It may have been cut for another reason meanwhile.
        let _ = self.cut.compare_exchange(why as u8, UNCUT, Ordering::AcqRel, Ordering::Relaxed);
        self.cut_for().filter(|why| !why.is_deadline())
    }

    /// Asks its task to end it once the requests that it has are answered.
    pub fn drain(&self) {
        self.drains.store(true, Ordering::Release);
        self.wake();
    }

    pub fn drains(&self) -> bool {
        self.drains.load(Ordering::Acquire)
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the waker for changes outside of the connection's own task.
    pub fn watch(&self, waker: &Waker) {
        *self.waker() = Some(waker.clone());
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker() {
            waker.wake_by_ref();
        }
    }

    /// Begins to await an answer. `None` where another one is awaited already, or where another task than the connection's awaits it:
    /// no look would wake that one.
    pub(super) fn await_answer(&self, limit: Duration, waker: &Waker) -> Option<u64> {
        let answer = &self.answer;
        let is_own = self.waker().as_ref().is_some_and(|own| own.will_wake(waker));
        if !is_own || answer.awaited.load(Ordering::Relaxed) != NO_TURN {
            return None;
        }
        let turn = answer.last_turn.fetch_add(1, Ordering::Relaxed) + 1;
        answer.limit_ms.store(millis(limit), Ordering::Relaxed);
        answer.awaited.store(turn, Ordering::Release);
        Some(turn)
    }

    /// The answer is there, or is awaited no more.
    pub(super) fn end_await(&self) {
        self.answer.awaited.store(NO_TURN, Ordering::Release);
    }

    /// The answer that is awaited.
    pub(super) fn awaited(&self) -> Option<Awaited> {
        let turn = self.answer.awaited.load(Ordering::Acquire);
        let limit_ms = self.answer.limit_ms.load(Ordering::Relaxed);
        (turn != NO_TURN).then_some(Awaited { turn, limit_ms })
    }

    /// The answer did not come within its limit.
    pub(super) fn answer_is_late(&self, awaited: Awaited) {
        self.answer.late.store(awaited.turn, Ordering::Release);
        self.wake();
    }

    pub(super) fn is_late(&self, turn: u64) -> bool {
        self.answer.late.load(Ordering::Acquire) == turn
    }

    fn end(&self, is_answered: bool, resets: u32, kept: Option<Kept>) {
        if let Some(kept) = kept {
            self.hold(kept);
        }
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        if !is_answered {
            let taken_back = self.taken_back.fetch_add(1, Ordering::Relaxed) + 1;
            if taken_back > resets && u64::from(taken_back) > self.begun.load(Ordering::Relaxed) / 2 {
                self.cut(Turned::Resets);
            }
        }
    }
}

/// A request under way. Dropped before it is answered, it was taken back.
pub(super) struct InFlight {
    activity: Arc<Activity>,
    resets: u32,
    is_answered: bool,
    kept: Option<Kept>,
}

impl InFlight {
    /// The caller got its whole answer.
    pub fn answered(&mut self) {
        self.is_answered = true;
    }

    /// Keeps the request's shares until the answer is written.
    pub fn hold(&mut self, kept: Kept) {
        self.kept = Some(kept);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.activity.end(self.is_answered, self.resets, self.kept.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Arc<Activity> {
        let activity = Activity::new();
        activity.open();
        activity
    }

    fn why(activity: &Activity) -> Option<Turned> {
        activity.stage().map(|stage| stage.why)
    }

    #[test]
    fn each_stage_has_its_deadline_and_a_request_under_way_has_none() {
        let activity = Activity::new();
        assert_eq!(why(&activity), None, "the handshake has its own");
        activity.open();
        assert_eq!(why(&activity), Some(Turned::FirstByte));
        activity.heard();
        assert_eq!(why(&activity), Some(Turned::Headers));
        let mut request = activity.begin(false, 1);
        activity.heard();
        assert_eq!((why(&activity), activity.is_quiet()), (None, false));
        activity.wrote(false);
        assert_eq!((why(&activity), activity.is_quiet()), (Some(Turned::Write), true));
        activity.wrote(true);
        assert_eq!(why(&activity), None);
        request.answered();
        drop(request);
        assert_eq!((why(&activity), activity.is_quiet()), (Some(Turned::Idle), true));
        activity.heard();
        assert_eq!(why(&activity), Some(Turned::Headers));
    }

    #[test]
    fn frames_on_an_http2_connection_are_no_request_that_begins() {
        let activity = opened();
        activity.begin(true, 1).answered();
        activity.heard();
        assert_eq!(why(&activity), Some(Turned::Idle));
    }

    /// The sweeper and the connection's task look at different times.
    #[test]
    fn a_stage_that_ended_before_its_task_looks_is_not_cut_off() {
        let activity = opened();
        activity.heard();
        let head = activity.stage().unwrap();
        activity.expire(head);
        activity.begin(false, 1).answered();
        activity.heard();
        assert_eq!(activity.over(), None, "this is the head of the next request");
        let stages = |activity: &Activity| {
            activity.wrote(false);
            activity.stage().unwrap()
        };
        let stalled = stages(&activity);
        activity.wrote(true);
        assert_ne!(stages(&activity), stalled, "bytes were taken in between");
        activity.expire(stalled);
        assert_eq!(activity.over(), None);
        activity.expire(activity.stage().unwrap());
        assert_eq!(activity.over(), Some(Turned::Write));
    }

    #[test]
    fn a_peer_that_resets_more_requests_than_it_awaits_is_cut() {
        let activity = opened();
        (0..10).for_each(|_| activity.begin(true, 5).answered());
        (0..5).for_each(|_| drop(activity.begin(true, 5)));
        assert_eq!(activity.cut_for(), None);
        (0..5).for_each(|_| drop(activity.begin(true, 5)));
        assert_eq!(activity.cut_for(), None, "half of all is not more than half");
        drop(activity.begin(true, 5));
        assert_eq!(activity.over(), Some(Turned::Resets));
        assert!(!activity.is_quiet(), "it goes already");
    }

    #[test]
    fn the_shares_of_a_request_are_released_when_its_answer_is_flushed() {
        let gate = crate::Gate::new(Limits::default(), Arc::new(crate::tests::world::NoTraffic));
        let asker = gate.asker(crate::Caller::default());
        let (activity, peer) = (opened(), asker.peer());
        let mut request = activity.begin(false, 1);
        request.answered();
        request.hold(asker.kept().cloned().unwrap());
        drop((request, asker));
        assert_eq!(gate.under_way(peer), 1);
        activity.flushed();
        assert_eq!(gate.under_way(peer), 0);
    }
}
