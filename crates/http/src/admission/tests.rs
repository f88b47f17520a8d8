use super::*;
use crate::tests::world::NoTraffic;
use swoosh_types::keys::SecretKey;

fn caller(n: u8) -> Caller {
    Caller { peer: Peer::of(std::net::Ipv4Addr::new(192, 0, 2, n).into()), may_read: true }
}

fn gate(limits: Limits) -> Arc<Gate> {
    Gate::new(limits, Arc::new(NoTraffic))
}

fn code(gate: &Gate, n: u8) -> Option<Code> {
    gate.admit(caller(n)).err().map(|fault| fault.code())
}

fn peer(n: u8) -> Peer {
    caller(n).peer
}

#[test]
fn requests_are_bounded_for_each_peer_and_in_all() {
    let gate = gate(Limits { requests: 3, requests_per_peer: 2, ..Limits::default() });
    let held = (gate.admit(caller(1)), gate.admit(caller(1)));
    assert!(held.0.is_ok() && held.1.is_ok());
    assert_eq!(code(&gate, 1), Some(Code::TooManyRequests));
    let other = gate.admit(caller(2));
    assert!(other.is_ok());
    assert_eq!(code(&gate, 2), Some(Code::Overloaded));
    drop(held);
    assert_eq!(code(&gate, 1), None);
}

#[tokio::test]
async fn one_peer_gets_half_of_the_reads() {
    let gate = gate(Limits { reads: 2, ..Limits::default() });
    let first = gate.read_place(peer(1)).await;
    let again = gate.read_place(peer(1)).await.err().map(|fault| fault.code());
    assert_eq!(again, Some(Code::TooManyRequests), "its own share");
    let other = gate.read_place(peer(2)).await;
    assert!(other.is_ok());
    assert_eq!(gate.read_place(peer(3)).await.err().map(|fault| fault.code()), Some(Code::Overloaded));
    drop((first, other));
    assert!(gate.read_place(peer(1)).await.is_ok());
}

#[test]
fn one_peer_gets_half_of_the_listeners() {
    let gate = gate(Limits { listeners: 3, ..Limits::default() });
    let held = (gate.listen(peer(1)), gate.listen(peer(1)));
    assert_eq!(gate.listen(peer(1)).err().map(|fault| fault.code()), Some(Code::TooManyRequests));
    let other = gate.listen(peer(2));
    assert!(other.is_ok());
    assert_eq!(gate.listen(peer(2)).err().map(|fault| fault.code()), Some(Code::Overloaded));
    drop(held);
    assert!(gate.listen(peer(1)).is_ok());
}

#[test]
fn a_peer_whose_proposals_do_not_verify_is_suspect_and_no_other() {
    let gate = gate(Limits { failures: 10_000, failures_forgiven_per_second: 1, ..Limits::default() });
    gate.charge(peer(1), 100);
    assert!(!gate.is_suspect(peer(1)));
    (0..20_000).for_each(|_| gate.charge(peer(1), 100));
    assert!(gate.is_suspect(peer(1)) && !gate.is_suspect(peer(2)));
    assert_eq!(code(&gate, 1), None, "reads go on, and writes are looked at");
}

/// A flood of bad signatures was looked at on all cores.
#[tokio::test]
async fn writes_of_a_suspect_peer_are_looked_at_one_at_a_time() {
    let gate = gate(Limits { failures: 1, ..Limits::default() });
    assert!(gate.turn(peer(1)).await.unwrap().is_none());
    (0..2).for_each(|_| gate.charge(peer(1), 256 << 10));
    let turn = gate.turn(peer(1)).await.unwrap();
    assert!(turn.is_some());
    let mut next = Box::pin(gate.turn(peer(1)));
    assert!(futures::poll!(&mut next).is_pending());
    drop(turn);
    assert!(next.await.is_ok());
}

/// Refusals of one signer shut out all others behind its address.
#[test]
fn a_signer_pays_for_its_refusals_alone_and_where_it_sends_from() {
    let gate = gate(Limits { failures: 2, failures_forgiven_per_second: 1, ..Limits::default() });
    let [hot, calm] = [1, 2].map(|n| SecretKey::from_bytes(&[n; 32]).public());
    (0..200).for_each(|_| gate.charge_refusal(peer(1), hot));
    assert!(gate.owes(peer(1), hot).is_some());
    assert_eq!((gate.owes(peer(1), calm), gate.owes(peer(2), hot)), (None, None));
    assert!(!gate.is_suspect(peer(1)));
}

#[test]
fn a_large_body_that_does_not_verify_counts_for_what_it_costs() {
    let gate = gate(Limits { failures: 33, ..Limits::default() });
    gate.charge(peer(1), 256 << 10);
    assert!(gate.is_suspect(peer(1)));
}

#[test]
fn failed_handshakes_make_no_proposal_suspect() {
    let gate = gate(Limits { failures: 1, ..Limits::default() });
    (0..100).for_each(|_| gate.charge_handshake(peer(1)));
    assert!(!gate.is_suspect(peer(1)));
}

/// Answers that two addresses did not take held all places of reads.
#[tokio::test]
async fn answers_that_are_not_taken_hold_memory_of_their_own() {
    let gate = gate(Limits { reads: 2, ..Limits::default() });
    let asker = |n: u8| Asker::new(caller(n), Kept(Arc::new(gate.admit(caller(n)).ok().unwrap())), Patience::default());
    let (slow, other) = (asker(1), asker(2));
    gate.reserve_answer(&slow, ANSWER_BYTES / 2).await.unwrap();
    let more = asker(1);
    let refused = gate.reserve_answer(&more, SMALL_ANSWER_BYTES + 1).await.unwrap_err();
    assert_eq!(refused.code(), Code::TooManyRequests);
    assert!(gate.reserve_answer(&more, SMALL_ANSWER_BYTES).await.is_ok());
    assert!(gate.reserve_answer(&other, ANSWER_BYTES / 2).await.is_ok());
    assert!(gate.read_place(peer(1)).await.is_ok());
    drop(slow);
    assert!(gate.reserve_answer(&more, ANSWER_BYTES / 2).await.is_ok());
}

#[test]
fn refusals_are_held_back_by_how_much_a_peer_has_under_way() {
    assert_eq!([0, 1, 8, 9, 64, 1_000_000].map(hold_ms), [0, 0, 0, 2, 112, 1_000]);
}

/// 255 idle streams of events delayed every refusal of their peer by half a second.
#[test]
fn listeners_delay_no_refusal() {
    let gate = gate(Limits { listeners: 512, ..Limits::default() });
    let (mut held, mut places) = (Vec::new(), Vec::new());
    for number in 0..300 {
        held.push(gate.admit(caller(1)).ok().unwrap());
        if number < 255 {
            places.push(gate.listen(peer(1)).ok().unwrap());
        }
    }
    assert_eq!((gate.hold_ms(peer(1)), gate.hold_ms(peer(2))), (hold_ms(45), 0));
    held.truncate(255);
    assert_eq!(gate.hold_ms(peer(1)), 0);
    drop((held, places));
    assert_eq!((gate.listeners.amount(peer(1)), gate.by_peer.holders()), (0, 0));
}

/// Health and metrics had no bound at all, and their answers wait in memory for callers that do not take them.
#[test]
fn health_and_metrics_have_a_bound_of_their_own() {
    let gate = gate(Limits { requests: 1, requests_per_peer: 1, ..Limits::default() });
    let _busy = gate.admit(caller(1)).ok().unwrap();
    let held: Vec<_> = (0..OPEN_PER_PEER).map(|_| gate.admit_open(caller(1)).ok().unwrap()).collect();
    assert_eq!(gate.admit_open(caller(1)).err().map(|fault| fault.code()), Some(Code::TooManyRequests));
    assert!(gate.admit_open(caller(2)).is_ok());
    drop(held);
    assert!(gate.admit_open(caller(1)).is_ok());
}
