//! Starving: callers that wait, abandon their reads, or send junk take no service from others.

use serde_json::{Value, json};
use swoosh::types::fact::{FactClaim, FactKind};
use swoosh::types::hlc::Hlc;
use swoosh::types::keys::SecretKey;
use swoosh::types::names::Transition;

use super::{address, assert_turned_away, from, site, try_from, wait_until};
use crate::migration::{Move, Script, body};
use crate::support::daemon::{Daemon, Site, now_ms, platform};
use crate::support::driver::{Project, bytes};
use crate::support::http::{Answer, Wire, request};
use crate::support::strict;
use crate::support::whoosh::Fault;
use crate::support::world::Ask;

fn get(target: &str) -> Vec<u8> {
    request("GET", target, &[], b"")
}

fn post(target: &str, body: &[u8]) -> Vec<u8> {
    let length = format!("content-length: {}", body.len());
    request("POST", target, &["content-type: application/json", &length], body)
}

/// Polls for a record that does not come, until the node lets no more of this peer wait.
#[track_caller]
fn fill_with_polls(daemon: &Daemon, n: u8, most: usize) -> Vec<Wire> {
    let mut polls = Vec::new();
    wait_until("the peer has its share of the listeners", || {
        let mut wire = from(address(n), daemon);
        wire.send(&get("/wal/feed?from=1000&wait_ms=10000")).unwrap();
        polls.push(wire);
        refused(daemon, n)
    });
    assert!(polls.len() >= most.min(2), "{} polls wait", polls.len());
    polls
}

/// Whether a stream of events of this peer is refused.
fn refused(daemon: &Daemon, n: u8) -> bool {
    let answer = from(address(n), daemon).exchange(&get("/events")).unwrap();
    if answer.status == 200 {
        return false;
    }
    assert_turned_away(&answer, 429, "too_many_requests");
    true
}

/// 64 polls that waited held all places of reads, and `swoosh propose` was answered 503.
#[test]
fn polls_that_wait_hold_no_place_of_a_read() {
    let site = site("limits", json!({"reads": 2, "listeners": 8}));
    let daemon = site.start();
    let mut project = Project::new(&site, "default");
    let _polls = fill_with_polls(&daemon, 2, 4);
    let mut same = from(address(2), &daemon);
    for target in ["/projects", "/transitions", "/wal", "/wal/feed?from=1000"] {
        assert_eq!(same.exchange(&get(target)).unwrap().status, 200, "{target}");
    }
    let signed = project.signed(&Ask::new(Transition::BootConfigOk));
    let receipt = same.exchange(&post("/transition", &bytes(&signed))).unwrap().receipt();
    project.advance(&signed.proposal, &receipt);
    assert_eq!(from(address(3), &daemon).exchange(&get("/state")).unwrap().status, 200);
}

/// One address took all 256 places of event streams.
#[test]
fn one_address_leaves_half_of_the_listeners_to_others() {
    let daemon = site("limits", json!({"listeners": 4})).start();
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut wire = from(address(2), &daemon);
        assert_eq!(wire.exchange(&get("/events")).unwrap().status, 200);
        streams.push(wire);
    }
    assert!(refused(&daemon, 2));
    let poll = from(address(2), &daemon).exchange(&get("/wal/feed?from=9&wait_ms=10000")).unwrap();
    assert_turned_away(&poll, 429, "too_many_requests");
    let mut other = from(address(3), &daemon);
    assert_eq!(other.exchange(&get("/events")).unwrap().status, 200);
    drop(streams);
    wait_until("places of streams that were closed are free", || !refused(&daemon, 2));
}

/// Dry runs took the place of a read before their bodies were there, and kept it while these dribbled.
#[test]
fn dry_runs_whose_bodies_are_held_back_hold_no_place_of_a_read() {
    let daemon = site("limits", json!({"reads": 2})).start();
    let headers = ["content-type: application/json", "content-length: 9", "expect: 100-continue"];
    let mut held = Vec::new();
    for n in [2, 2, 3, 3] {
        let mut wire = from(address(n), &daemon);
        assert_eq!(wire.exchange(&request("POST", "/transition?dry_run=true", &headers, b"")).unwrap().status, 100);
        held.push(wire);
    }
    assert_eq!(from(address(2), &daemon).exchange(&get("/projects")).unwrap().status, 200);
    assert_eq!(from(address(4), &daemon).exchange(&get("/projects")).unwrap().status, 200);
}

/// Sends junk until it is answered 429: its peer is suspect then.
#[track_caller]
fn waste(wire: &mut Wire, junk: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    loop {
        assert!(answers.len() < 1_000, "the peer never becomes suspect");
        let answer = wire.exchange(junk).unwrap();
        if answer.status == 429 {
            assert_turned_away(&answer, 429, "too_many_requests");
            return answers;
        }
        answers.push(answer);
    }
}

/// A peer that wasted too much stays suspect for half a minute.
fn strict_site() -> Site {
    site("limits", json!({"failures": 100, "failures_forgiven_per_second": 1}))
}

/// Junk so large that few of it are enough.
fn large(target: &str, junk: &[u8]) -> Vec<u8> {
    post(target, &[junk, &vec![b' '; 200 << 10]].concat())
}

fn capacity(site: &Site, key: &SecretKey) -> Vec<u8> {
    let at = |ms: u64| Hlc::new(ms, 0).unwrap();
    let claim = FactClaim {
        kind: FactKind::Capacity,
        project: Some("pushed".parse().unwrap()),
        source: key.public(),
        observed_at: at(now_ms()),
        valid_until: at(now_ms() + 3_600_000),
        body: strict(&json!({"resources": {"vcpu": 4, "memory_mib": 1_024}})),
    };
    serde_json::to_vec(&claim.sign(&site.cluster, key)).unwrap()
}

/// A proposal of the operator under a signature of another proposal.
fn forged(project: &Project<'_>) -> Vec<u8> {
    let signed = |_: ()| project.signed(&Ask::new(Transition::BootConfigOk));
    let mut document: Value = serde_json::from_slice(&bytes(&signed(()))).unwrap();
    document["signature"] = json!(signed(()).signature);
    serde_json::to_vec(&document).unwrap()
}

/// One caller's junk shut out all others behind its address, known signers and reads too, even of the signer that the junk named.
#[test]
fn known_signers_and_reads_pass_behind_an_address_that_sends_junk() {
    let site = strict_site();
    let daemon = site.start();
    let mut project = Project::new(&site, "default");
    let mut junk = from(address(2), &daemon);
    waste(&mut junk, &large("/transition", &forged(&project)));
    let mut honest = from(address(2), &daemon);
    for target in ["/projects", "/transitions", "/facts"] {
        assert_eq!(honest.exchange(&get(target)).unwrap().status, 200, "{target}");
    }
    for transition in [Transition::BootConfigOk, Transition::BootLicensed] {
        waste(&mut junk, &large("/transition", &forged(&project)));
        let signed = project.signed(&Ask::new(transition));
        let tried = honest.exchange(&post("/transition?dry_run=true", &bytes(&signed))).unwrap();
        assert_eq!((tried.status, &tried.json()["accepted"]), (200, &json!(true)), "{}", tried.text());
        let receipt = honest.exchange(&post("/transition", &bytes(&signed))).unwrap().receipt();
        project.advance(&signed.proposal, &receipt);
    }
    waste(&mut junk, &large("/facts", b"{}"));
    let pushed = honest.exchange(&post("/facts", &capacity(&site, &platform()))).unwrap();
    assert_eq!((pushed.status, &pushed.json()["held"]), (200, &json!(true)), "{}", pushed.text());
}

/// A good signature of a made-up key passes no further behind a suspect address.
#[test]
fn made_up_keys_are_turned_away_behind_an_address_that_sends_junk() {
    let site = strict_site();
    let daemon = site.start();
    let project = Project::new(&site, "default");
    let mut wire = from(address(2), &daemon);
    waste(&mut wire, &large("/transition", b"{"));
    let stranger = SecretKey::from_bytes(&[101; 32]);
    let mut proposal = project.proposal(&Ask::new(Transition::BootConfigOk));
    proposal.signer = stranger.public();
    let body = bytes(&proposal.sign(&site.cluster, &stranger));
    assert_turned_away(&wire.exchange(&post("/transition", &body)).unwrap(), 429, "too_many_requests");
    assert_eq!(from(address(3), &daemon).exchange(&post("/transition", &body)).unwrap().code(), "identity_unknown");
    assert_eq!(daemon.last_index(), 0);
}

/// Junk on `POST /facts` cost its sender nothing.
#[test]
fn junk_that_is_pushed_as_a_fact_is_charged() {
    let site = strict_site();
    let daemon = site.start();
    let stranger = capacity(&site, &SecretKey::from_bytes(&[102; 32]));
    for (n, junk, code) in
        [(2, &b"{"[..], "bad_json"), (3, b"{}", "schema"), (4, b"[1.5]", "bad_number"), (5, &stranger, "fact_source")]
    {
        let answers = waste(&mut from(address(n), &daemon), &large("/facts", junk));
        assert!(!answers.is_empty() && answers.iter().all(|answer| answer.code() == code), "{code}");
    }
    // A source is heard all the same, and another peer is not suspect.
    let good = post("/facts", &capacity(&site, &platform()));
    assert_eq!(from(address(2), &daemon).exchange(&good).unwrap().status, 200);
    assert_eq!(from(address(6), &daemon).exchange(&post("/facts", b"{")).unwrap().code(), "bad_json");
}

/// Requests that waited for WHOOSH held the places of the node's own reads, and one address took all that may be on their way.
#[test]
fn clients_that_wait_for_whoosh_hold_no_place_of_a_read_and_half_of_their_own() {
    let moved = Move::with(|settings| {
        settings["limits"] = json!({"reads": 2});
        settings["migration"]["in_flight"] = json!(4);
    });
    let running = moved.start();
    running.begin("p");
    moved.whoosh.set_fault(Fault::Silent);
    let ask = |n: u8, target: &str| {
        let mut wire = try_from(address(n), running.clients).unwrap();
        wire.send(&get(target)).unwrap();
        wire
    };
    let _waiting = [ask(2, "/state?project=p"), ask(2, "/health")];
    wait_until("the peer has its share of what may be on its way", || {
        let mut wire = ask(2, "/health");
        wire.patience(std::time::Duration::from_millis(500)).unwrap();
        wire.answer().is_ok_and(|answer| answer.code() == "too_many_requests")
    });
    moved.whoosh.set_fault(Fault::None);
    assert_eq!(ask(3, "/state?project=p").answer().unwrap().status, 200);
    assert_eq!(from(address(2), &running.daemon).exchange(&get("/projects")).unwrap().status, 200);
}

/// In mode regions the answer freed the place of its address while the node went on to notify WHOOSH, so one address took all places.
#[test]
fn a_transition_that_whoosh_is_notified_of_keeps_the_place_of_its_address() {
    let moved = Move::with(|settings| settings["migration"]["in_flight"] = json!(2));
    let running = moved.start();
    running.begin("p");
    running.switch(&["regions", "--region", "ingestion"]);
    let script = Script::lifecycle(&moved.site, "p");
    let (transition, inputs) = &script.steps[0];
    let ask = |n: u8, bytes: &[u8]| {
        let mut wire = try_from(address(n), running.clients).unwrap();
        wire.send(bytes).unwrap();
        wire.answer().unwrap()
    };
    moved.whoosh.set_fault(Fault::Silent);
    let decided = ask(2, &post("/transition", &body("p", *transition, inputs)));
    assert_eq!(decided.status, 202, "{}", decided.text());
    assert_eq!(ask(2, &get("/health")).code(), "too_many_requests");
    moved.whoosh.set_fault(Fault::None);
    assert_eq!(ask(3, &get("/health")).status, 200);
    wait_until("its place is free", || ask(2, &get("/health")).status == 200);
}
