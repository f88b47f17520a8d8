//! A member's directory in memory: what its process sees, what its disk holds, and one queue between them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use swoosh_cluster::ports::{Committed, Done, LogStore, StateMachine, StoreError};
use swoosh_cluster::types::{Applied, Ballot, DirectoryId, LogEnds, MemberId, Position, Row};

use super::Plant;
use super::memory::{Content, State};
use super::oracle::Oracle;
use crate::runtime;

/// One write in the queue. All kinds share it, so that a crash keeps a prefix of them.
enum Write {
    Vote(Ballot),
    Append(Vec<Row>),
    Truncate(Option<Position>),
    Purge(Position),
    Apply(Box<State>),
}

struct Queued {
    write: Write,
    done: Option<Done>,
}

struct Disk {
    /// With all queued writes.
    seen: Content,
    /// What a crash leaves.
    held: Content,
    queue: VecDeque<Queued>,
    wake: Option<oneshot::Sender<()>>,
    /// Each write fails.
    is_broken: bool,
    /// Bounds of one sync, in microseconds. A group of writes takes two.
    sync_us: (u64, u64),
    apply_us: u64,
    plant: Option<Plant>,
    /// For the engine's test suite, which appends and applies with holes and installs states.
    is_lenient: bool,
}

/// Clones share the directory.
#[derive(Clone)]
pub(super) struct Directory {
    pub(super) id: DirectoryId,
    pub(super) member: MemberId,
    disk: Arc<Mutex<Disk>>,
    oracle: Weak<Oracle>,
}

impl Directory {
    pub(super) fn new(id: DirectoryId, member: MemberId, oracle: Weak<Oracle>, plant: Option<Plant>) -> Directory {
        let disk = Disk {
            seen: Content::default(),
            held: Content::default(),
            queue: VecDeque::new(),
            wake: None,
            is_broken: false,
            sync_us: SOUND_SYNC_US,
            apply_us: 0,
            plant,
            is_lenient: oracle.strong_count() == 0,
        };
        Directory { id, member, disk: Arc::new(Mutex::new(disk)), oracle }
    }

    /// The same directory after a switch of its content.
    pub(super) fn with_id(self, id: DirectoryId) -> Directory {
        Directory { id, ..self }
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_sync_us(&self, bounds: (u64, u64)) {
        self.lock().sync_us = bounds;
    }

    pub(super) fn set_apply_us(&self, each: u64) {
        self.lock().apply_us = each;
    }

    pub(super) fn set_broken(&self, is_broken: bool) {
        self.lock().is_broken = is_broken;
    }

    pub(super) fn seen<T>(&self, look: impl FnOnce(&Content) -> T) -> T {
        look(&self.lock().seen)
    }

    pub(super) fn state(&self) -> State {
        self.lock().seen.state.clone()
    }

    /// Looks at the disk itself, as after a crash of the process.
    pub(super) fn on_disk<T>(&self, look: impl FnOnce(&Content) -> T) -> T {
        look(&self.lock().held)
    }

    /// Fills an empty directory, durably.
    pub(super) fn fill(&self, content: Content) {
        let mut disk = self.lock();
        disk.seen = content.clone();
        disk.held = content;
    }

    /// The power is gone: a prefix of the queued writes is on the disk, the rest is lost.
    pub(super) fn crash(&self) {
        let lost = {
            let mut disk = self.lock();
            let kept = runtime::below(disk.queue.len() as u64 + 1);
            for _ in 0..kept {
                if let Some(queued) = disk.queue.pop_front() {
                    disk.held.write(queued.write);
                }
            }
            disk.wake = None;
            disk.seen = disk.held.clone();
            std::mem::take(&mut disk.queue)
        };
        drop(lost);
    }

    pub(super) fn is_written(&self) -> bool {
        !self.lock().has_syncs()
    }

    fn fault(&self, text: String) {
        if let Some(oracle) = self.oracle.upgrade() {
            oracle.fault(text);
        }
    }

    /// Shows a write to the process and queues it for the disk.
    fn queue(&self, write: Write, done: Option<Done>) {
        let wake = {
            let mut disk = self.lock();
            disk.queue.push_back(Queued { write, done });
            disk.wake.take()
        };
        if let Some(wake) = wake {
            // A log thread that ended needs no notice.
            let _ = wake.send(());
        }
    }

    /// The log thread: takes all that is queued as one group, two syncs together. It ends with its process.
    pub(super) async fn log_thread(self) {
        loop {
            if let Some(wait) = self.wait_for_writes() {
                // A sender that is dropped by a crash ends the wait, too; the process ends with it.
                let _ = wait.await;
                continue;
            }
            let (group, (low, high)) = {
                let disk = self.lock();
                (disk.queue.len(), disk.sync_us)
            };
            runtime::sleep_us(2 * (low + runtime::below(high - low + 1))).await;
            self.write_group(group);
        }
    }

    fn wait_for_writes(&self) -> Option<oneshot::Receiver<()>> {
        let mut disk = self.lock();
        if disk.has_syncs() {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        disk.wake = Some(sender);
        Some(receiver)
    }

    fn write_group(&self, group: usize) {
        let (written, is_broken) = {
            let mut disk = self.lock();
            let group = group.min(disk.queue.len());
            let written: Vec<Queued> = disk.queue.drain(..group).collect();
            (written, disk.is_broken)
        };
        for Queued { write, done } in written {
            if !is_broken {
                self.lock().held.write(write);
            }
            let result = if is_broken { Err(StoreError("the disk is full".to_owned())) } else { Ok(()) };
            if let Some(done) = done {
                done(result);
            }
        }
    }
}

/// Bounds of a sync of a sound disk.
pub(super) const SOUND_SYNC_US: (u64, u64) = (300, 1500);

impl Disk {
    /// Applied states need no sync of their own: they wait for the next group.
    fn has_syncs(&self) -> bool {
        self.queue.iter().any(|queued| !matches!(queued.write, Write::Apply(_)))
    }
}

impl Content {
    fn write(&mut self, write: Write) {
        match write {
            Write::Vote(ballot) => self.ballot = Some(ballot),
            Write::Append(rows) => self.append(rows),
            Write::Truncate(last) => self.truncate(last),
            Write::Purge(upto) => self.purge(upto),
            Write::Apply(state) => {
                self.committed = self.committed.max(state.at());
                self.state = *state;
            }
        }
    }
}

impl LogStore for Directory {
    fn ends(&self) -> Result<LogEnds, StoreError> {
        Ok(self.lock().seen.ends())
    }

    fn read(&self, from: u64, to: u64, bytes: usize) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        let mut size = 0;
        let disk = self.lock();
        let rows = disk.seen.rows.range(from..to.max(from)).map(|(_, row)| row.clone());
        let rows: Vec<Row> = rows
            .take_while(|row| {
                let takes = size == 0 || size + row.body.size() <= bytes;
                size += row.body.size();
                takes
            })
            .collect();
        futures::future::ready(Ok(rows)).boxed()
    }

    fn append(&self, rows: Vec<Row>, done: Done) {
        let plant = {
            let mut disk = self.lock();
            let (first, next) =
                (rows.first().map(|row| row.at.index), disk.seen.last().map_or(0, |last| last.index + 1));
            if !disk.is_lenient && first != Some(next) {
                let text = format!("member {} appends row {first:?} to a log that goes on with {next}", self.member);
                drop(disk);
                return self.fault(text);
            }
            disk.seen.append(rows.clone());
            disk.plant
        };
        let done = match plant {
            Some(Plant::AckBeforeSync) => {
                done(Ok(()));
                None
            }
            _ => Some(done),
        };
        self.queue(Write::Append(rows), done);
    }

    fn vote(&self, ballot: Ballot, done: Done) {
        let (held, plant) = {
            let mut disk = self.lock();
            (disk.seen.ballot.replace(ballot), disk.plant)
        };
        runtime::trace(|| format!("member {} votes: {ballot}", self.member));
        if !self.lock().is_lenient && held.is_some_and(|held| !held.allows(&ballot)) {
            self.fault(format!("member {} votes {ballot} after {held:?}", self.member));
        }
        let done = match plant {
            Some(Plant::UnsyncedVote) => {
                done(Ok(()));
                None
            }
            _ => Some(done),
        };
        self.queue(Write::Vote(ballot), done);
    }

    fn truncate(&self, last: Option<Position>, done: Done) {
        let is_below_applied = {
            let mut disk = self.lock();
            disk.seen.truncate(last);
            !disk.is_lenient && last < disk.seen.state.at()
        };
        if is_below_applied {
            self.fault(format!("member {} truncates applied rows after {last:?}", self.member));
        }
        self.queue(Write::Truncate(last), Some(done));
    }

    fn purge(&self, upto: Position, done: Done) {
        self.lock().seen.purge(upto);
        self.queue(Write::Purge(upto), Some(done));
    }

    fn note_committed(&self, at: Position) {
        let mut disk = self.lock();
        disk.seen.committed = disk.seen.committed.max(Some(at));
    }
}

impl StateMachine for Directory {
    fn applied(&self) -> Result<Applied, StoreError> {
        Ok(self.lock().seen.state.applied.clone())
    }

    fn apply(&self, rows: Vec<Committed>) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            for Committed { row, .. } in rows {
                let each = self.lock().apply_us;
                if each > 0 {
                    runtime::sleep_us(each).await;
                }
                self.apply_row(&row)?;
            }
            Ok(())
        }
        .boxed()
    }

    fn install(&self, state: Applied) -> Result<(), StoreError> {
        let mut disk = self.lock();
        if !disk.is_lenient {
            return Err(StoreError("no state is installed under a running instance".to_owned()));
        }
        disk.seen.state.applied = state;
        Ok(())
    }
}

impl Directory {
    fn apply_row(&self, row: &Row) -> Result<(), StoreError> {
        let state = {
            let mut disk = self.lock();
            let is_lenient = disk.is_lenient;
            match disk.seen.state.apply(row) {
                Ok(()) => {}
                Err(_) if is_lenient => disk.seen.state.applied.at = Some(row.at),
                Err(error) => {
                    drop(disk);
                    self.fault(format!("member {}: {error}", self.member));
                    return Err(StoreError(error));
                }
            }
            disk.seen.state.clone()
        };
        if let Some(oracle) = self.oracle.upgrade() {
            oracle.applied(self.member, row, &state);
        }
        self.queue(Write::Apply(Box::new(state)), None);
        Ok(())
    }
}
