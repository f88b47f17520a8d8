//! WHOOSH is dead: an operator cuts over without the comparison, by a signed flag that the switch keeps.

use serde_json::{Value, json};
use swoosh::types::hlc::Hlc;
use swoosh::types::migration::{MigrationMode, Order, Routing, SignedOrder};
use swoosh::types::names::Region;
use swoosh::types::text::ClusterId;

use super::{Move, Running, Script, body, get, post};
use crate::support::daemon::now_ms;
use crate::support::http::{Answer, request};
use crate::support::whoosh::Fault;

const BLIND: &[&str] = &["cutover", "--without-comparison", "--yes"];

/// Posts one step of a script.
#[track_caller]
fn step(running: &Running<'_>, script: &Script, number: usize) -> Answer {
    let (transition, inputs) = &script.steps[number];
    post(running.clients, &body(&script.project, *transition, inputs), &[])
}

fn send(running: &Running<'_>, order: &SignedOrder) -> Answer {
    let document = serde_json::to_vec(order).unwrap();
    let length = format!("content-length: {}", document.len());
    let head = ["content-type: application/json", &length];
    running.daemon.send(&request("POST", "/migration/mode", &head, &document))
}

#[track_caller]
fn refused(running: &Running<'_>, arguments: &[&str], code: &str) {
    let switches = running.view()["switches"].clone();
    let (good, said) = running.try_switch(arguments);
    assert!(!good && said.contains(code), "{arguments:?}: {said}");
    assert_eq!(running.view()["switches"], switches, "a refused order changes nothing");
}

/// Clients got 502 for ever, because the cut-over needs the comparison and WHOOSH could not be asked.
#[test]
fn a_dead_whoosh_is_left_behind_by_a_signed_order_that_is_kept() {
    for bypassed in [false, true] {
        let moved = Move::new();
        let running = moved.start();
        running.begin("p");
        if bypassed {
            running.switch(&["bypass"]);
        }
        let script = Script::lifecycle(&moved.site, "p");
        assert_eq!(step(&running, &script, 0).status, 202);
        running.agree("p");
        moved.whoosh.set_fault(Fault::HangsUp);
        let answer = step(&running, &script, 1);
        assert_eq!((answer.status, answer.code().as_str()), (502, "legacy_unreachable"));
        assert_eq!(get(running.clients, "/state?project=p").status, 502);
        assert!(running.view()["outage"]["failures"].as_u64() >= Some(2), "{}", running.view());

        refused(&running, &["cutover"], "legacy_unreachable");
        refused(&running, &["cutover", "--without-comparison"], "\"switched\": false");
        let switch = running.switch(BLIND);
        assert_eq!(switch["order"]["order"]["without_comparison"], true);
        assert!(switch["uncompared"]["reason"].as_str().unwrap().contains("WHOOSH"), "{switch}");
        assert_eq!(switch["uncompared"]["differing"], 0);

        let answer = step(&running, &script, 1);
        assert_eq!((answer.status, &answer.json()["status"]), (202, &json!("accepted")), "{}", answer.text());
        drop(running);
        let running = moved.start();
        assert_eq!(running.view()["routing"], json!({"mode": "cutover"}), "it outlives a crash");
        assert_eq!(running.view()["last_switch"], switch);
        assert_eq!(step(&running, &script, 2).status, 202);
        let node = format!("http://{}", running.daemon.address);
        let said = moved.site.tool(&["migration", "status", "--node", &node]);
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains("without comparison") && said.contains("The plan says so."), "{said}");

        // WHOOSH comes back after all: it hears what was decided without it, and is compared again.
        refused(&running, &["bypass"], "legacy_unreachable");
        moved.whoosh.set_fault(Fault::None);
        assert_eq!(running.switch(&["bypass"])["passed_on"], 2);
        running.agree("p");
        assert!(running.switch(&["cutover"]).get("uncompared").is_none());
    }
}

/// With nothing to pass on, `bypass` asked WHOOSH nothing: a dead one was to decide, and every client got 502.
#[test]
fn regions_go_back_only_to_a_whoosh_that_answers() {
    let moved = Move::new();
    let running = moved.start();
    running.begin("p");
    let script = Script::lifecycle(&moved.site, "p");
    for forward in [&["cutover"][..], &["regions", "--region", "ingestion"]] {
        running.switch(forward);
        moved.whoosh.set_fault(Fault::HangsUp);
        for back in ["bypass", "shadow"] {
            refused(&running, &[back], "legacy_unreachable");
        }
        moved.whoosh.set_fault(Fault::None);
        running.switch(&["bypass"]);
    }
    running.switch(&["cutover"]);
    assert_eq!(step(&running, &script, 0).status, 202);
}

/// The flag excuses silence. A WHOOSH that answers is compared, and a difference holds the switch back.
#[test]
fn a_whoosh_that_answers_is_compared_whatever_the_order_says() {
    let moved = Move::new();
    let running = moved.start();
    running.begin("p");
    let script = Script::lifecycle(&moved.site, "p");
    moved.whoosh.set_fault(Fault::Forgets);
    assert_eq!(step(&running, &script, 0).status, 202);
    running.diverges(1);
    refused(&running, BLIND, "migration_diverged");
    // It dies with the difference: the switch keeps which projects are known to differ.
    moved.whoosh.set_fault(Fault::Fails);
    let switch = running.switch(BLIND);
    assert_eq!((&switch["uncompared"]["differing"], &switch["uncompared"]["projects"]), (&json!(1), &json!(["p"])));

    let moved = Move::new();
    let running = moved.start();
    running.begin("p");
    let switch = running.switch(BLIND);
    assert!(switch.get("uncompared").is_none() && switch["order"]["order"]["without_comparison"] == true, "{switch}");
}

/// Mode regions has the same dead end: WHOOSH must hear everything before the next switch.
#[test]
fn a_whoosh_that_dies_in_mode_regions_is_left_behind_and_hears_of_everything_later() {
    let moved = Move::with(|settings| settings["migration"]["timeout_ms"] = json!(1_000));
    let running = moved.start();
    running.begin("p");
    running.switch(&["regions", "--region", "ingestion"]);
    let script = Script::lifecycle(&moved.site, "p");
    moved.whoosh.set_fault(Fault::Silent);
    assert_eq!(step(&running, &script, 0).status, 202, "SWOOSH decides ingestion");
    refused(&running, &["cutover"], "legacy_timeout");
    let switch = running.switch(BLIND);
    assert_eq!(switch["uncompared"]["not_passed_on"], 1, "{switch}");
    assert_eq!(step(&running, &script, 1).status, 202);
    moved.whoosh.set_fault(Fault::None);
    assert_eq!(running.switch(&["bypass"])["passed_on"], 2);
    running.agree("p");
}

/// Behind a closed network gate WHOOSH was not asked at all, and clients that were pointed at it may go on changing it.
#[test]
fn a_closed_network_gate_is_no_dead_whoosh() {
    let moved = Move::new();
    std::fs::write(moved.site.file("facts.json"), "[]").unwrap();
    let running = moved.start();
    let mut project = crate::support::driver::Project::new(&moved.site, "p");
    project.accept(&running.daemon, swoosh::types::names::Transition::BootConfigOk);
    refused(&running, BLIND, "network gate is closed");
}

#[test]
fn only_a_signed_cut_over_goes_without_the_comparison() {
    let moved = Move::new();
    let running = moved.start();
    running.begin("p");
    moved.whoosh.set_fault(Fault::HangsUp);
    let (cluster, operator): (ClusterId, _) =
        ("test".parse().unwrap(), moved.site.hands.get("operator").secret.clone());
    let order = |mode, regions: &[Region], without_comparison| Order {
        routing: Routing { mode, regions: regions.iter().copied().collect() },
        follows: 0,
        rationale: "WHOOSH is gone.".parse().unwrap(),
        hlc: Hlc::new(now_ms(), 0).unwrap(),
        without_comparison,
        signer: operator.public(),
    };
    for (mode, regions) in
        [(MigrationMode::Shadow, &[][..]), (MigrationMode::Bypass, &[]), (MigrationMode::Regions, &[Region::Council])]
    {
        let answer = send(&running, &order(mode, regions, true).sign(&cluster, &operator));
        assert_eq!((answer.status, answer.code().as_str()), (400, "schema"), "{mode}: {}", answer.text());
    }
    refused(&running, &["bypass", "--without-comparison", "--yes"], "only mode cutover");
    refused(&running, &["cutover", "--yes"], "--without-comparison");
    // A man in the middle sets the flag.
    let mut tampered = order(MigrationMode::Cutover, &[], false).sign(&cluster, &operator);
    tampered.order.without_comparison = true;
    assert_eq!(send(&running, &tampered).code(), "signature_invalid");
    let mut stripped: Value = json!(order(MigrationMode::Cutover, &[], true).sign(&cluster, &operator));
    stripped["order"].as_object_mut().unwrap().remove("without_comparison");
    let stripped: SignedOrder = serde_json::from_value(stripped).unwrap();
    assert_eq!(send(&running, &stripped).code(), "signature_invalid");
    let agent = moved.site.hands.get("agent").secret.clone();
    let stranger = Order { signer: agent.public(), ..order(MigrationMode::Cutover, &[], true) };
    assert!(
        ["identity_unknown", "role_not_allowed"]
            .contains(&send(&running, &stranger.sign(&cluster, &agent)).code().as_str())
    );
    let good = order(MigrationMode::Cutover, &[], true).sign(&cluster, &operator);
    assert_eq!(send(&running, &good).json()["uncompared"]["not_passed_on"], 0);
    assert_eq!(send(&running, &good).code(), "order_stale");
}
