//! Callers: their proposals by outcome, of which the objective of errors is a ratio, and how many listen.

use prometheus::{IntCounter, IntGauge, Registry};

use super::register::{counters, gauge};
use super::{Metrics, Name, labelled, metric};
use swoosh_types::rejection::Code;

const PROPOSAL: Name = labelled("swoosh_proposal_total", "outcome", "Proposals of callers, by outcome.");
const LISTENERS: Name = metric("swoosh_listeners", "Open event streams and waiting polls of the feed.");
const OUTCOMES: [&str; 3] = ["accepted", "refused", "failed"];

/// Proposals of callers, and listeners.
pub(super) struct Proposals {
    by_outcome: Box<[IntCounter]>,
    listeners: IntGauge,
}

impl Proposals {
    pub fn new(registry: &Registry) -> prometheus::Result<Proposals> {
        let by_outcome = counters(registry, &PROPOSAL, OUTCOMES.into_iter())?;
        Ok(Proposals { by_outcome, listeners: gauge(registry, &LISTENERS)? })
    }
}

impl Metrics {
    /// A caller's proposal was accepted, or refused with this code.
    pub fn proposed(&self, refused: Option<Code>) {
        if let Some(counter) = outcome(refused).and_then(|outcome| self.proposals.by_outcome.get(outcome)) {
            counter.inc();
        }
    }

    /// A listener came, or went.
    pub fn listens(&self, came: bool) {
        self.proposals.listeners.add(if came { 1 } else { -1 });
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

    #[test]
    fn listeners_are_counted_while_they_listen() {
        let metrics = Metrics::new();
        [true, true, false].into_iter().for_each(|came| metrics.listens(came));
        assert!(String::from_utf8(metrics.render()).unwrap().contains("\nswoosh_listeners 1\n"));
    }

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
