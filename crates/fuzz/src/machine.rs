//! The ways in whose reading needs the statechart's inputs, and so the machine.

use std::collections::BTreeSet;

use swoosh_machine::chart::{Inputs, spec};
use swoosh_machine::policy::{CompiledPolicies, Question};
use swoosh_types::fact::PolicyBundle;
use swoosh_types::json::Json;
use swoosh_types::keys::SecretKey;
use swoosh_types::names::{Role, Transition};
use swoosh_types::verify::{Headers, verify};

/// A body is verified or refused; a proposal that is verified has the signature that its own bytes ask for.
pub fn envelope(bytes: &[u8]) {
    let cluster = "test".parse().expect("a cluster's name");
    if let Ok(verified) = verify(bytes, &Headers::default(), &cluster, Inputs::decode) {
        let proposal = verified.proposal();
        assert!(proposal.signer.verify(&proposal.message(&cluster), &verified.signature()));
    }
}

/// Header forms, one a line, never do more than the body's own members could.
pub fn headers(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n').map(|line| vec![line.to_owned()]);
    let mut next = || lines.next().unwrap_or_default();
    let headers = Headers { idempotency_key: next(), hlc: next(), window_id: next(), signature: next() };
    let cluster = "test".parse().expect("a cluster's name");
    let refused = verify(b"{}", &headers, &cluster, Inputs::decode);
    assert!(refused.is_err(), "a proposal without a transition was verified");
}

/// A bundle is refused, or every question to it is answered, each time with the same answer.
pub fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let bundle = PolicyBundle { serial: 1, policies: text.to_owned() };
    let recorded = CompiledPolicies::recorded(bundle.clone());
    let Ok(policies) = CompiledPolicies::compile(bundle) else { return };
    assert_eq!(recorded.map(|recorded| recorded.hash()).ok(), Some(policies.hash()), "what is taken is read again");
    let (signer, project) = (SecretKey::from_bytes(&[7; 32]).public(), "default".parse().expect("a project's name"));
    let inputs = Json::parse(br#"{"rationale": "tea", "a": {"b": [1, "c"]}}"#).expect("JSON");
    for transition in [Transition::ControlPause, Transition::ExecutionSubmit] {
        for roles in [BTreeSet::new(), BTreeSet::from([Role::Operator, Role::Voter])] {
            let region = spec(transition).region;
            let question =
                Question { signer: &signer, roles: &roles, transition, region, project: &project, inputs: &inputs };
            assert_eq!(policies.ask(question), policies.ask(question), "policies changed their mind");
        }
    }
}
