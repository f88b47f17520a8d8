//! The stages of docs/migration.md in their order, and back.

use serde_json::{Value, json};
use swoosh::types::names::Transition;

use super::{Move, Running, Script, body, get, key, post, words};

/// The script of a new project, run to its end; both sides agree afterwards.
#[track_caller]
fn carry(running: &Running<'_>, project: &str, keys: bool) -> Script {
    running.begin(project);
    let script = Script::lifecycle(&running.moved.site, project);
    script.run(running.clients, keys.then_some(&running.moved.site));
    script
}

/// Records of this project from the WAL: the transition, and whether SWOOSH decided it.
fn decided(running: &Running<'_>, project: &str) -> Vec<(String, bool)> {
    let page = running.daemon.get("/wal?from=1&limit=1000").json();
    let records = page["records"].as_array().unwrap().iter().map(|entry| &entry["record"]);
    let ours = records.filter(|record| record["project"] == project && record["evidence"] != json!([]));
    ours.map(|record| {
        let evidence = record["evidence"][0].as_str().unwrap();
        (record["transition"].as_str().unwrap().to_owned(), evidence.contains(":decided/"))
    })
    .collect()
}

fn in_regions(transition: &str, regions: &[&str]) -> bool {
    let region = transition.split('_').next().unwrap().to_lowercase();
    regions.contains(&region.as_str())
}

#[test]
fn one_unchanged_client_goes_through_every_stage_and_back() {
    let moved = Move::new();
    let running = moved.start();
    assert!(running.measures("swoosh_migration_mode{mode=\"shadow\"} 1"));

    // 1. Shadow: WHOOSH decides everything; SWOOSH comes to the same states.
    let script = carry(&running, "shadow", false);
    running.agree("shadow");
    assert!(script.steps.len() > 12 && moved.whoosh.accepted("shadow").len() == script.steps.len());
    assert!(decided(&running, "shadow").iter().all(|(_, here)| !here));

    // 2. Idempotency headers: the operator sees which callers send none, until all send them.
    let without = |running: &Running<'_>| running.view()["callers"][0]["without_key"].as_u64().unwrap();
    assert_eq!(without(&running), script.steps.len() as u64);
    carry(&running, "headers", true);
    running.agree("headers");
    assert_eq!(without(&running), script.steps.len() as u64);

    // 3. Region after region.
    let stages: [&[&str]; 3] =
        [&["council"], &["council", "ingestion"], &["council", "ingestion", "environment", "execution"]];
    for (number, regions) in stages.into_iter().enumerate() {
        running.switch(&["regions", "--region", &regions.join(",")]);
        let project = format!("regions-{number}");
        let script = carry(&running, &project, true);
        running.agree(&project);
        let decided = decided(&running, &project);
        assert!(decided.len() == script.steps.len(), "{decided:?}");
        assert!(decided.iter().all(|(name, here)| *here == in_regions(name, regions)), "{decided:?}");
        // WHOOSH has every decision exactly once, from either side.
        let expected: Vec<String> = script.steps.iter().map(|(transition, _)| transition.to_string()).collect();
        assert_eq!(moved.whoosh.accepted(&project), expected);
    }

    // 4. Cut-over: nothing is written to WHOOSH, also after a crash.
    running.switch(&["cutover"]);
    let sent = moved.whoosh.proposals();
    drop(running);
    let running = moved.start();
    let script = carry(&running, "cutover", true);
    assert_eq!((moved.whoosh.proposals(), moved.whoosh.accepted("cutover").len()), (sent, 0));
    assert!(running.measures("swoosh_migration_mode{mode=\"cutover\"} 1"));
    a_repeat_gets_the_first_answer(&running, &script);
    reads_have_whooshs_form(&running, "cutover");

    // The same order again changes nothing, and tells WHOOSH nothing.
    assert_eq!(running.switch(&["cutover"])["passed_on"], 0);
    assert_eq!(moved.whoosh.proposals(), sent);

    // And back: WHOOSH first gets every decision, then decides the next step.
    let switch = running.switch(&["bypass"]);
    assert_eq!(switch["passed_on"], script.steps.len());
    running.agree("cutover");
    let rework = body("cutover", Transition::ExecutionRework, &json!({"rationale": "Not yet."}));
    assert_eq!(post(running.clients, &rework, &[]).json()["hash"].as_str().map(str::len), Some(71));
    assert_eq!(moved.whoosh.phases("cutover")["Execution"], "WORK");
    running.agree("cutover");
    carry(&running, "bypass", true);
    running.agree("bypass");

    // Once more, and the soak on SWOOSH alone.
    running.switch(&["cutover"]);
    carry(&running, "soak", true);
    assert_eq!(moved.whoosh.accepted("soak"), Vec::<String>::new());
    assert_eq!(running.divergences(), Vec::<Value>::new());
    assert_eq!(running.view()["switches"], 7);
}

/// A client that lost the answer sends the same again.
fn a_repeat_gets_the_first_answer(running: &Running<'_>, script: &Script) {
    for number in [0, script.steps.len() - 1] {
        let (transition, inputs) = &script.steps[number];
        let header = format!("idempotency-key: {}", key(&running.moved.site, &script.project, *transition, number));
        let answer = post(running.clients, &body(&script.project, *transition, inputs), &[header]);
        assert_eq!((answer.status, answer.header("idempotency-replayed")), (202, Some("true")), "{}", answer.text());
        assert_eq!(answer.json()["transition"], transition.as_str());
    }
}

fn reads_have_whooshs_form(running: &Running<'_>, project: &str) {
    let state = get(running.clients, &format!("/state?project={project}&projection=Council,Ingestion")).json();
    assert_eq!(state["projection"]["Council"]["phase"], "READY");
    assert_eq!(state["projection"].as_object().unwrap().len(), 2);
    assert_eq!(state["hash"], running.daemon.get(&format!("/state?project={project}")).json()["hash"]);
    assert_eq!(get(running.clients, "/health").json()["status"], "ok");
}

#[test]
fn the_decision_record_names_the_caller_and_its_clock() {
    let moved = Move::new();
    let running = moved.start();
    running.begin("p");
    let script = Script::lifecycle(&moved.site, "p");
    let (transition, inputs) = &script.steps[0];
    let clock = "x-swoosh-hlc: 2025-10-19T03:23:45.678+02:00#7".to_owned();
    assert_eq!(post(running.clients, &body("p", *transition, inputs), &[clock]).status, 202);
    running.agree("p");
    let decision = running.daemon.get("/decisions/p/3").json();
    assert_eq!(decision["on_behalf_of"], "ci");
    let evidence = decision["evidence"][0].as_str().unwrap();
    assert_eq!(evidence, "ucxl://ci:whoosh@p:mirrored/*/hlc/1760837025678-7");
    assert_eq!(decision["signer"], super::delegate().public().to_string());
    assert_ne!(decision["hlc"], "2025-10-19T01:23:45.678+00:00#7", "the shim's own clock is signed");
}

#[test]
fn reads_show_each_region_from_the_side_that_decides_it() {
    let moved = Move::new();
    let running = moved.start();
    running.begin("p");
    running.switch(&["regions", "--region", "council"]);
    let script = Script::lifecycle(&moved.site, "p");
    script.run(running.clients, None);
    let shown = get(running.clients, "/state?project=p").json();
    let phases: Vec<_> = shown["projection"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(section, members)| (section.clone(), members["phase"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(phases, words(&moved.whoosh.phases("p")));
}

/// Clients that race for every step of a script: each step is accepted once.
#[track_caller]
fn race(running: &Running<'_>, project: &str) {
    running.begin(project);
    let (clients, script) = (running.clients, Script::lifecycle(&running.moved.site, project));
    for (transition, inputs) in &script.steps {
        let bytes = body(project, *transition, inputs);
        let racers: Vec<_> = (0..4)
            .map(|_| {
                let bytes = bytes.clone();
                std::thread::spawn(move || post(clients, &bytes, &[]).status)
            })
            .collect();
        let mut statuses: Vec<u16> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [202, 400, 400, 400], "{transition}");
    }
}

#[test]
fn racing_clients_are_decided_once_by_the_deciding_side_and_followed_in_order() {
    let moved = Move::new();
    let running = moved.start();
    race(&running, "shadow");
    running.agree("shadow");
    running.switch(&["regions", "--region", "council,execution"]);
    race(&running, "regions");
    running.agree("regions");
    running.switch(&["cutover"]);
    race(&running, "cutover");
    running.switch(&["bypass"]);
    running.agree("cutover");
    assert_eq!(running.divergences(), Vec::<Value>::new());
}
