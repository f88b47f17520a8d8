//! More connections than there is room for.

use std::process::Command;

use serde_json::json;

use super::{
    address, assert_turned_away, busy, from, health, is_served, metric, site, try_from, turned_away, wait_until,
};

#[test]
fn idle_connections_give_way_to_clients_with_a_request() {
    let daemon = site("limits", json!({"connections": 4})).start();
    let mut idle: Vec<_> = (0..4).map(|_| from(address(2), &daemon)).collect();
    wait_until("all are open", || metric(&daemon, "swoosh_connections") >= 4);
    for _ in 0..20 {
        assert!(is_served(&mut from(address(3), &daemon)));
    }
    assert!(turned_away(&daemon, "gave_way") >= 1);
    assert_eq!(turned_away(&daemon, "node_full"), 0);
    idle[0].wait_for_end();
}

#[test]
fn connections_with_a_request_are_kept_and_one_more_is_asked_to_retry() {
    let daemon = site("limits", json!({"connections": 2})).start();
    let mut held = [busy(from(address(2), &daemon)), busy(from(address(3), &daemon))];
    let mut refused = from(address(4), &daemon);
    assert_turned_away(&refused.exchange(&health()).unwrap(), 503, "overloaded");
    refused.wait_for_end();
    held[0].send(b"[]       ").unwrap();
    assert_eq!(held[0].answer().unwrap().code(), "schema");
    // The first one is idle now.
    assert!(is_served(&mut from(address(4), &daemon)));
    assert_eq!(turned_away(&daemon, "node_full"), 1);
}

#[test]
fn one_peer_takes_its_share_and_no_more() {
    let daemon = site("limits", json!({"connections_per_peer": 2})).start();
    let mut held = [from(address(2), &daemon), from(address(2), &daemon)];
    assert!(held.iter_mut().all(is_served));
    let mut refused = from(address(2), &daemon);
    let answer = refused.exchange(&health()).unwrap();
    assert_turned_away(&answer, 503, "overloaded");
    assert!(answer.text().contains("2 connections of 127.0.0.2 are open already"), "{}", answer.text());
    assert!(is_served(&mut from(address(3), &daemon)));
    assert_eq!(turned_away(&daemon, "peer_full"), 1);
    let [first, _kept] = held;
    drop(first);
    wait_until("the place is free again", || {
        try_from(address(2), daemon.address)
            .is_ok_and(|mut wire| wire.exchange(&health()).is_ok_and(|a| a.status == 200))
    });
}

#[test]
fn a_node_without_descriptors_closes_what_is_idle_and_goes_on() {
    let daemon = site("limits", json!({})).start();
    let mut idle: Vec<_> = (0..8).map(|_| from(address(2), &daemon)).collect();
    assert!(idle.iter_mut().all(is_served));
    let open = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    let limited =
        Command::new("prlimit").arg(format!("--pid={}", daemon.pid())).arg(format!("--nofile={open}")).status();
    assert!(limited.unwrap().success());
    for _ in 0..20 {
        assert!(is_served(&mut from(address(3), &daemon)));
    }
    let kept: Vec<_> = (0..8).map(|n| from(address(10 + n), &daemon)).collect();
    assert!(is_served(&mut from(address(3), &daemon)));
    assert!(turned_away(&daemon, "no_descriptor") >= 1);
    let complaints = daemon.log().iter().filter(|line| line.contains("raise the open-files limit")).count();
    assert!((1..=20).contains(&complaints), "{complaints} lines");
    drop(kept);
}
