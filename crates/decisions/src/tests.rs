//! Decision records say what their WAL records say.

use super::fixture::record;
use super::*;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::DecisionId;
use swoosh_types::names::Transition;

const PLACEHOLDER: char = '{';

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap()
}

fn decision(evidence: &[&str], inputs: &str) -> Decision {
    build(&record(evidence, "2025-10-19T23:59:59.999+00:00#2"), &Hash::of(b"chain"), &json(inputs))
}

#[test]
fn a_decision_says_what_its_record_says() {
    let decision = decision(&[], r#"{"rationale": "lunch"}"#);
    let record = record(&[], "2025-10-19T23:59:59.999+00:00#2");
    assert_eq!(decision.id, DecisionId::of(&record.project, 17, &Hash::of(b"chain")));
    assert_eq!(decision.summary, "The project is paused: lunch");
    assert_eq!(decision.justification, "lunch");
    assert_eq!(
        (decision.state_pre_hash, decision.state_post_hash, decision.inputs_hash),
        (record.state_pre_hash, record.state_post_hash, record.inputs_hash)
    );
    assert_eq!((decision.guard_outcomes, decision.policy_engine), (record.guard_outcomes, record.policy_engine));
    assert_eq!((decision.signer, decision.hlc, decision.timestamp), (record.signer, record.hlc, record.timestamp));
}

#[test]
fn the_reason_given_is_the_justification_and_the_summary_where_none_was() {
    let why = |inputs: &str| decision(&[], inputs).justification;
    assert_eq!(why(r#"{"justification": "looked at it"}"#), "looked at it");
    assert_eq!(why(r#"{"failure": {"detail": "no route"}}"#), "no route");
    assert_eq!(why(r#"{"cause": "the fact ran out"}"#), "the fact ran out");
    let record = Record { transition: Transition::BootLicensed, ..record(&[], "2025-10-19T00:00:00Z#0") };
    let decision = build(&record, &Hash::ZERO, &json("{}"));
    assert_eq!(decision.justification, decision.summary);
}

#[test]
fn ucxl_evidence_is_the_link_and_a_derived_address_where_there_is_none() {
    let linked = decision(&["bubble://dr/a/1", "ucxl://a:b@c/x", "ucxl://d:e@f"], "{}");
    assert_eq!(linked.ucxl.iter().map(EvidenceRef::as_str).collect::<Vec<_>>(), ["ucxl://a:b@c/x", "ucxl://d:e@f"]);
    assert_eq!(linked.evidence.len(), 3);
    let derived = decision(&["bubble://dr/a/1"], "{}");
    assert_eq!(derived.ucxl[0].as_str(), "ucxl://swoosh:orchestrator@a.b-c_d/2025-10-19/wal/17");
    let timeless = Record { timestamp: Hlc::default(), ..record(&[], "2025-10-19T00:00:00Z#0") };
    let timeless = build(&timeless, &Hash::ZERO, &json("{}"));
    assert_eq!(timeless.ucxl[0].as_str(), "ucxl://swoosh:orchestrator@a.b-c_d/*/wal/17");
}

#[test]
fn every_project_name_makes_an_address() {
    for name in ["a".to_owned(), "9".repeat(63), "a._-".to_owned()] {
        let record =
            Record { project: name.parse().unwrap(), index: u64::MAX, ..record(&[], "9999-12-31T23:59:59Z#0") };
        assert!(build(&record, &Hash::ZERO, &json("{}")).ucxl[0].is_ucxl());
    }
}

/// The machine's chart says which members inputs have; a sentence that names another one would show its
/// template.
#[test]
fn every_sentence_fits_the_inputs_of_its_transition() {
    use std::collections::BTreeMap;
    use swoosh_machine::chart::spec;
    for &transition in Transition::ALL {
        let sample = |kind: &str| match kind {
            "Count" => "7",
            "Failure" => r#"{"detail": "d"}"#,
            "IdentityGrant" => r#"{"name": "n", "roles": ["agent"]}"#,
            "ProjectDocument" => r#"{"sources": {}, "identities": {}}"#,
            "Rationale" | "Detail" | "PublicKey" | "Hash" | "UcxlAddress" | "Signature" | "EffectId" => r#""text""#,
            "Candidates" | "Votes" | "CheckOutcomes" | "PublicKeys" => "[]",
            _ => "{}",
        };
        let required = spec(transition).inputs.iter().filter(|(_, kind)| !kind.ends_with('?'));
        let inputs: BTreeMap<_, _> = required.map(|(name, kind)| ((*name).to_owned(), json(sample(kind)))).collect();
        let summary = summary(transition, &Json::Object(inputs));
        assert!(!summary.contains([PLACEHOLDER, '[']), "{transition}: {summary}");
        assert!(summary.ends_with(['.', 't', 'd']) && summary.len() > 20, "{transition}: {summary}");
    }
}
