//! A live beat source leads the schedule of a daemon.

use serde_json::{Value, json};
use swoosh::types::backbeat::{BeatClaim, Schedule};
use swoosh::types::hlc::Hlc;
use swoosh::types::keys::SecretKey;
use swoosh::types::names::{Region, Transition};
use swoosh::types::text::ClusterId;

use super::{eventually, site};
use crate::support::daemon::{Daemon, Site, now_ms};
use crate::support::driver::Project;
use crate::support::route::{self, Goal};
use crate::support::world::Ask;
use swoosh_standins::Manner;
use swoosh_standins::teller::Teller;

const BEAT_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;

fn beats() -> SecretKey {
    SecretKey::from_bytes(&[77; 32])
}

fn hlc(ms: u64) -> Hlc {
    Hlc::new(ms, 0).unwrap()
}

/// The beat that runs when a test begins.
const BEGUN: u64 = 600;

/// Cycles of a day with beats of a minute. Plan is always open. Review and reverb are open twice, for an hour each:
/// `ahead` beats from now, and again twenty beats later.
fn opening_later(ahead: u64) -> Value {
    let always = json!([{"phase_beats": 0, "length_beats": 1440}]);
    let twice = json!([
        {"phase_beats": BEGUN + ahead, "length_beats": 60}, {"phase_beats": BEGUN + ahead + 80, "length_beats": 60},
    ]);
    json!({
        "epoch": hlc(now_ms() - 10 * DAY_MS - BEGUN * BEAT_MS), "beat_ms": BEAT_MS, "cycle_beats": 1440,
        "windows": {"plan": always, "review": twice, "reverb": twice},
    })
}

fn led_site(schedule: Value, source: &str, change: impl FnOnce(&mut Value)) -> Site {
    let source = source.to_owned();
    site(schedule, |settings| {
        // The platform stays the source of all other facts.
        let platform = settings["facts"]["sources"]["license"].clone();
        for kind in ["tooling", "capacity", "health", "liveness"] {
            settings["facts"]["sources"][kind] = platform.clone();
        }
        settings["backbeat"] = json!({
            "file": "backbeat.yaml", "source": source, "source_key": beats().public(), "poll_ms": 100,
            "max_shift_ms": 120 * BEAT_MS,
        });
        change(settings);
    })
}

fn cluster() -> ClusterId {
    "test".parse().unwrap()
}

/// A signed beat: the beat that runs now by the schedule began so much earlier, as the source has it.
fn beat(schedule: &Schedule, earlier_ms: u64, pressure: u64) -> String {
    let now = now_ms();
    let running = schedule.nominal().beat_at(hlc(now));
    let began_ms = schedule.nominal().beat_begins_ms(running) - earlier_ms;
    let claim = BeatClaim {
        source: beats().public(),
        observed_at: hlc(now),
        valid_until: hlc(now + 3_600_000),
        beat: running,
        began_at: hlc(began_ms),
        beat_ms: BEAT_MS,
        pressure: Some(pressure),
    };
    serde_json::to_string(&claim.sign(&cluster(), &beats())).unwrap()
}

fn outlook(daemon: &Daemon) -> Value {
    daemon.get("/windows").json()["outlook"].clone()
}

fn shift_ms(daemon: &Daemon) -> i64 {
    outlook(daemon)["shift_ms"].as_i64().unwrap()
}

/// Lets the source lead so many beats before the schedule, and waits until the daemon follows.
fn lead(site: &Site, daemon: &Daemon, teller: &Teller, beats: u64, projects: &mut [Project<'_>]) {
    teller.say(&beat(&site.schedule, beats * BEAT_MS, 900));
    eventually("the source leads", || shift_ms(daemon) == -i64::try_from(beats * BEAT_MS).unwrap());
    let schedule: Schedule = serde_json::from_value(daemon.get("/windows").json()["schedule"].clone()).unwrap();
    projects.iter_mut().for_each(|project| project.schedule = schedule.clone());
}

/// A transition signed so many minutes ago, but after the project's last one.
fn signed_ago(project: &Project<'_>, transition: Transition, minutes: u64) -> Ask {
    let last = project.head.state().hlc_last.as_ref().as_ref().map_or(Hlc::default(), |last| last.hlc);
    Ask::new(transition).at(last.tick(now_ms() - minutes * BEAT_MS).unwrap())
}

fn drive_ago(project: &mut Project<'_>, daemon: &Daemon, state: &str, minutes: u64) {
    while let Some(transition) = route::next(project.head.state(), Goal::new(Region::Execution, state)) {
        let ask = signed_ago(project, transition, minutes);
        project.propose(daemon, &ask).receipt();
    }
}

/// Transitions that need a window, one per project: one in WORK, two in REVIEW, one in REVERB.
const GATED: [Transition; 4] = [
    Transition::ExecutionBeatReviewGate,
    Transition::ExecutionApprove,
    Transition::ExecutionApprovalsThreshold,
    Transition::ExecutionSubmit,
];

fn all_refused(projects: &mut [Project<'_>], daemon: &Daemon, minutes: u64, why: &str) {
    for (project, transition) in projects.iter_mut().zip(GATED) {
        let ask = signed_ago(project, transition, minutes);
        let refused = project.propose(daemon, &ask).json();
        let reasons: Vec<String> = serde_json::from_value(refused["reasons"].clone()).unwrap();
        let closed: Vec<_> = reasons.iter().filter(|reason| reason.contains("window is closed")).collect();
        assert!(closed.len() == 1 && closed[0].contains(why), "{transition}: {refused}");
    }
}

#[test]
fn an_open_window_is_required_at_the_proposals_time_and_at_the_nodes() {
    let teller = Teller::start("").unwrap();
    let site = led_site(opening_later(5), &teller.stream(), |settings| {
        settings["clock"] = json!({"max_behind_ms": 3_600_000});
    });
    let daemon = site.start();
    let mut projects = ["work", "review", "approved", "reverb"].map(|name| Project::new(&site, name));
    projects.iter_mut().for_each(|project| drive_ago(project, &daemon, "WORK", 50));
    let closed = projects[0].propose(&daemon, &Ask::new(Transition::ExecutionBeatReviewGate)).json();
    assert_eq!(closed["guard"], "window", "{closed}");
    assert!(closed["retry_after_ms"].as_u64().unwrap() <= 5 * BEAT_MS, "{closed}");
    // The first windows opened forty beats ago.
    lead(&site, &daemon, &teller, 45, &mut projects);
    for (project, state) in projects[1..].iter_mut().zip(["REVIEW", "REVIEW", "REVERB"]) {
        drive_ago(project, &daemon, state, 30);
    }
    let approve = Transition::ExecutionApprove;
    for _ in 0..2 {
        let ask = signed_ago(&projects[2], approve, 30);
        projects[2].propose(&daemon, &ask).receipt();
    }
    // They closed five beats ago, and were open ten beats ago.
    lead(&site, &daemon, &teller, 70, &mut projects);
    all_refused(&mut projects, &daemon, 10, "the node's time");
    // The second ones opened five beats ago; ten beats ago all were closed.
    lead(&site, &daemon, &teller, 90, &mut projects);
    assert_eq!((&outlook(&daemon)["pressure"], &outlook(&daemon)["led"]), (&json!(900), &json!(true)));
    all_refused(&mut projects, &daemon, 10, "the proposal's time");
    for (project, transition) in projects.iter_mut().zip(GATED) {
        project.accept(&daemon, transition);
    }
}

#[test]
fn pressure_of_the_source_scales_what_callers_are_asked_to_wait() {
    let teller = Teller::start("").unwrap();
    let site = led_site(opening_later(5), &teller.once(), |_| {});
    let daemon = site.start();
    let mut project = Project::new(&site, "default");
    project.drive(&daemon, Region::Council, "ELECT");
    let stale = |project: &mut Project<'_>| {
        let mut ask = Ask::new(Transition::ControlPause);
        ask.head = Some(swoosh::types::hash::Hash::ZERO);
        project.propose(&daemon, &ask).json()["retry_after_ms"].as_u64().unwrap()
    };
    assert_eq!(stale(&mut project), 20);
    teller.say(&beat(&site.schedule, 0, 1_000));
    eventually("the pressure is full", || outlook(&daemon)["pressure"] == 1_000);
    assert_eq!(stale(&mut project), 100);
}

#[test]
fn the_schedule_holds_on_when_the_source_lies_goes_away_or_the_node_starts_again() {
    let mut teller = Teller::start("").unwrap();
    let site = led_site(opening_later(5), &teller.stream(), |_| {});
    let daemon = site.start();
    eventually("the license opens the way", || teller.requests() > 0);
    teller.say(&beat(&site.schedule, 3 * BEAT_MS, 100));
    eventually("the source leads", || shift_ms(&daemon) == -(3 * BEAT_MS as i64));
    // It may not take beats back, lead too far, or speak with another's voice.
    let other = SecretKey::from_bytes(&[78; 32]);
    let claim: swoosh::types::backbeat::BeatNote = serde_json::from_str(&beat(&site.schedule, 4 * BEAT_MS, 1)).unwrap();
    let foreign = BeatClaim { source: other.public(), ..claim.claim.clone() }.sign(&cluster(), &other);
    let forged = claim.claim.sign(&cluster(), &other);
    let bad = [
        beat(&site.schedule, 0, 1),
        beat(&site.schedule, 121 * BEAT_MS, 1),
        serde_json::to_string(&foreign).unwrap(),
        serde_json::to_string(&forged).unwrap(),
        "{\"claim\": 1}".to_owned(),
    ];
    for (words, document) in
        ["beat back", "at most 7200000 ms", "source_key", "signature", "not a signed beat"].iter().zip(&bad)
    {
        teller.say(document);
        eventually(words, || daemon.log().iter().any(|line| line.contains(words)));
    }
    assert_eq!(shift_ms(&daemon), -(3 * BEAT_MS as i64));
    teller.go_away();
    let beat_before = outlook(&daemon)["beat"].as_u64().unwrap();
    daemon.terminate();
    let daemon = site.start();
    assert_eq!(shift_ms(&daemon), -(3 * BEAT_MS as i64));
    assert!(outlook(&daemon)["beat"].as_u64().unwrap() >= beat_before);
    teller.behave(Manner::Floods);
    teller.come_back().unwrap();
    eventually("a flood is logged", || daemon.log().iter().any(|line| line.contains("is not taken")));
    teller.behave(Manner::Well);
    teller.go_away();
    teller.come_back().unwrap();
    teller.say(&beat(&site.schedule, 4 * BEAT_MS, 100));
    eventually("it leads again", || shift_ms(&daemon) == -(4 * BEAT_MS as i64));
}

#[test]
fn the_command_shows_what_a_node_and_a_file_have() {
    let site = site(opening_later(5), |_| {});
    let daemon = site.start();
    let program = env!("CARGO_BIN_EXE_swoosh");
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(program).arg("windows").args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let url = format!("http://{}", daemon.address);
    let (good, said) = run(&["--node", &url, "--count", "2"]);
    assert!(good && said.contains("review  closed  opens in 4m"), "{said}");
    let file = site.data().parent().unwrap().join("backbeat.yaml");
    let (good, said) = run(&["--file", file.to_str().unwrap(), "--at", "2030-01-01T00:00:00Z", "--json"]);
    let shown: Value = serde_json::from_str(&said).unwrap();
    assert!(good && shown["outlook"]["next"].as_array().unwrap().len() == 6, "{said}");
    assert_eq!(shown["outlook"]["at"], "2030-01-01T00:00:00.000+00:00#0");
    std::fs::write(&file, "epoch: '2025-01-01T00:00:00Z#0'\nbeat_ms: 1000\ncycle_beats: 60\nwindows:\n  plan:\n    - {phase_beats: 70, length_beats: 1}\n").unwrap();
    let (good, said) = run(&["--file", file.to_str().unwrap()]);
    assert!(!good && said.contains("windows.plan[0].phase_beats is 70") && said.contains("line 6"), "{said}");
}
