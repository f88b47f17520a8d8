//! The engine's state machine over [`StateMachine`]. A snapshot is a token: the state is taken when it is sent.

use std::io;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder, Snapshot, SnapshotMeta};
use swoosh_types::cluster::{Applied, MemberId, Position};

use super::config::{Entry, LogId, StoredMembership, Term, Types};
use super::convert;
use super::handles::Handle;
use crate::Runtime;
use crate::ports::{Committed, StateMachine};
use crate::types::Member;

/// Rows that are applied in one write.
const APPLIED_AT_ONCE: usize = 64;

pub(super) struct Machine {
    machine: Arc<dyn StateMachine>,
    handle: Handle,
}

/// What the engine keeps as a snapshot: the applied position at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) applied: Option<Position>,
}

pub(super) type Tokens = Snapshot<Term, MemberId, Member, Token>;
pub(super) type TokenMeta = SnapshotMeta<Term, MemberId, Member>;

impl Machine {
    pub(super) fn new(machine: Arc<dyn StateMachine>, handle: Handle) -> Machine {
        Machine { machine, handle }
    }

    fn applied(&self) -> io::Result<Applied> {
        self.machine.applied().map_err(convert::io_error)
    }

    fn token(&self) -> io::Result<Tokens> {
        let applied = self.applied()?;
        let (last_log_id, token) = (applied.at.map(convert::log_id), Token { applied: applied.at });
        let meta = TokenMeta { last_log_id, last_membership: convert::stored(applied.members)? };
        Ok(Snapshot { meta, snapshot: token })
    }
}

impl<R: Runtime> RaftSnapshotBuilder<Types<R>> for Machine {
    type SnapshotData = Token;

    async fn build_snapshot(&mut self) -> Result<Tokens, io::Error> {
        self.token()
    }
}

impl<R: Runtime> RaftStateMachine<Types<R>> for Machine {
    type SnapshotData = Token;
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let applied = self.applied()?;
        Ok((applied.at.map(convert::log_id), convert::stored(applied.members)?))
    }

    async fn apply<S>(&mut self, entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types<R>>, io::Error>> + Unpin + OptionalSend,
    {
        let mut groups = entries.ready_chunks(APPLIED_AT_ONCE);
        while let Some(group) = groups.next().await {
            self.apply_group(group).await?;
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<Machine> {
        Some(Machine { machine: self.machine.clone(), handle: self.handle.clone() })
    }

    async fn get_snapshot_builder(&mut self) -> Machine {
        Machine { machine: self.machine.clone(), handle: self.handle.clone() }
    }

    async fn install_snapshot(&mut self, meta: &TokenMeta, _token: Token) -> Result<(), io::Error> {
        let at = meta.last_log_id.as_ref().map(convert::position);
        let state = Applied { at, members: convert::placed(&meta.last_membership) };
        self.machine.install(state).map_err(convert::io_error)
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Tokens>, io::Error> {
        let token = self.token()?;
        Ok(token.snapshot.applied.is_some().then_some(token))
    }
}

impl Machine {
    /// Applies rows in one write, then answers the waiters of those that were submitted here.
    async fn apply_group<R: Runtime>(&self, group: Vec<Result<EntryResponder<Types<R>>, io::Error>>) -> io::Result<()> {
        let (mut rows, mut answers) = (Vec::new(), Vec::new());
        let mut failed = Ok(());
        for item in group {
            match item {
                Ok((entry, answer)) => {
                    rows.push(committed(entry, answer.is_some()));
                    answers.extend(answer);
                }
                Err(error) => {
                    failed = Err(error);
                    break;
                }
            }
        }
        if !rows.is_empty() {
            self.machine.apply(rows).await.map_err(convert::io_error)?;
        }
        answers.into_iter().for_each(|answer| answer.send(()));
        failed
    }
}

fn committed(entry: Entry, is_awaited: bool) -> Committed {
    Committed { row: convert::row(entry), is_awaited }
}
