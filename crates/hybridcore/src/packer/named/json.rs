//! Templates in JSON: HCL in JSON (`.pkr.json`), and packer's older language with its `{{…}}`.

use hcl::expr::{Expression, TemplateExpr};
use serde_json::Value;

use super::attributes::Around;
use super::{Reader, Texts};

/// All texts within a value.
pub(super) fn texts_within(value: &Value) -> Texts {
    let mut all = Texts::default();
    match value {
        Value::Null => {}
        Value::String(text) => all.add(Texts::one(text.as_str())),
        Value::Bool(_) | Value::Number(_) => all.add(Texts::one(value.to_string())),
        Value::Array(items) => items.iter().for_each(|item| all.add(texts_within(item))),
        Value::Object(members) => members.values().for_each(|member| all.add(texts_within(member))),
    }
    all
}

/// A value as HCL reads it: its texts are templates.
fn expression(value: &Value) -> Expression {
    match value {
        Value::String(text) => TemplateExpr::QuotedString(text.clone()).into(),
        Value::Array(items) => Expression::Array(items.iter().map(expression).collect()),
        Value::Object(members) => {
            Expression::Object(members.iter().map(|(key, value)| (key.as_str().into(), expression(value))).collect())
        }
        Value::Number(number) => Expression::String(number.to_string()),
        Value::Bool(value) => Expression::Bool(*value),
        Value::Null => Expression::Null,
    }
}

/// The members of an object, or of every object of a list.
fn members(value: &Value) -> Vec<(&String, &Value)> {
    match value {
        Value::Object(members) => members.iter().collect(),
        Value::Array(items) => items.iter().flat_map(members).collect(),
        _ => Vec::new(),
    }
}

/// Whether files go from the machine that is built to this one.
fn is_download(value: &Value) -> bool {
    value.get("direction").and_then(Value::as_str) == Some("download")
}

impl Reader<'_> {
    pub(super) fn declare_hcl_json(&mut self, shown: &str, value: &Value) {
        shown.clone_into(&mut self.place);
        for (kind, declared) in members(value) {
            for (name, body) in members(declared) {
                match kind.as_str() {
                    "variable" => {
                        let default = body.get("default").map(texts_within);
                        default.into_iter().for_each(|texts| self.give(name, texts));
                    }
                    "locals" => drop(self.locals.insert(name.clone(), expression(body))),
                    _ => {}
                }
            }
        }
    }

    pub(super) fn search_hcl_json(&mut self, shown: &str, value: &Value) {
        for (kind, body) in
            members(value).into_iter().filter(|(kind, _)| !matches!(kind.as_str(), "packer" | "variable"))
        {
            self.search_value(&format!("{shown}: {kind}"), kind, body, &|reader, value| {
                reader.texts(&expression(value))
            });
        }
    }

    pub(super) fn declare_json(&mut self, shown: &str, value: &Value) {
        shown.clone_into(&mut self.place);
        for (name, default) in value.get("variables").map(members).unwrap_or_default() {
            // A variable of null must be given.
            if !default.is_null() {
                let texts = self.filled(default);
                self.give(name, texts);
            }
        }
    }

    pub(super) fn search_json(&mut self, shown: &str, value: &Value) {
        for (kind, body) in members(value).into_iter().filter(|(kind, _)| *kind != "variables") {
            self.search_value(&format!("{shown}: {kind}"), kind, body, &|reader, value| reader.filled(value));
        }
    }

    /// Takes each member that is a text or a list of texts as an attribute, and each other as a block.
    fn search_value(&mut self, line: &str, kind: &str, value: &Value, texts: &dyn Fn(&mut Self, &Value) -> Texts) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let holds_blocks = |item: &Value| item.is_object();
                    let is_block =
                        member.is_object() || member.as_array().is_some_and(|items| items.iter().any(holds_blocks));
                    if is_block {
                        self.search_value(line, name, member, texts);
                        continue;
                    }
                    self.place = format!("{line}: {name}");
                    let found = texts(self, member);
                    self.attribute(name, Around { kind, is_download: is_download(value) }, found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.search_value(line, kind, item, texts)),
            _ => {}
        }
    }

    /// The texts of a value, with each `{{…}}` filled in.
    fn filled(&mut self, value: &Value) -> Texts {
        let mut all = Texts::default();
        for text in texts_within(value).all {
            let mut whole = Texts::one("");
            let mut rest = text.as_str();
            while let Some((before, after)) = rest.split_once("{{") {
                let Some((inner, after)) = after.split_once("}}") else { break };
                let part = self.placeholder(inner.trim());
                whole = whole.followed_by(&Texts::one(before)).followed_by(&part);
                rest = after;
            }
            all.add(whole.followed_by(&Texts::one(rest)));
        }
        all
    }

    fn placeholder(&self, inner: &str) -> Texts {
        match inner.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["template_dir"] => Texts::one(self.ground.own.to_string_lossy()),
            ["pwd"] => Texts::one(self.ground.folder.to_string_lossy()),
            ["user", name] => self.variable(name.trim_matches(['`', '"', '\''])),
            _ => Texts::open(),
        }
    }
}
