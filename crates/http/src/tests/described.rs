//! The routes answer as the OpenAPI description says, for all that it describes.
//!
//! Schemathesis, let loose on a node by its own description (`make schemathesis`), found that it was incomplete: an
//! unknown parameter was answered 400, a closed read 403 and a body without a media type 415, where nothing of that
//! was described; indexes beyond 2^53−1, which no JSON document can name, were taken; limits said nothing of their
//! bounds; and events were described as one text. Each is asked of every route here.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::Value;
use tower::ServiceExt as _;

use super::world::World;
use crate::openapi::DOCUMENT;

/// Method, path and operation of everything described.
fn operations() -> Vec<(Method, String, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap().iter();
    let items = paths.flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |(name, op)| (path, name, op)));
    let operation = |(path, name, operation): (&String, &String, &'static Value)| {
        let method = Method::from_bytes(name.to_uppercase().as_bytes()).unwrap();
        (method, path.replace("{id}", "default/1"), operation)
    };
    items.map(operation).collect()
}

/// Asks, looks whether status and media type are described, and tells the status. Streams are not read.
async fn asked(world: &World, method: &Method, target: &str, operation: &Value) -> u16 {
    let request = Request::builder().method(method).uri(target).body(Body::empty()).unwrap();
    let answered = world.router.clone().oneshot(request).await.unwrap();
    let status = answered.status().as_u16();
    let described = &operation["responses"][status.to_string()];
    assert!(described.is_object(), "{method} {target} answers {status}, which is not described");
    if let Some(content) = described["content"].as_object() {
        let found = answered.headers()["content-type"].to_str().unwrap().split(';').next().unwrap();
        assert!(content.contains_key(found), "{method} {target} answers {status} with {found}");
    }
    status
}

#[tokio::test]
async fn an_unknown_parameter_and_a_missing_body_are_refused_as_described() {
    let (world, _) = World::begun().await;
    for (method, path, operation) in operations() {
        let status = asked(&world, &method, &format!("{path}?unknown=1"), operation).await;
        assert!(matches!(status, 400 | 404), "{method} {path}: {status}");
        let status = asked(&world, &method, &path, operation).await;
        let expected: &[u16] = if method == Method::POST { &[404, 415] } else { &[200, 404] };
        assert!(expected.contains(&status), "{method} {path}: {status}");
    }
}

#[tokio::test]
async fn a_closed_read_is_refused_as_described() {
    let (mut world, _) = World::begun().await;
    world.close_reads();
    for (method, path, operation) in operations().into_iter().filter(|(method, ..)| method == Method::GET) {
        let expected = if path.starts_with("/health") || path == "/metrics" { 200 } else { 403 };
        assert_eq!(asked(&world, &method, &path, operation).await, expected, "{path}");
    }
}

#[tokio::test]
async fn numbers_are_taken_within_the_bounds_described_and_not_beyond() {
    let (world, _) = World::begun().await;
    let mut seen = 0;
    for (method, path, operation) in operations() {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            if schema["type"] != "integer" {
                continue;
            }
            seen += 1;
            let (least, most) = (schema["minimum"].as_u64().unwrap(), schema["maximum"].as_u64().unwrap());
            // The longest wait would be waited for.
            let within = if name == "wait_ms" { [least, least + 1] } else { [least, most] };
            for number in within {
                let status = asked(&world, &method, &format!("{path}?{name}={number}"), operation).await;
                assert_ne!(status, 400, "{path}?{name}={number}");
            }
            for number in [i128::from(least) - 1, i128::from(most) + 1] {
                let status = asked(&world, &method, &format!("{path}?{name}={number}"), operation).await;
                assert!(matches!(status, 400 | 404), "{path}?{name}={number}: {status}");
            }
        }
    }
    assert!(seen > 8, "{seen}");
}

#[test]
fn an_event_is_described_by_its_parts() {
    let content = &DOCUMENT["paths"]["/events"]["get"]["responses"]["200"]["content"]["text/event-stream"];
    assert_eq!(content["schema"]["$ref"], "#/components/schemas/EventAnswer");
    let event = &DOCUMENT["components"]["schemas"]["EventAnswer"];
    assert_eq!(event["required"], serde_json::json!(["event", "data"]));
}
