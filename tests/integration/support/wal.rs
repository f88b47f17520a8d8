//! The log as `GET /wal` shows it, and replicas that are fed with it.

use std::collections::BTreeMap;

use swoosh::client::{WalEntry, WalPage};
use swoosh::machine::head::Head;
use swoosh::machine::replay::step;
use swoosh::types::hash::Hash;
use swoosh::types::text::ProjectName;

use super::daemon::Daemon;

/// The whole log; every link is checked.
#[track_caller]
pub fn read(daemon: &Daemon) -> Vec<WalEntry> {
    let log = read_by(daemon, 1000);
    let mut previous = Hash::ZERO;
    for (entry, index) in log.iter().zip(1..) {
        assert_eq!(entry.record.index, index);
        assert!(entry.follows(&previous), "record {index} does not follow");
        previous = entry.chain;
    }
    log
}

/// The whole log in pages of so many records.
#[track_caller]
pub fn read_by(daemon: &Daemon, limit: u64) -> Vec<WalEntry> {
    let mut log: Vec<WalEntry> = Vec::new();
    loop {
        let from = log.len() + 1;
        let answer = daemon.get(&format!("/wal?from={from}&limit={limit}"));
        let page: WalPage = serde_json::from_slice(&answer.body).unwrap();
        log.extend(page.records);
        if log.len() as u64 >= page.last_index {
            return log;
        }
    }
}

/// The heads of every project after a log, and after each record the head that it led to.
#[track_caller]
pub fn replica(log: &[WalEntry]) -> (BTreeMap<ProjectName, Head>, Vec<Hash>) {
    let mut heads: BTreeMap<ProjectName, Head> = BTreeMap::new();
    let mut led_to = Vec::with_capacity(log.len());
    for entry in log {
        let project = &entry.record.project;
        let head = heads.entry(project.clone()).or_insert_with(|| Head::genesis(project));
        *head = step(head, &entry.record, &entry.inputs).unwrap_or_else(|divergence| panic!("{divergence}"));
        led_to.push(head.hash());
    }
    (heads, led_to)
}
