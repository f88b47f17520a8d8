//! Redaction: the fields of a decision record that leave the node (config/decisions.yaml).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use swoosh_types::canonical::{canonical_bytes, to_json};
use swoosh_types::decision::Decision;
use swoosh_types::hash::Hash;
use swoosh_types::ids::DecisionId;
use swoosh_types::json::{Json, JsonError};
use swoosh_types::names::Transition;
use swoosh_types::yaml;

/// Fields that are always kept: without them a record proves nothing and cannot be found.
pub const ALWAYS_KEPT: &[&str] = &[
    "id",
    "project",
    "index",
    "chain",
    "transition",
    "hlc",
    "timestamp",
    "state_pre_hash",
    "state_post_hash",
    "inputs_hash",
];

/// Treatment of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Treatment {
    /// It stays.
    #[default]
    Keep,
    /// Replaced by its hash.
    Hash,
    /// It is not there.
    Drop,
}

/// Treatments of the fields that may be redacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Treatments {
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Treatment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    justification: Option<Treatment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<Treatment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<Treatment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<Treatment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idem_key: Option<Treatment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_id: Option<Treatment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guard_outcomes: Option<Treatment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_engine: Option<Treatment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Treatment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ucxl: Option<Treatment>,
}

impl Treatments {
    /// The fields, by name.
    fn fields(&self) -> [(&'static str, Option<Treatment>); 11] {
        [
            ("summary", self.summary),
            ("justification", self.justification),
            ("signer", self.signer),
            ("on_behalf_of", self.on_behalf_of),
            ("grant", self.grant),
            ("idem_key", self.idem_key),
            ("window_id", self.window_id),
            ("guard_outcomes", self.guard_outcomes),
            ("policy_engine", self.policy_engine),
            ("evidence", self.evidence),
            ("ucxl", self.ucxl),
        ]
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    default: Treatments,
    transitions: BTreeMap<Transition, Treatments>,
    hash: Option<Hash>,
}

/// The form of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Document {
    default: Treatments,
    transitions: BTreeMap<Transition, Treatments>,
}

/// Why a redaction policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedactionError {
    /// It has another form.
    #[error("the redaction policy cannot be read: {0}; config/decisions.yaml shows the form")]
    Form(String),
    /// A shown field reveals a hidden one.
    #[error(
        "{place}: justification is redacted and summary is not, but a summary quotes it; redact both (summary: hash or drop)"
    )]
    Quoted {
        /// `default` or a transition.
        place: String,
    },
}

/// A decision record as it leaves the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    pub id: DecisionId,
    pub index: u64,
    /// The document: canonical JSON on one line, without a line end.
    pub bytes: Vec<u8>,
}

/// The redacted fields, recorded in the document under `redaction`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redacted {
    /// sha256 of the canonical JSON of the policy; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Hash>,
    /// Fields that are replaced by their hashes.
    pub hashed: BTreeSet<String>,
    /// Fields that are not there.
    pub dropped: BTreeSet<String>,
}

impl Redaction {
    pub fn parse(text: &str) -> Result<Redaction, RedactionError> {
        let form = |error: yaml_serde::Error| RedactionError::Form(error.to_string());
        let document: Option<Document> = yaml::checked(text).and_then(yaml_serde::from_str).map_err(form)?;
        let document = document.unwrap_or_default();
        let hash = to_json(&document).map_err(|error| RedactionError::Form(error.to_string()))?;
        let hash = Some(Hash::of(&hash.canonical()));
        let policy = Redaction { default: document.default, transitions: document.transitions, hash };
        policy.check()?;
        Ok(policy)
    }

    fn check(&self) -> Result<(), RedactionError> {
        let quoted = |treatments: &BTreeMap<&str, Treatment>| {
            let of = |field: &str| treatments.get(field).copied().unwrap_or_default();
            of("justification") != Treatment::Keep && of("summary") == Treatment::Keep
        };
        let places = std::iter::once(("default".to_owned(), None))
            .chain(self.transitions.keys().map(|transition| (transition.to_string(), Some(*transition))));
        for (place, transition) in places {
            if quoted(&self.treatments(transition)) {
                return Err(RedactionError::Quoted { place });
            }
        }
        Ok(())
    }

    /// Treatments in force: the transition's own, and the default ones for what it leaves out.
    fn treatments(&self, transition: Option<Transition>) -> BTreeMap<&'static str, Treatment> {
        let own = transition.and_then(|transition| self.transitions.get(&transition)).copied().unwrap_or_default();
        let pairs = self.default.fields().into_iter().zip(own.fields());
        pairs.map(|((name, default), (_, own))| (name, own.or(default).unwrap_or_default())).collect()
    }

    /// A decision record as it may leave the node.
    pub fn apply(&self, decision: &Decision) -> Result<Exported, JsonError> {
        let mut document = members(decision)?;
        let mut redacted = Redacted { policy: self.hash, ..Redacted::default() };
        for (field, treatment) in self.treatments(Some(decision.transition)) {
            let Some(value) = document.get_mut(field) else { continue };
            match treatment {
                Treatment::Keep => {}
                Treatment::Hash => {
                    *value = Json::String(field_hash(&decision.id, field, value).to_string());
                    redacted.hashed.insert(field.to_owned());
                }
                Treatment::Drop => {
                    document.remove(field);
                    redacted.dropped.insert(field.to_owned());
                }
            }
        }
        document.insert("redaction".to_owned(), to_json(&redacted)?);
        let bytes = canonical_bytes(&Json::Object(document));
        Ok(Exported { id: decision.id.clone(), index: decision.index, bytes })
    }
}

/// The members of a decision's document.
pub(super) fn members(decision: &Decision) -> Result<BTreeMap<String, Json>, JsonError> {
    match to_json(decision)? {
        Json::Object(members) => Ok(members),
        _ => Ok(BTreeMap::new()),
    }
}

/// The hash that replaces a field. The id makes the hashes of equal texts in two records differ.
pub(super) fn field_hash(id: &DecisionId, field: &str, value: &Json) -> Hash {
    let head = format!("swoosh/redacted/v1\n{id}\n{field}\n");
    Hash::of_parts([head.as_bytes(), &value.canonical()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::decision_of;

    const BUILT_IN: &str = include_str!("../../../config/decisions.yaml");

    fn document(policy: &str, transition: Transition, inputs: &str) -> Json {
        let exported = Redaction::parse(policy).unwrap().apply(&decision_of(transition, inputs)).unwrap();
        Json::parse(&exported.bytes).unwrap()
    }

    fn text(document: &Json, field: &str) -> Option<String> {
        document.as_object()?.get(field)?.as_str().map(str::to_owned)
    }

    #[test]
    fn fields_are_kept_hashed_or_dropped_as_the_policy_says() {
        let policy = "default: {signer: hash, evidence: drop}\ntransitions:\n  Control_Pause: {summary: drop, justification: drop, signer: keep}\n";
        let pause = document(policy, Transition::ControlPause, r#"{"rationale": "the canary sings"}"#);
        assert_eq!((text(&pause, "summary"), text(&pause, "justification")), (None, None));
        assert!(text(&pause, "signer").unwrap().starts_with("hmmm:pubkey:"));
        let resume = document(policy, Transition::ControlResume, r#"{"rationale": "the canary sings"}"#);
        assert_eq!(text(&resume, "justification").as_deref(), Some("the canary sings"));
        assert!(text(&resume, "signer").unwrap().starts_with("sha256-"));
        let redaction = resume.as_object().unwrap()["redaction"].as_object().unwrap();
        assert_eq!(redaction["hashed"].canonical(), br#"["signer"]"#);
        assert_eq!(redaction["dropped"].canonical(), br#"["evidence"]"#);
        assert!(!String::from_utf8(pause.canonical()).unwrap().contains("canary"));
    }

    #[test]
    fn a_hash_belongs_to_one_field_of_one_record() {
        let decision = decision_of(Transition::ControlPause, r#"{"rationale": "r"}"#);
        let value = Json::String("r".into());
        let other = DecisionId { index: 18, ..decision.id.clone() };
        let hashes = [
            field_hash(&decision.id, "summary", &value),
            field_hash(&decision.id, "justification", &value),
            field_hash(&other, "summary", &value),
        ];
        assert!(hashes[0] != hashes[1] && hashes[0] != hashes[2]);
        let exported =
            document("default: {summary: hash, justification: hash}", decision.transition, r#"{"rationale": "r"}"#);
        assert_eq!(text(&exported, "justification"), Some(hashes[1].to_string()));
    }

    #[test]
    fn what_a_record_is_found_and_proved_by_is_always_kept() {
        let all = "{summary: drop, justification: drop, signer: drop, idem_key: drop, window_id: drop, guard_outcomes: drop, policy_engine: drop, evidence: drop, ucxl: drop}";
        let exported = document(&format!("default: {all}"), Transition::ControlPause, "{}");
        let left: Vec<_> = exported.as_object().unwrap().keys().filter(|name| *name != "redaction").collect();
        let mut kept = ALWAYS_KEPT.to_vec();
        kept.sort_unstable();
        assert_eq!(left, kept);
        for field in ALWAYS_KEPT {
            assert!(Redaction::parse(&format!("default: {{{field}: drop}}")).is_err(), "{field}");
        }
    }

    #[test]
    fn a_policy_that_hides_nothing_is_refused() {
        for policy in [
            "default: {justification: drop}",
            "transitions: {Control_Pause: {justification: hash}}",
            "default: {summary: drop}\ntransitions: {Control_Pause: {justification: hash, summary: keep}}",
        ] {
            assert!(matches!(Redaction::parse(policy), Err(RedactionError::Quoted { .. })), "{policy}");
        }
        for policy in ["default: {summry: drop}", "transitions: {Control_Paws: {}}", "default: {signer: shred}", "- a"]
        {
            assert!(matches!(Redaction::parse(policy), Err(RedactionError::Form(_))), "{policy}");
        }
        assert!(Redaction::parse("").is_ok());
    }

    #[test]
    fn the_built_in_policy_keeps_what_an_audit_needs_and_hides_what_is_sensitive() {
        let policy = Redaction::parse(BUILT_IN).unwrap();
        for &transition in Transition::ALL {
            let treatments = policy.treatments(Some(transition));
            for field in ["signer", "guard_outcomes", "ucxl", "policy_engine"] {
                assert_eq!(treatments[field], Treatment::Keep, "{transition} {field}");
            }
        }
        for transition in [Transition::PolicyQuarantine, Transition::BootIdentityRevoked] {
            assert_ne!(policy.treatments(Some(transition))["justification"], Treatment::Keep);
        }
        assert_eq!(policy.treatments(Some(Transition::ExecutionSubmit))["justification"], Treatment::Keep);
    }
}
