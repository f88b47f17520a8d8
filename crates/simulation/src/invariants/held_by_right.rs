//! Where the node signs for a worker, the worker may bring the outcome by then: its key counts and holds the role.

use super::Step;
use crate::oracle::Past;
use swoosh_machine::chart;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::Role;

/// Whether the worker that the first evidence names may bring the outcome.
pub fn check(step: &Step<'_>, _: &Past) -> Result<(), String> {
    let record = step.record;
    let state = step.before.state();
    if chart::spec(record.transition).closes.is_none() {
        return Ok(());
    }
    let named = record.evidence.first().map(ToString::to_string).unwrap_or_default();
    let Some((key, _)) = named.strip_prefix("ucxl://").and_then(|rest| rest.split_once(":worker@")) else {
        return Ok(());
    };
    let key: PublicKey = format!("hmmm:pubkey:{key}").parse().map_err(|_| format!("{named} names no worker"))?;
    if key == record.signer {
        // The node's own key brought it to the node: the settings name it.
        return Ok(());
    }
    let Some(identity) = state.boot.identities.get(&key) else { return Err(format!("{key} is unknown")) };
    let retired = identity.retires_at.is_some_and(|end| record.timestamp >= end);
    if identity.revoked || retired || !identity.roles.contains(&Role::Worker) {
        return Err(format!("the node signed for {} ({key}), which may not bring outcomes", identity.name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, head, record};
    use super::*;
    use swoosh_types::names::Transition;

    #[test]
    fn an_outcome_of_an_unknown_worker_is_found() {
        let (mut it, genesis) = (record(Transition::IngestionBytesOk), head(|_| ()));
        assert_eq!(asked(check, &it, &genesis, &genesis, &Past::default()), Ok(()));
        let signer = swoosh_types::keys::SecretKey::from_bytes(&[8; 32]).public().to_string();
        let key = signer.rsplit(':').next().unwrap();
        it.evidence = vec![format!("ucxl://{key}:worker@p/held/1").parse().unwrap()];
        assert!(asked(check, &it, &genesis, &genesis, &Past::default()).unwrap_err().contains("is unknown"));
    }
}
