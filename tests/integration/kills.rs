//! kill -9 in a loop, under load with duplicates. Every receipt that a caller holds is in the log exactly once. Every
//! proposal without an answer has exactly one result, which its repeat returns.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use swoosh::journal::Journal;
use swoosh::types::canonical::canonical_bytes;
use swoosh::types::hash::Hash;
use swoosh::types::names::{Region, Transition};
use swoosh::types::proposal::SignedProposal;
use swoosh::types::receipt::Receipt;

use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::{Project, bytes};
use crate::support::http::{Answer, Wire, proposal};
use crate::support::wal;
use crate::support::world::Ask;
use swoosh_testkit::random::Random;

const CALLERS: u64 = 4;
const ROUNDS: u64 = 50;
/// Most receipts of a round before the kill.
const ROUND_RECEIPTS: u64 = 20;

/// A caller with a project of its own.
struct Caller<'a> {
    project: Project<'a>,
    random: Random,
    /// Proposals and the bytes that they were answered with.
    held: Vec<(SignedProposal, Vec<u8>)>,
    /// A proposal that was posted and not answered.
    unanswered: Option<SignedProposal>,
    /// Unanswered ones that turned out to have been applied, and not.
    applied: [usize; 2],
}

impl<'a> Caller<'a> {
    fn new(site: &'a Site, number: u64) -> Caller<'a> {
        let (project, random) = (Project::new(site, &format!("load-{number}")), Random::new(number));
        Caller { project, random, held: Vec::new(), unanswered: None, applied: [0, 0] }
    }

    /// Proposes until the connection breaks.
    fn load(&mut self, daemon: &Daemon, count: &AtomicU64) -> io::Result<()> {
        let (mut wire, mut other) = (Wire::connect(daemon.address)?, Wire::connect(daemon.address)?);
        self.resolve(&mut wire)?;
        self.repeat(&mut wire)?;
        loop {
            let signed = self.next();
            self.unanswered = Some(signed.clone());
            let twin = self.random.happens(40, 100).then_some(&mut other);
            self.post(&signed, &mut wire, twin)?;
            count.fetch_add(1, Ordering::Relaxed);
            if self.random.happens(30, 100) {
                self.repeat(&mut wire)?;
            }
        }
    }

    fn next(&self) -> SignedProposal {
        let paused = self.project.head.state().control.paused;
        self.project.signed(&Ask::new(if paused { Transition::ControlResume } else { Transition::ControlPause }))
    }

    /// Posts, maybe on two connections at once; whichever answers first, the other says the same.
    fn post(&mut self, signed: &SignedProposal, wire: &mut Wire, twin: Option<&mut Wire>) -> io::Result<()> {
        let request = proposal(&bytes(signed), &[]);
        let Some(twin) = twin else {
            let answer = wire.exchange(&request)?;
            self.hold(signed, &answer);
            return Ok(());
        };
        wire.send(&request)?;
        twin.send(&request)?;
        let answers = [wire.answer(), twin.answer()];
        if let Some(answer) = answers.iter().flatten().next() {
            self.hold(signed, answer);
        }
        let [one, two] = answers;
        let (one, two) = (one?, two?);
        assert_eq!(one.body, two.body, "one proposal, two receipts");
        assert!(one.header("idempotency-replayed").is_some() != two.header("idempotency-replayed").is_some());
        Ok(())
    }

    fn hold(&mut self, signed: &SignedProposal, answer: &Answer) {
        self.project.advance(&signed.proposal, &answer.receipt());
        self.held.push((signed.clone(), answer.body.clone()));
        self.unanswered = None;
    }

    /// Sends again what was not answered: it has one receipt from here on, whether it was applied before or not.
    fn resolve(&mut self, wire: &mut Wire) -> io::Result<()> {
        let Some(signed) = self.unanswered.clone() else { return Ok(()) };
        let answer = wire.exchange(&proposal(&bytes(&signed), &[]))?;
        self.hold(&signed, &answer);
        self.applied[usize::from(answer.header("idempotency-replayed").is_none())] += 1;
        Ok(())
    }

    /// Sends again what was answered, lately or rounds ago.
    fn repeat(&mut self, wire: &mut Wire) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let known = self.random.below(self.held.len() as u64) as usize;
        let (signed, receipt) = &self.held[known];
        let answer = wire.exchange(&proposal(&bytes(signed), &[]))?;
        assert_eq!((answer.status, &answer.body), (202, receipt), "{}", answer.text());
        assert_eq!(answer.header("idempotency-replayed"), Some("true"));
        Ok(())
    }
}

/// A site where snapshots are taken and heads are evicted all the time.
fn site() -> Site {
    Site::with(always_open(), |settings| {
        settings["log"] = json!({"level": "warn"});
        settings["journal"] = json!({"snapshot_every": 20});
        settings["heads"] = json!({"memory_projects": 3});
    })
}

#[test]
fn acknowledged_records_survive_fifty_kills_under_load_with_duplicates() {
    let (site, mut random) = (site(), Random::new(50));
    let mut callers: Vec<_> = (0..CALLERS).map(|number| Caller::new(&site, number)).collect();
    let daemon = site.start();
    callers.iter_mut().for_each(|caller| caller.project.drive(&daemon, Region::Boot, "LICENSED"));
    let before = daemon.last_index();
    daemon.kill();
    for _ in 0..ROUNDS {
        if random.happens(20, 100) {
            site.start_and_kill(random.below(60));
        }
        round(&site.start(), &mut callers, 1 + random.below(ROUND_RECEIPTS));
    }
    let daemon = site.start();
    callers.iter_mut().for_each(|caller| caller.resolve(&mut daemon.connect()).unwrap());
    let [applied, lost] = [0, 1].map(|fate| callers.iter().map(|caller| caller.applied[fate]).sum::<usize>());
    println!("unanswered when the daemon was killed: {applied} applied, {lost} not");
    assert!(applied > 0, "no kill came between the disk and the answer");
    heads_are_as_the_callers_believe(&daemon, &callers);
    daemon.kill();
    receipts_are_in_the_log_once(&site, &callers, before);
    for check in [&["wal", "verify"][..], &["replay"]] {
        let output = site.run(check);
        assert!(output.status.success(), "{check:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Loads a daemon until it has given so many receipts, and kills it wherever it is by then.
fn round(daemon: &Daemon, callers: &mut [Caller<'_>], receipts: u64) {
    let count = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let load = |caller| scope.spawn(|| Caller::load(caller, daemon, &count).unwrap_err());
        let loads: Vec<_> = callers.iter_mut().map(load).collect();
        // A caller that ends before the kill has found something wrong.
        while count.load(Ordering::Relaxed) < receipts && !loads.iter().any(|load| load.is_finished()) {
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
        daemon.signal("KILL");
    });
    assert!(count.load(Ordering::Relaxed) >= receipts, "a connection broke before the kill");
}

fn heads_are_as_the_callers_believe(daemon: &Daemon, callers: &[Caller<'_>]) {
    let log = wal::read(daemon);
    let (heads, _) = wal::replica(&log);
    callers.iter().for_each(|caller| assert_eq!(heads[&caller.project.name].hash(), caller.project.head.hash()));
    let mut history: BTreeMap<_, Hash> = BTreeMap::new();
    for entry in &log {
        let genesis = || swoosh::machine::head::Head::genesis(&entry.record.project).hash();
        let head = history.entry(&entry.record.project).or_insert_with(genesis);
        assert_eq!(entry.record.state_pre_hash, *head, "record {} branches off", entry.record.index);
        *head = entry.record.state_post_hash;
    }
}

/// Every receipt is rebuilt from the log to the byte, no key is there twice, and every record in the
/// log was acknowledged.
fn receipts_are_in_the_log_once(site: &Site, callers: &[Caller<'_>], before: u64) {
    let journal = Journal::open_read_only(site.journal()).unwrap();
    let stored: Vec<_> = journal.records_from(1).map(Result::unwrap).collect();
    let keys: BTreeSet<_> = stored.iter().map(|stored| (&stored.record.project, &stored.record.idem_key)).collect();
    assert_eq!(keys.len(), stored.len(), "a key is in the log twice");
    let mut acknowledged = BTreeSet::new();
    for (signed, held) in callers.iter().flat_map(|caller| &caller.held) {
        let receipt: Receipt = serde_json::from_slice(held).unwrap();
        assert_eq!(receipt.verify(&site.cluster), Ok(()));
        let found = &stored[receipt.index as usize - 1];
        assert_eq!(found.record.idem_key, signed.proposal.idem_key);
        assert_eq!(canonical_bytes(&found.receipt()), *held, "record {} gives another receipt", receipt.index);
        assert!(acknowledged.insert(receipt.index), "two receipts for record {}", receipt.index);
    }
    assert!(acknowledged.len() as u64 >= ROUNDS, "{} receipts", acknowledged.len());
    assert_eq!(stored.len() as u64, before + acknowledged.len() as u64, "the log holds records without a receipt");
}
