//! Proposals of WHOOSH's clients in the node's own metrics, by the side that decides them.

use serde_json::{Value, json};
use swoosh::types::names::Transition;

use super::{Move, Running, Script, body, post, send};
use crate::support::driver::{Project, bytes};
use crate::support::http::request;
use crate::support::sockets::eventually;
use crate::support::world::Ask;

/// The value of a series; 0 where it is missing.
fn value(running: &Running<'_>, series: &str) -> u64 {
    let text = running.daemon.get("/metrics").text();
    let found = text.lines().find_map(|line| line.strip_prefix(series).and_then(|rest| rest.strip_prefix(' ')));
    found.map_or(0, |found| found.parse().unwrap())
}

/// Accepted, refused and failed proposals of callers.
fn outcomes(running: &Running<'_>) -> [u64; 3] {
    ["accepted", "refused", "failed"]
        .map(|outcome| value(running, &format!("swoosh_proposal_total{{outcome=\"{outcome}\"}}")))
}

/// After the cut-over the node's only callers were the clients of WHOOSH, and its error objective was that of no proposals.
#[test]
fn proposals_of_whoosh_s_clients_are_in_the_error_objective_where_swoosh_decides() {
    let moved = Move::new();
    let running = moved.start();
    running.begin("p");
    let script = Script::lifecycle(&moved.site, "p");
    let [begun, refused, failed] = outcomes(&running);
    let step = |number: usize| {
        let (transition, inputs): &(Transition, Value) = &script.steps[number];
        post(running.clients, &body("p", *transition, inputs), &[]).status
    };
    // WHOOSH decides: its answers are not SWOOSH's, and SWOOSH's own copy has no caller.
    assert_eq!(step(0), 202);
    running.agree("p");
    assert_eq!(outcomes(&running), [begun, refused, failed]);
    running.switch(&["cutover"]);
    assert_eq!((step(1), step(2)), (202, 202));
    assert_eq!(outcomes(&running), [begun + 2, refused, failed]);
    // A delegate pauses nothing.
    let pause = body("p", Transition::ControlPause, &json!({"rationale": "lunch"}));
    assert_eq!(post(running.clients, &pause, &[]).status, 400);
    assert_eq!(outcomes(&running), [begun + 2, refused + 1, failed]);
}

/// On the listener of WHOOSH's clients, requests that do not verify were neither counted, listed nor logged, and named no guard.
#[test]
fn unverified_proposals_of_whooshs_clients_are_counted_listed_and_name_their_guard() {
    let moved = Move::new();
    let running = moved.start();
    running.begin("p");
    running.switch(&["cutover"]);
    let mut project = Project::new(&moved.site, "p");
    project.refresh(&running.daemon);
    let mut forged: Value =
        serde_json::from_slice(&bytes(&project.signed(&Ask::new(Transition::ControlPause)))).unwrap();
    forged["idem_key"] = json!("p:0:control:another-key");
    let forged = forged.to_string().into_bytes();
    let before = outcomes(&running);
    let json_of = |body: &[u8]| {
        let length = format!("content-length: {}", body.len());
        request("POST", "/transition", &["content-type: application/json", &length], body)
    };
    for (sent, code) in [
        (json_of(b"{"), "bad_json"),
        (json_of(b"{\"project\":\"p\"}"), "schema"),
        (json_of(&forged), "signature_invalid"),
        (
            request("POST", "/transition", &["content-type: text/plain", "content-length: 2"], b"{}"),
            "unsupported_media_type",
        ),
    ] {
        let counted = || {
            let guard = value(&running, "swoosh_guard_fail_total{guard=\"signature\"}");
            [guard, value(&running, &format!("swoosh_rejection_total{{code=\"{code}\"}}"))]
        };
        let [guard, refusals] = counted();
        let answer = send(running.clients, &sent).json();
        assert_eq!((&answer["code"], &answer["guard"]), (&json!(code), &json!("signature")), "{answer}");
        assert_eq!(counted(), [guard + 1, refusals + 1], "{code}");
        let listed = running.daemon.get("/rejections").json()["rejections"].as_array().unwrap().clone();
        assert!(
            listed.iter().any(|entry| entry["code"] == code && entry["guard"] == "signature"),
            "{code}: {listed:?}"
        );
        let is_line =
            |line: &String| line.contains("proposal refused") && line.contains(&format!("\"code\":\"{code}\""));
        eventually("the log line of the refusal", || running.daemon.log().iter().any(is_line));
    }
    assert_eq!(outcomes(&running), before, "anybody can send these without end");
}
