//! Runbooks of keys that are lost or stolen: those of projects, and those of the node's settings.

use serde_json::json;
use swoosh::platform::keyfile;
use swoosh::types::names::{Region, Transition};

use super::{ask, open};
use crate::support::daemon::{Daemon, Site};
use crate::support::driver::Project;
use crate::support::world::Ask;

fn key_file(site: &Site, name: &str) -> String {
    let path = site.file(&format!("{name}.key"));
    if !path.exists() {
        keyfile::store(&path, &site.hands.get(name).secret).unwrap();
    }
    path.display().to_string()
}

/// Proposes a pause with a key, without doing it; what the node says.
fn try_pause(site: &Site, address: std::net::SocketAddr, key: &str) -> (bool, String) {
    let node = format!("http://{address}");
    let said = site.tool(&[
        "propose",
        "Control_Pause",
        "--key",
        key,
        "--node",
        &node,
        "--project",
        "held",
        "--dry-run",
        "--inputs",
        "{\"rationale\":\"it is tried\"}",
    ]);
    (said.status.success(), String::from_utf8([said.stdout, said.stderr].concat()).unwrap())
}

/// A thief's key is revoked and its owner gets another; a key that was only lost is rotated and keeps its place.
#[test]
fn a_stolen_key_is_revoked_and_a_lost_one_is_rotated() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "held");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let mut book = open("lost-operator-key.md", &site);
    ask(&mut book, &daemon);
    book.set("PROJECT", "held");
    book.set("SWOOSH_KEY", key_file(&site, "operator"));
    book.set("REASON", "The laptop was stolen.");
    book.set("NAME", "successor");
    book.set("NEW", site.file("successor.key").display());
    let thief = site.hands.get("agent").key().to_string();
    book.set("LOST", &thief);
    book.tells("Check", 0, "agent");
    // The key has signed: with `COLUMNS` the table showed four digits of it, and the runbook found nothing.
    for transition in ["Control_Pause", "Control_Resume"] {
        let mut propose = site.program();
        propose.args([
            "propose",
            transition,
            "--project",
            "held",
            "--inputs",
            "{\"rationale\":\"it is tried\"}",
            "--key",
        ]);
        propose.arg(key_file(&site, "operator")).env("SWOOSH_URL", format!("http://{}", daemon.address));
        let said = propose.output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
    book.set("COLUMNS", "80");
    book.set("LOST", site.hands.get("operator").key());
    book.tells("Check", 1, "Control_Pause");
    book.set("LOST", &thief);
    book.set("COLUMNS", "");
    book.tells("Check", 1, "record");
    book.tells("Action", 0, "accepted");
    book.tells("Action", 1, "accepted");
    book.tells("Action", 2, "accepted");
    // The project is paused already; who asks is what matters here.
    let (_, said) = try_pause(&site, daemon.address, site.file("successor.key").to_str().unwrap());
    assert!(!said.contains("identity_unknown") && !said.contains("role_not_allowed"), "{said}");
    book.set("NEW", site.file("again.key").display());
    book.set("LOST", site.hands.get("worker").key());
    book.tells("Action", 3, "accepted");
    let listed = book.run("Proof", 0);
    let line = |key: &str| {
        listed.lines().find(|line| line.ends_with(key)).unwrap_or_else(|| panic!("{key}: {listed}")).to_owned()
    };
    assert!(line(&thief).contains("no: revoked"), "{listed}");
    assert!(line(&site.hands.get("worker").key().to_string()).contains("no: "), "{listed}");
    assert!(try_pause(&site, daemon.address, &key_file(&site, "agent")).1.contains("identity_revoked"));
    book.finish();
}

/// Has the node read its settings again, and waits until it says so.
fn reload(daemon: &Daemon) {
    let said =
        |daemon: &Daemon| daemon.log().iter().filter(|line| line.contains("the identities were read again")).count();
    let before = said(daemon);
    daemon.signal("HUP");
    daemon.wait_for("/health", |_| said(daemon) > before);
}

/// The new key counts beside the old one, then alone, and the node runs all the while.
#[test]
fn a_key_of_the_settings_is_replaced_without_a_gap() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "held");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let new = site.file("new.key").display().to_string();
    let old = site.hands.get("operator").key().to_string();
    let mut book = open("settings-identities.md", &site);
    ask(&mut book, &daemon);
    book.set("PROJECT", "held");
    book.set("NEW", &new);
    book.tells("Check", 0, &old);
    let printed = book.run("Action", 0);
    let key =
        printed.lines().find_map(|line| line.split_whitespace().find(|word| word.starts_with("hmmm:pubkey:"))).unwrap();
    assert!(try_pause(&site, daemon.address, &new).1.contains("identity_unknown"));
    site.change_settings(|settings| settings["identities"][key] = json!({"name": "ops", "roles": ["operator"]}));
    book.run("Action", 1);
    reload(&daemon);
    book.run("Action", 2);
    site.change_settings(|settings| drop(settings["identities"].as_object_mut().unwrap().remove(&old)));
    book.run("Action", 3);
    reload(&daemon);
    book.run("Proof", 0);
    assert!(!std::fs::read_to_string(site.config()).unwrap().contains(&old));
    book.finish();
}

/// Refused signatures raised no alert, and nothing listed them.
#[test]
fn refused_signatures_are_found_with_their_reasons() {
    let site = Site::new();
    let daemon = site.start();
    let mut book = open("refused-signatures.md", &site);
    ask(&mut book, &daemon);
    assert_eq!(daemon.post(b"{}").code(), "schema");
    let forged =
        crate::support::driver::bytes(&Project::new(&site, "held").signed(&Ask::new(Transition::BootConfigOk)));
    let mut document: serde_json::Value = serde_json::from_slice(&forged).unwrap();
    document["inputs_hash"] = json!(swoosh::types::hash::Hash::of(b"elsewhere"));
    assert_eq!(daemon.post(&serde_json::to_vec(&document).unwrap()).code(), "inputs_hash_mismatch");
    book.tells("Check", 0, "inputs_hash_mismatch");
    book.tells("Check", 1, "swoosh_rejection_total");
    book.tells("Proof", 0, "inputs_hash_mismatch");
    book.finish();
}
