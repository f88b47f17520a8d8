//! WHOOSH's wire format (docs/migration.md): requests of its clients, and their answers.

use serde_json::json;

use super::callers::Brought;
use super::ports::{Forms, Refused};
use swoosh_client::op_class;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::{IdemKey, WindowId};
use swoosh_types::json::Json;
use swoosh_types::migration::{Call, WhooshAnswer};
use swoosh_types::names::{GuardName, Region, Transition};
use swoosh_types::proposal::{MAX_EVIDENCE, default_project};
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ProjectName;
use swoosh_types::ucxl::EvidenceRef;

/// A client's request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub project: ProjectName,
    pub transition: Transition,
    pub inputs: Json,
    pub evidence: Vec<EvidenceRef>,
    /// The client's key, where it sends one already.
    pub key: Option<IdemKey>,
    /// The client's clock.
    pub hlc: Option<Hlc>,
    /// The window that it means.
    pub window_id: Option<WindowId>,
    /// Whether the client signed the proposal itself.
    pub signed: bool,
}

impl Asked {
    /// The region of the transition.
    pub fn region(&self) -> Option<Region> {
        region(self.transition)
    }
}

/// How WHOOSH judged a proposal, a client's or one that SWOOSH decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    Refused,
    /// WHOOSH does not take it, now or later: it does not know the project, or the request is too large.
    NotTaken,
    /// It was not judged: WHOOSH failed, limits rates, or did not let the sender in. The same proposal may pass later.
    Nothing,
}

pub(super) fn verdict(answer: &WhooshAnswer) -> Verdict {
    match answer.status {
        200..=299 => Verdict::Accepted,
        400 | 409 | 412 | 422 => Verdict::Refused,
        401 | 403 | 407 | 408 | 425 | 429 => Verdict::Nothing,
        402..=499 => Verdict::NotTaken,
        _ => Verdict::Nothing,
    }
}

/// The region of a transition: it has the name of its op class.
pub(super) fn region(transition: Transition) -> Option<Region> {
    op_class(transition).as_str().parse().ok()
}

/// The header forms of a request.
pub(super) fn forms(call: &Call) -> Forms {
    Forms {
        idempotency_key: call.values("idempotency-key"),
        hlc: call.values("x-swoosh-hlc"),
        window_id: call.values("x-swoosh-window-id"),
        signature: call.values("x-hmmm-signature"),
    }
}

/// The request's idempotency key, clock and window. If the body cannot be read, the headers count.
pub(super) fn brought(call: &Call, asked: Option<&Asked>) -> Brought {
    let has = |name| !call.values(name).is_empty();
    match asked {
        Some(asked) => {
            Brought { key: asked.key.is_some(), hlc: asked.hlc.is_some(), window_id: asked.window_id.is_some() }
        }
        None => Brought { key: has("idempotency-key"), hlc: has("x-swoosh-hlc"), window_id: has("x-swoosh-window-id") },
    }
}

/// Reads a request. Members that SWOOSH does not know are WHOOSH's own affair.
pub(super) fn read(call: &Call) -> Result<Asked, Rejection> {
    let schema = |reason: String| Rejection::new(Code::Schema, reason);
    let document = Json::parse(&call.body)?;
    let Some(members) = document.as_object() else {
        return Err(schema("the body must be one JSON object with `transition` and `inputs`".to_owned()));
    };
    let forms = forms(call);
    let text = |name: &str| match members.get(name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.as_str())),
        Some(other) => Err(schema(format!("{name} must be a string, not {}", other.kind()))),
    };
    let parsed = |name: &str, error: &dyn std::fmt::Display| schema(format!("{name}: {error}"));
    let transition = text("transition")?.ok_or_else(|| schema("missing field `transition`".to_owned()))?;
    let project = match text("project")? {
        Some(project) => project.parse().map_err(|error| parsed("project", &error))?,
        None => default_project(),
    };
    let key = one("Idempotency-Key", "idem_key", text("idem_key")?, &forms.idempotency_key)?;
    let hlc = one("X-Swoosh-Hlc", "hlc", text("hlc")?, &forms.hlc)?;
    let window_id = one("X-Swoosh-Window-Id", "window_id", text("window_id")?, &forms.window_id)?;
    Ok(Asked {
        project,
        transition: transition.parse().map_err(|error| parsed("transition", &error))?,
        inputs: members.get("inputs").cloned().unwrap_or_else(Json::empty_object),
        evidence: evidence(members.get("evidence"))?,
        key: key.map(|key| key.parse()).transpose().map_err(|error| parsed("idem_key", &error))?,
        hlc: hlc.map(|hlc| hlc.parse()).transpose().map_err(|error| parsed("hlc", &error))?,
        window_id: window_id.map(|id| id.parse()).transpose().map_err(|error| parsed("window_id", &error))?,
        signed: members.contains_key("signature") || !forms.signature.is_empty(),
    })
}

/// A value from the body or a header; both must agree.
fn one<'a>(
    header: &str,
    member: &str,
    body: Option<&'a str>,
    headers: &'a [String],
) -> Result<Option<&'a str>, Rejection> {
    let conflict = |reason: String| Err(Rejection::new(Code::HeaderConflict, reason));
    match (body, headers) {
        (body, []) => Ok(body),
        (None, [value]) => Ok(Some(value.trim())),
        (Some(body), [value]) if body == value.trim() => Ok(Some(body)),
        (Some(_), [_]) => conflict(format!("the header {header} and the body's {member} differ; send one of them")),
        _ => conflict(format!("the header {header} was sent {} times", headers.len())),
    }
}

fn evidence(member: Option<&Json>) -> Result<Vec<EvidenceRef>, Rejection> {
    let schema = |reason: String| Rejection::new(Code::Schema, reason);
    let Some(member) = member else { return Ok(Vec::new()) };
    let Json::Array(items) = member else {
        return Err(schema(format!("evidence must be an array, not {}", member.kind())));
    };
    // One place is the shim's, which names the caller there.
    if items.len() >= MAX_EVIDENCE {
        return Err(schema(format!("evidence holds more than {} addresses", MAX_EVIDENCE - 1)));
    }
    let address = |(number, item): (usize, &Json)| {
        let at = format!("evidence[{number}]");
        let text = item.as_str().ok_or_else(|| schema(format!("{at} must be a string, not {}", item.kind())))?;
        text.parse().map_err(|error| schema(format!("{at}: {error}")))
    };
    items.iter().enumerate().map(address).collect()
}

/// WHOOSH's word for an accepted transition, with SWOOSH's receipt beside it.
pub(super) fn accepted(asked: &Asked, receipt: &[u8]) -> Vec<u8> {
    let receipt: serde_json::Value = serde_json::from_slice(receipt).unwrap_or_default();
    let document = json!({
        "status": "accepted", "project": asked.project, "transition": asked.transition,
        "hash": receipt["state_post_hash"], "receipt": receipt,
    });
    document.to_string().into_bytes()
}

/// WHOOSH's word for a transition that is not accepted: reason and failing guard, with SWOOSH's code beside them.
pub(super) fn refused(refused: &Refused) -> Vec<u8> {
    document(refused, refused.rejection.guard())
}

/// The same of a document that does not verify: where no other guard failed, that of the signature did.
pub(super) fn unverified(refused: &Refused) -> Vec<u8> {
    document(refused, refused.rejection.guard().or(Some(GuardName::Signature)))
}

fn document(refused: &Refused, guard: Option<GuardName>) -> Vec<u8> {
    let rejection = &refused.rejection;
    let mut document = json!({
        "status": "rejected", "reason": rejection.reasons.join("; "), "code": rejection.code,
        "reasons": rejection.reasons,
    });
    if let Some(guard) = guard {
        document["guard"] = json!(guard);
    }
    if let Some(wait_ms) = refused.retry_after_ms {
        document["retry_after_ms"] = json!(wait_ms);
    }
    document.to_string().into_bytes()
}
