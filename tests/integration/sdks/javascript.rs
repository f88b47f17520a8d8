//! The generated files of the JavaScript SDK.

use std::fmt::Write as _;

use serde_json::{Value, json};
use swoosh_chart::model::Chart;

use super::schema::{Field, Form, Object, Schemas, wrapped};
use super::{op_class, retry_of};

const HEAD: &str = "// Written by SWOOSH_BLESS=1 cargo test --test integration sdks:: from statechart.yaml and openapi/openapi.json.\n";

fn table(out: &mut String, name: &str, doc: &str, form: &str, rows: impl IntoIterator<Item = (String, Value)>) {
    let _ = writeln!(
        out,
        "\n/** {doc} @type {{Readonly<Record<string, {form}>>}} */\nexport const {name} = Object.freeze({{"
    );
    for (key, value) in rows {
        let _ = writeln!(out, "  {}: {value},", json!(key));
    }
    out.push_str("});\n");
}

pub fn chart(chart: &Chart, schemas: &Schemas) -> String {
    let mut out = format!(
        "{HEAD}// @ts-check\n\n/** The version of the statechart. */\nexport const version = {};\n",
        chart.version
    );
    let transitions = || chart.transitions.iter();
    let found = |name: &str| name.to_owned();
    let regions = chart.regions.iter().map(|(name, region)| (name.clone(), json!(region.states)));
    table(&mut out, "states", "The states of each region; the first is the initial one.", "readonly string[]", regions);
    table(
        &mut out,
        "regions",
        "The region of each transition.",
        "string",
        transitions().map(|(name, it)| (found(name), json!(it.region))),
    );
    table(
        &mut out,
        "moves",
        "The states that each transition leads from and to; where it leads to one of several, its inputs say which.",
        "{readonly from: readonly string[], readonly to: readonly string[]}",
        transitions().map(|(name, it)| (found(name), json!({"from": it.from, "to": it.to}))),
    );
    table(
        &mut out,
        "opClasses",
        "The third part of the idempotency keys of each transition.",
        "string",
        transitions().map(|(name, _)| (found(name), json!(op_class(name)))),
    );
    let windows = transitions().filter_map(|(name, it)| Some((found(name), json!(it.window.as_ref()?))));
    table(&mut out, "windows", "The class of window that a transition needs.", "string", windows);
    table(
        &mut out,
        "signers",
        "The roles that may propose each transition.",
        "readonly string[]",
        transitions().map(|(name, it)| (found(name), json!(it.signers))),
    );
    let effects = || chart.effects.iter();
    table(
        &mut out,
        "successes",
        "The outcomes of each effect that are a success.",
        "readonly string[]",
        effects().map(|(name, it)| (found(name), json!(it.success))),
    );
    table(
        &mut out,
        "failures",
        "The outcomes of each effect that are a failure.",
        "readonly string[]",
        effects().map(|(name, it)| (found(name), json!(it.failure))),
    );
    let codes = schemas.words.iter().find(|words| words.name == "Code").expect("codes are listed");
    let retries = codes.words.iter().map(|code| (code.clone(), json!(retry_of(chart, code))));
    table(&mut out, "retries", "How trying again can help, by code.", "string", retries);
    out
}

fn form(form: &Form) -> String {
    match form {
        Form::Text => "string".to_owned(),
        Form::Words(name) | Form::Object(name) => name.clone(),
        Form::Number => "number".to_owned(),
        Form::Flag => "boolean".to_owned(),
        Form::Any => "unknown".to_owned(),
        Form::List(inner) => format!("ReadonlyArray<{}>", self::form(inner)),
        Form::Map(inner) => format!("{{ readonly [name: string]: {} }}", self::form(inner)),
    }
}

fn doc(out: &mut String, indent: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    let lines = wrapped(&text.replace("*/", "* /"), 110);
    let _ = match &lines[..] {
        [only] => writeln!(out, "{indent}/** {only} */"),
        _ => writeln!(out, "{indent}/**\n{indent} * {}\n{indent} */", lines.join(&format!("\n{indent} * "))),
    };
}

fn field(out: &mut String, field: &Field) {
    doc(out, "  ", &field.doc);
    let absent = if field.is_required { "" } else { "?" };
    let null = if field.is_nullable { " | null" } else { "" };
    let _ = writeln!(out, "  readonly {}{absent}: {}{null};", field.name, form(&field.form));
}

fn interface(out: &mut String, object: &Object) {
    out.push('\n');
    doc(out, "", &object.doc);
    let _ = writeln!(out, "export interface {} {{", object.name);
    object.fields.iter().for_each(|found| field(out, found));
    out.push_str("}\n");
}

pub fn types(schemas: &Schemas) -> String {
    let mut out = HEAD.to_owned();
    for words in &schemas.words {
        out.push('\n');
        doc(&mut out, "", &words.doc);
        let quoted: Vec<String> = words.words.iter().map(|word| json!(word).to_string()).collect();
        let _ = writeln!(out, "export type {} =\n  | {};", words.name, quoted.join("\n  | "));
    }
    schemas
        .inputs
        .values()
        .chain(&schemas.parts)
        .chain(&schemas.answers)
        .for_each(|object| interface(&mut out, object));
    out.push_str("\n/** The inputs of each transition. */\nexport interface Inputs {\n");
    for (transition, object) in &schemas.inputs {
        let _ = writeln!(out, "  readonly {transition}: {};", object.name);
    }
    out.push_str("}\n");
    out
}
