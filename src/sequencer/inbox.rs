//! Where proposals wait: a bounded lane that is fair to projects, a lane that passes it, projects to look at, and
//! news from the committer.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::fair::{FairQueue, Full};
use super::mend::Failure;
use super::own::OwnOutcome;
use super::{Outcome, Trace, Verified};
use crate::journal::{Recovered, RecoveredHead};
use crate::machine::chart;
use crate::types::names::Region;
use crate::types::text::ProjectName;

/// Where an answer goes.
pub(super) type Reply = oneshot::Sender<Outcome>;

/// A proposal that waits.
pub(super) struct Request {
    pub verified: Verified,
    pub reply: Reply,
    pub arrived: Instant,
    /// Its way, where somebody draws spans.
    pub trace: Option<Box<Trace>>,
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

/// The outcome of an effect that the node ran, on its way.
pub(super) struct OwnRequest {
    pub outcome: OwnOutcome,
    pub reply: Reply,
    pub arrived: Instant,
    /// The project's head, where it was not in memory when the outcome came.
    pub loaded: Option<Box<RecoveredHead>>,
}

/// What became of a batch.
pub(super) struct Done {
    pub number: u64,
    /// The receipts, in the batch's order; or why it is not durable.
    pub result: Result<Vec<Arc<[u8]>>, Failure>,
}

struct Lanes {
    urgent: FairQueue<Request>,
    normal: FairQueue<Request>,
    /// Each once, however often it is named.
    nudged: BTreeSet<ProjectName>,
    /// As many as effects run at the most.
    own: VecDeque<OwnRequest>,
    done: VecDeque<Done>,
    mended: Option<Box<Recovered>>,
    loaded: Vec<(ProjectName, RecoveredHead)>,
    /// Who wants to know whether the sequencer still works.
    asking: Vec<oneshot::Sender<()>>,
    tidy: bool,
    stopping: bool,
    /// Whether the sequencer waits to be woken; waking it costs a system call.
    asleep: bool,
}

impl Lanes {
    fn has_work(&self, room: usize) -> bool {
        let own = !self.nudged.is_empty() || !self.own.is_empty();
        let waiting = !self.urgent.is_empty() || !self.normal.is_empty() || own;
        let asked = !self.loaded.is_empty() || !self.asking.is_empty();
        let news = !self.done.is_empty() || self.mended.is_some() || self.tidy || asked;
        news || (room > 0 && waiting) || self.stopping
    }

    fn take(&mut self, room: usize) -> Work {
        let done = self.done.drain(..).collect();
        let mended = self.mended.take();
        let (tidy, loaded) = (std::mem::take(&mut self.tidy), std::mem::take(&mut self.loaded));
        let asking = std::mem::take(&mut self.asking);
        let mut nudged = Vec::new();
        while nudged.len() < room
            && let Some(project) = self.nudged.pop_first()
        {
            nudged.push(project);
        }
        let room = room - nudged.len();
        let taken = room.min(self.own.len());
        let own: Vec<_> = self.own.drain(..taken).collect();
        let room = room - taken;
        let mut requests = Vec::with_capacity(room.min(self.urgent.len() + self.normal.len()));
        while requests.len() < room
            && let Some(request) = self.urgent.pop().or_else(|| self.normal.pop())
        {
            requests.push(request);
        }
        let stopping = self.stopping && self.urgent.is_empty() && self.normal.is_empty() && self.own.is_empty();
        Work { done, mended, nudged, own, loaded, asking, requests, tidy, stopping }
    }
}

/// What the sequencer took out.
pub(super) struct Work {
    pub done: Vec<Done>,
    /// What the journal holds, when it was opened again.
    pub mended: Option<Box<Recovered>>,
    /// Projects to look at of the node's own accord.
    pub nudged: Vec<ProjectName>,
    /// Outcomes of the node's own effects.
    pub own: Vec<OwnRequest>,
    /// Heads that came from the journal unasked.
    pub loaded: Vec<(ProjectName, RecoveredHead)>,
    /// Who wants to know whether the sequencer still works.
    pub asking: Vec<oneshot::Sender<()>>,
    pub requests: Vec<Request>,
    /// Whether heads that nobody uses may go.
    pub tidy: bool,
    pub stopping: bool,
}

/// The inbox.
pub(super) struct Inbox {
    lanes: Mutex<Lanes>,
    wake: Condvar,
}

impl Inbox {
    /// Each lane holds `capacity` proposals, `project_capacity` of them of one project.
    pub fn new(capacity: usize, project_capacity: usize) -> Inbox {
        let lane = || FairQueue::new(capacity, project_capacity);
        let (urgent, normal) = (lane(), lane());
        let lanes = Lanes {
            urgent,
            normal,
            nudged: BTreeSet::new(),
            own: VecDeque::new(),
            done: VecDeque::new(),
            mended: None,
            loaded: Vec::new(),
            asking: Vec::new(),
            tidy: false,
            stopping: false,
            asleep: false,
        };
        Inbox { lanes: Mutex::new(lanes), wake: Condvar::new() }
    }

    /// A panic elsewhere leaves the lanes whole: each change to them is one push or one pop.
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, request: Request) -> Result<(), Full> {
        let urgent = request.is_urgent();
        let (project, signer) = (request.verified.proposal().project(), request.verified.proposal().signer);
        let mut lanes = self.lock();
        let lane = if urgent { &mut lanes.urgent } else { &mut lanes.normal };
        lane.push(project, signer, request)?;
        self.wake(lanes);
        Ok(())
    }

    pub fn push_done(&self, done: Done) {
        let mut lanes = self.lock();
        lanes.done.push_back(done);
        self.wake(lanes);
    }

    pub fn push_mended(&self, recovered: Box<Recovered>) {
        let mut lanes = self.lock();
        lanes.mended = Some(recovered);
        self.wake(lanes);
    }

    /// Asks for a look at a project.
    pub fn nudge(&self, project: ProjectName) {
        if self.lock().nudged.insert(project) {
            self.wake.notify_one();
        }
    }

    pub fn push_own(&self, own: OwnRequest) {
        let mut lanes = self.lock();
        lanes.own.push_back(own);
        self.wake(lanes);
    }

    pub fn push_loaded(&self, project: ProjectName, loaded: RecoveredHead) {
        let mut lanes = self.lock();
        lanes.loaded.push((project, loaded));
        self.wake(lanes);
    }

    pub fn ask(&self, asking: oneshot::Sender<()>) {
        let mut lanes = self.lock();
        lanes.asking.push(asking);
        self.wake(lanes);
    }

    pub fn push_tidy(&self) {
        let mut lanes = self.lock();
        lanes.tidy = true;
        self.wake(lanes);
    }

    pub fn stop(&self) {
        let mut lanes = self.lock();
        lanes.stopping = true;
        self.wake(lanes);
    }

    fn wake(&self, mut lanes: MutexGuard<'_, Lanes>) {
        let asleep = std::mem::take(&mut lanes.asleep);
        drop(lanes);
        if asleep {
            self.wake.notify_one();
        }
    }

    pub fn depth(&self) -> usize {
        let lanes = self.lock();
        lanes.urgent.len() + lanes.normal.len()
    }

    /// Waits until there is something to do. `room` is how many requests the open batch can still take;
    /// with no room only news from the committer wakes.
    pub fn take(&self, room: usize) -> Work {
        let mut lanes = self.lock();
        while !lanes.has_work(room) {
            lanes.asleep = true;
            lanes = self.wake.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
        lanes.asleep = false;
        lanes.take(room)
    }

    /// The same without waiting; `None` where there is nothing to do.
    pub fn try_take(&self, room: usize) -> Option<Work> {
        let mut lanes = self.lock();
        lanes.has_work(room).then(|| lanes.take(room))
    }
}
