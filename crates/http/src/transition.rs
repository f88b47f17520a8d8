//! `POST /transition`: propose, or try without doing.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::task::JoinHandle;
use utoipa::ToSchema;

use super::admission::{Memory, Place};
use super::asker::Asker;
use super::fault::{Answer, Fault};
use super::proposing::Proposing;
use super::query::Query;
use super::serve::{Late, within};
use super::status::status;
use super::turns::Turns;
use super::{AppState, Gate, Peer, body, json, json_bytes, junk, schema, trace, turns};
use swoosh_sequencer::queries::Stop;
use swoosh_sequencer::{DryRun, Outcome, Refusal, Trace, Verified};
use swoosh_types::hash::Hash;
use swoosh_types::ids::IdemKey;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::GuardName;
use swoosh_types::record::GuardOutcome;
use swoosh_types::rejection::{Code, Problem};
use swoosh_types::text::ProjectName;

/// Tells that a caller waited for its turn (RFC 7240).
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// Tells a receipt that was given before.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Decision of a dry run.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(super) struct DryRunAnswer {
    /// Whether it would be accepted.
    accepted: bool,
    /// Whether it was accepted before, under the same key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    replayed: bool,
    /// The receipt that it got then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Receipt>, nullable = false)]
    receipt: Option<serde_json::Value>,
    /// The head that it would lead to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Hash>, nullable = false)]
    state_post_hash: Option<Hash>,
    /// Why it would not be accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Problem>, nullable = false)]
    problem: Option<Box<Problem>>,
    /// How the guards judge.
    #[schema(value_type = Vec<schema::GuardOutcome>)]
    guard_outcomes: Vec<GuardOutcome>,
}

/// Propose a transition.
///
/// The signed document is verified, ordered, judged by the guards and made durable before it is answered.
/// Sending it again is harmless: the same key gets the same receipt, byte for byte. With `dry_run=true` it
/// takes the same way up to its decision, which is reported, and nothing changes.
#[utoipa::path(
    post,
    path = "/transition",
    tag = "proposals",
    params(
        ("dry_run" = Option<bool>, Query, description = "Report the decision and change nothing."),
        ("Idempotency-Key" = Option<schema::IdemKey>, Header, description = "May be sent in place of `idem_key`."),
        ("X-Swoosh-Hlc" = Option<schema::Hlc>, Header, description = "May be sent in place of `hlc`."),
        ("X-Swoosh-Window-Id" = Option<schema::WindowId>, Header, description = "May be sent in place of `window_id`."),
        ("X-Hmmm-Signature" = Option<schema::Signature>, Header, description = "May be sent in place of `signature`."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: where the head is stale, wait in line for up to N seconds, at most \
            10, and be called when no other caller in line has the turn. The refusal then names the present head, `retry_after_ms` is \
            0, and the answer has `Preference-Applied: wait`."),
        ("traceparent" = Option<String>, Header, description = "The caller's span (W3C Trace Context); a header that is \
            not well formed is ignored."),
    ),
    request_body(content = schema::Proposal, content_type = "application/json"),
    responses(
        (status = 202, description = "Accepted and durable; the receipt.", body = schema::Receipt, headers(
            ("Idempotency-Replayed" = bool, description = "`true` when the key was known: this is the first receipt."),
        )),
        (status = 200, description = "Of a dry run: what would happen.", body = DryRunAnswer),
        (status = 400, description = "Not accepted; `code`, `guard` and `reasons` say why.",
            body = schema::Problem, content_type = "application/problem+json", headers(
            ("Preference-Applied" = String, description = "`wait` where the caller waited in line and has the turn now."),
        )),
        (status = 405, description = "Another method than POST.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body took too long to arrive.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not plain application/json.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 429, description = "This peer, signer or project has its share under way already; `Retry-After` \
            says when to try again.",
            body = schema::Problem, content_type = "application/problem+json", headers(
            ("Retry-After" = u64, description = "Seconds to wait."),
        )),
        (status = 503, description = "The node cannot accept it now; `Retry-After` says when to try again.",
            body = schema::Problem, content_type = "application/problem+json", headers(
            ("Retry-After" = u64, description = "Seconds to wait."),
        )),
    ),
)]
pub(super) async fn propose(State(state): State<AppState>, request: Request) -> Answer {
    let (Parts { uri, headers, extensions, .. }, body) = request.into_parts();
    let asker = Asker::of_request(&extensions);
    let read = read(&state, &asker, &uri, &headers, body).await.map_err(|fault| unverified(&state, fault))?;
    if read.dry_run {
        return try_out(state, &asker, read).await;
    }
    let waits = turns::preferred(&headers).map(|wait| Contender::of(&read.verified, wait));
    submit(state, &asker, read, waits).await
}

/// Names the guard that a document fails which cannot be verified, counts and lists it: the sequencer never hears of it.
pub(super) fn unverified(state: &AppState, fault: Fault) -> Fault {
    let status = status(fault.code());
    if !status.is_client_error() {
        state.gate.traffic().proposed(Some(fault.code()));
        return fault;
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        return fault;
    }
    let fault = fault.failing(GuardName::Signature);
    let (guard, rejection) = (fault.problem().guard.unwrap_or(GuardName::Signature), fault.rejection());
    state.gate.traffic().unverified(guard, &rejection);
    state.handle.note_unverified(guard, &rejection);
    fault
}

/// A request that was read and verified.
struct Read {
    dry_run: bool,
    verified: Verified,
    way: Option<Box<Trace>>,
    /// Held until it is judged: the proposal takes as much memory as its bytes.
    memory: Memory,
}

/// Reads and verifies the document of a proposal.
async fn read(state: &AppState, asker: &Asker, uri: &Uri, headers: &HeaderMap, body: Body) -> Answer<Read> {
    let mut way = state.handle.trace(|| trace::parent(headers));
    let checked = Query::read(uri, &["dry_run"]).and_then(|query| query.flag("dry_run"));
    let checked = checked.and_then(|dry_run| body::check_media_type(headers).map(|()| dry_run));
    let dry_run = match checked {
        Ok(dry_run) => dry_run,
        Err(fault) => {
            let patience = Duration::from_millis(state.limits.request_timeout_ms);
            let _ = within(patience, body::discard(headers, body)).await;
            return Err(fault);
        }
    };
    let forms = body::header_forms(headers)?;
    let peer = asker.peer();
    let whole = body::whole(headers, body, &state.gate, peer).await?;
    way.iter_mut().for_each(|way| way.step());
    let was_suspect = state.gate.is_suspect(peer);
    let verify = |bytes: &[u8]| state.handle.verify(bytes, &forms);
    let (verified, memory) = junk::look(&state.gate, peer, whole, verify).await?;
    way.iter_mut().for_each(|way| way.verified());
    if let Some(shut) = shut(state, asker, was_suspect, &verified).await? {
        // A delayed refusal must not hold memory that other callers need.
        drop((verified, memory));
        return Err(shut.fault(&state.gate, peer).await);
    }
    Ok(Read { dry_run, verified, way, memory })
}

/// A verified proposal is not judged, because too many before it failed.
pub(super) enum Shut {
    /// Of its peer, and its signer is unknown.
    Peer,
    /// Of its signer, which has to wait so many milliseconds.
    Signer(PublicKey, u64),
}

impl Shut {
    /// The answer, which comes late.
    pub async fn fault(self, gate: &Gate, peer: Peer) -> Fault {
        match self {
            Shut::Peer => gate.shut_out(peer).await,
            Shut::Signer(signer, wait_ms) => gate.refuse_signer(peer, signer, wait_ms).await,
        }
    }
}

/// Whether a verified proposal is not to be judged. `was_suspect` says whether its peer was suspect before it was verified.
pub(super) async fn shut(
    state: &AppState,
    asker: &Asker,
    was_suspect: bool,
    verified: &Verified,
) -> Answer<Option<Shut>> {
    let (project, signer, peer) = (verified.proposal().project(), verified.proposal().signer, asker.peer());
    if was_suspect && !is_known(state, asker, project, signer).await? {
        return Ok(Some(Shut::Peer));
    }
    Ok(state.gate.owes(peer, signer).map(|wait_ms| Shut::Signer(signer, wait_ms)))
}

/// Whether a signature of this key is worth more than that of a key that anybody makes up; such a key is charged. Look-ups that
/// read the journal have places of their own, so that made-up keys take no reads from others behind their address. One
/// goes on when its caller is gone: it is charged at its end.
async fn is_known(state: &AppState, asker: &Asker, project: ProjectName, signer: PublicKey) -> Answer<bool> {
    let peer = asker.peer();
    let judge = move |state: &AppState, known: bool| {
        if !known {
            state.gate.charge(peer, 0);
        }
        known
    };
    if let Some(known) = state.handle.knows_at_once(&project, &signer) {
        return Ok(judge(state, known));
    }
    let place = state.gate.look_up(peer).await?;
    let look_up = move |state: &AppState, _: &Stop| {
        let known = state.handle.knows(&project, &signer, &Stop::default())?;
        Ok(judge(state, known))
    };
    Ok(state.work(asker.patience(), place, look_up).await?.0)
}

/// A caller that prefers to wait for its turn where its head is stale.
struct Contender {
    project: ProjectName,
    key: IdemKey,
    wait: Duration,
}

impl Contender {
    fn of(verified: &Verified, wait: Duration) -> Contender {
        let proposal = verified.proposal();
        Contender { project: proposal.project(), key: proposal.idem_key.clone(), wait }
    }

    /// Waits in line; whether it was called.
    async fn called(&self, state: &AppState, peer: Peer) -> bool {
        match state.gate.turns().join(peer, &self.project, &self.key) {
            Some(line) => line.turn(self.wait, || state.handle.may_grow()).await,
            None => false,
        }
    }

    /// Waits behind others before its proposal is judged; whether it may wait again where its head is stale.
    async fn wait_behind_others(&self, state: &AppState, peer: Peer) -> bool {
        if !state.gate.turns().must_wait(&self.project, &self.key) {
            return true;
        }
        let is_called = self.called(state, peer).await;
        if is_called {
            // The time of its turn is that of its judgement now.
            state.gate.turns().must_wait(&self.project, &self.key);
        }
        is_called
    }

    /// Waits in line after a stale head. The answer of a caller that is called names the present head, and asks for no wait.
    async fn turn(&self, state: &AppState, peer: Peer, refusal: &mut Refusal) -> bool {
        if !self.called(state, peer).await {
            return false;
        }
        if state.handle.is_in_memory(&self.project)
            && let Ok(view) = state.handle.view(&self.project)
        {
            refusal.head = Some(view.head.hash());
            refusal.hlc_last = view.head.state().hlc_last.as_ref().as_ref().map(|last| last.hlc);
        }
        refusal.retry_after_ms = Some(0);
        true
    }
}

/// The proposal under way. It keeps its memory until it is judged.
fn proposing(state: &AppState, peer: Peer, read: Read) -> Proposing {
    let Read { verified, way, memory, .. } = read;
    let (handle, signer) = (state.handle.clone(), verified.proposal().signer);
    let judging = async move {
        let _memory = memory;
        handle.propose_traced(verified, way).await
    };
    Proposing::of(state, peer, signer, judging)
}

/// Ends the turn of a caller, if it has one, unless it is called again. So no other waits for a caller that left.
struct EndsTurn<'a> {
    turns: &'a Turns,
    contender: Option<&'a Contender>,
}

impl Drop for EndsTurn<'_> {
    fn drop(&mut self) {
        if let Some(Contender { project, key, .. }) = self.contender {
            self.turns.answered(project, key);
        }
    }
}

async fn submit(state: AppState, asker: &Asker, read: Read, waits: Option<Contender>) -> Answer {
    let (peer, limit_ms) = (asker.peer(), state.limits.request_timeout_ms);
    let mut turn = EndsTurn { turns: state.gate.turns(), contender: waits.as_ref() };
    let may_wait = match &waits {
        Some(contender) => contender.wait_behind_others(&state, peer).await,
        None => false,
    };
    let mut proposing = proposing(&state, peer, read);
    let Ok(outcome) = asker.patience().within(Duration::from_millis(limit_ms), &mut proposing).await else {
        proposing.is_late();
        return Err(late(&state));
    };
    let mut refusal = match outcome {
        Outcome::Accepted { receipt, replayed } => return Ok(accepted(receipt, replayed)),
        Outcome::Refused(refusal) => refusal,
    };
    // A head that is not named is not to be known to the signer.
    let is_stale = refusal.rejection.code == Code::StaleHead && refusal.head.is_some();
    if let Some(contender) = waits.as_ref().filter(|_| may_wait && is_stale)
        && contender.turn(&state, peer, &mut refusal).await
    {
        turn.contender = None;
        let mut response = Fault::from(*refusal).into_response();
        response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("wait"));
        return Ok(response);
    }
    drop(turn);
    if status(refusal.rejection.code) == StatusCode::BAD_REQUEST {
        state.gate.hold_back(peer).await;
    }
    Err((*refusal).into())
}

/// The answer to a proposal that is not durable in time.
pub(super) fn late(state: &AppState) -> Fault {
    let limit_ms = state.limits.request_timeout_ms;
    // The sequencer never refused it, so nothing else counts it.
    state.gate.traffic().shed(Code::NotDurable);
    let reason = format!("it was not durable within {limit_ms} ms; send it again, the key makes that harmless");
    Fault::new(Code::NotDurable, reason)
}

/// Charges for what a refused proposal cost, and counts what found no room. A known signer pays for its own.
pub(super) fn charge(gate: &Gate, peer: Peer, signer: PublicKey, code: Code) {
    match code {
        // Anyone can make an unknown key: its signature is worth no more than a wrong one.
        Code::IdentityUnknown => gate.charge(peer, 0),
        Code::IdentityRevoked => gate.charge_revoked(peer, signer),
        // The sequencer had no room, and did not judge it.
        Code::Overloaded | Code::TooManyRequests => gate.traffic().shed(code),
        code if status(code) == StatusCode::BAD_REQUEST => gate.charge_refusal(peer, signer),
        _ => {}
    }
}

fn accepted(receipt: Arc<[u8]>, replayed: bool) -> Response {
    let mut response = json_bytes(StatusCode::ACCEPTED, Bytes::from_owner(receipt));
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response.into_response()
}

/// Tries out to the end, also when its caller is gone: the dry run keeps its place and memory, and is charged where it is
/// refused.
fn tried(state: &AppState, peer: Peer, place: Place, read: Read) -> JoinHandle<DryRun> {
    let (handle, gate) = (state.handle.clone(), state.gate.clone());
    tokio::spawn(async move {
        let Read { verified, memory: _memory, .. } = read;
        let _place = place;
        let signer = verified.proposal().signer;
        let found = handle.dry_run(verified).await;
        if let DryRun::Refused(refusal) = &found {
            charge(&gate, peer, signer, refusal.rejection.code);
        }
        found
    })
}

async fn try_out(state: AppState, asker: &Asker, read: Read) -> Answer {
    let peer = asker.peer();
    let place = state.gate.trial_place(peer).await?;
    let limit_ms = state.limits.request_timeout_ms;
    let trial = tried(&state, peer, place, read);
    let found = asker.patience().within(Duration::from_millis(limit_ms), trial).await;
    let found = found.map_err(|Late| {
        Fault::new(Code::NotDurable, format!("the node did not find out within {limit_ms} ms; nothing changed"))
    })?;
    let answer = match found.map_err(|error| Fault::internal(&error))? {
        DryRun::Accepted { state_post_hash, outcomes } => DryRunAnswer {
            accepted: true,
            state_post_hash: Some(state_post_hash),
            guard_outcomes: outcomes,
            ..DryRunAnswer::default()
        },
        DryRun::Repeat(receipt) => {
            let receipt = serde_json::from_slice(&receipt).map_err(|error| Fault::internal(&error))?;
            DryRunAnswer { accepted: true, replayed: true, receipt: Some(receipt), ..DryRunAnswer::default() }
        }
        DryRun::Refused(refusal) => {
            let guard_outcomes = refusal.rejection.guard_outcomes.clone();
            let problem = Some(Box::new(Fault::from(*refusal).into_problem()));
            DryRunAnswer { problem, guard_outcomes, ..DryRunAnswer::default() }
        }
    };
    json(&answer)
}
