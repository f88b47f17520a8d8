//! Where proposals wait: a bounded lane, a lane that passes it, and news from the committer.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::mend::Failure;
use super::{Outcome, Verified};
use crate::journal::{Recovered, RecoveredHead};
use crate::machine::chart;
use crate::types::names::Region;

/// Where an answer goes.
pub(super) type Reply = oneshot::Sender<Outcome>;

/// A proposal that waits.
pub(super) struct Request {
    pub verified: Verified,
    pub reply: Reply,
    pub arrived: Instant,
    /// The project's head, where it was not in memory when the proposal came.
    pub loaded: Option<Box<RecoveredHead>>,
}

impl Request {
    /// Whether the proposal may pass the bounded lane: what stops, releases or repairs a project must get
    /// through when the node has too much to do.
    fn is_urgent(&self) -> bool {
        let spec = chart::spec(self.verified.proposal().transition);
        matches!(spec.region, Region::Control | Region::Policy) || spec.compensation
    }
}

/// What became of a batch.
pub(super) struct Done {
    pub number: u64,
    /// The receipts, in the batch's order; or why it is not durable.
    pub result: Result<Vec<Arc<[u8]>>, Failure>,
}

#[derive(Default)]
struct Lanes {
    urgent: VecDeque<Request>,
    normal: VecDeque<Request>,
    done: VecDeque<Done>,
    mended: Option<Box<Recovered>>,
    tidy: bool,
    stopping: bool,
}

/// What the sequencer took out.
pub(super) struct Work {
    pub done: Vec<Done>,
    /// What the journal holds, when it was opened again.
    pub mended: Option<Box<Recovered>>,
    pub requests: Vec<Request>,
    /// Whether heads that nobody uses may go.
    pub tidy: bool,
    pub stopping: bool,
}

/// The inbox.
pub(super) struct Inbox {
    lanes: Mutex<Lanes>,
    wake: Condvar,
    capacity: usize,
}

/// A lane is full.
pub(super) struct Full;

impl Inbox {
    pub fn new(capacity: usize) -> Inbox {
        Inbox { lanes: Mutex::default(), wake: Condvar::new(), capacity }
    }

    /// A panic elsewhere leaves the lanes whole: each change to them is one push or one pop.
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, request: Request) -> Result<(), Full> {
        let urgent = request.is_urgent();
        let mut lanes = self.lock();
        let lane = if urgent { &mut lanes.urgent } else { &mut lanes.normal };
        if lane.len() >= self.capacity {
            return Err(Full);
        }
        lane.push_back(request);
        drop(lanes);
        self.wake.notify_one();
        Ok(())
    }

    pub fn push_done(&self, done: Done) {
        self.lock().done.push_back(done);
        self.wake.notify_one();
    }

    pub fn push_mended(&self, recovered: Box<Recovered>) {
        self.lock().mended = Some(recovered);
        self.wake.notify_one();
    }

    pub fn push_tidy(&self) {
        self.lock().tidy = true;
        self.wake.notify_one();
    }

    pub fn stop(&self) {
        self.lock().stopping = true;
        self.wake.notify_one();
    }

    pub fn depth(&self) -> usize {
        let lanes = self.lock();
        lanes.urgent.len() + lanes.normal.len()
    }

    /// Waits until there is something to do. `room` is how many requests the open batch can still take;
    /// with no room only news from the committer wakes.
    pub fn take(&self, room: usize) -> Work {
        let mut lanes = self.lock();
        loop {
            let waiting = !lanes.urgent.is_empty() || !lanes.normal.is_empty();
            let news = !lanes.done.is_empty() || lanes.mended.is_some() || lanes.tidy;
            if news || (room > 0 && waiting) || lanes.stopping {
                break;
            }
            lanes = self.wake.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
        let done = lanes.done.drain(..).collect();
        let mended = lanes.mended.take();
        let tidy = std::mem::take(&mut lanes.tidy);
        let urgent = lanes.urgent.len().min(room);
        let mut requests: Vec<_> = lanes.urgent.drain(..urgent).collect();
        let normal = lanes.normal.len().min(room - urgent);
        requests.extend(lanes.normal.drain(..normal));
        let stopping = lanes.stopping && lanes.urgent.is_empty() && lanes.normal.is_empty();
        Work { done, mended, requests, tidy, stopping }
    }
}
