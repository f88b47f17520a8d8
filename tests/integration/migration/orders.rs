//! Orders: which count, which do not, and what is kept of them.

use serde_json::{Value, json};
use swoosh::types::hlc::Hlc;
use swoosh::types::keys::SecretKey;
use swoosh::types::migration::{MigrationMode, Order, Routing, SignedOrder};
use swoosh::types::names::Region;
use swoosh::types::text::ClusterId;

use super::{Move, Running, delegate, post};
use crate::support::daemon::{Site, now_ms};
use crate::support::http::{Answer, request};

fn order(mode: MigrationMode, follows: u64, key: &SecretKey) -> Order {
    Order {
        routing: Routing { mode, regions: [].into() },
        follows,
        rationale: "The plan says so.".parse().unwrap(),
        hlc: Hlc::new(now_ms(), 0).unwrap(),
        without_comparison: false,
        signer: key.public(),
    }
}

fn send(running: &Running<'_>, document: &[u8]) -> Answer {
    let length = format!("content-length: {}", document.len());
    let head = ["content-type: application/json", &length];
    running.daemon.send(&request("POST", "/migration/mode", &head, document))
}

fn bytes(order: &SignedOrder) -> Vec<u8> {
    serde_json::to_vec(order).unwrap()
}

#[test]
fn an_order_counts_once_and_only_from_an_operator() {
    let moved = Move::new();
    let running = moved.start();
    let (here, there): (ClusterId, ClusterId) = ("test".parse().unwrap(), "other".parse().unwrap());
    let hand = |name: &str| moved.site.hands.get(name).secret.clone();
    let operator = hand("operator");
    let old = Order { hlc: Hlc::new(now_ms() - 3_600_000, 0).unwrap(), ..order(MigrationMode::Bypass, 0, &operator) };
    let nameless = Order {
        routing: Routing { mode: MigrationMode::Bypass, regions: [Region::Council].into() },
        ..order(MigrationMode::Bypass, 0, &operator)
    };
    let regionless = order(MigrationMode::Regions, 0, &operator);
    let forged = SignedOrder { signature: hand("agent").sign(b"x"), order: order(MigrationMode::Bypass, 0, &operator) };
    let refused = [
        (order(MigrationMode::Bypass, 0, &operator).sign(&there, &operator), "signature_invalid"),
        (forged, "signature_invalid"),
        (order(MigrationMode::Bypass, 0, &hand("stranger")).sign(&here, &hand("stranger")), "identity_unknown"),
        (order(MigrationMode::Bypass, 0, &delegate()).sign(&here, &delegate()), "role_not_allowed"),
        (old.sign(&here, &operator), "hlc_behind"),
        (nameless.sign(&here, &operator), "schema"),
        (regionless.sign(&here, &operator), "schema"),
        (order(MigrationMode::Bypass, 7, &operator).sign(&here, &operator), "order_stale"),
    ];
    for (order, code) in refused {
        let answer = send(&running, &bytes(&order));
        assert_eq!((answer.status, answer.code().as_str()), (if code == "order_stale" { 409 } else { 400 }, code));
    }
    for (junk, code) in [(&b"{"[..], "bad_json"), (b"{}", "schema"), (b"{\"order\": 1}", "schema")] {
        assert_eq!(send(&running, junk).code(), code);
    }
    assert_eq!(running.view()["switches"], 0);
    let good = bytes(&order(MigrationMode::Bypass, 0, &operator).sign(&here, &operator));
    assert_eq!(send(&running, &good).json()["number"], 1);
    assert_eq!(send(&running, &good).code(), "order_stale", "a copy of an order does nothing");
    assert_eq!(running.view()["routing"], json!({"mode": "bypass"}));
}

#[test]
fn a_switch_is_kept_whole_and_outlives_a_crash_in_the_middle_of_the_next() {
    let moved = Move::new();
    let running = moved.start();
    let switch = running.switch(&["regions", "--region", "council"]);
    let path = moved.site.data().join("migration/switches.jsonl");
    let kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(kept, switch);
    let order: SignedOrder = serde_json::from_value(kept["order"].clone()).unwrap();
    assert!(order.is_signed(&"test".parse().unwrap()), "anybody can check who ordered it");
    assert_eq!(order.order.rationale.as_str(), "The plan says so.");
    drop(running);
    let half = [std::fs::read(&path).unwrap(), b"{\"number\": 2, \"at\": \"20".to_vec()].concat();
    std::fs::write(&path, half).unwrap();
    let running = moved.start();
    assert_eq!(running.view()["routing"], json!({"mode": "regions", "regions": ["council"]}));
    assert_eq!(running.switch(&["bypass"])["number"], 2);
    drop(running);
    std::fs::write(&path, "not what was written\n").unwrap();
    let (code, said) = moved.site.start_refused();
    assert!(code == Some(1) && said.contains("switches.jsonl line 1"), "{said}");
    assert!(said.contains("runbooks/whoosh-cutover.md"), "{said}");
}

#[test]
fn a_node_without_a_whoosh_says_so() {
    let site = Site::new();
    let daemon = site.start();
    for target in ["/migration", "/migration/divergences"] {
        let answer = daemon.get(target);
        assert_eq!((answer.status, answer.code().as_str()), (404, "migration_off"), "{}", answer.text());
    }
    assert!(daemon.measures("swoosh_migration_mode{mode=\"off\"} 1"));
    let node = format!("http://{}", daemon.address);
    let said = site.tool(&["migration", "status", "--node", &node]);
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("migration_off") && said.contains("migration.upstream"), "{said}");
}

#[test]
fn the_command_line_says_what_is_wrong_and_what_would_do() {
    let moved = Move::new();
    let running = moved.start();
    let cases: [(&[&str], &str); 3] = [
        (&["sideways"], "write shadow, regions, cutover or bypass"),
        (&["regions"], "--region"),
        (&["cutover", "--region", "council"], "only mode regions names regions"),
    ];
    for (arguments, remedy) in cases {
        let (good, said) = running.try_switch(arguments);
        assert!(!good && said.contains(remedy), "{arguments:?}: {said}");
    }
    let (good, said) = running.command(&["mode", "bypass", "--rationale", "x", "--key", "/nowhere/operator.key"]);
    assert!(!good && said.contains("/nowhere/operator.key"), "{said}");
    let (good, said) = running.command(&["status"]);
    let status: Value = serde_json::from_str(&said).unwrap();
    assert!(good && status["upstream"] == moved.whoosh.url() && status["callers"][0]["name"] == "ci", "{said}");
}

#[test]
fn a_node_does_not_start_on_a_migration_that_cannot_be() {
    let unlimited = Move::with(|settings| {
        settings["identities"][delegate().public().to_string()].as_object_mut().unwrap().remove("delegate");
    });
    let keyless = Move::with(|settings| settings["migration"]["callers"]["ci"]["key"] = json!("nowhere.key"));
    let no_callers = Move::with(|settings| settings["migration"]["callers"] = json!({}));
    let open = Move::with(|settings| settings["migration"]["listen"] = json!("0.0.0.0:0"));
    let alone = Move::with(|settings| settings["migration"]["upstream"] = json!(null));
    let cases = [
        (unlimited, "more than a delegate may have"),
        (keyless, "nowhere.key"),
        (no_callers, "name a caller"),
        (open, "give it a token"),
        (alone, "set migration.upstream"),
    ];
    for (moved, remedy) in cases {
        let (code, said) = moved.site.start_refused();
        assert!(code == Some(1) && said.contains(remedy) && said.contains("runbooks/"), "{said}");
    }
}

/// Junk on `POST /migration/mode` cost its sender nothing.
#[test]
fn junk_orders_are_charged_and_an_operator_behind_the_same_address_is_heard() {
    let moved = Move::with(|settings| {
        settings["limits"] = json!({"failures": 100, "failures_forgiven_per_second": 1});
    });
    let running = moved.start();
    for (junk, code) in [(&b"{"[..], "bad_json"), (b"{}", "schema")] {
        let large = [junk, &vec![b' '; 200 << 10]].concat();
        let mut answers = Vec::new();
        while answers.last().is_none_or(|last: &Answer| last.status == 400) {
            assert!(answers.len() < 100, "junk is never turned away");
            answers.push(send(&running, &large));
        }
        let last = answers.pop().unwrap();
        assert_eq!((last.status, last.code()), (429, "too_many_requests".into()), "{}", last.text());
        assert!(answers.iter().all(|answer| answer.code() == code), "{code}");
    }
    let operator = moved.site.hands.get("operator").secret.clone();
    let order = order(MigrationMode::Bypass, 0, &operator).sign(&"test".parse().unwrap(), &operator);
    let answer = send(&running, &bytes(&order));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Junk that WHOOSH's clients send where SWOOSH decides cost its sender nothing.
#[test]
fn junk_of_whoosh_clients_is_charged_where_swoosh_decides() {
    let moved = Move::with(|settings| {
        settings["limits"] = json!({"failures": 100, "failures_forgiven_per_second": 1});
    });
    let running = moved.start();
    running.switch(&["cutover"]);
    let large = [&b"{"[..], &vec![b' '; 200 << 10]].concat();
    let mut statuses = Vec::new();
    while statuses.last().is_none_or(|status| *status == 400) {
        assert!(statuses.len() < 100, "junk is never turned away");
        statuses.push(post(running.clients, &large, &[]).status);
    }
    assert_eq!(statuses.pop(), Some(429));
    assert!(!statuses.is_empty());
}
