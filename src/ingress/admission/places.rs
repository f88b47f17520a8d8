//! Places for work that takes time, of which one peer gets at most its part.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::shares::{Share, Shares};
use crate::ingress::Peer;

/// A number of places.
pub(in crate::ingress) struct Places {
    free: Arc<Semaphore>,
    by_peer: Arc<Shares<Peer>>,
    all: usize,
    of_peer: usize,
}

/// A place, until it is dropped.
pub(in crate::ingress) struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_peer: Share<Peer>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ingress) enum Lack {
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
        Places { free, by_peer: Shares::new(), all, of_peer }
    }

    /// A place now.
    pub fn take(&self, peer: Peer) -> Result<Place, Lack> {
        let share = self.by_peer.take(peer, 1, self.of_peer).ok_or(Lack::OfPeer(self.of_peer))?;
        let permit = self.free.clone().try_acquire_owned().map_err(|_| Lack::OfAll(self.all))?;
        Ok(Place { _of_all: permit, _of_peer: share })
    }

    /// A place, waited for. A peer that has its part waits for its own places and keeps no others from theirs.
    pub async fn wait(&self, peer: Peer, patience: Duration) -> Result<Place, Lack> {
        let turn = async {
            let share = self.by_peer.wait(peer, 1, self.of_peer).await;
            self.free.clone().acquire_owned().await.ok().map(|permit| Place { _of_all: permit, _of_peer: share })
        };
        match tokio::time::timeout(patience, turn).await {
            Ok(Some(place)) => Ok(place),
            _ if self.amount(peer) >= self.of_peer => Err(Lack::OfPeer(self.of_peer)),
            _ => Err(Lack::OfAll(self.all)),
        }
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
