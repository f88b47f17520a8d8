//! Decision records: an accepted transition and its reasons, from its WAL record alone.
//!
//! ```text
//! record + inputs ── wording ──► journal (decisions) ── with the record ──► Decision
//! journal ── Exporter ── Redaction ──► Sink: a JSONL file, BUBBLE over HTTP
//! log ── recompute ──► Decision ── differences ◄── an exported document
//! ```
//!
//! **Architecture invariant.** [`build`] is pure: the same record, link and inputs give the same document,
//! so that a decision record can be made again from the WAL.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

pub mod export;
#[cfg(test)]
mod fixture;
mod recompute;
mod redaction;
mod summary;

pub use recompute::{RecomputeError, differences, recompute, recompute_at};
pub use redaction::{Exported, Redacted, Redaction, RedactionError, Treatment};
pub use summary::summary;

use swoosh_types::civil::rfc3339;
use swoosh_types::decision::{Decision, Wording};
use swoosh_types::hash::Hash;
use swoosh_types::json::Json;
use swoosh_types::record::Record;
use swoosh_types::ucxl::EvidenceRef;

/// The decision that a record made. `chain` is the record's link, `inputs` what it names by hash.
pub fn build(record: &Record, chain: &Hash, inputs: &Json) -> Decision {
    Decision::of(record, chain, wording(record, inputs))
}

/// The part of the decision that is not in its record, as the journal stores it.
pub fn wording(record: &Record, inputs: &Json) -> Wording {
    let summary = summary(record.transition, inputs);
    let justification = justification(inputs).unwrap_or(&summary).to_owned();
    Wording { summary, justification, ucxl: links(record) }
}

/// The reason, in the proposer's words: a rationale, a justification, a failure's detail, or a cause.
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

/// `ucxl://swoosh:orchestrator@<project>/<date>/wal/<index>`; the date is that of acceptance, in UTC, and `*` where
/// the node's clock gave none.
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
