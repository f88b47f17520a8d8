//! Assembles a node out of its settings and runs it until it is stopped.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

pub mod backup;
mod backups;
mod bundles;
mod bus;
mod clock;
mod clock_socket;
mod doers;
mod effects;
pub mod export;
mod exporters;
pub mod follow;
pub mod follower;
mod growth;
mod local_socket;
pub mod logging;
mod migration;
pub mod node;
mod observe;
pub mod outside;
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
pub mod tls;
mod traces;
mod upkeep;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use clock::ClockView;
pub use clock_socket::{Ask as ClockAsk, ask as ask_clock};
#[cfg(feature = "crash-points")]
pub use effects::allow_crash_points;
pub use migration::check_callers;
use node::Node;
use reload::Reload;
use supervise::Supervised;
use swoosh_http as ingress;
use swoosh_platform::shutdown::StopSignals;
use swoosh_settings::{Overrides, Settings};
use swoosh_types::host::Host;

/// Takes the address that is served on.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
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
pub fn warn_of_plain_http(setting: &str, address: SocketAddr, remedy: &str) {
    if address.ip().to_canonical().is_loopback() {
        return;
    }
    eprintln!("warning: {setting}: plain HTTP on {address} is reachable from other machines; {remedy}");
    tracing::warn!(setting, %address, remedy, "plain HTTP is reachable from other machines");
}

/// The remedy for plain HTTP on the node's address.
pub const SERVE_TLS: &str = "set tls.certificate and tls.key, or listen on a loopback address";

/// Runs a node until a stop signal; `config` and `overrides` are read again on SIGHUP.
///
/// # Errors
/// The node cannot start, or can serve no longer.
pub async fn run(settings: &Settings, config: Option<PathBuf>, overrides: Overrides) -> anyhow::Result<()> {
    let signals = StopSignals::listen().context("cannot listen for signals")?;
    // Before the journal is opened, so that errors in the files are reported at once.
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
        if let Some(runner) = runner {
            runner.stop();
        }
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
            if let Some(tls) = &tls {
                tls::reload(tls, &metrics);
            }
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
