//! The second listener, for probes and scrapers (`http.observe`).

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use swoosh_http::{self as ingress, AppState, Gate, observe_limits, observe_router};
use swoosh_settings::Settings;

/// The running listener.
pub struct Observer {
    stop: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
}

/// Takes the address of `http.observe`, where it is set.
pub async fn bind(settings: &Settings) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = settings.http.observe else { return Ok(None) };
    let listener = super::listen(address).await.map_err(|error| error.context("http.observe cannot be used"))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "health and metrics are served here as well");
    super::warn_of_plain_http("http.observe", address, "let only probes and scrapers reach it");
    Ok(Some(listener))
}

/// Serves health and metrics. Plain HTTP: probes have no client certificates.
pub fn serve(listener: TcpListener, settings: &Settings, state: &AppState) -> Observer {
    // Its own gate: connections and failures on the main listener do not count here.
    let gate = Gate::new(observe_limits(state.limits), state.gate.traffic().clone());
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let hosts = settings.http.allowed_hosts.clone();
    let router = observe_router(state.clone(), gate.clone());
    let served = tokio::spawn(ingress::serve(listener, router, gate, hosts, None, stopped));
    Observer { stop, served }
}

impl Observer {
    /// Ends it. Until then it answers, also while the main listener drains.
    pub async fn finish(self) {
        self.stop.cancel();
        match self.served.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the listener of http.observe failed"),
            Err(error) => tracing::error!(%error, "the listener of http.observe failed"),
        }
    }
}
