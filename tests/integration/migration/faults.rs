//! WHOOSH fails in its ways, clients send what they should not, and nothing is lost, invented or answered 500.

use serde_json::{Value, json};
use swoosh::types::names::Transition;

use super::{Move, Running, Script, body, get, post, send};
use crate::support::driver::{Project, bytes};
use crate::support::http::{Answer, request};
use crate::support::whoosh::Fault;
use crate::support::world::Ask;

/// A daemon in shadow with one project, and its client's script.
fn begun<'a>(moved: &'a Move) -> (Running<'a>, Script) {
    let running = moved.start();
    running.begin("p");
    (running, Script::lifecycle(&moved.site, "p"))
}

/// Posts one step of a script; the status.
#[track_caller]
fn step(running: &Running<'_>, script: &Script, number: usize) -> u16 {
    let (transition, inputs) = &script.steps[number];
    post(running.clients, &body(&script.project, *transition, inputs), &[]).status
}

fn kinds(divergences: &[Value]) -> Vec<&str> {
    divergences.iter().map(|found| found["kind"].as_str().unwrap()).collect()
}

#[test]
fn a_difference_is_kept_with_both_sides_and_holds_the_cut_over_back_until_it_is_gone() {
    let moved = Move::new();
    let (running, script) = begun(&moved);
    moved.whoosh.set_fault(Fault::Forgets);
    assert_eq!(step(&running, &script, 0), 202, "WHOOSH's own answer");
    let found = running.diverges(1);
    assert_eq!((kinds(&found), &found[0]["project"], &found[0]["caller"]), (vec!["state"], &json!("p"), &json!("ci")));
    assert_eq!(found[0]["whoosh"], "{\"ingestion.phase\":\"DISCOVER\"}");
    assert_eq!(found[0]["swoosh"], "{\"ingestion.phase\":\"FETCH\"}");
    assert!(running.measures("swoosh_migration_divergences_total{kind=\"state\"} 1"));
    assert!(running.measures("swoosh_migration_projects_differing 1"));
    for mode in [&["cutover"][..], &["regions", "--region", "council"]] {
        let (good, said) = running.try_switch(mode);
        assert!(!good && said.contains("migration_diverged"), "{said}");
    }
    drop(running);
    let running = moved.start();
    running.daemon.wait_for("/migration", |answer| answer.json()["diverged"] == json!(["p"]));
    assert_eq!(running.divergences().last(), found.last(), "what was found is kept");

    // WHOOSH takes the step after all: now only the answers differ, and the states come together.
    moved.whoosh.set_fault(Fault::None);
    assert_eq!(step(&running, &script, 0), 202);
    running.daemon.wait_for("/migration", |answer| answer.json()["diverged"] == json!([]));
    let found = running.divergences();
    assert_eq!(found[0]["kind"], "answer");
    assert!(found[0]["swoosh"].as_str().unwrap().starts_with("not_enabled: "), "{}", found[0]);
    // They agree only since a short time: a switch that asks for a longer quiet time is refused and changes nothing.
    let (good, said) = running.try_switch(&["cutover", "--quiet-for", "1d"]);
    assert!(!good && said.contains("it was not quiet for 1d") && said.contains(" in all, the last one "), "{said}");
    assert_eq!(running.view()["switches"], 0);
    running.switch(&["cutover", "--quiet-for", "0s"]);
    let (good, said) = running.try_switch(&["bypass", "--quiet-for", "1h"]);
    assert!(!good && said.contains("not quiet for 1h"), "{said}");
}

#[test]
fn a_step_waits_until_the_one_before_was_quiet_for_as_long_as_was_asked() {
    let moved = Move::new();
    let (running, script) = begun(&moved);
    running.switch(&["regions", "--region", "council", "--quiet-for", "1d"]);
    assert_eq!(step(&running, &script, 0), 202);
    running.agree("p");
    let (good, said) = running.try_switch(&["cutover", "--quiet-for", "1d"]);
    assert!(!good && said.contains("regions council is in force for"), "{said}");
    let (good, said) = running.try_switch(&["cutover", "--quiet-for", "soon"]);
    assert!(!good && said.contains("is not a length of time"), "{said}");
    running.switch(&["cutover"]);
}

/// WHOOSH knows nothing of what SWOOSH decided since the cut-over: a log that was taken over must not ask it again.
#[test]
fn a_promoted_follower_goes_on_under_the_old_node_s_switches_or_does_not_start() {
    let moved = Move::new();
    let (running, script) = begun(&moved);
    running.switch(&["cutover"]);
    assert_eq!(step(&running, &script, 0), 202);
    let (site, node) = (&moved.site, &running.daemon);
    let follower = site.file("follower");
    let following = site.follow(node.address, &follower).unwrap();
    let last = node.last_index();
    following.wait_for("/health", |answer| answer.json()["last_index"].as_u64() == Some(last));
    following.terminate();
    running.daemon.kill();
    let promoted = site.run_in(&follower, &["promote", "--yes", "--reason", "a test"]);
    assert!(promoted.status.success(), "{promoted:?}");
    std::fs::copy(site.data().join("node.key"), follower.join("node.key")).unwrap();
    let (code, said) = site.start_in(&follower).err().expect("it starts without knowing who decides");
    assert!(
        code == Some(1) && said.contains("which says who decides") && said.contains("promote-follower.md"),
        "{said}"
    );
    std::fs::create_dir(follower.join("migration")).unwrap();
    for name in ["switches.jsonl", "position"] {
        std::fs::copy(site.data().join("migration").join(name), follower.join("migration").join(name)).unwrap();
    }
    let daemon = site.start_in(&follower).unwrap();
    assert_eq!(daemon.get("/migration").json()["routing"]["mode"], "cutover");
}

#[test]
fn divergent_verdicts_are_found_in_either_direction() {
    let moved = Move::new();
    let (running, script) = begun(&moved);
    let before = running.daemon.last_index();
    moved.whoosh.set_fault(Fault::Refuses);
    assert_eq!(step(&running, &script, 0), 400);
    let found = running.diverges(1);
    assert_eq!((kinds(&found), running.daemon.last_index()), (vec!["answer"], before), "a dry run changes nothing");
    assert!(found[0]["whoosh"].as_str().unwrap().contains("not today"));

    moved.whoosh.set_fault(Fault::Gullible);
    let locked = body("p", Transition::ExecutionPlanLocked, &json!({"plan_hash": "x"}));
    assert_eq!(post(running.clients, &locked, &[]).status, 202);
    // A divergence is listed when its comparison ends.
    running.diverges(2);
    let nonsense = br#"{"project": "p", "transition": "Council_Coup", "inputs": {"n": 1.5}}"#;
    assert_eq!(post(running.clients, nonsense, &[]).status, 202);
    let found = running.diverges(3);
    assert_eq!(kinds(&found)[..2], ["unreadable", "answer"]);
    assert!(running.measures("swoosh_migration_divergences_total{kind=\"unreadable\"} 1"));

    moved.whoosh.set_fault(Fault::WrongHash);
    assert_eq!(step(&running, &script, 0), 202);
    assert_eq!(running.diverges(4)[0]["kind"], "hash");
}

#[test]
fn a_whoosh_without_a_usable_answer_is_reported_within_the_timeout_and_counted() {
    let moved = Move::with(|settings| {
        settings["migration"]["timeout_ms"] = json!(1_000);
        settings["migration"]["answer_bytes"] = json!(65_536);
    });
    let (running, script) = begun(&moved);
    let before = running.daemon.last_index();
    let expected = [
        (Fault::Garbage, 502, "legacy_unreachable"),
        (Fault::HangsUp, 502, "legacy_unreachable"),
        (Fault::Endless, 502, "legacy_unreachable"),
        (Fault::Silent, 504, "legacy_timeout"),
    ];
    for (fault, status, code) in expected {
        moved.whoosh.set_fault(fault);
        let (transition, inputs) = &script.steps[0];
        for answer in [
            post(running.clients, &body("p", *transition, inputs), &[]),
            get(running.clients, "/state?project=p"),
            get(running.clients, "/health"),
        ] {
            assert_eq!((answer.status, answer.code().as_str()), (status, code), "{fault:?}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert!(answer.text().contains("runbooks/whoosh-dead.md"));
        }
    }
    assert_eq!(running.daemon.last_index(), before, "WHOOSH's result is unknown, so nothing is applied");
    assert!(running.measures("swoosh_migration_upstream_failures_total{cause=\"timeout\"} 3"));
    assert!(running.measures("swoosh_migration_upstream_failures_total{cause=\"unreachable\"} 9"));
    // Its own failures are its own words.
    moved.whoosh.set_fault(Fault::Fails);
    assert_eq!(step(&running, &script, 0), 500);
    moved.whoosh.set_fault(Fault::None);
    let answer = get(running.clients, "/state?project=p");
    assert_eq!((answer.status, answer.header("x-whoosh-build")), (200, Some("4.2")), "headers are handed through");
    assert_eq!((step(&running, &script, 0), kinds(&running.divergences())), (202, vec![]));
}

#[test]
fn decisions_whoosh_missed_are_passed_on_before_it_decides_again() {
    let moved = Move::new();
    let (running, script) = begun(&moved);
    running.switch(&["regions", "--region", "ingestion,council"]);
    moved.whoosh.set_fault(Fault::Fails);
    assert_eq!((step(&running, &script, 0), step(&running, &script, 1)), (202, 202), "SWOOSH decides without WHOOSH");
    running.daemon.wait_for("/migration", |answer| answer.json()["not_passed_on"] == 2);
    let environment = script.steps.iter().position(|(name, _)| *name == Transition::EnvironmentCapacityOk).unwrap();
    assert_eq!(step(&running, &script, environment), 502, "WHOOSH must know first what was decided");
    let (good, said) = running.try_switch(&["bypass"]);
    assert!(!good && said.contains("legacy_unreachable"), "{said}");
    assert_eq!(running.view()["routing"]["mode"], "regions", "a switch that is refused changes nothing");
    moved.whoosh.set_fault(Fault::None);
    running.agree("p");
    assert_eq!(moved.whoosh.accepted("p").len(), 2);
    assert!(moved.whoosh.keys("p").iter().all(Option::is_some), "WHOOSH gets the keys, so that it can drop duplicates");
    running.switch(&["bypass"]);
    assert_eq!(step(&running, &script, 2), 202);
    running.agree("p");
}

/// Each 4xx of a delivery counted as WHOOSH's refusal: what was decided while its token had expired, or while it limited
/// rates, never reached it.
#[test]
fn an_answer_of_whoosh_that_judges_nothing_is_tried_again() {
    let moved = Move::new();
    let (running, script) = begun(&moved);
    running.switch(&["regions", "--region", "ingestion,council"]);
    moved.whoosh.set_fault(Fault::Answers(429));
    assert_eq!(step(&running, &script, 0), 202);
    for status in [401, 403, 408, 425, 429] {
        moved.whoosh.set_fault(Fault::Answers(status));
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        assert_eq!(running.view()["not_passed_on"], 1, "{status} counts as delivered");
    }
    assert_eq!((moved.whoosh.accepted("p").len(), kinds(&running.divergences())), (0, vec![]));
    moved.whoosh.set_fault(Fault::None);
    running.agree("p");
    assert_eq!(moved.whoosh.accepted("p").len(), 1);
    // A delivery that WHOOSH always refuses must not block later ones.
    moved.whoosh.set_fault(Fault::Answers(404));
    assert_eq!(step(&running, &script, 1), 202);
    assert_eq!(kinds(&running.diverges(1)).last(), Some(&"delivery"));
    running.daemon.wait_for("/migration", |answer| answer.json()["not_passed_on"] == 0);
}

/// A restored log may end before the position of WHOOSH. The position was corrected in memory only, so after the next
/// restart the records written in between counted as delivered.
#[test]
fn a_position_beyond_the_log_is_corrected_for_good() {
    let moved = Move::new();
    let (running, script) = begun(&moved);
    running.switch(&["cutover"]);
    let last = running.daemon.last_index();
    running.daemon.terminate();
    let position = moved.site.data().join("migration/position");
    std::fs::write(&position, format!("{}\n", last + 2)).unwrap();
    moved.start().daemon.terminate();
    assert_eq!(std::fs::read_to_string(&position).unwrap(), format!("{last}\n"));
    let running = moved.start();
    for number in 0..3 {
        assert_eq!(step(&running, &script, number), 202);
    }
    running.daemon.terminate();
    let running = moved.start();
    assert_eq!(running.view()["not_passed_on"], 3);
    running.switch(&["bypass"]);
    assert_eq!(moved.whoosh.accepted("p").len(), 3);
}

/// The position of WHOOSH did not hold back pruning: once retention had passed it, every order to let WHOOSH decide again
/// was refused.
#[test]
fn records_not_yet_passed_on_to_whoosh_are_not_pruned() {
    let moved = Move::new();
    let (running, script) = begun(&moved);
    running.switch(&["cutover"]);
    let delivered = running.daemon.last_index();
    for number in 0..4 {
        assert_eq!(step(&running, &script, number), 202);
    }
    running.daemon.terminate();
    let exporters = || {
        let journal = swoosh::journal::Journal::open_read_only(moved.site.data().join("journal")).unwrap();
        (journal.export_floor().unwrap(), journal.export_positions().unwrap())
    };
    let (floor, positions) = exporters();
    assert_eq!(floor, Some(delivered), "{positions:?}");
    let running = moved.start();
    running.switch(&["bypass"]);
    assert_eq!(moved.whoosh.accepted("p").len(), 4);
    running.daemon.terminate();
    assert_eq!(exporters().0, None, "WHOOSH decides everything and gets no deliveries");
}

#[test]
fn nothing_that_a_client_sends_is_answered_500_or_changes_anything() {
    let moved = Move::new();
    let (running, _) = begun(&moved);
    running.switch(&["cutover"]);
    let before = running.daemon.last_index();
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let bodies: [&[u8]; 12] = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{\"transition\": 7}",
        b"{\"transition\": \"Council_Coup\"}",
        b"{\"transition\": \"Council_McpGreen\", \"project\": \"No Project\"}",
        b"{\"transition\": \"Council_McpGreen\", \"evidence\": \"x\"}",
        b"{\"transition\": \"Council_McpGreen\", \"inputs\": {\"a\": 1, \"a\": 2}}",
        b"{\"transition\": \"Council_McpGreen\", \"signature\": \"ed25519:AAAA\"}",
        deep.as_bytes(),
    ];
    for bytes in bodies {
        let answer = post(running.clients, bytes, &[]);
        assert_eq!((answer.status, &answer.json()["status"]), (400, &json!("rejected")), "{}", answer.text());
        assert!(answer.json()["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    }
    let green = body("p", Transition::CouncilMcpGreen, &json!({}));
    for header in ["idempotency-key: nonsense", "x-swoosh-hlc: noon", "x-swoosh-window-id: W", "idempotency-key: "] {
        assert_eq!(post(running.clients, &green, &[header.to_owned()]).status, 400, "{header}");
    }
    let twice =
        ["idempotency-key: a:1:council:aaaaaaaa".to_owned(), "idempotency-key: b:1:council:aaaaaaaa".to_owned()];
    assert_eq!(post(running.clients, &green, &twice).json()["code"], "header_conflict");
    for (method, target, status) in [
        ("PUT", "/transition", 405),
        ("GET", "/transition", 405),
        ("GET", "/wal?from=1", 404),
        ("GET", "/state?project=missing", 404),
        ("GET", "/state?project=No%20Body", 400),
        ("GET", "/state?project=p&projection=nothing", 400),
    ] {
        let answer = send(running.clients, &request(method, target, &[], b""));
        assert_eq!(answer.status, status, "{method} {target}: {}", answer.text());
    }
    let long = vec![b' '; 2 << 20];
    assert_eq!(post(running.clients, &long, &[]).status, 413);
    assert_eq!((running.daemon.last_index(), get(running.clients, "/health").status), (before, 200));
}

#[test]
fn a_delegate_does_nothing_beyond_its_limits_and_signed_proposals_pass_as_they_are() {
    let moved = Move::new();
    let (running, _) = begun(&moved);
    running.switch(&["cutover"]);
    let pause = body("p", Transition::ControlPause, &json!({"rationale": "because"}));
    let answer = post(running.clients, &pause, &[]);
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("role_not_allowed")), "{}", answer.text());
    assert_eq!(answer.json()["guard"], "identity");
    let mut project = Project::new(&moved.site, "p");
    project.refresh(&running.daemon);
    let signed = project.signed(&Ask::new(Transition::ControlPause));
    let answer = post(running.clients, &bytes(&signed), &[]);
    assert_eq!((answer.status, &answer.json()["transition"]), (202, &json!("Control_Pause")), "{}", answer.text());
    let decision = running.daemon.get("/decisions/p/3").json();
    assert_eq!((&decision["signer"], decision.get("on_behalf_of")), (&json!(signed.proposal.signer), None));
}

#[test]
fn callers_are_distinguished_by_their_tokens() {
    let moved = Move::with(|settings| {
        settings["migration"]["callers"]["ci"]["token"] = json!("secret:ci-token");
        settings["secrets"] = json!({"file": "secrets.age", "identity": "identity.age"});
    });
    let path = |name: &str| moved.site.file(name).to_str().unwrap().to_owned();
    let made = moved.site.tool(&["secrets", "identity", "--out", &path("identity.age")]);
    let recipient = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    std::fs::write(moved.site.file("plain.yaml"), "ci-token: let-me-in-please\n").unwrap();
    let sealed = ["secrets", "encrypt", &path("plain.yaml"), "--recipient", &recipient, "--out", &path("secrets.age")];
    assert!(moved.site.tool(&sealed).status.success());
    let (running, script) = begun(&moved);
    assert_eq!(step(&running, &script, 0), 202, "shadow mode refuses no caller");
    let found = running.diverges(1);
    assert_eq!((kinds(&found), found[0].get("caller")), (vec!["caller"], None));
    let (transition, inputs) = &script.steps[0];
    let again = |headers: &[String]| post(running.clients, &body("p", *transition, inputs), headers);
    moved.whoosh.add("p");
    let shown = ["authorization: Bearer let-me-in-please".to_owned()];
    assert_eq!(again(&shown).status, 202);
    running.agree("p");
    running.switch(&["cutover"]);
    for headers in [&[][..], &["authorization: Bearer guessed".into()], &["authorization: Basic x".into()]] {
        let answer = again(headers);
        assert_eq!((answer.status, answer.code().as_str()), (403, "caller_unknown"), "{}", answer.text());
        assert!(!answer.text().contains("let-me-in"), "{}", answer.text());
    }
    assert_eq!(get(running.clients, "/state?project=p").code(), "caller_unknown");
    assert_eq!(again(&shown).json()["code"], "not_enabled");
}

#[test]
fn effects_run_here_only_where_swoosh_decides() {
    let moved = Move::with(|settings| settings["effects"] = json!({"allocate": "builtin"}));
    let (running, script) = begun(&moved);
    let mode = |running: &Running<'_>| {
        let effects = running.daemon.get("/effects?project=p").json();
        let rows = effects["effects"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["effect"] == "allocate").map(|row| row["mode"].clone())
    };
    assert_eq!(mode(&running), Some(json!("external")), "WHOOSH's workers do it");
    assert_eq!(step(&running, &script, 0), 202);
    running.agree("p");
    assert_eq!(moved.whoosh.phases("p")["Environment"], "ALLOCATE");
    running.switch(&["regions", "--region", "environment"]);
    // The node does it now, and WHOOSH hears of it without anybody's request.
    running.daemon.wait_for("/effects?project=p", |_| mode(&running).is_none());
    // The effect is closed with the write, and the state is shown when that is on disk.
    let provisions = |answer: &Answer| answer.json()["projection"]["environment"]["phase"] == "PROVISION";
    running.daemon.wait_for("/state?project=p", provisions);
    running.agree("p");
    assert_eq!(moved.whoosh.phases("p")["Environment"], "PROVISION");
}

/// WHOOSH's workers may be at it when SWOOSH takes the region over: the node built beside them, as attempt 1.
#[test]
fn provisioning_that_whoosh_s_workers_may_have_begun_is_reported_as_unknown_at_a_switch() {
    let moved = Move::with(|settings| {
        settings["effects"] = json!({
            "provision": "builtin", "healthcheck": "builtin", "release": "builtin",
            "builds": [{"environment": "dev", "builder": "source.file.linux-image"}],
        });
    });
    let (running, script) = begun(&moved);
    let last =
        script.steps.iter().position(|(transition, _)| *transition == Transition::EnvironmentCapacityOk).unwrap();
    (0..=last).for_each(|number| assert_eq!(step(&running, &script, number), 202));
    running.agree("p");
    running.switch(&["regions", "--region", "environment"]);
    let wal = || running.daemon.get("/wal?project=p&limit=1000").text();
    running.daemon.wait_for("/wal?project=p&limit=1000", |_| wal().contains("Environment_Installed"));
    let log = wal();
    assert_eq!(log.matches("\"unknown\":true").count(), 1, "{log}");
    assert!(log.find("Environment_ProvisionFailed") < log.find("Environment_Installed"), "{log}");
}

#[test]
fn a_project_that_only_whoosh_has_holds_the_cut_over_back() {
    let moved = Move::new();
    let (running, script) = begun(&moved);
    moved.whoosh.add("stray");
    let (transition, inputs) = &script.steps[0];
    assert_eq!(post(running.clients, &body("stray", *transition, inputs), &[]).status, 202);
    let found = running.diverges(2);
    assert_eq!((kinds(&found), &found[0]["project"]), (vec!["state", "answer"], &json!("stray")));
    drop(running);
    let running = moved.start();
    let (good, said) = running.try_switch(&["cutover"]);
    assert!(!good && said.contains("stray"), "{said}");
}
