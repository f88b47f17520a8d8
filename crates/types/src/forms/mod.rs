//! The form of every type that proposals and the inputs of transitions consist of, as data.
//!
//! `openapi.json`, `/docs` and `swoosh inputs` show these forms, and [`faults`] explains by them why a document is refused. Serde decides
//! which documents are read; `tests/vectors/inputs.json` checks that both decide alike.

mod documents;
mod faults;
mod members;
mod texts;

use crate::names::{BOUNDS, Transition, inputs_of};

pub use faults::{Fault, faults, list_in_place_of_object, proposal_faults};
pub use members::{member_doc, member_range};

/// A type by its name.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// As `statechart.yaml` names it.
    pub name: &'static str,
    pub doc: &'static str,
    pub form: Form,
    /// The bound of the statechart for a list or map, by name. Guards check it, not the reader of documents.
    pub bound: Option<&'static str>,
}

impl Named {
    /// The most entries by the statechart's bound.
    pub fn most(&self) -> Option<u64> {
        BOUNDS.iter().find(|(name, _)| Some(*name) == self.bound).map(|(_, most)| *most)
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    Text(Text),
    /// A whole number from 0 to 2^53−1.
    Whole,
    Flag,
    /// One of these words.
    Choice(fn() -> Vec<&'static str>),
    List {
        /// The type of the entries.
        of: &'static str,
        /// The most entries that are read.
        most: Option<usize>,
    },
    Map {
        /// The type of the keys.
        key: &'static str,
        /// The type of the values.
        of: &'static str,
    },
    Object(&'static [Member]),
    /// Any strict JSON.
    Any,
}

/// A text with a check.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// As an ECMA-262 regular expression. It says the same as `fault`, but for the number of bytes, and admits more
    /// UCXL addresses.
    pub pattern: fn() -> String,
    /// The most bytes in UTF-8, where the pattern does not bound the length.
    pub most_bytes: Option<usize>,
    pub example: &'static str,
    /// Why a text is none of this type.
    pub fault: fn(&str) -> Option<String>,
}

/// A member of an object.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    pub name: &'static str,
    /// The type of its value.
    pub of: &'static str,
    pub required: bool,
    pub doc: &'static str,
    /// The value in examples, as JSON; left out, that of its type. Optional members are in examples only if they have one.
    pub example: Option<&'static str>,
    /// The least and the most that guards admit of a number.
    pub range: Option<(u64, u64)>,
}

/// A member of a transition's inputs.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    pub name: &'static str,
    pub of: &'static str,
    pub required: bool,
}

/// The members of a transition's inputs, by name.
pub fn inputs(transition: Transition) -> impl Iterator<Item = Input> {
    inputs_of(transition).iter().map(|(name, kind)| match kind.strip_suffix('?') {
        Some(of) => Input { name, of, required: false },
        None => Input { name, of: kind, required: true },
    })
}

/// All types, by name.
pub fn all() -> impl Iterator<Item = &'static Named> {
    documents::DOCUMENTS.iter().chain(texts::TEXTS)
}

/// The type of a name.
pub fn named(name: &str) -> Option<&'static Named> {
    all().find(|known| known.name == name)
}

/// The types that a transition's inputs consist of, each once, outer ones first.
pub fn types_of(transition: Transition) -> Vec<&'static Named> {
    let mut found: Vec<&'static Named> = Vec::new();
    let mut next: Vec<&'static str> = inputs(transition).map(|input| input.of).collect();
    next.reverse();
    while let Some(known) = next.pop().and_then(named) {
        if found.iter().any(|earlier| earlier.name == known.name) {
            continue;
        }
        found.push(known);
        next.extend(known.parts().into_iter().rev());
    }
    found
}

impl Named {
    /// The types that it refers to.
    pub fn parts(&self) -> Vec<&'static str> {
        match self.form {
            Form::List { of, .. } => vec![of],
            Form::Map { key, of } => vec![key, of],
            Form::Object(members) => members.iter().map(|member| member.of).collect(),
            Form::Text(_) | Form::Whole | Form::Flag | Form::Choice(_) | Form::Any => Vec::new(),
        }
    }

    /// An example, as JSON.
    pub fn example(&self) -> String {
        match self.form {
            Form::Text(text) => quoted(text.example),
            Form::Whole => "1".to_owned(),
            Form::Flag => "true".to_owned(),
            Form::Choice(words) => words().first().map(|word| quoted(word)).unwrap_or_default(),
            Form::List { of, .. } => format!("[{}]", example_of(of)),
            Form::Map { key, of } => format!("{{{}: {}}}", example_of(key), example_of(of)),
            Form::Object(members) => {
                let shown = members.iter().filter(|member| member.required || member.example.is_some());
                let shown = shown.map(|member| {
                    let value = member.example.map_or_else(|| example_of(member.of), str::to_owned);
                    format!("{}: {value}", quoted(member.name))
                });
                format!("{{{}}}", shown.collect::<Vec<_>>().join(", "))
            }
            Form::Any => "{\"any\": \"JSON\"}".to_owned(),
        }
    }
}

fn example_of(name: &str) -> String {
    named(name).map(Named::example).unwrap_or_default()
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    crate::json::write_string(text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// An example of a transition's inputs, as JSON: its required members.
pub fn example(transition: Transition) -> String {
    written(inputs(transition).filter(|input| input.required))
}

/// The same with the optional members.
pub fn full_example(transition: Transition) -> String {
    written(inputs(transition))
}

fn written(members: impl Iterator<Item = Input>) -> String {
    let members = members.map(|input| format!("{}: {}", quoted(input.name), example_of(input.of)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
