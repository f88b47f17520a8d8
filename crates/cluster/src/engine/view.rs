//! What the engine shows of itself: vote, leader, members, the age of the quorum's answer, its end.

use std::time::Duration;

use openraft::alias::WatchReceiverOf;
use openraft::errors::Fatal;
use openraft::metrics::{RaftDataMetrics, RaftServerMetrics};
use openraft_rt::{Instant as _, WatchReceiver as _};
use swoosh_types::cluster::{MemberId, PlacedConfiguration};

use super::Raft;
use super::config::Types;
use super::convert;
use crate::Runtime;
use crate::ports::EndReason;

/// The engine's state at one moment.
pub(super) struct View {
    pub(super) term: u64,
    pub(super) leader: Option<MemberId>,
    /// This member won the election of the term and is a voter.
    pub(super) leads: bool,
    pub(super) is_voter: bool,
    pub(super) members: PlacedConfiguration,
}

pub(super) struct Views<R: Runtime> {
    pub(super) server: WatchReceiverOf<Types<R>, RaftServerMetrics<Types<R>>>,
    pub(super) data: WatchReceiverOf<Types<R>, RaftDataMetrics<Types<R>>>,
    me: MemberId,
}

impl<R: Runtime> Views<R> {
    pub(super) fn of(raft: &Raft<R>, me: MemberId) -> Views<R> {
        Views { server: raft.server_metrics(), data: raft.data_metrics(), me }
    }

    pub(super) fn now(&mut self) -> View {
        let server = self.server.borrow_and_update();
        let ballot = convert::ballot(&server.vote);
        let members = convert::placed(&server.membership_config);
        let won = ballot.elected && ballot.member == self.me && server.current_leader == Some(self.me);
        let is_voter = members.configuration.is_voter(self.me);
        View { term: ballot.term, leader: server.current_leader, leads: won, is_voter, members }
    }

    /// Whether a majority answered within the lease. A voter alone is its own majority.
    pub(super) fn has_quorum(&self, view: &View, lease: Duration) -> bool {
        let is_alone = view.members.configuration.is_quorum(|id| id == self.me);
        is_alone || self.quorum_age().is_some_and(|age| age < lease)
    }

    pub(super) fn quorum_age(&self) -> Option<Duration> {
        self.data.borrow_watched().last_quorum_acked.map(|at| R::Instant::now() - *at)
    }
}

/// Waits for the end of an instance.
pub(super) async fn ended<R: Runtime>(raft: &Raft<R>) -> EndReason {
    let mut all = raft.metrics();
    loop {
        let state = all.borrow_watched().running_state.clone();
        match state {
            Err(Fatal::StorageError(error)) => return EndReason::Storage(error.to_string()),
            Err(Fatal::Panicked) => return EndReason::Panicked,
            Err(Fatal::Stopped) => return EndReason::Stopped,
            Ok(()) => {}
        }
        // A closed watch without a reason: the core is gone.
        if all.changed().await.is_err() {
            let state = all.borrow_watched().running_state.clone();
            return if state.is_ok() { EndReason::Panicked } else { continue };
        }
    }
}
