//! The history checker: it compares the clients' logs with the node's log and trusts neither.
//!
//! A receipt must match a record byte for byte. A record must have been requested, and each key occurs once. Each
//! project's records form a chain from its genesis.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde::Serialize;

use super::history::{self, Event, Place};
use super::tally::Violation;
use swoosh_journal::{Journal, StoredRecord};
use swoosh_machine::head::Head;
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::IdemKey;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::Transition;
use swoosh_types::receipt::Receipt;
use swoosh_types::text::ProjectName;

/// Most violations that are kept; more are counted.
const KEPT: usize = 50;

/// The invariants that are checked here, and what each says.
pub(super) const INVARIANTS: [(&str, &str); 6] = [
    ("receipts-are-in-the-log", "every receipt that a client holds is a record's, byte for byte, with its chain"),
    ("one-receipt-for-a-key", "all clients that sent one key hold the same receipt"),
    ("accepted-once", "no key is bound by two records of a project"),
    ("history-is-linear", "each record begins at the head that its project's last one led to, the first at genesis"),
    ("asked-for", "every record is the node's own or was sent by a client, with these inputs and this signer"),
    ("time-rises", "indexes have no gap, the node's clock only rises, and so does each project's"),
];

type Key = (ProjectName, IdemKey);

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    transition: Transition,
    inputs_hash: Hash,
    signer: PublicKey,
}

/// A receipt that a client holds.
#[derive(Clone, Debug)]
struct Held {
    index: u64,
    digest: Hash,
    place: Place,
}

/// What became of the checks.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Checked {
    /// Records in the log.
    pub records: u64,
    /// Of them, the node's own.
    pub own_records: u64,
    /// Projects.
    pub projects: usize,
    /// Receipts in the clients' logs, each key counted once.
    pub receipts: usize,
    /// Keys that were sent and never answered for.
    pub unanswered: usize,
    /// The last head of every project.
    #[serde(skip)]
    pub heads: BTreeMap<ProjectName, Hash>,
    /// The last record and its chain.
    #[serde(skip)]
    pub last: Option<(u64, Hash)>,
    /// What is wrong, the first ones.
    pub violations: Vec<Violation>,
    /// How much is wrong.
    pub violation_count: u64,
}

/// What is wrong, so far.
struct Findings {
    seed: u64,
    violations: Vec<Violation>,
    count: u64,
}

impl Findings {
    fn add(&mut self, invariant: &'static str, step: u64, expected: String, found: String) {
        self.count += 1;
        if self.violations.len() < KEPT {
            self.violations.push(Violation { seed: self.seed, step, invariant, expected, found });
        }
    }
}

/// What the clients wrote down.
#[derive(Default)]
struct Logs {
    asked: HashMap<Key, Asked>,
    held: HashMap<Key, Held>,
}

impl Logs {
    fn read(directory: &Path, findings: &mut Findings) -> anyhow::Result<Logs> {
        let mut logs = Logs::default();
        history::read_all(directory, &mut |place, event| {
            logs.add(place, event, findings);
            Ok(())
        })?;
        Ok(logs)
    }

    fn add(&mut self, place: Place, event: Event, findings: &mut Findings) {
        match event {
            Event::Sent { project, key, transition, inputs_hash, signer } => {
                self.asked.insert((project, key), Asked { transition, inputs_hash, signer });
            }
            Event::Receipt { receipt } => {
                let (digest, text) = (Hash::of(receipt.as_bytes()), receipt);
                match serde_json::from_str::<Receipt>(&text) {
                    Ok(receipt) => self.hold(place, &receipt, digest, findings),
                    Err(error) => {
                        let expected = format!("{place} holds a receipt");
                        findings.add("receipts-are-in-the-log", 0, expected, format!("{error}: {text}"));
                    }
                }
            }
        }
    }

    fn hold(&mut self, place: Place, receipt: &Receipt, digest: Hash, findings: &mut Findings) {
        let key = (receipt.project.clone(), receipt.idem_key.clone());
        let held = Held { index: receipt.index, digest, place };
        match self.held.get(&key) {
            Some(first) if first.digest != held.digest => {
                let one = format!("{} holds record {} ({}) for {}", first.place, first.index, first.digest, key.1);
                let other = format!("{} holds record {} ({})", held.place, held.index, held.digest);
                findings.add("one-receipt-for-a-key", held.index, one, other);
            }
            Some(_) => {}
            None => drop(self.held.insert(key, held)),
        }
    }
}

/// What the log shows, record after record.
struct Walk<'l> {
    logs: &'l Logs,
    node: PublicKey,
    findings: Findings,
    heads: BTreeMap<ProjectName, (Hash, u64)>,
    clocks: HashMap<ProjectName, Hlc>,
    keys: HashSet<Key>,
    last: Option<(u64, Hash, Hlc)>,
    own: u64,
    records: u64,
}

/// Checks a journal against the logs of a directory.
pub(super) fn check(journal: &Journal, logs: &Path, seed: u64) -> anyhow::Result<Checked> {
    let mut findings = Findings { seed, violations: Vec::new(), count: 0 };
    let logs = Logs::read(logs, &mut findings)?;
    let mut walk = Walk {
        logs: &logs,
        node: journal.identity().node,
        findings,
        heads: BTreeMap::new(),
        clocks: HashMap::new(),
        keys: HashSet::new(),
        last: None,
        own: 0,
        records: 0,
    };
    for stored in journal.records_from(1) {
        match stored {
            Ok(stored) => walk.visit(&stored),
            Err(error) => {
                let expected = "every record can be read".to_owned();
                walk.findings.add("receipts-are-in-the-log", walk.records, expected, error.to_string());
                break;
            }
        }
    }
    Ok(walk.end())
}

impl Walk<'_> {
    fn visit(&mut self, stored: &StoredRecord) {
        let record = &stored.record;
        self.records += 1;
        let key = (record.project.clone(), record.idem_key.clone());
        self.follows(stored);
        self.is_linear(stored);
        self.was_asked_for(stored, &key);
        self.was_answered_so(stored, &key);
        if !self.keys.insert(key) {
            let expected = format!("{} is bound once in {}", record.idem_key, record.project);
            self.findings.add(
                "accepted-once",
                record.index,
                expected,
                format!("record {} binds it again", record.index),
            );
        }
    }

    fn follows(&mut self, stored: &StoredRecord) {
        let record = &stored.record;
        let (index, at) = self.last.map_or((0, Hlc::default()), |(index, _, at)| (index, at));
        if record.index != index + 1 || record.timestamp <= at {
            let expected = format!("record {} later than {at}", index + 1);
            let found = format!("record {} at {}", record.index, record.timestamp);
            self.findings.add("time-rises", record.index, expected, found);
        }
        let before = self.clocks.insert(record.project.clone(), record.hlc);
        if let Some(before) = before.filter(|before| *before > record.hlc) {
            let expected = format!("a clock of {} not before {before}", record.project);
            self.findings.add("time-rises", record.index, expected, record.hlc.to_string());
        }
        self.last = Some((record.index, stored.chain, record.timestamp));
    }

    fn is_linear(&mut self, stored: &StoredRecord) {
        let record = &stored.record;
        let genesis = || (Head::genesis(&record.project).hash(), 0);
        let (head, index) = self.heads.get(&record.project).copied().unwrap_or_else(genesis);
        if head != record.state_pre_hash {
            let expected = format!("{} goes on from {head}, where record {index} led", record.project);
            let found = format!("record {} goes on from {}", record.index, record.state_pre_hash);
            self.findings.add("history-is-linear", record.index, expected, found);
        }
        self.heads.insert(record.project.clone(), (record.state_post_hash, record.index));
    }

    fn was_asked_for(&mut self, stored: &StoredRecord, key: &Key) {
        let record = &stored.record;
        if record.signer == self.node {
            self.own += 1;
            return;
        }
        let (transition, inputs_hash, signer) = (record.transition, record.inputs_hash, record.signer);
        let found = Asked { transition, inputs_hash, signer };
        match self.logs.asked.get(key) {
            Some(asked) if *asked == found => {}
            asked => {
                let expected = asked.map_or_else(|| format!("no client sent {}", key.1), |asked| format!("{asked:?}"));
                self.findings.add("asked-for", record.index, expected, format!("record {}: {found:?}", record.index));
            }
        }
    }

    fn was_answered_so(&mut self, stored: &StoredRecord, key: &Key) {
        let Some(held) = self.logs.held.get(key) else { return };
        let receipt = canonical_bytes(&stored.receipt());
        if held.digest != Hash::of(&receipt) {
            let expected = format!("{} holds record {} for {}, {}", held.place, held.index, key.1, held.digest);
            let found = format!("record {} gives {}", stored.record.index, String::from_utf8_lossy(&receipt));
            self.findings.add("receipts-are-in-the-log", stored.record.index, expected, found);
        }
    }

    fn end(mut self) -> Checked {
        let ends = self.last.map_or(0, |(index, ..)| index);
        let mut lost: Vec<_> = self.logs.held.iter().filter(|(key, _)| !self.keys.contains(*key)).collect();
        lost.sort_by_key(|(_, held)| held.index);
        for ((project, key), held) in lost {
            let expected = format!("{} holds record {} of {project} for {key}", held.place, held.index);
            let found = format!("no record binds the key; the log ends at record {ends}");
            self.findings.add("receipts-are-in-the-log", held.index, expected, found);
        }
        Checked {
            records: self.records,
            own_records: self.own,
            projects: self.heads.len(),
            receipts: self.logs.held.len(),
            unanswered: self.logs.asked.keys().filter(|key| !self.logs.held.contains_key(*key)).count(),
            heads: self.heads.into_iter().map(|(project, (head, _))| (project, head)).collect(),
            last: self.last.map(|(index, chain, _)| (index, chain)),
            violations: self.findings.violations,
            violation_count: self.findings.count,
        }
    }
}
