//! Facts of one kind from a server that is asked again and again.
//!
//! Its answer holds either signed facts, trusted for their sources' signatures as everywhere, or the plain body of one
//! fact. A plain body is trusted for its address (TLS, or this machine) and signed by the node, which is then its
//! source in the records. docs/providers.md explains the choice.

use std::time::{Duration, Instant};

use crate::{FactRefusal, Inserted, Provider, SayError, Speaker};
use swoosh_platform::entropy::random_bytes;
use swoosh_platform::gate::NetworkGate;
use swoosh_platform::outbound::{Http, HttpLimits, LentClient, OutboundError};
use swoosh_types::back_off::BackOff;
use swoosh_types::canonical::{DecodeError, from_json};
use swoosh_types::fact::{Fact, FactKind};
use swoosh_types::json::{Json, JsonError};
use swoosh_types::server_events::without_mark;

/// Most bytes of an answer.
pub const MOST_BYTES: usize = 1 << 20;
/// Most signed facts of an answer.
pub const MOST_FACTS: usize = 1_000;
/// How many times the interval lies between two questions at most, when they fail.
const LONGEST_BACK_OFF: u64 = 10;

/// A server's address, and the form of its answers.
#[derive(Clone, Debug)]
pub struct PollOptions {
    /// The kind of its facts.
    pub kind: FactKind,
    pub address: reqwest::Url,
    /// How long a plain answer may be believed; none where answers are signed facts.
    pub plain_for: Option<Duration>,
    /// From one question to the next.
    pub interval: Duration,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

/// Why an answer brings no facts.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// There is none.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// It is no success.
    #[error("it answers with status {0}")]
    Status(u16),
    /// It is not strict JSON.
    #[error("its answer is not strict JSON: {0}")]
    Json(#[from] JsonError),
    /// It is not what was asked for.
    #[error("its answer is not a signed fact, nor a list of them: {0}")]
    Form(#[from] DecodeError),
    /// It holds too much.
    #[error("its answer holds {found} facts; at most {MOST_FACTS} are taken")]
    TooMany { found: usize },
    /// It is about something else.
    #[error("its answer holds a {found} fact; it is polled for {expected} alone")]
    Kind { found: FactKind, expected: FactKind },
    /// It is not believed.
    #[error(transparent)]
    Refused(#[from] FactRefusal),
    /// It cannot be said.
    #[error(transparent)]
    Say(#[from] SayError),
}

/// Polls one server for as long as it runs.
#[derive(Debug)]
pub struct Poller {
    options: PollOptions,
    speaker: Speaker,
    gate: NetworkGate,
    http: Http,
    failures: u32,
    /// The last logged problem, so that none is logged twice in a row.
    complaint: Option<String>,
}

impl Poller {
    /// Polls under the gate.
    pub fn new(options: PollOptions, speaker: Speaker, gate: NetworkGate) -> Poller {
        let limits = HttpLimits { connect: options.timeout, exchange: options.timeout, answer_bytes: MOST_BYTES };
        let http = Http::new(gate.clone(), options.address.clone(), limits);
        Poller { options, speaker, gate, http, failures: 0, complaint: None }
    }

    /// Polls for ever; run it in a task and abort that to stop.
    pub async fn run(mut self) {
        loop {
            self.gate.opened().await;
            let began = Instant::now();
            let polled = self.poll().await;
            if let Some(provider) = Provider::of(self.options.kind) {
                self.speaker.asked(provider, polled.is_ok(), began);
            }
            self.note(polled);
            tokio::time::sleep(self.wait()).await;
        }
    }

    /// Asks once; gives how many facts are held now that were not before.
    pub async fn poll(&self) -> Result<usize, PollError> {
        let accept = reqwest::header::ACCEPT;
        let ask = |client: &LentClient| client.get(self.options.address.clone()).header(accept, "application/json");
        let answer = self.http.send(ask).await?;
        if !answer.status.is_success() {
            return Err(PollError::Status(answer.status.as_u16()));
        }
        let document = Json::parse(without_mark(&answer.body))?;
        match self.options.plain_for {
            Some(valid_for) => self.take_plain(&document, valid_for),
            None => self.take_signed(&document),
        }
    }

    fn take_plain(&self, body: &Json, valid_for: Duration) -> Result<usize, PollError> {
        let valid_for_ms = u64::try_from(valid_for.as_millis()).unwrap_or(u64::MAX);
        let said = self.speaker.say(self.options.kind, None, valid_for_ms, body)?;
        Ok(usize::from(matches!(said, Inserted::Held(_))))
    }

    fn take_signed(&self, document: &Json) -> Result<usize, PollError> {
        let documents = match document {
            Json::Array(documents) => documents.as_slice(),
            one => std::slice::from_ref(one),
        };
        if documents.len() > MOST_FACTS {
            return Err(PollError::TooMany { found: documents.len() });
        }
        let facts = documents.iter().map(from_json::<Fact>).collect::<Result<Vec<_>, _>>()?;
        let expected = self.options.kind;
        if let Some(other) = facts.iter().find(|fact| fact.claim.kind != expected) {
            return Err(PollError::Kind { found: other.claim.kind, expected });
        }
        // All valid facts are taken; then the first invalid one is reported.
        let outcomes = self.speaker.table().insert_all(facts);
        let held = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Inserted::Held(_)))).count();
        outcomes.into_iter().find_map(Result::err).map_or(Ok(held), |refused| Err(refused.into()))
    }

    fn note(&mut self, polled: Result<usize, PollError>) {
        let (kind, server) = (self.options.kind, &self.options.address);
        match polled {
            Ok(held) => {
                self.failures = 0;
                if self.complaint.take().is_some() {
                    tracing::info!(%kind, %server, "the polled server answers again");
                }
                tracing::debug!(%kind, %server, held, "polled");
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let text = error.to_string();
                if self.complaint.as_ref() != Some(&text) {
                    tracing::warn!(%kind, %server, problem = text, "a polled server tells no facts");
                    self.complaint = Some(text);
                }
            }
        }
    }

    /// Until the next question: the interval, doubled with each failure, give or take a tenth.
    fn wait(&self) -> Duration {
        // Chance takes off up to two of eleven tenths.
        let most_ms = u64::try_from((self.options.interval * 11 / 10).as_millis()).unwrap_or(u64::MAX);
        let longest_ms = most_ms.saturating_mul(LONGEST_BACK_OFF);
        let policy = BackOff { first_ms: most_ms, longest_ms, jitter_permille: 181 };
        let random = random_bytes().map_or(0, u64::from_be_bytes);
        Duration::from_millis(policy.wait_ms(self.failures.saturating_add(1), random))
    }
}
