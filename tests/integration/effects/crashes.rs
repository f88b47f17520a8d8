//! A daemon that dies between two steps of an effect. The work writes each outside action to a ledger. An action that
//! is there twice was reported: under the next attempt's number, or as `unknown`.

use serde_json::{Value, json};
use swoosh::types::names::{EnvironmentState, IngestionState};

use super::{INGESTION, Yard, count, state_where};
use crate::support::daemon::Daemon;

/// Starts a daemon that dies at a point of an effect, begins the project, and waits for its death.
fn die_at(yard: &Yard, point: &str, begin: impl FnOnce(&Daemon)) {
    let variable = format!("SWOOSH_CRASH_AT={point}");
    let daemon = yard.site.start_by(&["env", &variable]).unwrap_or_else(|refused| panic!("{refused:?}"));
    begin(&daemon);
    let (status, _) = daemon.wait();
    assert!(!status.success() && status.code().is_none(), "{point}: {status}");
}

/// The attempts that a daemon said it began at an effect.
fn attempts(daemon: &Daemon, effect: &str) -> Vec<u64> {
    let lines = daemon.log();
    let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let fields =
        lines.filter_map(|line| Some((line["fields"]["id"].as_str().or(line["id"].as_str())?.to_owned(), line)));
    let begun = fields.filter(|(id, line)| id.ends_with(effect) && line.to_string().contains("an effect begins"));
    begun.filter_map(|(_, line)| line["fields"]["attempt"].as_u64().or(line["attempt"].as_u64())).collect()
}

#[test]
fn work_that_can_be_done_again_goes_on_under_the_next_number_wherever_the_node_died() {
    // Where it dies, how often the work ran in the end, and the attempts of the second daemon.
    let cases: [(&str, usize, &[u64]); 4] =
        [("start", 1, &[1]), ("work", 1, &[2]), ("note", 2, &[2]), ("record", 1, &[])];
    for (point, runs, expected) in cases {
        let yard = Yard::new(&INGESTION, |_| {});
        let scan = yard.program("scan", "");
        yard.site.change_settings(|settings| settings["effects"]["scan_command"] = json!([scan]));
        die_at(&yard, &format!("{point}:validate"), |daemon| {
            yard.begin(daemon, yard.document("v1.0"));
        });
        let daemon = yard.site.start();
        state_where(&daemon, |state| state.ingestion.phase == IngestionState::Ready);
        assert_eq!(yard.ledger().len(), runs, "{point}");
        assert_eq!(attempts(&daemon, "validate"), expected, "{point}");
        assert_eq!(count(&daemon, "Ingestion_SchemaOk"), 1, "{point}");
        assert_eq!(count(&daemon, "Ingestion_ValidateFailed"), 0, "{point}");
    }
}

#[test]
fn work_that_may_be_done_is_reported_as_unknown_before_it_starts_again() {
    // The crash point, the number of `unknown` reports, and the number of builder runs in the end.
    for (point, unknown, runs) in [("start", 0, 1), ("work", 1, 1), ("note", 1, 2), ("record", 0, 1)] {
        let yard = super::environment::yard();
        yard.program("packer", "exec /usr/bin/packer \"$@\"");
        // Only what builds counts, not what asks for the version.
        let ledger = yard.site.file("ledger");
        let body =
            format!("#!/bin/sh\n[ \"$1\" = build ] && echo ran >> {}\nexec /usr/bin/packer \"$@\"\n", ledger.display());
        crate::support::write_program(&yard.site.file("packer"), &body);
        let path = format!("PATH={}:{}", yard.site.file("").display(), std::env::var("PATH").unwrap());
        let crash = format!("SWOOSH_CRASH_AT={point}:provision");
        let daemon = yard.site.start_by(&["env", &path, &crash]).unwrap_or_else(|refused| panic!("{refused:?}"));
        yard.begin(&daemon, yard.document("v1.0"));
        let (status, _) = daemon.wait();
        assert!(status.code().is_none(), "{point}: {status}");
        let daemon = yard.site.start_by(&["env", &path]).unwrap_or_else(|refused| panic!("{refused:?}"));
        state_where(&daemon, |state| state.environment.phase == EnvironmentState::Ready);
        let wal = daemon.get("/wal?project=p&limit=1000").text();
        assert_eq!(wal.matches("\"unknown\":true").count(), unknown, "{point}: {wal}");
        assert_eq!(count(&daemon, "Environment_ProvisionFailed"), unknown, "{point}");
        assert!(yard.ledger().len() <= runs, "{point}: {:?}", yard.ledger());
        assert_eq!(count(&daemon, "Environment_Installed"), 1, "{point}");
    }
}

#[test]
fn a_node_that_is_killed_at_any_moment_finishes_what_it_began_and_records_each_outcome_once() {
    let yard = Yard::new(&INGESTION, |_| {});
    let daemon = yard.site.start();
    yard.begin(&daemon, yard.document("v1.0"));
    daemon.kill();
    for after_ms in [30, 60, 90, 120, 200, 300] {
        yard.site.start_and_kill(after_ms);
    }
    let daemon = yard.site.start();
    state_where(&daemon, |state| state.ingestion.phase == IngestionState::Ready);
    for transition in ["Ingestion_SourcesResolved", "Ingestion_BytesOk", "Ingestion_SchemaOk", "Ingestion_CorpusBuilt"]
    {
        assert_eq!(count(&daemon, transition), 1, "{transition}");
    }
}
