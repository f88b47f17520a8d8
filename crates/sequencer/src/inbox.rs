//! Where proposals wait: a bounded lane that is fair to projects, a lane that passes it, projects to look at, and
//! news from the committer.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::fair::{FairQueue, Full};
use super::mend::{Failure, Mended};
use super::own::OwnOutcome;
use super::{DryRun, Outcome, Trace, Verified};
use swoosh_journal::RecoveredHead;
use swoosh_machine::chart;
use swoosh_types::names::{Region, Transition};
use swoosh_types::text::ProjectName;

/// Where an answer goes.
pub(super) type Reply = oneshot::Sender<Outcome>;

/// A proposal that waits.
pub(super) struct Request {
    pub verified: Verified,
    pub reply: Reply,
    pub arrived: Instant,
    /// Trace of the proposal, if spans are recorded.
    pub trace: Option<Box<Trace>>,
    /// The project's head, where it was not in memory when the proposal came.
    pub loaded: Option<Box<RecoveredHead>>,
    /// Of a dry run, where an acceptance is reported. Nothing changes then.
    pub trial: Option<oneshot::Sender<DryRun>>,
}

impl Request {
    /// Whether the proposal may pass the bounded lane: one that stops, releases or repairs a project must get through
    /// to an overloaded node.
    fn is_urgent(&self) -> bool {
        let spec = chart::spec(self.verified.proposal().transition);
        let bars = matches!(spec.transition, Transition::BootIdentityRevoked | Transition::BootIdentityRotated);
        matches!(spec.region, Region::Control | Region::Policy) || spec.compensation || bars
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

pub(super) struct Done {
    pub number: u64,
    /// The receipts, in the batch's order; or why it is not durable.
    pub result: Result<Vec<Arc<[u8]>>, Failure>,
}

/// In which order the lanes are served, one at a time; an empty one is passed over. Urgent proposals get the largest
/// share, and no lane waits for another to be empty: a caller who floods the urgent lane must not stop the rest.
const SERVED: [Lane; 8] =
    [Lane::Own, Lane::Urgent, Lane::Normal, Lane::Urgent, Lane::Nudged, Lane::Urgent, Lane::Normal, Lane::Urgent];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Own,
    Urgent,
    Normal,
    Nudged,
}

struct Lanes {
    urgent: FairQueue<Request>,
    normal: FairQueue<Request>,
    /// Each once, however often it is named.
    nudged: BTreeSet<ProjectName>,
    /// Bounded by the number of running effects.
    own: VecDeque<OwnRequest>,
    done: VecDeque<Done>,
    mended: Option<Box<Mended>>,
    loaded: Vec<(ProjectName, RecoveredHead)>,
    /// Health checks that wait for a sign of life.
    asking: Vec<oneshot::Sender<()>>,
    tidy: bool,
    /// Whether the journal was found to take nothing more.
    stopped: bool,
    stopping: bool,
    /// Where in [`SERVED`] the next one comes from.
    turn: usize,
    /// Whether the sequencer waits to be woken; waking it costs a system call.
    asleep: bool,
}

impl Lanes {
    /// Whether there is something to do. A stopping sequencer also waits for the committer: batches in flight (`idle`
    /// is false) come back as news.
    fn has_work(&self, room: usize, idle: bool) -> bool {
        let asked = !self.loaded.is_empty() || !self.asking.is_empty();
        let news = !self.done.is_empty() || self.mended.is_some() || self.tidy || self.stopped || asked;
        news || (room > 0 && self.waiting() > 0) || (self.stopping && idle)
    }

    fn waiting(&self) -> usize {
        self.urgent.len() + self.normal.len() + self.own.len() + self.nudged.len()
    }

    fn take(&mut self, room: usize) -> Work {
        let mut work = Work {
            done: self.done.drain(..).collect(),
            mended: self.mended.take(),
            loaded: std::mem::take(&mut self.loaded),
            asking: std::mem::take(&mut self.asking),
            tidy: std::mem::take(&mut self.tidy),
            stopped: std::mem::take(&mut self.stopped),
            ..Work::default()
        };
        for _ in 0..room.min(self.waiting()) {
            self.serve(&mut work);
        }
        work.stopping = self.stopping && self.urgent.is_empty() && self.normal.is_empty() && self.own.is_empty();
        work
    }

    /// Takes one out of the lane whose turn it is, or of the next one that is not empty.
    fn serve(&mut self, work: &mut Work) {
        for _ in 0..SERVED.len() {
            let lane = SERVED[self.turn];
            self.turn = (self.turn + 1) % SERVED.len();
            let served = match lane {
                Lane::Own => self.own.pop_front().map(|own| work.own.push(own)),
                Lane::Urgent => self.urgent.pop().map(|request| work.requests.push(request)),
                Lane::Normal => self.normal.pop().map(|request| work.requests.push(request)),
                Lane::Nudged => self.nudged.pop_first().map(|project| work.nudged.push(project)),
            };
            if served.is_some() {
                return;
            }
        }
    }
}

/// Work taken out by the sequencer.
#[derive(Default)]
pub(super) struct Work {
    pub done: Vec<Done>,
    /// The content of the reopened journal.
    pub mended: Option<Box<Mended>>,
    /// Projects to look at of the node's own accord.
    pub nudged: Vec<ProjectName>,
    /// Outcomes of the node's own effects.
    pub own: Vec<OwnRequest>,
    /// Heads that came from the journal unasked.
    pub loaded: Vec<(ProjectName, RecoveredHead)>,
    /// Health checks that wait for a sign of life.
    pub asking: Vec<oneshot::Sender<()>>,
    pub requests: Vec<Request>,
    /// Whether idle heads may be evicted.
    pub tidy: bool,
    /// Whether the journal takes nothing more, though no batch failed: a side write did.
    pub stopped: bool,
    pub stopping: bool,
}

pub(super) struct Inbox {
    lanes: Mutex<Lanes>,
    wake: Condvar,
}

impl Inbox {
    /// Each lane holds `capacity` proposals, `project_capacity` of them of one project. Half of the urgent ones of a
    /// project are at most of one signer, so that a stolen key cannot keep out those who revoke it.
    pub fn new(capacity: usize, project_capacity: usize) -> Inbox {
        let urgent = FairQueue::new(capacity, project_capacity).shared_by_signers();
        let normal = FairQueue::new(capacity, project_capacity);
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
            stopped: false,
            stopping: false,
            turn: 0,
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

    pub fn push_mended(&self, mended: Box<Mended>) {
        let mut lanes = self.lock();
        lanes.mended = Some(mended);
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
        // Those that gave up must not pile up while the sequencer is stuck.
        lanes.asking.retain(|waiting| !waiting.is_closed());
        lanes.asking.push(asking);
        self.wake(lanes);
    }

    pub fn push_tidy(&self) {
        let mut lanes = self.lock();
        lanes.tidy = true;
        self.wake(lanes);
    }

    /// The journal takes nothing more.
    pub fn push_stopped(&self) {
        let mut lanes = self.lock();
        lanes.stopped = true;
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
    /// with no room only news from the committer wakes. `idle` says that no record is on its way to the disk.
    pub fn take(&self, room: usize, idle: bool) -> Work {
        let mut lanes = self.lock();
        while !lanes.has_work(room, idle) {
            lanes.asleep = true;
            lanes = self.wake.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
        lanes.asleep = false;
        lanes.take(room)
    }

    /// The same without waiting; `None` where there is nothing to do.
    pub fn try_take(&self, room: usize, idle: bool) -> Option<Work> {
        let mut lanes = self.lock();
        lanes.has_work(room, idle).then(|| lanes.take(room))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own::{Wish, propose};
    use swoosh_machine::head::Head;
    use swoosh_types::hash::Hash;
    use swoosh_types::json::Json;
    use swoosh_types::keys::SecretKey;

    fn inbox() -> Inbox {
        Inbox::new(1_000, 1_000)
    }

    /// Revoking a stolen key waited behind the proposals of that very key.
    #[test]
    fn revoking_and_rotating_a_key_is_urgent_and_granting_is_not() {
        let key = SecretKey::from_bytes(&[7; 32]);
        let urgent = |transition: Transition, inputs: String| {
            let project = "default".parse().unwrap();
            let (cause, evidence) = (Hash::of(b"test"), Vec::new());
            let inputs = Json::parse(inputs.as_bytes()).unwrap();
            let wish = Wish { project: &project, transition, topic: "test", inputs, cause, beat: 0, evidence };
            let verified = propose(wish, &Head::genesis(&project), &"test".parse().unwrap(), &key, 1).unwrap();
            let (reply, _answer) = oneshot::channel();
            Request { verified, reply, arrived: Instant::now(), trace: None, loaded: None, trial: None }.is_urgent()
        };
        let of = key.public();
        let revoked = format!(r#"{{"key": "{of}", "rationale": "stolen"}}"#);
        assert!(urgent(Transition::BootIdentityRevoked, revoked));
        let proof = key.sign(b"proof");
        assert!(urgent(
            Transition::BootIdentityRotated,
            format!(r#"{{"old": "{of}", "new": "{of}", "proof": "{proof}"}}"#)
        ));
        let granted = format!(r#"{{"key": "{of}", "identity": {{"name": "it", "roles": ["reader"]}}}}"#);
        assert!(!urgent(Transition::BootIdentityGranted, granted));
        assert!(urgent(Transition::ControlPause, r#"{"rationale": "stop"}"#.to_owned()));
    }

    /// While it stopped, the sequencer's thread asked again and again until the last batch was on disk.
    #[test]
    fn a_stopping_sequencer_has_nothing_to_do_until_its_batch_is_done() {
        let inbox = inbox();
        inbox.stop();
        assert!(inbox.try_take(10, false).is_none());
        inbox.push_done(Done { number: 1, result: Ok(Vec::new()) });
        assert!(inbox.try_take(10, false).is_some_and(|work| work.done.len() == 1 && work.stopping));
        assert!(inbox.try_take(10, true).is_some_and(|work| work.stopping));
    }

    fn request(transition: Transition, number: u64) -> Request {
        let (project, node) = ("default".parse().unwrap(), SecretKey::from_bytes(&[1; 32]));
        let (head, cluster) = (Head::genesis(&project), "test".parse().unwrap());
        let cause = Hash::of(&number.to_be_bytes());
        let inputs = match transition {
            Transition::ControlPause => Json::parse(br#"{"rationale":"a flood"}"#).unwrap(),
            _ => Json::empty_object(),
        };
        let wish = Wish { project: &project, transition, topic: "test", inputs, cause, beat: 0, evidence: Vec::new() };
        let verified = propose(wish, &head, &cluster, &node, 1_760_000_000_000).unwrap();
        let (reply, _) = oneshot::channel();
        Request { verified, reply, arrived: Instant::now(), trace: None, loaded: None, trial: None }
    }

    /// A signer with the right to pause and resume one project could block all others: controls were taken first,
    /// without a limit.
    #[test]
    fn a_flood_of_urgent_proposals_leaves_the_others_their_share() {
        let inbox = inbox();
        (0..100).for_each(|n| assert!(inbox.push(request(Transition::ControlPause, n)).is_ok()));
        (0..10).for_each(|n| assert!(inbox.push(request(Transition::BootLicensed, n)).is_ok()));
        let work = inbox.try_take(18, true).unwrap();
        let urgent = work.requests.iter().filter(|request| request.is_urgent()).count();
        assert_eq!((urgent, work.requests.len() - urgent), (12, 6));
    }

    /// A thousand projects to look at took all of the room, batch after batch.
    #[test]
    fn projects_to_look_at_leave_room_for_others() {
        let inbox = inbox();
        (0..1_000).for_each(|n| inbox.nudge(format!("project-{n}").parse().unwrap()));
        let (reply, _answer) = oneshot::channel();
        let effect = "p/1/fetch".parse().unwrap();
        let (transition, inputs) = (Transition::IngestionBytesOk, Json::empty_object());
        let outcome = OwnOutcome { effect, transition, inputs, evidence: Vec::new(), brought_by: None };
        inbox.push_own(OwnRequest { outcome, reply, arrived: Instant::now(), loaded: None });
        let work = inbox.try_take(2, true).unwrap();
        assert_eq!((work.own.len(), work.nudged.len()), (1, 1));
    }

    /// Callers that had given up stayed in the list for as long as the sequencer was stuck.
    #[test]
    fn those_who_gave_up_asking_are_forgotten() {
        let inbox = inbox();
        for _ in 0..100 {
            let (asking, answer) = oneshot::channel();
            inbox.ask(asking);
            drop(answer);
        }
        assert_eq!(inbox.lock().asking.len(), 1);
    }
}
