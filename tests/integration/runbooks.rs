//! Every runbook, tried: the situation is brought about on a real daemon, and the commands are run as they are
//! written.

mod copies;
mod journal;
mod keys;
mod migration;
mod outside;
mod projects;

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
