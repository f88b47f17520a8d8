//! Why a document is not of its form, with the path of each fault.

use std::collections::BTreeMap;
use std::fmt;

use super::documents::PROPOSAL;
use super::{Form, Member, inputs, named};
use crate::json::path::{cut, join};
use crate::json::{Json, MAX_INTEGER};
use crate::names::Transition;

/// The most faults that are reported of one document.
const MOST: usize = 8;

/// A fault and its place in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `document.sources.app.ref`, `votes[2].voter`; empty for the document itself.
    pub path: String,
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => f.write_str(&self.reason),
            false => write!(f, "{}: {}", self.path, self.reason),
        }
    }
}

/// Why a value is not the inputs of a transition; at most 8 faults, none where it is.
pub fn faults(transition: Transition, value: &Json) -> Vec<Fault> {
    let members: Vec<Part> =
        inputs(transition).map(|input| Part { name: input.name, of: input.of, required: input.required }).collect();
    let mut found = Found(Vec::new());
    found.object("", &members, value);
    found.0
}

/// Why a document is no proposal, apart from its inputs.
pub fn proposal_faults(value: &Json) -> Vec<Fault> {
    let mut found = Found(Vec::new());
    found.object("", &parts(PROPOSAL), value);
    found.0
}

/// The place of the first list in inputs where the form is an object. Serde reads such lists as objects without names, so
/// decoded inputs may hold one.
pub fn list_in_place_of_object(transition: Transition, value: &Json) -> Option<Fault> {
    let Json::Object(given) = value else {
        return Some(Fault { path: String::new(), reason: expected("an object", value) });
    };
    inputs(transition).find_map(|input| misplaced(input.name, input.of, given.get(input.name)?))
}

fn misplaced(path: &str, of: &str, value: &Json) -> Option<Fault> {
    let known = named(of)?;
    match (known.form, value) {
        (Form::Object(_), Json::Array(_)) => {
            Some(Fault { path: path.to_owned(), reason: expected("an object", value) })
        }
        (Form::Object(members), Json::Object(given)) => {
            members.iter().find_map(|member| misplaced(&join(path, member.name), member.of, given.get(member.name)?))
        }
        (Form::Map { of, .. }, Json::Object(given)) if has_objects(of) => {
            given.iter().find_map(|(key, value)| misplaced(&join(path, key), of, value))
        }
        (Form::List { of, .. }, Json::Array(items)) if has_objects(of) => {
            items.iter().enumerate().find_map(|(at, item)| misplaced(&format!("{path}[{at}]"), of, item))
        }
        _ => None,
    }
}

fn has_objects(of: &str) -> bool {
    named(of).is_some_and(|known| matches!(known.form, Form::Object(_) | Form::Map { .. } | Form::List { .. }))
}

/// A member as it is checked.
#[derive(Clone, Copy)]
struct Part {
    name: &'static str,
    of: &'static str,
    required: bool,
}

fn parts(members: &'static [Member]) -> Vec<Part> {
    members.iter().map(|member| Part { name: member.name, of: member.of, required: member.required }).collect()
}

struct Found(Vec<Fault>);

impl Found {
    fn push(&mut self, path: &str, reason: String) {
        if self.0.len() < MOST {
            self.0.push(Fault { path: path.to_owned(), reason });
        }
    }

    fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    fn object(&mut self, path: &str, members: &[Part], value: &Json) {
        let Json::Object(given) = value else {
            return self.push(path, expected("an object", value));
        };
        for part in members {
            let path = join(path, part.name);
            match given.get(part.name) {
                Some(value) => self.value(&path, part.of, value),
                None if part.required => self.push(&path, format!("missing field `{}`", part.name)),
                None => {}
            }
        }
        let unknown = given.keys().filter(|name| members.iter().all(|part| part.name != name.as_str()));
        for name in unknown.take(MOST) {
            self.push(&join(path, name), format!("unknown field `{}`; {}", cut(name), known_names(members)));
        }
    }

    fn value(&mut self, path: &str, of: &str, value: &Json) {
        let Some(known) = named(of) else { return };
        match (known.form, value) {
            (Form::Any, _) | (Form::Flag, Json::Bool(_)) => {}
            (Form::Whole, Json::Integer(number)) if *number <= MAX_INTEGER => {}
            (Form::Text(form), Json::String(text)) => {
                if let Some(reason) = (form.fault)(text) {
                    self.push(path, reason);
                }
            }
            (Form::Choice(words), Json::String(text)) => {
                let words = words();
                if !words.contains(&text.as_str()) {
                    self.push(path, no_choice(text, &words));
                }
            }
            (Form::List { of, most }, Json::Array(items)) => self.list(path, of, most, items),
            (Form::Map { key, of }, Json::Object(given)) => self.map(path, key, of, given),
            (Form::Object(members), _) => self.object(path, &parts(members), value),
            (form, _) => self.push(path, expected(noun(form), value)),
        }
    }

    fn list(&mut self, path: &str, of: &str, most: Option<usize>, items: &[Json]) {
        for (at, item) in items.iter().enumerate() {
            if self.is_full() {
                return;
            }
            self.value(&format!("{path}[{at}]"), of, item);
        }
        // Repeated entries count once.
        let distinct = items.iter().collect::<std::collections::BTreeSet<_>>().len();
        if let Some(most) = most.filter(|most| distinct > *most) {
            self.push(path, format!("{distinct} entries; {most} is the most"));
        }
    }

    fn map(&mut self, path: &str, key: &str, of: &str, given: &BTreeMap<String, Json>) {
        for (name, value) in given {
            if self.is_full() {
                return;
            }
            let path = join(path, name);
            self.value(&path, key, &Json::String(name.clone()));
            self.value(&path, of, value);
        }
    }
}

fn noun(form: Form) -> &'static str {
    match form {
        Form::Text(_) | Form::Choice(_) => "a string",
        Form::Whole => "a whole number",
        Form::Flag => "true or false",
        Form::List { .. } => "an array",
        Form::Map { .. } | Form::Object(_) => "an object",
        Form::Any => "JSON",
    }
}

fn expected(form: &str, value: &Json) -> String {
    format!("expected {form}, found {}", value.kind())
}

fn no_choice(text: &str, words: &[&str]) -> String {
    match words {
        words if words.len() <= 12 => format!("{:?} is none of {}", cut(text), words.join(", ")),
        words => {
            let hint = nearest(text, words).map(|word| format!("did you mean {word}? ")).unwrap_or_default();
            format!("there is no {:?}; {hint}`/docs/statechart` of the node lists the names", cut(text))
        }
    }
}

/// The word that a text may have meant: the only one that ends in it, else the one with the fewest edits.
fn nearest<'a>(text: &str, words: &[&'a str]) -> Option<&'a str> {
    let text = text.get(..LONGEST).unwrap_or(text).to_lowercase();
    let mut ended = words.iter().filter(|word| text.len() > 2 && word.to_lowercase().ends_with(&text));
    if let (Some(word), None) = (ended.next(), ended.next()) {
        return Some(*word);
    }
    let near = words.iter().map(|word| (edits(&text, &word.to_lowercase()), *word)).min()?;
    (near.0 <= 1 + text.len() / 6).then_some(near.1)
}

/// Longer texts are compared by their beginning.
const LONGEST: usize = 64;

/// The fewest bytes to insert, remove or replace that make one text of the other.
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, byte) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, known) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(byte != known);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

fn known_names(members: &[Part]) -> String {
    let names: Vec<String> = members.iter().map(|part| format!("`{}`", part.name)).collect();
    match &names[..] {
        [] => "there are no fields".to_owned(),
        [name] => format!("the only field is {name}"),
        names => format!("the fields are {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "`swoosh transitions` lists the names" does not help the author of a script with curl.
    #[test]
    fn a_misspelt_transition_is_answered_with_the_nearest_name() {
        let names: Vec<&str> = Transition::ALL.iter().map(|transition| transition.as_str()).collect();
        for (text, name) in [
            ("Control_Puase", Some("Control_Pause")),
            ("boot_configok", Some("Boot_ConfigOk")),
            ("ConfigOk", Some("Boot_ConfigOk")),
            ("Reaffirm", None),
            ("Launch", None),
            ("", None),
        ] {
            assert_eq!(nearest(text, &names), name, "{text}");
        }
        assert!(no_choice("Control_Puase", &names).contains("did you mean Control_Pause?"));
    }
}
