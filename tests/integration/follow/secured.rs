//! Followers of nodes with closed reads: over TLS with a private authority, and with signed reads.

use serde_json::{Value, json};
use swoosh::platform::keyfile;
use swoosh::types::keys::SecretKey;
use swoosh::types::names::Region;

use super::folder;
use crate::backup::{eventually, text};
use crate::serving::tls;
use crate::support::daemon::{Daemon, Site};
use crate::support::driver::Project;

/// An address of every kind, so that reads are closed.
const OPEN: &str = "0.0.0.0:0";

fn reader() -> SecretKey {
    SecretKey::from_bytes(&[78; 32])
}

/// A site whose log holds a project, with the key file of a reader and of an identity that may not read.
fn begun() -> Site {
    let site = Site::with(crate::support::daemon::always_open(), |settings| {
        settings["identities"][reader().public().to_string()] = json!({"name": "rea", "roles": ["reader"]});
    });
    keyfile::store(&site.file("reader.key"), &reader()).unwrap();
    keyfile::store(&site.file("operator.key"), &site.hands.get("operator").secret).unwrap();
    let node = site.start();
    Project::new(&site, "one").drive(&node, Region::Boot, "LICENSED");
    node.terminate();
    site
}

fn path(site: &Site, name: &str) -> String {
    text(&site.file(name)).to_owned()
}

/// Runs the program against the node and expects success; its JSON output.
#[track_caller]
fn succeeds(site: &Site, arguments: &[&str]) -> Value {
    let output = site.tool(&[&["--json"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// An operator's transition, which says how far the follower has to come.
#[track_caller]
fn pause_or_resume(site: &Site, transition: &str, url: &str, more: &[&str]) -> u64 {
    let key = path(site, "operator.key");
    let inputs = r#"{"rationale": "a test"}"#;
    let begin = ["propose", transition, "--project", "one", "--node", url, "--key", &key, "--inputs", inputs];
    let receipt = succeeds(site, &[&begin, more].concat());
    receipt["index"].as_u64().unwrap_or_else(|| panic!("no receipt: {receipt}"))
}

#[track_caller]
fn comes_to(follower: &Daemon, index: u64) {
    eventually("the follower's catching up", || (follower.last_index() >= index).then_some(()));
    assert_eq!(follower.get("/state?project=one").status, 200);
}

/// How a follower that cannot follow ends.
#[track_caller]
fn ends(site: &Site, url: &str, more: &[&str]) -> String {
    let data = folder();
    let (code, said) = site.follow_with(url, &data.path().join("follower"), more).err().expect("it follows");
    assert_eq!(code, Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn a_follower_over_tls_believes_one_authority_and_shows_who_it_is() {
    let site = begun();
    for name in ["node.pem", "node.key", "ca.pem", "other-ca.pem", "reader.pem"] {
        tls::put(&site, name, name);
    }
    site.change_settings(|settings| {
        settings["tls"] = json!({"certificate": "node.pem", "key": "node.key", "client_ca": "ca.pem"});
    });
    let node = site.start_on(OPEN);
    let url = format!("https://{}", node.address);
    let [ca, other] = ["ca.pem", "other-ca.pem"].map(|name| path(&site, name));
    let [certificate, key, no_reader] = ["reader.pem", "reader.key", "operator.key"].map(|name| path(&site, name));
    // A follower refuses a node with an untrusted certificate; a node with closed reads refuses an unsigned follower.
    for authority in [&[][..], &["--ca", &other]] {
        let said = ends(&site, &url, authority);
        assert!(said.contains("certificate") && said.contains("--ca"), "{said}");
    }
    for unauthorized in [&["--ca", &ca][..], &["--ca", &ca, "--read-as", &no_reader]] {
        let said = ends(&site, &url, unauthorized);
        assert!(said.contains("reads_closed"), "{said}");
    }
    let plain = ends(&site, &url.replace("https", "http"), &[]);
    assert!(plain.contains("its address begins with https://"), "{plain}");

    let data = folder();
    let signing = ["--ca", &ca, "--read-as", &key];
    let signed = site.follow_with(&url, &data.path().join("signed"), &signing).unwrap();
    let certified =
        site.follow_with(&url, &data.path().join("certified"), &["--ca", &ca, "--cert", &certificate]).unwrap();
    let paused = pause_or_resume(&site, "Control_Pause", &url, &signing);
    comes_to(&signed, paused);
    comes_to(&certified, paused);
    // Both go on when the node comes back.
    let address = node.address.port();
    node.kill();
    eventually("the follower's notice", || signed.measures("swoosh_follow_connected 0").then_some(()));
    let _node = site.start_on(&format!("0.0.0.0:{address}"));
    let resumed = pause_or_resume(&site, "Control_Resume", &url, &signing);
    comes_to(&signed, resumed);
    comes_to(&certified, resumed);
}

#[test]
fn a_follower_signs_its_reads_where_the_node_asks_for_it() {
    let site = begun();
    let node = site.start_on(OPEN);
    let url = format!("http://{}", node.address);
    let [key, no_reader] = ["reader.key", "operator.key"].map(|name| path(&site, name));
    for unauthorized in [&[][..], &["--read-as", &no_reader]] {
        let said = ends(&site, &url, unauthorized);
        assert!(said.contains("reads_closed"), "{said}");
    }
    let data = folder();
    let signing = ["--read-as", &key];
    let follower = site.follow_with(&url, &data.path().join("follower"), &signing).unwrap();
    comes_to(&follower, pause_or_resume(&site, "Control_Pause", &url, &signing));
    // The reader is not one any more: the follower waits, serves what it has, and goes on when it is one again.
    let (operator, port) = (site.hands.get("operator").key().to_string(), node.address.port());
    node.terminate();
    site.change_settings(|settings| {
        let only = settings["identities"][&operator].clone();
        settings["identities"] = json!({});
        settings["identities"][&operator] = only;
    });
    let node = site.start_on(&format!("0.0.0.0:{port}"));
    eventually("the follower's notice", || follower.measures("swoosh_follow_connected 0").then_some(()));
    assert_eq!(follower.get("/state?project=one").status, 200);
    node.terminate();
    site.change_settings(|settings| {
        settings["identities"][reader().public().to_string()] = json!({"name": "rea", "roles": ["reader"]});
    });
    let _node = site.start_on(&format!("0.0.0.0:{port}"));
    comes_to(&follower, pause_or_resume(&site, "Control_Resume", &url, &signing));
}
