//! `GET /statechart`.

use axum::body::Body;
use axum::http::{Request, StatusCode};

use super::world::World;
use swoosh_machine::chart;
use swoosh_types::names::{Region, Transition};

/// Programs that showed the chart had to carry a copy of it, which another node's need not be.
#[tokio::test]
async fn the_statechart_is_that_of_the_program_and_open_to_all() {
    let (mut world, _) = World::begun().await;
    world.close_reads();
    let answered = world.get("/statechart").await;
    assert_eq!((answered.status, answered.header("content-type")), (StatusCode::OK, Some("application/json")));
    let found = answered.json();
    assert_eq!(found["version"], chart::VERSION);
    assert_eq!(found["schema_hash"], chart::SCHEMA_HASH.to_string());
    assert_eq!(found["regions"].as_object().unwrap().len(), Region::ALL.len());
    assert_eq!(found["transitions"].as_object().unwrap().len(), Transition::ALL.len());
    for &transition in Transition::ALL {
        let (spec, shown) = (chart::spec(transition), &found["transitions"][transition.to_string()]);
        assert_eq!(shown["from"], serde_json::json!(spec.from), "{transition}");
        assert_eq!(shown["region"], spec.region.to_string(), "{transition}");
        assert!(!shown["doc"].as_str().unwrap().is_empty(), "{transition}");
    }
}

#[tokio::test]
async fn a_caller_that_has_the_statechart_gets_no_body() {
    let (world, _) = World::begun().await;
    let tag = world.get("/statechart").await.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("\"sha256-") && tag.ends_with('"'), "{tag} is a strong tag");
    let ask = async |held: &str| {
        world.send(Request::get("/statechart").header("if-none-match", held).body(Body::empty()).unwrap()).await
    };
    for held in [tag.clone(), "*".into(), format!("\"x\", {tag}"), format!("W/{tag}")] {
        let answered = ask(&held).await;
        assert_eq!((answered.status, answered.bytes.len()), (StatusCode::NOT_MODIFIED, 0), "{held}");
        assert_eq!(answered.header("etag"), Some(tag.as_str()));
    }
    for held in ["\"x\"", "", "x"] {
        assert_eq!(ask(held).await.status, StatusCode::OK, "{held}");
    }
}
