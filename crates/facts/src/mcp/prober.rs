//! Keeps one task for each pinned server, and says what counts as a tooling fact.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use unicode_normalization::UnicodeNormalization as _;

use super::damping::{Damping, DampingRules};
use super::probe::{ProbeError, ProbeLimits, probe};
use crate::{Provider, Speaker};
use swoosh_platform::gate::NetworkGate;
use swoosh_platform::outbound::{Http, HttpLimits};
use swoosh_types::fact::{FactKind, ToolStatus, Tooling};
use swoosh_types::text::{Detail, Url};

/// The servers that projects pin, as the node knows them.
pub type Pins = Arc<BTreeSet<Url>>;

/// How results that come in together are gathered into one fact.
const GATHER: Duration = Duration::from_millis(20);
/// Shortest interval between reports of an unchanged result.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// How servers are probed.
#[derive(Clone, Debug)]
pub struct ProberOptions {
    /// From one probe of a settled server to the next.
    pub interval: Duration,
    /// The same while its probes differ.
    pub settle: Duration,
    /// Bounds of one probe.
    pub limits: ProbeLimits,
    /// Most servers; those last by address are left out.
    pub max_servers: usize,
    pub damping: DampingRules,
    /// How long results may be believed.
    pub valid_for: Duration,
}

/// The state in force of every server.
#[derive(Debug, Default)]
struct Board {
    servers: Mutex<BTreeMap<Url, ToolStatus>>,
    changed: Notify,
}

impl Board {
    fn put(&self, url: &Url, status: ToolStatus) {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).insert(url.clone(), status);
        self.changed.notify_one();
    }

    /// Forgets servers that are no longer pinned.
    fn retain(&self, pinned: &BTreeMap<Url, AbortHandle>) {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).retain(|url, _| pinned.contains_key(url));
        self.changed.notify_one();
    }

    fn tooling(&self) -> Tooling {
        Tooling { servers: self.servers.lock().unwrap_or_else(PoisonError::into_inner).clone() }
    }
}

/// Probes pinned servers for as long as it runs.
#[derive(Debug)]
pub struct Prober {
    options: ProberOptions,
    speaker: Speaker,
    gate: NetworkGate,
    pins: watch::Receiver<Pins>,
}

impl Prober {
    /// Probes what is pinned, under the gate.
    pub fn new(options: ProberOptions, speaker: Speaker, gate: NetworkGate, pins: watch::Receiver<Pins>) -> Prober {
        Prober { options, speaker, gate, pins }
    }

    /// Probes for ever; run it in a task and abort that to stop.
    pub async fn run(mut self) {
        let board = Arc::new(Board::default());
        let mut tasks = Tasks(BTreeMap::new());
        let say = say(board.clone(), self.speaker.clone(), self.options.valid_for);
        tokio::pin!(say);
        loop {
            let pins = self.pins.borrow_and_update().clone();
            self.follow(&pins, &mut tasks.0, &board);
            tokio::select! {
                changed = self.pins.changed() => if changed.is_err() { return },
                () = &mut say => return,
            }
        }
    }

    /// Starts and ends tasks as servers are pinned and no longer pinned.
    fn follow(&self, pins: &BTreeSet<Url>, tasks: &mut BTreeMap<Url, AbortHandle>, board: &Arc<Board>) {
        let wanted: BTreeSet<&Url> = pins.iter().take(self.options.max_servers).collect();
        if wanted.len() < pins.len() {
            let (pinned, probed) = (pins.len(), wanted.len());
            tracing::warn!(pinned, probed, "more MCP servers are pinned than mcp.max_servers; the rest is not probed");
        }
        let before = tasks.len();
        tasks.retain(|url, task| {
            let keep = wanted.contains(url);
            if !keep {
                task.abort();
            }
            keep
        });
        if tasks.len() < before {
            board.retain(tasks);
        }
        for url in wanted {
            if !tasks.contains_key(url) {
                let (speaker, options) = (self.speaker.clone(), self.options.clone());
                let task = watch_server(url.clone(), options, speaker, self.gate.clone(), board.clone());
                tasks.insert(url.clone(), tokio::spawn(task).abort_handle());
            }
        }
    }
}

/// Ends every task when the prober ends.
struct Tasks(BTreeMap<Url, AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.values().for_each(AbortHandle::abort);
    }
}

/// Says the board whenever something on it changed, and again when probes confirmed it.
async fn say(board: Arc<Board>, speaker: Speaker, valid_for: Duration) {
    let mut said = None;
    loop {
        board.changed.notified().await;
        tokio::time::sleep(GATHER).await;
        let tooling = board.tooling();
        let valid_for_ms = u64::try_from(valid_for.as_millis()).unwrap_or(u64::MAX);
        if let Err(error) = speaker.say(FactKind::Tooling, None, valid_for_ms, &tooling) {
            tracing::error!(%error, "results of MCP probes cannot be reported");
        }
        if said.as_ref() == Some(&tooling) {
            tokio::time::sleep(SAY_AGAIN).await;
        }
        said = Some(tooling);
    }
}

/// Probes one server for ever.
async fn watch_server(url: Url, options: ProberOptions, speaker: Speaker, gate: NetworkGate, board: Arc<Board>) {
    let address = match reqwest::Url::parse(url.as_str()) {
        Ok(address) if matches!(address.scheme(), "http" | "https") => address,
        _ => return board.put(&url, down("it is no http:// or https:// address; change the pin")),
    };
    let timeout = options.limits.timeout;
    let limits = HttpLimits { connect: timeout, exchange: timeout, answer_bytes: options.limits.answer_bytes };
    let http = Http::new(gate.clone(), address, limits);
    let mut damping = Damping::new(options.damping);
    loop {
        gate.opened().await;
        let began = Instant::now();
        let found = probe(&http, options.limits).await;
        // A failure caused by the closed gate says nothing about the server.
        if !matches!(&found, Err(ProbeError::Outbound(closed)) if closed.is_closed()) {
            speaker.asked(Provider::Mcp, found.is_ok(), began);
            let before = damping.counts().cloned();
            damping.take(found.as_ref().ok().map(|seen| seen.identity.clone()));
            if damping.counts() != before.as_ref() {
                let problem = found.as_ref().err().map(ToString::to_string);
                let counts = damping.counts().map(|counts| format!("{} {}", counts.server, counts.version));
                tracing::info!(server = %url, counts, problem, "an MCP server counts otherwise now");
            }
            board.put(&url, status(&damping, found.as_ref().err()));
        }
        tokio::time::sleep(if damping.is_settled() { options.interval } else { options.settle }).await;
    }
}

/// The state in force of a server, and why it does not count as up.
fn status(damping: &Damping, problem: Option<&ProbeError>) -> ToolStatus {
    if let Some(identity) = damping.counts() {
        let (server, version) = (Some(identity.server.clone()), Some(identity.version.clone()));
        return ToolStatus { reachable: true, server, version, detail: None };
    }
    let (agree, needed) = damping.progress();
    match problem {
        Some(problem) => down(&problem.to_string()),
        None => down(&format!("it answers, but only {agree} of its last probes agree; {needed} must")),
    }
}

fn down(why: &str) -> ToolStatus {
    // In normal form C, which facts hold alone: a text that a fact cannot hold would keep back the fact of all servers.
    let clean: String = why.chars().filter(|c| !c.is_control()).take(120).nfc().collect();
    ToolStatus { reachable: false, server: None, version: None, detail: clean.parse::<Detail>().ok() }
}
