//! Announced policies are enforced: a submission that points at a secret is not accepted.

use super::Step;
use crate::clients::SECRET;
use crate::oracle::Past;
use swoosh_types::names::Transition;

pub fn check(step: &Step<'_>, _past: &Past) -> Result<(), String> {
    let submission = step.inputs.as_object().and_then(|inputs| inputs.get("submission")?.as_str());
    let forbidden = step.record.transition == Transition::ExecutionSubmit && submission == Some(SECRET);
    if forbidden { Err(format!("it submits {SECRET}, which every policy forbids")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{head, record};
    use super::*;
    use crate::well_formed::{strict, text};
    use serde_json::json;

    #[test]
    fn a_forbidden_submission_is_found() {
        let (it, genesis, cluster) = (record(Transition::ExecutionSubmit), head(|_| ()), text("sim"));
        let of = |submission| {
            let inputs = strict(&json!({"submission": submission}));
            check(
                &Step { cluster: &cluster, record: &it, inputs: &inputs, before: &genesis, after: &genesis },
                &Past::default(),
            )
        };
        assert_eq!(of("ucxl://agent:dev@default/out/report"), Ok(()));
        assert!(of(SECRET).is_err());
    }
}
