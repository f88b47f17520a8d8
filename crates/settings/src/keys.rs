//! Which keys there are, and which one an unknown key was probably meant to be.

use yaml_serde::{Mapping, Value};

use super::load::SettingsError;
use super::model::Settings;
use swoosh_types::fact::FactKind;

/// Sections whose keys are free, and what may stand below each of them.
const FREE: &[(&str, &[&str])] = &[
    ("identities", &["name", "roles", "delegate", "delegate.op_classes", "delegate.projects"]),
    ("facts.sources", &[]),
    ("readers.identities", &[]),
    ("readers.certificates", &[]),
    ("migration.callers", &["key", "token"]),
    ("migration.grants", &["caller", "delegate", "roles", "projects", "op_classes", "until", "seat"]),
];

/// All keys with their sections, as the default settings have them.
pub(super) fn known() -> Vec<String> {
    let mut keys = Vec::new();
    let defaults = yaml_serde::to_value(Settings::default()).unwrap_or_default();
    collect(&defaults, "", &mut keys);
    keys
}

fn collect(value: &Value, section: &str, keys: &mut Vec<String>) {
    for (name, value) in value.as_mapping().into_iter().flatten() {
        let key = join(section, name.as_str().unwrap_or_default());
        keys.push(key.clone());
        collect(value, &key, keys);
    }
}

fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

fn spelled(name: &Value) -> String {
    name.as_str().map_or_else(|| yaml_serde::to_string(name).unwrap_or_default().trim().to_owned(), str::to_owned)
}

/// Refuses keys that there are not.
pub(super) fn check(document: &Mapping) -> Result<(), SettingsError> {
    check_section(document, "", &known())
}

fn check_section(mapping: &Mapping, section: &str, known: &[String]) -> Result<(), SettingsError> {
    for (name, value) in mapping {
        let key = join(section, &spelled(name));
        if !known.contains(&key) {
            return Err(unknown(key, known));
        }
        let Some(below) = value.as_mapping() else { continue };
        match FREE.iter().find(|(free, _)| *free == key) {
            Some((_, members)) => check_free(below, &key, members)?,
            None => check_section(below, &key, known)?,
        }
    }
    Ok(())
}

/// Checks a section with free keys: kinds for `facts.sources`, public keys and their members for `identities`.
fn check_free(mapping: &Mapping, section: &str, members: &[&str]) -> Result<(), SettingsError> {
    let kinds: Vec<String> = FactKind::ALL.iter().map(|kind| join(section, kind.as_str())).collect();
    for (name, value) in mapping {
        let key = join(section, &spelled(name));
        match value.as_mapping() {
            Some(below) if !members.is_empty() => {
                let known: Vec<String> = members.iter().map(|member| join(&key, member)).collect();
                check_section(below, &key, &known)?;
            }
            _ if section == "facts.sources" && !kinds.contains(&key) => return Err(unknown(key, &kinds)),
            _ => {}
        }
    }
    Ok(())
}

fn unknown(key: String, known: &[String]) -> SettingsError {
    let nearest = nearest(&key, known);
    SettingsError::UnknownKey { key, nearest }
}

/// The known key that is most like `key`: by its last part, a key of the same section before others. None where none is near.
fn nearest(key: &str, known: &[String]) -> Option<String> {
    const SAME_SECTION: f64 = 0.1;
    /// Likeness from which a key may be what a slip meant.
    const NEAR: f64 = 0.8;
    let split = |key: &str| key.rsplit_once('.').map_or((String::new(), key.to_owned()), |(s, n)| (s.into(), n.into()));
    let (section, name) = split(key);
    let likeness = |candidate: &String| {
        let (its_section, its_name) = split(candidate);
        strsim::jaro_winkler(&name, &its_name) + if section == its_section { SAME_SECTION } else { 0.0 }
    };
    known.iter().filter(|it| likeness(it) > NEAR).max_by(|a, b| likeness(a).total_cmp(&likeness(b))).cloned()
}
