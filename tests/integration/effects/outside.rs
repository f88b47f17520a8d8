//! The license's gate, SLURP, MCP probes, the command line, and directories from before effects had rows.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

use serde_json::{Value, json};
use swoosh::types::fact::FactKind;
use swoosh::types::names::{CouncilState, IngestionState, Region};

use super::{INGESTION, Yard, count, state_where};
use crate::support::daemon::Daemon;
use crate::support::driver::Project;

fn phase_of(daemon: &Daemon, effect: &str) -> Option<Value> {
    let effects = daemon.get("/effects").json()["effects"].clone();
    effects.as_array().unwrap().iter().find(|one| one["effect"] == effect).cloned()
}

#[test]
fn work_is_interrupted_when_the_license_ends_and_goes_on_when_there_is_one() {
    let yard = Yard::new(&INGESTION, |settings| settings["license"] = json!({"grace_ms": 0}));
    let scan = yard.program("scan", "while [ ! -e \"$(dirname \"$0\")/go\" ]; do sleep 0.05; done");
    yard.site.change_settings(|settings| settings["effects"]["scan_command"] = json!([scan]));
    let daemon = yard.site.start();
    yard.begin(&daemon, yard.document("v1.0"));
    daemon.wait_for("/effects", |_| yard.ledger().len() == 1);
    let other = json!({"id": "license-2", "scopes": ["another"]});
    yard.site.tell(&[(FactKind::License, None, other)]);
    daemon.signal("HUP");
    daemon.wait_for("/facts", |answer| answer.json()["network"]["open"] == false);
    daemon.wait_for("/effects", |_| phase_of(&daemon, "validate").is_some_and(|one| one["phase"] == "suspended"));
    fs::write(yard.site.file("go"), "").unwrap();
    assert_eq!(yard.ledger().len(), 1, "nothing begins while the gate is closed");
    yard.site.tell(&[]);
    daemon.signal("HUP");
    state_where(&daemon, |state| state.ingestion.phase == IngestionState::Ready);
    assert_eq!((yard.ledger().len(), count(&daemon, "Ingestion_ValidateFailed")), (2, 0));
}

/// A server that takes every POST but the first, and passes on header and body.
fn slurp() -> (String, mpsc::Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, (sender, receiver)) = (listener.local_addr().unwrap(), mpsc::channel());
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut head, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                head.push_str(&line.to_lowercase());
                line.clear();
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.trim().parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            let status = if number == 0 { "503 Busy" } else { "201 Created" };
            write!(reader.get_mut(), "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            if sender.send((head, serde_json::from_slice(&body).unwrap())).is_err() {
                return;
            }
        }
    });
    (format!("http://{address}/index"), receiver)
}

#[test]
fn the_index_is_sent_to_slurp_under_one_key_until_it_takes_it() {
    let (url, taken) = slurp();
    let yard = Yard::new(&INGESTION, |settings| settings["effects"]["slurp"] = json!(url));
    let daemon = yard.site.start();
    yard.begin(&daemon, yard.document("v1.0"));
    let state = state_where(&daemon, |state| state.ingestion.phase == IngestionState::Ready);
    let hash = state.ingestion.content_hash.unwrap().to_string();
    let sent: Vec<_> = (0..2).map(|_| taken.recv().unwrap()).collect();
    for (head, body) in &sent {
        assert!(head.contains(&format!("idempotency-key: p/1/{hash}")), "{head}");
        assert_eq!((&body["content_hash"], &body["index"]["version"]), (&json!(hash), &json!(1)));
    }
    assert_eq!(count(&daemon, "Ingestion_IndexFailed"), 0, "a busy server is asked again");
    let metrics = daemon.get("/metrics").text();
    assert!(metrics.contains("swoosh_effect_failures_total{effect=\"index\"} 1"));
    assert!(metrics.contains("swoosh_effect_attempts_total{effect=\"index\"} 2"));
}

#[test]
fn probe_results_make_the_council_ready_without_a_proposal() {
    let yard = Yard::new(&["probe"], |_| {});
    let daemon = yard.site.start();
    let mut project = Project::new(&yard.site, "p");
    project.drive(&daemon, Region::Council, "TOOLING_SYNC");
    let state = state_where(&daemon, |state| state.council.phase == CouncilState::Ready);
    assert_eq!(state.council.tooling.len(), 1);
    assert_eq!(count(&daemon, "Council_McpGreen"), 1);
}

fn swoosh(daemon: &Daemon, arguments: &[&str]) -> (Option<i32>, String) {
    let node = format!("http://{}", daemon.address);
    let output = crate::support::program().args(arguments).args(["--node", &node]).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_command_line_lists_effects_and_follows_them_to_their_end() {
    let yard = Yard::new(&INGESTION, |_| {});
    let daemon = yard.site.start();
    assert!(swoosh(&daemon, &["effects"]).1.contains("nothing is open"));
    yard.begin(&daemon, yard.document("v1.0"));
    let (code, _) = swoosh(&daemon, &["effects", "--watch", "--project", "p"]);
    assert_eq!(code, Some(0));
    let (_, listed) = swoosh(&daemon, &["--json", "effects", "--project", "p"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["effects"][0]["mode"], "external", "{listed}");
    assert!(swoosh(&daemon, &["effects"]).1.contains("worker"));
}

#[test]
fn a_directory_from_before_effects_had_rows_gets_them_at_the_next_start() {
    let yard = Yard::new(&[], |_| {});
    let daemon = yard.site.start();
    yard.begin(&daemon, yard.document("v1.0"));
    daemon.terminate();
    forget_rows(&yard);
    yard.site.change_settings(|settings| {
        INGESTION.iter().for_each(|effect| settings["effects"][effect] = json!("builtin"));
    });
    let daemon = yard.site.start();
    state_where(&daemon, |state| state.ingestion.phase == IngestionState::Ready);
}

/// Takes out of the store what an earlier version did not write.
fn forget_rows(yard: &Yard) {
    let (path, options) = (yard.site.journal(), rocksdb::Options::default());
    let families = rocksdb::DB::list_cf(&options, &path).unwrap();
    let store = rocksdb::DB::open_cf(&options, &path, families).unwrap();
    let (meta, outbox) = (store.cf_handle("meta").unwrap(), store.cf_handle("outbox").unwrap());
    assert!(store.get_cf(meta, "effects_indexed").unwrap().is_some());
    store.delete_cf(meta, "effects_indexed").unwrap();
    let rows: Vec<_> = store.iterator_cf(outbox, rocksdb::IteratorMode::Start).map(|row| row.unwrap().0).collect();
    let effects = rows.iter().filter(|key| key.starts_with(b"effect/"));
    assert_eq!(effects.map(|key| store.delete_cf(outbox, key).unwrap()).count(), 2);
}
