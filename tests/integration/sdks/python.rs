//! The generated modules of the Python SDK.

use std::fmt::Write as _;

use swoosh_chart::model::Chart;

use super::retry_of;
use super::schema::{Field, Form, Object, Schemas, camel, snake, wrapped};

const HEAD: &str =
    "# Written by SWOOSH_BLESS=1 cargo test --test integration sdks:: from statechart.yaml and openapi/openapi.json.\n";
const KEYWORDS: [&str; 5] = ["from", "class", "in", "is", "type"];

fn constant(name: &str) -> String {
    snake(name).to_ascii_uppercase()
}

/// The name of a member in Python.
fn member(name: &str) -> String {
    let name = snake(name);
    if KEYWORDS.contains(&name.as_str()) && name != "type" { name + "_" } else { name }
}

fn docstring(indent: &str, text: &str) -> String {
    let lines = wrapped(&text.replace('\\', "\\\\").replace("\"\"\"", "'''"), 120 - indent.len());
    match &lines[..] {
        [only] => format!("{indent}\"\"\"{only}\"\"\"\n"),
        _ => format!("{indent}\"\"\"{}\n{indent}\"\"\"\n", lines.join(&format!("\n{indent}"))),
    }
}

fn words(out: &mut String, class: &str, doc: &str, words: impl IntoIterator<Item = String>) {
    let _ = write!(out, "\n\nclass {class}(StrEnum):\n{}\n", docstring("    ", doc));
    for word in words {
        let _ = writeln!(out, "    {} = \"{word}\"", constant(&word));
    }
}

fn table(out: &mut String, name: &str, form: &str, rows: impl IntoIterator<Item = (String, String)>) {
    let _ = writeln!(out, "\n{name}: Final[Mapping[str, {form}]] = {{");
    for (key, value) in rows {
        let _ = writeln!(out, "    \"{key}\": {value},");
    }
    out.push_str("}\n");
}

fn tuple(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let comma = if quoted.len() == 1 { "," } else { "" };
    format!("({}{comma})", quoted.join(", "))
}

pub fn chart(chart: &Chart, schemas: &Schemas) -> String {
    let mut out = format!(
        "{HEAD}\"\"\"Names and tables of the statechart.\"\"\"\n\nfrom __future__ import annotations\n\nfrom collections.abc import Mapping\nfrom enum import StrEnum\nfrom typing import Final\n"
    );
    words(&mut out, "Transition", "The transitions of the statechart.", chart.transitions.keys().cloned());
    words(&mut out, "Region", "The parallel regions of a project.", chart.regions.keys().cloned());
    words(&mut out, "Role", "Roles of identities.", chart.roles.keys().cloned());
    words(&mut out, "Effect", "Work outside of the machine.", chart.effects.keys().cloned());
    words(&mut out, "OpClass", "The third part of idempotency keys.", chart.op_classes.keys().cloned());
    words(&mut out, "WindowClass", "Classes of BACKBEAT windows.", chart.window_classes.keys().cloned());
    words(&mut out, "Guard", "Guards of transitions.", chart.guards.keys().cloned());
    words(&mut out, "Code", "Stable codes of refusals.", codes(schemas));
    let _ = write!(out, "\n\nVERSION: Final = {}\n\"\"\"The version of the statechart.\"\"\"\n", chart.version);
    table(
        &mut out,
        "STATES",
        "tuple[str, ...]",
        chart.regions.iter().map(|(name, region)| (name.clone(), tuple(&region.states))),
    );
    let transitions = || chart.transitions.iter();
    table(
        &mut out,
        "REGIONS",
        "str",
        transitions().map(|(name, found)| (name.clone(), format!("\"{}\"", found.region))),
    );
    table(
        &mut out,
        "OP_CLASSES",
        "str",
        transitions().map(|(name, _)| (name.clone(), format!("\"{}\"", super::op_class(name)))),
    );
    let windows =
        transitions().filter_map(|(name, found)| Some((name.clone(), format!("\"{}\"", found.window.as_ref()?))));
    table(&mut out, "WINDOWS", "str", windows);
    table(
        &mut out,
        "SIGNERS",
        "tuple[str, ...]",
        transitions().map(|(name, found)| (name.clone(), tuple(&found.signers))),
    );
    let effects = chart.effects.iter();
    table(
        &mut out,
        "SUCCESSES",
        "tuple[str, ...]",
        effects.clone().map(|(name, found)| (name.clone(), tuple(&found.success))),
    );
    table(&mut out, "FAILURES", "tuple[str, ...]", effects.map(|(name, found)| (name.clone(), tuple(&found.failure))));
    let retries = codes(schemas).into_iter().map(|code| (code.clone(), format!("\"{}\"", retry_of(chart, &code))));
    table(&mut out, "RETRIES", "str", retries);
    out
}

fn codes(schemas: &Schemas) -> Vec<String> {
    schemas.words.iter().find(|words| words.name == "Code").expect("codes are listed").words.clone()
}

fn form(form: &Form, is_answer: bool) -> String {
    let inner = |found: &Form| self::form(found, is_answer);
    match form {
        Form::Text | Form::Words(_) => "str".to_owned(),
        Form::Number => "int".to_owned(),
        Form::Flag => "bool".to_owned(),
        Form::Any => "Any".to_owned(),
        Form::List(found) if is_answer => format!("tuple[{}, ...]", inner(found)),
        Form::List(found) => format!("Sequence[{}]", inner(found)),
        Form::Map(found) => format!("Mapping[str, {}]", inner(found)),
        Form::Object(name) => name.clone(),
    }
}

fn is_absent(field: &Field) -> bool {
    !field.is_required || field.is_nullable
}

/// The fields of a dataclass: first those without a default.
fn dataclass_fields(out: &mut String, object: &Object, is_answer: bool) {
    for absent in [false, true] {
        for field in object.fields.iter().filter(|field| is_absent(field) == absent) {
            let form = form(&field.form, is_answer);
            let default = if absent { " | None = None" } else { "" };
            let _ = writeln!(out, "    {}: {form}{default}", member(&field.name));
            if !field.doc.is_empty() {
                out.push_str(&docstring("    ", &field.doc));
            }
        }
    }
}

pub fn inputs(schemas: &Schemas) -> String {
    let mut out = format!(
        "{HEAD}\"\"\"The inputs of each transition: one class for each, whose name says the transition.\"\"\"\n\nfrom __future__ import annotations\n\nfrom collections.abc import Mapping, Sequence\nfrom dataclasses import dataclass\nfrom typing import Any, ClassVar, NotRequired, TypedDict\n\nfrom swoosh._chart import Transition\nfrom swoosh._model import Inputs\n"
    );
    for part in &schemas.parts {
        let _ = write!(out, "\n\nclass {}(TypedDict):\n{}\n", part.name, docstring("    ", &part.doc));
        for field in &part.fields {
            let form = form(&field.form, false);
            let form = if field.is_required { form } else { format!("NotRequired[{form}]") };
            let _ = writeln!(out, "    {}: {form}", field.name);
        }
        if part.fields.is_empty() {
            out.push_str("    pass\n");
        }
    }
    for (transition, object) in &schemas.inputs {
        let _ = write!(
            out,
            "\n\n@dataclass(frozen=True, slots=True, kw_only=True)\nclass {}(Inputs):\n",
            camel(transition)
        );
        out.push_str(&docstring("    ", &object.doc));
        let _ = write!(out, "\n    TRANSITION: ClassVar[Transition] = Transition.{}\n", constant(transition));
        dataclass_fields(&mut out, object, false);
    }
    let _ = writeln!(out, "\n\nBY_TRANSITION: Mapping[str, type[Inputs]] = {{");
    for transition in schemas.inputs.keys() {
        let _ = writeln!(out, "    \"{transition}\": {},", camel(transition));
    }
    out.push_str("}\n");
    out
}

pub fn answers(schemas: &Schemas) -> String {
    let mut out = format!(
        "{HEAD}\"\"\"Answers of a node. Unknown members of a newer node are kept in `more`.\"\"\"\n\nfrom __future__ import annotations\n\nfrom collections.abc import Mapping\nfrom dataclasses import dataclass\nfrom typing import Any\n\nfrom swoosh._model import Answer\n"
    );
    for object in &schemas.answers {
        let _ = write!(out, "\n\n@dataclass(frozen=True, slots=True, kw_only=True)\nclass {}(Answer):\n", object.name);
        out.push_str(&docstring("    ", &object.doc));
        out.push('\n');
        dataclass_fields(&mut out, object, true);
    }
    out
}
