//! The exporters of decision records that the settings ask for.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};

use super::migration::WHOOSH_EXPORTER;
use swoosh_decisions::Redaction;
use swoosh_decisions::export::{Bubble, Exporter, JournalPort, Jsonl, MEDIA_TYPE, Pace, Post, Progress, Reply, Sink};
use swoosh_http::ExportView;
use swoosh_platform::entropy;
use swoosh_platform::gate::NetworkGate;
use swoosh_platform::outbound::{Http, HttpLimits, LentClient};
use swoosh_platform::secrets::Secrets;
use swoosh_sequencer::Handle;
use swoosh_settings::Settings;
use swoosh_telemetry::metrics::{EXPORTERS, Metrics};
use swoosh_types::secret::Secret;

/// Most bytes of an answer of BUBBLE.
const ANSWER_BYTES: usize = 64 << 10;
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);

const JSONL: &str = EXPORTERS[0];
const BUBBLE: &str = EXPORTERS[1];

/// An exporter's work.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The exporters of a node, to be shown.
pub struct Exports {
    handle: Handle,
    running: Vec<(&'static str, Arc<Progress>)>,
}

impl Exports {
    /// How they are.
    pub fn views(&self) -> Vec<ExportView> {
        let last_index = self.handle.status().last_index;
        let view = |(exporter, progress): &(&'static str, Arc<Progress>)| {
            let position = progress.position();
            let (lag, problem) = (last_index.saturating_sub(position), progress.problem());
            ExportView { exporter, position, lag, failures: progress.failures(), problem }
        };
        self.running.iter().map(view).collect()
    }

    /// Brings the metrics up to date.
    pub fn measure(&self, metrics: &Metrics) {
        for view in self.views() {
            metrics.set_export(view.exporter, view.position, view.lag, view.failures);
        }
    }
}

/// Makes the exporters, and what shows them. Nothing is sent before their work runs.
pub fn prepare(
    settings: &Settings,
    secrets: &Secrets,
    handle: &Handle,
    gate: &NetworkGate,
) -> anyhow::Result<(Exports, Vec<Work>)> {
    let wanted = &settings.decisions;
    let redaction = Redaction::parse(&settings.redaction_text()?).context("decisions.redaction")?;
    let token = secrets.find("decisions.bubble_token", wanted.bubble_token.as_ref())?;
    let names: Vec<_> = [(JSONL, wanted.jsonl.is_some()), (BUBBLE, wanted.bubble.is_some())]
        .into_iter()
        .filter_map(|(name, wanted)| wanted.then_some(name))
        .collect();
    // The position of deliveries to WHOOSH belongs to the migration.
    let others: &[&str] = if settings.migration.upstream.is_some() { &[WHOOSH_EXPORTER] } else { &[] };
    let positions = handle.journal().begin_exports_beside(&names, others).context("the exporters cannot begin")?;
    let mut maker = Maker {
        positions: names.into_iter().zip(positions).collect(),
        redaction: Arc::new(redaction),
        pace: pace(settings),
        exports: Exports { handle: handle.clone(), running: Vec::new() },
        works: Vec::new(),
    };
    if let Some(path) = &wanted.jsonl {
        maker.add(JSONL, Jsonl::new(path.clone()));
    }
    if let Some(url) = &wanted.bubble {
        let exchange = Duration::from_millis(wanted.request_timeout_ms);
        let limits = HttpLimits { connect: CONNECT.min(exchange), exchange, answer_bytes: ANSWER_BYTES };
        let address = url.as_str().parse().context("decisions.bubble is no address")?;
        maker.add(BUBBLE, Bubble::new(Way { http: Http::new(gate.clone(), address, limits), token }));
    }
    Ok((maker.exports, maker.works))
}

fn pace(settings: &Settings) -> Pace {
    let decisions = &settings.decisions;
    Pace {
        batch: usize::try_from(decisions.batch_records).unwrap_or(usize::MAX),
        retry_min: Duration::from_millis(decisions.retry_min_ms),
        retry_max: Duration::from_millis(decisions.retry_max_ms),
    }
}

struct Maker {
    positions: Vec<(&'static str, u64)>,
    redaction: Arc<Redaction>,
    pace: Pace,
    exports: Exports,
    works: Vec<Work>,
}

impl Maker {
    fn add<S: Sink + 'static>(&mut self, name: &'static str, sink: S) {
        let position = self.positions.iter().find(|(of, _)| *of == name).map_or(0, |(_, position)| *position);
        let handle = self.exports.handle.clone();
        // The durable index first: a later read of the journal holds at least that much.
        let journal: JournalPort = Arc::new(move || {
            let durable = handle.status().last_index;
            (handle.journal(), durable)
        });
        let exporter = Exporter::new(name, position, journal, self.redaction.clone(), self.pace, random, sink);
        self.exports.running.push((name, exporter.progress()));
        self.works.push(Box::pin(exporter.run()));
    }
}

/// Any number; the pauses of nodes differ by it.
fn random() -> u64 {
    entropy::random_bytes().map_or(0, u64::from_be_bytes)
}

/// The way to BUBBLE, under the network gate.
struct Way {
    http: Http,
    token: Option<Secret>,
}

impl Post for Way {
    async fn post(&self, body: Vec<u8>) -> Result<Reply, String> {
        let request = |client: &LentClient| {
            let request = client.post(self.http.address().clone()).header(CONTENT_TYPE, MEDIA_TYPE).body(body);
            match &self.token {
                Some(token) => request.bearer_auth(token.expose()),
                None => request,
            }
        };
        let answer = self.http.send(request).await.map_err(|error| error.to_string())?;
        let asked = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Reply { status: answer.status.as_u16(), body: answer.body, retry_after: asked.map(Duration::from_secs) })
    }
}
