//! Turns at a project whose head moves faster than its callers can sign.
//!
//! A proposal names the head that it follows, so of many callers that race for one head all but one are refused. A caller that sends
//! `Prefer: wait=N` waits in line: when its head is stale, and before it is judged where others wait already, so that none of them is
//! faster than those in line. One caller at a time is called. If its head is stale then, the refusal names the present head and asks for
//! no wait. The next is called when that caller's proposal is answered, or after [`TURN`] without one. A turn is no lock: proposals
//! without the preference are judged as ever. A caller that was too slow, or that another proposal was faster than, comes back to the
//! front.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use tokio::sync::oneshot;

use super::Peer;
use super::admission::{Place, Places};
use swoosh_types::ids::IdemKey;
use swoosh_types::text::ProjectName;

/// Longest that a caller waits for its turn, whatever it prefers.
pub(super) const LONGEST: Duration = Duration::from_secs(10);
/// How long the next caller waits for the one that was called to post.
const TURN: Duration = Duration::from_millis(if cfg!(test) { 3_000 } else { 250 });
/// How long it waits for a proposal of that caller to be judged.
const JUDGING: Duration = LONGEST;
/// Callers of a line that missed their turn, whose numbers are kept.
const MISSED: usize = 64;
/// Lines that are kept before those are forgotten in which no caller waits.
const LINES: usize = 1_024;

/// The lines of all projects.
pub(super) struct Turns {
    lines: Mutex<BTreeMap<ProjectName, Line>>,
    /// How many lines there are, so that proposals elsewhere take no lock.
    count: AtomicUsize,
    places: Places,
}

#[derive(Default)]
struct Line {
    last: u64,
    /// By the number that each caller drew.
    waiting: BTreeMap<u64, Waiting>,
    turn: Option<Turn>,
    /// Numbers of callers that did not post in time.
    missed: Vec<(IdemKey, u64)>,
}

struct Waiting {
    key: IdemKey,
    call: oneshot::Sender<()>,
}

/// The caller that was called.
struct Turn {
    key: IdemKey,
    number: u64,
    until: Instant,
}

/// A caller in line, until this is dropped.
pub(super) struct InLine {
    turns: Arc<Turns>,
    project: ProjectName,
    number: u64,
    called: oneshot::Receiver<()>,
    is_served: bool,
    _place: Place,
}

impl Line {
    /// A number for a caller; the one that it had, where it comes back from its turn.
    fn number(&mut self, key: &IdemKey) -> u64 {
        if let Some(turn) = self.turn.take_if(|turn| turn.key == *key) {
            return turn.number;
        }
        if let Some(at) = self.missed.iter().position(|(missed, _)| missed == key) {
            return self.missed.swap_remove(at).1;
        }
        self.last += 1;
        self.last
    }

    /// Calls the first in line, unless another one has the turn.
    fn call_next(&mut self, now: Instant) {
        if let Some(turn) = self.turn.take_if(|turn| turn.until <= now)
            && self.missed.len() < MISSED
        {
            self.missed.push((turn.key, turn.number));
        }
        while self.turn.is_none()
            && let Some((number, Waiting { key, call })) = self.waiting.pop_first()
        {
            if call.send(()).is_ok() {
                self.turn = Some(Turn { key, number, until: now + TURN });
            }
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.waiting.is_empty() && self.turn.as_ref().is_none_or(|turn| turn.until <= now)
    }
}

impl Turns {
    /// So many callers may wait, half of them of one peer.
    pub fn new(callers: usize) -> Arc<Turns> {
        Arc::new(Turns { lines: Mutex::default(), count: AtomicUsize::new(0), places: Places::new(callers) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProjectName, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many callers of a peer wait.
    pub fn amount(&self, peer: Peer) -> usize {
        self.places.amount(peer)
    }

    /// Puts a caller in line; `None` where there is no place.
    pub fn join(self: &Arc<Self>, peer: Peer, project: &ProjectName, key: &IdemKey) -> Option<InLine> {
        let place = self.places.take(peer).ok()?;
        let (call, called) = oneshot::channel();
        let now = Instant::now();
        let mut lines = self.lock();
        if lines.len() >= LINES {
            lines.retain(|_, line| !line.is_over(now));
        }
        let line = lines.entry(project.clone()).or_default();
        let number = line.number(key);
        line.waiting.insert(number, Waiting { key: key.clone(), call });
        line.call_next(now);
        self.count.store(lines.len(), Ordering::Release);
        drop(lines);
        let (turns, project) = (self.clone(), project.clone());
        Some(InLine { turns, project, number, called, is_served: false, _place: place })
    }

    /// Whether others have the turn or wait for it, so that this caller must wait before its proposal is judged. One that has the turn
    /// posts in it.
    pub fn must_wait(&self, project: &ProjectName, key: &IdemKey) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut must_wait = false;
        self.change(project, |line, now| {
            line.call_next(now);
            must_wait = match &mut line.turn {
                Some(turn) if turn.key == *key => {
                    turn.until = now + JUDGING;
                    false
                }
                Some(_) => true,
                None => !line.waiting.is_empty(),
            };
        });
        must_wait
    }

    /// A proposal was answered otherwise than with a stale head: its turn is over, if it had one.
    pub fn answered(&self, project: &ProjectName, key: &IdemKey) {
        if self.count.load(Ordering::Acquire) > 0 {
            self.change(project, |line, _| {
                line.turn.take_if(|turn| turn.key == *key);
                line.missed.retain(|(missed, _)| missed != key);
            });
        }
    }

    fn change(&self, project: &ProjectName, change: impl FnOnce(&mut Line, Instant)) {
        let now = Instant::now();
        let mut lines = self.lock();
        let Some(line) = lines.get_mut(project) else { return };
        change(line, now);
        line.call_next(now);
        if line.is_over(now) {
            lines.remove(project);
        }
        self.count.store(lines.len(), Ordering::Release);
    }
}

impl InLine {
    /// Waits for the turn while `goes_on`; whether it came.
    pub async fn turn(mut self, limit: Duration, goes_on: impl Fn() -> bool) -> bool {
        let until = Instant::now() + limit.min(LONGEST);
        while goes_on() {
            let rest = until.saturating_duration_since(Instant::now());
            match super::serve::within(rest.min(TURN), &mut self.called).await {
                Ok(called) => {
                    self.is_served = called.is_ok();
                    return self.is_served;
                }
                Err(_) if rest.is_zero() => return false,
                // The caller before may be gone.
                Err(_) => self.turns.change(&self.project, |_, _| {}),
            }
        }
        false
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        if self.is_served {
            return;
        }
        let number = self.number;
        self.turns.change(&self.project, |line, _| {
            line.waiting.remove(&number);
            // It was called and does not know.
            line.turn.take_if(|turn| turn.number == number);
        });
    }
}

/// How long a caller would wait for its turn: `wait` of the header `Prefer` (RFC 7240), in seconds.
pub(super) fn preferred(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let preferences = values.flat_map(|value| value.split(','));
    // The first of several counts.
    let mut waits = preferences.filter_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
    });
    let seconds: u64 = waits.next()?.parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use futures::poll;

    use super::*;

    fn peer(n: u8) -> Peer {
        Peer::of(std::net::Ipv4Addr::new(192, 0, 2, n).into())
    }

    fn key(n: u32) -> IdemKey {
        format!("goal:1:control:uuid-{n:08}").parse().unwrap()
    }

    fn project() -> ProjectName {
        "hot".parse().unwrap()
    }

    fn joined(turns: &Arc<Turns>, n: u32) -> std::pin::Pin<Box<impl Future<Output = bool>>> {
        let line = turns.join(peer(1), &project(), &key(n)).unwrap();
        Box::pin(line.turn(Duration::from_secs(9), || true))
    }

    #[tokio::test]
    async fn callers_are_called_one_at_a_time_in_the_order_of_their_coming() {
        let turns = Turns::new(10);
        let (mut first, mut second, mut third) = (joined(&turns, 1), joined(&turns, 2), joined(&turns, 3));
        assert!((&mut first).await, "nothing is before it");
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        turns.answered(&project(), &key(9));
        assert!(poll!(&mut second).is_pending(), "a proposal of another caller ends no turn");
        turns.answered(&project(), &key(1));
        assert!(poll!(&mut third).is_pending());
        assert!(second.await);
        turns.answered(&project(), &key(2));
        assert!(third.await);
        turns.answered(&project(), &key(3));
        assert_eq!((turns.lock().len(), turns.amount(peer(1))), (0, 0));
    }

    /// It would wait behind all others each time that a proposal from outside of the line is faster.
    #[tokio::test]
    async fn a_caller_that_loses_its_turn_to_another_proposal_stays_in_front() {
        let turns = Turns::new(10);
        let first = joined(&turns, 1);
        assert!(first.await);
        let mut second = joined(&turns, 2);
        let again = joined(&turns, 1);
        assert!(poll!(&mut second).is_pending());
        assert!(again.await);
        turns.answered(&project(), &key(1));
        assert!(second.await);
    }

    /// Callers that were accepted came back at once, and were faster each time than those who waited.
    #[tokio::test]
    async fn a_newcomer_waits_behind_those_in_line_and_the_called_one_does_not() {
        let turns = Turns::new(10);
        assert!(!turns.must_wait(&project(), &key(9)), "there is no line");
        assert!(joined(&turns, 1).await);
        assert!(turns.must_wait(&project(), &key(2)) && !turns.must_wait(&project(), &key(1)));
        let mut second = joined(&turns, 2);
        assert!(poll!(&mut second).is_pending());
        turns.answered(&project(), &key(1));
        assert!(turns.must_wait(&project(), &key(1)), "it was accepted, and is a newcomer");
        assert!(second.await);
        turns.answered(&project(), &key(2));
        assert!(!turns.must_wait(&project(), &key(1)));
    }

    /// On a busy machine a caller needs longer than its turn: it would begin at the end of the line each time.
    #[tokio::test]
    async fn a_caller_that_misses_its_turn_comes_back_to_the_front() {
        let turns = Turns::new(10);
        assert!(joined(&turns, 1).await);
        let mut second = joined(&turns, 2);
        assert!((&mut second).await, "the first one did not post in time");
        let (mut third, first) = (joined(&turns, 3), joined(&turns, 1));
        assert!(poll!(&mut third).is_pending());
        turns.answered(&project(), &key(2));
        assert!(first.await);
        assert!(poll!(&mut third).is_pending());
        turns.answered(&project(), &key(1));
        assert!(third.await);
    }

    #[tokio::test]
    async fn a_caller_that_is_gone_holds_up_no_other() {
        let turns = Turns::new(10);
        let called = joined(&turns, 1);
        let (left, mut waiting) = (joined(&turns, 2), joined(&turns, 3));
        // It was called, and left before it knew.
        drop(called);
        drop(left);
        assert!(poll!(&mut waiting).is_ready());
        // This one has the turn and never comes back.
        assert!(joined(&turns, 4).await);
        turns.answered(&project(), &key(4));
    }

    #[tokio::test]
    async fn a_wait_ends_with_its_time_and_with_the_node() {
        let turns = Turns::new(10);
        assert!(joined(&turns, 1).await);
        let line = || turns.join(peer(1), &project(), &key(2)).unwrap();
        assert!(!line().turn(Duration::from_millis(1), || true).await);
        assert!(!line().turn(LONGEST, || false).await);
    }

    #[test]
    fn one_peer_takes_half_of_the_places() {
        let turns = Turns::new(4);
        let _two = [1, 2].map(|n| turns.join(peer(1), &project(), &key(n)).unwrap());
        assert!(turns.join(peer(1), &project(), &key(3)).is_none());
        assert!(turns.join(peer(2), &project(), &key(3)).is_some());
    }

    #[test]
    fn the_preference_is_read_as_rfc_7240_writes_it() {
        let wait = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", HeaderValue::from_static(value));
            }
            preferred(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(&["wait=5"]), Some(5));
        assert_eq!(wait(&["respond-async, Wait = \"7\"; foo"]), Some(7));
        assert_eq!(wait(&["return=minimal", "wait=3, wait=4"]), Some(3));
        assert_eq!(wait(&["wait=600"]), Some(LONGEST.as_secs()));
        for none in
            [&[][..], &["wait"], &["wait="], &["wait=0"], &["wait=-1"], &["wait=1.5"], &["waiting=5"], &["wait = five"]]
        {
            assert_eq!(wait(none), None, "{none:?}");
        }
    }
}
