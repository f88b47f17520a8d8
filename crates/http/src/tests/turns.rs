//! Callers of one project that wait in line when their head is stale.

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures::poll;

use super::world::{Answered, World};
use crate::{Caller, Limits};
use swoosh_types::hash::Hash;

/// A pause on a head, as a caller that waits posts it.
fn post(world: &World, head: Hash, step: u64, prefer: &str) -> Request<Body> {
    let body = serde_json::to_vec(&world.pause(head, step)).unwrap();
    let request = Request::post("/transition").header("content-type", "application/json").header("prefer", prefer);
    request.body(body.into()).unwrap()
}

/// Lets a request go on until it waits in line.
async fn waits(world: &World, asked: &mut Pin<Box<impl Future<Output = Answered>>>, in_line: usize) {
    while world.state.gate.turns().amount(Caller::default().peer) < in_line {
        assert!(poll!(&mut *asked).is_pending());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn called(answered: &Answered) -> Option<Hash> {
    assert_eq!(answered.problem(), (400, "stale_head".into()));
    let problem = answered.json();
    let is_called = problem["retry_after_ms"] == 0;
    assert_eq!(answered.header("preference-applied"), is_called.then_some("wait"));
    is_called.then(|| problem["head"].as_str().unwrap().parse().unwrap())
}

/// Of 64 callers of one project, some gave up after ten attempts, because others were faster each time.
#[tokio::test]
async fn callers_with_a_stale_head_get_their_turn_one_after_the_other() {
    let (world, head) = World::begun().await;
    let first = world.send(post(&world, Hash::ZERO, 1, "wait=9")).await;
    assert_eq!(called(&first), Some(head), "nothing is before it");
    let mut second = Box::pin(world.send(post(&world, Hash::ZERO, 2, "wait=9")));
    waits(&world, &mut second, 1).await;
    let mut third = Box::pin(world.send(post(&world, Hash::ZERO, 3, "wait=9")));
    waits(&world, &mut third, 2).await;
    let accepted = world.send(post(&world, head, 1, "wait=9")).await;
    assert_eq!(accepted.status, 202);
    let moved = called(&second.await).unwrap();
    assert_eq!(accepted.json()["state_post_hash"], moved.to_string());
    assert!(poll!(&mut third).is_pending(), "the second has the turn");
    // A guard refuses it, so that its turn is over: the project is paused.
    assert_eq!(world.send(post(&world, moved, 2, "wait=9")).await.status, 400);
    assert_eq!(called(&third.await), Some(moved));
}

#[tokio::test]
async fn a_caller_that_does_not_prefer_to_wait_is_refused_at_once() {
    let (world, head) = World::begun().await;
    assert_eq!(called(&world.send(post(&world, Hash::ZERO, 1, "wait=9")).await), Some(head));
    // The called one has the turn.
    for (step, prefer) in [(2, "respond-async"), (3, "wait=0"), (4, "wait=soon")] {
        assert_eq!(called(&world.send(post(&world, Hash::ZERO, step, prefer)).await), None, "{prefer}");
    }
    assert_eq!(world.post(&world.pause(head, 5)).await.status, 202, "a turn is no lock");
}

#[tokio::test]
async fn a_caller_in_line_is_answered_when_its_time_is_over_and_when_the_node_stops() {
    let (world, _) = World::begun().await;
    let began = world.send(post(&world, Hash::ZERO, 1, "wait=9")).await;
    assert!(called(&began).is_some());
    let mut waiting = Box::pin(world.send(post(&world, Hash::ZERO, 2, "wait=10")));
    waits(&world, &mut waiting, 1).await;
    world.handle.drain();
    assert_eq!(waiting.await.problem(), (503, "draining".into()), "it was not judged before");
}

/// An accepted caller came back with the new head and was faster than the called one, again and again.
#[tokio::test]
async fn a_newcomer_that_prefers_to_wait_is_judged_after_those_in_line() {
    let (world, head) = World::begun().await;
    assert_eq!(called(&world.send(post(&world, Hash::ZERO, 1, "wait=9")).await), Some(head));
    let mut newcomer = Box::pin(world.send(post(&world, head, 2, "wait=9")));
    waits(&world, &mut newcomer, 1).await;
    let accepted = world.send(post(&world, head, 1, "wait=9")).await;
    assert_eq!(accepted.status, 202, "nothing moved the head meanwhile");
    let moved = called(&newcomer.await).unwrap();
    assert_eq!(accepted.json()["state_post_hash"], moved.to_string());
}

/// One address could otherwise keep all requests that the node answers at once.
#[tokio::test]
async fn callers_beyond_the_places_of_their_peer_are_refused_at_once() {
    let world = World::with(Limits { listeners: 2, ..Limits::default() });
    assert_eq!(world.post(&world.begin()).await.status, 202);
    assert!(called(&world.send(post(&world, Hash::ZERO, 1, "wait=9")).await).is_some());
    let mut waiting = Box::pin(world.send(post(&world, Hash::ZERO, 2, "wait=9")));
    waits(&world, &mut waiting, 1).await;
    assert_eq!(called(&world.send(post(&world, Hash::ZERO, 3, "wait=9")).await), None);
}
