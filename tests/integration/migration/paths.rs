//! Which paths of WHOOSH's clients are carried, and by which side.

use serde_json::{Value, json};

use super::{Move, Running, get, post, send};
use crate::support::http::{Answer, request};

#[track_caller]
fn ask(running: &Running<'_>, method: &str, target: &str) -> Answer {
    send(running.clients, &request(method, target, &["content-length: 2", "content-type: text/plain"], b"hi"))
}

/// How often a path was passed on and refused, by `GET /migration`.
fn counted(running: &Running<'_>, method: &str, path: &str) -> Option<(u64, u64)> {
    let view = running.view();
    let paths = view["other_paths"].as_array().unwrap();
    let found = paths.iter().find(|other| other["method"] == method && other["path"] == path)?;
    Some((found["passed"].as_u64().unwrap(), found["refused"].as_u64().unwrap()))
}

/// Everything but three paths was answered 404 by SWOOSH, which WHOOSH's clients had never heard of.
#[test]
fn paths_that_swoosh_does_not_know_are_whoosh_s_and_are_counted() {
    let moved = Move::new();
    let running = moved.start();
    let own = |method: &str, target: &str| {
        let answer = ask(&running, method, target);
        assert_eq!(answer.header("x-whoosh-build"), Some("4.2"), "{method} {target}: {}", answer.text());
    };
    own("GET", "/agents?role=lead");
    own("GET", "/agents?role=voter");
    own("POST", "/agents");
    own("DELETE", "/agents/7");
    assert!(moved.whoosh.targets().contains(&"/agents?role=lead".to_owned()), "the query goes along");
    assert_eq!(counted(&running, "GET", "/agents"), Some((2, 0)));
    assert!(running.measures("swoosh_migration_other_paths_total{answer=\"passed\"} 4"));

    // In regions WHOOSH still decides; after the cut-over it answers reads and nothing changes it.
    running.switch(&["regions", "--region", "council"]);
    own("PUT", "/agents/7");
    running.switch(&["cutover"]);
    own("GET", "/agents");
    let before = moved.whoosh.targets().len();
    for method in ["POST", "PUT", "PATCH", "DELETE", "FROB"] {
        let answer = ask(&running, method, "/agents/7");
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{method}: {}", answer.text());
        assert!(answer.text().contains("after the cut-over"), "{}", answer.text());
    }
    assert_eq!(moved.whoosh.targets().len(), before);
    assert_eq!(counted(&running, "POST", "/agents/7"), Some((0, 1)));
    let node = format!("http://{}", running.daemon.address);
    let said = moved.site.tool(&["migration", "status", "--node", &node]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("/agents/7") && said.contains("without hlc"), "{said}");
}

/// A lenient WHOOSH takes these for its own transition, and SWOOSH would never hear of it.
#[test]
fn no_spelling_of_a_known_path_slips_past_the_shim() {
    let moved = Move::new();
    let running = moved.start();
    running.begin("p");
    let before = moved.whoosh.targets();
    let spellings = [
        "//transition",
        "/transition/",
        "/Transition",
        "/%74ransition",
        "/transition;v=1",
        "/x/../transition",
        "/x/%2e%2e/transition",
        "/%2574ransition",
        "/./state",
        "/x%00",
    ];
    for target in spellings {
        for method in ["POST", "GET"] {
            let answer = ask(&running, method, target);
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (404, "not_found"),
                "{method} {target}: {}",
                answer.text()
            );
        }
    }
    for method in ["TRACE", "CONNECT"] {
        assert!(ask(&running, method, "/agents").status >= 400, "{method}");
    }
    assert_eq!(ask(&running, "POST", "/state").status, 405);
    let paged = request("GET", "/agents", &["origin: https://evil.example"], b"");
    assert_eq!(send(running.clients, &paged).code(), "cross_site");
    assert_eq!(moved.whoosh.targets(), before, "WHOOSH was asked nothing");
}

/// Clients had no way to the window that they are to name, but the node's own address.
#[test]
fn clients_read_the_windows_on_their_own_address_in_every_mode() {
    let moved = Move::new();
    let running = moved.start();
    running.begin("p");
    for mode in [&["regions", "--region", "council"][..], &["cutover"], &["bypass"]] {
        let ours = running.daemon.get("/windows?project=p&at=2026-01-01T00:00:00Z%230").json();
        let theirs = get(running.clients, "/windows?project=p&at=2026-01-01T00:00:00Z%230").json();
        assert_eq!(theirs["outlook"], ours["outlook"]);
        assert!(theirs["outlook"]["window_id"].as_str().unwrap().starts_with("backbeat:W-"), "{theirs}");
        assert_eq!(get(running.clients, "/windows?project=p&bad=1").code(), "bad_query");
        running.switch(mode);
    }
    assert!(!moved.whoosh.targets().iter().any(|target| target.starts_with("/windows")));
}

/// The status counted only missing keys, so the end of the headers stage could not be seen.
#[test]
fn the_status_counts_each_missing_header_by_itself() {
    let moved = Move::new();
    let running = moved.start();
    running.begin("p");
    let bare = json!({"project": "p", "transition": "Execution_Rework", "inputs": {"rationale": "x"}});
    let with = |more: Value| {
        let mut document = bare.clone();
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        document.to_string().into_bytes()
    };
    let counts = |running: &Running<'_>| {
        let caller = running.view()["callers"][0].clone();
        ["proposals", "without_key", "without_hlc", "without_window_id"].map(|name| caller[name].as_u64().unwrap())
    };
    post(running.clients, &with(json!({})), &[]);
    assert_eq!(counts(&running), [1, 1, 1, 1]);
    let (hlc, window) = ("2025-10-19T01:23:45.678+00:00#1234", "backbeat:W-2025-10-19-02");
    post(running.clients, &with(json!({"idem_key": "p:1:execution:step-00000001", "hlc": hlc})), &[]);
    assert_eq!(counts(&running), [2, 1, 1, 2]);
    let headers = [format!("x-swoosh-hlc: {hlc}"), format!("x-swoosh-window-id: {window}")];
    post(running.clients, &with(json!({})), &headers);
    assert_eq!(counts(&running), [3, 2, 1, 2]);
    post(running.clients, b"no proposal at all", &["idempotency-key: p:1:execution:step-00000002".to_owned()]);
    assert_eq!(counts(&running), [4, 2, 2, 3]);
    assert!(running.measures("swoosh_migration_incomplete_total{member=\"idem_key\"} 2"));
    assert!(running.measures("swoosh_migration_incomplete_total{member=\"hlc\"} 2"));
    assert!(running.measures("swoosh_migration_incomplete_total{member=\"window_id\"} 3"));
}
