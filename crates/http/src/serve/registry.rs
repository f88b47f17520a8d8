//! All open connections: how many each peer has, and which of them give way.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::activity::Activity;
use crate::{Limits, Peer, Traffic, Turned};

struct Entry {
    peer: Peer,
    activity: Arc<Activity>,
}

#[derive(Default)]
struct Open {
    last: u64,
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
    fn victims(&self, most: usize) -> Vec<u64> {
        let quiet = self.connections.iter().filter(|(_, entry)| entry.activity.is_quiet());
        let rank = |(number, entry): (&u64, &Entry)| {
            let of_peer = self.peers.get(&entry.peer).copied().unwrap_or(0);
            (Reverse(of_peer), entry.activity.quiet_ms(), *number)
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
    base: Instant,
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
        Arc::new(Registry { base: Instant::now(), limits, traffic, open: Mutex::default() })
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
        let (number, activity) = (open.last, Activity::new(self.base));
        open.connections.insert(number, Entry { peer, activity: activity.clone() });
        *open.peers.entry(peer).or_default() += 1;
        self.traffic.open(open.connections.len());
        Ok(Place { registry: self.clone(), number, activity })
    }

    /// Closes connections that wait for nothing; how many.
    pub fn make_room(&self, most: usize) -> usize {
        self.cut(&mut self.lock(), most, Turned::GaveWay)
    }

    fn cut(&self, open: &mut Open, most: usize, why: Turned) -> usize {
        let victims = open.victims(most);
        for number in &victims {
            if let Some(entry) = open.connections.get(number) {
                entry.activity.cut(why);
            }
            // Its place is free now, although its task takes a moment to notice.
            open.remove(*number);
        }
        victims.len()
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
