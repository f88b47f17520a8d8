//! Amounts that peers wait for. Each peer has its own line: first come, first served.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Peer;

/// An amount for each peer. A peer that neither has nor awaits any takes no memory.
pub(super) struct Lines {
    most: usize,
    by_peer: Mutex<BTreeMap<Peer, Line>>,
}

/// The bound of one peer, and the number of requests that hold or await a part of it.
struct Line {
    free: Arc<Semaphore>,
    users: usize,
}

/// One of a line's users.
struct User {
    lines: Arc<Lines>,
    peer: Peer,
}

/// An amount that a peer has until this is dropped.
pub(super) struct Part {
    // Dropped first: the line must not be forgotten before.
    _permit: OwnedSemaphorePermit,
    _user: User,
}

impl Lines {
    /// So much for each peer.
    pub fn new(most: usize) -> Arc<Lines> {
        Arc::new(Lines { most: most.min(Semaphore::MAX_PERMITS), by_peer: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Peer, Line>> {
        self.by_peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(self: &Arc<Self>, peer: Peer) -> (Arc<Semaphore>, User) {
        let mut lines = self.lock();
        let line = lines.entry(peer).or_insert_with(|| Line { free: Arc::new(Semaphore::new(self.most)), users: 0 });
        line.users += 1;
        (line.free.clone(), User { lines: self.clone(), peer })
    }

    /// A part now, unless the peer has all it may have, or others of it wait.
    pub fn take(self: &Arc<Self>, peer: Peer) -> Option<Part> {
        let (free, user) = self.join(peer);
        free.try_acquire_owned().ok().map(|permit| Part { _permit: permit, _user: user })
    }

    /// Waits for an amount. An amount above the bound takes all of it.
    pub async fn wait(self: &Arc<Self>, peer: Peer, amount: usize) -> Option<Part> {
        let (free, user) = self.join(peer);
        let amount = u32::try_from(amount.min(self.most)).unwrap_or(u32::MAX);
        free.acquire_many_owned(amount).await.ok().map(|permit| Part { _permit: permit, _user: user })
    }

    /// How much a peer has.
    pub fn amount(&self, peer: Peer) -> usize {
        self.lock().get(&peer).map_or(0, |line| self.most - line.free.available_permits())
    }

    #[cfg(test)]
    pub fn peers(&self) -> usize {
        self.lock().len()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.get_mut(&self.peer) {
            line.users -= 1;
            if line.users == 0 {
                lines.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    fn peer(n: u8) -> Peer {
        Peer::of(std::net::Ipv4Addr::new(192, 0, 2, n).into())
    }

    /// All woke at once, and the last to come could be the first.
    #[tokio::test]
    async fn the_first_of_a_peer_to_wait_is_the_first_to_be_served_and_other_peers_do_not_wait() {
        let lines = Lines::new(1);
        let held = lines.take(peer(1)).unwrap();
        let mut first = Box::pin(lines.wait(peer(1), 1));
        let mut second = Box::pin(lines.wait(peer(1), 1));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        assert!(lines.wait(peer(2), 1).await.is_some());
        drop(held);
        assert!(lines.take(peer(1)).is_none(), "nothing passes those who wait");
        assert!(poll!(&mut second).is_pending());
        assert!(first.await.is_some());
        assert!(second.await.is_some());
        assert_eq!(lines.peers(), 0);
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_line() {
        let lines = Lines::new(2);
        let held = lines.wait(peer(1), 9).await.unwrap();
        assert_eq!(lines.amount(peer(1)), 2);
        let mut waiting = Box::pin(lines.wait(peer(1), 1));
        assert!(poll!(&mut waiting).is_pending());
        drop(waiting);
        drop(held);
        assert_eq!((lines.peers(), lines.amount(peer(1))), (0, 0));
    }
}
