//! One simulated world: a node, its disk and clocks, clients, and what is outside, moved turn by turn.
//!
//! ```text
//! turn ── time passes ── faults by chance ── clients send ── the network delivers ── the node judges and commits
//!             ▲                                                                          │
//!             └── invariants at every record and answer ◄── answers ◄── what was durable ┘
//! ```
//! A turn draws from a sequence of its own, so that a run is a list of turns: leave some out, and the others keep
//! their meaning.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::oneshot;

use super::clients::Common;
use super::clients::hands::Hands;
use super::disk::Disk;
use super::faults::{Fault, Rates, Tally};
use super::healing::Healing;
use super::network::{Network, Parcel};
use super::node::{Clocks, Node, Site};
use super::operators::Order;
use super::oracle::{Oracle, UNREADABLE, Violation};
use super::outside::{Outside, START_MS, schedule, windows};
use super::planted::Bug;
use super::run::Looking;
use super::trace::Trace;
use super::well_formed::text;
use super::workers::Workers;
use swoosh_machine::head::Head;
use swoosh_sequencer::{Mode, Outcome};
use swoosh_testkit::random::Random;
use swoosh_types::backbeat::Schedule;
use swoosh_types::ids::{EffectId, IdemKey};
use swoosh_types::json::Json;
use swoosh_types::rejection::Code;
use swoosh_types::text::{ClusterId, ProjectName};
use swoosh_types::verify::Headers;

/// Projects of a world.
pub(super) const PROJECTS: usize = 7;
/// A client whose project is held up does something else one time in so many: nearly all of it is refused.
pub(super) const RESTLESS: u64 = 8;
/// Turns after which a client repeats what was not answered.
const PATIENCE: u64 = 18;

/// A client's pending request.
struct Waiting {
    key: IdemKey,
    bytes: Arc<[u8]>,
    since: u64,
    repeats: u64,
}

/// A caller that looks after one project.
pub(super) struct Client {
    pub(super) project: ProjectName,
    waiting: Option<Waiting>,
    pub(super) breach_inputs: Option<Value>,
    pub(super) lives: u64,
    /// Whether the worker of its project is to lose its role.
    pub(super) bars: bool,
}

/// An answer that the node owes.
struct Owed {
    client: usize,
    project: ProjectName,
    key: IdemKey,
    acknowledged: bool,
    answer: oneshot::Receiver<Outcome>,
}

pub struct World {
    pub(super) site: Site,
    pub(super) node: Option<Node>,
    pub(super) outside: Outside,
    pub(super) oracle: Oracle,
    pub(super) tally: Tally,
    pub(super) trace: Trace,
    pub(super) rates: Rates,
    pub(super) turn: u64,
    pub(super) moods: Moods,
    pub(super) network: Network,
    pub(super) looking: Looking,
    /// An operator's task while the node is down.
    pub(super) order: Option<Order>,
    /// Whether an operation of the disk failed since the node started.
    struck: bool,
    healing: Healing,
    hands: Arc<Hands>,
    schedule: Schedule,
    pub(super) clients: Vec<Client>,
    owed: Vec<Owed>,
    pub(super) workers: Workers,
    /// Outcomes that the node proposed itself, and where it hears of them.
    pub(super) own: Vec<(EffectId, oneshot::Receiver<Outcome>)>,
    /// The effect whose outcome a proposal brings.
    pub(super) brings: BTreeMap<IdemKey, EffectId>,
    pub(super) numbers: u64,
}

/// Temporary conditions, each with the turn in which it ends.
#[derive(Default)]
pub(super) struct Moods {
    pub skewed: Option<u64>,
    /// By how much the wall clock steps, between two readings of a turn in which the node judges.
    pub step_ms: Option<i64>,
    /// A project that its client asks nothing of.
    pub unasked: Option<(ProjectName, u64)>,
    /// An effect whose opening was lost: its client alone asks, for the same once more, while the lost index is free.
    pub asks_again: Option<(EffectId, u64)>,
    pub hours_ahead: Option<u64>,
    pub unlicensed: Option<u64>,
    pub voters_silent: Option<u64>,
    pub providers_silent: Option<u64>,
    pub full: Option<u64>,
    /// Side writes are lost as soon as there are some behind the last record.
    pub side_writes_lost: bool,
    /// Turn in which the damage of the disk is repaired; `None` while it is intact.
    pub damaged: Option<u64>,
    /// An operation of the disk failed since the node started.
    pub disk_failed: bool,
}

impl World {
    /// A world in which nothing has happened.
    pub fn new(rates: Rates, bug: Option<Bug>, heads: usize, looking: Looking) -> World {
        swoosh_journal::stay_in_this_thread();
        let cluster: ClusterId = text("sim");
        let hands = Arc::new(Hands::new());
        let site = Site {
            cluster: cluster.clone(),
            key: hands.get("node").secret.clone(),
            disk: Arc::new(Disk::new(Bug::lies(bug))),
            clocks: Arc::new(Clocks::at(START_MS)),
            bug,
            heads,
        };
        let client =
            |n| Client { project: text(&format!("p{n}")), waiting: None, breach_inputs: None, lives: 1, bars: false };
        let announced: Schedule = text_of(&schedule(windows));
        World {
            site,
            node: None,
            outside: Outside::new(&cluster, hands.clone()),
            oracle: Oracle::new(cluster, looking),
            looking,
            tally: Tally::default(),
            trace: Trace::default(),
            rates,
            turn: 0,
            moods: Moods::default(),
            network: Network::default(),
            order: None,
            struck: false,
            healing: Healing::default(),
            hands,
            schedule: announced,
            clients: (0..PROJECTS).map(client).collect(),
            owed: Vec::new(),
            workers: Workers::default(),
            own: Vec::new(),
            brings: BTreeMap::new(),
            numbers: 0,
        }
    }

    /// The true time, in milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        self.site.clocks.true_ms()
    }

    pub(super) fn common(&self) -> Common<'_> {
        Common {
            cluster: &self.site.cluster,
            hands: &self.hands,
            outside: &self.outside,
            schedule: &self.schedule,
            now_ms: self.callers_ms(),
        }
    }

    /// The time that callers see: hours ahead while the clock of the whole site is.
    fn callers_ms(&self) -> u64 {
        let skew_ms = self.moods.hours_ahead.map_or(0, |_| self.site.clocks.skew());
        self.now_ms().saturating_add_signed(skew_ms)
    }

    pub fn take_turn(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.pass_time(random);
        self.go_wrong(random);
        self.live(random)?;
        self.oracle.licensed_until(self.outside.licensed_until_ms());
        self.clients_send(random);
        self.run_effect(random);
        self.work_outside(random)?;
        self.deliver(random)?;
        self.work(random);
        self.after_work(random)
    }

    fn pass_time(&mut self, random: &mut Random) {
        let slow = self.clients.iter().all(|client| client.waiting.is_none());
        let wait = if slow { 2_000 } else { 400 };
        self.site.clocks.pass(1 + random.below(wait));
        let now_ms = self.now_ms();
        let said = self.outside.refresh(now_ms);
        if let Some(node) = &self.node {
            said.into_iter().for_each(|kind| self.site.tell(node, &self.outside, kind));
        }
    }

    /// A client waits for nothing any more.
    pub(super) fn waits_no_more(&mut self, project: &ProjectName) {
        self.clients.iter_mut().filter(|client| client.project == *project).for_each(|client| client.waiting = None);
    }

    fn clients_send(&mut self, random: &mut Random) {
        self.no_longer_asks_again();
        for _ in 0..random.pick([2, 4, 6, 8, 10, 12]) {
            let client = random.index(self.clients.len());
            if self.may_send(client) {
                self.client_sends(client, random);
            }
        }
    }

    /// A client repeats, proposes, or waits.
    fn client_sends(&mut self, number: usize, random: &mut Random) {
        let turn = self.turn;
        let Some(client) = self.clients.get_mut(number) else { return };
        if let Some(waiting) = &mut client.waiting {
            if waiting.since + PATIENCE > turn {
                return;
            }
            (waiting.since, waiting.repeats) = (turn, waiting.repeats + 1);
            let bytes = waiting.bytes.clone();
            if waiting.repeats > 6 {
                client.waiting = None;
            }
            self.tally.count("client repeats");
            return self.send(Parcel::Proposal(number, bytes), random);
        }
        if let Some((key, bytes)) = self.propose(number, random) {
            if let Some(client) = self.clients.get_mut(number) {
                client.waiting = Some(Waiting { key, bytes: bytes.clone(), since: turn, repeats: 0 });
            }
            self.tally.count("proposals sent");
            self.send(Parcel::Proposal(number, bytes), random);
        }
    }

    pub(super) fn send(&mut self, parcel: Parcel, random: &mut Random) {
        let client = parcel.client();
        let happened = self.network.send(parcel, self.turn, &self.rates, random);
        happened.into_iter().for_each(|fault| self.fired(fault, Some(client)));
    }

    /// Records a fault of one client, or of all if `client` is `None`.
    pub(super) fn fired(&mut self, fault: Fault, client: Option<usize>) {
        self.tally.fired(fault);
        self.healing.struck(fault, client, self.site.clocks.true_ms());
    }

    /// A client holds a receipt.
    pub(super) fn went_on(&mut self, client: usize) {
        self.healing.went_on(client, self.site.clocks.true_ms(), &mut self.tally);
    }

    /// Everything that was counted.
    pub fn counted(&mut self) -> Tally {
        let mut tally = std::mem::take(&mut self.tally);
        tally.add(&self.oracle.take_seen());
        tally
    }

    fn deliver(&mut self, random: &mut Random) -> Result<(), Violation> {
        while let Some((parcel, overtaken)) = self.network.deliver(self.turn) {
            if overtaken {
                self.fired(Fault::Reorder, Some(parcel.client()));
            }
            match parcel {
                Parcel::Proposal(client, bytes) => self.arrives(client, &bytes, random)?,
                Parcel::Answer(client, key, outcome) => self.answered(client, &key, &outcome),
            }
        }
        Ok(())
    }

    /// A proposal arrives at the node, if there is one.
    fn arrives(&mut self, client: usize, bytes: &[u8], random: &mut Random) -> Result<(), Violation> {
        let Some(node) = &self.node else {
            self.tally.count("proposals to a node that is down");
            return Ok(());
        };
        let Ok(verified) = node.single.handle().verify(bytes, &Headers::default()) else { return Ok(()) };
        let proposal = verified.proposal();
        let (project, key) = (proposal.project(), proposal.idem_key.clone());
        let acknowledged = self.oracle.is_acknowledged(&project, &key);
        self.tally.count("proposals delivered");
        match node.single.propose(verified) {
            Ok(answer) => self.owed.push(Owed { client, project, key, acknowledged, answer }),
            Err(outcome) => self.give(client, &project, &key, acknowledged, outcome, random)?,
        }
        Ok(())
    }

    /// The node judges and commits, some of it, in some order.
    fn work(&mut self, random: &mut Random) {
        let Some(node) = &mut self.node else { return };
        for _ in 0..random.pick([1, 2, 2, 3]) {
            let at_once = random.below(2) == 0;
            match (random.below(3), self.moods.step_ms) {
                (0, _) => drop(node.single.commit()),
                (_, None) => drop(node.single.judge(at_once)),
                (_, Some(by)) => {
                    self.site.clocks.step_after(random.below(4), by);
                    _ = node.single.judge(at_once);
                    // It steps once, and in a judgement.
                    if !self.site.clocks.step_is_ahead() {
                        self.moods.step_ms = None;
                    }
                    self.site.clocks.step_no_more();
                }
            }
        }
        if random.below(3) != 0 {
            while node.single.commit() | node.single.judge(true) {}
        }
    }

    /// Checks durable records, delivers answers and removes clients that left.
    pub(super) fn after_work(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.see_accepted()?;
        self.answers_leave(random)?;
        self.outcomes_answered()?;
        self.readers_look(random)?;
        let fired = self.site.disk.take_fired();
        self.moods.disk_failed |= !fired.is_empty() || self.site.disk.is_full();
        self.damage_stays_local()?;
        self.clock_is_reported()?;
        fired.into_iter().for_each(|trap| self.fired(super::node::fault_of(trap), None));
        if self.site.disk.is_off() {
            self.go_off(random);
        }
        Ok(())
    }

    /// Checks acknowledged records; unreadable ones are checked when they can be read.
    fn see_accepted(&mut self) -> Result<(), Violation> {
        let Some(node) = &self.node else { return Ok(()) };
        let observed = node.take_observed();
        self.tally.add(&observed.tally);
        observed.dropped.iter().for_each(|effect| self.workers.dropped(effect));
        self.struck |= self.site.disk.has_fired();
        if let Some(failed) = observed.log_failed.first().filter(|_| !self.struck && !self.is_excused()) {
            return Err(Violation { invariant: "log-fails-for-a-cause", what: failed.clone() });
        }
        if let Some(failed) = observed.own_failed.first() {
            return Err(Violation { invariant: "own-proposals-build", what: failed.clone() });
        }
        let journal = node.single.handle().journal();
        for record in &observed.accepted {
            self.oracle.published(record.index);
            self.trace.event(&record.index.to_string());
            let stored = journal.object(&record.inputs_hash).ok().flatten();
            let inputs = stored.and_then(|bytes| Json::parse(&bytes).ok());
            if let Some(inputs) = inputs.filter(|_| record.index == self.oracle.last().0 + 1) {
                self.oracle.see(record, &inputs)?;
                self.trace.record(record, self.oracle.last().1);
            }
        }
        if !self.site.disk.is_off() && self.oracle.is_behind() {
            let caught_up = self.oracle.catch_up(&journal, self.oracle.last_published());
            self.excused(caught_up)?;
        }
        Ok(())
    }

    /// An unreadable record is excused if the disk has a fault.
    fn excused(&self, result: Result<u64, Violation>) -> Result<(), Violation> {
        match result {
            Err(violation) if violation.invariant == UNREADABLE => {
                if self.is_excused() {
                    Ok(())
                } else {
                    Err(violation)
                }
            }
            other => other.map(drop),
        }
    }

    /// A node started: earlier faults of the disk are no excuse any more.
    pub(super) fn forget_strikes(&mut self) {
        self.struck = false;
    }

    /// Whether something is wrong with the disk.
    pub(super) fn is_excused(&self) -> bool {
        self.moods.damaged.is_some() || self.site.disk.has_fired() || self.site.disk.is_off()
    }

    fn answers_leave(&mut self, random: &mut Random) -> Result<(), Violation> {
        let owed = std::mem::take(&mut self.owed);
        for mut owing in owed {
            match owing.answer.try_recv() {
                // A dead process reports no failure.
                Ok(Outcome::Refused(_)) if self.site.disk.is_off() => self.tally.count("answers never given"),
                Ok(outcome) => {
                    let Owed { client, project, key, acknowledged, .. } = owing;
                    self.give(client, &project, &key, acknowledged, outcome, random)?;
                }
                Err(oneshot::error::TryRecvError::Empty) => self.owed.push(owing),
                Err(oneshot::error::TryRecvError::Closed) => self.tally.count("answers never given"),
            }
        }
        Ok(())
    }

    /// The node gives an answer: from here on it counts, whether it arrives or not.
    fn give(
        &mut self,
        client: usize,
        project: &ProjectName,
        key: &IdemKey,
        acknowledged: bool,
        outcome: Outcome,
        random: &mut Random,
    ) -> Result<(), Violation> {
        match &outcome {
            Outcome::Accepted { receipt, .. } => {
                self.trace.answer(key, receipt);
                self.receipt_given(project, key, receipt)?;
            }
            Outcome::Refused(refusal) => {
                self.trace.refusal(key, refusal.rejection.code);
                if refusal.rejection.code == Code::OutcomeHeld
                    && let Some(effect) = self.brings.get(key)
                {
                    self.workers.is_held(effect);
                }
                self.damage_is_named(&refusal.rejection)?;
                if acknowledged && !may_refuse_a_repeat(refusal.rejection.code) {
                    let what = format!("the repeat of {key} of {project} is refused with {}", refusal.rejection.code);
                    return Err(Violation { invariant: "repeats-get-receipts", what });
                }
            }
        }
        self.send(Parcel::Answer(client, key.clone(), outcome), random);
        Ok(())
    }

    fn answered(&mut self, client: usize, key: &IdemKey, outcome: &Outcome) {
        if matches!(outcome, Outcome::Accepted { .. }) {
            self.went_on(client);
        }
        let turn = self.turn;
        let Some(client) = self.clients.get_mut(client) else { return };
        let Some(waiting) = client.waiting.as_mut().filter(|waiting| waiting.key == *key) else { return };
        match outcome {
            // Whether it was applied is not known: only a repeat tells.
            Outcome::Refused(refusal) if is_open_question(refusal.rejection.code) => waiting.since = turn,
            Outcome::Accepted { .. } | Outcome::Refused(_) => client.waiting = None,
        }
    }

    /// Readers are shown durable heads alone.
    fn readers_look(&mut self, random: &mut Random) -> Result<(), Violation> {
        let Some(node) = &self.node else { return Ok(()) };
        if random.below(8) != 0 || node.single.handle().status().mode != Mode::Accepting || self.oracle.is_behind() {
            return Ok(());
        }
        let Some(client) = self.clients.get(random.index(self.clients.len())) else { return Ok(()) };
        let Ok(view) = node.single.handle().view(&client.project) else { return Ok(()) };
        self.oracle.shown(&client.project, view.index, view.head.hash())
    }

    /// Drops the requests that wait for the node.
    pub(super) fn cut_off(&mut self) {
        self.owed.clear();
        self.own.clear();
        self.network.lose_answers();
    }

    /// Nothing is under way: no request waits.
    pub(super) fn calm(&mut self) {
        self.owed.clear();
        self.own.clear();
        self.network.lose_all();
        self.clients.iter_mut().for_each(|client| client.waiting = None);
    }

    /// The projects that clients look after now.
    pub(super) fn projects(&self) -> Vec<ProjectName> {
        self.clients.iter().map(|client| client.project.clone()).collect()
    }

    /// The project that a client looks after now.
    pub(super) fn project(&self, client: usize) -> Option<ProjectName> {
        self.clients.get(client).map(|client| client.project.clone())
    }

    /// A client's view of its project: the node's, if it holds the head in memory, and else the client's last
    /// receipt. Loading heads from the log for every look would take most of a run's time; readers, repeats and
    /// starts do that.
    pub(super) fn durable_head(&self, project: &ProjectName) -> Option<Arc<Head>> {
        let handle = self.node.as_ref()?.single.handle();
        if handle.is_in_memory(project) || self.oracle.is_behind() {
            return Some(handle.view(project).ok()?.head.clone());
        }
        Some(self.oracle.head(project))
    }
}

fn text_of(value: &Value) -> Schedule {
    super::well_formed::known(serde_json::from_value(value.clone()).ok(), "the schedule")
}

/// Whether a proposal may have been applied although this was answered.
fn is_open_question(code: Code) -> bool {
    matches!(
        code,
        Code::NotDurable
            | Code::ReadOnly
            | Code::Draining
            | Code::ProjectDamaged
            | Code::Overloaded
            | Code::TooManyRequests
            | Code::ClockUnsafe
    )
}

/// Rejections that a repeat of an accepted proposal may get instead of its receipt: the node cannot tell now, the
/// signer lost its right, or the repeat comes too late.
fn may_refuse_a_repeat(code: Code) -> bool {
    is_open_question(code)
        || matches!(
            code,
            Code::IdentityUnknown
                | Code::IdentityRevoked
                | Code::RoleNotAllowed
                | Code::IdemKeyExpired
                | Code::BeatsUnknown
        )
}
