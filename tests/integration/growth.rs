//! Bounds on growth change no answer: heads are evicted and loaded again, records are pruned, snapshots are damaged or
//! exported, and every caller gets the same answers as before.

use std::process::Command;
use std::time::{Duration, Instant};

use rocksdb::{DB, IteratorMode, Options};
use serde_json::{Value, json};
use swoosh::journal::{Durability, Journal, JournalOptions, Retention, StoreLimits};
use swoosh::types::fact::FactKind;
use swoosh::types::hlc::Hlc;
use swoosh::types::names::{Region, Transition};
use swoosh::types::rejection::Code;

use crate::support::daemon::{Daemon, Site, always_open, now_ms};
use crate::support::driver::{Project, bytes};
use crate::support::http::Answer;
use crate::support::world::Ask;

/// Waits until something holds; a minute is more than a busy machine takes.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{what} never happened");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The value of a metric of the node.
#[track_caller]
pub fn metric(daemon: &Daemon, name: &str) -> u64 {
    let text = daemon.get("/metrics").text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned);
    value.unwrap_or_else(|| panic!("there is no metric {name}")).parse().unwrap()
}

#[track_caller]
fn hash_of(daemon: &Daemon, project: &Project<'_>) -> Value {
    daemon.get(&format!("/state?project={}", project.name)).json()["hash"].clone()
}

#[track_caller]
fn is_refused(answer: &Answer, status: u16, code: Code) {
    assert_eq!((answer.status, answer.code()), (status, code.to_string()), "{}", answer.text());
}

#[test]
fn projects_that_left_memory_come_back_as_they_were_and_know_their_keys() {
    let site = Site::with(always_open(), |settings| {
        settings["heads"] = json!({"memory_projects": 1, "idle_ms": 1000});
    });
    let mut daemon = site.start();
    let mut projects: Vec<_> = ["one", "two", "three"].iter().map(|name| Project::new(&site, name)).collect();
    let mut first = Vec::new();
    for project in &mut projects {
        project.drive(&daemon, Region::Boot, "LICENSED");
        let signed = project.signed(&Ask::new(Transition::ControlPause));
        let answer = daemon.post(&bytes(&signed));
        project.advance(&signed.proposal, &answer.receipt());
        first.push((bytes(&signed), answer.body));
    }
    for restart in [false, true] {
        if restart {
            daemon.kill();
            daemon = site.start();
            eventually("the count of projects", || (metric(&daemon, "swoosh_projects") == 3).then_some(()));
        }
        for (project, (body, receipt)) in projects.iter_mut().zip(&first) {
            let again = daemon.post(body);
            assert_eq!((again.status, &again.body), (202, receipt));
            assert_eq!(hash_of(&daemon, project), project.head.hash().to_string());
            project.accept(&daemon, Transition::ControlResume);
            project.accept(&daemon, Transition::ControlPause);
        }
        eventually("the last project's leave", || (metric(&daemon, "swoosh_heads") == 0).then_some(()));
        // The commit thread counts evictions a moment after the heads in memory are counted.
        eventually("the count of those who left", || (metric(&daemon, "swoosh_evictions_total") >= 3).then_some(()));
        assert_eq!(metric(&daemon, "swoosh_heads_bytes"), 0);
    }
}

/// The journal of a site whose daemon is down.
fn journal(site: &Site) -> Journal {
    let journal = Journal::open(JournalOptions {
        path: site.journal(),
        node: site.hands.get("node").key(),
        cluster: site.cluster.clone(),
        snapshot_every: 100,
        durability: Durability::Sync,
        store: StoreLimits::default(),
        medium: None,
    });
    let journal = journal.unwrap();
    journal.recover_tail().unwrap();
    journal
}

#[test]
fn a_pruned_log_serves_says_what_is_gone_and_repeats_what_it_answered() {
    let site = Site::new();
    let daemon = site.start();
    let (mut idle, mut busy) = (Project::new(&site, "idle"), Project::new(&site, "busy"));
    idle.drive(&daemon, Region::Boot, "LICENSED");
    busy.drive(&daemon, Region::Boot, "LICENSED");
    let signed = busy.signed(&Ask::new(Transition::ControlPause));
    let receipt = daemon.post(&bytes(&signed));
    busy.advance(&signed.proposal, &receipt.receipt());
    for _ in 0..5 {
        busy.accept(&daemon, Transition::ControlResume);
        busy.accept(&daemon, Transition::ControlPause);
    }
    let last = daemon.last_index();
    daemon.terminate();
    let pruned = journal(&site);
    pruned.sweep(&pruned.projects().unwrap()).unwrap();
    let since = Hlc::new(u64::MAX >> 20, 0).unwrap();
    let wanted = Retention { records: 3, since, exported_to: Some("/exports".to_owned()) };
    let first = pruned.prune_wal(&wanted, &|| true).unwrap().first_index;
    assert_eq!(first, last - 2);
    pruned.collect_objects(&|| true).unwrap();
    drop(pruned);

    let daemon = site.start();
    let again = daemon.post(&bytes(&signed));
    assert_eq!((again.status, &again.body), (202, &receipt.body));
    for target in ["/wal?from=2", "/wal?from=2&project=busy", "/decisions/busy/2", "/state?project=busy&at=1"] {
        let answer = daemon.get(target);
        is_refused(&answer, 410, Code::Pruned);
        let said = format!("the log begins at record {first}; it was exported to /exports");
        assert!(answer.text().contains(&said), "{target}: {}", answer.text());
    }
    let page = daemon.get("/wal").json();
    assert_eq!(page["records"].as_array().unwrap().len(), 3);
    assert_eq!(page["records"][0]["record"]["index"], first);
    assert_eq!(metric(&daemon, "swoosh_wal_first_index"), first);
    for project in [&idle, &busy] {
        assert_eq!(hash_of(&daemon, project), project.head.hash().to_string());
    }
    idle.accept(&daemon, Transition::ControlPause);
    busy.accept(&daemon, Transition::ControlResume);
    daemon.terminate();
    for command in ["wal verify", "replay", "replay --reguard"] {
        let (good, said) = run(&site, command);
        assert!(good, "{command}: {said}");
    }
    let (good, said) = run(&site, "wal show --from 2");
    assert!(!good && said.contains(&format!("record 2 is pruned: the log begins at record {first}")), "{said}");
}

/// Found by the simulation (seed 1, world 2714). Outcomes may arrive at any time, so the beat of their key was not
/// checked. A repeat with an expired key was refused with `stale_head`, as if it had never been accepted.
#[test]
fn a_repeated_outcome_with_an_expired_key_is_refused_as_expired_and_late_outcomes_still_pass() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "late");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let signed =
        project.signed(&Ask::new(Transition::IngestionSourcesResolved).under("goal-1:1:ingestion:of-long-ago"));
    let answer = daemon.post(&bytes(&signed));
    project.advance(&signed.proposal, &answer.receipt());
    assert_eq!(daemon.post(&bytes(&signed)).body, answer.body);
    project.accept(&daemon, Transition::ControlPause);
    project.accept(&daemon, Transition::ControlResume);
    daemon.terminate();
    let report = journal(&site).prune_keys(0, &|_| u64::MAX, &|| true).unwrap();
    assert_eq!((report.aged, report.keys), (4, 4));
    let floor = journal(&site).key_floor(&"late".parse().unwrap()).unwrap();

    let daemon = site.start();
    let again = daemon.post(&bytes(&signed));
    is_refused(&again, 400, Code::IdemKeyExpired);
    let said = format!("beat 1 is not {floor} or later, where keys are kept");
    assert!(again.text().contains(&said), "{}", again.text());
    assert_eq!(hash_of(&daemon, &project), project.head.hash().to_string());
    let late = Ask::new(Transition::IngestionBytesOk).under("goal-1:2:ingestion:of-long-ago");
    project.propose(&daemon, &late).receipt();
    daemon.terminate();
}

/// A floor of beats for the whole node, counted by the common schedule, removed the receipts of a project with its own
/// schedule within a minute. It then refused every key of that project.
#[test]
fn a_project_with_its_own_schedule_keeps_its_receipts_and_goes_on_by_its_own_beats() {
    let site = Site::with(always_open(), |settings| settings["retention"] = json!({"every_ms": 100}));
    let mut own = always_open();
    own["epoch"] = json!(Hlc::new(now_ms() - 3_600_000, 0).unwrap());
    site.tell(&[(FactKind::Windows, Some("own".to_owned()), own)]);
    let daemon = site.start();
    let mut project = Project::new(&site, "own");
    let beat = |daemon: &Daemon| daemon.get("/transitions?project=own").json()["beat"].as_u64().unwrap();
    let first = beat(&daemon);
    assert!(first < 100, "{first}");
    let signed = project.signed(&Ask::new(Transition::BootConfigOk).under(&format!("goal-1:{first}:boot:the-first")));
    let answer = daemon.post(&bytes(&signed));
    project.advance(&signed.proposal, &answer.receipt());

    std::thread::sleep(Duration::from_secs(1));
    let again = daemon.post(&bytes(&signed));
    assert_eq!((again.status, &again.body), (202, &answer.body));
    assert!(beat(&daemon) <= first + 1);
    let next = Ask::new(Transition::BootLicensed).under(&format!("goal-1:{first}:boot:the-second"));
    project.propose(&daemon, &next).receipt();
}

/// The key of an outcome could name any beat, and was then never pruned.
#[test]
fn no_key_of_an_outcome_may_name_a_beat_more_than_a_day_ahead() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "ahead");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let ahead = Ask::new(Transition::IngestionSourcesResolved).under("goal-1:9007199254740991:ingestion:far-ahead");
    is_refused(&project.propose(&daemon, &ahead), 400, Code::IdemKeyExpired);
    let ahead = daemon.get("/transitions?project=ahead").json()["beat"].as_u64().unwrap() + 1_500;
    let ahead = Ask::new(Transition::IngestionSourcesResolved).under(&format!("goal-1:{ahead}:ingestion:a-day-ahead"));
    is_refused(&project.propose(&daemon, &ahead), 400, Code::IdemKeyExpired);
    project.accept(&daemon, Transition::IngestionSourcesResolved);
}

/// Runs the program on a site's data directory.
fn run(site: &Site, command: &str) -> (bool, String) {
    let mut words = command.split(' ');
    let mut program = Command::new(env!("CARGO_BIN_EXE_swoosh"));
    program.arg(words.next().unwrap());
    if command.starts_with("snapshot") {
        program.arg("--data").arg(site.data()).args(words);
    } else {
        program.args(words).arg("--data").arg(site.data());
    }
    let output = program.output().unwrap();
    let said = [output.stdout, output.stderr].map(|stream| String::from_utf8(stream).unwrap()).concat();
    (output.status.success(), said)
}

/// Changes rows of a family behind the node's back.
pub(crate) fn tamper(site: &Site, family: &str, mut change: impl FnMut(&[u8], &[u8]) -> Option<Vec<u8>>) {
    let path = site.journal();
    let families = DB::list_cf(&Options::default(), &path).unwrap();
    let db = DB::open_cf(&Options::default(), &path, &families).unwrap();
    let handle = db.cf_handle(family).unwrap();
    let rows: Vec<_> = db.iterator_cf(handle, IteratorMode::Start).map(Result::unwrap).collect();
    for (key, value) in rows {
        if let Some(other) = change(&key, &value) {
            db.put_cf(handle, &key, other).unwrap();
        }
    }
    for family in &families {
        db.flush_cf(db.cf_handle(family).unwrap()).unwrap();
    }
}

#[test]
fn a_damaged_snapshot_is_passed_over_aloud() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    daemon.terminate();
    assert!(run(&site, "snapshot take").0);
    tamper(&site, "snapshots", |_, _| Some(b"{}".to_vec()));
    let daemon = site.start();
    project.accept(&daemon, Transition::ControlPause);
    assert_eq!(metric(&daemon, "swoosh_snapshots_passed_over_total"), 1);
    assert!(daemon.terminate().iter().any(|line| line.contains("a snapshot is not used")));
}

#[test]
fn a_project_whose_records_are_damaged_is_refused_and_the_others_go_on() {
    let site = Site::new();
    let daemon = site.start();
    let (mut well, mut ill) = (Project::new(&site, "well"), Project::new(&site, "ill"));
    well.drive(&daemon, Region::Boot, "LICENSED");
    ill.drive(&daemon, Region::Boot, "LICENSED");
    let signed = ill.signed(&Ask::new(Transition::ControlPause).with(json!({"rationale": "to be damaged"})));
    let index = daemon.post(&bytes(&signed)).receipt().index;
    ill.advance(&signed.proposal, &daemon.post(&bytes(&signed)).receipt());
    daemon.kill();
    tamper(&site, "objects", |_, value| {
        let text = String::from_utf8_lossy(value);
        text.contains("to be damaged").then(|| text.replace("damaged", "changed").into_bytes())
    });
    let daemon = site.start();
    let next = bytes(&ill.signed(&Ask::new(Transition::ControlResume)));
    for _ in 0..2 {
        let answer = daemon.post(&next);
        is_refused(&answer, 503, Code::ProjectDamaged);
        let said = answer.text();
        assert!(said.contains(&format!("record {index}")) && said.contains("runbooks/corrupt-journal.md"), "{said}");
    }
    is_refused(&daemon.get("/state?project=ill"), 503, Code::ProjectDamaged);
    well.accept(&daemon, Transition::ControlPause);
    assert_eq!(metric(&daemon, "swoosh_projects_damaged"), 1);
    let log = daemon.terminate();
    let line = log.iter().find(|line| line.contains("a project's rows are damaged")).unwrap();
    assert!(line.contains("\"ill\"") && line.contains(&format!("record {index}")), "{line}");
}

#[test]
fn exports_appear_round_by_round_run_the_command_and_prove_themselves() {
    let exports = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let directory = exports.path().join("to");
    let mark = exports.path().join("at-{index}");
    let site = Site::with(always_open(), |settings| {
        settings["exports"] = json!({
            "directory": directory, "every_ms": 100, "wal": true, "command": ["touch", mark.to_str().unwrap()],
        });
    });
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    for transition in [Transition::ControlPause, Transition::ControlResume] {
        let index = project.accept(&daemon, transition).index;
        let done = exports.path().join(format!("at-{index}"));
        eventually("the command after the round", || done.is_file().then_some(()));
        eventually("the metric", || (metric(&daemon, "swoosh_export_last_index") == index).then_some(()));
    }
    daemon.terminate();
    let verify = format!("snapshot verify --from {}", directory.display());
    let (good, said) = run(&site, &verify);
    assert!(good && said.contains("the export is good"), "{said}");
    let (good, said) = run(&site, &format!("snapshot export --wal --to {}", directory.display()));
    assert!(good && said.contains("nothing changed"), "{said}");
    let damaged = std::fs::read_dir(directory.join("wal")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&damaged).unwrap();
    std::fs::write(&damaged, text.replacen("Boot_", "boot_", 1)).unwrap();
    let (good, said) = run(&site, &verify);
    assert!(!good && said.contains(damaged.file_name().unwrap().to_str().unwrap()), "{said}");
}

#[test]
fn an_encrypted_export_is_looked_into_with_the_key_alone() {
    let site = Site::new();
    let daemon = site.start();
    Project::new(&site, "p").drive(&daemon, Region::Boot, "LICENSED");
    daemon.terminate();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (directory, key_file) = (folder.path().join("to"), folder.path().join("key.txt"));
    let key = age::x25519::Identity::generate();
    std::fs::write(&key_file, age::secrecy::ExposeSecret::expose_secret(&key.to_string())).unwrap();
    let to = directory.display();
    let (good, said) = run(&site, &format!("snapshot export --wal --to {to} --recipient {}", key.to_public()));
    assert!(good, "{said}");
    let (good, said) = run(&site, &format!("snapshot verify --from {to}"));
    assert!(good && said.contains("2 files in 1 round, 0 looked into"), "{said}");
    let (good, said) = run(&site, &format!("snapshot verify --from {to} --identity {}", key_file.display()));
    assert!(good && said.contains("2 files in 1 round, 2 looked into"), "{said}");
    let (good, said) = run(&site, "snapshot show --project p");
    assert!(good && serde_json::from_str::<Value>(&said).unwrap()["keys"].is_object(), "{said}");
}

/// Blocked projects were counted only over the heads in memory. So the alert on a quarantine resolved by itself when the
/// project was evicted or the node restarted.
#[test]
fn projects_that_are_held_up_are_counted_also_out_of_memory_and_after_a_restart() {
    let site = Site::with(always_open(), |settings| {
        settings["heads"] = json!({"memory_projects": 1, "idle_ms": 1000});
    });
    let counts = |daemon: &Daemon| {
        ["quarantined", "paused"].map(|by| metric(daemon, &format!("swoosh_projects_blocked{{by=\"{by}\"}}")))
    };
    let daemon = site.start();
    let mut held: Vec<_> = ["held", "also"].iter().map(|name| Project::new(&site, name)).collect();
    for project in &mut held {
        project.drive(&daemon, Region::Boot, "LICENSED");
        project.accept(&daemon, Transition::PolicyQuarantine);
    }
    let mut paused = Project::new(&site, "paused");
    paused.drive(&daemon, Region::Boot, "LICENSED");
    paused.accept(&daemon, Transition::ControlPause);
    let others = metric(&daemon, "swoosh_evictions_total");
    let mut other = Project::new(&site, "other");
    other.drive(&daemon, Region::Boot, "LICENSED");
    eventually("their eviction", || (metric(&daemon, "swoosh_evictions_total") > others).then_some(()));
    eventually("idle projects leave memory", || (metric(&daemon, "swoosh_heads") == 0).then_some(()));
    assert_eq!(counts(&daemon), [2, 1]);
    daemon.kill();
    let daemon = site.start();
    assert_eq!(counts(&daemon), [2, 1], "right after a start, before any head is loaded");
    paused.accept(&daemon, Transition::ControlResume);
    held[0].accept(&daemon, Transition::PolicyRelease);
    assert_eq!(counts(&daemon), [1, 0]);
    daemon.terminate();
    // As a program left it that kept no such rows.
    tamper(&site, "meta", |key, _| match key {
        b"effects_indexed" => Some(b"1".to_vec()),
        key => key.starts_with(b"blocked/").then(Vec::new),
    });
    assert_eq!(counts(&site.start()), [1, 0], "from the states");
}
