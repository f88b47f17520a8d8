//! The current activity of one connection, and its deadline.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;

use crate::Limits;
use crate::traffic::{Turned, millis};

/// No moment.
const NEVER: u64 = u64::MAX;
/// No reason to cut.
const UNCUT: u8 = u8::MAX;

/// A value that is held until the answer is written.
pub(super) type Held = Arc<dyn Any + Send + Sync>;

/// The current activity of one connection. Times are milliseconds since `base`, which all connections share.
pub(super) struct Activity {
    base: Instant,
    is_http2: AtomicBool,
    /// When the first byte of a request came that has not begun.
    heard_ms: AtomicU64,
    /// Since when nothing is asked.
    quiet_ms: AtomicU64,
    /// Since when the caller takes nothing of what is written.
    stalled_ms: AtomicU64,
    in_flight: AtomicU32,
    begun: AtomicU64,
    taken_back: AtomicU32,
    cut: AtomicU8,
    wake: AtomicWaker,
    held: Mutex<Vec<Held>>,
    holds: AtomicBool,
}

impl Activity {
    pub fn new(base: Instant) -> Arc<Activity> {
        let activity = Activity {
            base,
            is_http2: AtomicBool::new(false),
            heard_ms: AtomicU64::new(NEVER),
            quiet_ms: AtomicU64::new(0),
            stalled_ms: AtomicU64::new(NEVER),
            in_flight: AtomicU32::new(0),
            begun: AtomicU64::new(0),
            taken_back: AtomicU32::new(0),
            cut: AtomicU8::new(UNCUT),
            wake: AtomicWaker::new(),
            held: Mutex::default(),
            holds: AtomicBool::new(false),
        };
        activity.quiet_ms.store(activity.now_ms(), Ordering::Relaxed);
        Arc::new(activity)
    }

    fn now_ms(&self) -> u64 {
        millis(self.base.elapsed())
    }

    /// Bytes came.
    pub fn heard(&self) {
        let waiting = self.in_flight.load(Ordering::Relaxed) == 0 && !self.is_http2.load(Ordering::Relaxed);
        if waiting && self.heard_ms.load(Ordering::Relaxed) == NEVER {
            self.heard_ms.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    /// A write moved on, or could not.
    pub fn wrote(&self, moved: bool) {
        if moved {
            self.stalled_ms.store(NEVER, Ordering::Relaxed);
        } else if self.stalled_ms.load(Ordering::Relaxed) == NEVER {
            self.stalled_ms.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    /// Everything written so far is with the operating system.
    pub fn flushed(&self) {
        if self.holds.swap(false, Ordering::AcqRel) {
            self.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Keeps something until what is being written is flushed.
    fn hold(&self, held: Held) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(held);
        self.holds.store(true, Ordering::Release);
    }

    /// A request begins.
    pub fn begin(self: &Arc<Self>, is_http2: bool, resets: u32) -> InFlight {
        self.is_http2.store(is_http2, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        self.heard_ms.store(NEVER, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        InFlight { activity: self.clone(), resets, is_answered: false, held: None }
    }

    /// Whether no request is open or its answer stalls, so that closing it loses no awaited answer.
    pub fn is_quiet(&self) -> bool {
        let stalled = self.stalled_ms.load(Ordering::Relaxed) != NEVER;
        (stalled || self.in_flight.load(Ordering::Acquire) == 0) && self.cut_for().is_none()
    }

    /// Since when nothing is asked of it.
    pub fn quiet_ms(&self) -> u64 {
        self.quiet_ms.load(Ordering::Relaxed)
    }

    /// Asks its task to close it.
    pub fn cut(&self, why: Turned) {
        self.cut.store(why as u8, Ordering::Release);
        self.wake.wake();
    }

    /// The reason of a requested close, if any.
    pub fn cut_for(&self) -> Option<Turned> {
        Turned::ALL.get(usize::from(self.cut.load(Ordering::Acquire))).copied()
    }

    /// Sets the waker for changes outside of the connection's own task.
    pub fn watch(&self, waker: &Waker) {
        self.wake.register(waker);
    }

    /// Until when it may go on as it does, and why it may not then.
    pub fn deadline(&self, limits: &Limits) -> Option<(Instant, Turned)> {
        let read = |moment: &AtomicU64| Some(moment.load(Ordering::Relaxed)).filter(|ms| *ms != NEVER);
        let (since_ms, most_ms, why) = if let Some(stalled_ms) = read(&self.stalled_ms) {
            (stalled_ms, limits.write_timeout_ms, Turned::Write)
        } else if self.in_flight.load(Ordering::Acquire) > 0 {
            return None;
        } else if let Some(heard_ms) = read(&self.heard_ms) {
            (heard_ms, limits.header_timeout_ms, Turned::Headers)
        } else if self.begun.load(Ordering::Relaxed) == 0 {
            (self.quiet_ms(), limits.first_byte_timeout_ms, Turned::FirstByte)
        } else {
            (self.quiet_ms(), limits.idle_timeout_ms, Turned::Idle)
        };
        Some((self.base + Duration::from_millis(since_ms.saturating_add(most_ms)), why))
    }

    fn end(&self, is_answered: bool, resets: u32, held: Option<Held>) {
        if let Some(held) = held {
            self.hold(held);
        }
        self.quiet_ms.store(self.now_ms(), Ordering::Relaxed);
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        if !is_answered {
            let taken_back = self.taken_back.fetch_add(1, Ordering::Relaxed) + 1;
            if taken_back > resets && u64::from(taken_back) > self.begun.load(Ordering::Relaxed) / 2 {
                self.cut(Turned::Resets);
            }
        }
        // An HTTP/1 answer ends within the connection's own task, which looks at its deadline next.
        if self.is_http2.load(Ordering::Relaxed) {
            self.wake.wake();
        }
    }
}

/// A request under way. Dropped before it is answered, it was taken back.
pub(super) struct InFlight {
    activity: Arc<Activity>,
    resets: u32,
    is_answered: bool,
    held: Option<Held>,
}

impl InFlight {
    /// The caller got its whole answer.
    pub fn answered(&mut self) {
        self.is_answered = true;
    }

    /// Keeps something until the answer is written.
    pub fn hold(&mut self, held: Held) {
        self.held = Some(held);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.activity.end(self.is_answered, self.resets, self.held.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(activity: &Activity) -> Option<Turned> {
        activity.deadline(&Limits::default()).map(|(_, why)| why)
    }

    #[test]
    fn each_stage_has_its_deadline_and_a_request_under_way_has_none() {
        let activity = Activity::new(Instant::now());
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
        let activity = Activity::new(Instant::now());
        activity.begin(true, 1).answered();
        activity.heard();
        assert_eq!(why(&activity), Some(Turned::Idle));
    }

    #[test]
    fn a_peer_that_resets_more_requests_than_it_awaits_is_cut() {
        let activity = Activity::new(Instant::now());
        (0..10).for_each(|_| activity.begin(true, 5).answered());
        (0..5).for_each(|_| drop(activity.begin(true, 5)));
        assert_eq!(activity.cut_for(), None);
        (0..5).for_each(|_| drop(activity.begin(true, 5)));
        assert_eq!(activity.cut_for(), None, "half of all is not more than half");
        drop(activity.begin(true, 5));
        assert_eq!(activity.cut_for(), Some(Turned::Resets));
        assert!(!activity.is_quiet(), "it goes already");
    }

    #[test]
    fn what_an_answer_holds_goes_when_it_is_flushed() {
        let (activity, held) = (Activity::new(Instant::now()), Arc::new(()));
        let mut request = activity.begin(false, 1);
        request.answered();
        request.hold(held.clone());
        drop(request);
        assert_eq!(Arc::strong_count(&held), 2);
        activity.flushed();
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
