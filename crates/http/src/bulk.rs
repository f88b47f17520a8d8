//! `POST /transitions`: many proposals in one request, each answered as if it was posted alone.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::admission::Memory;
use super::asker::Asker;
use super::body::{self, Whole};
use super::fault::{Answer, Fault};
use super::proposing::Proposing;
use super::query::Query;
use super::serve::within;
use super::transition::{late, shut, unverified};
use super::{AppState, junk, schema, trace};
use swoosh_sequencer::queries::Headers;
use swoosh_sequencer::{Outcome, Trace, Verified};
use swoosh_types::rejection::{Code, Problem};

/// Most proposals of one request.
const PROPOSALS: usize = 256;
/// A body may be as large as so many bodies of one proposal.
const BODIES: usize = 16;
/// Memory that is set aside for each answer.
const ANSWER_BYTES: usize = 4 << 10;
/// Media type of a document on each line.
pub(super) const LINES: &str = "application/x-ndjson";

/// The answer to one of the proposals, on a line of its own.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct BulkAnswer {
    /// The status that it would have been answered with alone.
    status: u16,
    /// Of an accepted one, whether it had been accepted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    replayed: Option<bool>,
    /// The receipt of an accepted one, byte for byte as alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Receipt>, nullable = false)]
    receipt: Option<serde_json::Value>,
    /// Why it is not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Problem>, nullable = false)]
    problem: Option<Box<Problem>>,
}

/// Propose many transitions.
///
/// Each line is a signed proposal, as `POST /transition` takes it, without line breaks in it. They are judged in their order, each as
/// if it was posted alone: a refused one stops none of the others, and none is taken back. The answer has one line for each. Sending
/// the same lines again is harmless.
#[utoipa::path(
    post,
    path = "/transitions",
    tag = "proposals",
    request_body(content = schema::Proposal, content_type = "application/x-ndjson",
        description = "Up to 256 lines, in all at most 16 times `http.body_limit_bytes`, each at most `http.body_limit_bytes`."),
    responses(
        (status = 200, description = "Each was judged; one line for each, in their order.",
            body = BulkAnswer, content_type = "application/x-ndjson"),
        (status = 400, description = "None was judged: there is no line, a header stands in for a member, or the query has a parameter.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 405, description = "Another method than GET, HEAD and POST.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body took too long to arrive.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large, or has more than 256 lines.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not plain application/x-ndjson.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 429, description = "This peer has its share under way already; `Retry-After` says when to try again.",
            body = schema::Problem, content_type = "application/problem+json", headers(
            ("Retry-After" = u64, description = "Seconds to wait."),
        )),
        (status = 503, description = "The node cannot take it now; `Retry-After` says when to try again.",
            body = schema::Problem, content_type = "application/problem+json", headers(
            ("Retry-After" = u64, description = "Seconds to wait."),
        )),
    ),
)]
pub(super) async fn propose_all(State(state): State<AppState>, request: Request) -> Answer {
    let (Parts { uri, headers, extensions, .. }, body) = request.into_parts();
    let asker = Asker::of_request(&extensions);
    let taken = take(&state, &asker, &uri, &headers, body).await;
    let (lines, memory) = taken.map_err(|fault| unverified(&state, fault))?;
    let mut entries = enter_all(&state, &asker, &headers, lines, memory).await;
    let limit_ms = state.limits.request_timeout_ms;
    // Those that are not judged by then are answered so, and judged all the same.
    let _ = asker.patience().within(Duration::from_millis(limit_ms), settle(&mut entries)).await;
    let mut answer = Vec::with_capacity(entries.len() * ANSWER_BYTES / 2);
    let mut is_refused = false;
    for entry in entries {
        is_refused |= entry.write(&state, &mut answer);
    }
    if is_refused {
        state.gate.hold_back(asker.peer()).await;
    }
    Ok((StatusCode::OK, [(CONTENT_TYPE, LINES), (CACHE_CONTROL, "no-store")], answer).into_response())
}

/// Reads the lines, and takes the memory of their answers.
async fn take(
    state: &AppState,
    asker: &Asker,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Answer<(Vec<Bytes>, Memory)> {
    let checked = Query::read(uri, &[]).and_then(|_| body::check_media_type_is(headers, LINES));
    if let Err(fault) = checked.and_then(|()| body::check_no_forms(headers)) {
        let patience = Duration::from_millis(state.limits.request_timeout_ms);
        let _ = within(patience, body::discard(headers, body)).await;
        return Err(fault);
    }
    let limit = state.limits.body_limit_bytes.saturating_mul(BODIES);
    let Whole { bytes, memory } = body::whole_within(headers, body, &state.gate, asker.peer(), limit).await?;
    let lines = lines(&bytes)?;
    // Taken first: an answer that finds no memory would leave the caller without what became of its proposals.
    state.gate.reserve_answer(asker, lines.len() * ANSWER_BYTES).await?;
    Ok((lines, memory))
}

/// The lines of a body. The last one needs no line break.
fn lines(bytes: &Bytes) -> Answer<Vec<Bytes>> {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if text.trim_ascii().is_empty() {
        return Err(Fault::new(Code::BadJson, "there is no proposal; send one on each line"));
    }
    if text.split(|&byte| byte == b'\n').nth(PROPOSALS).is_some() {
        let reason = format!("there are more than {PROPOSALS} lines; send them in several requests");
        return Err(Fault::new(Code::ContentTooLarge, reason));
    }
    Ok(text.split(|&byte| byte == b'\n').map(|line| bytes.slice_ref(line)).collect())
}

/// One of the proposals.
enum Entry {
    UnderWay(Box<Proposing>),
    Judged(Outcome),
    /// It did not reach the sequencer.
    Refused(Fault),
}

/// Puts all proposals into the queue in their order: those of one project are judged in it. A caller that is shut out is so for the
/// rest of them, and waits once.
async fn enter_all(
    state: &AppState,
    asker: &Asker,
    headers: &HeaderMap,
    lines: Vec<Bytes>,
    memory: Memory,
) -> Vec<Entry> {
    let memory = Arc::new(memory);
    let mut entries = Vec::with_capacity(lines.len());
    let mut shut_out: Option<Fault> = None;
    for line in lines {
        if let Some(fault) = &shut_out {
            entries.push(Entry::Refused(fault.clone()));
            continue;
        }
        let entry = enter(state, asker, headers, line, &memory).await;
        if let Entry::Refused(fault) = &entry
            && fault.code() == Code::TooManyRequests
        {
            shut_out = Some(fault.clone());
        }
        entries.push(entry);
        // Each costs a signature check; other callers have their turn in between.
        tokio::task::yield_now().await;
    }
    entries
}

/// Verifies a proposal and puts it into the queue.
async fn enter(state: &AppState, asker: &Asker, headers: &HeaderMap, line: Bytes, memory: &Arc<Memory>) -> Entry {
    let Checked { verified, way } = match check(state, asker, headers, line).await {
        Ok(checked) => checked,
        Err(fault) => return Entry::Refused(unverified(state, fault)),
    };
    let signer = verified.proposal().signer;
    let queued = state.handle.queue(verified, way).await;
    let memory = memory.clone();
    let judging = async move {
        let _memory = memory;
        match queued {
            Ok(queued) => queued.outcome().await,
            Err(refused) => refused,
        }
    };
    Entry::UnderWay(Box::new(Proposing::of(state, asker.peer(), signer, judging)))
}

struct Checked {
    verified: Verified,
    way: Option<Box<Trace>>,
}

/// The same checks as of a proposal that is posted alone.
async fn check(state: &AppState, asker: &Asker, headers: &HeaderMap, line: Bytes) -> Answer<Checked> {
    let (limit, peer) = (state.limits.body_limit_bytes, asker.peer());
    if line.len() > limit {
        return Err(body::too_large(limit));
    }
    let mut way = state.handle.trace(|| trace::parent(headers));
    way.iter_mut().for_each(|way| way.step());
    let was_suspect = state.gate.is_suspect(peer);
    // Its bytes are part of the request's memory.
    let whole = Whole { bytes: line, memory: state.gate.memory(peer) };
    let verify = |bytes: &[u8]| state.handle.verify(bytes, &Headers::default());
    let (verified, _) = junk::look(&state.gate, peer, whole, verify).await?;
    way.iter_mut().for_each(|way| way.verified());
    match shut(state, asker, was_suspect, &verified).await? {
        Some(shut) => Err(shut.fault(&state.gate, peer).await),
        None => Ok(Checked { verified, way }),
    }
}

/// Awaits all outcomes, in any order.
async fn settle(entries: &mut [Entry]) {
    for entry in entries {
        if let Entry::UnderWay(proposing) = entry {
            let outcome = (&mut **proposing).await;
            *entry = Entry::Judged(outcome);
        }
    }
}

impl Entry {
    /// Writes its line; whether the sequencer refused it.
    fn write(self, state: &AppState, answer: &mut Vec<u8>) -> bool {
        match self {
            Entry::Judged(Outcome::Accepted { receipt, replayed }) => {
                // The receipt stays as it is signed.
                answer.extend_from_slice(format!("{{\"status\":202,\"replayed\":{replayed},\"receipt\":").as_bytes());
                answer.extend_from_slice(&receipt);
                answer.extend_from_slice(b"}\n");
                false
            }
            Entry::Judged(Outcome::Refused(refusal)) => write_problem(answer, (*refusal).into()) == 400,
            Entry::UnderWay(mut proposing) => {
                proposing.is_late();
                write_problem(answer, late(state));
                false
            }
            Entry::Refused(fault) => {
                write_problem(answer, fault);
                false
            }
        }
    }
}

/// Writes the line of a problem; its status.
fn write_problem(answer: &mut Vec<u8>, fault: Fault) -> u16 {
    let problem = Box::new(fault.into_problem());
    let status = problem.status;
    let line = BulkAnswer { status, replayed: None, receipt: None, problem: Some(problem) };
    answer.extend(serde_json::to_vec(&line).unwrap_or_default());
    answer.push(b'\n');
    status
}
