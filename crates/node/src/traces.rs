//! Traces on their way out: drawn and sent beside the pipeline, as long as there is a collector and a license.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use tokio::task::JoinHandle;

use swoosh_machine::chart;
use swoosh_platform::gate::NetworkGate;
use swoosh_platform::otlp::{Collector, Protocol, SendError};
use swoosh_platform::secrets::Secrets;
use swoosh_sequencer::Traced;
use swoosh_settings::{Settings, TraceProtocol};
use swoosh_telemetry::metrics::Metrics;
use swoosh_telemetry::traces::{Now, Rules, Traces, Way, resource, spans};
use swoosh_types::keys::PublicKey;

/// The first pause after a batch that was not taken; each further one doubles it.
const RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest pause.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The queue, where the settings name a collector.
pub fn queue(settings: &Settings, metrics: &Arc<Metrics>) -> Option<Arc<Traces>> {
    let wanted = &settings.traces;
    wanted.collector.as_ref()?;
    let rules = Rules {
        sample_permille: wanted.sample_permille,
        queue: wanted.queue,
        batch: wanted.batch,
        every: Duration::from_millis(wanted.every_ms),
    };
    Some(Arc::new(Traces::new(rules, metrics.clone())))
}

/// Converts the sequencer's trace for telemetry.
pub fn way(traced: Traced) -> Way {
    let Traced { record, chain, trace, commit } = traced;
    let region = chart::spec(record.transition).region;
    let (began, verify, judge) = (trace.began, trace.verify, trace.judge);
    Way { record, chain, region, parent: trace.parent, began, verify, judge, commit }
}

/// Sends traces; there is one.
pub struct Sender {
    traces: Arc<Traces>,
    collector: Collector,
    metrics: Arc<Metrics>,
    limit: Duration,
}

/// The sender of a queue.
pub fn sender(
    settings: &Settings,
    secrets: &Secrets,
    (traces, metrics): (&Arc<Traces>, &Arc<Metrics>),
    gate: &NetworkGate,
    node: PublicKey,
) -> anyhow::Result<Option<Sender>> {
    let wanted = &settings.traces;
    let Some(url) = &wanted.collector else { return Ok(None) };
    let address = url.as_str().parse().context("traces.collector is no address")?;
    let protocol = match wanted.protocol {
        TraceProtocol::Grpc => Protocol::Grpc,
        TraceProtocol::Http => Protocol::Http,
    };
    let token = secrets.find("traces.token", wanted.token.as_ref())?;
    let limit = Duration::from_millis(wanted.timeout_ms);
    let resource = resource(&settings.cluster, &node);
    let collector = Collector::new(gate.clone(), (protocol, address), limit, token, resource);
    Ok(Some(Sender { traces: traces.clone(), collector, metrics: metrics.clone(), limit }))
}

/// The sender at work.
pub struct Sending {
    traces: Arc<Traces>,
    task: JoinHandle<()>,
    limit: Duration,
}

impl Sender {
    /// Begins to send.
    pub fn start(self) -> Sending {
        let (traces, limit) = (self.traces.clone(), self.limit);
        Sending { traces, task: tokio::spawn(self.run()), limit }
    }

    async fn run(self) {
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                () = self.collector.opened() => {}
                () = self.traces.until_stopping(), if !self.collector.may_send() => return,
            }
            let Some(ways) = self.traces.take().await else { return };
            let count: u64 = ways.iter().map(Way::spans).sum();
            let now = Now { instant: Instant::now(), wall: SystemTime::now() };
            let drawn = ways.iter().flat_map(|way| spans(way, &now)).collect();
            match self.collector.send(drawn).await {
                Ok(()) => {
                    self.metrics.spans().sent(count);
                    if !std::mem::take(&mut pause).is_zero() {
                        tracing::info!("the trace collector takes spans again");
                    }
                }
                Err(error) => {
                    self.metrics.spans().dropped("not_sent", count);
                    pause = self.rest(&error, pause);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.traces.until_stopping() => return,
                    }
                }
            }
        }
    }

    /// How long a collector that does not answer is let be; says so once.
    fn rest(&self, error: &SendError, last: Duration) -> Duration {
        if last.is_zero() {
            tracing::warn!(%error, "spans are lost until the trace collector takes them; nothing else waits for it");
        }
        (last * 2).clamp(RETRY_MIN, RETRY_MAX)
    }
}

impl Sending {
    /// Sends what is left, within the time that one batch may take, and drops the rest.
    pub async fn finish(mut self) {
        self.traces.stop();
        if tokio::time::timeout(self.limit, &mut self.task).await.is_err() {
            self.task.abort();
        }
        self.traces.drop_rest("stopping");
    }
}
