//! The routes answer as the OpenAPI description says, for all that it describes.
//!
//! Schemathesis, let loose on a node by its own description (`make schemathesis`), found that it was incomplete: an
//! unknown parameter was answered 400, a closed read 403 and a body without a media type 415, where nothing of that
//! was described; indexes beyond 2^53−1, which no JSON document can name, were taken; limits said nothing of their
//! bounds; and events were described as one text. Each is asked of every route here.

use std::collections::BTreeSet;

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
        (method, path.replace("{id}", "default/1").replace("{index}", "1"), operation)
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
        let expected =
            if path.starts_with("/health") || matches!(path.as_str(), "/metrics" | "/statechart") { 200 } else { 403 };
        assert_eq!(asked(&world, &method, &path, operation).await, expected, "{path}");
    }
}

/// Methods that are not described, on every path that is. A list by hand once left out three routes.
#[tokio::test]
async fn a_method_that_is_not_described_is_refused_with_those_that_are() {
    let (world, _) = World::begun().await;
    let paths: BTreeSet<String> = operations().into_iter().map(|(_, path, _)| path).collect();
    assert!(["/effects", "/events", "/wal/feed"].iter().all(|path| paths.contains(*path)), "{paths:?}");
    for path in paths {
        let described: BTreeSet<Method> =
            operations().into_iter().filter(|(_, other, _)| *other == path).map(|(method, ..)| method).collect();
        let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];
        for name in known {
            let method: Method = name.parse().unwrap();
            if described.contains(&method) {
                continue;
            }
            let request = Request::builder().method(&method).uri(&path).body(Body::empty()).unwrap();
            let answered = world.send(request).await;
            assert_eq!(answered.problem(), (405, "method_not_allowed".into()), "{method} {path}");
            let allowed = answered.header("allow").unwrap_or_default();
            let allowed: BTreeSet<Method> = allowed.split(',').map(|name| name.parse().unwrap()).collect();
            let mut expected = described.clone();
            expected.extend(described.contains(&Method::GET).then_some(Method::HEAD));
            assert_eq!(allowed, expected, "{method} {path}");
        }
    }
}

/// Every refusal that a caller without rights or with a wrong query meets is a whole problem document.
#[tokio::test]
async fn refusals_of_every_route_are_problem_documents_of_their_status() {
    let (mut world, _) = World::begun().await;
    let mut targets: Vec<(Method, String)> = Vec::new();
    for (method, path, _) in operations() {
        targets.push((method.clone(), format!("{path}?unknown=1")));
        targets.push((method, format!("{path}?project=%FF")));
    }
    for closes in [false, true] {
        if closes {
            world.close_reads();
        }
        for (method, target) in &targets {
            let request = Request::builder().method(method).uri(target).body(Body::empty()).unwrap();
            let answered = world.send(request).await;
            let (status, code) = answered.problem();
            assert!((400..500).contains(&status), "{method} {target}: {status}");
            assert_eq!(answered.header("content-type"), Some("application/problem+json"), "{method} {target}");
            let problem = answered.json();
            assert_eq!(problem["type"], format!("/docs/rejections#{code}"), "{method} {target}");
            assert_eq!((problem["status"].as_u64(), answered.status.as_u16()), (Some(u64::from(status)), status));
            let reasons = problem["reasons"].as_array().unwrap();
            assert!(!reasons.is_empty() && problem["title"].is_string(), "{method} {target}: {problem}");
        }
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
