//! Callers that hang up while they are answered.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures::poll;
use serde_json::json;
use tower::ServiceExt;

use super::world::{World, cluster, fact};
use crate::{Caller, Limits};
use swoosh_types::fact::FactKind;
use swoosh_types::keys::SecretKey;

fn world() -> World {
    World::with(Limits { failures: 4, failures_forgiven_per_second: 1, ..Limits::default() })
}

fn post(target: &str, body: Vec<u8>) -> Request<Body> {
    Request::post(target).header("content-type", "application/json").body(body.into()).unwrap()
}

/// A proposal under a good signature of a made-up key.
fn made_up(world: &World) -> Vec<u8> {
    let stranger = SecretKey::from_bytes(&[101; 32]);
    let mut proposal = world.begin().proposal;
    proposal.signer = stranger.public();
    serde_json::to_vec(&proposal.sign(&cluster(), &stranger)).unwrap()
}

/// Sends a request again and again, and hangs up each time while the node works for it, until its peer is suspect.
async fn waste(world: &World, target: &str, junk: &[u8]) {
    for _ in 0..5_000 {
        let mut asked = Box::pin(world.router.clone().oneshot(post(target, junk.to_vec())));
        let _ = poll!(&mut asked);
        tokio::time::sleep(Duration::from_millis(2)).await;
        drop(asked);
        if world.state.gate.is_suspect(Caller::default().peer) {
            return;
        }
    }
    panic!("it costs nothing");
}

/// A caller that hung up was never charged, because the server drops the handler.
#[tokio::test]
async fn a_made_up_key_is_charged_although_its_caller_hangs_up() {
    for target in ["/transition", "/transition?dry_run=true"] {
        let world = world();
        let junk = made_up(&world);
        waste(&world, target, &junk).await;
    }
}

#[tokio::test]
async fn a_fact_of_no_source_is_charged_although_its_caller_hangs_up() {
    let world = world();
    let pushed = fact(&SecretKey::from_bytes(&[9; 32]), FactKind::Capacity, &json!({"resources": {}}));
    waste(&world, "/facts", &serde_json::to_vec(&pushed).unwrap()).await;
}

/// The place was free while the dry run waited in the queue still.
#[tokio::test]
async fn a_dry_run_keeps_its_place_until_it_is_judged_although_its_caller_hangs_up() {
    let world = world();
    let all = world.state.gate.free_trials();
    let body = serde_json::to_vec(&world.begin()).unwrap();
    let mut asked = Box::pin(world.router.clone().oneshot(post("/transition?dry_run=true", body)));
    // The runtime has one thread, so nothing that the request began goes on in between.
    while world.state.gate.free_trials() == all {
        assert!(poll!(&mut asked).is_pending());
    }
    drop(asked);
    assert_eq!(world.state.gate.free_trials(), all - 1);
    while world.state.gate.free_trials() < all {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Made-up keys that named projects out of memory took the reads of all others behind their address.
#[tokio::test]
async fn the_look_up_of_a_made_up_key_takes_no_place_of_a_read() {
    let world = world();
    let peer = Caller::default().peer;
    (0..8).for_each(|_| world.state.gate.charge(peer, 0));
    assert!(world.state.gate.is_suspect(peer));
    let reads = world.state.gate.free_reads();
    let mut asked = Box::pin(world.router.clone().oneshot(post("/transition", made_up(&world))));
    for _ in 0..20 {
        let _ = poll!(&mut asked);
        assert_eq!(world.state.gate.free_reads(), reads);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
