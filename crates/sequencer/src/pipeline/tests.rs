//! A proposal of the node's own and the caller that caused it, under a clock that steps between two readings; and what
//! is announced after the log was reopened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::{Clock, Describe, Memory, Mode, Observer, Options, Outcome, OwnOutcome, Ports, Single, Verified};
use swoosh_facts::{FactTable, Trust};
use swoosh_journal::testing::{cluster, name, node_key, options as journal_options};
use swoosh_journal::{AppendError, Batch, Durability, Journal, Log};
use swoosh_machine::chart::{self, Inputs};
use swoosh_platform::clock::{Reading, TimeSource};
use swoosh_types::canonical::{canonical_bytes, to_json};
use swoosh_types::counts::{Counts, counts};
use swoosh_types::decision::Wording;
use swoosh_types::fact::{FactClaim, FactKind};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::json::Json;
use swoosh_types::keys::SecretKey;
use swoosh_types::names::{EffectName, Transition};
use swoosh_types::proposal::Proposal;
use swoosh_types::record::Record;
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ProjectName;
use swoosh_types::verify::{Headers, verify};

/// 2025-10-19T00:00:00Z.
const NOW_MS: u64 = 1_760_832_000_000;
const HOUR_MS: u64 = 3_600_000;

/// Shows a time, and after so many readings that it stepped.
struct Stepping(Mutex<(u64, Option<usize>)>);

impl Stepping {
    fn set(&self, now_ms: u64, readings: Option<usize>) {
        *self.0.lock().unwrap() = (now_ms, readings);
    }
}

impl Clock for Stepping {
    fn now_ms(&self) -> Result<u64, String> {
        let mut shown = self.0.lock().unwrap();
        if shown.1 == Some(0) {
            return Err("the wall clock jumped".to_owned());
        }
        shown.1 = shown.1.map(|readings| readings - 1);
        Ok(shown.0)
    }
}

struct Fixed;

impl TimeSource for Fixed {
    fn read(&self) -> Reading {
        Reading { wall_ms: NOW_MS, monotonic_ms: 0 }
    }
}

struct Writer;

impl Describe for Writer {
    fn describe(&self, _: &Record, _: &Json) -> Wording {
        Wording { summary: "a test".to_owned(), justification: "a test".to_owned(), ucxl: Vec::new() }
    }
}

/// Events that the observer received.
#[derive(Default)]
struct Heard(Mutex<Vec<(u64, Transition)>>, Mutex<Vec<(usize, u64)>>);

impl Observer for Heard {
    fn accepted(&self, record: &Record, _: Duration) {
        self.0.lock().unwrap().push((record.index, record.transition));
    }
    fn refused(&self, _: &Proposal, _: &Rejection) {}
    fn repeated(&self, _: Transition) {}
    fn committed(&self, records: usize, _: Duration, last_index: u64) {
        self.1.lock().unwrap().push((records, last_index));
    }
    fn own_failed(&self, _: &ProjectName, _: Transition, _: &str) {}
    fn log_failed(&self, _: &str) {}
}

/// Writes a batch and then, once, says that there was no room.
struct FullOnce(Journal, Arc<Mutex<bool>>);

impl Log for FullOnce {
    fn append(&mut self, batch: &Batch) -> Result<(), AppendError> {
        self.0.append(batch)?;
        match std::mem::take(&mut *self.1.lock().unwrap()) {
            true => Err(AppendError::Stopped { full: true, corrupt: false }),
            false => Ok(()),
        }
    }
    fn reopened(&mut self, journal: &Journal) {
        self.0 = journal.clone();
    }
}

struct World {
    single: Single<FullOnce>,
    table: Arc<FactTable>,
    clock: Arc<Stepping>,
    heard: Arc<Heard>,
    full: Arc<Mutex<bool>>,
    operator: SecretKey,
    head: Hash,
    proposals: u64,
    _directory: tempfile::TempDir,
}

/// The settings that guards read; `node_role` is what the node's own key holds.
fn settings(operator: &SecretKey, node_role: &str) -> Value {
    let node = node_key();
    let identity = |name: &str, roles: &[&str]| json!({"name": name, "roles": roles});
    json!({
        "identities": {
            node.public().to_string(): identity("node", &[node_role]),
            operator.public().to_string(): identity("ann", &["operator", "human", "worker"]),
        },
        "max_ahead_ms": 5_000, "max_behind_ms": 300_000, "license_grace_ms": 10 * HOUR_MS, "license_scope": "swoosh",
        "key_horizon_ms": 604_800_000u64, "key_ahead_ms": 86_400_000, "transports": ["https"],
        "floating_refs": [], "lost_after_ms": 1000, "back_after_ms": 1000,
    })
}

/// Puts a fact of the node's own into the table, observed `after_ms` after the world began.
fn put(table: &FactTable, kind: FactKind, after_ms: u64, hours: u64, body: &Value) {
    let node = node_key();
    let claim = FactClaim {
        kind,
        project: None,
        source: node.public(),
        observed_at: Hlc::new(NOW_MS + after_ms, 0).unwrap(),
        valid_until: Hlc::new(NOW_MS + hours * HOUR_MS, 0).unwrap(),
        body: to_json(body).unwrap(),
    };
    table.insert(claim.sign(&cluster(), &node)).unwrap();
}

fn facts(operator: &SecretKey) -> FactTable {
    let node = node_key();
    let settings = settings(operator, "node");
    let windows = json!({
        "epoch": "2025-01-01T00:00:00.000+00:00#0", "beat_ms": 60_000, "cycle_beats": 60,
        "windows": {"plan": [{"phase_beats": 0, "length_beats": 10}], "review": [{"phase_beats": 30, "length_beats": 10}]},
        "amplitude": [{"phase_beats": 0, "pressure": 250}],
    });
    let policy = json!({"serial": 1, "policies": "permit(principal, action, resource);"});
    let license = json!({"id": "trial", "scopes": ["swoosh"]});
    let trust = Trust { cluster: cluster(), node: node.public(), sources: BTreeMap::new(), max_ahead_ms: 5_000 };
    let table = FactTable::new(trust, Arc::new(swoosh_platform::clock::Clock::new(Box::new(Fixed), 5_000)));
    for (kind, hours, body) in [
        (FactKind::Settings, 24, settings),
        (FactKind::Windows, 24, windows),
        (FactKind::Policy, 24, policy),
        (FactKind::License, 1, license),
    ] {
        put(&table, kind, 0, hours, &body);
    }
    table
}

fn verified(body: &[u8]) -> Verified {
    verify(body, &Headers::default(), &cluster(), Inputs::decode).unwrap()
}

impl World {
    /// A world with a licensed project, whose license runs out within the hour.
    fn licensed() -> World {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(journal_options(&directory.path().join("journal"))).unwrap();
        let recovered = journal.recover().unwrap();
        let operator = SecretKey::from_bytes(&[2; 32]);
        let options = Options {
            cluster: cluster(),
            node_key: node_key(),
            queue: 100,
            project_queue: 100,
            batch_max: 100,
            memory: Memory::default(),
            sweep_every: 1_000,
            durability: Durability::Sync,
            patience: Default::default(),
            external: [EffectName::Resolve].into(),
        };
        let clock = Arc::new(Stepping(Mutex::new((NOW_MS, None))));
        let (heard, full) = (Arc::new(Heard::default()), Arc::new(Mutex::new(false)));
        let table = Arc::new(facts(&operator));
        let ports =
            Ports { clock: clock.clone(), facts: table.clone(), describe: Arc::new(Writer), observer: heard.clone() };
        let log = FullOnce(journal.clone(), full.clone());
        let single = Single::new(options, ports, journal, recovered, log);
        let head = swoosh_machine::head::Head::genesis(&name("a")).hash();
        let mut world =
            World { single, table, clock, heard, full, operator, head, proposals: 0, _directory: directory };
        let key = world.operator.public().to_string();
        let document = json!({"document": {
            "sources": {"main": {"url": "https://git.example/a", "ref": "a".repeat(40)}},
            "roles": {"builder": {"capabilities": [], "seats": 3}},
            "approval_threshold": 2,
            "identities": {key: {"name": "ann", "roles": ["operator"]}},
        }});
        world.accepted(Transition::BootConfigOk, &document);
        world.accepted(Transition::BootLicensed, &json!({}));
        world
    }

    fn accepted(&mut self, transition: Transition, inputs: &Value) {
        match self.post(transition, inputs) {
            Outcome::Accepted { receipt, .. } => {
                let receipt: Value = serde_json::from_slice(&receipt).unwrap();
                self.head = receipt["state_post_hash"].as_str().unwrap().parse().unwrap();
            }
            Outcome::Refused(refusal) => panic!("{:?}", refusal.rejection),
        }
    }

    fn post(&mut self, transition: Transition, inputs: &Value) -> Outcome {
        let verified = self.signed(transition, inputs);
        let mut answer = self.single.propose(verified).unwrap();
        while self.single.judge(true) | self.single.commit() {}
        answer.try_recv().expect("an answer")
    }

    fn signed(&mut self, transition: Transition, inputs: &Value) -> Verified {
        verified(&self.body("a", self.head, transition, inputs))
    }

    /// The bytes of a signed proposal.
    fn body(&mut self, project: &str, head: Hash, transition: Transition, inputs: &Value) -> Vec<u8> {
        self.proposals += 1;
        let inputs = to_json(inputs).unwrap();
        let now_ms = self.clock.0.lock().unwrap().0;
        let beat = (now_ms - 1_735_689_600_000) / 60_000;
        let (op_class, number) = (chart::spec(transition).op_class, self.proposals);
        let proposal = Proposal {
            project: Some(name(project)),
            current_state_hash: head,
            transition,
            inputs_hash: Hash::of(&inputs.canonical()),
            inputs,
            signer: self.operator.public(),
            idem_key: format!("goal:{beat}:{op_class}:uuid-{number:08}").parse().unwrap(),
            hlc: Hlc::new(now_ms + number, 0).unwrap(),
            window_id: None,
            evidence: vec![],
        };
        canonical_bytes(&proposal.sign(&cluster(), &self.operator))
    }

    /// Verifies proposals, judges them in one batch and commits it; the counts of all that.
    fn spent(&mut self, bodies: &[Vec<u8>]) -> Counts {
        let before = counts();
        let answers: Vec<_> = bodies.iter().map(|body| self.single.propose(verified(body)).unwrap()).collect();
        while self.single.judge(true) | self.single.commit() {}
        let spent = counts() - before;
        for mut answer in answers {
            assert!(matches!(answer.try_recv(), Ok(Outcome::Accepted { .. })));
        }
        spent
    }

    fn records(&self) -> Vec<Record> {
        let records = self.single.handle().journal().records_from(3).collect::<Result<Vec<_>, _>>().unwrap();
        records.into_iter().map(|stored| stored.record).collect()
    }

    fn log(&self) -> Vec<Transition> {
        self.records().into_iter().map(|record| record.transition).collect()
    }
}

/// The license ran out, so the node records that first; then the clock steps. The caller's proposal used to be pushed
/// on the scene before that record, with its index: "record 3 cannot follow record 3", and the node was read-only.
#[test]
fn a_step_of_the_wall_clock_after_an_own_proposal_writes_no_record_twice() {
    let mut world = World::licensed();
    world.clock.set(NOW_MS + 2 * HOUR_MS, Some(1));
    let Outcome::Refused(refusal) = world.post(Transition::ControlPause, &json!({"rationale": "lunch"})) else {
        panic!("it named the head before the license ran out")
    };
    assert_eq!(refusal.rejection.code, Code::StaleHead, "{:?}", refusal.rejection);
    assert_eq!(world.log(), [Transition::LicenseGraceEntered]);
    assert_eq!(world.single.handle().status().mode, Mode::Accepting);
    world.clock.set(NOW_MS + 2 * HOUR_MS, None);
    world.head = world.single.handle().view(&name("a")).unwrap().head.hash();
    world.accepted(Transition::ControlPause, &json!({"rationale": "lunch"}));
    assert_eq!(world.log(), [Transition::LicenseGraceEntered, Transition::ControlPause]);
}

/// An outcome of the node's own is signed again on the head that the license's record left, and follows that record in
/// the same batch, also where the clock steps in between.
#[test]
fn an_outcome_of_the_node_follows_the_license_s_record_under_the_next_index_and_a_later_stamp() {
    let mut world = World::licensed();
    world.clock.set(NOW_MS + 2 * HOUR_MS, Some(1));
    let head = world.single.handle().view(&name("a")).unwrap().head.clone();
    let open = head.state().open_effects().find(|open| open.id.effect == EffectName::Resolve).unwrap().id.clone();
    let inputs = json!({"effect": open.to_string(), "failure": {"detail": "no answer"}});
    let outcome = OwnOutcome {
        effect: open,
        transition: Transition::IngestionResolveFailed,
        inputs: to_json(&inputs).unwrap(),
        evidence: Vec::new(),
        brought_by: None,
    };
    let mut answer = world.single.propose_outcome(outcome).unwrap();
    while world.single.judge(true) | world.single.commit() {}
    match answer.try_recv().expect("an answer") {
        Outcome::Accepted { .. } => {}
        Outcome::Refused(refusal) => panic!("{:?}", refusal.rejection),
    }
    assert_eq!(world.log(), [Transition::LicenseGraceEntered, Transition::IngestionResolveFailed]);
    let stamps: Vec<Hlc> = world.records().into_iter().map(|record| record.timestamp).collect();
    assert!(stamps.is_sorted_by(|before, after| before < after), "{stamps:?}");
}

/// The committer answers for a batch before the sequencer hears of it, so an outcome may meet a pause that is durable and not
/// settled: the worker was answered `blocked`, and nothing was kept.
#[test]
fn an_outcome_that_meets_a_block_which_is_not_settled_yet_is_held_once_it_is() {
    let pause = json!({"rationale": "lunch"});
    let mut before = World::licensed();
    before.accepted(Transition::ControlPause, &pause);
    let mut world = World::licensed();
    let view = world.single.handle().view(&name("a")).unwrap();
    let open = view.head.state().open_effects().find(|open| open.id.effect == EffectName::Resolve).unwrap().id.clone();
    let paused = world.signed(Transition::ControlPause, &pause);
    let mut paused = world.single.propose(paused).unwrap();
    world.single.judge(false);
    world.head = before.head;
    let inputs = json!({"effect": open.to_string(), "failure": {"detail": "no answer"}});
    let outcome = world.signed(Transition::IngestionResolveFailed, &inputs);
    let mut answer = world.single.propose(outcome).unwrap();
    world.single.judge(false);
    assert!(answer.try_recv().is_err() && paused.try_recv().is_err(), "the pause is not on disk yet");
    while world.single.judge(true) | world.single.commit() {}
    assert!(matches!(paused.try_recv(), Ok(Outcome::Accepted { .. })));
    let Ok(Outcome::Refused(refusal)) = answer.try_recv() else { panic!("the project is paused") };
    assert_eq!(refusal.rejection.code, Code::OutcomeHeld, "{:?}", refusal.rejection);
    assert_eq!(world.single.handle().journal().held_outcomes().unwrap(), [open]);
}

/// The node's key lost its role, so it cannot record the breach. The project used to go on as if it were clear. No policy
/// can bring this about, so the settings do it here.
#[test]
fn a_breach_that_cannot_be_recorded_holds_its_project_until_it_is() {
    let mut world = World::licensed();
    let rules = "permit(principal, action, resource);\n@id(\"calm\") @breach(\"no pause\") \
        forbid(principal, action == Action::\"Control_Pause\", resource);";
    put(&world.table, FactKind::Policy, 1, 24, &json!({"serial": 2, "policies": rules}));
    put(&world.table, FactKind::Settings, 1, 24, &settings(&world.operator, "reader"));
    let code = |outcome: Outcome| match outcome {
        Outcome::Refused(refusal) => (refusal.rejection.code, refusal.rejection.reasons.join("; ")),
        Outcome::Accepted { .. } => panic!("accepted"),
    };
    assert_eq!(code(world.post(Transition::ControlPause, &json!({"rationale": "lunch"}))).0, Code::PolicyBreach);
    let (refused, why) = code(world.post(Transition::ControlTerminate, &json!({"rationale": "over"})));
    assert!(refused == Code::Blocked && why.contains("could not be recorded"), "{refused}: {why}");
    assert!(world.log().is_empty());
    put(&world.table, FactKind::Settings, 2, 24, &settings(&world.operator, "node"));
    assert_eq!(code(world.post(Transition::ControlTerminate, &json!({"rationale": "over"}))).0, Code::StaleHead);
    assert_eq!(world.log(), [Transition::PolicyQuarantine]);
}

/// A batch reaches the disk although its write reports a full disk. The node adopts its record when it reopens the
/// log. The record was not announced: no event, no count, and the runner of effects did not look at the project.
#[test]
fn records_that_are_adopted_after_the_log_was_reopened_are_announced() {
    let mut world = World::licensed();
    *world.full.lock().unwrap() = true;
    let Outcome::Refused(refusal) = world.post(Transition::ControlPause, &json!({"rationale": "lunch"})) else {
        panic!("the write failed")
    };
    assert_eq!(refusal.rejection.code, Code::NotDurable);
    assert_eq!(world.heard.0.lock().unwrap().len(), 2, "nothing is announced that may not be on the disk");
    world.single.mend();
    while world.single.judge(true) | world.single.commit() {}
    assert_eq!(world.single.handle().status().mode, Mode::Accepting);
    assert_eq!(world.heard.0.lock().unwrap().last(), Some(&(3, Transition::ControlPause)));
    assert_eq!(world.heard.1.lock().unwrap().last(), Some(&(1, 3)));
    world.head = world.single.handle().view(&name("a")).unwrap().head.hash();
    world.accepted(Transition::ControlResume, &json!({"rationale": "back"}));
    let heard: Vec<u64> = world.heard.0.lock().unwrap().iter().map(|(index, _)| *index).collect();
    assert_eq!(heard, [1, 2, 3, 4], "each once");
}

/// Inputs were encoded twice, and the chain and the fingerprint of a key hashed twice: 10 encodings, 11 hashes of 4,272 bytes, and
/// then the receipt's sum.
/// A transition that is alone in its batch pays for the batch's seal and watermark too.
#[test]
fn a_transition_is_encoded_and_hashed_a_bounded_number_of_times() {
    let mut world = World::licensed();
    world.accepted(Transition::ControlPause, &json!({"rationale": "lunch"}));
    let body = world.body("a", world.head, Transition::ControlResume, &json!({"rationale": "fed"}));
    let spent = world.spent(&[body]);
    // The proposal, three sections, the record, the receipt, the decision's words; the batch's root and seal.
    assert!(spent.encodings <= 9 && spent.encoded_bytes <= 3_400, "{spent:?}");
    // The inputs, the fingerprint, three sections, the state, the chain, the receipt's sum; the leaf and the watermark.
    assert!(spent.hashes <= 10 && spent.hashed_bytes <= 3_900, "{spent:?}");
}

/// Sixteen projects get their license in one batch. It was 162 encodings, and 240 hashes of 95,083 bytes without
/// the receipts' sums.
#[test]
fn the_records_of_a_batch_share_the_cost_of_its_seal() {
    let mut world = World::licensed();
    let key = world.operator.public().to_string();
    let document = json!({"document": {
        "sources": {"main": {"url": "https://git.example/a", "ref": "a".repeat(40)}},
        "roles": {"builder": {"capabilities": [], "seats": 3}},
        "approval_threshold": 2,
        "identities": {key: {"name": "ann", "roles": ["operator"]}},
    }});
    let names: Vec<String> = (0..16).map(|number| format!("p{number:02}")).collect();
    let mut created = Vec::new();
    for project in &names {
        let head = swoosh_machine::head::Head::genesis(&name(project)).hash();
        created.push(world.body(project, head, Transition::BootConfigOk, &document));
    }
    world.spent(&created);
    let mut licensed = Vec::new();
    for project in &names {
        let head = world.single.handle().view(&name(project)).unwrap().head.hash();
        licensed.push(world.body(project, head, Transition::BootLicensed, &json!({})));
    }
    let spent = world.spent(&licensed);
    assert!(spent.encodings <= 16 * 9 + 2 && spent.encoded_bytes <= 16 * 4_300, "{spent:?}");
    assert!(spent.hashes <= 16 * 14 && spent.hashed_bytes <= 16 * 5_500, "{spent:?}");
}
