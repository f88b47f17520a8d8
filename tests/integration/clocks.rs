//! A clock that was ahead once: the node says so, an operator has a way out, and nothing is pruned by it.

use serde_json::json;
use swoosh::types::hlc::Hlc;
use swoosh::types::names::{Region, Transition};

use crate::rejections::node::{clocked, clocked_at};
use crate::support::daemon::{Daemon, Site, always_open, now_ms};
use crate::support::driver::{Project, bytes};
use crate::support::http::request;
use crate::support::world::Ask;
use crate::support::{skipped, wal};

const HOUR_SECONDS: i64 = 3_600;
const YEAR_SECONDS: i64 = 365 * 86_400;

macro_rules! or_skip {
    ($clocked:expr) => {
        match $clocked {
            Ok(clocked) => clocked,
            Err(why) => return skipped(&why),
        }
    };
}

fn ahead(seconds: i64) -> Hlc {
    Hlc::new(now_ms() + u64::try_from(seconds).unwrap() * 1_000, 0).unwrap()
}

/// Boots a project on a node whose clock is ahead, by a caller whose clock is ahead as well.
fn boot_ahead(site: &Site, seconds: i64) -> Result<(), String> {
    let (daemon, _clock) = clocked_at(site, seconds)?;
    let mut project = Project::new(site, "ahead");
    let ask = Ask::new(Transition::BootConfigOk).at(ahead(seconds));
    let answer = project.propose(&daemon, &ask);
    assert_eq!(answer.status, 202, "{}", answer.text());
    daemon.terminate();
    Ok(())
}

#[track_caller]
fn is_unsafe(daemon: &Daemon, site: &Site, what: &str) {
    let ready = daemon.get("/health/ready");
    assert_eq!((ready.status, ready.code().as_str()), (503, "clock_unsafe"), "{}", ready.text());
    let health = daemon.get("/health").json();
    assert_eq!(health["status"], "degraded", "{health}");
    let transitions = daemon.get("/transitions?project=right").json();
    for time in [&health["time"], &transitions["time"]] {
        let time: Hlc = time.as_str().unwrap().parse().unwrap();
        assert!(
            time.physical_ms().abs_diff(now_ms()) < 1_800_000,
            "reads go on at the time that can be trusted: {time}"
        );
    }
    let project = Project::new(site, "right");
    let signed = bytes(&project.signed(&Ask::new(Transition::BootConfigOk)));
    let proposed = daemon.post(&signed);
    assert_eq!((proposed.status, proposed.code().as_str()), (503, "clock_unsafe"), "{}", proposed.text());
    let length = format!("content-length: {}", signed.len());
    let headers = ["content-type: application/json", &length];
    let tried = daemon.send(&request("POST", "/transition?dry_run=true", &headers, &signed)).json();
    assert_eq!((&tried["accepted"], &tried["problem"]["code"]), (&json!(false), &json!("clock_unsafe")), "{tried}");
    for said in [health["reason"].as_str().unwrap(), &proposed.text(), &ready.text(), &tried.to_string()] {
        assert!(said.contains(what) && said.contains("swoosh clock accept"), "{said}");
    }
    assert!(daemon.measures("swoosh_clock_safe 0"));
    // `swoosh health` ended with 0, and named the runbook of another fault.
    let node = format!("http://{}", daemon.address);
    let health = site.tool(&["health", "--node", &node]);
    let printed = String::from_utf8_lossy(&health.stdout);
    assert_eq!(health.status.code(), Some(1), "{printed}");
    assert!(printed.contains("accepts no proposals") && printed.contains("runbooks/clock.md"), "{printed}");
    let shown = site.run(&["clock", "show"]);
    assert!(!shown.status.success(), "{}", String::from_utf8_lossy(&shown.stdout));
}

#[track_caller]
fn accept(site: &Site) {
    let accepted = site.run(&["clock", "accept"]);
    let said = [accepted.stdout, accepted.stderr].map(|stream| String::from_utf8(stream).unwrap()).concat();
    assert!(accepted.status.success() && said.contains("accepted lead"), "{said}");
}

#[track_caller]
fn goes_on(daemon: &Daemon) {
    assert_eq!(daemon.get("/health/ready").status, 200);
    assert_eq!(daemon.get("/health").json()["status"], "ok");
    assert!(daemon.measures("swoosh_clock_safe 1"));
}

/// One record was accepted two hours ahead. With the right clock every proposal was refused for two hours, while health,
/// readiness and dry runs said that all was well. An operator accepts the lead; stamps go on rising, also after a restart,
/// and replay judges the same.
#[test]
fn a_log_ahead_of_the_clock_is_reported_and_an_operator_may_allow_it() {
    let site = Site::with(always_open(), |_| ());
    or_skip!(boot_ahead(&site, 2 * HOUR_SECONDS));
    let daemon = site.start();
    is_unsafe(&daemon, &site, "ms ahead of the wall clock");
    // `swoosh state` and `wait` showed a project at rest, and not why nothing could be proposed.
    let node = format!("http://{}", daemon.address);
    let asked = |words: &[&str]| {
        let output = site.tool(&[words, &["--project", "ahead", "--node", &node]].concat());
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    for words in [&["state"][..], &["wait", "execution == WORK", "--timeout", "0s"]] {
        let said = asked(words);
        assert!(said.contains("takes no proposals now: clock_unsafe"), "{said}");
    }
    let refused = daemon.post(&bytes(&Project::new(&site, "right").signed(&Ask::new(Transition::BootConfigOk))));
    let wait_ms = refused.json()["retry_after_ms"].as_u64().unwrap();
    assert!((3_600_000..=7_200_000).contains(&wait_ms), "{}", refused.text());
    accept(&site);
    goes_on(&daemon);
    let mut right = Project::new(&site, "right");
    right.drive(&daemon, Region::Boot, "LICENSED");
    right.accept(&daemon, Transition::ControlPause);
    daemon.terminate();
    let daemon = site.start();
    goes_on(&daemon);
    right.accept(&daemon, Transition::ControlResume);
    let stamps: Vec<Hlc> = wal::read(&daemon).iter().map(|entry| entry.record.timestamp).collect();
    assert!(stamps.is_sorted() && stamps[0].physical_ms() > now_ms() + 3_600_000, "{stamps:?}");
    daemon.terminate();
    let replayed = site.run(&["replay", "--reguard"]);
    let said = [replayed.stdout, replayed.stderr].map(|stream| String::from_utf8(stream).unwrap()).concat();
    assert!(replayed.status.success(), "{said}");
}

/// A jump that is right, a machine that slept, needs no restart: the operator accepts it.
#[test]
fn an_operator_accepts_a_jump_of_the_clock_that_is_right() {
    let site = Site::new();
    let (daemon, clock) = or_skip!(clocked(&site));
    clock.shift(HOUR_SECONDS);
    is_unsafe(&daemon, &site, "the wall clock jumped by");
    accept(&site);
    goes_on(&daemon);
    let mut project = Project::new(&site, "later");
    let answer = project.propose(&daemon, &Ask::new(Transition::BootConfigOk).at(ahead(HOUR_SECONDS)));
    assert_eq!(answer.status, 202, "{}", answer.text());
    clock.shift(0);
    assert_eq!(daemon.get("/health/ready").code(), "clock_unsafe");
    accept(&site);
    goes_on(&daemon);
    Project::new(&site, "back").drive(&daemon, Region::Boot, "LICENSED");
}

/// A round of pruning on a clock a year ahead raised the floor by a year, and every key was expired for ever.
#[test]
fn a_round_of_pruning_on_a_clock_a_year_ahead_expires_no_key() {
    let site = Site::with(always_open(), |settings| settings["retention"] = json!({"every_ms": 100}));
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let signed = project.signed(&Ask::new(Transition::ControlPause));
    let receipt = daemon.post(&bytes(&signed));
    project.advance(&signed.proposal, &receipt.receipt());
    daemon.terminate();
    let (daemon, _clock) = or_skip!(clocked_at(&site, YEAR_SECONDS));
    std::thread::sleep(std::time::Duration::from_millis(1_000));
    daemon.terminate();
    let daemon = site.start();
    let again = daemon.post(&bytes(&signed));
    assert_eq!((again.status, &again.body), (202, &receipt.body), "{}", again.text());
    project.accept(&daemon, Transition::ControlResume);
}

/// A key may name a beat up to a day ahead. When such a key was pruned an hour later, the floor rose above that beat.
/// Present keys were then refused for a day, and the next key could name a beat another day ahead.
#[test]
fn a_key_that_names_a_beat_ahead_expires_no_key_of_the_present() {
    let site = Site::with(always_open(), |settings| {
        settings["retention"] = json!({"every_ms": 100});
        settings["idempotency"] = json!({"horizon_ms": 3_600_000});
    });
    let (daemon, clock) = or_skip!(clocked(&site));
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let fitting = project.signed(&Ask::new(Transition::ControlPause)).proposal.idem_key;
    let far = format!("goal-1:{}:control:key-ahead-01", fitting.beat + 1_000).parse().unwrap();
    let ask = Ask { key: Some(far), ..Ask::new(Transition::ControlPause) };
    let named = project.propose(&daemon, &ask).receipt();
    clock.shift(HOUR_SECONDS + 100);
    accept(&site);
    let later = |transition| Ask::new(transition).at(ahead(HOUR_SECONDS + 100));
    project.propose(&daemon, &later(Transition::ControlResume)).receipt();
    daemon.wait_for("/metrics", |answer| {
        let text = answer.text();
        let aged = text.lines().find_map(|line| line.strip_prefix("swoosh_keys_aged_index ")?.parse::<u64>().ok());
        aged >= Some(named.index)
    });
    project.propose(&daemon, &later(Transition::ControlPause)).receipt();
}
