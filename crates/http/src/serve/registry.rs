//! All open connections: how many each peer has, which of them give way, and the deadlines of their stages.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::activity::{Activity, Awaited, Stage};
use crate::{Limits, Peer, Traffic, Turned};

struct Entry {
    peer: Peer,
    activity: Arc<Activity>,
    /// The stage and the awaited answer of the last look, and when a look first found them.
    stage: (Option<Stage>, Instant),
    awaited: (Option<Awaited>, Instant),
}

impl Entry {
    fn new(peer: Peer, now: Instant) -> Entry {
        Entry { peer, activity: Activity::new(), stage: (None, now), awaited: (None, now) }
    }

    /// Notes a stage or an awaited answer that began since the last look. So a deadline is never early, and at most two looks late.
    fn look(&mut self, now: Instant) {
        let (stage, awaited) = (self.activity.stage(), self.activity.awaited());
        if self.stage.0 != stage {
            self.stage = (stage, now);
        }
        if self.awaited.0 != awaited {
            self.awaited = (awaited, now);
        }
    }

    /// Ends the stage and the wait that lasted too long.
    fn enforce(&mut self, limits: &Limits, now: Instant) {
        self.look(now);
        let is_over = |since: Instant, limit_ms: u64| now - since >= Duration::from_millis(limit_ms);
        if let (Some(stage), since) = self.stage
            && is_over(since, stage.limit_ms(limits))
        {
            self.activity.expire(stage);
        }
        if let (Some(awaited), since) = self.awaited
            && is_over(since, awaited.limit_ms)
        {
            self.activity.answer_is_late(awaited);
        }
    }
}

#[derive(Default)]
struct Open {
    last: u64,
    is_draining: bool,
    connections: BTreeMap<u64, Entry>,
    peers: BTreeMap<Peer, usize>,
}

impl Open {
    fn remove(&mut self, number: u64) {
        let Some(Entry { peer, .. }) = self.connections.remove(&number) else { return };
        match self.peers.get_mut(&peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.peers.remove(&peer)),
        }
    }

    /// The connections that wait for nothing: first those of the peer with the most, then the longest quiet.
    fn victims(&mut self, most: usize, now: Instant) -> Vec<u64> {
        self.connections.values_mut().for_each(|entry| entry.look(now));
        let quiet = self.connections.iter().filter(|(_, entry)| entry.activity.is_quiet());
        let rank = |(number, entry): (&u64, &Entry)| {
            let of_peer = self.peers.get(&entry.peer).copied().unwrap_or(0);
            (Reverse(of_peer), entry.stage.1, *number)
        };
        let mut ranked: Vec<_> = quiet.map(rank).collect();
        if ranked.len() > most {
            ranked.select_nth_unstable(most);
            ranked.truncate(most);
        }
        ranked.into_iter().map(|(_, _, number)| number).collect()
    }
}

/// All open connections.
pub(super) struct Registry {
    limits: Limits,
    traffic: Arc<dyn Traffic>,
    open: Mutex<Open>,
}

/// A connection's place, until it is dropped.
pub(super) struct Place {
    registry: Arc<Registry>,
    number: u64,
    pub activity: Arc<Activity>,
}

impl Registry {
    pub fn new(limits: Limits, traffic: Arc<dyn Traffic>) -> Arc<Registry> {
        Arc::new(Registry { limits, traffic, open: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection, or why there is none.
    pub fn admit(self: &Arc<Self>, peer: Peer) -> Result<Place, Turned> {
        let mut open = self.lock();
        let of_peer = open.peers.get(&peer).copied().unwrap_or(0);
        if of_peer >= self.limits.connections_per_peer {
            return Err(Turned::PeerFull);
        }
        // Several at once, so that a flood does not rank all of them for each newcomer.
        let batch = self.limits.connections / 64 + 1;
        if open.connections.len() >= self.limits.connections && self.cut(&mut open, batch, Turned::GaveWay) == 0 {
            return Err(Turned::NodeFull);
        }
        open.last += 1;
        let (number, entry) = (open.last, Entry::new(peer, Instant::now()));
        let activity = entry.activity.clone();
        if open.is_draining {
            activity.drain();
        }
        open.connections.insert(number, entry);
        *open.peers.entry(peer).or_default() += 1;
        self.traffic.open(open.connections.len());
        Ok(Place { registry: self.clone(), number, activity })
    }

    /// Closes connections that wait for nothing; how many.
    pub fn make_room(&self, most: usize) -> usize {
        self.cut(&mut self.lock(), most, Turned::GaveWay)
    }

    fn cut(&self, open: &mut Open, most: usize, why: Turned) -> usize {
        let victims = open.victims(most, Instant::now());
        for number in &victims {
            if let Some(entry) = open.connections.get(number) {
                entry.activity.cut(why);
            }
            // Its place is free now, although its task takes a moment to notice.
            open.remove(*number);
        }
        victims.len()
    }

    /// Looks at all connections, and ends stages and waits that lasted too long. The connections' tasks do the rest.
    pub fn enforce_deadlines(&self, now: Instant) {
        self.lock().connections.values_mut().for_each(|entry| entry.enforce(&self.limits, now));
    }

    /// Lets all connections end, those of later callers too, once the requests that they have are answered.
    pub fn drain(&self) {
        let mut open = self.lock();
        open.is_draining = true;
        open.connections.values().for_each(|entry| entry.activity.drain());
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.lock().connections.len()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.registry.lock();
        open.remove(self.number);
        self.registry.traffic.open(open.connections.len());
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;
    use crate::tests::world::NoTraffic;

    fn peer(n: u8) -> Peer {
        Peer::of(std::net::Ipv4Addr::new(192, 0, 2, n).into())
    }

    fn registry(connections: usize, connections_per_peer: usize) -> Arc<Registry> {
        Registry::new(Limits { connections, connections_per_peer, ..Limits::default() }, Arc::new(NoTraffic))
    }

    #[test]
    fn a_peer_has_a_bound_of_its_own() {
        let registry = registry(10, 2);
        let (first, _second) = (registry.admit(peer(1)).ok().unwrap(), registry.admit(peer(1)).ok().unwrap());
        assert_eq!(registry.admit(peer(1)).err(), Some(Turned::PeerFull));
        assert!(registry.admit(peer(2)).is_ok());
        drop(first);
        assert!(registry.admit(peer(1)).is_ok());
    }

    #[test]
    fn quiet_connections_of_the_largest_peer_are_closed_first() {
        let registry = registry(3, 10);
        let calm = registry.admit(peer(1)).ok().unwrap();
        let hoard: Vec<_> = (0..2).map(|_| registry.admit(peer(2)).ok().unwrap()).collect();
        let newcomer = registry.admit(peer(3)).ok().unwrap();
        let cut = |place: &Place| place.activity.cut_for();
        assert_eq!((cut(&hoard[0]), cut(&hoard[1])), (Some(Turned::GaveWay), None));
        assert_eq!((cut(&calm), cut(&newcomer), registry.len()), (None, None, 3));
        drop(hoard);
        assert_eq!(registry.len(), 2, "a closed connection is not counted twice");
    }

    fn looks(registry: &Registry, place: &Place, after_ms: &[u64]) -> Vec<Option<Turned>> {
        let began = Instant::now();
        let look = |ms: &u64| {
            registry.enforce_deadlines(began + Duration::from_millis(*ms));
            place.activity.over()
        };
        after_ms.iter().map(look).collect()
    }

    /// A stage lasts from the look that first finds it.
    #[test]
    fn each_stage_ends_at_its_deadline_and_never_before() {
        let limits = Limits {
            first_byte_timeout_ms: 1_000,
            header_timeout_ms: 2_000,
            idle_timeout_ms: 3_000,
            write_timeout_ms: 4_000,
            ..Limits::default()
        };
        type Way = fn(&Arc<Activity>);
        let stages: [(Turned, u64, Way); 4] = [
            (Turned::FirstByte, 1_000, |_| {}),
            (Turned::Headers, 2_000, |activity| activity.heard()),
            (Turned::Idle, 3_000, |activity| activity.begin(false, 1).answered()),
            (Turned::Write, 4_000, |activity| {
                activity.begin(false, 1).answered();
                activity.wrote(false);
            }),
        ];
        for (why, limit_ms, go) in stages {
            let registry = Registry::new(limits, Arc::new(NoTraffic));
            let place = registry.admit(peer(1)).ok().unwrap();
            assert_eq!(looks(&registry, &place, &[10_000, 20_000]), [None, None], "the handshake has its own deadline");
            place.activity.open();
            go(&place.activity);
            let found = looks(&registry, &place, &[30_000, 30_000 + limit_ms - 1, 30_000 + limit_ms]);
            assert_eq!(found, [None, None, Some(why)]);
        }
    }

    /// A caller that gets answer after answer is not idle, and one that takes a byte does not stall.
    #[test]
    fn a_connection_that_moves_on_between_two_looks_is_kept() {
        let registry = registry(1, 1);
        let place = registry.admit(peer(1)).ok().unwrap();
        place.activity.open();
        for n in 1..20 {
            place.activity.begin(false, 1).answered();
            place.activity.wrote(false);
            place.activity.wrote(true);
            place.activity.wrote(n % 2 == 0);
            assert_eq!(looks(&registry, &place, &[n * 70_000]), [None]);
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_awaited_too_long_is_late() {
        let registry = registry(1, 1);
        let place = registry.admit(peer(1)).ok().unwrap();
        // The waker of a task is the same in each of its clones.
        let task = tokio::spawn(std::future::poll_fn(|cx| Poll::Ready(cx.waker().clone())));
        let (activity, waker, limit) = (&place.activity, task.await.unwrap(), Duration::from_millis(500));
        assert_eq!(activity.await_answer(limit, &waker), None, "it is no task of the connection");
        activity.watch(&waker);
        let first = activity.await_answer(limit, &waker).unwrap();
        assert_eq!(activity.await_answer(limit, &waker), None, "it keeps one");
        looks(&registry, &place, &[1_000, 1_499]);
        assert!(!activity.is_late(first));
        activity.end_await();
        let second = activity.await_answer(limit, &waker).unwrap();
        looks(&registry, &place, &[1_500, 1_999]);
        assert!(!activity.is_late(second), "the time of another wait is not its own");
        looks(&registry, &place, &[2_100]);
        assert!(activity.is_late(second));
    }

    #[test]
    fn who_connects_during_the_drain_is_drained_too() {
        let registry = registry(2, 2);
        let early = registry.admit(peer(1)).ok().unwrap();
        assert!(!early.activity.drains());
        registry.drain();
        assert!(early.activity.drains() && registry.admit(peer(1)).ok().unwrap().activity.drains());
    }

    #[test]
    fn connections_under_way_never_give_way() {
        let registry = registry(2, 10);
        let places: Vec<_> = (0..2).map(|n| registry.admit(peer(n)).ok().unwrap()).collect();
        let busy: Vec<_> = places.iter().map(|place| place.activity.begin(false, 1)).collect();
        assert_eq!(registry.admit(peer(3)).err(), Some(Turned::NodeFull));
        drop(busy);
        assert!(registry.admit(peer(3)).is_ok());
    }
}
