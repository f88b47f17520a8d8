//! Receipts and trials in words.

use super::super::connect::Node;
use super::super::output::{fields, is_verbose};
use super::super::refusal;
use crate::client::{Accepted, DryRun};
use crate::types::names::Transition;

/// An accepted proposal.
pub(super) fn accepted(cluster: &str, accepted: &Accepted) -> String {
    let receipt = &accepted.receipt;
    let again = if accepted.replayed { " (accepted before under this key)" } else { "" };
    let (transition, project, index) = (receipt.transition, &receipt.project, receipt.index);
    let mut lines = vec![format!("accepted: {transition} in project {project}, record {index}{again}")];
    if !is_verbose() {
        return lines.concat();
    }
    lines.push(fields(&[
        ("cluster", cluster.to_owned()),
        ("head before", receipt.state_pre_hash.to_string()),
        ("head after", receipt.state_post_hash.to_string()),
        ("decision", receipt.decision.to_string()),
        ("key", receipt.idem_key.to_string()),
        ("accepted at", receipt.timestamp.to_string()),
        ("sealed by", receipt.seal.node.to_string()),
    ]));
    lines.join("\n")
}

/// The decision of a dry run.
pub(super) fn dry_run(node: &Node, transition: Transition, answer: &DryRun) -> String {
    let (address, cluster) = (node.client().address().trim_end_matches('/'), node.client().cluster());
    if let Some(problem) = &answer.problem {
        return format!("{transition} would not be accepted.\n{}", refusal::text(address, cluster, problem));
    }
    let verdict = if answer.accepted { "would be accepted" } else { "would not be accepted" };
    let mut lines = vec![format!("{transition} {verdict}; nothing was changed")];
    let mut about = Vec::new();
    about.extend(cluster.map(|cluster| ("cluster", cluster.to_string())));
    // If it were accepted at this moment.
    about.extend(answer.state_post_hash.map(|hash| ("head after", hash.to_string())));
    lines.push(fields(&about));
    if !answer.guard_outcomes.is_empty() {
        lines.push(format!("guards:\n{}", refusal::guards(&answer.guard_outcomes)));
    }
    lines.join("\n")
}
