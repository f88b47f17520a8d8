//! The layers that give values, in the order that is the contract: default, platform, variant, environment,
//! answers. A later one wins.

use std::collections::BTreeMap;
use std::fmt;

use hcl::expr::Expression;
use serde::Serialize;
use thiserror::Error;

use super::exact;
use super::schema::{Kind, Schema};
use super::syntax::{self, Place, SyntaxError};
use super::value::{Given, Value, ValueError, first_line};
use crate::definitions::{Definitions, DefinitionsError};
use swoosh_types::text::Name;

/// The end of an overlay's name.
pub const OVERLAY_SUFFIX: &str = ".pkrvars.hcl";

/// Origin of a value. The order is that of precedence: a later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// `overlays/default.pkrvars.hcl`.
    Default,
    /// `overlays/platform/NAME.pkrvars.hcl`.
    Platform,
    /// `overlays/variant/NAME.pkrvars.hcl`.
    Variant,
    /// `overlays/environment/NAME.pkrvars.hcl`.
    Environment,
    /// A file of answers, and then what the command line sets.
    Answers,
}

impl Layer {
    /// All of them, the one that wins last.
    pub const ALL: [Layer; 5] = [Layer::Default, Layer::Platform, Layer::Variant, Layer::Environment, Layer::Answers];

    fn folder(self) -> &'static str {
        match self {
            Layer::Platform => "overlays/platform",
            Layer::Variant => "overlays/variant",
            Layer::Environment => "overlays/environment",
            Layer::Default | Layer::Answers => "overlays",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layer::Default => "default",
            Layer::Platform => "platform",
            Layer::Variant => "variant",
            Layer::Environment => "environment",
            Layer::Answers => "answers",
        })
    }
}

/// Which overlays apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    pub platform: Name,
    /// The variant, where one was asked for.
    pub variant: Option<Name>,
    pub environment: Name,
}

impl Selection {
    /// The overlay's file of a layer; `None` for answers and for a variant that was not asked for.
    pub fn file(&self, layer: Layer) -> Option<String> {
        let named = |name: &Name| Some(format!("{}/{name}{OVERLAY_SUFFIX}", layer.folder()));
        match layer {
            Layer::Default => Some(format!("{}/default{OVERLAY_SUFFIX}", layer.folder())),
            Layer::Platform => named(&self.platform),
            Layer::Variant => self.variant.as_ref().and_then(named),
            Layer::Environment => named(&self.environment),
            Layer::Answers => None,
        }
    }
}

/// One file of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    pub layer: Layer,
    pub file: String,
    /// Values by variable, with their places.
    pub values: BTreeMap<String, (Given, Place)>,
    /// Texts typed on the command line, which variables of strings take (`--set image_version=1.10`).
    pub typed: BTreeMap<String, String>,
}

impl Overlay {
    /// Takes the text as typed where the variable is a string.
    pub(super) fn read_as(&mut self, schema: &Schema) {
        for (name, text) in &self.typed {
            let takes_text = schema.variables.get(name).is_some_and(|declaration| declaration.kind == Kind::Text);
            if let Some((Given::Value(value), _)) = self.values.get_mut(name).filter(|_| takes_text)
                && !matches!(value, Value::Text(_) | Value::Null)
            {
                *value = Value::Text(text.clone());
            }
        }
    }
}

/// Why a layer cannot be used.
#[derive(Debug, Error)]
pub enum LayerError {
    /// The file is no HCL.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A file is missing or no text.
    #[error(transparent)]
    Definitions(#[from] DefinitionsError),
    /// A value is no good.
    #[error("{place}: {name}: {source}")]
    Value {
        place: Place,
        /// The variable.
        name: String,
        #[source]
        source: ValueError,
    },
    /// No such environment or variant.
    #[error("there is no {layer} {name:?}: {label} has no {file}; {}", known(.names, *.layer))]
    Unknown {
        layer: Layer,
        name: String,
        /// Which definitions.
        label: String,
        /// The file that would have to be there.
        file: String,
        /// Those that are there.
        names: Vec<String>,
    },
    /// Answers that are neither JSON, YAML nor HCL.
    #[error("{file}: {detail}; write answers as `name = value` in .hcl, or as a mapping in .yaml or .json")]
    Answers { file: String, detail: String },
}

fn known(names: &[String], layer: Layer) -> String {
    if names.is_empty() {
        format!("write that file, or leave the {layer} out")
    } else {
        format!("there are: {}", names.join(", "))
    }
}

/// Reads all overlays of a selection, the one that wins last. A platform needs none.
pub fn overlays(definitions: &Definitions, selection: &Selection) -> Result<Vec<Overlay>, LayerError> {
    let mut overlays = Vec::new();
    for layer in Layer::ALL {
        let Some(file) = selection.file(layer) else { continue };
        match (definitions.bytes(&file), layer) {
            (None, Layer::Platform) => continue,
            (None, Layer::Variant | Layer::Environment) => {
                let names = definitions.names(layer.folder(), OVERLAY_SUFFIX);
                let name = match layer {
                    Layer::Variant => selection.variant.as_ref().map(Name::to_string).unwrap_or_default(),
                    Layer::Default | Layer::Platform | Layer::Environment | Layer::Answers => {
                        selection.environment.to_string()
                    }
                };
                return Err(LayerError::Unknown { layer, name, label: definitions.label().to_owned(), file, names });
            }
            _ => {}
        }
        let text = definitions.text(&file)?;
        overlays.push(from_hcl(layer, &file, &text)?);
    }
    Ok(overlays)
}

/// Reads an overlay or answers in HCL.
pub fn from_hcl(layer: Layer, file: &str, text: &str) -> Result<Overlay, LayerError> {
    let mut values = BTreeMap::new();
    for assignment in syntax::parse_assignments(file, text)? {
        let (name, place) = (assignment.name, assignment.place);
        let given = Given::from_expression(&assignment.expression).map_err(|source| LayerError::Value {
            place: place.clone(),
            name: name.clone(),
            source,
        })?;
        values.insert(name, (given, place));
    }
    Ok(Overlay { layer, file: file.to_owned(), values, typed: BTreeMap::new() })
}

/// Reads answers: HCL by the suffix `.hcl`, JSON by `.json`, else YAML.
pub fn answers(file: &str, text: &str) -> Result<Overlay, LayerError> {
    if file.ends_with(".hcl") {
        return from_hcl(Layer::Answers, file, text);
    }
    let fail = |detail: String| LayerError::Answers { file: file.to_owned(), detail };
    let document = match file.ends_with(".json") {
        true => exact::json_values(text.trim_start_matches('\u{feff}')).map_err(|error| fail(first_line(&error)))?,
        false => exact::values(text).map_err(|error| fail(first_line(&error)))?,
    };
    let Some(members) = document.as_object() else {
        return Err(fail("it is no mapping of names to values".to_owned()));
    };
    let mut values = BTreeMap::new();
    for (name, json) in members {
        let place = Place { file: file.to_owned(), line: 0 };
        let value = Value::from_json(json).map_err(|source| LayerError::Value {
            place: place.clone(),
            name: name.clone(),
            source,
        })?;
        values.insert(name.clone(), (Given::Value(value), place));
    }
    Ok(Overlay { layer: Layer::Answers, file: file.to_owned(), values, typed: BTreeMap::new() })
}

/// The value of `--set NAME=VALUE`: HCL, or else plain text.
pub fn setting(name: &str, text: &str) -> Result<Given, ValueError> {
    let lossy = exact::lossy_in_expression(text);
    match text.parse::<Expression>() {
        // The text as typed: a variable of numbers rejects text.
        Ok(Expression::Number(_)) if lossy.is_some() => Ok(Given::Value(Value::Text(text.to_owned()))),
        Ok(Expression::Array(_) | Expression::Object(_)) if lossy.is_some() => {
            Err(ValueError::Inexact(lossy.unwrap_or_default()))
        }
        Ok(Expression::Variable(_) | Expression::Traversal(_) | Expression::Operation(_)) | Err(_) => {
            Ok(Given::Value(Value::Text(text.to_owned())))
        }
        Ok(expression) => Given::from_expression(&expression).map_err(|error| match error {
            ValueError::NotPlain(_) => ValueError::NotPlain(format!("{name}={text}")),
            other => other,
        }),
    }
}

/// Overlays of what the command line sets, one for each, the one that wins last. `network.mtu` sets a member of an object.
pub fn settings(given: &[(String, String)]) -> Result<Vec<Overlay>, LayerError> {
    let overlay = |(name, text): &(String, String)| {
        let file = "--set".to_owned();
        let place = Place { file: file.clone(), line: 0 };
        let fail = |source| LayerError::Value { place: place.clone(), name: name.clone(), source };
        let mut members = name.split('.');
        let root = members.next().unwrap_or_default().to_owned();
        let inner: Vec<&str> = members.collect();
        let typed = if inner.is_empty() { BTreeMap::from([(root.clone(), text.clone())]) } else { BTreeMap::new() };
        let mut value = setting(name, text).map_err(fail)?;
        for member in inner.into_iter().rev() {
            let Given::Value(within) = value else { return Err(fail(ValueError::EnvironmentWithin)) };
            value = Given::Value(Value::Object([(member.to_owned(), within)].into()));
        }
        Ok(Overlay { layer: Layer::Answers, file, values: [(root, (value, place))].into(), typed })
    };
    given.iter().map(overlay).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definitions() -> Definitions {
        let files = ["default", "platform/proxmox", "variant/small", "environment/dev", "environment/prod"];
        let files =
            files.map(|name| (format!("overlays/{name}.pkrvars.hcl"), format!("who = \"{name}\"\n").into_bytes()));
        Definitions::from_files("here", files.into())
    }

    fn selection(platform: &str, variant: Option<&str>, environment: &str) -> Selection {
        Selection {
            platform: platform.parse().unwrap(),
            variant: variant.map(|name| name.parse().unwrap()),
            environment: environment.parse().unwrap(),
        }
    }

    #[test]
    fn overlays_come_in_the_order_of_the_contract() {
        let found = overlays(&definitions(), &selection("proxmox", Some("small"), "dev")).unwrap();
        let layers: Vec<_> = found.iter().map(|overlay| overlay.layer.to_string()).collect();
        assert_eq!(layers, ["default", "platform", "variant", "environment"]);
        assert!(Layer::ALL.is_sorted() && Layer::ALL.last() == Some(&Layer::Answers));
        let found = overlays(&definitions(), &selection("azure", None, "prod")).unwrap();
        assert_eq!(found.iter().map(|overlay| overlay.layer).collect::<Vec<_>>(), [Layer::Default, Layer::Environment]);
    }

    #[test]
    fn an_unknown_environment_or_variant_is_reported_with_the_known_ones() {
        let message = |selection| overlays(&definitions(), &selection).unwrap_err().to_string();
        let error = message(selection("azure", None, "staging"));
        assert!(error.contains("no environment \"staging\"") && error.contains("there are: dev, prod"), "{error}");
        assert!(error.contains("overlays/environment/staging.pkrvars.hcl"), "{error}");
        assert!(message(selection("azure", Some("big"), "dev")).contains("there are: small"));
        let empty = Definitions::from_files("here", BTreeMap::new());
        assert!(
            overlays(&empty, &selection("azure", None, "dev")).unwrap_err().to_string().contains("overlays/default")
        );
    }

    #[test]
    fn answers_are_taken_in_three_notations_and_settings_as_values_or_text() {
        let given =
            |overlay: Overlay| overlay.values.into_iter().map(|(name, (given, _))| (name, given)).collect::<Vec<_>>();
        let hcl = given(answers("a.hcl", "size = 2\nname = \"x\"\n").unwrap());
        assert_eq!(hcl, given(answers("a.yaml", "size: 2\nname: x\n").unwrap()));
        assert_eq!(hcl, given(answers("a.json", r#"{"size": 2, "name": "x"}"#).unwrap()));
        let set = [("size", "2"), ("name", "x"), ("net.v6.mtu", "9")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let set: Vec<_> = settings(&set).unwrap().into_iter().flat_map(given).collect();
        assert_eq!(set[..2].iter().rev().cloned().collect::<Vec<_>>(), hcl);
        assert!(matches!(&set[2].1, Given::Value(value) if value.to_string() == "{ v6 = { mtu = 9 } }"), "{set:?}");
        assert!(settings(&[("net.token".to_owned(), "env(\"T\")".to_owned())]).is_err());
        assert_eq!(setting("t", "a-b c/d"), Ok(Given::Value(Value::Text("a-b c/d".to_owned()))));
        assert_eq!(setting("t", "env(\"T\")"), Ok(Given::Environment("T".to_owned())));
        for (file, text) in
            [("a.yaml", "- 1"), ("a.json", "{"), ("a.hcl", "a = "), ("a.yaml", "a: [null]"), ("a.hcl", "a = b")]
        {
            assert!(answers(file, text).unwrap_err().to_string().contains(file), "{text}");
        }
    }

    /// Answers in YAML and JSON kept the last of two values, and numbers lost digits, in silence.
    #[test]
    fn answers_are_taken_to_the_letter_or_refused() {
        let error = |file: &str, text: &str| answers(file, text).unwrap_err().to_string();
        for (file, text) in
            [("a.yaml", "size: 1\nsize: 2"), ("a.json", r#"{"size": 1, "size": 2}"#), ("a.hcl", "size = 1\nsize = 2")]
        {
            let error = error(file, text);
            assert!(error.contains("twice") || error.contains("redefined"), "{text}: {error}");
        }
        for number in ["18446744073709551616", "9007199254740993.5", "1234567890.12345678901234"] {
            for (file, text) in [
                ("a.yaml", format!("n: {number}")),
                ("a.json", format!(r#"{{"n": {number}}}"#)),
                ("a.hcl", format!("n = [{number}]")),
            ] {
                assert!(
                    error(file, &text).contains(&format!("the number {number} loses digits")),
                    "{}",
                    error(file, &text)
                );
            }
            assert_eq!(setting("n", number), Ok(Given::Value(Value::Text(number.to_owned()))));
            assert_eq!(setting("n", &format!("[{number}]")), Err(ValueError::Inexact(number.to_owned())));
        }
        for (file, text) in [
            ("a.yaml", "n: 18446744073709551615"),
            ("a.hcl", "\u{feff}n = 18446744073709551615\n"),
            ("a.json", "\u{feff}{\"n\": 18446744073709551615}"),
        ] {
            let (given, _) = answers(file, text).unwrap().values["n"].clone();
            assert!(
                matches!(&given, Given::Value(value) if value.to_string() == "18446744073709551615"),
                "{file}: {given:?}"
            );
        }
    }
}
