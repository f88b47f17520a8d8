//! A decision for tests.

use super::build;
use swoosh_types::decision::Decision;
use swoosh_types::hash::Hash;
use swoosh_types::json::Json;
use swoosh_types::keys::SecretKey;
use swoosh_types::names::{GuardName, Transition};
use swoosh_types::record::{GuardOutcome, Record};

/// A record like any other.
pub fn record(evidence: &[&str], timestamp: &str) -> Record {
    let key = SecretKey::from_bytes(&[1; 32]);
    Record {
        index: 17,
        project: "a.b-c_d".parse().unwrap(),
        project_implied: false,
        state_pre_hash: Hash::of(b"pre"),
        transition: Transition::ControlPause,
        inputs_hash: Hash::of(b"inputs"),
        signer: key.public(),
        idem_key: "g:1:control:abcdefgh".parse().unwrap(),
        hlc: "2025-10-19T01:23:45.678+00:00#1".parse().unwrap(),
        window_id: None,
        guard_outcomes: vec![GuardOutcome {
            guard: GuardName::Head,
            ok: true,
            reasons: vec!["r".into()],
            facts: vec![],
            grant: None,
        }],
        policy_engine: "cedar".into(),
        evidence: evidence.iter().map(|text| text.parse().unwrap()).collect(),
        signature: key.sign(b"x"),
        timestamp: timestamp.parse().unwrap(),
        state_post_hash: Hash::of(b"post"),
    }
}

/// The decision of a record with this transition and these inputs.
pub fn decision_of(transition: Transition, inputs: &str) -> Decision {
    let record = Record { transition, ..record(&[], "2025-10-19T23:59:59.999+00:00#2") };
    build(&record, &Hash::of(b"chain"), &Json::parse(inputs.as_bytes()).unwrap())
}
