//! `GET /records`.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::world::World;
use swoosh_types::hash::Hash;

/// A project with records 1 (`Boot_ConfigOk`) and 2 (`Control_Pause`).
async fn paused() -> (World, Hash) {
    let (world, head) = World::begun().await;
    assert_eq!(world.post(&world.pause(head, 1)).await.status, StatusCode::ACCEPTED);
    (world, head)
}

fn indexes(answer: &Value) -> Vec<u64> {
    answer["records"].as_array().unwrap().iter().map(|record| record["index"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn records_are_listed_newest_first_without_their_inputs() {
    let (world, head) = paused().await;
    let answer = world.get("/records").await.json();
    assert_eq!(indexes(&answer), [2, 1]);
    let wal = world.get("/wal").await.json();
    let first = &wal["records"][0]["record"];
    let expected = json!({
        "index": 1, "project": "default", "transition": "Boot_ConfigOk", "region": "boot", "signer": first["signer"],
        "timestamp": first["timestamp"], "hlc": first["hlc"], "idem_key": first["idem_key"],
        "guards": first["guard_outcomes"].as_array().unwrap().len(), "state_post_hash": head,
    });
    assert_eq!(answer["records"][1], expected);
    let members =
        [&answer["scanned"], &answer["first_index"], &answer["last_index"], &answer["next"], &answer["damaged"]];
    assert_eq!(members, [&json!(2), &json!(1), &json!(2), &Value::Null, &Value::Null]);
}

#[tokio::test]
async fn pages_of_records_go_on_below_the_last_one() {
    let (world, _) = paused().await;
    for of in ["", "&project=default"] {
        let page = world.get(&format!("/records?limit=1{of}")).await.json();
        assert_eq!((indexes(&page), &page["next"]), (vec![2], &json!(2)), "{of}");
        let page = world.get(&format!("/records?limit=1&before=2{of}")).await.json();
        assert_eq!((indexes(&page), &page["next"]), (vec![1], &Value::Null), "{of}");
        let page = world.get(&format!("/records?before=1{of}")).await.json();
        assert_eq!((indexes(&page), &page["scanned"]), (vec![], &json!(0)), "{of}");
    }
}

#[tokio::test]
async fn records_are_filtered_by_each_parameter() {
    let (world, _) = paused().await;
    let all = world.get("/records").await.json();
    let of =
        |at: usize, member: &str| all["records"][at][member].as_str().unwrap().replace('+', "%2B").replace('#', "%23");
    let (operator, second, first) = (of(0, "signer"), of(0, "timestamp"), of(1, "timestamp"));
    let beginner = of(1, "signer");
    for (query, expected) in [
        ("project=default".to_owned(), vec![2, 1]),
        ("project=other".to_owned(), vec![]),
        ("transition=Control_Pause".to_owned(), vec![2]),
        ("region=boot".to_owned(), vec![1]),
        ("region=council&project=default".to_owned(), vec![]),
        (format!("signer={operator}&transition=Control_Pause"), vec![2]),
        (format!("signer={beginner}&region=boot"), vec![1]),
        (format!("signer={}", world.reader.public()), vec![]),
        (format!("since={second}"), vec![2]),
        (format!("until={first}"), vec![1]),
        (format!("since={first}&until={second}"), vec![2, 1]),
    ] {
        let answered = world.get(&format!("/records?{query}")).await;
        assert_eq!((answered.status, indexes(&answered.json())), (StatusCode::OK, expected), "{query}");
    }
    for query in
        ["project=%00", "transition=Pause", "region=nowhere", "signer=bob", "since=today", "until=1", "before=0"]
    {
        assert_eq!(world.get(&format!("/records?{query}")).await.problem(), (400, "bad_query".into()), "{query}");
    }
}
