//! A rotation changes the key of a candidate and nothing else: the new key is the candidate, with the same capabilities,
//! and the old key is none.

use super::Step;
use crate::oracle::Past;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::Transition;

/// The candidates on both sides of a rotation.
pub fn check(step: &Step<'_>, _past: &Past) -> Result<(), String> {
    if step.record.transition != Transition::BootIdentityRotated {
        return Ok(());
    }
    let named = |field: &str| -> Option<PublicKey> { step.inputs.as_object()?.get(field)?.as_str()?.parse().ok() };
    let (Some(old), Some(new)) = (named("old"), named("new")) else {
        return Err("it does not name both keys".to_owned());
    };
    let mut expected = step.before.state().council.candidates.clone();
    if let Some(capabilities) = expected.remove(&old) {
        expected.entry(new).or_insert(capabilities);
    }
    if step.after.state().council.candidates == expected {
        return Ok(());
    }
    Err(format!("{old} was rotated to {new}, and the candidates did not follow"))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{head, record};
    use super::*;
    use crate::well_formed::{strict, text};
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use swoosh_types::keys::SecretKey;

    #[test]
    fn a_candidate_that_keeps_its_old_key_is_found() {
        let [old, new] = [1, 2].map(|n| SecretKey::from_bytes(&[n; 32]).public());
        let standing = |key| {
            head(|state| {
                Arc::make_mut(&mut state.council).candidates = [(key, BTreeSet::default())].into();
            })
        };
        let (record, cluster) = (record(Transition::BootIdentityRotated), text("sim"));
        let inputs = strict(&serde_json::json!({"old": old, "new": new}));
        let asked = |before, after| {
            check(&Step { cluster: &cluster, record: &record, inputs: &inputs, before, after }, &Past::default())
        };
        let (first, second) = (standing(old), standing(new));
        assert_eq!(asked(&first, &second), Ok(()));
        assert!(asked(&first, &first).is_err());
    }
}
