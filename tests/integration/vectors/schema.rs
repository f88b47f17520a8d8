//! A validator of JSON Schema for the words that `openapi.json` uses of inputs. An unknown word is a failure, so that none is ignored.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;

/// Words that refuse nothing.
const NOTES: [&str; 7] =
    ["description", "examples", "format", "x-swoosh-bound", "x-swoosh-range", "x-swoosh-transition", "x-swoosh-inputs"];

thread_local! {
    /// Compiled patterns.
    static PATTERNS: RefCell<BTreeMap<String, Regex>> = RefCell::default();
}

/// The schemas of an OpenAPI description.
pub struct Schemas<'d> {
    all: &'d Value,
}

impl<'d> Schemas<'d> {
    pub fn of(document: &'d Value) -> Schemas<'d> {
        Schemas { all: &document["components"]["schemas"] }
    }

    /// Whether a value is valid under a schema's name.
    pub fn admit(&self, name: &str, value: &Value) -> bool {
        let schema = &self.all[name];
        assert!(schema.is_object(), "there is no schema {name}");
        self.valid(schema, value)
    }

    fn valid(&self, schema: &Value, value: &Value) -> bool {
        schema.as_object().unwrap().iter().all(|(word, bound)| self.holds(schema, word, bound, value))
    }

    fn holds(&self, schema: &Value, word: &str, bound: &Value, value: &Value) -> bool {
        let bytes = |text: &str| text.len() as u64 <= bound.as_u64().unwrap();
        match word {
            "$ref" => self.admit(bound.as_str().unwrap().rsplit('/').next().unwrap(), value),
            "type" => is_of(bound.as_str().unwrap(), value),
            "enum" => bound.as_array().unwrap().contains(value),
            "pattern" => value.as_str().is_none_or(|text| matches(bound.as_str().unwrap(), text)),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= bound.as_u64().unwrap()),
            "x-swoosh-max-bytes" => value.as_str().is_none_or(bytes),
            "minimum" => value.as_u64().is_none_or(|number| number >= bound.as_u64().unwrap()),
            "maximum" => value.as_u64().is_none_or(|number| number <= bound.as_u64().unwrap()),
            "items" => value.as_array().is_none_or(|items| items.iter().all(|item| self.valid(bound, item))),
            "x-swoosh-max-distinct" => value.as_array().is_none_or(|items| {
                let distinct: BTreeSet<String> = items.iter().map(Value::to_string).collect();
                distinct.len() as u64 <= bound.as_u64().unwrap()
            }),
            "properties" => {
                let given = |name: &String| value.get(name);
                bound
                    .as_object()
                    .unwrap()
                    .iter()
                    .all(|(name, schema)| given(name).is_none_or(|v| self.valid(schema, v)))
            }
            "required" => {
                let names = bound.as_array().unwrap();
                value.as_object().is_none_or(|map| names.iter().all(|name| map.contains_key(name.as_str().unwrap())))
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object();
                let others = value.as_object().into_iter().flatten();
                let mut others = others.filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)));
                others.all(|(_, value)| if bound == &Value::Bool(false) { false } else { self.valid(bound, value) })
            }
            "propertyNames" => value
                .as_object()
                .is_none_or(|map| map.keys().all(|name| self.valid(bound, &Value::String(name.clone())))),
            "oneOf" => bound.as_array().unwrap().iter().filter(|choice| self.valid(choice, value)).count() == 1,
            word => NOTES.contains(&word) || panic!("the validator does not know {word}"),
        }
    }
}

/// Whether a text has a pattern.
pub fn matches(pattern: &str, text: &str) -> bool {
    PATTERNS.with_borrow_mut(|patterns| {
        if !patterns.contains_key(pattern) {
            patterns.insert(pattern.to_owned(), Regex::new(pattern).unwrap());
        }
        patterns[pattern].is_match(text)
    })
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        kind => panic!("the validator does not know the type {kind}"),
    }
}
