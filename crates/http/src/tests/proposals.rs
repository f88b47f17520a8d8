//! `POST /transition`.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::Value;

use super::world::World;
use swoosh_types::hash::Hash;
use swoosh_types::receipt::Receipt;

#[tokio::test]
async fn an_accepted_proposal_is_answered_with_a_receipt_that_proves_itself() {
    let world = World::new();
    let answered = world.post(&world.begin()).await;
    assert_eq!(answered.status, StatusCode::ACCEPTED);
    assert_eq!(answered.header("content-type"), Some("application/json"));
    assert_eq!(answered.header("idempotency-replayed"), None);
    let receipt: Receipt = serde_json::from_slice(&answered.bytes).unwrap();
    assert_eq!(receipt.verify(&super::world::cluster()), Ok(()));
    assert_eq!(receipt.index, 1);
}

#[tokio::test]
async fn a_lone_callers_batch_is_committed_by_the_sequencer_itself() {
    let (world, head) = World::begun().await;
    let answered = world.post(&world.pause(head, 1)).await;
    assert_eq!(answered.status, StatusCode::ACCEPTED);
    // Watchers are notified after the caller.
    let began = std::time::Instant::now();
    while world.committers.names().len() < 2 && began.elapsed() < std::time::Duration::from_secs(60) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(world.committers.names(), ["sequencer", "sequencer"]);
}

#[tokio::test]
async fn a_repeat_gets_the_same_bytes_and_is_marked() {
    let (world, _) = World::begun().await;
    let (first, again) = (world.post(&world.begin()).await, world.post(&world.begin()).await);
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::ACCEPTED, Some("true")));
    assert_eq!(first.bytes, again.bytes);
}

#[tokio::test]
async fn a_stale_head_is_answered_with_the_head_and_a_wait() {
    let (world, head) = World::begun().await;
    let answered = world.post(&world.pause(Hash::ZERO, 1)).await;
    assert_eq!(answered.problem(), (400, "stale_head".into()));
    let problem = answered.json();
    assert_eq!(problem["head"], head.to_string());
    assert_eq!((&problem["guard"], &problem["project"]), (&"head".into(), &"default".into()));
    // 20 ms at slack water, four fifths more for each fifth of pressure: twice that at 250 of 1000.
    assert_eq!(problem["retry_after_ms"], 40);
    assert_eq!(problem["hlc_last"], "2025-10-19T00:00:00.000+00:00#0");
    assert_eq!(answered.header("retry-after"), None);
}

#[tokio::test]
async fn headers_stand_in_for_members_of_the_body() {
    let (world, head) = World::begun().await;
    let mut document = serde_json::to_value(world.pause(head, 1)).unwrap();
    let members = document.as_object_mut().unwrap();
    let mut taken = |member: &str| members.remove(member).unwrap().as_str().unwrap().to_owned();
    let forms = [
        ("Idempotency-Key", taken("idem_key")),
        ("X-Swoosh-Hlc", taken("hlc")),
        ("X-Hmmm-Signature", taken("signature")),
    ];
    let request = |body: &Value| {
        let request = Request::post("/transition").header("content-type", "application/json");
        let request = forms.iter().fold(request, |request, (name, value)| request.header(*name, value));
        request.body(Body::from(body.to_string())).unwrap()
    };
    let mut contradicting = document.clone();
    contradicting["idem_key"] = "goal:1:control:other-uuid".into();
    assert_eq!(world.send(request(&contradicting)).await.problem(), (400, "header_conflict".into()));
    assert_eq!(world.send(request(&document)).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_dry_run_tells_what_would_happen_and_changes_nothing() {
    let (world, head) = World::begun().await;
    let good = world.post_to("/transition?dry_run=true", &world.pause(head, 1)).await;
    assert_eq!((good.status, good.json()["accepted"].as_bool()), (StatusCode::OK, Some(true)));
    assert!(!good.json()["guard_outcomes"].as_array().unwrap().is_empty());
    let bad = world.post_to("/transition?dry_run=true", &world.pause(Hash::ZERO, 1)).await;
    assert_eq!((bad.status, bad.json()["accepted"].as_bool()), (StatusCode::OK, Some(false)));
    assert_eq!(bad.json()["problem"]["code"], "stale_head");
    let repeat = world.post_to("/transition?dry_run=true", &world.begin()).await;
    assert_eq!(repeat.json()["replayed"], true);
    assert_eq!(repeat.json()["receipt"]["index"], 1);
    let state = world.get("/state").await.json();
    assert_eq!((state["hash"].as_str(), &state["index"]), (Some(head.to_string().as_str()), &1.into()));
    let accepted = world.post_to("/transition?dry_run=false", &world.pause(head, 1)).await;
    assert_eq!(accepted.json()["state_post_hash"], good.json()["state_post_hash"]);
}

#[tokio::test]
async fn requests_that_are_no_proposals_are_refused_before_anything_is_read() {
    let world = World::new();
    let post = |media: &str, body: Vec<u8>| {
        Request::post("/transition").header("content-type", media).body(Body::from(body)).unwrap()
    };
    let problem = async |request| world.send(request).await.problem();
    assert_eq!(problem(post("text/plain", b"{}".to_vec())).await, (415, "unsupported_media_type".into()));
    let mut encoded = post("application/json", b"{}".to_vec());
    encoded.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(problem(encoded).await, (415, "unsupported_media_type".into()));
    assert_eq!(problem(post("application/json", vec![b' '; (16 << 10) + 1])).await, (413, "content_too_large".into()));
    assert_eq!(problem(post("application/json", vec![])).await, (400, "bad_json".into()));
    assert_eq!(problem(post("application/json", b"[]".to_vec())).await, (400, "schema".into()));
    let unknown = Request::post("/transition?dryrun=true").header("content-type", "application/json");
    assert_eq!(problem(unknown.body(Body::empty()).unwrap()).await, (400, "bad_query".into()));
}

#[tokio::test]
async fn a_draining_node_says_when_to_come_again_and_goes_on_answering_reads() {
    let (world, head) = World::begun().await;
    world.handle.drain();
    let answered = world.post(&world.pause(head, 1)).await;
    assert_eq!(answered.problem(), (503, "draining".into()));
    assert_eq!(answered.header("retry-after"), Some("1"));
    assert_eq!(world.get("/health").await.json()["status"], "draining");
    assert_eq!(world.get("/health/ready").await.problem(), (503, "draining".into()));
    assert_eq!(world.get("/health/live").await.status, StatusCode::OK);
    assert_eq!(world.get("/state").await.status, StatusCode::OK);
}

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "the lock is what hangs the sequencer, on a thread of its own")]
async fn a_hung_sequencer_is_detected_although_its_thread_lives() {
    let (world, head) = World::begun().await;
    let (soon, long) = (std::time::Duration::from_millis(20), std::time::Duration::from_secs(60));
    assert!(world.handle.works_within(long).await);
    let held = world.committers.hold();
    assert_eq!(world.post(&world.pause(head, 1)).await.status, 202);
    assert!(!world.handle.works_within(soon).await && world.handle.is_alive());
    drop(held);
    assert!(world.handle.works_within(long).await);
    world.handle.stop();
    assert!(!world.handle.works_within(soon).await);
}
