//! The descriptions tell what `types` does.

use std::collections::BTreeSet;

use serde_json::Value;
use utoipa::{PartialSchema, ToSchema};

use super::*;
use swoosh_machine::chart::Inputs;
use swoosh_types::rejection;
use swoosh_types::verify::{Headers, verify};

fn schema<T: ToSchema>() -> Value {
    serde_json::to_value(<T as PartialSchema>::schema()).unwrap()
}

/// Names of a description's members: all, and those that must be there.
fn members<T: ToSchema>() -> (BTreeSet<String>, BTreeSet<String>) {
    let schema = schema::<T>();
    let all = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let required = schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    (all, required.collect())
}

fn keys(document: &impl serde::Serialize) -> BTreeSet<String> {
    serde_json::to_value(document).unwrap().as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_example_verifies_and_has_every_member() {
    let example = example();
    let bytes = serde_json::to_vec(&example).unwrap();
    let verified = verify(&bytes, &Headers::default(), &"local".parse().unwrap(), Inputs::decode).unwrap();
    assert_eq!(verified.proposal().transition.as_str(), "Council_QuorumCert");
    let (all, required) = members::<Proposal>();
    assert_eq!(keys(&example), all);
    let optional: Vec<_> = all.difference(&required).map(String::as_str).collect();
    assert_eq!(optional, ["project", "window_id"]);
}

#[test]
fn every_code_is_named() {
    let schema = schema::<Code>();
    let codes: Vec<rejection::Code> =
        schema["enum"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().parse().unwrap()).collect();
    assert!(rejection::Code::PLAIN.iter().all(|code| codes.contains(code)));
    assert_eq!(codes.len(), rejection::Code::PLAIN.len() + swoosh_types::names::GuardName::ALL.len() - 4);
}

#[test]
fn a_full_problem_has_the_members_described() {
    let hash = swoosh_types::hash::Hash::ZERO;
    let guard = swoosh_types::names::GuardName::Head;
    let outcome = swoosh_types::record::GuardOutcome {
        guard,
        ok: true,
        reasons: vec![],
        facts: vec![hash],
        grant: Some("week".parse().unwrap()),
    };
    let problem = rejection::Problem {
        kind: String::new(),
        title: String::new(),
        status: 400,
        code: rejection::Code::StaleHead,
        detail: String::new(),
        reasons: vec![],
        guard: Some(guard),
        guard_outcomes: vec![outcome.clone()],
        project: Some("p".parse().unwrap()),
        head: Some(hash),
        hlc_last: Some(swoosh_types::hlc::Hlc::default()),
        retry_after_ms: Some(1),
    };
    assert_eq!(keys(&problem), members::<Problem>().0);
    assert_eq!(keys(&outcome), members::<GuardOutcome>().0);
}
