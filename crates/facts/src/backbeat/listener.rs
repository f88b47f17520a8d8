//! Asks the source: one beat an answer, or a stream of them as server-sent events.

use std::time::{Duration, Instant};

use super::Conductor;
use swoosh_platform::gate::NetworkGate;
use swoosh_platform::outbound::{Http, HttpLimits, LentClient, OutboundError};
use swoosh_types::server_events::{EventReader, without_mark};

/// Most bytes of one beat.
const MOST_BYTES: usize = 16 << 10;
/// The least time between two beats of a stream that are looked at: a source that floods waits.
const LEAST_GAP: Duration = Duration::from_millis(20);
/// This many rejected beats in a row end a stream. It is opened again after a back-off.
const MOST_REFUSALS: u32 = 8;

/// How the source is asked.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// The source's address.
    pub address: reqwest::Url,
    /// From one question to the next.
    pub poll: Duration,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Longest silence of a stream.
    pub silence: Duration,
}

/// Why listening ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("the exchange broke off: {0}")]
    Broken(String),
    #[error("it did not answer in time")]
    Late,
    #[error("the stream was silent for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("it answers with status {0}")]
    Status(u16),
    #[error("it answers with more than {MOST_BYTES} bytes")]
    TooLarge,
    #[error("a beat is not taken: {0}")]
    Refused(String),
    #[error("the stream ended")]
    Over,
}

/// Listens to the source for as long as it runs.
#[derive(Debug)]
pub struct Listener {
    options: ListenOptions,
    conductor: Conductor,
    gate: NetworkGate,
    http: Http,
    /// The last logged problem, so that none is logged twice in a row.
    complaint: Option<String>,
}

impl Listener {
    /// Listens under the gate, on behalf of a conductor.
    pub fn new(options: ListenOptions, conductor: Conductor, gate: NetworkGate) -> Listener {
        let limits = HttpLimits { connect: options.timeout, exchange: options.timeout, answer_bytes: MOST_BYTES };
        let http = Http::new(gate.clone(), options.address.clone(), limits);
        Listener { options, conductor, gate, http, complaint: None }
    }

    /// Listens for ever; run it in a task and abort that to stop.
    pub async fn run(mut self) {
        loop {
            self.gate.opened().await;
            let began = Instant::now();
            if let Err(ended) = self.listen().await {
                // A beat that is refused is counted where it is heard.
                if !matches!(ended, Ended::Refused(_)) {
                    self.conductor.asked(false, began);
                }
                self.complain(&ended);
            }
            tokio::time::sleep(self.options.poll).await;
        }
    }

    fn complain(&mut self, ended: &Ended) {
        let text = ended.to_string();
        if self.complaint.as_ref() != Some(&text) {
            tracing::warn!(source = %self.options.address, problem = text, "the beat source does not lead; the schedule holds");
            self.complaint = Some(text);
        }
    }

    async fn listen(&mut self) -> Result<(), Ended> {
        let Listener { options, conductor, http, complaint, .. } = self;
        let hear = async |client: LentClient| {
            let (accept, began) = ("text/event-stream, application/json", Instant::now());
            let asked = client.get(options.address.clone()).header(reqwest::header::ACCEPT, accept).send();
            let response =
                tokio::time::timeout(options.timeout, asked).await.map_err(|_| Ended::Late)?.map_err(broken)?;
            if !response.status().is_success() {
                return Err(Ended::Status(response.status().as_u16()));
            }
            let mut ear = Ear { conductor, complaint, address: &options.address, waited_since: began };
            if is_stream(&response) {
                ear.hear_stream(response, options.silence).await
            } else {
                let whole = ear.hear_one(response);
                tokio::time::timeout(options.timeout, whole).await.unwrap_or(Err(Ended::Late))
            }
        };
        http.lend(hear).await?
    }
}

fn broken(error: reqwest::Error) -> Ended {
    Ended::Broken(error.without_url().to_string())
}

fn is_stream(response: &reqwest::Response) -> bool {
    let kind = response.headers().get(reqwest::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/event-stream"))
}

/// Hands what is heard to the conductor.
struct Ear<'a> {
    conductor: &'a mut Conductor,
    complaint: &'a mut Option<String>,
    address: &'a reqwest::Url,
    /// Since when a beat is waited for.
    waited_since: Instant,
}

impl Ear<'_> {
    async fn hear_one(&mut self, mut response: reqwest::Response) -> Result<(), Ended> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(Ended::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        self.take(without_mark(&body)).map_err(Ended::Refused)
    }

    async fn hear_stream(&mut self, mut response: reqwest::Response, silence: Duration) -> Result<(), Ended> {
        let mut reader = EventReader::new(MOST_BYTES);
        let mut refusals = 0;
        loop {
            let chunk = tokio::time::timeout(silence, response.chunk()).await.map_err(|_| Ended::Silent(silence))?;
            let Some(chunk) = chunk.map_err(broken)? else { return Err(Ended::Over) };
            // Of beats that arrive together only the last counts, so that a flood leaves no backlog.
            let Some(event) = reader.push(&chunk).map_err(|_| Ended::TooLarge)?.pop() else { continue };
            match self.take(event.data.as_bytes()) {
                Ok(()) => refusals = 0,
                Err(refused) if refusals + 1 >= MOST_REFUSALS => return Err(Ended::Refused(refused)),
                Err(refused) => {
                    refusals += 1;
                    self.complain(refused);
                }
            }
            tokio::time::sleep(LEAST_GAP).await;
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        let taken = self.conductor.take(bytes);
        self.conductor.asked(taken.is_ok(), std::mem::replace(&mut self.waited_since, Instant::now()));
        let beat = taken.map_err(|refused| refused.to_string())?;
        if self.complaint.take().is_some() {
            tracing::info!(source = %self.address, beat, "the beat source leads");
        }
        tracing::debug!(beat, "a live beat is taken");
        Ok(())
    }

    fn complain(&mut self, refused: String) {
        if self.complaint.as_ref() != Some(&refused) {
            tracing::warn!(source = %self.address, problem = refused, "a live beat is not taken; the schedule holds");
            *self.complaint = Some(refused);
        }
    }
}
