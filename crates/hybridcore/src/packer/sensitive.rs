//! Values of variables that a template marks as sensitive, and their placeholders in its files, are redacted too.
//! Packer is not relied on for this: 1.6 prints the defaults of such variables.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hcl::expr::Expression;
use hcl::structure::{Body, Structure};
use serde_json::Value;

use super::session::{BuildRequest, Session};

/// Shorter ones are words such as `packer` or `true`, which would take paths and names with them.
const SHORTEST: usize = 8;
/// Larger files are no templates.
const MOST_BYTES: u64 = 4 << 20;

/// Every text that a sensitive variable of the request's template may have: its default, what variable files say, and
/// what is passed for it. What cannot be read is left to packer to complain of.
pub(super) fn values(session: &Session<'_>, request: &BuildRequest) -> Vec<String> {
    let mut found = Found::default();
    for path in templates(&session.absolute(&request.template)) {
        found.read_template(&path);
    }
    for path in &request.var_files {
        found.read_variables(&session.absolute(path));
    }
    let passed = request.variables.iter().filter(|(name, _)| found.names.contains(*name));
    found.texts.extend(passed.map(|(_, value)| value.clone()));
    found.texts.retain(|text| text.len() >= SHORTEST);
    found.texts
}

fn templates(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

fn read(path: &Path) -> Option<String> {
    fs::metadata(path).ok().filter(|metadata| metadata.is_file() && metadata.len() <= MOST_BYTES)?;
    fs::read_to_string(path).ok()
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

#[derive(Default)]
struct Found {
    names: BTreeSet<String>,
    texts: Vec<String>,
}

impl Found {
    fn read_template(&mut self, path: &Path) {
        let Some(text) = read(path) else { return };
        if is_json(path) {
            serde_json::from_str(&text).ok().into_iter().for_each(|document| self.read_json(&document));
        } else if path.extension().is_some_and(|extension| extension == "hcl") {
            hcl::parse(&text).ok().into_iter().for_each(|body| self.read_hcl(&body));
        }
    }

    fn read_hcl(&mut self, body: &Body) {
        for block in body.blocks().filter(|block| block.identifier() == "variable") {
            let attribute = |name: &str| block.body().attributes().find(|attribute| attribute.key() == name);
            let sensitive = attribute("sensitive").is_some_and(|found| *found.expr() == Expression::Bool(true));
            if let Some(label) = block.labels().first().filter(|_| sensitive) {
                self.names.insert(label.as_str().to_owned());
                attribute("default").into_iter().for_each(|default| self.keep(default.expr()));
            }
        }
    }

    /// `.pkr.json` has variables as in HCL; the older `.json` lists the names of the sensitive ones.
    fn read_json(&mut self, document: &Value) {
        let members = |name: &str| document.get(name).and_then(Value::as_object).into_iter().flatten();
        for (name, declared) in members("variable") {
            if declared.get("sensitive") == Some(&Value::Bool(true)) {
                self.names.insert(name.clone());
                declared.get("default").into_iter().for_each(|default| self.keep_json(default));
            }
        }
        let listed = document.get("sensitive-variables").and_then(Value::as_array).into_iter().flatten();
        let listed: BTreeSet<&str> = listed.filter_map(Value::as_str).collect();
        for (name, default) in members("variables").filter(|(name, _)| listed.contains(name.as_str())) {
            self.names.insert(name.clone());
            self.keep_json(default);
        }
    }

    fn read_variables(&mut self, path: &Path) {
        let Some(text) = read(path) else { return };
        if is_json(path) {
            let document: Value = serde_json::from_str(&text).unwrap_or_default();
            let members: Vec<_> = document.as_object().into_iter().flatten().collect();
            for (_, value) in members.into_iter().filter(|(name, _)| self.names.contains(*name)).collect::<Vec<_>>() {
                self.keep_json(value);
            }
        } else if let Ok(body) = hcl::parse(&text) {
            for structure in body.iter() {
                if let Structure::Attribute(attribute) = structure
                    && self.names.contains(attribute.key())
                {
                    self.keep(attribute.expr());
                }
            }
        }
    }

    /// Every text within a value.
    fn keep(&mut self, value: &Expression) {
        match value {
            Expression::String(text) => self.texts.push(text.clone()),
            Expression::Number(number) => self.texts.push(number.to_string()),
            Expression::TemplateExpr(template) => self.texts.push(template.to_string().trim().to_owned()),
            Expression::Array(values) => values.iter().for_each(|value| self.keep(value)),
            Expression::Object(members) => members.values().for_each(|value| self.keep(value)),
            _ => {}
        }
    }

    fn keep_json(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.texts.push(text.clone()),
            Value::Number(number) => self.texts.push(number.to_string()),
            Value::Array(values) => values.iter().for_each(|value| self.keep_json(value)),
            Value::Object(members) => members.values().for_each(|value| self.keep_json(value)),
            Value::Null | Value::Bool(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let mut found = Found::default();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            if name.contains("vars") { found.read_variables(&path) } else { found.read_template(&path) }
        }
        found.texts
    }

    #[test]
    fn sensitive_variables_of_every_kind_of_template_are_found_with_all_their_values() {
        let hcl = "variable \"a\" {\n default = \"one-secret\"\n sensitive = true\n}\n\
            variable \"b\" {\n default = \"public\"\n}\nvariable \"c\" {\n type = list(string)\n sensitive = true\n}\n";
        assert_eq!(found(&[("x.pkr.hcl", hcl)]), ["one-secret"]);
        assert_eq!(
            found(&[("x.pkr.hcl", hcl), ("vars.hcl", "c = [\"two\", \"three\"]\nb = \"public\"\n")])[1..],
            ["two", "three"]
        );
        assert_eq!(found(&[("x.pkr.hcl", hcl), ("vars.json", r#"{"c": ["four"], "b": "public"}"#)])[1..], ["four"]);
        let new = r#"{"variable": {"a": {"default": "five", "sensitive": true}, "b": {"default": "public"}}}"#;
        assert_eq!(found(&[("x.pkr.json", new)]), ["five"]);
        let old = r#"{"variables": {"a": "six", "b": "public"}, "sensitive-variables": ["a"]}"#;
        assert_eq!(found(&[("x.json", old)]), ["six"]);
        assert!(found(&[("x.pkr.hcl", "variable {"), ("x.json", "{")]).is_empty(), "packer complains of these");
    }
}
