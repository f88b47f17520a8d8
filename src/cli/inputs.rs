//! `swoosh inputs`: the form of a transition's inputs.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use super::output::{Output, Table, wrapped};
use crate::machine::chart;
use crate::types::forms::{self, Form, Input, Named, Text};
use crate::types::json::MAX_INTEGER;
use crate::types::names::Transition;

/// Arguments of `swoosh inputs`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Show the inputs of a transition",
    long_about = "Show the inputs of a transition: fields, bounds, and an example for `swoosh propose --inputs`.\n\n\
        Without a transition, all are listed. No node is asked: the forms belong to this program's statechart.",
    after_help = "Examples:\n  \
        swoosh inputs\n  \
        swoosh inputs Control_Pause\n  \
        swoosh --json inputs Boot_ConfigOk | jq .example > project.json"
)]
pub struct InputsCommand {
    /// Transition, such as Control_Pause, or the end of its name, such as Pause; left out, all
    #[arg(value_name = "TRANSITION", value_parser = super::transition_name::parse)]
    transition: Option<Transition>,
}

/// A field as it is shown.
#[derive(Debug, Serialize)]
struct FieldView {
    /// `document.sources`; `*` is any key of a map, `[]` any entry of a list.
    path: String,
    /// As in JSON Schema: `string`, `integer`, `boolean`, `array`, `object`; `any` is any strict JSON.
    #[serde(rename = "type")]
    kind: &'static str,
    required: bool,
    form: String,
    /// The least and the most of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<[u64; 2]>,
    /// The most bytes of a string, in UTF-8, where `pattern` does not bound its length.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<usize>,
    /// The most entries of an array or an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_items: Option<u64>,
    /// The regular expression of a string, or of the keys of an object that has any keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    /// The words that a string may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    one_of: Vec<&'static str>,
    /// A valid value; left out for arrays and objects, whose parts are fields of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<Value>,
    doc: String,
}

#[derive(Debug, Serialize)]
struct InputsView {
    transition: Transition,
    doc: String,
    fields: Vec<FieldView>,
    example: Value,
}

impl InputsCommand {
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let chart = swoosh_chart::read().map_err(anyhow::Error::msg)?;
        let doc = |name: &Transition| chart.transitions.get(name.as_str()).map(|entry| entry.doc.trim().to_owned());
        match self.transition {
            Some(transition) => {
                let view = view(transition, doc(&transition).unwrap_or_default())?;
                output.say(&view, || text(&view))?;
            }
            None => {
                let views: Result<Vec<InputsView>, _> =
                    Transition::ALL.iter().map(|name| view(*name, doc(name).unwrap_or_default())).collect();
                let views = views?;
                output.say(&serde_json::json!({"transitions": views}), || list(&views))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn view(transition: Transition, doc: String) -> serde_json::Result<InputsView> {
    let mut fields = Vec::new();
    forms::inputs(transition).for_each(|input| push(&input, &mut fields));
    Ok(InputsView { transition, doc, fields, example: serde_json::from_str(&forms::example(transition))? })
}

fn push(input: &Input, fields: &mut Vec<FieldView>) {
    let (doc, range) = (forms::member_doc(input.name), forms::member_range(input.name));
    push_field(Place { path: input.name.to_owned(), required: input.required, doc, range }, input.of, fields);
}

/// Where a value is, and what is said of it there.
struct Place<'a> {
    path: String,
    required: bool,
    doc: &'a str,
    range: Option<(u64, u64)>,
}

/// A field and the fields below it.
fn push_field(at: Place<'_>, of: &'static str, fields: &mut Vec<FieldView>) {
    let Some(known) = forms::named(of) else { return };
    let whole = matches!(known.form, Form::Whole).then_some((0, MAX_INTEGER));
    let pattern = match known.form {
        Form::Text(text) => Some(text),
        Form::Map { key, .. } => text_named(key),
        _ => None,
    };
    let is_scalar = matches!(known.form, Form::Text(_) | Form::Whole | Form::Flag | Form::Choice(_));
    fields.push(FieldView {
        path: at.path.clone(),
        kind: kind(known),
        required: at.required,
        form: form(known),
        range: at.range.or(whole).map(|(least, most)| [least, most]),
        max_bytes: if let Form::Text(text) = known.form { text.most_bytes } else { None },
        max_items: most(known),
        pattern: pattern.map(|text| (text.pattern)()).filter(|pattern| !pattern.is_empty()),
        one_of: if let Form::Choice(words) = known.form { words() } else { Vec::new() },
        example: is_scalar.then(|| serde_json::from_str(&known.example()).unwrap_or_default()),
        doc: if at.doc.is_empty() { known.doc } else { at.doc }.to_owned(),
    });
    below(&at.path, known, fields);
}

fn below(path: &str, known: &Named, fields: &mut Vec<FieldView>) {
    let inside = |path: String| Place { path, required: true, doc: "", range: None };
    match known.form {
        Form::Object(members) => members.iter().for_each(|member| {
            let path = format!("{path}.{}", member.name);
            let at = Place { path, required: member.required, doc: member.doc, range: member.range };
            push_field(at, member.of, fields);
        }),
        Form::List { of, .. } => push_field(inside(format!("{path}[]")), of, fields),
        Form::Map { of, .. } => push_field(inside(format!("{path}.*")), of, fields),
        Form::Text(_) | Form::Whole | Form::Flag | Form::Choice(_) | Form::Any => {}
    }
}

/// The type of a value on the wire.
fn kind(known: &Named) -> &'static str {
    match known.form {
        Form::Text(_) | Form::Choice(_) => "string",
        Form::Whole => "integer",
        Form::Flag => "boolean",
        Form::List { .. } => "array",
        Form::Map { .. } | Form::Object(_) => "object",
        Form::Any => "any",
    }
}

fn text_named(name: &str) -> Option<Text> {
    match forms::named(name)?.form {
        Form::Text(text) => Some(text),
        _ => None,
    }
}

/// The most entries of a list or a map.
fn most(known: &Named) -> Option<u64> {
    match known.form {
        Form::List { most, .. } => most.map(|most| most as u64).or(known.most()),
        Form::Map { .. } => known.most(),
        _ => None,
    }
}

/// The form of a value in words. Bounds of numbers are not in it.
fn form(known: &Named) -> String {
    let most = |noun: &str| most(known).map(|most| format!(" of at most {most} {noun}")).unwrap_or_default();
    match known.form {
        Form::Text(text) => match text.most_bytes {
            Some(most) => format!("string of at most {most} bytes, such as {:?}", text.example),
            None => format!("string, such as {:?}", text.example),
        },
        Form::Whole => "whole number".to_owned(),
        Form::Flag => "true or false".to_owned(),
        Form::Choice(words) => words_of(&words()),
        Form::List { .. } => format!("array{}", most("entries")),
        Form::Map { key, .. } => {
            let keys = text_named(key).map(|text| format!(", with keys such as {:?}", text.example));
            format!("object{}{}", most("members"), keys.unwrap_or_default())
        }
        Form::Object(_) => "object".to_owned(),
        Form::Any => "any JSON".to_owned(),
    }
}

fn words_of(words: &[&str]) -> String {
    if words.len() <= 12 {
        format!("one of {}", words.join(", "))
    } else {
        "the name of a transition; `swoosh inputs` lists them".to_owned()
    }
}

fn text(view: &InputsView) -> String {
    let mut lines = vec![wrapped(&format!("{}: {}", view.transition, view.doc))];
    let signers: Vec<&str> = chart::spec(view.transition).signers.iter().map(|role| role.as_str()).collect();
    lines.push(format!("signed by {}", signers.join(", ")));
    if view.fields.is_empty() {
        lines.push("\nno inputs: {}".to_owned());
        return lines.join("\n");
    }
    lines.push(String::new());
    for field in &view.fields {
        let optional = if field.required { "" } else { ", optional" };
        let range = field.range.map(|[least, most]| format!(", from {least} to {most}")).unwrap_or_default();
        lines.push(wrapped(&format!("{}: {}{range}{optional}", field.path, field.form)));
        if !field.doc.is_empty() {
            lines.push(wrapped(&format!("    {}", field.doc)));
        }
    }
    lines.push(format!("\nexample:\n{:#}", view.example));
    lines.join("\n")
}

fn list(views: &[InputsView]) -> String {
    let mut table = Table::with(&["transition", "inputs (? is optional)"]);
    for view in views {
        let names = view.fields.iter().filter(|field| !field.path.contains(['.', '[']));
        let names = names.map(|field| format!("{}{}", field.path, if field.required { "" } else { "?" }));
        table.row([view.transition.to_string(), names.collect::<Vec<_>>().join(", ")]);
    }
    format!("{}\n\n`swoosh inputs TRANSITION` prints fields, bounds and an example.", table.text(0))
}
