//! An outcome answers the record that opened its effect when the work was taken up, and no later one of the same name.

use super::{Step, outcome_of};
use crate::simulation::oracle::Past;

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
