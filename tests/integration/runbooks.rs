//! Every runbook, tried: the situation is brought about on a real daemon, and the commands are run as they are
//! written.

mod copies;
mod journal;
mod keys;
mod migration;
mod outside;
mod projects;

use crate::serving::tls::{fixture, secured};
use crate::support::daemon::{Daemon, Site};
use crate::support::runbook::{self, Runbook};

/// A runbook whose commands work on a site.
fn open(name: &str, site: &Site) -> Runbook {
    let mut book = Runbook::open(name);
    book.set("DATA", site.data().display());
    book.set("CONFIG", site.config().display());
    book
}

/// And ask this daemon.
fn ask(book: &mut Runbook, daemon: &Daemon) {
    book.set("SWOOSH_URL", format!("http://{}", daemon.address));
    book.set("PID", daemon.id());
}

#[test]
fn every_runbook_has_symptom_check_action_and_proof() {
    for name in runbook::all() {
        let text = runbook::text(&name);
        let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert!(sections.starts_with(&["Symptom", "Check", "Action", "Proof"]), "{name}: {sections:?}");
    }
}

/// Pages promised symptoms that no command printed. Each block that checks or proves shows its output, and `Runbook::run` compares it.
#[test]
fn every_check_and_proof_of_a_runbook_shows_what_it_prints() {
    let missing = runbook::all().into_iter().flat_map(|name| {
        runbook::without_output(&name).into_iter().map(move |(section, script)| format!("{name}, {section}: {script}"))
    });
    assert_eq!(missing.collect::<Vec<String>>(), Vec::<String>::new());
}

/// Behind a private CA every curl of a runbook failed: the page named no variable for it.
#[test]
fn every_curl_of_a_runbook_reaches_a_node_with_a_private_authority() {
    let site = secured(serde_json::json!({}));
    let daemon = site.start();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md")).unwrap();
    let row = page.lines().find(|line| line.starts_with("| `SWOOSH_CA`")).expect("the table of variables");
    assert!(row.contains("`CURL_CA_BUNDLE`"), "{row}");
    let asks = |line: &str, trusts: bool| {
        let curl = &line[line.find("curl ").unwrap()..];
        let mut command = std::process::Command::new("bash");
        command
            .args(["-c", curl.split(" | ").next().unwrap()])
            .env("SWOOSH_URL", format!("https://{}", daemon.address));
        match trusts {
            true => command.env("CURL_CA_BUNDLE", fixture("ca.pem")),
            false => command.env_remove("CURL_CA_BUNDLE"),
        };
        command.output().unwrap()
    };
    let mut asked = 0;
    for name in runbook::all() {
        for line in runbook::curls(&name) {
            assert!(!asks(&line, false).status.success(), "{name}: {line} trusts any certificate");
            let answer = asks(&line, true);
            assert!(answer.status.success(), "{name}: {line}: {}", String::from_utf8_lossy(&answer.stderr));
            asked += 1;
        }
    }
    assert!(asked >= 10, "{asked}");
}

/// A runbook without a test may promise what does not hold.
#[test]
fn every_runbook_is_followed_by_a_test() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration");
    let files =
        ["copies", "journal", "keys", "migration", "outside", "projects"].map(|name| format!("runbooks/{name}.rs"));
    let files = files.into_iter().chain(["stuck_disk.rs".to_owned()]);
    let tests: String = files.map(|file| std::fs::read_to_string(folder.join(file)).unwrap()).collect();
    for name in runbook::all() {
        assert!(tests.contains(&format!("open(\"{name}\"")), "no test follows {name}");
    }
}

#[test]
fn every_link_of_a_runbook_leads_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in runbook::all() {
        let text = runbook::text(&name);
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let path = link.split('#').next().unwrap();
            assert!(root.join("runbooks").join(path).is_file(), "{name}: {link}");
        }
    }
}

#[test]
fn a_refusal_to_start_names_a_runbook() {
    let site = Site::new();
    let names_one = |site: &Site| {
        let (code, said) = site.start_refused();
        assert!(code == Some(1) && said.contains("runbooks/"), "{said}");
    };
    site.change_settings(|settings| settings["tls"] = serde_json::json!({"certificate": "no.pem", "key": "no.key"}));
    names_one(&site);
    site.change_settings(|settings| settings["tls"] = serde_json::json!({}));
    site.change_settings(|settings| settings["clock"] = serde_json::json!({"max_ahead_ms": -1}));
    names_one(&site);
    site.change_settings(|settings| settings["clock"] = serde_json::json!({}));
    let daemon = site.start();
    names_one(&site);
    daemon.kill();
}
