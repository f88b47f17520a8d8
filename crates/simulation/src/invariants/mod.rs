//! Invariants of every transition: one file for each, written without the code that it checks.

mod approvals;
mod effects_once;
mod epoch_advances_once;
mod exactly_once;
mod execution_entry;
mod held_by_right;
mod hlc_monotone;
mod index_follows;
mod license_gate;
mod outcome_of_its_record;
mod policy_holds;
mod quarantine_sticky;
mod quorum_certificate;
mod seats_follow;
mod windows;

pub use outcome_of_its_record::work_of;

use super::oracle::Past;
use swoosh_machine::chart;
use swoosh_machine::head::Head;
use swoosh_types::ids::EffectId;
use swoosh_types::json::Json;
use swoosh_types::names::Transition;
use swoosh_types::record::Record;
use swoosh_types::text::ClusterId;

/// One transition.
pub struct Step<'a> {
    pub cluster: &'a ClusterId,
    pub record: &'a Record,
    pub inputs: &'a Json,
    pub before: &'a Head,
    pub after: &'a Head,
}

/// Checks one invariant; an error describes the violation.
pub type Check = fn(&Step<'_>, &Past) -> Result<(), String>;

/// Those of answers and starts, which the oracle and the world ask.
pub const OF_ANSWERS_AND_STARTS: [&str; 22] = [
    "replay-equal",
    "receipts-never-change",
    "receipts-are-rebuilt",
    "receipts-prove-themselves",
    "repeats-get-receipts",
    "acknowledged-is-kept",
    "held-is-kept",
    "builds-once",
    "never-equivocates",
    "log-fails-for-a-cause",
    "reads-are-durable",
    "damage-stays-local",
    "damage-is-named",
    "clock-is-reported",
    "floor-follows-stamps",
    "readable",
    "starts",
    "orders-end",
    "own-proposals-build",
    "log-verifies",
    "liveness",
    "same-seed-same-trace",
];

/// The invariants that are asked at every transition, by name.
pub const ALL: [(&str, Check); 15] = [
    ("index-follows", index_follows::check),
    ("hlc-monotone", hlc_monotone::check),
    ("epoch-advances-once", epoch_advances_once::check),
    ("execution-entry", execution_entry::check),
    ("quorum-certificate", quorum_certificate::check),
    ("seats-follow", seats_follow::check),
    ("approvals", approvals::check),
    ("exactly-once", exactly_once::check),
    ("effects-once", effects_once::check),
    ("outcome-of-its-record", outcome_of_its_record::check),
    ("held-by-right", held_by_right::check),
    ("quarantine-sticky", quarantine_sticky::check),
    ("windows", windows::check),
    ("license-gate", license_gate::check),
    ("policy-holds", policy_holds::check),
];

/// The effect whose outcome a transition brings.
pub fn outcome_of(transition: Transition, inputs: &Json) -> Option<EffectId> {
    chart::spec(transition).closes?;
    inputs.as_object()?.get("effect")?.as_str()?.parse().ok()
}

#[cfg(test)]
pub(crate) mod fixture {
    //! A transition that follows, to be bent.

    use super::*;
    use crate::well_formed::{reading, text};
    use swoosh_types::hash::Hash;
    use swoosh_types::keys::SecretKey;
    use swoosh_types::record::Record;

    /// A record that nothing is wrong with.
    pub fn record(transition: Transition) -> Record {
        let key = SecretKey::from_bytes(&[7; 32]);
        Record {
            index: 1,
            project: text("p"),
            project_implied: false,
            state_pre_hash: Hash::ZERO,
            transition,
            inputs_hash: Hash::ZERO,
            signer: key.public(),
            idem_key: text("goal-1:5:control:key-00000001"),
            hlc: reading(crate::outside::START_MS),
            window_id: None,
            guard_outcomes: Vec::new(),
            policy_engine: "none".into(),
            evidence: Vec::new(),
            signature: key.sign(b""),
            timestamp: reading(crate::outside::START_MS),
            state_post_hash: Hash::ZERO,
        }
    }

    /// Runs a check on a record between two heads.
    pub fn asked(check: Check, record: &Record, before: &Head, after: &Head, past: &Past) -> Result<(), String> {
        let (cluster, inputs) = (text("sim"), Json::empty_object());
        check(&Step { cluster: &cluster, record, inputs: &inputs, before, after }, past)
    }

    /// The genesis head, bent.
    pub fn head(bend: impl FnOnce(&mut swoosh_machine::state::State)) -> Head {
        let mut state = swoosh_machine::state::State::genesis(&text("p"));
        bend(&mut state);
        Head::of(state)
    }
}
