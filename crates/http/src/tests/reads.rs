//! The routes that read.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::Value;

use super::world::{NOW_MS, World};
use crate::routes::READS;
use crate::{Caller, Limits};
use swoosh_machine::head::Head;
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::SecretKey;
use swoosh_types::read::{HLC_HEADER, SIGNATURE_HEADER, SIGNER_HEADER, SignedRead};
use swoosh_types::record::Record;

#[tokio::test]
async fn a_projection_is_proven_against_the_head() {
    let (world, head) = World::begun().await;
    let state = world.get("/state?projection=Council,Ingestion").await.json();
    assert_eq!(state["hash"], head.to_string());
    assert_eq!((&state["project"], &state["phase"], &state["index"]), (&"default".into(), &"BOOT".into(), &1.into()));
    let sections = &state["sections"];
    assert_eq!(sections.as_object().unwrap().len(), 10);
    assert_eq!(Hash::of_parts([b"swoosh/state/v1\n".as_slice(), &canonical_bytes(sections)]), head);
    let projection = state["projection"].as_object().unwrap();
    assert_eq!(projection.keys().collect::<Vec<_>>(), ["council", "ingestion"]);
    for (name, section) in projection {
        assert_eq!(sections[name], Hash::of(&canonical_bytes(section)).to_string(), "{name}");
    }
    assert_eq!(state["hlc_last"]["hlc"], "2025-10-19T00:00:00.000+00:00#0");
    assert_eq!(world.get("/state").await.json()["projection"].as_object().unwrap().len(), 10);
}

#[tokio::test]
async fn a_project_that_does_not_exist_tells_the_head_to_begin_on() {
    let (world, _) = World::begun().await;
    let genesis = Head::genesis(&"other".parse().unwrap()).hash().to_string();
    for target in ["/state?project=other", "/state?project=other&at=1"] {
        let answered = world.get(target).await;
        assert_eq!(answered.problem(), (404, "unknown_project".into()));
        assert_eq!(answered.json()["head"], genesis);
        assert!(answered.json()["detail"].as_str().unwrap().contains("Boot_ConfigOk"));
    }
}

#[tokio::test]
async fn the_state_of_the_past_is_answered_from_history() {
    let (world, head) = World::begun().await;
    assert_eq!(world.post(&world.pause(head, 1)).await.status, StatusCode::ACCEPTED);
    let at = async |index: u64| world.get(&format!("/state?projection=control&at={index}")).await.json();
    let (first, second) = (at(1).await, at(2).await);
    assert_eq!((&first["hash"], &first["index"]), (&Value::from(head.to_string()), &1.into()));
    assert_eq!(first["projection"]["control"]["paused"], false);
    assert_eq!((&second["index"], &second["projection"]["control"]["paused"]), (&2.into(), &true.into()));
    assert_eq!(at(0).await["index"], 0);
    assert_eq!(world.get("/state?at=3").await.problem(), (404, "unknown_index".into()));
}

/// Every path that is read, with something in the place of its placeholder.
fn paths() -> Vec<String> {
    let placed =
        |path: &str| path.replace("{*id}", "default/1").replace("{*page}", "rejections").replace("{index}", "1");
    let more = ["/docs/operating", "/docs/decisions/consensus", "/docs/runbooks/clock.md"].map(str::to_owned);
    READS.iter().map(|read| placed(read.path)).chain(more).collect()
}

#[tokio::test]
async fn what_a_query_does_not_know_is_refused_everywhere() {
    let (world, _) = World::begun().await;
    for path in paths() {
        // Two of them are streams, and a node without a migration has nothing at its addresses.
        if !matches!(path.as_str(), "/events" | "/wal/feed") && !path.starts_with("/migration") {
            assert_eq!(world.get(&path).await.status, StatusCode::OK, "{path}");
            assert_eq!(world.get(&format!("{path}?x=1")).await.problem(), (400, "bad_query".into()), "{path}");
        }
    }
    for path in ["/events", "/wal/feed"] {
        assert_eq!(world.get(&format!("{path}?x=1")).await.problem(), (400, "bad_query".into()), "{path}");
    }
    let answered = world.get("/state?projection=Councils").await;
    assert_eq!(answered.problem(), (400, "unknown_projection".into()));
    assert!(answered.json()["detail"].as_str().unwrap().contains("council"));
    for nothing in ["/nowhere", "/docs/nothing", "/docs/../README", "/docs/", "/docs/%2e%2e/README", "/docs/clock"] {
        assert_eq!(world.get(nothing).await.problem(), (404, "not_found".into()), "{nothing}");
    }
}

/// Only the rejections were served; the other pages could be read only in the repository.
#[tokio::test]
async fn every_page_of_docs_and_every_runbook_is_served_and_may_run_nothing() {
    let (world, _) = World::begun().await;
    let index = String::from_utf8(world.get("/docs").await.bytes).unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (folder, address) in [("docs", "/docs"), ("docs/decisions", "/docs/decisions"), ("runbooks", "/docs/runbooks")]
    {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let Some(name) = name.strip_suffix(".md").or(name.strip_suffix(".sh")) else { continue };
            let answer = world.get(&format!("{address}/{name}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{name}");
            assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8", "{name}");
            let policy = answer.headers["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none';") && !policy.contains("script-src"), "{name}: {policy}");
            assert!(index.contains(&format!("href=\"{address}/{name}\"")), "{name}");
        }
    }
}

/// The targets of the links of a page.
fn links(html: &str) -> Vec<String> {
    html.split("href=\"").skip(1).map(|rest| rest.split_once('"').unwrap().0.replace("&amp;", "&")).collect()
}

/// `/docs/quick-start` was answered with 404.
#[tokio::test]
async fn every_link_of_every_page_leads_to_an_answer_and_to_an_anchor_of_it() {
    let (world, _) = World::begun().await;
    let mut pages: BTreeMap<String, String> = BTreeMap::new();
    let mut next: Vec<(String, String)> = ["/docs", "/docs/quick-start", "/docs/quick-start.sh"]
        .map(|path| (path.to_owned(), "the test".to_owned()))
        .into();
    while let Some((path, from)) = next.pop() {
        if pages.contains_key(&path) {
            continue;
        }
        let answer = world.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}, to which {from} has a link");
        let is_page = answer.headers["content-type"].to_str().unwrap().starts_with("text/html");
        let text = if is_page { String::from_utf8(answer.bytes).unwrap() } else { String::new() };
        for link in links(&text).into_iter().filter(|link| link.starts_with('/')) {
            next.push((link.split('#').next().unwrap().to_owned(), path.clone()));
        }
        pages.insert(path, text);
    }
    for (path, text) in &pages {
        for link in links(text) {
            let (to, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let is_outside = to.starts_with("http://") || to.starts_with("https://");
            assert!(is_outside || to.is_empty() || to.starts_with('/'), "{path}: {link}");
            let there = if to.is_empty() { Some(text) } else { pages.get(to) };
            let exists = |page: &String| anchor.is_empty() || page.contains(&format!("id=\"{anchor}\""));
            assert!(
                is_outside || there.is_some_and(exists),
                "{path} has a link to {link}, where nothing has this anchor"
            );
        }
    }
    assert!(pages.len() > 60, "{}", pages.len());
    let script = &pages["/docs/quick-start"];
    assert!(script.contains("swoosh council elect") && pages["/docs/waiting"].contains("href=\"/docs/quick-start\""));
}

#[tokio::test]
async fn transitions_are_explained_before_a_project_exists_too() {
    let (world, head) = World::begun().await;
    let new = world.get("/transitions?project=other").await.json();
    let of = |view: &Value, name: &str| {
        view["transitions"].as_array().unwrap().iter().find(|one| one["transition"] == name).cloned().unwrap()
    };
    assert_eq!((&new["exists"], of(&new, "Boot_ConfigOk")["enabled"].as_bool()), (&false.into(), Some(true)));
    let view = world.get("/transitions").await.json();
    assert_eq!((&view["exists"], &view["head"]), (&true.into(), &head.to_string().into()));
    assert_eq!(view["transitions"].as_array().unwrap().len(), swoosh_types::names::Transition::ALL.len());
    let plan = of(&view, "Execution_PlanLocked");
    assert_eq!(
        (&plan["window"], &plan["op_class"], &plan["enabled"]),
        (&"plan".into(), &"execution".into(), &false.into())
    );
    assert!(!plan["reasons"].as_array().unwrap().is_empty());
    let license = of(&view, "Boot_Licensed")["guards"].as_array().unwrap().clone();
    assert!(license.iter().any(|guard| guard["guard"] == "license" && guard["ok"] == false));
    assert_eq!((&view["window_id"], &view["pressure"]), (&"backbeat:W-2025-10-19-00".into(), &250.into()));
    assert_eq!((&view["windows"]["plan"]["open"], &view["windows"]["plan"]["opens_in_ms"]), (&true.into(), &0.into()));
    assert_eq!(view["windows"]["review"]["opens_in_ms"], 30 * 60_000);
    assert_eq!(view["windows"]["reverb"], serde_json::json!({"open": false}));
}

#[tokio::test]
async fn the_log_is_paged_and_its_chain_can_be_checked() {
    let (world, head) = World::begun().await;
    world.post(&world.pause(head, 1)).await;
    let first = world.get("/wal?limit=1").await.json();
    assert_eq!((&first["last_index"], &first["next"]), (&2.into(), &2.into()));
    let second = world.get("/wal?from=2&project=default").await.json();
    assert!(second.get("next").is_none());
    let mut link = Hash::ZERO;
    for entry in [&first["records"][0], &second["records"][0]] {
        let record: Record = serde_json::from_value(entry["record"].clone()).unwrap();
        link = Record::chain(&link, &record.encode());
        assert_eq!(entry["chain"], link.to_string());
        assert_eq!(Hash::of(&canonical_bytes(&entry["inputs"])), record.inputs_hash);
    }
    assert_eq!(world.get("/wal?project=other").await.json()["records"], serde_json::json!([]));
    assert_eq!(world.get("/wal?from=3").await.json()["records"], serde_json::json!([]));
    assert_eq!(world.get("/wal?limit=1001").await.problem(), (400, "bad_query".into()));
}

#[tokio::test]
async fn a_decision_is_found_by_every_name_it_has() {
    let (world, _) = World::begun().await;
    let decision = world.get("/decisions/default/1").await.json();
    let id = decision["id"].as_str().unwrap();
    let encoded = id.replace(':', "%3A").replace('/', "%2F");
    for target in [format!("/decisions/{id}"), format!("/decisions/{encoded}")] {
        assert_eq!(world.get(&target).await.json(), decision, "{target}");
    }
    assert_eq!(decision["summary"], "The project begins: 1 sources, 1 identities.");
    for target in [
        "/decisions/default/2",
        "/decisions/other/1",
        "/decisions/x",
        "/decisions/%FF",
        "/decisions/bubble://dr/default/1-0123456789abcdef",
    ] {
        assert_eq!(world.get(target).await.problem(), (404, "unknown_decision".into()), "{target}");
    }
}

#[tokio::test]
async fn projects_rejections_facts_and_metrics_are_listed() {
    let (world, head) = World::begun().await;
    world.post(&world.pause(Hash::ZERO, 1)).await;
    let projects = world.get("/projects").await.json();
    let expected = serde_json::json!({"project": "default", "hash": head, "index": 1, "phase": "BOOT"});
    assert_eq!(projects, serde_json::json!({"projects": [expected]}));
    assert_eq!(world.get("/projects?after=default").await.json()["projects"], serde_json::json!([]));
    let rejections = world.get("/rejections?project=default&limit=5").await.json();
    assert_eq!(rejections["rejections"][0]["code"], "stale_head");
    assert_eq!(world.get("/rejections?project=other").await.json()["rejections"], serde_json::json!([]));
    assert_eq!(world.get("/facts").await.json(), serde_json::json!({"facts": [{"kind": "windows"}], "asked": null}));
    let metrics = world.get("/metrics").await;
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
}

#[tokio::test]
async fn health_has_the_documented_members() {
    let (world, _) = World::begun().await;
    let health = world.get("/health").await.json();
    assert_eq!((&health["status"], &health["consensus"]), (&"ok".into(), &"single".into()));
    assert_eq!((&health["lastSnapshotHLC"], &health["walLag"]), (&Value::Null, &0.into()));
    assert_eq!((&health["cluster"], &health["mode"]), (&"test".into(), &"accepting".into()));
    assert_eq!((&health["last_index"], &health["time"]), (&1.into(), &"2025-10-19T00:00:00.000+00:00#0".into()));
    assert_eq!(world.get("/health/ready").await.status, StatusCode::OK);
}

#[tokio::test]
async fn closed_reads_leave_health_metrics_the_statechart_and_proposals_open() {
    let (mut world, head) = World::begun().await;
    world.close_reads();
    for path in paths() {
        if ["/health", "/health/live", "/health/ready", "/metrics", "/statechart"].contains(&path.as_str()) {
            assert_eq!(world.get(&path).await.status, StatusCode::OK, "{path}");
        } else {
            assert_eq!(world.get(&path).await.problem(), (403, "reads_closed".into()), "{path}");
        }
    }
    assert_eq!(world.get("/nowhere").await.problem(), (403, "reads_closed".into()));
    assert_eq!(world.get("/transition").await.problem(), (405, "method_not_allowed".into()));
    assert_eq!(world.post(&world.pause(head, 1)).await.status, StatusCode::ACCEPTED);
}

/// A read with these headers.
async fn signed(world: &World, target: &str, headers: &[(&str, String)]) -> (u16, String) {
    let request = headers.iter().fold(Request::get(target), |request, (name, value)| request.header(*name, value));
    let answered = world.send(request.body(Body::empty()).unwrap()).await;
    let code = if answered.status == StatusCode::OK { String::new() } else { answered.problem().1 };
    (answered.status.as_u16(), code)
}

fn headers_of(key: &SecretKey, at_ms: u64, target: &str) -> [(&'static str, String); 3] {
    let read = SignedRead { hlc: Hlc::new(at_ms, 0).unwrap(), signer: key.public(), target: target.into() };
    let signature = read.sign(&super::world::cluster(), key).to_string();
    [(HLC_HEADER, read.hlc.to_string()), (SIGNER_HEADER, read.signer.to_string()), (SIGNATURE_HEADER, signature)]
}

#[tokio::test]
async fn closed_reads_open_to_the_signature_of_a_reader_for_that_read_and_that_time() {
    let (mut world, _) = World::begun().await;
    world.close_reads();
    let (reader, target) = (world.reader.clone(), "/state?project=default");
    let good = headers_of(&reader, NOW_MS, target);
    assert_eq!(signed(&world, target, &good).await, (200, String::new()));
    let closed = (403, "reads_closed".to_owned());
    assert_eq!(signed(&world, "/state?project=other", &good).await, closed, "another target");
    assert_eq!(signed(&world, target, &good[..2]).await, closed, "no signature");
    let twice: Vec<_> = good.iter().chain(&good[..1]).cloned().collect();
    assert_eq!(signed(&world, target, &twice).await, closed, "a header twice");
    for (at_ms, why) in [(NOW_MS + 5_001, "ahead"), (NOW_MS - 300_001, "behind")] {
        assert_eq!(signed(&world, target, &headers_of(&reader, at_ms, target)).await, closed, "{why}");
    }
    for (key, who) in [(world.operator.clone(), "operator"), (SecretKey::from_bytes(&[9; 32]), "stranger")] {
        assert_eq!(signed(&world, target, &headers_of(&key, NOW_MS, target)).await, closed, "{who}");
    }
}

#[tokio::test]
async fn a_caller_with_a_certificate_reads_what_is_closed() {
    let (world, _) = World::begun().await;
    let read = async |may_read| {
        let caller = Caller { may_read, ..Caller::default() };
        world.send(Request::get("/wal").extension(caller).body(Body::empty()).unwrap()).await.status
    };
    assert_eq!((read(true).await, read(false).await), (StatusCode::OK, StatusCode::FORBIDDEN));
}

/// Forged reads shut out all readers behind their address.
#[tokio::test]
async fn a_reader_is_heard_behind_an_address_that_forges_reads() {
    let mut world = World::with(Limits { failures: 4, failures_forgiven_per_second: 1, ..Limits::default() });
    world.close_reads();
    let headers = headers_of(&world.reader, NOW_MS, "/projects");
    let mut forged = Vec::new();
    while forged.last().is_none_or(|(status, _)| *status == 403) {
        assert!(forged.len() < 100, "forged reads cost nothing");
        forged.push(signed(&world, "/wal", &headers).await);
    }
    assert_eq!(forged.pop(), Some((429, "too_many_requests".to_owned())));
    assert_eq!(signed(&world, "/projects", &headers).await, (200, String::new()));
}
