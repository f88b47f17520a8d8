use super::*;
use crate::journal::{Batch, Durability, JournalOptions, LogEntry, Write, replay};
use crate::settings::Settings;
use crate::types::canonical::{canonical_bytes, to_json};
use crate::types::fact::{FactClaim, FactKind, License};
use crate::types::hlc::Hlc;
use crate::types::inputs::IdentityGrant;
use crate::types::keys::SecretKey;
use crate::types::names::{Role, Transition};
use crate::types::proposal::{Proposal, default_project};
use crate::types::receipt::{EncodedSeal, SealedBatch};
use crate::types::record::Linked;
use crate::types::text::ClusterId;
use std::sync::Arc;

/// 2025-10-19T00:00:00Z.
const NOW_MS: u64 = 1_760_832_000_000;

fn at(ms: u64) -> Hlc {
    Hlc::new(NOW_MS + ms, 0).unwrap()
}

fn cluster() -> ClusterId {
    "swoosh".parse().unwrap()
}

fn node() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

fn operator() -> SecretKey {
    SecretKey::from_bytes(&[2; 32])
}

fn fact<T: Serialize>(kind: FactKind, body: &T) -> Fact {
    let (source, body) = (node().public(), to_json(body).unwrap());
    let claim = FactClaim { kind, project: None, source, observed_at: at(0), valid_until: at(3_600_000), body };
    claim.sign(&cluster(), &node())
}

/// A node's facts at its start, and a license.
fn facts() -> Vec<Fact> {
    let mut settings = Settings::default();
    let grant = IdentityGrant { name: "op".parse().unwrap(), roles: [Role::Operator].into(), delegate: None };
    settings.identities.insert(operator().public(), grant);
    let license = License { id: "l-1".parse().unwrap(), scopes: ["swoosh".parse().unwrap()].into(), token: None };
    vec![
        fact(FactKind::Settings, &settings.guard_settings(node().public())),
        fact(FactKind::Windows, &settings.schedule().unwrap()),
        fact(FactKind::Policy, &settings.policy_bundle().unwrap()),
        fact(FactKind::License, &license),
    ]
}

/// A journal of one project that is configured and licensed; `tamper` changes records before they are written.
fn journal(directory: &std::path::Path, tamper: impl Fn(&mut Record)) -> Journal {
    let journal = Journal::open(JournalOptions {
        path: directory.to_path_buf(),
        node: node().public(),
        cluster: cluster(),
        snapshot_every: 1_000,
        durability: Durability::Sync,
        store: crate::journal::StoreLimits::default(),
        medium: None,
    })
    .unwrap();
    journal.recover().unwrap();
    let mut set = FactSet::default();
    let mut writes = Vec::new();
    for fact in facts() {
        writes.push(Write::Object { hash: fact.hash(), bytes: canonical_bytes(&fact) });
        set.insert(KnownFact::read(fact).unwrap());
    }
    journal_records(&journal, &set, writes, tamper);
    journal
}

fn journal_records(journal: &Journal, set: &FactSet, mut writes: Vec<Write>, tamper: impl Fn(&mut Record)) {
    let document = serde_json::json!({"document": {
        "sources": {"spec": {"url": "https://git.example/spec.git", "ref": "0".repeat(40)}},
        "roles": {"lead": {"capabilities": [], "seats": 3}},
        "approval_threshold": 2,
        "identities": {operator().public().to_string(): {"name": "op", "roles": ["operator"]}},
    }});
    let steps = [(Transition::BootConfigOk, document), (Transition::BootLicensed, serde_json::json!({}))];
    let mut head = Head::genesis(&default_project());
    for (n, (transition, inputs)) in (1u64..).zip(steps) {
        let inputs = to_json(&inputs).unwrap();
        let (record, next) = accept(&head, set, transition, &inputs, n, &tamper);
        head = next;
        writes.push(Write::Object { hash: record.inputs_hash, bytes: inputs.canonical() });
        let linked = Arc::new(Linked::of(journal.last().1, record.encode()));
        let sealed = SealedBatch::seal(&cluster(), &node(), n, &[linked.chain()]).unwrap();
        let (project, seal, path) = (record.project, Arc::new(EncodedSeal::of(sealed.seal.clone())), sealed.path(0));
        let entries = vec![LogEntry { index: n, project, linked, seal, path }];
        journal.append(&Batch { entries, writes: std::mem::take(&mut writes) }).unwrap();
    }
}

/// Judges a proposal of the operator, and makes its record.
fn accept(
    head: &Head,
    facts: &FactSet,
    transition: Transition,
    inputs: &Json,
    index: u64,
    tamper: &impl Fn(&mut Record),
) -> (Record, Head) {
    let proposal = Proposal {
        project: None,
        current_state_hash: head.hash(),
        transition,
        inputs: inputs.clone(),
        inputs_hash: Hash::of(&inputs.canonical()),
        signer: operator().public(),
        idem_key: format!("g:1:boot:abcdefg{index}").parse().unwrap(),
        hlc: at(index),
        window_id: None,
        evidence: Vec::new(),
    };
    let typed = Inputs::decode(transition, &inputs.canonical()).unwrap();
    let stamp = Stamp { index, at: at(index) };
    let docket = Docket { cluster: &cluster(), head, facts, proposal: &proposal, inputs: &typed, stamp };
    let accepted = judge::judge(&docket, &judge::Key::Recorded).unwrap();
    let signed = proposal.sign(&cluster(), &operator());
    let mut record = Record {
        index,
        project: default_project(),
        project_implied: true,
        state_pre_hash: head.hash(),
        transition,
        inputs_hash: signed.proposal.inputs_hash,
        signer: signed.proposal.signer,
        idem_key: signed.proposal.idem_key,
        hlc: signed.proposal.hlc,
        window_id: None,
        guard_outcomes: accepted.outcomes,
        policy_engine: engine_version().to_owned(),
        evidence: Vec::new(),
        signature: signed.signature,
        timestamp: stamp.at,
        state_post_hash: accepted.next.hash(),
    };
    tamper(&mut record);
    (record, accepted.next)
}

fn reguard(tamper: impl Fn(&mut Record)) -> ReguardReport {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal(directory.path(), tamper);
    let mut judge = Reguard::new(&journal);
    let mut visit = |stored: &StoredRecord, head: &Head, inputs: &Json| judge.visit(stored, head, inputs);
    let replayed = replay::replay(&journal, &mut |_| {}, Some(&mut visit));
    assert_eq!((replayed.replayed, replayed.fault), (2, None));
    judge.report()
}

fn outcome(record: &mut Record, guard: GuardName) -> &mut GuardOutcome {
    record.guard_outcomes.iter_mut().find(|outcome| outcome.guard == guard).unwrap()
}

#[test]
fn recorded_facts_give_the_recorded_judgements_again() {
    assert_eq!(reguard(|_| {}), ReguardReport { judged: 2, ..ReguardReport::default() });
}

#[test]
fn a_reason_that_the_guards_do_not_give_is_a_mismatch_of_its_record() {
    let report = reguard(|record| {
        if record.index == 2 {
            outcome(record, GuardName::License).reasons = vec!["because".to_owned()];
        }
    });
    assert_eq!((report.judged, report.mismatch_count, report.mismatches[0].index), (2, 1, 2));
    let difference = &report.mismatches[0].differences[0];
    assert!(difference.starts_with("guard license: it passed (because; 2 facts)"), "{difference}");
}

#[test]
fn a_record_whose_fact_is_not_the_one_that_lets_it_pass_is_refused_now() {
    let report = reguard(|record| {
        if record.index == 2 {
            let license = facts()[3].hash();
            record.guard_outcomes.iter_mut().for_each(|outcome| outcome.facts.retain(|fact| *fact != license));
        }
    });
    assert_eq!(report.mismatch_count, 1);
    assert!(report.mismatches[0].differences[0].contains("it would be refused: guard_license"), "{report:?}");
}

#[test]
fn a_missing_fact_is_reported_by_its_hash() {
    let gone = Hash::of(b"gone");
    let report = reguard(|record| outcome(record, GuardName::Policy).facts.push(gone));
    assert_eq!(report.mismatch_count, 2);
    assert_eq!(report.mismatches[0].differences, [format!("the fact {gone} is missing")]);
}

#[test]
fn another_policy_engine_is_no_mismatch_and_excuses_no_other_guard() {
    let older = |record: &mut Record| {
        record.policy_engine = "cedar-language-1/engine-1".to_owned();
        outcome(record, GuardName::Policy).reasons = vec!["bundle 1 allows it".to_owned()];
    };
    let report = reguard(older);
    assert!(report.is_good() && report.engine_differs == 2, "{report:?}");
    assert_eq!(report.other_engine, Some((1, "cedar-language-1/engine-1".to_owned())));
    let report = reguard(|record| {
        older(record);
        outcome(record, GuardName::Clock).reasons.clear();
    });
    assert_eq!((report.engine_differs, report.mismatch_count), (2, 2));
}
