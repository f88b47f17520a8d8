//! The systems that people would pick instead, under the same load in the same run.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// One line of what the peers' script prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PeerRow {
    pub peer: String,
    pub clients: usize,
    pub per_second: u64,
    #[serde(default)]
    pub p50_us: u64,
    #[serde(default)]
    pub p99_us: u64,
}

/// Runs the script; peers that are missing are named on standard error, by it.
pub(super) fn run(
    peers: &Path,
    scratch: &Path,
    clients: &[usize],
    seconds: u64,
    tell: &mut dyn FnMut(&PeerRow),
) -> anyhow::Result<Vec<PeerRow>> {
    let script = peers.join("run.sh");
    let mut child = Command::new(&script)
        .args(clients.iter().map(ToString::to_string))
        .env("PEER_SECONDS", seconds.to_string())
        .env("TMPDIR", scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", script.display()))?;
    let stdout = child.stdout.take().context("the peers have no standard output")?;
    let mut rows = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        let row: PeerRow = serde_json::from_str(&line).with_context(|| format!("the peers print {line:?}"))?;
        tell(&row);
        rows.push(row);
    }
    let ended = child.wait()?;
    if !ended.success() {
        eprintln!("peers: {} ended with {ended}; only the rows above count", script.display());
    }
    Ok(rows)
}

/// The peer's row for a client count; with several rounds the one in the middle.
pub(super) fn find<'r>(rows: &'r [PeerRow], peer: &str, clients: usize) -> Option<&'r PeerRow> {
    let mut found: Vec<_> = rows.iter().filter(|row| row.peer == peer && row.clients == clients).collect();
    found.sort_by_key(|row| row.per_second);
    found.get(found.len() / 2).copied()
}
