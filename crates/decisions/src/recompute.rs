//! Making a decision record again from the log, and comparing.

use std::collections::BTreeMap;

use super::build;
use super::redaction::{Redacted, field_hash, members};
use swoosh_journal::{Journal, ReadError, StoredRecord};
use swoosh_types::canonical::from_json;
use swoosh_types::decision::Decision;
use swoosh_types::ids::DecisionId;
use swoosh_types::json::{Json, JsonError};

/// Why a decision record cannot be made again.
#[derive(Debug, thiserror::Error)]
pub enum RecomputeError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is no such record.
    #[error("the log has no record {0}")]
    NoRecord(u64),
    /// The inputs that the record names are gone.
    #[error("the inputs of record {0} are missing; `swoosh wal verify` lists what is damaged")]
    NoInputs(u64),
    /// The inputs are not JSON.
    #[error("the inputs of record {index} cannot be read: {source}")]
    Inputs { index: u64, source: JsonError },
}

/// The decision that a record made, from the record and the inputs that it names.
pub fn recompute(journal: &Journal, stored: &StoredRecord) -> Result<Decision, RecomputeError> {
    let record = &stored.record;
    let bytes = journal.object(&record.inputs_hash)?.ok_or(RecomputeError::NoInputs(record.index))?;
    let inputs = Json::parse(&bytes).map_err(|source| RecomputeError::Inputs { index: record.index, source })?;
    Ok(build(record, &stored.chain, &inputs))
}

/// The decision that the record at an index made.
pub fn recompute_at(journal: &Journal, index: u64) -> Result<Decision, RecomputeError> {
    let stored = journal.record(index)?.ok_or(RecomputeError::NoRecord(index))?;
    recompute(journal, &stored)
}

/// In what a document differs from the decision that the log gives: a field each. Of a redacted document the hashes
/// are compared, and what was dropped is not.
pub fn differences(document: &Json, decision: &Decision) -> Vec<String> {
    let Some(found) = document.as_object() else { return vec!["it is no JSON object".to_owned()] };
    let Ok(expected) = members(decision) else { return vec!["the decision cannot be written as JSON".to_owned()] };
    let redacted = match found.get("redaction").map(from_json::<Redacted>).transpose() {
        Ok(redacted) => redacted.unwrap_or_default(),
        Err(error) => return vec![format!("redaction: {error}")],
    };
    let strange = found.keys().filter(|name| *name != "redaction" && !expected.contains_key(*name));
    let strange = strange.map(|name| format!("{name}: the log gives none"));
    let wrong = expected.iter().filter_map(|(name, value)| difference(name, value, found, &redacted, &decision.id));
    strange.chain(wrong).collect()
}

fn difference(
    name: &str,
    expected: &Json,
    found: &BTreeMap<String, Json>,
    redacted: &Redacted,
    id: &DecisionId,
) -> Option<String> {
    let hidden = super::redaction::ALWAYS_KEPT.contains(&name)
        && (redacted.dropped.contains(name) || redacted.hashed.contains(name));
    if hidden {
        return Some(format!("{name}: it must not be redacted"));
    }
    match found.get(name) {
        None if redacted.dropped.contains(name) => None,
        None => Some(format!("{name}: it is missing")),
        Some(_) if redacted.dropped.contains(name) => Some(format!("{name}: it should have been dropped")),
        Some(value) if redacted.hashed.contains(name) => {
            let hash = field_hash(id, name, expected).to_string();
            (value.as_str() != Some(&hash)).then(|| format!("{name}: the log gives the hash {hash}"))
        }
        Some(value) if value == expected => None,
        Some(value) => Some(format!("{name}: {} where the log gives {}", shown(value), shown(expected))),
    }
}

fn shown(value: &Json) -> String {
    const MOST: usize = 120;
    let text = String::from_utf8_lossy(&value.canonical()).into_owned();
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Redaction;
    use crate::fixture::decision_of;
    use swoosh_types::canonical::to_json;
    use swoosh_types::names::Transition;

    #[test]
    fn a_document_of_the_same_record_differs_in_nothing_redacted_or_not() {
        let decision = decision_of(Transition::ControlPause, r#"{"rationale": "lunch"}"#);
        assert_eq!(differences(&to_json(&decision).unwrap(), &decision), Vec::<String>::new());
        for policy in ["", "default: {summary: hash, justification: drop, guard_outcomes: hash}"] {
            let exported = Redaction::parse(policy).unwrap().apply(&decision).unwrap();
            assert_eq!(differences(&Json::parse(&exported.bytes).unwrap(), &decision), Vec::<String>::new());
        }
    }

    #[test]
    fn every_change_of_a_document_is_reported_by_its_field() {
        let decision = decision_of(Transition::ControlPause, r#"{"rationale": "lunch"}"#);
        let other = decision_of(Transition::ControlPause, r#"{"rationale": "dinner"}"#);
        let policy = Redaction::parse("default: {summary: hash, justification: hash}").unwrap();
        let exported = policy.apply(&other).unwrap();
        let found = differences(&Json::parse(&exported.bytes).unwrap(), &decision);
        assert!(found.len() == 2 && found[0].starts_with("justification: the log gives the hash"), "{found:?}");
        let Json::Object(mut members) = to_json(&decision).unwrap() else { panic!() };
        members.insert("index".into(), Json::Integer(3));
        members.insert("extra".into(), Json::Bool(true));
        members.remove("signer");
        let found = differences(&Json::Object(members), &decision);
        assert_eq!(found, ["extra: the log gives none", "index: 3 where the log gives 17", "signer: it is missing"]);
    }

    #[test]
    fn a_document_cannot_excuse_itself_from_what_must_be_kept() {
        let decision = decision_of(Transition::ControlPause, "{}");
        let Json::Object(mut members) = to_json(&decision).unwrap() else { panic!() };
        members.remove("state_post_hash");
        members.insert("redaction".into(), Json::parse(br#"{"dropped": ["state_post_hash"], "hashed": []}"#).unwrap());
        assert_eq!(differences(&Json::Object(members), &decision), ["state_post_hash: it must not be redacted"]);
    }
}
