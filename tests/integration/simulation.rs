//! The simulation (docs/chaos.md): a slice of it breaks no invariant, its runs are repeatable, and it finds bugs that
//! are planted between the node and the layers below it.
//!
//! Rates are raised where a slice is too short for a fault to happen often enough: what is rare is not less tested.

use swoosh_simulation::{Bug, Fault, Plan, Rates, Report, Script, replay, run};

/// Everything happens, a little more often than usual.
fn often() -> Rates {
    let often = Fault::ALL.iter().map(|fault| format!("{fault}={}", (fault.usual() * 2).clamp(40, 600)));
    often.collect::<Vec<_>>().join(",").parse().unwrap()
}

fn lived(seed: u64, (transitions, turns): (u64, u64), rates: &str, bug: Option<Bug>) -> Report {
    let rates = if rates == "often" { often() } else { rates.parse().unwrap() };
    run(&Plan { seed, transitions, turns, shrinking: 3_000, rates, bug, side_by_side: 1 }, &|_| ())
}

#[test]
fn worlds_full_of_faults_break_nothing_and_every_fault_happens() {
    let report = lived(11, (300, 1_500), "often", None);
    assert_eq!(report.failure.map(|failure| (failure.violation, failure.script)), None);
    assert_eq!(report.never_fired, []);
    assert!(report.tally.of("projects led to REVERB") > 0);
    assert!(report.tally.of("logs verified and replayed from their first record") > 0);
}

#[test]
fn a_seed_gives_one_trace_and_another_seed_another() {
    let trace = |seed| lived(seed, (1, 150), "none", None).trace;
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}

/// Plants a bug and gives the invariant that finds it; the script that is printed must find it again.
#[track_caller]
fn found(bug: Bug, rates: &str, by: &[&str]) {
    let report = lived(5, (2_000, 600), rates, Some(bug));
    let failure = report.failure.unwrap_or_else(|| panic!("{bug:?} is not found"));
    assert!(by.contains(&failure.violation.invariant), "{bug:?} is found by {}", failure.violation);
    let script = Script::parse(serde_json::to_string(&failure.script).unwrap().as_bytes()).unwrap();
    let (_, again) = replay(&script).broke.expect("the script breaks it again");
    assert_eq!(again.invariant, failure.violation.invariant);
}

#[test]
fn an_answer_before_the_commit_is_found() {
    found(Bug::AnswersBeforeCommit, "kill=100", &["acknowledged-is-kept", "readable"]);
}

#[test]
fn a_skipped_sync_is_found() {
    found(Bug::SkipsSyncs, "power-loss=300", &["acknowledged-is-kept", "starts"]);
}

#[test]
fn a_forgotten_watermark_is_found() {
    found(Bug::ForgetsWatermark, "directory-rollback=200,restart=100", &["acknowledged-is-kept"]);
}

#[test]
fn a_dropped_idempotency_key_is_found() {
    found(
        Bug::DropsKeys,
        "duplicate-proposal=1000",
        &["exactly-once", "receipts-never-change", "repeats-get-receipts"],
    );
}

#[test]
fn a_receipt_that_changes_is_found() {
    found(Bug::ChangesReceipts, "none", &["receipts-are-rebuilt"]);
}

#[test]
fn a_key_that_is_bound_to_another_record_is_found() {
    found(Bug::MisplacesKeys, "none", &["receipts-are-rebuilt"]);
}

#[test]
fn inputs_that_are_not_stored_are_found() {
    found(Bug::DropsInputs, "none", &["readable", "replay-equal"]);
}

#[test]
fn a_window_that_is_held_open_by_a_changed_fact_is_found() {
    found(Bug::OpensWindows, "none", &["windows"]);
}

#[test]
fn time_that_goes_back_over_a_restart_is_found() {
    found(Bug::ForgetsTime, "clock-back=600,restart=600", &["hlc-monotone"]);
}

#[test]
fn a_failed_sync_that_is_ignored_is_found() {
    found(Bug::IgnoresFailedSyncs, "sync-fails=300,power-loss=300", &["acknowledged-is-kept", "starts"]);
}

#[test]
fn a_watermark_that_is_cut_before_it_is_written_is_found() {
    found(Bug::CutsWatermark, "power-loss=300", &["starts"]);
}

#[test]
fn a_license_that_is_believed_in_for_ever_is_found() {
    found(Bug::BelievesInLicenses, "license-denied=200", &["license-gate"]);
}

#[test]
fn a_policy_that_permits_everything_is_found() {
    found(Bug::PermitsEverything, "none", &["policy-holds"]);
}

#[test]
fn every_bug_that_can_be_planted_is_found_by_a_test() {
    let this = include_str!("simulation.rs");
    let missing =
        |bug: &Bug| !this.contains(&format!("found(Bug::{bug:?}")) && !this.contains(&format!("Bug::{bug:?},\n"));
    assert_eq!(Bug::ALL.into_iter().filter(missing).collect::<Vec<_>>(), []);
}

#[test]
fn a_script_that_is_none_is_refused_and_says_why() {
    let refused = |text: &str| Script::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(refused("{}").starts_with("it is no script of `swoosh chaos sim`"));
    let text = r#"{"seed": 1, "faults": "none", "planted": "frogs", "turns": []}"#;
    assert!(refused(text).starts_with("unknown bug \"frogs\""));
    let text = r#"{"seed": 1, "faults": "frogs", "turns": []}"#;
    assert!(refused(text).contains("there is no fault \"frogs\""));
}
