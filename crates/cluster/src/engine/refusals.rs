//! Members that refuse this leader's rows.
//!
//! A member that cannot reproduce a row refuses the row, not the leader: it still answers heartbeats. The engine of a leader that a
//! majority refuses keeps its lease and leads for ever, without a commit.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft_rt::Instant as _;
use swoosh_types::cluster::{Configuration, MemberId, Position};

use crate::Runtime;

pub(super) struct Refusals<R: Runtime>(Mutex<BTreeMap<MemberId, Refusal<R>>>);

struct Refusal<R: Runtime> {
    last: Position,
    since: R::Instant,
    /// When it was last repeated: the engine offers the rows again after a back-off of at most a second.
    repeated: R::Instant,
}

impl<R: Runtime> Refusals<R> {
    pub(super) fn new() -> Refusals<R> {
        Refusals(Mutex::new(BTreeMap::new()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MemberId, Refusal<R>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn refused(&self, by: MemberId, last: Position) {
        let now = R::Instant::now();
        let mut all = self.lock();
        let refusal = all.entry(by).or_insert(Refusal { last, since: now, repeated: now });
        (refusal.last, refusal.repeated) = (last, now);
    }

    /// A member took rows up to here, or turned out to have them.
    pub(super) fn took(&self, by: MemberId, upto: Option<Position>) {
        let mut all = self.lock();
        if all.get(&by).is_some_and(|refusal| upto >= Some(refusal.last)) {
            all.remove(&by);
        }
    }

    /// A position that cannot commit: the voters that have not refused for this long are no quorum. Refusals that were not repeated in
    /// that time do not count.
    pub(super) fn blocked(&self, members: &Configuration, term: u64, patience: Duration) -> Option<Position> {
        let now = R::Instant::now();
        let all = self.lock();
        let refuses = |refusal: &&Refusal<R>| {
            refusal.last.term == term && now - refusal.since >= patience && now - refusal.repeated < patience
        };
        let is_refusing = |id: MemberId| all.get(&id).filter(refuses).is_some();
        if members.is_quorum(|id| !is_refusing(id)) {
            return None;
        }
        all.values().filter(refuses).map(|refusal| refusal.last).max()
    }
}
