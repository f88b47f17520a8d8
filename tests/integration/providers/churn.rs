//! Ten thousand transitions, and more until everything has happened, while the outside changes: the license is denied,
//! expires and returns; MCP servers flap; capacity and pulses come and go. No answer is an internal error, the log
//! verifies, and judging it again from the recorded facts gives the same outcomes and reasons.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use swoosh::types::fact::{FactClaim, FactKind};
use swoosh::types::hlc::Hlc;
use swoosh::types::names::{ExecutionState, Transition};

use super::site;
use crate::replay::caller::choose;
use crate::support::daemon::{Daemon, Site, cycles_of, now_ms, platform};
use crate::support::driver::Project;
use crate::support::world::Ask;
use crate::support::{hands, inputs, outside, strict, wal};
use swoosh_standins::Manner;
use swoosh_standins::mcp::McpStandIn;
use swoosh_standins::teller::Teller;
use swoosh_testkit::random::Random;

const SEED: u64 = 0xc4_0205;
const PROJECTS: usize = 12;
const TRANSITIONS: usize = 10_000;
/// How often each of `WANTED` must happen, however fast the machine is: callers go on until then.
const TIMES: u64 = 3;
/// Transitions that occur only while the outside changes.
const WANTED: [Transition; 8] = [
    Transition::LicenseGraceEntered,
    Transition::LicenseExpired,
    Transition::LicenseRenewed,
    Transition::ControlQuorumLost,
    Transition::ControlRecovered,
    Transition::CouncilMcpGreen,
    Transition::EnvironmentCapacityOk,
    Transition::EnvironmentGreen,
];
/// Codes of refusals that must occur.
const REFUSED: [&str; 4] = ["guard_license", "guard_tooling", "guard_capacity", "blocked"];
/// When a run in which something of this never happens has failed.
const TURNS: usize = 400;

/// Everything outside that churns.
struct Outside {
    search: McpStandIn,
    capacity: Teller,
    health: Teller,
    liveness: Teller,
}

impl Outside {
    fn start() -> Outside {
        let teller = || Teller::start("{}").unwrap();
        let search = McpStandIn::start("search", "1.2.0").unwrap();
        Outside { search, capacity: teller(), health: teller(), liveness: teller() }
    }

    fn settings(&self, settings: &mut Value) {
        let polled = |teller: &Teller| json!({"url": teller.once(), "format": "plain", "interval_ms": 100, "timeout_ms": 400, "valid_for_ms": 1_000});
        settings["capacity"] = polled(&self.capacity);
        settings["health"] = polled(&self.health);
        settings["liveness"] = polled(&self.liveness);
        settings["liveness"]["lost_after_ms"] = json!(1_000);
        settings["liveness"]["back_after_ms"] = json!(0);
        settings["mcp"] = json!({"interval_ms": 100, "settle_ms": 50, "timeout_ms": 300, "valid_for_ms": 1_000});
        settings["license"] = json!({"grace_ms": 400});
        settings["log"] = json!({"level": "error"});
        settings["journal"] = json!({"snapshot_every": 200});
    }

    /// One turn of the world: mostly well, each thing wrong now and then.
    fn turn(&self, site: &Site, daemon: &Daemon, random: &mut Random) {
        // Each project asks for capacity once, so capacity stays short until one was refused.
        let scarce = missing(&daemon.get("/metrics").text()).iter().any(|series| series.contains("guard_capacity"));
        let manner = random.pick([Manner::Well, Manner::Well, Manner::Well, Manner::Hangs, Manner::Fails]);
        self.search.behave(manner);
        self.search.become_version(random.pick(["1.2.0", "1.2.0", "1.2.0", "1.3.0"]));
        let vcpu = if scarce { 1 } else { random.pick([8, 8, 8, 1]) };
        self.capacity.say(&json!({"resources": {"vcpu": vcpu, "memory_mib": 16384}}).to_string());
        self.health.say(&json!({"assets": {"image/base": "ok", "image/tools": "ok"}}).to_string());
        self.health.behave(random.pick([Manner::Well, Manner::Well, Manner::Well, Manner::Garbage]));
        let silent: &[&str] = if random.happens(25, 100) { &hands::VOTERS } else { &[] };
        self.liveness.say(&outside::liveness(&site.hands, silent, now_ms() - 2_000).to_string());
        let (scopes, lasts_ms) = random.pick([
            (&["swoosh"][..], 3_600_000),
            (&["swoosh"], 3_600_000),
            (&["swoosh"], 3_600_000),
            (&["swoosh"], 150),
            (&[], 3_600_000),
        ]);
        tell_license(site, scopes, lasts_ms);
        daemon.signal("HUP");
    }
}

fn tell_license(site: &Site, scopes: &[&str], lasts_ms: u64) {
    let now = now_ms();
    let claim = FactClaim {
        kind: FactKind::License,
        project: None,
        source: platform().public(),
        observed_at: Hlc::new(now, 0).unwrap(),
        valid_until: Hlc::new(now + lasts_ms, 0).unwrap(),
        body: strict(&json!({"id": "license-1", "scopes": scopes})),
    };
    let facts = json!([claim.sign(&site.cluster, &platform())]).to_string();
    // Whole, so that the node never reads half of it.
    let (path, beside) = (site.data().with_file_name("facts.json"), site.data().with_file_name("facts.new"));
    std::fs::write(&beside, facts).unwrap();
    std::fs::rename(beside, path).unwrap();
}

/// One project's caller: proposes what fits, takes refusals for what they are, and goes on from the head there is.
fn call(site: &Site, daemon: &Daemon, search: &str, number: usize, run: &Run) {
    let mut random = Random::new(SEED + number as u64);
    let mut project = Project::new(site, &format!("churn-{number:02}"));
    let mut document = inputs::document(&site.hands);
    document["tool_pins"]["search"]["url"] = json!(search);
    while run.goes_on() {
        let mut transition = choose(&mut random, &project);
        // Only the node recovers a project, so its caller proposes transitions that pass during recovery.
        if project.head.state().control.recovery && project.head.state().execution.phase != ExecutionState::Inactive {
            transition = random.pick([Transition::ControlPause, Transition::ControlResume, transition]);
        }
        let mut ask = Ask::new(transition);
        if transition == Transition::BootConfigOk {
            ask = ask.with(json!({"document": document}));
        }
        let answer = project.propose(daemon, &ask);
        match answer.status {
            202 => drop(run.accepted.fetch_add(1, Ordering::Relaxed)),
            400 => {
                assert_ne!(answer.code(), "invariant_violated", "{}", answer.text());
                project.refresh(daemon);
            }
            _ => panic!("{}", answer.text()),
        }
    }
}

/// How far a run is, for all its threads.
#[derive(Default)]
struct Run {
    accepted: AtomicUsize,
    /// Nothing is missing any more, or the time is over.
    rich: AtomicBool,
    over: AtomicBool,
}

impl Run {
    fn goes_on(&self) -> bool {
        self.accepted.load(Ordering::Relaxed) < TRANSITIONS || !self.rich.load(Ordering::Relaxed)
    }
}

fn play(site: &Site, outside: &Outside) -> Daemon {
    tell_license(site, &["swoosh"], 3_600_000);
    let daemon = site.start();
    let (run, url) = (Run::default(), outside.search.url());
    std::thread::scope(|scope| {
        let (daemon, run, url) = (&daemon, &run, url.as_str());
        scope.spawn(|| {
            let mut random = Random::new(SEED);
            for turn in 0.. {
                if run.over.load(Ordering::Relaxed) {
                    return;
                }
                outside.turn(site, daemon, &mut random);
                std::thread::sleep(std::time::Duration::from_millis(700));
                let rich = turn >= TURNS || missing(&daemon.get("/metrics").text()).is_empty();
                run.rich.store(rich, Ordering::Relaxed);
            }
        });
        let caller = |n: usize| scope.spawn(move || call(site, daemon, url, n, run));
        let callers: Vec<_> = (0..PROJECTS).map(caller).collect();
        let ends: Vec<_> = callers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        run.over.store(true, Ordering::Relaxed);
        ends.into_iter().for_each(|end| end.unwrap());
    });
    daemon
}

/// Series of the node's metrics that have not been counted often enough yet.
fn missing(metrics: &str) -> Vec<String> {
    let count = |series: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0, |count| count.trim().parse::<u64>().unwrap())
    };
    let wanted = WANTED.map(|transition| (format!("swoosh_transition_total{{transition=\"{transition}\"}}"), TIMES));
    let refused = REFUSED.map(|code| (format!("swoosh_rejection_total{{code=\"{code}\"}}"), 1));
    let counted = wanted.into_iter().chain(refused).map(|(series, times)| (count(&series), series, times));
    counted.filter(|(seen, _, times)| seen < times).map(|(seen, series, _)| format!("{series} {seen}")).collect()
}

/// That the run was what it is meant to be.
fn was_rich(daemon: &Daemon, log: &[swoosh::client::WalEntry]) {
    let missing = missing(&daemon.get("/metrics").text());
    assert!(missing.is_empty(), "this happened too seldom: {missing:?}");
    for transition in WANTED {
        let seen = log.iter().filter(|entry| entry.record.transition == transition).count() as u64;
        assert!(seen >= TIMES, "{transition} is in the log {seen} times");
    }
}

#[test]
fn a_world_that_churns_breaks_no_invariant_and_its_log_is_judged_again_alike() {
    let outside = Outside::start();
    let site = site(cycles_of(1_000), |settings| outside.settings(settings));
    let daemon = play(&site, &outside);
    let log = wal::read(&daemon);
    assert!(log.len() >= TRANSITIONS, "{} records", log.len());
    was_rich(&daemon, &log);
    daemon.terminate();
    let program = env!("CARGO_BIN_EXE_swoosh");
    let replay =
        Command::new(program).args(["--json", "replay", "--reguard", "--data"]).arg(site.data()).output().unwrap();
    let said = String::from_utf8_lossy(&replay.stdout).into_owned();
    assert!(replay.status.success(), "{said}{}", String::from_utf8_lossy(&replay.stderr));
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["last_index"], log.len(), "{report}");
    let verify = Command::new(program).args(["wal", "verify", "--data"]).arg(site.data()).output().unwrap();
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stderr));
}
