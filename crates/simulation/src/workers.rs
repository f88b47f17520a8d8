//! Work outside of the node, which stays done whatever becomes of the node: a builder that the node runs (the engine of
//! `effects`, with its notes in the journal), and workers that bring outcomes of their own.

use std::collections::BTreeMap;

use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

use super::clients::{self, Ask, Twist};
use super::oracle::Violation;
use super::world::{PROJECTS, World};
use swoosh_effects::{Answer, Command, Doer, Ended, Engine, Failed, Note, Open, Outcome, Rules};
use swoosh_hybridcore::leave::Stop;
use swoosh_journal::{HeldOutcome, Journal};
use swoosh_machine::head::Head;
use swoosh_sequencer::{self as sequencer, OwnOutcome};
use swoosh_testkit::random::Random;
use swoosh_types::hash::Hash;
use swoosh_types::ids::EffectId;
use swoosh_types::names::{EffectName, Transition};
use swoosh_types::rejection::Code;
use swoosh_types::text::ProjectName;

/// Turns that a build takes at most.
const LONGEST: u64 = 12;
/// Effects that a worker remembers.
const REMEMBERED: usize = 64;

/// Result of a build, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Built {
    /// It runs, or was cut off with the node.
    Begun,
    /// It failed, and the engine saw it.
    Failed,
    Made,
}

/// The builder and the workers.
#[derive(Default)]
pub(super) struct Workers {
    /// The engine of the node that runs.
    engine: Option<Engine>,
    /// Attempts that run, and the turn in which each ends.
    running: Vec<(EffectId, u32, u64)>,
    proposed: Vec<(EffectId, Receiver<sequencer::Outcome>)>,
    built: BTreeMap<EffectId, Built>,
    /// Outcomes that were acknowledged as held.
    held: Vec<EffectId>,
    /// Effects that workers took up, the last ones, and the hash of the record that had opened each.
    taken: Vec<(EffectId, Hash)>,
}

impl Workers {
    /// The process is gone, and with it its builders.
    pub(super) fn node_gone(&mut self) {
        (self.engine, self.running, self.proposed) = Default::default();
    }

    /// An operator accepted a loss: held outcomes may be lost.
    pub(super) fn given_up(&mut self) {
        self.held.clear();
    }

    /// A worker took an effect up.
    pub(super) fn takes(&mut self, effect: &EffectId, opened_by: Hash) {
        if !self.taken.iter().any(|(taken, _)| taken == effect) {
            self.taken.push((effect.clone(), opened_by));
            self.taken.drain(..self.taken.len().saturating_sub(REMEMBERED));
        }
    }

    /// The hash of the record that had opened an effect when a worker took it up.
    pub(super) fn took(&self, effect: &EffectId) -> Option<Hash> {
        self.taken.iter().find(|(taken, _)| taken == effect).map(|(_, opened_by)| *opened_by)
    }

    /// An effect of a project that a worker took up some time ago.
    pub(super) fn taken(&self, project: &ProjectName, random: &mut Random) -> Option<EffectId> {
        let ours: Vec<_> = self.taken.iter().map(|(effect, _)| effect).filter(|it| it.project == *project).collect();
        ours.get(random.index(ours.len())).map(|effect| (*effect).clone())
    }

    /// The effect that a worker took up under the same name when another record had opened it.
    pub(super) fn took_before(&self, open: &EffectId, opened_by: Hash) -> Option<EffectId> {
        let place = |id: &EffectId| (id.project.clone(), id.index, id.effect);
        let taken = self.taken.iter().find(|(id, link)| place(id) == place(open) && *link != opened_by);
        taken.map(|(id, _)| id.clone())
    }

    /// A worker received the answer that its outcome is held.
    pub(super) fn is_held(&mut self, effect: &EffectId) {
        self.held.push(effect.clone());
    }

    /// The node dropped an outcome that was held.
    pub(super) fn dropped(&mut self, effect: &EffectId) {
        self.held.retain(|held| held != effect);
    }
}

fn rules(incarnation: u64) -> Rules {
    Rules {
        workers: 4,
        attempts: 3,
        retry_min_ms: 500,
        retry_max_ms: 4_000,
        lease_ms: 600_000,
        holder: "simulated".to_owned(),
        incarnation,
    }
}

/// Notes of an earlier process; `None` if they cannot be read now.
fn left(journal: &Journal) -> Option<BTreeMap<EffectId, Note>> {
    let notes = journal.effect_notes().ok()?;
    Some(
        notes
            .into_iter()
            .map(|(id, bytes)| (id, Note::decode(&bytes).unwrap_or_else(|_| Note::unreadable())))
            .collect(),
    )
}

/// Maps an answer to the engine's, as the daemon does.
fn meaning(outcome: sequencer::Outcome) -> Answer {
    let refusal = match outcome {
        sequencer::Outcome::Accepted { .. } => return Answer::Accepted,
        sequencer::Outcome::Refused(refusal) => refusal,
    };
    let reason = refusal.rejection.reasons.join("; ");
    match refusal.rejection.code {
        Code::Guard(name) if name.as_str() != "effect" => Answer::Refused(reason),
        Code::BoundExceeded | Code::Schema => Answer::Refused(reason),
        _ => Answer::Later(reason),
    }
}

impl World {
    /// The builder does its work, and workers whose outcomes were held are spoken for.
    pub(super) fn work_outside(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.apply_held(random);
        if random.below(3) != 0 || self.node.is_none() {
            return Ok(());
        }
        let Some(mut engine) = self.take_engine() else { return Ok(()) };
        let now_ms = self.now_ms();
        self.hear(&mut engine, now_ms);
        self.builds_end(&mut engine, now_ms, random);
        if let Some((project, open)) = self.open_builds(random) {
            engine.found(&project, &open, now_ms);
        }
        engine.tick(now_ms);
        let obeyed = self.obey(&mut engine, now_ms, random);
        self.workers.engine = Some(engine);
        obeyed
    }

    fn take_engine(&mut self) -> Option<Engine> {
        if let Some(engine) = self.workers.engine.take() {
            return Some(engine);
        }
        let journal = self.node.as_ref()?.single.handle().journal();
        Some(Engine::new(rules(journal.identity().incarnation), left(&journal)?))
    }

    /// Provisioning that is open in some project.
    fn open_builds(&self, random: &mut Random) -> Option<(ProjectName, Vec<Open>)> {
        let project = self.project(random.index(PROJECTS))?;
        let journal = self.node.as_ref()?.single.handle().journal();
        let begun_after = journal.incarnations().last().map(|begun| begun.after);
        let head = self.durable_head(&project)?;
        let state = head.state();
        let blocked = clients::is_blocked(state).then(|| "it is blocked".to_owned());
        let open = state.open_effects().filter(|open| open.id.effect == EffectName::Provision);
        let open = open.map(|open| Open {
            id: open.id.clone(),
            opened_at_ms: open.opened_at.physical_ms(),
            seen: state.epoch.of(swoosh_types::names::Region::Environment),
            blocked: blocked.clone(),
            inherited: begun_after.is_some_and(|after| open.id.index <= after),
            doer: Doer::Node,
            failures: 0,
            last_failure: None,
            held: None,
        });
        Some((project, open.collect()))
    }

    fn builds_end(&mut self, engine: &mut Engine, now_ms: u64, random: &mut Random) {
        let turn = self.turn;
        let ended: Vec<_> = self.workers.running.extract_if(.., |(_, _, until)| *until <= turn).collect();
        for (id, attempt, _) in ended {
            let made = if random.below(4) == 0 { None } else { self.made(&id, random) };
            let (built, ended) = match made {
                Some(outcome) => (Built::Made, Ended::Done(outcome)),
                None => (Built::Failed, Ended::Failed(Failed::passing("the builder failed"))),
            };
            self.workers.built.insert(id.clone(), built);
            engine.ended(&id, attempt, ended, now_ms);
        }
    }

    fn made(&self, id: &EffectId, random: &mut Random) -> Option<Outcome> {
        let head = self.durable_head(&id.project)?;
        Some(Outcome { transition: Transition::EnvironmentInstalled, inputs: self.answer_of(&head, id, random) })
    }

    fn answer_of(&self, head: &Head, id: &EffectId, random: &mut Random) -> swoosh_types::json::Json {
        let transition = Transition::EnvironmentInstalled;
        let ask = Ask { transition, twist: Twist::Effect(id.clone()), number: 0, breach_inputs: None };
        clients::inputs_of(head, &ask, &self.common(), random)
    }

    fn obey(&mut self, engine: &mut Engine, now_ms: u64, random: &mut Random) -> Result<(), Violation> {
        let mut unkept = Vec::new();
        loop {
            let commands = engine.take_commands();
            if commands.is_empty() {
                return Ok(());
            }
            for command in commands {
                self.obey_one(command, (&mut *engine, &mut unkept), now_ms, random)?;
            }
        }
    }

    fn obey_one(
        &mut self,
        command: Command,
        (engine, unkept): (&mut Engine, &mut Vec<EffectId>),
        now_ms: u64,
        random: &mut Random,
    ) -> Result<(), Violation> {
        let Some(node) = &self.node else { return Ok(()) };
        let journal = node.single.handle().journal();
        match command {
            Command::Note { id, note } => {
                if let Err(error) = journal.note_effect(&id, &note.encode()) {
                    self.tally.count("notes that were not kept");
                    engine.note_failed(&id, &note, &error.to_string(), now_ms);
                    unkept.push(id);
                }
            }
            Command::Start { id, attempt } if !unkept.contains(&id) => {
                self.tally.count("builds begun");
                let before = self.workers.built.insert(id.clone(), Built::Begun);
                if matches!(before, Some(Built::Begun | Built::Made)) {
                    let what = format!("attempt {attempt} at {id} begins, and an earlier one may have built it");
                    return Err(Violation { invariant: "builds-once", what });
                }
                let until = self.turn + 1 + random.below(LONGEST);
                self.workers.running.push((id, attempt, until));
            }
            Command::Propose { id, outcome: Outcome { transition, inputs } } if !unkept.contains(&id) => {
                let (evidence, brought_by) = (Vec::new(), None);
                let own = OwnOutcome { effect: id.clone(), transition, inputs, evidence, brought_by };
                match node.single.propose_outcome(own) {
                    Ok(answer) => self.workers.proposed.push((id, answer)),
                    Err(outcome) => engine.answered(&id, meaning(outcome), now_ms),
                }
            }
            Command::Interrupt { id } => {
                let ended: Vec<_> = self.workers.running.extract_if(.., |(other, ..)| *other == id).collect();
                for (id, attempt, _) in ended {
                    self.workers.built.insert(id.clone(), Built::Failed);
                    engine.ended(&id, attempt, Ended::Stopped(Stop::Cancelled), now_ms);
                }
            }
            Command::Forget { id } => drop(journal.forget_effects(&[id])),
            Command::Start { .. } | Command::Propose { .. } => {}
        }
        Ok(())
    }

    fn hear(&mut self, engine: &mut Engine, now_ms: u64) {
        for (id, mut answer) in std::mem::take(&mut self.workers.proposed) {
            match answer.try_recv() {
                Ok(outcome) => {
                    if let sequencer::Outcome::Accepted { .. } = &outcome {
                        self.tally.count("builds recorded");
                    }
                    engine.answered(&id, meaning(outcome), now_ms);
                }
                Err(TryRecvError::Empty) => self.workers.proposed.push((id, answer)),
                Err(TryRecvError::Closed) => {
                    engine.answered(&id, Answer::Later("the node was cut off".to_owned()), now_ms);
                }
            }
        }
    }

    /// The node proposes an outcome that it held, once its project goes on.
    fn apply_held(&mut self, random: &mut Random) {
        let Some(node) = self.node.as_ref().filter(|_| random.below(4) == 0) else { return };
        let journal = node.single.handle().journal();
        let Ok(held) = journal.held_outcomes() else { return };
        let Some(id) = held.get(random.index(held.len())).cloned() else { return };
        let Some(head) = self.durable_head(&id.project) else { return };
        if clients::is_blocked(head.state()) {
            return;
        }
        let Ok(Some(outcome)) = journal.held_outcome(&id) else { return };
        if let Ok(answer) = node.single.propose_outcome(of_worker(id.clone(), outcome)) {
            self.own.push((id, answer));
            self.tally.count("held outcomes proposed");
        }
    }

    /// An outcome that was acknowledged as held is there after a start, as long as its effect is open.
    pub(super) fn held_is_kept(&mut self, journal: &Journal) -> Result<(), Violation> {
        let mut kept = Vec::new();
        for id in std::mem::take(&mut self.workers.held) {
            if !self.oracle.head(&id.project).state().open_effects().any(|open| open.id == id) {
                continue;
            }
            match journal.held_outcome(&id) {
                Ok(None) => {
                    let what = format!("the outcome of {id} was acknowledged as held, and a start does not find it");
                    return Err(Violation { invariant: "held-is-kept", what });
                }
                Ok(Some(_)) | Err(_) => kept.push(id),
            }
        }
        self.workers.held = kept;
        Ok(())
    }
}

/// An outcome that was held, as the node proposes it.
fn of_worker(effect: EffectId, held: HeldOutcome) -> OwnOutcome {
    let signer = held.signer.to_string();
    let key = signer.rsplit(':').next().unwrap_or_default();
    let named = format!("ucxl://{key}:worker@{}/held/{}", effect.project, held.proposal_hash).parse().ok();
    let evidence = named.into_iter().chain(held.evidence).collect();
    let (transition, inputs, brought_by) = (held.transition, held.inputs, Some(held.signer));
    OwnOutcome { effect, transition, inputs, evidence, brought_by }
}
