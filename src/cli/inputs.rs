//! `swoosh inputs`: the form of a transition's inputs.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use super::output::{Output, Table};
use crate::machine::chart;
use crate::types::forms::{self, Form, Input, Named};
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
    #[serde(rename = "type")]
    kind: &'static str,
    required: bool,
    form: String,
    /// The least and the most that guards admit.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<[u64; 2]>,
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
    push_field(input.name.to_owned(), input.of, input.required, doc, range, fields);
}

/// A field and the fields below it.
fn push_field(
    path: String,
    of: &'static str,
    required: bool,
    doc: &str,
    range: Option<(u64, u64)>,
    fields: &mut Vec<FieldView>,
) {
    let Some(known) = forms::named(of) else { return };
    let range = range.map(|(least, most)| [least, most]);
    let doc = if doc.is_empty() { known.doc } else { doc };
    fields.push(FieldView { path: path.clone(), kind: of, required, form: form(known), range, doc: doc.to_owned() });
    below(&path, known, fields);
}

fn below(path: &str, known: &Named, fields: &mut Vec<FieldView>) {
    match known.form {
        Form::Object(members) => members.iter().for_each(|member| {
            push_field(format!("{path}.{}", member.name), member.of, member.required, member.doc, member.range, fields);
        }),
        Form::List { of, .. } => forms::named(of).into_iter().for_each(|of| below(&format!("{path}[]"), of, fields)),
        Form::Map { of, .. } => forms::named(of).into_iter().for_each(|of| below(&format!("{path}.*"), of, fields)),
        Form::Text(_) | Form::Whole | Form::Flag | Form::Choice(_) | Form::Any => {}
    }
}

/// The form of a value in words, with its bounds.
fn form(known: &Named) -> String {
    match known.form {
        Form::Text(text) => match text.most_bytes {
            Some(most) => format!("text, at most {most} bytes"),
            None => format!("text, such as {}", text.example.chars().take(40).collect::<String>()),
        },
        Form::Whole => "whole number".to_owned(),
        Form::Flag => "true or false".to_owned(),
        Form::Choice(words) => words_of(&words()),
        Form::List { of, most } => {
            let most = bound(most.map(|most| most as u64).or(known.most()));
            match forms::named(of).map(|of| of.form) {
                Some(Form::Choice(words)) => format!("list of {of}{most}: {}", words().join(", ")),
                _ => format!("list of {of}{most}"),
            }
        }
        Form::Map { key, of } => format!("map from {key} to {of}{}", bound(known.most())),
        Form::Object(_) => "object".to_owned(),
        Form::Any => "any JSON".to_owned(),
    }
}

fn words_of(words: &[&str]) -> String {
    if words.len() <= 12 { format!("one of {}", words.join(", ")) } else { "one of `swoosh inputs`".to_owned() }
}

fn bound(most: Option<u64>) -> String {
    most.map(|most| format!(", at most {most}")).unwrap_or_default()
}

fn text(view: &InputsView) -> String {
    let mut lines = vec![format!("{}: {}", view.transition, view.doc)];
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
        lines.push(format!("{}: {}{range}{optional}", field.path, field.form));
        if !field.doc.is_empty() {
            lines.push(format!("    {}", field.doc));
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
