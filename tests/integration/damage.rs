//! Bytes that change on the disk are found, named and counted, and only what reads them fails.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use swoosh::types::names::{Region, Transition};
use swoosh::types::rejection::Code;

use crate::growth::{eventually, metric};
use crate::serving::readers::{full, read};
use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::{Project, bytes};
use crate::support::http::Answer;
use crate::support::world::Ask;

/// The tables of a site's journal.
fn tables(site: &Site) -> Vec<PathBuf> {
    let entries = fs::read_dir(site.journal()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "sst")).collect()
}

fn find(bytes: &[u8], needle: &[u8]) -> Vec<usize> {
    bytes.windows(needle.len()).enumerate().filter(|(_, window)| *window == needle).map(|(at, _)| at).collect()
}

/// Flips one bit behind a text, in every table that holds both texts.
fn flip(site: &Site, needle: &str, beside: &str) {
    let mut flipped = 0;
    for path in tables(site) {
        let mut bytes = fs::read(&path).unwrap();
        let places = find(&bytes, needle.as_bytes());
        if places.is_empty() || find(&bytes, beside.as_bytes()).is_empty() {
            continue;
        }
        bytes[places[0] + needle.len() - 1] ^= 1;
        fs::write(&path, bytes).unwrap();
        flipped += 1;
    }
    assert!(flipped > 0, "no table holds {needle:?}");
}

/// Two projects whose rows lie in different blocks, in tables, with the node down.
fn two_projects<'a>(site: &'a Site) -> (Project<'a>, Project<'a>) {
    let daemon = site.start();
    let (mut ill, mut well) = (Project::new(site, "a-ill"), Project::new(site, "z-well"));
    for project in [&mut ill, &mut well] {
        project.drive(&daemon, Region::Boot, "LICENSED");
    }
    for number in 0..70 {
        let rationale = format!("needle {number:03} {}", "x".repeat(300));
        for transition in [Transition::ControlPause, Transition::ControlResume] {
            let inputs = match transition {
                Transition::ControlPause => json!({"rationale": rationale}),
                _ => ill.valid(transition),
            };
            assert_eq!(ill.propose(&daemon, &Ask::new(transition).with(inputs)).status, 202);
        }
    }
    daemon.terminate();
    // The next start writes what the log holds to tables.
    site.start().terminate();
    (ill, well)
}

#[track_caller]
fn is_damaged(daemon: &Daemon, project: &mut Project<'_>) {
    let health = daemon.wait_for("/health", |answer| answer.json()["status"] == "degraded").json();
    assert!(health["reason"].as_str().unwrap().contains("a-ill"), "{health}");
    assert!(health["reason"].as_str().unwrap().contains("runbooks/corrupt-journal.md"), "{health}");
    assert_eq!((&health["projects_damaged"], &health["damaged"][0]["project"]), (&json!(1), &json!("a-ill")));
    assert_eq!(metric(daemon, "swoosh_projects_damaged"), 1);
    let signed = project.signed(&Ask::new(Transition::ControlPause));
    for _ in 0..2 {
        let answer = daemon.post(&bytes(&signed));
        assert_eq!((answer.status, answer.code()), (503, Code::ProjectDamaged.to_string()), "{}", answer.text());
        assert!(answer.text().contains("a-ill"), "{}", answer.text());
    }
    let answer = daemon.get("/state?project=a-ill");
    assert_eq!((answer.status, answer.code()), (503, Code::ProjectDamaged.to_string()), "{}", answer.text());
}

#[track_caller]
fn others_go_on(daemon: &Daemon, well: &mut Project<'_>) {
    let ready = daemon.get("/health/ready");
    assert_eq!(ready.status, 200, "{}", ready.text());
    assert!(ready.text().contains("a-ill"), "{}", ready.text());
    let listed = daemon.get("/projects");
    assert_eq!(listed.status, 200, "{}", listed.text());
    let listed = listed.json();
    let names: Vec<&Value> = listed["projects"].as_array().unwrap().iter().map(|line| &line["project"]).collect();
    assert_eq!(names, ["z-well"], "{listed}");
    assert_eq!(listed["damaged"][0]["project"], "a-ill", "{listed}");
    well.accept(daemon, Transition::ControlPause);
    well.accept(daemon, Transition::ControlResume);
}

/// A flipped byte in a decision record's text left health "ok", the project dead with `not_durable`, and the node's
/// list of projects without an answer. Backups continued.
#[test]
fn a_flipped_byte_in_a_decision_is_reported_refuses_its_project_and_keeps_out_of_backups() {
    let backups = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let site = Site::with(always_open(), |settings| {
        settings["backup"] = json!({"directory": backups.path().join("to"), "every_ms": 60_000});
    });
    let (mut ill, mut well) = two_projects(&site);
    flip(&site, "needle 035 x", "\"justification\"");
    site.change_settings(|settings| settings["backup"]["every_ms"] = json!(200));
    let daemon = site.start();
    is_damaged(&daemon, &mut ill);
    others_go_on(&daemon, &mut well);
    eventually("a failed backup", || (metric(&daemon, "swoosh_backup_failures_total") > 0).then_some(()));
    assert_eq!(metric(&daemon, "swoosh_backup_last_success_seconds"), 0);
    let log = daemon.terminate();
    assert!(log.iter().any(|line| line.contains("there is no backup of it") && line.contains("a-ill")));
    let made = site.run(&["backup", "create", "--to", backups.path().join("to").to_str().unwrap()]);
    assert!(!made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
}

/// `/health` is open to all callers, and gave the names of damaged projects to strangers.
#[test]
fn callers_who_may_not_read_hear_how_many_projects_are_damaged_and_not_which() {
    let site = Site::with(always_open(), |settings| {
        settings["identities"][full().public().to_string()] = json!({"name": "all", "roles": ["reader"]});
        settings["http"]["observe"] = json!("0.0.0.0:0");
    });
    two_projects(&site);
    flip(&site, "needle 035 x", "\"justification\"");
    let daemon = site.start_on("0.0.0.0:0");
    assert_eq!(read(&site, &daemon, &full(), "/state?project=a-ill").code(), Code::ProjectDamaged.to_string());
    let known = |answer: &Answer| answer.text().contains("a-ill");
    let observed = crate::serving::observe::address(&daemon);
    for (path, counts) in [("/health", true), ("/health/ready", true), ("/health/live", false), ("/metrics", false)] {
        let stranger = daemon.get(path);
        assert!(stranger.status == 200 && !known(&stranger), "{path}: {}", stranger.text());
        assert_eq!(stranger.text().contains("damaged (projects: 1, tables: "), counts, "{path}: {}", stranger.text());
        let scraped = crate::serving::observe::ask(observed, "GET", path);
        assert!(scraped.status == 200 && !known(&scraped), "{path}: {}", scraped.text());
        assert_eq!(known(&read(&site, &daemon, &full(), path)), counts, "{path}");
    }
    let health = daemon.get("/health").json();
    assert_eq!((&health["damaged"], &health["projects_damaged"]), (&json!([]), &json!(1)));
    let health = read(&site, &daemon, &full(), "/health").json();
    assert_eq!(health["damaged"][0]["project"], "a-ill", "{health}");
}

/// A compaction that reads a damaged block ends all writes of the store. The journal is opened again without compactions, and
/// the other projects go on.
#[test]
fn a_compaction_that_meets_a_flipped_byte_stops_no_other_project() {
    let site = Site::new();
    let (_, mut well) = two_projects(&site);
    flip(&site, "needle 035 x", "\"justification\"");
    for _ in 0..8 {
        let daemon = site.start();
        for transition in [Transition::ControlPause, Transition::ControlResume] {
            eventually("the other project goes on", || {
                (well.propose(&daemon, &Ask::new(transition)).status == 202).then_some(())
            });
        }
        daemon.terminate();
    }
    let daemon = site.start();
    let mode = |daemon: &Daemon| daemon.get("/health").json()["mode"].clone();
    eventually("the other project goes on", || {
        (well.propose(&daemon, &Ask::new(Transition::ControlPause)).status == 202).then_some(())
    });
    eventually("it accepts", || (mode(&daemon) == "accepting").then_some(()));
    daemon.wait_for("/health", |answer| answer.json()["status"] == "degraded");
}

/// A damaged record that a snapshot covers is read by no proposal, so none is refused; reads of it say what is wrong.
#[test]
fn a_flipped_byte_in_a_covered_record_fails_reads_of_it_alone() {
    let site = Site::new();
    let (mut ill, mut well) = two_projects(&site);
    assert!(site.tool(&["snapshot", "--data", site.data().to_str().unwrap(), "take"]).status.success());
    let daemon = site.start();
    let record = daemon.get("/wal?from=60&limit=1").text();
    // Tables are compressed, and a text that is unlike all others is in them as it is.
    let (_, signature) = record.split_once("\"signature\":\"ed25519:").expect("a record has its signature");
    let signature = signature[..10].to_owned();
    daemon.terminate();
    flip(&site, &signature, "\"guard_outcomes\"");
    let daemon = site.start();
    let health = daemon.wait_for("/health", |answer| answer.json()["status"] == "degraded").json();
    assert_eq!((&health["damaged"][0]["project"], &health["damaged"][0]["refused"]), (&json!("a-ill"), &json!(false)));
    assert_eq!(daemon.get("/health/ready").status, 200);
    let read = daemon.get("/wal?from=60&limit=1");
    assert_eq!((read.status, read.code()), (503, Code::ProjectDamaged.to_string()), "{}", read.text());
    assert_eq!(daemon.get("/wal?from=1&limit=1").status, 200);
    ill.accept(&daemon, Transition::ControlPause);
    well.accept(&daemon, Transition::ControlPause);
    // It named the runbook of a node that does not start.
    let to = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data = site.data();
    let (data, to) = (data.to_str().unwrap(), to.path().join("to"));
    let made = site.tool(&["backup", "create", "--data", data, "--to", to.to_str().unwrap()]);
    let said = String::from_utf8(made.stderr).unwrap();
    assert!(said.contains("runbooks/corrupt-journal.md") && !said.contains("recovery.md"), "{said}");
}

/// A backup that an older version made of a damaged journal is found.
#[test]
fn verifying_backups_finds_a_damaged_journal_in_one() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let to = folder.path().join("to");
    let site = Site::new();
    drop(two_projects(&site));
    let create = site.run(&["backup", "create", "--to", to.to_str().unwrap()]);
    assert!(create.status.success(), "{}", String::from_utf8_lossy(&create.stderr));
    let good = site.tool(&["backup", "verify", "--from", to.to_str().unwrap()]);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stdout));
    spoil_backup(&to);
    let found = site.tool(&["backup", "verify", "--from", to.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&found.stdout).into_owned() + &String::from_utf8_lossy(&found.stderr);
    assert!(!found.status.success() && said.contains("record"), "{said}");
}

/// Writes a table of a backup with a flipped byte, and a manifest that names it as it is now.
fn spoil_backup(to: &std::path::Path) {
    let objects = fs::read_dir(to.join("objects")).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> = objects.collect();
    let mut files = Vec::new();
    while let Some(path) = all.pop() {
        match path.is_dir() {
            true => all.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path())),
            false => files.push(path),
        }
    }
    let (path, mut bytes) = files
        .into_iter()
        .filter_map(|path| fs::read(&path).ok().map(|bytes| (path, bytes)))
        .find(|(_, bytes)| !find(bytes, b"needle 035 x").is_empty() && !find(bytes, b"\"justification\"").is_empty())
        .unwrap();
    let old = swoosh::types::hash::Hash::of(&bytes).to_string();
    let at = find(&bytes, b"needle 035 x")[0];
    bytes[at] ^= 1;
    let new = swoosh::types::hash::Hash::of(&bytes).to_string();
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let (old_digits, new_digits) = (old.trim_start_matches("sha256-"), new.trim_start_matches("sha256-"));
    let moved = path.with_file_name(name.replace(old_digits, new_digits));
    fs::remove_file(&path).unwrap();
    fs::write(&moved, bytes).unwrap();
    for entry in fs::read_dir(to.join("backups")).unwrap() {
        let manifest = entry.unwrap().path();
        let text = fs::read_to_string(&manifest).unwrap().replace(old_digits, new_digits);
        fs::write(&manifest, text).unwrap();
    }
}

/// `swoosh projects` hid a damaged project, and `swoosh wait` said that the node did not answer.
#[test]
fn the_commands_show_a_damaged_project_and_do_not_wait_for_it() {
    let site = Site::new();
    two_projects(&site);
    flip(&site, "needle 035 x", "\"justification\"");
    let daemon = site.start();
    daemon.wait_for("/health", |answer| answer.json()["status"] == "degraded");
    daemon.wait_for("/state?project=a-ill", |answer| answer.status == 503);
    let run = |words: &[&str]| {
        let mut command = site.program();
        let output = command.args(words).env("SWOOSH_URL", format!("http://{}", daemon.address)).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, said) = run(&["wait", "index >= 1000000", "--project", "a-ill", "--timeout", "10m"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("project_damaged") && said.contains("runbooks/corrupt-journal.md"), "{said}");
    let (code, said) = run(&["wait", "index >= 1000000", "--project", "z-wel", "--timeout", "1s"]);
    assert_eq!(code, Some(3), "{said}");
    let slip = "the time is over: there is no project z-wel yet; did you mean z-well?";
    assert!(said.contains(slip), "{said}");
    let shown = daemon.get("/projects").json();
    let (code, said) = run(&["--json", "projects"]);
    let listed: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&listed["projects"], &listed["damaged"]), (&shown["projects"], &shown["damaged"]), "{said}");
    assert_eq!((code, &listed["damaged"][0]["project"]), (Some(0), &json!("a-ill")), "{said}");
    let (_, said) = run(&["projects"]);
    assert!(said.contains("damaged: a-ill") && said.contains("z-well"), "{said}");
    // "nothing is open" was said of work that cannot be read.
    let (code, said) = run(&["effects"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("nothing is open"), "{said}");
    assert!(
        said.contains("a-ill: its effects cannot be read") && said.contains("runbooks/corrupt-journal.md"),
        "{said}"
    );
    let (_, said) = run(&["--json", "effects"]);
    let listed: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(listed["damaged"][0]["project"], "a-ill", "{said}");
    let (code, said) = run(&["effects", "--watch"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(!said.contains("nothing is open") && said.contains("failed: a-ill: its effects cannot be read"), "{said}");
    // A proposal was tried ten times for 20 s.
    let key = site.file("operator.key");
    swoosh::platform::keyfile::store(&key, &site.hands.get("operator").secret).unwrap();
    let inputs = r#"{"rationale": "x"}"#;
    let pause = ["propose", "Pause", "--project", "a-ill", "--inputs", inputs, "--key", key.to_str().unwrap()];
    let (code, said) = run(&pause);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("refused: project_damaged") && !said.contains("attempt"), "{said}");
}
