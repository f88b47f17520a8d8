//! KACHING over real HTTP: granted, slow, garbage, denied, run out, renewed; over restarts too.

use serde_json::{Value, json};
use swoosh::types::names::{Region, Transition};

use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::Project;
use crate::support::sockets::{Mood, eventually, kaching, wait_asked};
use crate::support::wal;
use crate::support::world::Ask;
use swoosh_standins::kaching::Kaching;

/// A site whose only source of license facts is this server, polled about every second.
fn site(kaching: &Kaching) -> Site {
    Site::with(always_open(), |settings| {
        settings["facts"]["sources"]["license"] = json!([]);
        settings["kaching"] = json!({
            "url": kaching.url(), "keys": [kaching.key()], "request_timeout_ms": 300,
            "refresh_max_ms": 1_000, "retry_min_ms": 10, "retry_max_ms": 1_000,
        });
        settings["license"] = json!({"grace_ms": 86_400_000});
    })
}

fn license(daemon: &Daemon) -> Value {
    daemon.get("/facts?kind=license").json()
}

fn gate_is_open(daemon: &Daemon) -> bool {
    license(daemon)["network"]["open"] == true
}

fn licensed(daemon: &Daemon, believed: bool) {
    eventually("the license is held as expected", || license(daemon)["facts"][0]["believed"] == believed);
}

/// The license changes that the node proposed so far.
fn changes(daemon: &Daemon) -> Vec<Transition> {
    let of_license = |transition: &Transition| transition.as_str().starts_with("License_");
    wal::read(daemon).into_iter().map(|entry| entry.record.transition).filter(of_license).collect()
}

/// Proposes something that passes, or that nothing but the license holds back; who raced tries again.
fn nudge(daemon: &Daemon, project: &mut Project<'_>) -> u16 {
    project.refresh(daemon);
    let next = if project.head.state().control.paused { Transition::ControlResume } else { Transition::ControlPause };
    project.propose(daemon, &Ask::new(next)).status
}

#[test]
fn nothing_begins_before_a_license_is_granted() {
    let kaching = kaching(Mood::Status(403));
    let site = site(&kaching);
    let daemon = site.start();
    let mut project = Project::new(&site, "default");
    project.accept(&daemon, Transition::BootConfigOk);
    wait_asked(&kaching, 2);
    let refused = project.propose(&daemon, &Ask::new(Transition::BootLicensed)).json();
    assert_eq!(refused["code"], "guard_license");
    assert!(refused["detail"].as_str().unwrap().contains("there is no license fact"), "{refused}");
    let shown = license(&daemon);
    assert!(shown["missing"].as_array().unwrap().contains(&json!("license")), "{shown}");
    assert_eq!(shown["network"]["open"], false);
    assert!(daemon.measures("swoosh_network_gate_open 0"));
    kaching.be(Mood::kind());
    licensed(&daemon, true);
    eventually("the gate opens", || gate_is_open(&daemon));
    project.accept(&daemon, Transition::BootLicensed);
    assert!(daemon.measures("swoosh_network_gate_open 1"));
}

#[test]
fn an_outage_and_garbage_leave_the_license_as_it_is() {
    let kaching = kaching(Mood::kind());
    let site = site(&kaching);
    let daemon = site.start();
    licensed(&daemon, true);
    let mut project = Project::new(&site, "default");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let away = kaching.url().replace("license", "elsewhere");
    for mood in [
        Mood::Status(500),
        Mood::Status(404),
        Mood::Garbage(b"<html>maintenance</html>".to_vec()),
        Mood::Garbage(vec![0xff; 100]),
        Mood::Garbage(b"e30.e30.e30".to_vec()),
        Mood::Redirect(away),
        Mood::Hang,
        Mood::Flood,
    ] {
        kaching.be(mood.clone());
        wait_asked(&kaching, 3);
        let shown = license(&daemon);
        assert_eq!(
            (&shown["facts"][0]["believed"], &shown["network"]["open"]),
            (&json!(true), &json!(true)),
            "{mood:?}"
        );
        assert_eq!(nudge(&daemon, &mut project), 202, "{mood:?}");
    }
    assert_eq!(changes(&daemon), []);
    let log = daemon.terminate().join("\n");
    assert!(log.contains("the license could not be fetched") && !log.contains("maintenance"), "{log}");
}

#[test]
fn a_denial_leads_through_grace_and_expiry_to_renewal_and_restarts_forget_nothing() {
    let kaching = kaching(Mood::kind());
    let site = site(&kaching);
    let daemon = site.start();
    licensed(&daemon, true);
    let mut project = Project::new(&site, "default");
    project.drive(&daemon, Region::Boot, "LICENSED");
    kaching.be(Mood::Status(403));
    licensed(&daemon, false);
    assert_eq!(nudge(&daemon, &mut project), 400, "the node's own change came first");
    assert_eq!(changes(&daemon), [Transition::LicenseGraceEntered]);
    assert!(gate_is_open(&daemon), "grace lets the node go on");
    assert_eq!(nudge(&daemon, &mut project), 202);
    let denied = license(&daemon)["facts"][0]["valid_until"].clone();
    daemon.terminate();
    // The grace is over by the time it starts again: the denial was kept, and begins no new one.
    site.change_settings(|settings| settings["license"] = json!({"grace_ms": 0}));
    let daemon = site.start();
    assert_eq!(license(&daemon)["facts"][0]["valid_until"], denied);
    assert_eq!(nudge(&daemon, &mut project), 400);
    assert_eq!(changes(&daemon).last(), Some(&Transition::LicenseExpired));
    eventually("the gate shows why it is closed", || {
        license(&daemon)["network"]["reason"].as_str().is_some_and(|reason| reason.contains("ran out"))
    });
    kaching.be(Mood::kind());
    licensed(&daemon, true);
    eventually("the gate opens", || gate_is_open(&daemon));
    nudge(&daemon, &mut project);
    let all = [Transition::LicenseGraceEntered, Transition::LicenseExpired, Transition::LicenseRenewed];
    assert_eq!(changes(&daemon), all);
    assert_eq!(nudge(&daemon, &mut project), 202);
}

#[test]
fn a_license_that_runs_out_in_mid_flight_expires_by_itself_and_needs_no_server_to_survive_a_restart() {
    let kaching = kaching(Mood::Grant { scope: "other swoosh".into(), lasts_s: 4 });
    let site = site(&kaching);
    site.change_settings(|settings| settings["license"] = json!({"grace_ms": 0}));
    let daemon = site.start();
    licensed(&daemon, true);
    let kept = std::fs::read_to_string(site.data().join("license.json")).unwrap();
    kaching.be(Mood::Hang);
    let mut project = Project::new(&site, "default");
    project.drive(&daemon, Region::Boot, "LICENSED");
    daemon.kill();
    let daemon = site.start();
    let first = license(&daemon)["facts"][0].clone();
    assert!(first["valid_until"].is_string(), "it was kept on disk: {kept}");
    licensed(&daemon, false);
    eventually("the gate closes by itself", || !gate_is_open(&daemon));
    assert_eq!(nudge(&daemon, &mut project), 400);
    assert_eq!(changes(&daemon), [Transition::LicenseExpired]);
}

#[test]
fn a_license_without_our_scope_and_a_key_that_is_not_pinned_count_for_nothing() {
    let kaching = kaching(Mood::Grant { scope: "other".into(), lasts_s: 3_600 });
    let site = site(&kaching);
    let daemon = site.start();
    wait_asked(&kaching, 2);
    assert_eq!(license(&daemon)["facts"], json!([]));
    daemon.terminate();
    kaching.be(Mood::kind());
    let stranger = site.hands.get("stranger").key();
    site.change_settings(|settings| settings["kaching"]["keys"] = json!([stranger]));
    let daemon = site.start();
    wait_asked(&kaching, 2);
    assert_eq!(license(&daemon)["facts"], json!([]));
    let log = daemon.terminate().join("\n");
    assert!(log.contains("none of the keys under kaching.keys signed it"), "{log}");
}

fn swoosh(arguments: &[&str]) -> (bool, String) {
    let output = crate::support::program().args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), said)
}

#[test]
fn the_command_line_fetches_checks_and_shows_licenses() {
    let kaching = kaching(Mood::kind());
    let site = site(&kaching);
    let config = site.config();
    let config = config.to_str().unwrap();
    let (good, said) = swoosh(&["license", "fetch", "--config", config]);
    assert!(good && said.contains("license license-1"), "{said}");
    let kept: Value = serde_json::from_slice(&std::fs::read(site.data().join("license.json")).unwrap()).unwrap();
    let token = site.data().join("token.jwt");
    std::fs::write(&token, kept["token"].as_str().unwrap()).unwrap();
    let token = token.to_str().unwrap();
    assert!(swoosh(&["license", "check", token, "--config", config]).0);
    kaching.be(Mood::Status(403));
    let (good, said) = swoosh(&["license", "fetch", "--config", config]);
    assert!(!good && said.contains("denied"), "{said}");
    let daemon = site.start();
    let node = format!("http://{}", daemon.address);
    eventually("what was fetched is held", || swoosh(&["license", "show", "--node", &node]).1.contains("(all)"));
    site.change_settings(|settings| settings["license"] = json!({"scope": "other"}));
    let (good, said) = swoosh(&["license", "check", token, "--config", config]);
    assert!(!good && said.contains("does not cover the scope other"), "{said}");
}
