//! Keys and receipts: however often and whenever a proposal is sent, it is applied once, and every answer
//! is the first receipt, byte for byte.

use std::sync::Barrier;

use serde_json::json;
use swoosh::types::council::rotation_proof;
use swoosh::types::hash::Hash;
use swoosh::types::names::{Region, Transition};
use swoosh::types::receipt::{Receipt, ReceiptError};

use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::{Project, bytes};
use crate::support::http::{Answer, proposal};
use crate::support::wal;
use crate::support::world::Ask;

/// Commits wait for this long, so that what is posted at once is in flight together.
fn gathering(interval_ms: u64) -> Site {
    Site::with(always_open(), |settings| {
        settings["journal"] = json!({"durability": "interval", "interval_ms": interval_ms});
    })
}

/// Posts all at the same moment; answers in the order of the bodies.
fn at_once(daemon: &Daemon, bodies: &[Vec<u8>]) -> Vec<Answer> {
    let barrier = Barrier::new(bodies.len());
    std::thread::scope(|scope| {
        let post = |body: &'_ Vec<u8>| {
            let (barrier, request) = (&barrier, proposal(body, &[]));
            scope.spawn(move || {
                let mut wire = daemon.connect();
                barrier.wait();
                wire.exchange(&request).unwrap()
            })
        };
        let posted: Vec<_> = bodies.iter().map(post).collect();
        posted.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

#[test]
fn a_repeat_gets_the_first_receipt_whatever_has_happened_since() {
    let site = Site::new();
    let mut daemon = site.start();
    let mut project = Project::new(&site, "repeats");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let signed = project.signed(&Ask::new(Transition::ControlPause));
    let first = daemon.post(&bytes(&signed));
    assert!(!replayed(&first));
    project.advance(&signed.proposal, &first.receipt());
    project.accept(&daemon, Transition::ControlResume);
    let last_index = daemon.last_index();
    for restart in [false, true] {
        if restart {
            daemon.kill();
            daemon = site.start();
        }
        let mut refreshed = project.proposal(&Ask::new(Transition::ControlPause));
        refreshed.idem_key = signed.proposal.idem_key.clone();
        assert_ne!(
            (refreshed.current_state_hash, refreshed.hlc),
            (signed.proposal.current_state_hash, signed.proposal.hlc)
        );
        for body in [bytes(&signed), bytes(&project.sign(refreshed))] {
            let again = daemon.post(&body);
            assert_eq!((again.status, &again.body), (202, &first.body));
            assert!(replayed(&again));
        }
        assert_eq!(daemon.last_index(), last_index);
        let metrics = daemon.get("/metrics").text();
        assert!(metrics.contains("swoosh_retry_count{transition=\"Control_Pause\"} 2"), "{metrics}");
    }
    project.accept(&daemon, Transition::ControlPause);
}

/// Such a proposal was answered `identity_revoked`, `identity_unknown` or `role_not_allowed` when it was sent again.
#[test]
fn a_repeat_gets_its_receipt_though_it_retired_its_own_signer() {
    let site = Site::new();
    let mut daemon = site.start();
    let (own, fresh) = (site.hands.get("stranger").key(), site.hands.get("fresh"));
    let mut sent = Vec::new();
    for (name, transition) in [
        ("revoked", Transition::BootIdentityRevoked),
        ("rotated", Transition::BootIdentityRotated),
        ("demoted", Transition::BootIdentityGranted),
    ] {
        let mut project = Project::new(&site, name);
        project.drive(&daemon, Region::Boot, "LICENSED");
        let grant = json!({"key": own, "identity": {"name": "own", "roles": ["operator"]}});
        project.propose(&daemon, &Ask::new(Transition::BootIdentityGranted).with(grant)).receipt();
        let proof = rotation_proof(&site.cluster, &project.name, &own, &fresh.secret);
        let inputs = match transition {
            Transition::BootIdentityRevoked => json!({"key": own, "rationale": "I leave"}),
            Transition::BootIdentityRotated => json!({"old": own, "new": fresh.key(), "proof": proof}),
            _ => json!({"key": own, "identity": {"name": "own", "roles": ["agent"]}}),
        };
        let signed = project.signed(&Ask::new(transition).by("stranger").with(inputs));
        let first = daemon.post(&bytes(&signed));
        project.advance(&signed.proposal, &first.receipt());
        // Another proposal under the key learns nothing of it: its signer may propose nothing here.
        let other = Ask::new(Transition::ControlPause).by("stranger").under(&signed.proposal.idem_key.to_string());
        assert_ne!(project.propose(&daemon, &other).code(), "idem_key_conflict");
        sent.push((bytes(&signed), first));
    }
    for restart in [false, true] {
        if restart {
            daemon.kill();
            daemon = site.start();
        }
        for (body, first) in &sent {
            let again = daemon.post(body);
            assert_eq!((again.status, &again.body), (202, &first.body), "{}", again.text());
            assert!(replayed(&again));
        }
    }
}

#[test]
fn repeats_in_flight_wait_for_the_one_receipt_and_conflicts_do_not() {
    let site = gathering(300);
    let daemon = site.start();
    let mut project = Project::new(&site, "flight");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let signed = project.signed(&Ask::new(Transition::ControlPause));
    let key = signed.proposal.idem_key.to_string();
    let answers = at_once(&daemon, &vec![bytes(&signed); 8]);
    assert!(answers.iter().all(|answer| answer.status == 202 && answer.body == answers[0].body));
    assert_eq!(answers.iter().filter(|answer| !replayed(answer)).count(), 1);
    project.advance(&signed.proposal, &answers[0].receipt());
    let entries = wal::read(&daemon);
    assert_eq!(entries.iter().filter(|entry| entry.record.idem_key.to_string() == key).count(), 1);

    let one = project.signed(&Ask::new(Transition::ControlResume));
    let other = Ask::new(Transition::ControlResume).under(&one.proposal.idem_key.to_string());
    let other = project.signed(&other.with(json!({"rationale": "other words"})));
    let answers = at_once(&daemon, &[bytes(&one), bytes(&other)]);
    let mut codes: Vec<_> = answers.iter().map(Answer::code).collect();
    codes.sort();
    assert_eq!(codes, ["", "idem_key_conflict"]);
}

/// The planted bug `key-conflict-unseen` passed every test: conflicts were asked of keys in flight alone.
#[test]
fn a_key_that_is_bound_on_disk_is_refused_to_another_proposal() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "bound");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let first = project.proposal(&Ask::new(Transition::ControlPause));
    let key = first.idem_key.to_string();
    project.propose(&daemon, &Ask::new(Transition::ControlPause).under(&key)).receipt();
    let other = Ask::new(Transition::ControlResume).under(&key).with(json!({"rationale": "other words"}));
    assert_eq!(project.propose(&daemon, &other).code(), "idem_key_conflict");
}

#[test]
fn a_rejection_binds_no_key_and_an_outcome_has_no_horizon() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "keys");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let key = project.proposal(&Ask::new(Transition::ControlPause)).idem_key.to_string();
    let mut stale = Ask::new(Transition::ControlPause).under(&key);
    stale.head = Some(Hash::of(b"elsewhere"));
    assert_eq!(project.propose(&daemon, &stale).code(), "stale_head");
    let other_words = Ask::new(Transition::ControlPause).under(&key).with(json!({"rationale": "other words"}));
    project.propose(&daemon, &other_words).receipt();
    project.accept(&daemon, Transition::ControlResume);
    let late = Ask::new(Transition::IngestionSourcesResolved).under("goal-1:1:ingestion:key-of-long-ago");
    project.propose(&daemon, &late).receipt();
}

/// Receipts of batches with several records, and the daemon's log.
fn batches(site: &Site, daemon: &Daemon) -> Vec<Receipt> {
    let mut projects: Vec<_> = (0..8).map(|n| Project::new(site, &format!("batch-{n}"))).collect();
    let mut receipts = Vec::new();
    for transition in [Transition::BootConfigOk, Transition::BootLicensed, Transition::ControlPause] {
        let signed: Vec<_> = projects.iter().map(|project| project.signed(&Ask::new(transition))).collect();
        let answers = at_once(daemon, &signed.iter().map(bytes).collect::<Vec<_>>());
        for ((project, signed), answer) in projects.iter_mut().zip(&signed).zip(&answers) {
            project.advance(&signed.proposal, &answer.receipt());
            receipts.push(answer.receipt());
        }
    }
    receipts
}

#[test]
fn every_receipt_proves_itself_and_no_changed_one_does() {
    let site = gathering(100);
    let daemon = site.start();
    let receipts = batches(&site, &daemon);
    let log = wal::read(&daemon);
    assert!(receipts.iter().any(|receipt| receipt.path.len() > 1), "no batch had several records");
    for receipt in &receipts {
        assert_eq!(receipt.verify(&site.cluster), Ok(()));
        assert_eq!(receipt.seal.node, site.hands.get("node").key());
        let entry = &log[receipt.index as usize - 1];
        assert_eq!((entry.chain, &entry.record.idem_key), (receipt.chain, &receipt.idem_key));
        assert_eq!(entry.record.state_post_hash, receipt.state_post_hash);
        changed_receipts_prove_nothing(&site, receipt);
    }
}

fn changed_receipts_prove_nothing(site: &Site, receipt: &Receipt) {
    let verdict = |change: &dyn Fn(&mut Receipt)| {
        let mut changed = receipt.clone();
        change(&mut changed);
        changed.verify(&site.cluster)
    };
    assert_eq!(receipt.verify(&"elsewhere".parse().unwrap()), Err(ReceiptError::Signature));
    assert_eq!(verdict(&|receipt| receipt.chain = Hash::of(b"other")), Err(ReceiptError::Path));
    assert_eq!(verdict(&|receipt| receipt.path.push(Hash::of(b"other"))), Err(ReceiptError::Path));
    assert_eq!(verdict(&|receipt| receipt.index = receipt.seal.batch.last + 1), Err(ReceiptError::OutsideBatch));
    assert_eq!(verdict(&|receipt| receipt.seal.batch.root = Hash::of(b"other")), Err(ReceiptError::Path));
    assert_eq!(verdict(&|receipt| receipt.seal.node = site.hands.get("operator").key()), Err(ReceiptError::Signature));
    if !receipt.path.is_empty() {
        assert_eq!(verdict(&|receipt| receipt.path.truncate(receipt.path.len() - 1)), Err(ReceiptError::Path));
        assert_eq!(verdict(&|receipt| receipt.path[0] = Hash::of(b"other")), Err(ReceiptError::Path));
    }
}
