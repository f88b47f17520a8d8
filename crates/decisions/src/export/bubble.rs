//! Decision records to a BUBBLE server (docs/decision-records.md tells the protocol).
//!
//! One request carries a batch: `POST`, newline-delimited JSON, in order. Only records that the answer confirms count
//! as taken: `{"accepted": n, "last": "bubble://dr/…"}`, where `last` is the n-th record of the batch. Any other
//! answer counts as a failure, also a proxy's page with status 200. Its text is never repeated in a log or an error,
//! because it may echo the token.

use std::future::Future;
use std::time::Duration;

use serde::Deserialize;

use super::Sink;
use crate::redaction::Exported;
use swoosh_types::ids::DecisionId;
use swoosh_types::words::count;

/// Media type of a batch.
pub const MEDIA_TYPE: &str = "application/x-ndjson";

/// An answer, as far as it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// The body, whole and bounded.
    pub body: Vec<u8>,
    /// Value of the header Retry-After.
    pub retry_after: Option<Duration>,
}

/// The way to the server: bounded in time and size, and under the network gate.
pub trait Post: Send + Sync {
    /// Posts a body; why there is no answer.
    fn post(&self, body: Vec<u8>) -> impl Future<Output = Result<Reply, String>> + Send;
}

/// Why the server took nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BubbleError {
    #[error("{0}")]
    NoAnswer(String),
    /// The server does not know us.
    #[error("BUBBLE answers {status}: it does not let this node in; check decisions.bubble_token")]
    Denied { status: u16 },
    /// The server refuses the batch.
    #[error("BUBBLE answers {status} to {} from {first} on; its own log tells why", count(*records as u64, "record"))]
    Refused {
        status: u16,
        /// How many were sent.
        records: usize,
        first: DecisionId,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The answer is no acceptance.
    #[error("what answers at decisions.bubble does not speak BUBBLE: {0}; check the address")]
    Garbage(&'static str),
}

#[derive(Deserialize)]
struct Acceptance {
    accepted: usize,
    last: Option<DecisionId>,
}

/// The sink of a BUBBLE server.
#[derive(Clone, Debug)]
pub struct Bubble<P> {
    way: P,
}

impl<P: Post> Bubble<P> {
    /// The sink behind a way.
    pub fn new(way: P) -> Bubble<P> {
        Bubble { way }
    }
}

impl<P: Post> Sink for Bubble<P> {
    type Error = BubbleError;

    async fn last_taken(&mut self) -> Result<Option<(u64, DecisionId)>, BubbleError> {
        // Records carry their ids: the server tells a repeat itself.
        Ok(None)
    }

    async fn take(&mut self, batch: &[Exported]) -> Result<usize, BubbleError> {
        let Some(first) = batch.first() else { return Ok(0) };
        let body = batch.iter().flat_map(|exported| exported.bytes.iter().chain(b"\n")).copied().collect();
        let reply = self.way.post(body).await.map_err(BubbleError::NoAnswer)?;
        match reply.status {
            200..=202 => accepted(&reply.body, batch),
            401 | 403 | 407 => Err(BubbleError::Denied { status: reply.status }),
            status => Err(BubbleError::Refused {
                status,
                records: batch.len(),
                first: first.id.clone(),
                retry_after: reply.retry_after,
            }),
        }
    }

    fn is_too_much(error: &BubbleError) -> bool {
        matches!(error, BubbleError::Refused { status: 400..=499, .. } | BubbleError::NoAnswer(_))
    }

    fn wait_for(error: &BubbleError) -> Option<Duration> {
        if let BubbleError::Refused { retry_after, .. } = error { *retry_after } else { None }
    }
}

fn accepted(body: &[u8], batch: &[Exported]) -> Result<usize, BubbleError> {
    let garbage = BubbleError::Garbage;
    let said: Acceptance = serde_json::from_slice(body).map_err(|_| garbage("the answer has no `accepted`"))?;
    if said.accepted == 0 {
        return Ok(0);
    }
    let last = batch.get(said.accepted - 1).ok_or(garbage("it took more records than were sent"))?;
    let named = said.last.as_ref() == Some(&last.id);
    if named { Ok(said.accepted) } else { Err(garbage("`last` is not the last record that it took")) }
}
