//! Proposals of callers by their outcome: the objective of errors is a ratio of these.

use prometheus::{IntCounter, Registry};

use super::register::counters;
use super::{Metrics, Name, labelled};
use crate::types::rejection::Code;

const PROPOSAL: Name = labelled("swoosh_proposal_total", "outcome", "Proposals of callers, by outcome.");
const OUTCOMES: [&str; 3] = ["accepted", "refused", "failed"];

/// Proposals of callers.
pub(super) struct Proposals(Box<[IntCounter]>);

impl Proposals {
    pub fn new(registry: &Registry) -> prometheus::Result<Proposals> {
        Ok(Proposals(counters(registry, &PROPOSAL, OUTCOMES.into_iter())?))
    }
}

impl Metrics {
    /// A caller's proposal was accepted, or refused with this code.
    pub fn proposed(&self, refused: Option<Code>) {
        if let Some(counter) = outcome(refused).and_then(|outcome| self.proposals.0.get(outcome)) {
            counter.inc();
        }
    }
}

/// The place of the outcome in the list; `None` where it does not count: a caller over its share, and keys that anybody makes up, would
/// dilute the errors.
fn outcome(refused: Option<Code>) -> Option<usize> {
    match refused {
        None => Some(0),
        Some(Code::TooManyRequests | Code::IdentityUnknown) => None,
        Some(
            Code::ClockUnsafe
            | Code::InvariantViolated
            | Code::NotDurable
            | Code::Overloaded
            | Code::ProjectDamaged
            | Code::ReadOnly,
        ) => Some(2),
        Some(_) => Some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made-up keys and refusals of greedy callers made the share of errors small.
    #[test]
    fn proposals_that_anybody_can_send_without_end_do_not_count() {
        assert_eq!(outcome(None), Some(0));
        assert_eq!(outcome(Some(Code::StaleHead)), Some(1));
        assert_eq!([Code::Overloaded, Code::NotDurable, Code::ReadOnly].map(|code| outcome(Some(code))), [Some(2); 3]);
        assert_eq!([Code::TooManyRequests, Code::IdentityUnknown].map(|code| outcome(Some(code))), [None; 2]);
        let metrics = Metrics::new();
        [None, Some(Code::StaleHead), Some(Code::Overloaded)].into_iter().for_each(|code| metrics.proposed(code));
        for outcome in OUTCOMES {
            let text = String::from_utf8(metrics.render()).unwrap();
            assert!(text.contains(&format!("swoosh_proposal_total{{outcome=\"{outcome}\"}} 1")), "{text}");
        }
    }
}
