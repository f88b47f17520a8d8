//! `POST /transitions`: many proposals in one request.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::Value;

use super::world::{Answered, World};
use crate::Limits;
use swoosh_types::hash::Hash;
use swoosh_types::proposal::SignedProposal;

const LINES: &str = "application/x-ndjson";

fn line(proposal: &SignedProposal) -> String {
    serde_json::to_string(proposal).unwrap()
}

async fn post(world: &World, media_type: &str, body: String) -> Answered {
    let request = Request::post("/transitions").header("content-type", media_type).body(Body::from(body)).unwrap();
    world.send(request).await
}

/// The lines of an answer.
fn answers(answered: &Answered) -> Vec<String> {
    assert_eq!((answered.status, answered.header("content-type")), (StatusCode::OK, Some(LINES)));
    let text = String::from_utf8(answered.bytes.clone()).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(str::to_owned).collect()
}

/// Status and code of each.
fn codes(answered: &Answered) -> Vec<(u64, String)> {
    let code = |line: &String| {
        let document: Value = serde_json::from_str(line).unwrap();
        let status = document["status"].as_u64().unwrap();
        assert_eq!(document["receipt"].is_object(), status == 202, "{line}");
        assert_eq!(document["problem"]["status"].as_u64(), (status != 202).then_some(status), "{line}");
        (status, document["problem"]["code"].as_str().unwrap_or_default().to_owned())
    };
    answers(answered).iter().map(code).collect()
}

#[tokio::test]
async fn each_proposal_is_answered_in_its_order_as_if_it_was_posted_alone() {
    let (world, head) = World::begun().await;
    let (first, second) = (world.pause(head, 1), world.pause(head, 2));
    let mut forged = serde_json::to_value(&first).unwrap();
    forged["hlc"] = "2025-10-19T00:00:00.009+00:00#0".into();
    let lines = [line(&world.begin()), "{".to_owned(), forged.to_string(), line(&first), line(&second)].join("\n");
    let answered = post(&world, LINES, lines.clone()).await;
    let expected = [(202, ""), (400, "bad_json"), (400, "signature_invalid"), (202, ""), (400, "stale_head")]
        .map(|(status, code)| (status, code.to_owned()));
    assert_eq!(codes(&answered), expected);
    // Alone, the same keys get the same bytes.
    let (began, paused) = (world.post(&world.begin()).await, world.post(&first).await);
    let receipt = |alone: &Answered, replayed: bool| {
        let receipt = std::str::from_utf8(&alone.bytes).unwrap();
        format!("{{\"status\":202,\"replayed\":{replayed},\"receipt\":{receipt}}}")
    };
    assert_eq!(answers(&answered)[0], receipt(&began, true));
    assert_eq!(answers(&answered)[3], receipt(&paused, false));
    let alone = world.post(&second).await.json();
    let problem: Value = serde_json::from_str(&answers(&answered)[4]).unwrap();
    assert_eq!((&problem["problem"]["head"], &problem["problem"]["detail"]), (&alone["head"], &alone["detail"]));
    // Again, with a line break at the end.
    let again = post(&world, LINES, lines + "\n").await;
    assert_eq!(codes(&again), expected);
    assert_eq!(answers(&again)[3], receipt(&paused, true));
}

#[tokio::test]
async fn a_request_that_is_not_as_described_is_refused_whole() {
    let world = World::new();
    let begin = line(&world.begin());
    for empty in ["", "\n", " \n "] {
        assert_eq!(post(&world, LINES, empty.to_owned()).await.problem(), (400, "bad_json".into()), "{empty:?}");
    }
    assert_eq!(post(&world, "application/json", begin.clone()).await.problem(), (415, "unsupported_media_type".into()));
    let many = vec!["{}"; 257].join("\n");
    assert_eq!(post(&world, LINES, many).await.problem(), (413, "content_too_large".into()));
    // The bound of a body is 16 KiB in this world.
    let large = vec![" ".repeat(16 << 10); 17].join("\n");
    assert_eq!(post(&world, LINES, large).await.problem(), (413, "content_too_large".into()));
    let request = Request::post("/transitions").header("content-type", LINES).header("idempotency-key", "a");
    let with_header = world.send(request.body(Body::from(begin)).unwrap()).await;
    assert_eq!(with_header.problem(), (400, "header_conflict".into()));
    assert_eq!(world.handle.last_index(), 0, "none was judged");
}

#[tokio::test]
async fn a_line_has_the_bound_of_a_body_and_the_others_are_judged() {
    let world = World::new();
    let long = " ".repeat((16 << 10) + 1);
    let answered =
        post(&world, LINES, [vec!["{}".to_owned(); 254], vec![long, line(&world.begin())]].concat().join("\n")).await;
    let codes = codes(&answered);
    assert_eq!(codes.len(), 256);
    assert!(codes[..254].iter().all(|code| *code == (400, "schema".to_owned())));
    assert_eq!(codes[254..], [(413, "content_too_large".to_owned()), (202, String::new())]);
}

/// Each refusal of a suspect peer takes a second.
#[tokio::test]
async fn a_peer_that_is_shut_out_waits_once_for_all_of_a_request() {
    let world = World::with(Limits { failures: 4, failures_forgiven_per_second: 1, ..Limits::default() });
    let answered = post(&world, LINES, vec!["{}"; 256].join("\n")).await;
    let codes = codes(&answered);
    let refused = codes.iter().position(|(status, _)| *status == 429).unwrap();
    assert!((3..6).contains(&refused), "{refused}");
    assert!(codes[refused..].iter().all(|code| *code == (429, "too_many_requests".to_owned())));
}

#[tokio::test]
async fn a_draining_node_answers_each_with_a_refusal() {
    let (world, head) = World::begun().await;
    world.handle.drain();
    let answered =
        post(&world, LINES, [line(&world.pause(head, 1)), line(&world.pause(Hash::ZERO, 2))].join("\n")).await;
    assert_eq!(codes(&answered), vec![(503, "draining".to_owned()); 2]);
}
