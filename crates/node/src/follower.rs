//! A follower's server: reads as any node's, and nothing that writes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::bus::Bus;
use super::effects::Points;
use super::growth::Growth;
use super::node::{believe, fact_files, limits, options};
use super::ports::{ClockPort, DecisionPort, Watch};
use super::{observe, outside, readers, scrape, stop, tls, upkeep};
use crate::backup::Control;
use crate::follow::{AtOnce, Follower, Lag};
use swoosh_client::Client;
use swoosh_facts::{FactTable, Speaker};
use swoosh_http::{AppState, FactFilter, Gate, Intake, NodeInfo, Parts, Pushed, Queries, SharedReaders};
use swoosh_journal::{Journal, Recovered};
use swoosh_platform::clock::Clock;
use swoosh_platform::entropy;
use swoosh_platform::gate::{self, NetworkGate};
use swoosh_platform::shutdown::StopSignals;
use swoosh_sequencer::{Handle, Ports};
use swoosh_settings::{Overrides, Settings};
use swoosh_telemetry::log;
use swoosh_telemetry::metrics::Metrics;
use swoosh_types::fact::{Fact, FactKind};
use swoosh_types::hlc::Hlc;
use swoosh_types::rejection::{Code, Rejection};

/// Why a follower's network gate stays closed.
const GOES_NOWHERE: &str = "a follower goes nowhere but to the node that it follows";

/// Follows a node and serves reads, until it is stopped or a received record fails verification.
pub async fn run(
    (settings, config): (&Settings, Option<PathBuf>),
    client: Client,
    primary: String,
    (journal, recovered, took): (Journal, Recovered, Duration),
) -> anyhow::Result<()> {
    let signals = StopSignals::listen().context("cannot listen for signals")?;
    let readers = readers::shared(settings);
    let tls = tls::load(settings, &readers)?;
    let metrics = Arc::new(Metrics::new());
    metrics.set_wal_last_index(recovered.last_index);
    metrics.recovered_in(took);
    let (handle, facts, speaker) = start(settings, &primary, &metrics, (journal, &recovered))?;
    let listener = super::listen(settings.listen).await?;
    let observed = observe::bind(settings).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    eprintln!("listening on {scheme}://{}", listener.local_addr()?);
    tracing::info!(address = %listener.local_addr()?, scheme, primary, last_index = recovered.last_index, "following");
    match &tls {
        Some(tls) => tls::watch(tls, &metrics),
        None => super::warn_of_plain_http("listen", listener.local_addr()?, super::SERVE_TLS),
    }
    let lag = Arc::new(Lag::unknown());
    let _control = control(settings, handle.clone());
    let follower = Follower {
        at_once: AtOnce::default(),
        client,
        handle: handle.clone(),
        metrics: metrics.clone(),
        primary,
        data: settings.data.clone(),
        sweep_every: settings.journal.sweep_every,
        lag: lag.clone(),
    };
    let state = app_state(settings, &handle, (&metrics, lag), (facts, readers.clone()));
    let observer = observed.map(|listener| observe::serve(listener, settings, &state));
    let reload = {
        let (tls, metrics, overrides) = (tls.clone(), metrics.clone(), overrides(settings));
        move || {
            reload(config.as_deref(), &overrides, &speaker, &readers);
            if let Some(tls) = &tls {
                tls::reload(tls, &metrics);
            }
        }
    };
    let draining = handle.clone();
    let stops = stop::listen(signals, reload, move || draining.drain());
    // The primary's rounds do not reach this directory: it would grow for as long as it follows.
    let disk = upkeep::measure_disk(&metrics, settings);
    let growth = Growth::new(handle, metrics, gate::closed(GOES_NOWHERE).1);
    let pruning = upkeep::prune(growth.clone(), settings);
    let ended = tokio::select! {
        served = super::serve((listener, None), state, (settings.http.allowed_hosts.clone(), tls), stops) => served.context("the server failed"),
        error = follower.run() => {
            tracing::error!(error = format!("{error:#}"), runbook = "runbooks/promote-follower.md", "the follower stops");
            Err(error.context("the follower stops"))
        }
    };
    growth.stop();
    pruning.abort();
    disk.abort();
    if let Some(observer) = observer {
        observer.finish().await;
    }
    ended?;
    tracing::info!("stopped");
    Ok(())
}

/// `swoosh backup create` works on a follower as on any node, until this is dropped.
fn control(settings: &Settings, handle: Handle) -> Option<Control> {
    let control = Control::listen(&settings.data, move || handle.journal());
    control
        .inspect_err(|error| {
            tracing::warn!(error = format!("{error:#}"), "`swoosh backup create` cannot reach this node")
        })
        .ok()
}

fn overrides(settings: &Settings) -> Overrides {
    Overrides { data: Some(settings.data.clone()), listen: Some(settings.listen) }
}

/// Brings the identities and the readers of the settings file into force, which say who may read.
fn reload(config: Option<&Path>, overrides: &Overrides, speaker: &Speaker, readers: &SharedReaders) {
    let settings = match Settings::load(config, overrides.clone()) {
        Ok(settings) => settings,
        Err(error) => return tracing::error!(%error, "the settings stay unchanged: they cannot be used"),
    };
    readers::reload(readers, &settings, || {
        let guards = settings.guard_settings(speaker.key());
        let said = speaker.say(FactKind::Settings, None, FactKind::Settings.max_lifetime_ms(), &guards);
        match &said {
            Ok(_) => tracing::info!(identities = settings.identities.len(), "the identities were read again"),
            Err(error) => tracing::error!(%error, "the identities stay unchanged"),
        }
        said.is_ok()
    });
}

/// The way to the journal, and the voice of the facts that reads are judged by: readers are in the settings.
fn start(
    settings: &Settings,
    primary: &str,
    metrics: &Arc<Metrics>,
    (journal, recovered): (Journal, &Recovered),
) -> anyhow::Result<(Handle, Arc<FactTable>, Speaker)> {
    let clock = Arc::new(Clock::system(settings.clock.max_ahead_ms));
    metrics.started(clock.now().wall_ms);
    // It signs nothing that leaves the process; the log is sealed by the node that is followed.
    let key = entropy::secret_key()?;
    let facts = Arc::new(believe(settings, &key, clock.clone())?);
    drop(fact_files(settings, &facts));
    let speaker = Speaker::new(facts.clone(), key.clone());
    let ports = Ports {
        clock: Arc::new(ClockPort(clock)),
        facts: facts.clone(),
        describe: Arc::new(DecisionPort { points: Points::default() }),
        observer: Arc::new(Watch { metrics: metrics.clone(), bus: Bus::new(), traces: None }),
    };
    let reason = format!("follows {primary}, and has not heard of it yet");
    Ok((Handle::following(options(settings, key), ports, journal, recovered, reason), facts, speaker))
}

fn app_state(
    settings: &Settings,
    handle: &Handle,
    (metrics, lag): (&Arc<Metrics>, Arc<Lag>),
    (facts, readers): (Arc<FactTable>, SharedReaders),
) -> AppState {
    let identity = handle.journal().identity().clone();
    let limits = limits(settings);
    let (_, gate) = gate::closed(GOES_NOWHERE);
    AppState::from(Parts {
        handle: handle.clone(),
        meta: NodeInfo {
            cluster: identity.cluster,
            node: identity.node,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        limits,
        gate: Gate::new(limits, Arc::new(Watch { metrics: metrics.clone(), bus: Bus::new(), traces: None })),
        queries: Arc::new(Shown { handle: handle.clone(), metrics: metrics.clone(), lag, facts, gate }),
        console: settings.console.enabled,
        intake: Arc::new(NoIntake),
        readers,
        migration: None,
    })
}

/// Facts are pushed to nodes that judge.
struct NoIntake;

impl Intake for NoIntake {
    fn push(&self, _fact: Fact) -> Result<Pushed, Rejection> {
        Err(Rejection::new(Code::Follower, "this node follows another one and judges nothing; push facts to that one"))
    }
}

/// Data that the routes show and do not know themselves.
struct Shown {
    handle: Handle,
    metrics: Arc<Metrics>,
    lag: Arc<Lag>,
    facts: Arc<FactTable>,
    gate: NetworkGate,
}

impl Queries for Shown {
    fn metrics(&self, may_show: &dyn Fn(&str) -> bool) -> Vec<u8> {
        // Not what a follower has no part in: license, facts and projects that are held up are the node's that it follows.
        scrape::sequencer(&self.handle, &self.metrics);
        self.metrics.set_log_dropped(log::dropped());
        let lag = self.lag.read();
        self.metrics.set_follow(lag.connected, lag.records, lag.behind);
        self.metrics.render_for(may_show)
    }

    fn facts(&self, filter: &FactFilter) -> serde_json::Value {
        outside::facts_document(&self.facts, &self.gate, filter)
    }

    fn last_snapshot_hlc(&self) -> Option<Hlc> {
        self.handle.status().last_snapshot
    }

    fn wal_lag(&self) -> u64 {
        self.handle.status().wal_lag
    }
}
