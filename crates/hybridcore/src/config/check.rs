//! Holds what the layers gave against the schema.

use std::fmt;

use serde::Serialize;

use super::layers::{Layer, Selection};
use super::merge::Merged;
use super::schema::{Declaration, Form, Rule, Schema, Severity};
use super::syntax::Place;
use super::value::{Given, Value};

/// How near a name must be to be suggested, from 0 to 1.
const NEAR: f64 = 0.7;

/// Something worth knowing about a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    pub variable: String,
    /// Place of the value, or of the declaration if there is no value.
    pub place: Place,
    pub found: String,
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { severity, variable, place, found, remedy } = self;
        write!(f, "{severity}: {variable} ({place}): {found}; {remedy}")
    }
}

/// Errors among findings, one a line.
pub fn errors(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Error).collect()
}

/// Judges every variable; the findings are sorted, errors first.
pub fn validate_schema(schema: &Schema, merged: &Merged, selection: &Selection) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, given) in merged.values() {
        match schema.variables.get(name) {
            None => findings.push(unknown(schema, merged, name)),
            Some(declaration) => judge(name, declaration, given, merged, selection, &mut findings),
        }
    }
    for (name, declaration) in &schema.variables {
        let is_for_us = declaration.applies_to(selection.platform.as_str());
        if declaration.required && is_for_us && merged.get(name).is_none() {
            findings.push(missing(name, declaration, selection));
        }
    }
    sort(&mut findings);
    findings
}

/// Errors first, then by variable.
pub(super) fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.variable.cmp(&b.variable)));
}

/// A required variable that no layer gives: where it is declared, and who may give it.
fn missing(name: &str, declaration: &Declaration, selection: &Selection) -> Finding {
    let overlays: Vec<String> = Layer::ALL.iter().filter_map(|layer| selection.file(*layer)).collect();
    let what = if declaration.secret { " as env(\"NAME\")" } else { "" };
    Finding {
        severity: Severity::Error,
        variable: name.to_owned(),
        place: declaration.place.clone(),
        found: format!("it has no value, and it is required ({})", declaration.description.trim_end_matches('.')),
        remedy: format!("give it{what} in one of {}, in the answers, or with --set {name}=VALUE", overlays.join(", ")),
    }
}

fn unknown(schema: &Schema, merged: &Merged, name: &str) -> Finding {
    let near = schema.variables.keys().map(|known| (strsim::jaro_winkler(known, name), known));
    let near = near.filter(|(score, _)| *score > NEAR).max_by(|a, b| a.0.total_cmp(&b.0));
    let remedy = match near {
        Some((_, known)) => format!("did you mean {known}? Otherwise declare it in schema.yaml"),
        None => "declare it in schema.yaml, or take it out".to_owned(),
    };
    Finding {
        severity: Severity::Error,
        variable: name.to_owned(),
        place: place_of(merged, name),
        found: "the schema knows no such variable".to_owned(),
        remedy,
    }
}

fn place_of(merged: &Merged, name: &str) -> Place {
    merged.origin(name).map_or(Place { file: String::new(), line: 0 }, |step| step.place.clone())
}

fn judge(
    name: &str,
    declaration: &Declaration,
    given: &Given,
    merged: &Merged,
    selection: &Selection,
    findings: &mut Vec<Finding>,
) {
    let mut find = |severity: Severity, found: String, remedy: String| {
        findings.push(Finding { severity, variable: name.to_owned(), place: place_of(merged, name), found, remedy });
    };
    if let Some(instead) = &declaration.deprecated {
        find(Severity::Warning, "it is on its way out".to_owned(), instead.clone());
    }
    if !declaration.applies_to(selection.platform.as_str()) {
        let found = format!(
            "it is for {} alone, and this build is for {}",
            declaration.platforms.join(", "),
            selection.platform
        );
        find(Severity::Info, found, "it is not used; give it in that platform's overlay".to_owned());
        return;
    }
    match given {
        Given::Environment(_) if declaration.kind != super::schema::Kind::Text => {
            let found = format!("env(…) gives a string, and it takes {}", declaration.kind);
            find(
                Severity::Error,
                found,
                "give the value itself; only strings may come from the environment".to_owned(),
            );
        }
        Given::Environment(_) => {}
        Given::Value(_) if declaration.secret => {
            let found = "it is a secret, and its value is written in a file".to_owned();
            find(
                Severity::Error,
                found,
                format!("write {name} = env(\"NAME\"), take the value out of the file, and change the secret"),
            );
        }
        Given::Value(value) if !declaration.kind.takes(value) => {
            let found = format!("{value} is {}, and it takes {}", value.kind(), declaration.kind);
            find(Severity::Error, found, format!("give a value of type {}", declaration.kind));
        }
        Given::Value(value) => {
            for (rule, breach) in declaration.rules.iter().filter_map(|rule| Some((rule, breach(rule, value)?))) {
                let why = rule.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
                find(rule.severity, format!("it is {value}{why}"), breach);
            }
        }
    }
}

/// The requirement that a value breaks, or `None`.
fn breach(rule: &Rule, value: &Value) -> Option<String> {
    let is_allowed = |allowed: &serde_json::Value| Value::from_json(allowed).is_ok_and(|allowed| allowed == *value);
    if !rule.allowed.is_empty() && !rule.allowed.iter().any(is_allowed) {
        let allowed: Vec<String> = rule.allowed.iter().map(ToString::to_string).collect();
        return Some(format!("write one of {}", allowed.join(", ")));
    }
    if let (Some(form), Value::Text(text)) = (rule.form, value)
        && !Form::takes(form, text)
    {
        return Some(format!("write {}", form.words()));
    }
    let (measure, what) = measure(value)?;
    if rule.min.is_some_and(|min| measure < min as f64) {
        return Some(format!("write {what} of at least {}", rule.min.unwrap_or_default()));
    }
    (rule.max.is_some_and(|max| measure > max as f64))
        .then(|| format!("write {what} of at most {}", rule.max.unwrap_or_default()))
}

/// The quantity that a rule's bounds apply to, with its unit.
fn measure(value: &Value) -> Option<(f64, &'static str)> {
    match value {
        Value::Number(number) => Some((number.as_f64()?, "a number")),
        Value::Text(text) => Some((text.chars().count() as f64, "a text with a length")),
        Value::List(entries) => Some((entries.len() as f64, "a list with a length")),
        Value::Object(members) => Some((members.len() as f64, "an object with a size")),
        Value::Null | Value::Bool(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers::from_hcl;
    use super::*;
    use crate::definitions::Definitions;

    const SCHEMA: &str = "variables:
  image_name: {type: string, description: Name., required: true, rules: [{form: name}]}
  disk_gib:
    type: integer
    description: Size.
    rules: [{min: 1, max: 4096}, {max: 512, severity: warning, why: the pool is small}, {min: 8, severity: info}]
  token: {type: string, description: Token., required: true, secret: true, platforms: [proxmox]}
  format: {type: string, description: Format., rules: [{allowed: [raw, qcow2]}]}
  old: {type: bool, description: Old., deprecated: 'use format'}
";

    fn selection(platform: &str) -> Selection {
        Selection { platform: platform.parse().unwrap(), variant: None, environment: "dev".parse().unwrap() }
    }

    fn findings(platform: &str, text: &str) -> Vec<String> {
        let files = [("schema.yaml".to_owned(), SCHEMA.as_bytes().to_vec())].into();
        let schema = Schema::load(&Definitions::from_files("here", files)).unwrap();
        let merged = Merged::of(&[from_hcl(Layer::Default, "default.hcl", text).unwrap()]);
        validate_schema(&schema, &merged, &selection(platform)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_missing_variable_is_reported_with_its_declaration_and_where_to_set_it() {
        let messages = findings("file", "");
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert_eq!(
            messages[0],
            "error: image_name (schema.yaml:2): it has no value, and it is required (Name); give it in one of \
             overlays/default.pkrvars.hcl, overlays/platform/file.pkrvars.hcl, overlays/environment/dev.pkrvars.hcl, \
             in the answers, or with --set image_name=VALUE"
        );
        assert!(findings("proxmox", "image_name = \"a\"")[0].contains("give it as env(\"NAME\") in one of"));
    }

    #[test]
    fn each_rule_is_reported_with_its_severity_place_and_remedy() {
        let one = |text: &str| findings("file", &format!("image_name = \"a\"\n{text}\n")).join("\n");
        for (text, expected) in [
            ("disk_gib = 0", "error: disk_gib (default.hcl:2): it is 0; write a number of at least 1"),
            ("disk_gib = 1000", "warning: disk_gib (default.hcl:2): it is 1000 (the pool is small)"),
            ("disk_gib = 2", "info: disk_gib"),
            ("disk_gib = \"2\"", "error: disk_gib (default.hcl:2): \"2\" is a string, and it takes integer"),
            ("disk_gib = env(\"D\")", "error: disk_gib (default.hcl:2): env(…) gives a string"),
            ("format = \"iso\"", "write one of \"raw\", \"qcow2\""),
            ("old = true", "warning: old (default.hcl:2): it is on its way out; use format"),
            ("disk_gb = 2", "did you mean disk_gib?"),
            ("zzz = 2", "declare it in schema.yaml, or take it out"),
            ("token = env(\"T\")", "info: token"),
        ] {
            let found = one(text);
            assert!(found.contains(expected), "{text}: {found}");
        }
        let zero = findings("file", "image_name = \"a\"\ndisk_gib = 0\n");
        assert!(zero.len() == 2 && zero[0].starts_with("error") && zero[1].starts_with("info"), "{zero:?}");
    }

    #[test]
    fn a_secret_in_a_file_is_an_error_that_does_not_repeat_it() {
        let text = findings("proxmox", "image_name = \"a\"\ntoken = \"hunter2-canary\"\n").join("\n");
        assert!(text.contains("error: token") && !text.contains("canary"), "{text}");
        assert!(findings("proxmox", "image_name = \"a\"\ntoken = env(\"T\")\n").is_empty());
    }
}
