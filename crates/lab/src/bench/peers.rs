//! The systems that people would pick instead, under the same load in the same run.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// Says how many connections etcd's clients share; each has its own without it.
const CONNECTIONS: &str = "ETCD_CONNECTIONS";
/// Names Restate's server to the script.
const RESTATE: &str = "RESTATE_SERVER";

/// One line of what the peers' script prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PeerRow {
    pub peer: String,
    pub clients: usize,
    /// Connections that the clients shared; absent where each had its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<usize>,
    pub per_second: u64,
    #[serde(default)]
    pub p50_us: u64,
    #[serde(default)]
    pub p99_us: u64,
}

impl PeerRow {
    /// Name and way, for a table.
    pub fn title(&self) -> String {
        let PeerRow { peer, connections, .. } = self;
        connections.map_or(peer.clone(), |shared| format!("{peer}, {shared} connections"))
    }
}

fn is_etcd(row: &PeerRow) -> bool {
    row.peer.starts_with("etcd")
}

/// One round of the peers.
pub(super) struct Peers<'p> {
    /// Directory of the script.
    pub directory: &'p Path,
    pub scratch: &'p Path,
    pub clients: &'p [usize],
    pub seconds: u64,
    /// Connections that etcd's clients share in its second measurement; 0 for none.
    pub shared: usize,
}

impl Peers<'_> {
    /// Measures all peers with a connection for each client, then etcd with shared ones.
    pub fn round(&self, tell: &mut dyn FnMut(&PeerRow)) -> anyhow::Result<Vec<PeerRow>> {
        let mut rows = self.run(None, tell)?;
        if self.shared > 0 && rows.iter().any(is_etcd) {
            let again = self.run(Some(self.shared), tell)?;
            rows.extend(again.into_iter().filter(is_etcd));
        }
        Ok(rows)
    }

    /// Runs the script; it names missing peers on standard error.
    fn run(&self, shared: Option<usize>, tell: &mut dyn FnMut(&PeerRow)) -> anyhow::Result<Vec<PeerRow>> {
        let script = self.directory.join("run.sh");
        let mut command = Command::new(&script);
        command
            .args(self.clients.iter().map(ToString::to_string))
            .env("PEER_SECONDS", self.seconds.to_string())
            .env("TMPDIR", self.scratch)
            .env_remove(CONNECTIONS)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Some(shared) = shared {
            // Restate has no second way: it is left out where this variable alone names it.
            command.env(CONNECTIONS, shared.to_string()).env_remove(RESTATE);
        }
        let mut child = command.spawn().with_context(|| format!("cannot run {}", script.display()))?;
        let stdout = child.stdout.take().context("the peers have no standard output")?;
        let mut rows = Vec::new();
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            let mut row: PeerRow = serde_json::from_str(&line).with_context(|| format!("the peers print {line:?}"))?;
            row.connections = shared.filter(|_| is_etcd(&row));
            tell(&row);
            rows.push(row);
        }
        let ended = child.wait()?;
        if !ended.success() {
            eprintln!("peers: {} ended with {ended}; only the rows above count", script.display());
        }
        Ok(rows)
    }
}
