//! `swoosh serve`: assembles a node and runs it until it is told to stop.

mod backups;
mod bundles;
mod bus;
mod clock;
mod clock_socket;
mod doers;
mod effects;
mod exporters;
pub(super) mod follower;
mod growth;
mod migration;
pub(super) mod node;
mod observe;
pub(super) mod outside;
mod pins;
mod ports;
mod providers;
mod quorum;
mod readers;
mod reload;
mod repositories;
mod scrape;
mod stop;
mod supervise;
pub(super) mod tls;
mod traces;
mod upkeep;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::ingress;
use crate::platform::descriptors;
use crate::platform::shutdown::StopSignals;
use crate::settings::{Overrides, Settings};
use crate::types::host::Host;
pub(super) use clock::ClockView;
pub(super) use clock_socket::{Ask as ClockAsk, ask as ask_clock};
use node::Node;
use reload::Reload;
use supervise::Supervised;

/// What `swoosh serve` takes.
#[derive(Debug, clap::Args)]
#[command(
    about = "Run the daemon",
    long_about = "Run the daemon.\n\nWithout any flag it uses the embedded default settings: it listens on \
        127.0.0.1:7400, keeps everything in ./data, and makes a node key there at the first start. SIGTERM and \
        SIGINT drain: what was accepted is answered, then the process ends; a second one does not wait for \
        callers. SIGHUP reads the fact file, the policies and their bundle, the identities, the readers, the TLS files and log.level again, and asks \
        for the license. Under systemd (NOTIFY_SOCKET) it says when it is ready, reloads and stops, how it is, and \
        answers the watchdog.\n\n\
        Log lines (JSON) go to standard output, what people should see to standard \
        error. The first line on standard error that begins with `listening on` names the address.",
    after_help = "Examples:\n  swoosh serve\n  swoosh serve --config swoosh.yaml\n  \
        swoosh serve --data /var/lib/swoosh --listen 127.0.0.1:0"
)]
pub struct ServeCommand {
    /// Settings file (see `swoosh config check`)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory, in place of the settings' one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address to listen on, in place of the settings' one; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// For tests: die where SWOOSH_CRASH_AT says
    #[arg(long, hide = true)]
    allow_crash_points: bool,
}

impl ServeCommand {
    /// Runs the daemon. Whatever keeps it from starting, the error names a runbook.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        self.start().map_err(|error| {
            let told = error.chain().any(|cause| cause.to_string().contains("runbooks/"));
            if told { error } else { error.context("the node does not run; runbooks/recovery.md says where to look") }
        })
    }

    fn start(self) -> anyhow::Result<ExitCode> {
        let overrides = Overrides { data: self.data, listen: self.listen };
        let loaded = Settings::load(self.config.as_deref(), overrides.clone());
        let settings = loaded.context("the settings cannot be used")?;
        let _guard = super::logging::open(&settings)?;
        if self.allow_crash_points {
            effects::allow_crash_points();
        }
        descriptors::raise();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(run(&settings, self.config, overrides))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Takes the address that is served on.
pub(super) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::AddrInUse => "another process listens there: stop it, or name another address with --listen",
            ErrorKind::AddrNotAvailable => "this machine has no such address: name one of its own, or 0.0.0.0 for all",
            ErrorKind::PermissionDenied => "this user may not listen there: name a port from 1024 on",
            _ => "name another address with --listen",
        };
        anyhow::anyhow!("cannot listen on {address} ({error}); {remedy}")
    })
}

/// Warns where others on the way can read and change what a listener without TLS answers.
pub(super) fn warn_of_plain_http(setting: &str, address: SocketAddr, remedy: &str) {
    if address.ip().to_canonical().is_loopback() {
        return;
    }
    eprintln!("warning: {setting}: plain HTTP on {address} is reachable from other machines; {remedy}");
    tracing::warn!(setting, %address, remedy, "plain HTTP is reachable from other machines");
}

/// What to do about plain HTTP on the address that the node serves on.
pub(super) const SERVE_TLS: &str = "set tls.certificate and tls.key, or listen on a loopback address";

async fn run(settings: &Settings, config: Option<PathBuf>, overrides: Overrides) -> anyhow::Result<()> {
    let signals = StopSignals::listen().context("cannot listen for signals")?;
    // Before the journal is opened: what is wrong with the files is told at once.
    let readers = readers::shared(settings);
    let tls = tls::load(settings, &readers)?;
    let mut node = Node::start(settings)?;
    let listener = listen(settings.listen).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let address = listener.local_addr()?;
    let legacy = migration::bind(settings).await?;
    let observed = observe::bind(settings).await?;
    eprintln!("listening on {scheme}://{address}");
    tracing::info!(%address, scheme, node = %node.key(), "serving");
    if tls.is_none() {
        warn_of_plain_http("listen", address, SERVE_TLS);
    }
    if let Some(tls) = &tls {
        tls::watch(tls, node.metrics());
    }
    let upkeep = upkeep::spawn(&mut node, settings)?;
    let traces = node.take_traces().map(traces::Sender::start);
    let reload = Reload::new((config, overrides), settings, &node, readers.clone());
    let supervised = Supervised::ready(node.handle().clone(), format!("{scheme}://{address}"));
    let watched = tokio::spawn(supervised.clone().watch());
    let state = node.app_state(settings, readers);
    let legacy = legacy.map(|listener| migration::serve(&node, settings, listener, state.gate.clone())).transpose()?;
    let stopping = legacy.as_ref().map(migration::Listener::stopper);
    let stops = stops(signals, &node, (upkeep.reloader(), reload), supervised, (tls.clone(), stopping));
    let observer = observed.map(|listener| observe::serve(listener, settings, &state));
    let allowed_hosts = settings.http.allowed_hosts.clone();
    let served = serve((listener, legacy), state, (allowed_hosts, tls), stops).await;
    if let Some(observer) = observer {
        observer.finish().await;
    }
    served?;
    let license = upkeep.stop();
    if traces.is_none() {
        // Where there are spans, the last of them still go outside.
        license.iter().for_each(JoinHandle::abort);
    }
    watched.abort();
    let (handle, runner) = (node.handle().clone(), node.runner());
    let stop = move || {
        runner.into_iter().for_each(|runner| runner.stop());
        handle.stop();
    };
    tokio::task::spawn_blocking(stop).await?;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    license.iter().for_each(JoinHandle::abort);
    tracing::info!("stopped");
    Ok(())
}

fn stops(
    signals: StopSignals,
    node: &Node,
    (files, reload): (impl Fn() + Send + 'static, Reload),
    supervised: Supervised,
    (tls, legacy): (Option<Arc<ingress::Tls>>, Option<CancellationToken>),
) -> stop::Stops {
    let (handle, metrics, stopping) = (node.handle().clone(), node.metrics().clone(), supervised.clone());
    let reload = move || {
        supervised.reload(|| {
            reload.run();
            files();
            tls.iter().for_each(|tls| tls::reload(tls, &metrics));
        });
    };
    let drain = move || {
        stopping.stopping();
        legacy.iter().for_each(CancellationToken::cancel);
        handle.drain();
    };
    stop::listen(signals, reload, drain)
}

/// Serves until the first stop, then drains until that is done or the second one comes.
async fn serve(
    (listener, legacy): (tokio::net::TcpListener, Option<migration::Listener>),
    state: ingress::AppState,
    (allowed_hosts, tls): (BTreeSet<Host>, Option<Arc<ingress::Tls>>),
    mut stops: stop::Stops,
) -> std::io::Result<()> {
    let gate = state.gate.clone();
    let drain = async { drop((&mut stops.drain).await) };
    let serving = async {
        let served = ingress::serve(listener, ingress::router(state), gate, allowed_hosts, tls, drain).await;
        if let Some(legacy) = legacy {
            legacy.finish().await;
        }
        served
    };
    tokio::select! {
        served = serving => served,
        Ok(()) = &mut stops.hurry => Ok(()),
    }
}
