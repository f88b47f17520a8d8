//! Decision records: what an accepted transition decided, and why, from its WAL record alone.
//!
//! ```text
//! record + inputs ── build ──► Decision ──► journal (decisions)
//! journal ── Exporter ── Redaction ──► Sink: a JSONL file, BUBBLE over HTTP
//! log ── recompute ──► Decision ── differences ◄── a document that somebody holds
//! ```
//!
//! **Architecture invariant.** [`build`] is pure: the same record, link and inputs give the same document,
//! so that a decision record can be made again from the WAL.

pub mod export;
#[cfg(test)]
mod fixture;
mod recompute;
mod redaction;
mod summary;

pub use recompute::{RecomputeError, differences, recompute, recompute_at};
pub use redaction::{Exported, Redacted, Redaction, RedactionError, Treatment};
pub use summary::summary;

use serde::Serialize;

use crate::types::canonical::{Verbatim, canonical_bytes};
use crate::types::civil::rfc3339;
use crate::types::decision::Decision;
use crate::types::hash::Hash;
use crate::types::hlc::Hlc;
use crate::types::ids::{DecisionId, IdemKey, WindowId};
use crate::types::json::Json;
use crate::types::keys::PublicKey;
use crate::types::migration::signed_for;
use crate::types::names::Transition;
use crate::types::record::{Record, encoded_outcomes};
use crate::types::text::ProjectName;
use crate::types::ucxl::EvidenceRef;

/// The decision that a record made. `chain` is the record's link, `inputs` what it names by hash.
pub fn build(record: &Record, chain: &Hash, inputs: &Json) -> Decision {
    let summary = summary(record.transition, inputs);
    Decision {
        id: DecisionId::of(&record.project, record.index, chain),
        project: record.project.clone(),
        index: record.index,
        chain: *chain,
        transition: record.transition,
        justification: justification(inputs).unwrap_or(&summary).to_owned(),
        summary,
        signer: record.signer,
        on_behalf_of: signed_for(&record.evidence).map(|(caller, _)| caller.to_owned()),
        idem_key: record.idem_key.clone(),
        hlc: record.hlc,
        timestamp: record.timestamp,
        window_id: record.window_id,
        state_pre_hash: record.state_pre_hash,
        state_post_hash: record.state_post_hash,
        inputs_hash: record.inputs_hash,
        guard_outcomes: record.guard_outcomes.clone(),
        policy_engine: record.policy_engine.clone(),
        evidence: record.evidence.clone(),
        ucxl: links(record),
    }
}

/// The canonical bytes of [`build`]'s document, given those of the record: its outcomes, which are most of both,
/// are taken over as they stand.
pub fn encode(record: &Record, encoded: &[u8], chain: &Hash, inputs: &Json) -> Vec<u8> {
    let Some(guard_outcomes) = encoded_outcomes(encoded) else {
        return canonical_bytes(&build(record, chain, inputs));
    };
    let summary = summary(record.transition, inputs);
    canonical_bytes(&Encoded {
        id: DecisionId::of(&record.project, record.index, chain),
        project: &record.project,
        index: record.index,
        chain,
        transition: record.transition,
        justification: justification(inputs).unwrap_or(&summary),
        summary: &summary,
        signer: &record.signer,
        on_behalf_of: signed_for(&record.evidence).map(|(caller, _)| caller),
        idem_key: &record.idem_key,
        hlc: record.hlc,
        timestamp: record.timestamp,
        window_id: record.window_id,
        state_pre_hash: &record.state_pre_hash,
        state_post_hash: &record.state_post_hash,
        inputs_hash: &record.inputs_hash,
        guard_outcomes: Verbatim(guard_outcomes),
        policy_engine: &record.policy_engine,
        evidence: &record.evidence,
        ucxl: links(record),
    })
}

/// [`Decision`], borrowed, in the order of its canonical members.
#[derive(Serialize)]
struct Encoded<'a> {
    chain: &'a Hash,
    evidence: &'a [EvidenceRef],
    guard_outcomes: Verbatim<'a>,
    hlc: Hlc,
    id: DecisionId,
    idem_key: &'a IdemKey,
    index: u64,
    inputs_hash: &'a Hash,
    justification: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<&'a str>,
    policy_engine: &'a str,
    project: &'a ProjectName,
    signer: &'a PublicKey,
    state_post_hash: &'a Hash,
    state_pre_hash: &'a Hash,
    summary: &'a str,
    timestamp: Hlc,
    transition: Transition,
    ucxl: Vec<EvidenceRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_id: Option<WindowId>,
}

/// Why, in the words of whoever proposed: a rationale, a justification, a failure's detail, or a cause.
fn justification(inputs: &Json) -> Option<&str> {
    let members = inputs.as_object()?;
    let text = |name: &str| members.get(name).and_then(Json::as_str);
    let failure = || members.get("failure")?.as_object()?.get("detail")?.as_str();
    text("rationale").or_else(|| text("justification")).or_else(failure).or_else(|| text("cause"))
}

/// Where the decision belongs: the UCXL evidence, or, so that every decision has a link, the record's own
/// derived address.
fn links(record: &Record) -> Vec<EvidenceRef> {
    let named: Vec<_> = record.evidence.iter().filter(|address| address.is_ucxl()).cloned().collect();
    if named.is_empty() { vec![derived_address(record)] } else { named }
}

/// `ucxl://swoosh:orchestrator@<project>/<date>/wal/<index>`; the date is that of acceptance, in UTC, and `*`
/// where the node's clock told none.
///
/// # Panics
/// Never: a project name is a UCXL segment, and date and index are visible characters.
#[expect(clippy::expect_used, reason = "a project name is a UCXL segment; see above")]
fn derived_address(record: &Record) -> EvidenceRef {
    let accepted_ms = record.timestamp.physical_ms();
    let date = if accepted_ms == 0 { "*".to_owned() } else { rfc3339(accepted_ms).chars().take(10).collect() };
    let text = format!("ucxl://swoosh:orchestrator@{}/{date}/wal/{}", record.project, record.index);
    text.parse().expect("the derived address is a UCXL address")
}

#[cfg(test)]
mod tests;
