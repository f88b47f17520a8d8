//! Places for work that takes time, of which one peer gets at most its part.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::lines::{Lines, Part};
use crate::Peer;

/// A number of places.
pub(crate) struct Places {
    free: Arc<Semaphore>,
    by_peer: Arc<Lines>,
    all: usize,
    of_peer: usize,
}

/// A place, until it is dropped.
pub(crate) struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_peer: Part,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// The peer has its part; how many that are.
    OfPeer(usize),
    /// All are taken; how many there are.
    OfAll(usize),
}

impl Places {
    /// So many places, half of them for one peer.
    pub fn new(all: usize) -> Places {
        Places::with(all, all.div_ceil(2))
    }

    /// So many places, and so many for one peer.
    pub fn with(all: usize, of_peer: usize) -> Places {
        let free = Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS)));
        Places { free, by_peer: Lines::new(of_peer), all, of_peer }
    }

    /// A place now.
    pub fn take(&self, peer: Peer) -> Result<Place, Lack> {
        let share = self.by_peer.take(peer).ok_or(Lack::OfPeer(self.of_peer))?;
        let permit = self.free.clone().try_acquire_owned().map_err(|_| Lack::OfAll(self.all))?;
        Ok(Place { _of_all: permit, _of_peer: share })
    }

    /// A place, waited for. A peer that has its part waits for its own places and keeps no others from theirs;
    /// who of it came first is served first.
    pub async fn wait(&self, peer: Peer, patience: Duration) -> Result<Place, Lack> {
        // A free place costs no timer. Places that become free go to those who wait, so this passes none of them.
        if let Ok(place) = self.take(peer) {
            return Ok(place);
        }
        let until = Instant::now() + patience;
        let part = timeout_at(until, self.by_peer.wait(peer, 1)).await.ok().flatten();
        let part = part.ok_or(Lack::OfPeer(self.of_peer))?;
        let permit = timeout_at(until, self.free.clone().acquire_owned()).await.ok().and_then(Result::ok);
        permit.map(|permit| Place { _of_all: permit, _of_peer: part }).ok_or(Lack::OfAll(self.all))
    }

    #[cfg(test)]
    pub fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// How many a peer has.
    pub fn amount(&self, peer: Peer) -> usize {
        self.by_peer.amount(peer)
    }
}
