//! An outcome answers the record that opened its effect when the work was taken up, and no later one of the same name.

use super::{Step, outcome_of};
use crate::oracle::Past;
use swoosh_types::hash::Hash;
use swoosh_types::record::Record;

/// The work that a record asks for. After a loss the same proposal may get the same index and stamp again, and lead to the same
/// head, while its guards read other facts: the work is the same.
pub fn work_of(record: &Record) -> Hash {
    let Record { index, timestamp, state_pre_hash, inputs_hash, state_post_hash, .. } = record;
    let place = format!("{index} {timestamp} ");
    let heads = [state_pre_hash.as_bytes().as_slice(), inputs_hash.as_bytes(), state_post_hash.as_bytes()];
    Hash::of_parts([place.as_bytes(), heads[0], heads[1], heads[2]])
}

/// Whether the record that opened the effect is the one that the worker saw.
pub fn check(step: &Step<'_>, past: &Past) -> Result<(), String> {
    let Some(effect) = outcome_of(step.record.transition, step.inputs) else { return Ok(()) };
    let place = (step.record.project.clone(), step.record.idem_key.clone());
    let (Some(meant), Some(opened)) = (past.meant.get(&place), past.opened.get(&effect)) else { return Ok(()) };
    if meant == opened {
        return Ok(());
    }
    Err(format!("the worker did the work of the record {meant}, and {effect} was opened by {opened}"))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{head, record};
    use super::*;
    use crate::well_formed::{known, text};
    use swoosh_types::json::Json;
    use swoosh_types::names::{GuardName, Transition};
    use swoosh_types::record::GuardOutcome;

    fn brought(taken: &Record, opened: &Record) -> Result<(), String> {
        let (head, outcome) = (head(|_| ()), record(Transition::EnvironmentAmber));
        let (effect, project) = ("p/1/healthcheck", outcome.project.clone());
        let mut past = Past::default();
        past.meant.insert((project, outcome.idem_key.clone()), work_of(taken));
        past.opened.insert(text(effect), work_of(opened));
        let inputs = known(Json::parse(format!(r#"{{"effect":"{effect}"}}"#).as_bytes()).ok(), "the inputs");
        let cluster = text("sim");
        check(&Step { cluster: &cluster, record: &outcome, inputs: &inputs, before: &head, after: &head }, &past)
    }

    #[test]
    fn an_outcome_of_another_record_s_work_is_found() {
        let taken = record(Transition::EnvironmentInstalled);
        assert_eq!(brought(&taken, &taken), Ok(()));
        let opened = Record { state_post_hash: Hash::of(b"another key"), ..taken.clone() };
        assert!(brought(&taken, &opened).is_err());
    }

    /// Seed 4 named an outcome wrong whose effect was opened again by the same proposal at the same stamp, under a newer license.
    #[test]
    fn the_same_proposal_asks_for_the_same_work_whatever_facts_its_guards_read() {
        let taken = record(Transition::EnvironmentInstalled);
        let judged = GuardOutcome {
            guard: GuardName::License,
            ok: true,
            reasons: vec!["licensed".to_owned()],
            facts: vec![Hash::of(b"a newer license")],
            grant: None,
        };
        let opened = Record { guard_outcomes: vec![judged], ..taken.clone() };
        assert_eq!(brought(&taken, &opened), Ok(()));
    }
}
