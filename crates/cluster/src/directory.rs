//! The ports of the log and of the state machine over a member's journal.
//!
//! ```text
//! append, vote, truncate, purge ──► the journal's queue ──► its thread ──► done
//! apply ──► derive ──► the same queue        read ──► memory, else a thread that reads the store
//! ```
//! No method waits for the disk: the engine's runtime also sends heartbeats.

use std::io;
use std::sync::mpsc;

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::{BoxFuture, ready};
use swoosh_journal::{AppendError, LogDone, MemberLog, Write};
use swoosh_types::cluster::{Applied, Ballot, LogEnds, Position, Row};

use crate::ports::{Committed, Done, LogStore, StateMachine, StoreError};

/// What committed rows make.
pub trait Derive: Send + Sync + 'static {
    /// What the records of a row write beside the log: the decision of each of them, keys, effects, snapshots. Called in the order of the
    /// rows.
    fn derive(&self, committed: &Committed) -> Result<Vec<Write>, StoreError>;
}

type Job = Box<dyn FnOnce() + Send>;

/// Where rows are read that are not in memory.
enum Reads {
    /// In the caller's thread: a simulation has one.
    Here,
    Thread(mpsc::Sender<Job>),
}

/// A member's directory for one instance of the engine.
pub struct Directory<D> {
    log: MemberLog,
    derive: D,
    reads: Reads,
}

impl<D: Derive> Directory<D> {
    /// Reads in a thread of its own, which ends with the directory.
    pub fn new(log: MemberLog, derive: D) -> io::Result<Directory<D>> {
        let (sender, jobs) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("cluster-reads".to_owned())
            .spawn(move || jobs.iter().for_each(|job| job()))?;
        Ok(Directory { log, derive, reads: Reads::Thread(sender) })
    }

    /// Reads in the caller's thread.
    pub fn in_one_thread(log: MemberLog, derive: D) -> Directory<D> {
        Directory { log, derive, reads: Reads::Here }
    }
}

fn failed(error: impl ToString) -> StoreError {
    StoreError(error.to_string())
}

fn ended() -> StoreError {
    StoreError("the journal's thread has ended".to_owned())
}

fn with_our_error(done: Done) -> LogDone {
    Box::new(move |result| done(result.map_err(failed)))
}

impl<D: Derive> LogStore for Directory<D> {
    fn ends(&self) -> Result<LogEnds, StoreError> {
        Ok(self.log.ends())
    }

    fn read(&self, from: u64, to: u64, bytes: usize) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        if let Some(rows) = self.log.cached(from, to, bytes) {
            return ready(Ok(rows)).boxed();
        }
        let Reads::Thread(jobs) = &self.reads else {
            return ready(self.log.read(from, to, bytes).map_err(failed)).boxed();
        };
        let (answer, rows) = oneshot::channel();
        let log = self.log.clone();
        let job = move || drop(answer.send(log.read(from, to, bytes)));
        if jobs.send(Box::new(job)).is_err() {
            return ready(Err(ended())).boxed();
        }
        async move { rows.await.map_err(|_| ended())?.map_err(failed) }.boxed()
    }

    fn append(&self, rows: Vec<Row>, done: Done) {
        self.log.append(rows, with_our_error(done));
    }

    fn vote(&self, ballot: Ballot, done: Done) {
        self.log.vote(ballot, with_our_error(done));
    }

    fn truncate(&self, last: Option<Position>, done: Done) {
        self.log.truncate(last, with_our_error(done));
    }

    fn purge(&self, upto: Position, done: Done) {
        self.log.purge(upto, with_our_error(done));
    }

    fn note_committed(&self, at: Position) {
        self.log.note_committed(at);
    }
}

impl<D: Derive> StateMachine for Directory<D> {
    fn applied(&self) -> Result<Applied, StoreError> {
        Ok(self.log.applied())
    }

    fn apply(&self, rows: Vec<Committed>) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let mut waiting = Vec::new();
            for committed in rows {
                let writes = self.derive.derive(&committed)?;
                let (sender, written) = oneshot::channel::<Result<(), AppendError>>();
                self.log.apply(committed.row, writes, Box::new(move |result| drop(sender.send(result))));
                waiting.push(written);
            }
            for written in waiting {
                written.await.map_err(|_| ended())?.map_err(failed)?;
            }
            Ok(())
        }
        .boxed()
    }

    #[cfg(test)]
    fn install(&self, state: Applied) -> Result<(), StoreError> {
        self.log.install(state);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openraft_rt::AsyncRuntime as _;
    use openraft_rt_tokio::TokioRuntime;
    use swoosh_journal::testing::member::{founding, start};
    use swoosh_journal::testing::{Directory as Folder, options};
    use swoosh_journal::{Founding, Journal, LogThread};
    use swoosh_types::cluster::PlacedConfiguration;

    use super::*;
    use crate::engine::testing::{Fresh, store_suite};

    struct Nothing;

    impl Derive for Nothing {
        fn derive(&self, _: &Committed) -> Result<Vec<Write>, StoreError> {
            Ok(Vec::new())
        }
    }

    /// A member's empty directory, its queue's thread, and the ports over it.
    fn fresh() -> Fresh<(LogThread, Folder)> {
        let folder = Folder::new();
        let empty = Founding { begins: None, ballot: None, members: PlacedConfiguration::default(), ..founding() };
        Journal::found(options(folder.path()), &empty).unwrap();
        let journal = start(options(folder.path()), 1).unwrap();
        let log = journal.unchecked_member_log().unwrap();
        let thread = log.spawn().unwrap();
        let directory = Arc::new(Directory::new(log, Nothing).unwrap());
        Fresh { log: directory.clone(), machine: directory, guard: (thread, folder) }
    }

    /// The engine's own tests of a store, over RocksDB, a real watermark and the journal's threads.
    #[test]
    fn a_member_s_journal_passes_the_suite_of_the_engine() {
        let mut runtime = TokioRuntime::new(2);
        let outcome = runtime.block_on(store_suite::<TokioRuntime, _, _, _>(|| async { fresh() }));
        assert_eq!(outcome, Ok(()));
    }

    /// Rows that are older than the memory are read by a thread, and the instance goes on meanwhile.
    #[test]
    fn rows_that_are_not_in_memory_are_read_by_a_thread() {
        use swoosh_types::cluster::{Body, Position};
        let folder = Folder::new();
        Journal::found(options(folder.path()), &founding()).unwrap();
        let rows: Vec<Row> = (2..9).map(|index| Row { at: Position { term: 1, index }, body: Body::Blank }).collect();
        let log = start(options(folder.path()), 1).unwrap().member_log().unwrap();
        log.append(rows.clone(), Box::new(|result| result.unwrap()));
        log.work();
        drop(log);
        let log = start(options(folder.path()), 2).unwrap().member_log().unwrap();
        assert_eq!(log.cached(2, 9, usize::MAX), None, "memory is empty after a start");
        for directory in [Directory::new(log.clone(), Nothing).unwrap(), Directory::in_one_thread(log, Nothing)] {
            let read = |from, to, bytes| futures::executor::block_on(directory.read(from, to, bytes)).unwrap();
            assert_eq!(read(0, u64::MAX, usize::MAX), rows);
            assert_eq!(read(4, 6, usize::MAX), rows[2..4]);
            assert_eq!(read(4, 6, 1), rows[2..3]);
        }
    }
}
