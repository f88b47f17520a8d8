//! The engine's log over [`LogStore`].

use std::fmt::Debug;
use std::io;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use futures::Stream;
use futures::channel::oneshot;
use futures::stream;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend, RaftLogReader};
use swoosh_types::cluster::Row;

use super::config::{Entry, LogId, Types, Vote};
use super::convert;
use super::handles::Handle;
use crate::Runtime;
use crate::ports::{Done, LogStore, StoreError};

/// Bytes of rows that one read returns: one message to a follower, or one step of applying.
const READ_BYTES: usize = 4 << 20;

pub(super) struct Log<R> {
    reader: Reader<R>,
}

/// One for each follower, and one for the state machine.
pub(super) struct Reader<R> {
    store: Arc<dyn LogStore>,
    handle: Handle,
    runtime: PhantomData<fn() -> R>,
}

impl<R> Log<R> {
    pub(super) fn new(store: Arc<dyn LogStore>, handle: Handle) -> Log<R> {
        Log { reader: Reader { store, handle, runtime: PhantomData } }
    }

    /// Waits until a write of the log is durable.
    async fn durable(&self, write: impl FnOnce(&dyn LogStore, Done)) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        let done: Done = Box::new(move |result| drop(sender.send(result)));
        write(self.reader.store.as_ref(), done);
        let ended = || Err(StoreError("the log's queue ended before a write".to_owned()));
        receiver.await.unwrap_or_else(|_| ended()).map_err(convert::io_error)
    }
}

impl<R> Clone for Reader<R> {
    fn clone(&self) -> Self {
        Reader { store: self.store.clone(), handle: self.handle.clone(), runtime: PhantomData }
    }
}

impl<R> Reader<R> {
    async fn read(&self, from: u64, to: u64) -> io::Result<Vec<Entry>> {
        let rows = self.store.read(from, to, READ_BYTES).await.map_err(convert::io_error)?;
        convert::entries(rows)
    }
}

/// The half-open range of indexes that a range covers.
fn indexes(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(to) => *to,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

fn next_index(entries: &[Entry]) -> Option<u64> {
    entries.last().map(|entry| entry.log_id.index() + 1)
}

impl<R: Runtime> RaftLogReader<Types<R>> for Reader<R> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let (mut from, to) = indexes(&range);
        let mut all = Vec::new();
        while from < to {
            let mut entries = self.read(from, to).await?;
            let Some(next) = next_index(&entries) else { break };
            from = next;
            all.append(&mut entries);
        }
        Ok(all)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.store.ends().map_err(convert::io_error)?.ballot.map(convert::vote))
    }

    /// Replication reads here: bounded by bytes, so that a message has a bound.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end).await
    }

    /// Applying reads here, in steps, so that a long backlog is never in memory at once.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = indexes(&range);
        let steps = stream::try_unfold((self.clone(), from), move |(reader, from)| async move {
            if from >= to {
                return Ok(None);
            }
            let entries = reader.read(from, to).await?;
            let next = next_index(&entries);
            Ok::<_, io::Error>(next.map(|next| (stream::iter(entries.into_iter().map(Ok)), (reader, next))))
        });
        futures::TryStreamExt::try_flatten(steps)
    }
}

impl<R: Runtime> RaftLogStorage<Types<R>> for Log<R> {
    type LogReader = Reader<R>;

    async fn get_log_state(&mut self) -> Result<LogState<Types<R>>, io::Error> {
        let ends = self.reader.store.ends().map_err(convert::io_error)?;
        Ok(LogState {
            last_purged_log_id: ends.purged.map(convert::log_id),
            last_log_id: ends.last.map(convert::log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Reader<R> {
        self.reader.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.durable(|store, done| store.vote(convert::ballot(vote), done)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        if let Some(at) = committed {
            self.reader.store.note_committed(convert::position(&at));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.reader.store.ends().map_err(convert::io_error)?.committed.map(convert::log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types<R>>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let commands: Vec<_> = entries.iter().filter_map(command_of).cloned().collect();
        let rows: Vec<Row> = entries.into_iter().map(convert::row).collect();
        let done: Done = Box::new(|result| callback.io_completed(result.map_err(convert::io_error)));
        self.reader.store.append(rows, done);
        commands.iter().for_each(super::config::Command::note_appended);
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.durable(|store, done| store.truncate(last.as_ref().map(convert::position), done)).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.durable(|store, done| store.purge(convert::position(&upto), done)).await
    }
}

fn command_of(entry: &Entry) -> Option<&super::config::Command> {
    match &entry.payload {
        EntryPayload::Normal(command) => Some(command),
        EntryPayload::Blank | EntryPayload::Membership(_) => None,
    }
}
