use super::*;
use crate::ingress::tests::world::Nobody;

fn caller(n: u8) -> Caller {
    Caller { peer: Peer::of(std::net::Ipv4Addr::new(192, 0, 2, n).into()), may_read: true }
}

fn gate(limits: Limits) -> Arc<Gate> {
    Gate::new(limits, Arc::new(Nobody))
}

async fn code(gate: &Gate, n: u8) -> Option<Code> {
    gate.admit(caller(n), false).await.err().map(|fault| fault.code())
}

#[tokio::test]
async fn requests_are_bounded_for_each_peer_and_in_all() {
    let gate = gate(Limits { requests: 3, requests_per_peer: 2, ..Limits::default() });
    let held = (gate.admit(caller(1), false).await, gate.admit(caller(1), false).await);
    assert!(held.0.is_ok() && held.1.is_ok());
    assert_eq!(code(&gate, 1).await, Some(Code::TooManyRequests));
    let other = gate.admit(caller(2), false).await;
    assert!(other.is_ok());
    assert_eq!(code(&gate, 2).await, Some(Code::Overloaded));
    drop(held);
    assert_eq!(code(&gate, 1).await, None);
}

#[tokio::test]
async fn one_peer_gets_half_of_the_reads() {
    let gate = gate(Limits { reads: 2, ..Limits::default() });
    let first = gate.admit(caller(1), true).await;
    let again = gate.admit(caller(1), true).await.err().map(|fault| fault.code());
    assert_eq!(again, Some(Code::Overloaded));
    assert!(gate.admit(caller(2), true).await.is_ok());
    drop(first);
    assert!(gate.admit(caller(1), true).await.is_ok());
}

#[tokio::test]
async fn a_peer_whose_proposals_do_not_verify_is_shut_out_and_no_other() {
    let gate = gate(Limits { failures: 10_000, failures_forgiven_per_second: 1, ..Limits::default() });
    gate.charge(caller(1).peer, 100);
    assert_eq!(code(&gate, 1).await, None);
    (0..20_000).for_each(|_| gate.charge(caller(1).peer, 100));
    assert_eq!(code(&gate, 1).await, Some(Code::TooManyRequests));
    assert!(gate.is_shut_out(caller(1).peer));
    assert_eq!(code(&gate, 2).await, None);
}

#[tokio::test]
async fn a_large_body_that_does_not_verify_counts_for_what_it_costs() {
    let gate = gate(Limits { failures: 33, ..Limits::default() });
    gate.charge(caller(1).peer, 256 << 10);
    assert!(gate.is_shut_out(caller(1).peer));
}

#[test]
fn refusals_are_held_back_by_how_much_a_peer_has_under_way() {
    assert_eq!([0, 1, 8, 9, 64, 1_000_000].map(hold_ms), [0, 0, 0, 2, 112, 1_000]);
}

/// 255 idle streams of events delayed every refusal of their peer by half a second.
#[tokio::test]
async fn streams_of_events_delay_no_refusal() {
    let gate = gate(Limits::default());
    let mut held = Vec::new();
    for number in 0..300 {
        let mut admitted = gate.admit(caller(1), false).await.ok().unwrap();
        if number < 255 {
            gate.listens(&mut admitted, caller(1).peer);
        }
        held.push(admitted);
    }
    assert_eq!((gate.hold_ms(caller(1).peer), gate.hold_ms(caller(2).peer)), (hold_ms(45), 0));
    held.truncate(255);
    assert_eq!(gate.hold_ms(caller(1).peer), 0);
    drop(held);
    assert_eq!((gate.listening.holders(), gate.by_peer.holders()), (0, 0));
}
