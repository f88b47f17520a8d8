//! `swoosh settings`: check the settings of a node, and print the built-in file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::output::{Output, Table, count, paragraph};
use crate::decisions::Redaction;
use crate::hybridcore::definitions::Definitions;
use crate::hybridcore::sources::config::ScanConfig;
use crate::machine::policy::CompiledPolicies;
use crate::platform::agefile::Recipient;
use crate::settings::{DEFAULT_YAML, Overrides, Settings};
use crate::types::yaml;

mod secrets;

/// The arguments of `swoosh settings`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Check the settings of a node, or print the built-in ones",
    long_about = "Check the settings of a node, or print the built-in ones.\n\nThe settings are the file that `swoosh serve --config` \
        reads; docs/settings.md lists every key. The configuration of builds is another thing: see `swoosh config`."
)]
pub struct SettingsCommand {
    #[command(subcommand)]
    action: SettingsAction,
}

#[derive(Debug, clap::Subcommand)]
enum SettingsAction {
    /// Check a settings file and print the values that a node would use
    ///
    /// Checks every key and bound, the window schedule, the policies, the redaction policy, the TLS files, the build
    /// definitions, and every secret that the file names; run it as a user who may read the age identity. Prints the
    /// settings that differ from their defaults; with --all, every setting, and whether it comes from the file.
    #[command(
        after_help = "Examples:\n  swoosh settings check swoosh.yaml\n  swoosh settings check        # the built-in settings"
    )]
    Check {
        /// Settings file; left out, the built-in one
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Print every setting, also those that have their default
        #[arg(long)]
        all: bool,
    },
    /// Print the built-in settings file, which explains every key
    #[command(after_help = "Example:\n  swoosh settings show > swoosh.yaml")]
    Show,
}

impl SettingsCommand {
    /// Checks or prints.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        match self.action {
            SettingsAction::Check { file, all } => check(output, file.as_deref(), all)?,
            SettingsAction::Show => output.say(&Settings::default(), || DEFAULT_YAML.to_owned())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// One setting, as it is in force.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
struct Setting {
    key: String,
    value: Value,
    /// Whether the file says so.
    from_file: bool,
    /// Whether the value differs from the default.
    differs: bool,
}

fn check(output: Output, file: Option<&Path>, all: bool) -> anyhow::Result<()> {
    let settings = Settings::load(file, Overrides::default())?;
    settings.schedule()?;
    CompiledPolicies::compile(settings.policy_bundle()?).context("policies.path: the policies cannot be used")?;
    Redaction::parse(&settings.redaction_text()?).context("decisions.redaction")?;
    for recipient in &settings.secrets.recipients {
        recipient.parse::<Recipient>().context("secrets.recipients")?;
    }
    let rules = ScanConfig { credential_rules: settings.effects.credential_rules.clone(), ..ScanConfig::default() };
    rules.credential_rules().context("effects.credential_rules")?;
    if let Some(folder) = &settings.effects.definitions {
        Definitions::load(folder).context("effects.definitions")?;
    }
    swoosh_node::tls::load(&settings, &Default::default())?;
    let unchecked = secrets::check(&settings)?;
    let written = match file {
        Some(path) => {
            let text = crate::files::read_to_string(path)?;
            yaml::checked(crate::settings::without_mark(&text)).and_then(yaml_serde::from_str)?
        }
        None => Value::Null,
    };
    let in_force = in_force(&settings, &written)?;
    let name = file.map_or("the built-in settings".to_owned(), |path| path.display().to_string());
    let notes: Vec<String> = notes(&settings).into_iter().chain(unchecked).collect();
    output.say(&json!({"ok": true, "file": file, "settings": in_force, "notes": notes}), || {
        text(&name, &in_force, &notes, all)
    })
}

/// Notes on valid settings that may surprise an operator.
fn notes(settings: &Settings) -> Vec<String> {
    let mut notes = Vec::new();
    if settings.identities.is_empty() {
        notes.push(
            "no key may propose yet: grant a key of `swoosh keygen` the role operator under identities".to_owned(),
        );
    }
    if settings.facts.file.is_some() && settings.facts.sources.is_empty() {
        notes.push("facts.file is set, but facts.sources lists no source of facts".to_owned());
    }
    if let Some(path) = settings.facts.file.as_ref().filter(|path| !path.exists()) {
        notes.push(format!("facts.file {} is missing; it may come later (`swoosh fact put`)", path.display()));
    }
    notes
}

fn text(name: &str, settings: &[Setting], notes: &[String], all: bool) -> String {
    let differing = settings.iter().filter(|setting| setting.differs).count() as u64;
    let verdict = match differing {
        0 => format!("{name}: good; every setting has its default"),
        _ => {
            format!("{name}: good; {differing} of {} differ from the defaults", count(settings.len() as u64, "setting"))
        }
    };
    let mut parts = vec![verdict];
    let shown: Vec<&Setting> = settings.iter().filter(|setting| all || setting.differs).collect();
    if !shown.is_empty() {
        parts.push(table(&shown, all));
    }
    if !notes.is_empty() {
        parts.push(notes.iter().map(|note| paragraph(&format!("note: {note}"))).collect::<Vec<_>>().join("\n"));
    }
    parts.join("\n\n")
}

fn table(settings: &[&Setting], all: bool) -> String {
    let mut table = Table::with(if all { &["key", "from", "value"] } else { &["key", "value"] });
    for Setting { key, value, from_file, .. } in settings {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Null => "(none)".to_owned(),
            other => other.to_string(),
        };
        match all {
            true => table.row([key.clone(), if *from_file { "file" } else { "default" }.to_owned(), value]),
            false => table.row([key.clone(), value]),
        }
    }
    table.text(0)
}

/// Every setting by its key, and whether `written`, the file's document, has it.
fn in_force(settings: &Settings, written: &Value) -> anyhow::Result<Vec<Setting>> {
    let (mut found, mut defaults) = (Vec::new(), Vec::new());
    flatten(&serde_json::to_value(Settings::default())?, "", &Value::Null, &mut defaults);
    flatten(&serde_json::to_value(settings)?, "", written, &mut found);
    let defaults: BTreeMap<String, Value> = defaults.into_iter().map(|setting| (setting.key, setting.value)).collect();
    for setting in &mut found {
        setting.differs = defaults.get(&setting.key) != Some(&setting.value);
    }
    Ok(found)
}

/// Sections whose members are no keys of ours; each member is shown whole.
const FREE: [&str; 2] = ["identities", "facts.sources"];

fn flatten(value: &Value, key: &str, written: &Value, found: &mut Vec<Setting>) {
    let whole = FREE.iter().any(|free| key.strip_prefix(free).is_some_and(|rest| rest.starts_with('.')));
    match value.as_object().filter(|members| !whole && !members.is_empty()) {
        Some(members) => {
            for (name, value) in members {
                let below = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                flatten(value, &below, written.get(name).unwrap_or(&Value::Null), found);
            }
        }
        None => {
            let (key, value, from_file) = (key.to_owned(), value.clone(), !written.is_null());
            found.push(Setting { key, value, from_file, differs: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_says_where_it_comes_from() {
        let text = "listen: 127.0.0.1:9000\nclock:\n  max_ahead_ms: 200\n  max_behind_ms:\n";
        let settings = Settings::from_yaml(text).unwrap();
        let found = in_force(&settings, &yaml_serde::from_str(text).unwrap()).unwrap();
        let of = |key: &str| found.iter().find(|setting| setting.key == key).unwrap();
        assert!(of("listen").from_file && of("clock.max_ahead_ms").from_file);
        assert_eq!(of("clock.max_ahead_ms").value, 200);
        assert!(!of("clock.max_behind_ms").from_file && !of("cluster").from_file);
        assert!(found.iter().any(|setting| setting.key == "facts.sources"));
        assert!(of("clock.max_ahead_ms").differs && !of("clock.max_behind_ms").differs);
        let shown = super::text("a.yaml", &found, &[], false);
        assert!(shown.starts_with("a.yaml: good; 2 of "), "{shown}");
        assert!(shown.contains("clock.max_ahead_ms  200") && !shown.contains("max_behind_ms"), "{shown}");
        assert!(super::text("a.yaml", &found, &[], true).contains("clock.max_behind_ms"));
    }
}
