//! The schemas of `openapi/openapi.json` as the generated files of the SDKs need them: objects with fields of few forms.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The form of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    /// One of the words of a named list, or one of a newer node.
    Words(String),
    Number,
    Flag,
    Any,
    List(Box<Form>),
    Map(Box<Form>),
    Object(String),
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub form: Form,
    pub is_required: bool,
    /// Whether `null` may be there for the value.
    pub is_nullable: bool,
    pub doc: String,
}

#[derive(Clone, Debug)]
pub struct Object {
    pub name: String,
    pub doc: String,
    pub fields: Vec<Field>,
}

/// A named list of words.
#[derive(Clone, Debug)]
pub struct Words {
    pub name: String,
    pub doc: String,
    pub words: Vec<String>,
}

pub struct Schemas {
    /// The inputs of each transition, by its name.
    pub inputs: BTreeMap<String, Object>,
    /// Objects inside of inputs.
    pub parts: Vec<Object>,
    /// Answers, and objects inside of them.
    pub answers: Vec<Object>,
    pub words: Vec<Words>,
}

type Named = serde_json::Map<String, Value>;

fn doc(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split("\n\n").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn target(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/components/schemas/")
}

/// The form of a schema, and whether it may be null.
fn form(schema: &Value, named: &Named) -> (Form, bool) {
    if let Some(name) = target(schema) {
        return (form_of_named(name, named), false);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let others: Vec<_> = choices.iter().filter(|choice| choice["type"] != "null").collect();
        return match others[..] {
            [only] => (form(only, named).0, others.len() < choices.len()),
            _ => (Form::Any, false),
        };
    }
    let inner = |member: &str| Box::new(form(&schema[member], named).0);
    let form = match schema["type"].as_str() {
        Some("string") => Form::Text,
        Some("integer") => Form::Number,
        Some("boolean") => Form::Flag,
        Some("array") => Form::List(inner("items")),
        Some("object") => Form::Map(inner("additionalProperties")),
        _ => Form::Any,
    };
    (form, false)
}

fn form_of_named(name: &str, named: &Named) -> Form {
    let schema = &named[name];
    match () {
        () if name == "Json" => Form::Any,
        () if schema["enum"].is_array() => Form::Words(name.to_owned()),
        () if is_object(schema) => Form::Object(name.to_owned()),
        () => form(schema, named).0,
    }
}

fn is_object(schema: &Value) -> bool {
    schema["properties"].is_object() || schema["allOf"].is_array()
}

fn fields(schema: &Value, named: &Named) -> Vec<Field> {
    let required: BTreeSet<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut found: Vec<Field> = Vec::new();
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let (form, is_nullable) = form(member, named);
        let is_required = required.contains(name.as_str());
        let said = if member["oneOf"].is_array() { doc(&member["oneOf"][0]) } else { doc(member) };
        found.push(Field { name: name.clone(), form, is_required, is_nullable, doc: said });
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let optional = part["oneOf"].as_array().and_then(|choices| target(&choices[0]));
        let inner = fields(optional.map_or(part, |name| &named[name]), named);
        found.extend(
            inner.into_iter().map(|field| Field { is_required: field.is_required && optional.is_none(), ..field }),
        );
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found
}

fn objects_in(form: &Form) -> Option<&str> {
    match form {
        Form::Object(name) => Some(name),
        Form::List(inner) | Form::Map(inner) => objects_in(inner),
        Form::Text | Form::Words(_) | Form::Number | Form::Flag | Form::Any => None,
    }
}

/// Names of the objects that some objects lead to.
fn closure(from: &BTreeMap<String, Object>, all: &BTreeMap<String, Object>) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), from.values().collect::<Vec<_>>());
    while let Some(object) = open.pop() {
        for name in object.fields.iter().filter_map(|field| objects_in(&field.form)) {
            if found.insert(name.to_owned()) {
                open.push(&all[name]);
            }
        }
    }
    found
}

impl Schemas {
    pub fn read(document: &Value) -> Schemas {
        let named = document["components"]["schemas"].as_object().expect("the document has schemas");
        let (mut inputs, mut all, mut words) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for (name, schema) in named {
            if let Some(list) = schema["enum"].as_array() {
                let list = list.iter().map(|word| word.as_str().expect("a word").to_owned()).collect();
                words.push(Words { name: name.clone(), doc: doc(schema), words: list });
            } else if is_object(schema) {
                let object = Object { name: name.clone(), doc: doc(schema), fields: fields(schema, named) };
                match schema["x-swoosh-transition"].as_str() {
                    Some(transition) => drop(inputs.insert(transition.to_owned(), object)),
                    None => drop(all.insert(name.clone(), object)),
                }
            }
        }
        let parts = closure(&inputs, &all);
        let (parts, answers) = all.into_values().partition(|object| parts.contains(&object.name));
        Schemas { inputs, parts, answers, words }
    }
}

/// `plan_hash` as `PlanHash`, `Boot_ConfigOk` as `BootConfigOk`, `lastSnapshotHLC` as `LastSnapshotHLC`.
pub fn camel(name: &str) -> String {
    let upper = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split(['_', '-', '.']).filter(|word| !word.is_empty()).map(upper).collect()
}

/// `Boot_ConfigOk` as `boot_config_ok`, `lastSnapshotHLC` as `last_snapshot_hlc`.
pub fn snake(name: &str) -> String {
    let mut made = String::new();
    let mut before = '_';
    for found in name.replace('-', "_").chars() {
        if found.is_ascii_uppercase() && before.is_ascii_lowercase() {
            made.push('_');
        }
        made.push(found.to_ascii_lowercase());
        before = found;
    }
    made
}

/// Words in lines of at most so many characters.
pub fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a line");
        if !line.is_empty() && line.chars().count() + word.chars().count() >= most {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
