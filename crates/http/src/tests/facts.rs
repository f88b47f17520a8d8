//! `POST /facts` and `GET /facts`.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use super::world::{World, fact};
use crate::Limits;
use swoosh_types::fact::FactKind;
use swoosh_types::keys::SecretKey;

fn pushed(kind: FactKind) -> Value {
    serde_json::to_value(fact(&SecretKey::from_bytes(&[9; 32]), kind, &json!({"id": "l-1", "scopes": []}))).unwrap()
}

#[tokio::test]
async fn a_pushed_fact_is_answered_with_its_address() {
    let world = World::new();
    let fact = fact(&SecretKey::from_bytes(&[9; 32]), FactKind::License, &json!({"id": "l-1", "scopes": []}));
    let answered = world.push(serde_json::to_vec(&fact).unwrap()).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.json());
    let expected = json!({"held": true, "hash": fact.hash(), "valid_until": fact.claim.valid_until});
    assert_eq!(answered.json(), expected);
}

#[tokio::test]
async fn what_is_no_fact_is_refused_with_a_code_and_never_500() {
    let world = World::new();
    let with = |member: &str, value: Value| {
        let mut fact = pushed(FactKind::License);
        fact["claim"][member] = value;
        fact.to_string().into_bytes()
    };
    let mut unsigned = pushed(FactKind::License);
    unsigned.as_object_mut().unwrap().remove("signature");
    for (body, code) in [
        (b"".to_vec(), "bad_json"),
        (b"{".to_vec(), "bad_json"),
        (b"{\"claim\": 1.5}".to_vec(), "bad_number"),
        (b"{\"claim\": {}, \"claim\": {}}".to_vec(), "duplicate_key"),
        (b"\xff".to_vec(), "bad_text"),
        (b"[]".to_vec(), "schema"),
        (b"null".to_vec(), "schema"),
        (format!("{}1{}", "[".repeat(40), "]".repeat(40)).into_bytes(), "too_deep"),
        (unsigned.to_string().into_bytes(), "schema"),
        (with("kind", json!("weather")), "schema"),
        (with("source", json!("hmmm:pubkey:x")), "schema"),
        (with("observed_at", json!("yesterday")), "schema"),
        (with("extra", json!(1)), "schema"),
        (pushed(FactKind::Capacity).to_string().into_bytes(), "fact_source"),
    ] {
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(world.push(body).await.problem(), (400, code.to_owned()), "{text}");
    }
    assert_eq!(world.push(vec![b' '; 17 << 10]).await.problem(), (413, "content_too_large".into()));
    let text = Request::post("/facts").header("content-type", "text/plain").body(Body::from("{}")).unwrap();
    assert_eq!(world.send(text).await.problem(), (415, "unsupported_media_type".into()));
    let delete = Request::delete("/facts").body(Body::empty()).unwrap();
    assert_eq!(world.send(delete).await.problem(), (405, "method_not_allowed".into()));
}

/// Anyone may sign such a fact, and it was parsed free of charge.
#[tokio::test]
async fn a_peer_pays_for_facts_that_are_too_large() {
    let world = World::with(Limits { failures: 1, failures_forgiven_per_second: 1, ..Limits::default() });
    let body = || pushed(FactKind::Health).to_string().into_bytes();
    let mut codes = Vec::new();
    while codes.len() < 50 && !codes.contains(&429) {
        codes.push(world.push(body()).await.problem().0);
    }
    assert_eq!((codes.first(), codes.last()), (Some(&413), Some(&429)), "{codes:?}");
}

#[tokio::test]
async fn facts_are_asked_for_by_kind_and_project() {
    let world = World::new();
    assert_eq!(world.get("/facts?kind=license").await.json()["asked"], "license");
    assert_eq!(world.get("/facts?kind=weather").await.problem(), (400, "bad_query".into()));
    assert_eq!(world.get("/facts?project=A").await.problem(), (400, "bad_query".into()));
}
