//! `problems.json`: answers to a proposal, and the next step of a client. `crates/client` checks that the Rust SDK takes it.

use serde_json::{Value, json};
use swoosh::types::hash::Hash;
use swoosh::types::rejection::{Code, Retry};

use super::{items, read, text};

const HEAD: &[u8] = b"head";

/// Codes with the status of their answers, as docs/rejections.md has them.
fn statuses() -> Vec<(Code, u16)> {
    let page = include_str!("../../../docs/rejections.md");
    let sections = page.split("\n## ").skip(1);
    let found = sections.map(|section| {
        let (code, rest) = section.split_once('\n').unwrap();
        let status = rest.trim_start().strip_prefix("**").and_then(|rest| rest.get(..3)).unwrap();
        (code.trim().parse().unwrap(), status.parse().unwrap())
    });
    found.collect()
}

/// `again` is the same bytes once more, `sign` a new signature under the same key, `held` success of another kind, and `end`
/// no further attempt.
fn step(code: Code, status: u16) -> &'static str {
    match (code, code.retry()) {
        (Code::OutcomeHeld, _) => "held",
        (Code::Follower | Code::ProjectDamaged, _) => "end",
        _ if [408, 429, 502, 503, 504].contains(&status) => "again",
        (_, Retry::Head | Retry::Clock | Retry::Restamp) => "sign",
        _ => "end",
    }
}

fn problem(code: &str, status: u16, more: Value) -> Value {
    let mut problem = json!({
        "type": format!("/docs/rejections#{code}"), "title": code, "status": status, "code": code,
        "detail": "the reason", "reasons": ["the reason"],
    });
    problem.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    problem
}

/// Whether the answer leaves open that the proposal was accepted.
fn is_open(code: Option<Code>, step: &str) -> bool {
    step == "again" && code.is_none_or(|code| code == Code::NotDurable)
}

fn of_code((code, status): (Code, u16)) -> Value {
    let (name, next) = (code.to_string(), step(code, status));
    let more = if next == "sign" {
        json!({"head": Hash::of(HEAD), "hlc_last": "2025-10-19T01:23:45.678+00:00#4", "retry_after_ms": 40})
    } else if next == "again" {
        json!({"retry_after_ms": 70})
    } else {
        json!({})
    };
    let mut vector = json!({
        "name": name, "status": status, "headers": {}, "body": problem(&name, status, more.clone()).to_string(),
        "step": next, "may_be_accepted": is_open(Some(code), next),
    });
    if next != "end" && next != "held" {
        vector["wait_ms"] = more["retry_after_ms"].clone();
    }
    vector
}

/// Answers of proxies, of a newer node, and in line.
fn others() -> Vec<Value> {
    let proxy = |status: u16, headers: Value, wait_ms: u64| {
        json!({
            "name": format!("a proxy with status {status}"), "status": status, "headers": headers, "body": "<html>no</html>",
            "step": "again", "may_be_accepted": true, "wait_ms": wait_ms,
        })
    };
    let end = |name: &str, status: u16, body: String| json!({"name": name, "status": status, "headers": {}, "body": body, "step": "end", "may_be_accepted": false});
    let called = json!({"head": Hash::of(HEAD), "hlc_last": "2025-10-19T01:23:45.678+00:00#4", "retry_after_ms": 0});
    vec![
        proxy(408, json!({}), 0),
        proxy(429, json!({"retry-after": "3"}), 3_000),
        proxy(502, json!({}), 0),
        proxy(503, json!({"retry-after": "1"}), 1_000),
        proxy(503, json!({"retry-after": "Wed, 21 Oct 2025 07:28:00 GMT"}), 0),
        proxy(504, json!({}), 0),
        end("a redirect", 302, String::new()),
        end("a proxy with status 404", 404, "<html>no</html>".to_owned()),
        end("a proxy with status 500", 500, "oops".to_owned()),
        end("a code of a newer node", 400, problem("a_new_code", 400, json!({})).to_string()),
        json!({
            "name": "a busy code of a newer node", "status": 503, "headers": {}, "body": problem("a_new_code", 503, json!({})).to_string(),
            "step": "again", "may_be_accepted": true, "wait_ms": 0,
        }),
        json!({
            "name": "called from the line", "status": 400, "headers": {"preference-applied": "wait"},
            "body": problem("stale_head", 400, called).to_string(), "step": "sign", "may_be_accepted": false,
            "wait_ms": 0, "called_at": Hash::of(HEAD),
        }),
        json!({
            "name": "the wait of the document goes before the one of the header", "status": 503,
            "headers": {"retry-after": "9"}, "body": problem("overloaded", 503, json!({"retry_after_ms": 20})).to_string(),
            "step": "again", "may_be_accepted": false, "wait_ms": 20,
        }),
    ]
}

pub(super) fn make() -> Value {
    let answers: Vec<Value> = statuses().into_iter().map(of_code).chain(others()).collect();
    json!({"answers": answers})
}

#[test]
fn every_code_has_a_next_step() {
    let vectors = read("problems.json");
    let named = |code: &Code| items(&vectors, "answers").iter().any(|vector| text(&vector["name"]) == code.to_string());
    let listed = statuses();
    assert!(listed.len() > 80, "docs/rejections.md has {} codes", listed.len());
    listed.iter().for_each(|(code, _)| assert!(named(code), "{code}"));
    Code::PLAIN.iter().for_each(|code| assert!(named(code), "{code}"));
}
