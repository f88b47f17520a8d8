//! The values that a member of the state can have, so that a comparison that never holds is refused.

use serde_json::Value;

use super::expression::Comparison;
use crate::machine::state::{Section, State, TopPhase};
use crate::types::hash::Hash;
use crate::types::names::{
    BootState, ControlState, CouncilState, EnvironmentState, ExecutionState, IngestionState, PolicyState,
};

/// Members that a state without them leaves out.
const LEFT_OUT: [&str; 1] = ["environment.builds"];
/// Members that are null or a number.
const NUMBERS: [&str; 3] = ["council.version", "environment.version", "policy.struck_serial"];
/// Members that are null or a document.
const DOCUMENTS: [&str; 6] = [
    "ingestion.last_failure",
    "environment.last_failure",
    "council.certificate",
    "execution.pin",
    "policy.breach",
    "hlc_last",
];

/// The values of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Flag,
    Number {
        or_null: bool,
    },
    /// One of these words.
    Words(Vec<String>),
    Hash {
        or_null: bool,
    },
    Text,
    /// A list or a map. Numbers mean its entries.
    Entries,
    /// Null or a document with members.
    Document,
    /// Below a map or a document: not known before there is one.
    Open,
}

impl Kind {
    /// The kind of a place. Refuses sections and members that no state has, so that a slip does not wait for ever.
    pub fn of(names: &[String]) -> Result<Kind, String> {
        match names {
            [name] if name == "index" => return Ok(Kind::Number { or_null: false }),
            [name] if name == "phase" => return Ok(Kind::Words(top_phases())),
            _ => {}
        }
        let example = "default".parse().map(|project| State::genesis(&project)).map_err(|_| "no state".to_owned())?;
        let mut value = serde_json::to_value(&example).map_err(|error| error.to_string())?;
        let mut kind = Kind::Entries;
        for (depth, name) in names.iter().enumerate() {
            let parent = names.get(..depth).unwrap_or_default().join(".");
            let path = names.get(..=depth).unwrap_or_default().join(".");
            let is_known = value.get(name).is_some() || LEFT_OUT.contains(&path.as_str());
            kind = match (depth, kind) {
                (0, _) if !is_known => return Err(no_section(name)),
                (1, Kind::Entries) if !is_known => return Err(no_member(&parent, name, &value)),
                (_, Kind::Entries) if !is_known && !value.is_array() => Kind::Open,
                (_, Kind::Document | Kind::Open) => Kind::Open,
                (_, Kind::Entries) if is_known => {
                    Kind::of_value(&path, value.get(name).unwrap_or(&Value::Array(Vec::new())))
                }
                (_, kind) => return Err(format!("{parent} has no members; it is {}", kind.text())),
            };
            value = value.get(name).cloned().unwrap_or_default();
        }
        Ok(kind)
    }

    fn of_value(path: &str, value: &Value) -> Kind {
        let is_hash = path.ends_with("_hash") || path.ends_with("_seed");
        if let Some(words) = words(path) {
            return Kind::Words(words);
        }
        match value {
            Value::Bool(_) => Kind::Flag,
            Value::Number(_) => Kind::Number { or_null: false },
            Value::Array(_) | Value::Object(_) => Kind::Entries,
            Value::String(_) | Value::Null if is_hash => Kind::Hash { or_null: value.is_null() },
            Value::Null if NUMBERS.contains(&path) => Kind::Number { or_null: true },
            Value::Null if DOCUMENTS.contains(&path) => Kind::Document,
            Value::String(_) | Value::Null => Kind::Text,
        }
    }

    /// Refuses a comparison that holds in no state, or in every one by a slip.
    pub fn admits(&self, name: &str, comparison: &Comparison) -> Result<(), String> {
        match comparison {
            Comparison::In(words) | Comparison::NotIn(words) => match words.iter().find(|word| !self.has(word)) {
                Some(word) => Err(format!("{name} is never {word}; it is {}", self.text())),
                None => Ok(()),
            },
            Comparison::Below(0) => Err(format!("{name} is never below 0")),
            Comparison::Above(u64::MAX) => Err(format!("{name} is never above {}", u64::MAX)),
            _ if self.counts() => Ok(()),
            _ => Err(format!("{name} is {}; compare it with ==, != or in", self.text())),
        }
    }

    /// Whether it is compared with <, <=, > and >=.
    fn counts(&self) -> bool {
        matches!(self, Kind::Number { .. } | Kind::Entries | Kind::Open)
    }

    fn has(&self, word: &str) -> bool {
        let is_number = word.parse::<u64>().is_ok_and(|number| number.to_string() == word);
        let is_null = word == "null";
        match self {
            Kind::Flag => matches!(word, "true" | "false"),
            Kind::Number { or_null } => is_number || (*or_null && is_null),
            Kind::Words(words) => words.iter().any(|known| known == word),
            Kind::Hash { or_null } => word.parse::<Hash>().is_ok() || (*or_null && is_null),
            Kind::Entries => is_number || is_document(word),
            Kind::Document => is_null || is_document(word),
            Kind::Text | Kind::Open => true,
        }
    }

    /// All values, where there are few.
    pub fn all(&self) -> Option<Vec<String>> {
        match self {
            Kind::Flag => Some(vec!["true".to_owned(), "false".to_owned()]),
            Kind::Words(words) => Some(words.clone()),
            _ => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Kind::Flag => "true or false".to_owned(),
            Kind::Number { or_null: false } => "a whole number".to_owned(),
            Kind::Number { or_null: true } => "a whole number or null".to_owned(),
            Kind::Words(words) => format!("one of {}", words.join(", ")),
            Kind::Hash { or_null: false } => "a hash, sha256-…".to_owned(),
            Kind::Hash { or_null: true } => "a hash, sha256-…, or null".to_owned(),
            Kind::Text => "a text or null".to_owned(),
            Kind::Entries => "a list or a map, compared by the number of its entries".to_owned(),
            Kind::Document => "null, or a document with members".to_owned(),
            Kind::Open => "any value".to_owned(),
        }
    }
}

/// A list or map as the state writes it.
fn is_document(word: &str) -> bool {
    let parsed: Option<Value> =
        serde_json::from_str(word).ok().filter(|value: &Value| value.is_array() || value.is_object());
    parsed.and_then(|value| serde_json::to_string(&value).ok()).is_some_and(|text| text == word)
}

fn no_section(name: &str) -> String {
    let sections = Section::ALL.iter().map(|section| section.as_str()).collect::<Vec<_>>().join(", ");
    format!("{name:?} is no section of a state; there are {sections}, index and phase")
}

fn no_member(section: &str, name: &str, value: &Value) -> String {
    let known = value.as_object().into_iter().flat_map(|members| members.keys());
    let known = known.map(String::as_str).collect::<Vec<_>>().join(", ");
    format!("{section} has no member {name}; it has {known}")
}

fn words(path: &str) -> Option<Vec<String>> {
    Some(match path {
        "boot.phase" => texts(BootState::ALL),
        "ingestion.phase" => texts(IngestionState::ALL),
        "council.phase" => texts(CouncilState::ALL),
        "environment.phase" => texts(EnvironmentState::ALL),
        "execution.phase" => texts(ExecutionState::ALL),
        "control.phase" => texts(ControlState::ALL),
        "policy.phase" => texts(PolicyState::ALL),
        "control.license" => texts(&["ok", "grace", "expired"]),
        "policy.origin" => texts(&["null", "content", "proposal", "declared"]),
        _ => return None,
    })
}

fn top_phases() -> Vec<String> {
    let all = [TopPhase::Boot, TopPhase::ProjectLifecycle, TopPhase::Execution, TopPhase::Terminated];
    let text = |phase: &TopPhase| serde_json::to_value(phase).ok()?.as_str().map(str::to_owned);
    all.iter().filter_map(text).collect()
}

fn texts<T: ToString>(all: &[T]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}
