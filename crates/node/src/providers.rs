//! The providers that a node's settings call for: live beats, MCP probes, polled facts, the watch over quorums.

use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;

use super::node::Node;
use super::pins;
use super::quorum::QuorumWatch;
use swoosh_facts::backbeat::{BeatRules, Conductor, ListenOptions, Listener};
use swoosh_facts::mcp::{DampingRules, ProbeLimits, Prober, ProberOptions};
use swoosh_facts::polled::{PollOptions, Poller};
use swoosh_settings::{Mcp, PollFormat, Polled, ProbeMode, Settings};
use swoosh_types::fact::FactKind;
use swoosh_types::text::Url;

/// The file in the data directory that keeps the last live beat.
const KEPT_BEAT: &str = "backbeat.json";

/// Starts them. A schedule that was led before continues unchanged when this returns.
pub fn spawn(node: &Node, settings: &Settings) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let quorums = QuorumWatch::new(node.handle().clone());
    let mut tasks = vec![tokio::spawn(quorums.run(node.facts().changes()))];
    tasks.extend(listener(node, settings)?.map(|listener| tokio::spawn(listener.run())));
    if probes(settings) {
        let (sender, receiver) = pins::channel(node.handle());
        tasks.push(tokio::spawn(pins::watch_pins(node.handle().clone(), sender)));
        let prober = Prober::new(prober(&settings.mcp), node.speaker().clone(), node.gate().clone(), receiver);
        tasks.push(tokio::spawn(prober.run()));
    }
    let polled = [
        (FactKind::Capacity, settings.capacity.clone()),
        (FactKind::Health, settings.health.clone()),
        (FactKind::Liveness, settings.liveness.polled()),
    ];
    for (kind, polled) in polled {
        let Some(options) = poll(kind, &polled)? else { continue };
        tasks.push(tokio::spawn(Poller::new(options, node.speaker().clone(), node.gate().clone()).run()));
    }
    Ok(tasks)
}

/// Whether the node probes. By default it does not if another source of tooling facts is trusted.
fn probes(settings: &Settings) -> bool {
    match settings.mcp.probe {
        ProbeMode::Always => true,
        ProbeMode::Never => false,
        ProbeMode::Auto => settings.facts.sources.get(&FactKind::Tooling).is_none_or(|sources| sources.is_empty()),
    }
}

fn web(address: &Url) -> anyhow::Result<reqwest::Url> {
    reqwest::Url::parse(address.as_str()).with_context(|| format!("{address} is no web address"))
}

fn listener(node: &Node, settings: &Settings) -> anyhow::Result<Option<Listener>> {
    let backbeat = &settings.backbeat;
    let (Some(address), Some(source)) = (&backbeat.source, backbeat.source_key) else { return Ok(None) };
    let (bounds, max_ahead_ms) = (backbeat.bounds(), settings.clock.max_ahead_ms);
    let rules = BeatRules { source, bounds, max_ahead_ms, kept: settings.data.join(KEPT_BEAT) };
    let mut conductor = Conductor::new(rules, node.speaker().clone());
    conductor.restore();
    let options = ListenOptions {
        address: web(address)?,
        poll: Duration::from_millis(backbeat.poll_ms),
        timeout: Duration::from_millis(backbeat.timeout_ms),
        silence: Duration::from_millis(backbeat.silence_ms),
    };
    Ok(Some(Listener::new(options, conductor, node.gate().clone())))
}

/// How the settings have servers probed.
pub fn prober(mcp: &Mcp) -> ProberOptions {
    ProberOptions {
        interval: Duration::from_millis(mcp.interval_ms),
        settle: Duration::from_millis(mcp.settle_ms.min(mcp.interval_ms)),
        limits: ProbeLimits { timeout: Duration::from_millis(mcp.timeout_ms), answer_bytes: mcp.answer_bytes },
        max_servers: mcp.max_servers,
        damping: DampingRules { window: mcp.window, up: mcp.up, down: mcp.down },
        valid_for: Duration::from_millis(mcp.valid_for_ms),
    }
}

fn poll(kind: FactKind, polled: &Polled) -> anyhow::Result<Option<PollOptions>> {
    let Some(url) = &polled.url else { return Ok(None) };
    let plain = polled.format == PollFormat::Plain;
    Ok(Some(PollOptions {
        kind,
        address: web(url)?,
        plain_for: plain.then(|| Duration::from_millis(polled.valid_for_ms)),
        interval: Duration::from_millis(polled.interval_ms),
        timeout: Duration::from_millis(polled.timeout_ms),
    }))
}
