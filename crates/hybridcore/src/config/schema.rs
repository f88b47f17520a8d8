//! `schema.yaml`: the variables, their rules, and the severity of a violation.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::syntax::Place;
use super::value::{Value, first_line};
use crate::definitions::{Definitions, DefinitionsError};
use swoosh_types::text::Name;

/// Path of the schema in the definitions.
pub const SCHEMA_FILE: &str = "schema.yaml";

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Reported on request.
    Info,
    /// Reported; the work continues.
    Warning,
    /// Stops the work.
    #[default]
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// The type of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    /// A number without a fraction.
    Whole,
    /// `true` or `false`.
    Bool,
    /// A list of such.
    List(Box<Kind>),
    /// Such by name.
    Map(Box<Kind>),
    /// An object of any members.
    Object,
    /// Anything.
    Any,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Kind, String> {
        let within = |outer: &str| text.strip_prefix(outer)?.strip_prefix('(')?.strip_suffix(')');
        Ok(match text {
            "string" => Kind::Text,
            "number" => Kind::Number,
            "integer" => Kind::Whole,
            "bool" => Kind::Bool,
            "object" => Kind::Object,
            "any" => Kind::Any,
            _ => match (within("list"), within("map")) {
                (Some(inner), _) if inner.len() < 64 => Kind::List(Box::new(inner.parse()?)),
                (_, Some(inner)) if inner.len() < 64 => Kind::Map(Box::new(inner.parse()?)),
                _ => {
                    return Err(format!(
                        "{text:?} is no type; write string, number, integer, bool, object, any, list(…) or map(…)"
                    ));
                }
            },
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Text => f.write_str("string"),
            Kind::Number => f.write_str("number"),
            Kind::Whole => f.write_str("integer"),
            Kind::Bool => f.write_str("bool"),
            Kind::List(inner) => write!(f, "list({inner})"),
            Kind::Map(inner) => write!(f, "map({inner})"),
            Kind::Object => f.write_str("object"),
            Kind::Any => f.write_str("any"),
        }
    }
}

swoosh_types::text::serde_as_text!(Kind);

impl Kind {
    /// Whether a value is of this kind.
    pub fn takes(&self, value: &Value) -> bool {
        match (self, value) {
            (Kind::Any, _)
            | (Kind::Text, Value::Text(_))
            | (Kind::Number, Value::Number(_))
            | (Kind::Bool, Value::Bool(_))
            | (Kind::Object, Value::Object(_)) => true,
            (Kind::Whole, Value::Number(number)) => !number.is_f64(),
            (Kind::List(inner), Value::List(entries)) => entries.iter().all(|entry| inner.takes(entry)),
            (Kind::Map(inner), Value::Object(members)) => members.values().all(|member| inner.takes(member)),
            _ => false,
        }
    }
}

/// A form that a text has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Lowercase letters, digits and hyphens, the first a letter, at most 63.
    Name,
    /// A DNS name.
    Hostname,
    /// `http://` or `https://`.
    Url,
    /// A relative path without `..`.
    Path,
    /// Digits and dots, as `2.14`.
    Version,
}

impl Form {
    /// Whether a text has the form.
    pub fn takes(self, text: &str) -> bool {
        let label = |label: &str| {
            let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            let inside = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            label.len() <= 63 && edge(label.as_bytes().first()) && edge(label.as_bytes().last()) && inside
        };
        match self {
            Form::Name => {
                label(text) && text.starts_with(|c: char| c.is_ascii_lowercase()) && text == text.to_ascii_lowercase()
            }
            Form::Hostname => text.len() <= 253 && text.split('.').all(label),
            Form::Url => {
                let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
                rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
            }
            Form::Path => {
                let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
                text.split('/').all(plain) && !text.chars().any(char::is_control)
            }
            Form::Version => text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())),
        }
    }

    /// The form in words.
    pub fn words(self) -> &'static str {
        match self {
            Form::Name => "lowercase letters, digits and hyphens, the first a letter, at most 63",
            Form::Hostname => "a host name",
            Form::Url => "an address with http:// or https://",
            Form::Path => "a relative path without ..",
            Form::Version => "a version of digits and dots",
        }
    }
}

/// One thing that is asked of a variable's value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The least number, or the least length of a text, list or object.
    #[serde(default)]
    pub min: Option<i64>,
    /// The greatest.
    #[serde(default)]
    pub max: Option<i64>,
    /// The only values.
    #[serde(default)]
    pub allowed: Vec<serde_json::Value>,
    /// The form of a text.
    #[serde(default)]
    pub form: Option<Form>,
    /// How much a breach matters; `error` when left out.
    #[serde(default)]
    pub severity: Severity,
    /// Why it is asked.
    #[serde(default)]
    pub why: Option<String>,
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Its purpose, in a sentence.
    pub description: String,
    /// Whether some layer must give it.
    #[serde(default)]
    pub required: bool,
    /// Whether its value is a secret, which is given as `env("NAME")` alone.
    #[serde(default)]
    pub secret: bool,
    /// Platforms that it is for; all when left out.
    #[serde(default)]
    pub platforms: Vec<String>,
    /// The resource of a project's allocation whose amount it is: that amount wins over every layer.
    #[serde(default)]
    pub resource: Option<Name>,
    /// Its replacement, if it is deprecated.
    #[serde(default)]
    pub deprecated: Option<String>,
    /// Rules for its value.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Where it is declared.
    #[serde(skip, default = "nowhere")]
    pub place: Place,
}

fn nowhere() -> Place {
    Place { file: SCHEMA_FILE.to_owned(), line: 0 }
}

impl Declaration {
    /// Whether it is for a platform.
    pub fn applies_to(&self, platform: &str) -> bool {
        self.platforms.is_empty() || self.platforms.iter().any(|own| own == platform)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// Variables by name.
    pub variables: BTreeMap<String, Declaration>,
}

/// Why a schema cannot be used.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// It is not there, or no text.
    #[error(transparent)]
    Definitions(#[from] DefinitionsError),
    /// It does not say what it should.
    #[error("{SCHEMA_FILE}: {detail}; docs/hybridcore.md shows every key")]
    Malformed { detail: String },
}

impl Schema {
    /// Reads and checks the schema of some definitions.
    pub fn load(definitions: &Definitions) -> Result<Schema, SchemaError> {
        Schema::parse(&definitions.text(SCHEMA_FILE)?)
    }

    fn parse(text: &str) -> Result<Schema, SchemaError> {
        let malformed = |detail: String| SchemaError::Malformed { detail };
        let mut schema: Schema = super::exact::from_yaml(text).map_err(|error| malformed(first_line(&error)))?;
        for (name, declaration) in &mut schema.variables {
            if !super::value::is_variable_name(name) {
                return Err(malformed(format!("{name:?} is no variable's name; write letters, digits and _")));
            }
            if declaration.secret && declaration.kind != Kind::Text {
                return Err(malformed(format!("{name} is a secret of type {}; secrets are strings", declaration.kind)));
            }
            if declaration.resource.is_some() && !matches!(declaration.kind, Kind::Whole | Kind::Number) {
                let found = declaration.kind.to_string();
                return Err(malformed(format!("{name} is a resource of type {found}; amounts are integers")));
            }
            declaration.place.line = line_of(text, name);
        }
        Ok(schema)
    }
}

/// The line on which a variable's declaration begins.
fn line_of(text: &str, name: &str) -> usize {
    let declares = |line: &str| {
        line.strip_prefix("  ").and_then(|line| line.strip_prefix(name)).is_some_and(|rest| rest.starts_with(':'))
    };
    text.lines().position(declares).map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_written_and_judge_values() {
        let value = |text: &str| Value::from_json(&serde_json::from_str(text).unwrap()).unwrap();
        for (kind, good, bad) in [
            ("string", "\"a\"", "1"),
            ("number", "1.5", "\"1\""),
            ("integer", "-1", "1.5"),
            ("bool", "true", "\"true\""),
            ("list(string)", "[\"a\"]", "[1]"),
            ("map(list(number))", "{\"a\": [1]}", "{\"a\": 1}"),
            ("object", "{\"a\": [1]}", "[]"),
        ] {
            let parsed: Kind = kind.parse().unwrap();
            assert_eq!(parsed.to_string(), kind);
            assert!(parsed.takes(&value(good)) && !parsed.takes(&value(bad)), "{kind}");
        }
        for bad in ["", "text", "list", "list()", "list(text)", "list(string"] {
            assert!(bad.parse::<Kind>().unwrap_err().contains("is no type"), "{bad}");
        }
    }

    #[test]
    fn forms_take_what_they_say() {
        for (form, good, bad) in [
            (Form::Name, "a-1", "A-1"),
            (Form::Name, "a", "1a"),
            (Form::Hostname, "pve1.Example.org", "pve_1.example"),
            (Form::Url, "https://h:8006/api", "ftp://h"),
            (Form::Path, "a/b.iso", "../b"),
            (Form::Version, "2.14", "2.x"),
        ] {
            assert!(form.takes(good) && !form.takes(bad) && !form.takes(""), "{form:?}");
            assert!(!form.words().is_empty());
        }
    }

    #[test]
    fn a_schema_knows_where_its_variables_are_declared_and_refuses_nonsense() {
        let text =
            "variables:\n  a:\n    type: string\n    description: A.\n  ab:\n    type: bool\n    description: B.\n";
        let schema = Schema::parse(text).unwrap();
        assert_eq!(schema.variables["a"].place.to_string(), "schema.yaml:2");
        assert_eq!(schema.variables["ab"].place.to_string(), "schema.yaml:5");
        for (text, expected) in [
            ("variables: {a: {type: text, description: x}}", "is no type"),
            ("variables: {a-b: {type: bool, description: x}}", "variable's name"),
            ("variables: {a: {type: bool, description: x, secret: true}}", "secrets are strings"),
            ("variables: {a: {type: bool, description: x, resource: vcpu}}", "amounts are integers"),
            ("variables: {a: {type: bool}}", "description"),
            ("variables: {a: {type: bool, description: x, sort: 1}}", "sort"),
            ("[]", "schema.yaml"),
        ] {
            let error = Schema::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("schema.yaml"), "{text}: {error}");
        }
    }
}
