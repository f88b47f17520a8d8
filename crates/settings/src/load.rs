//! From files to settings, schedules and policies.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use yaml_serde::{Mapping, Value};

use super::model::Settings;
use super::{DEFAULT_YAML, bounds, keys, words};
use swoosh_types::fact::PolicyBundle;
use swoosh_types::secret::SecretRef;
use swoosh_types::yaml;

const DEFAULT_REDACTION: &str = include_str!("../../../config/decisions.yaml");
const DEFAULT_POLICIES: &str = include_str!("../../../config/policies/default.cedar");

/// Overrides of the file by the command line; relative paths are relative to the working directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// In place of `data`.
    pub data: Option<PathBuf>,
    /// In place of `listen`.
    pub listen: Option<SocketAddr>,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}; name a file that is there and that this user may read", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        source: io::Error,
    },
    /// The settings are not YAML, or a value is not of its type.
    #[error("the settings cannot be read: {0}; config/swoosh.yaml shows every key")]
    Form(String),
    /// There is no such key.
    #[error("there is no key {key}; {}", .nearest.as_ref().map_or("docs/settings.md lists every key".to_owned(), |nearest| format!("did you mean {nearest}?")))]
    UnknownKey {
        /// The key found.
        key: String,
        /// The key most like it, if one may be meant.
        nearest: Option<String>,
    },
    /// A number is out of its bounds.
    #[error("{key} is {found}; it must be a whole number from {least} to {most}")]
    Bound {
        key: &'static str,
        found: String,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// A value is not one of those allowed.
    #[error("{key}: {detail}")]
    Invalid {
        key: String,
        /// The problem and the remedy.
        detail: String,
    },
    /// Something in the settings file is wrong.
    #[error("{}: {source}", .path.display())]
    In {
        /// Which file.
        path: PathBuf,
        source: Box<SettingsError>,
    },
    /// The schedule file is not a schedule.
    #[error("backbeat.file: {} is not a window schedule: {detail}; config/backbeat.yaml explains the form", .path.display())]
    Schedule {
        /// Which file.
        path: PathBuf,
        /// The problem and its place.
        detail: String,
    },
    /// The directory holds no policies.
    #[error("policies.path: there is no .cedar file in {}; add one, or leave the key out", .0.display())]
    NoPolicies(PathBuf),
    /// Policies travel in signed facts, which hold text in normalisation form C alone.
    #[error("policies.path: {} is not in Unicode normalisation form C; write it again in that form", .0.display())]
    PolicyText(PathBuf),
}

impl Settings {
    /// Reads a settings file, or the built-in one, applies the overrides, and checks every bound.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Settings, SettingsError> {
        let mut settings = match file {
            None => Settings::from_yaml(DEFAULT_YAML)?,
            Some(path) => {
                let inside = |source| SettingsError::In { path: path.to_owned(), source: Box::new(source) };
                let mut settings = Settings::from_yaml(&read(path)?).map_err(inside)?;
                settings.resolve(path.parent().unwrap_or(Path::new("")));
                settings
            }
        };
        settings.data = overrides.data.unwrap_or(settings.data);
        settings.listen = overrides.listen.unwrap_or(settings.listen);
        bounds::check_keys(&settings)?;
        Ok(settings)
    }

    /// Reads settings from YAML and checks every bound; paths stay as they are written.
    pub fn from_yaml(text: &str) -> Result<Settings, SettingsError> {
        let form = |error: yaml_serde::Error| SettingsError::Form(error.to_string());
        let document =
            match without_empty(yaml::checked(without_mark(text)).and_then(yaml_serde::from_str).map_err(form)?) {
                Value::Null => Mapping::new(),
                Value::Mapping(mapping) => mapping,
                _ => return Err(SettingsError::Form("the document is not a mapping of keys".into())),
            };
        let document = with_schedule_section(document);
        keys::check(&document)?;
        let document = Value::Mapping(document);
        bounds::check_numbers(&document)?;
        // By way of text, because only errors of text name the key; its lines mean nothing to the reader.
        let cleaned = yaml_serde::to_string(&document).map_err(form)?;
        let settings = yaml_serde::from_str(&cleaned)
            .map_err(|error| SettingsError::Form(words::plain(&without_place(&error))))?;
        bounds::check(&settings)?;
        Ok(settings)
    }

    /// Makes relative paths relative to the directory of the settings file.
    fn resolve(&mut self, directory: &Path) {
        let optional = [&mut self.node_key, &mut self.backbeat.file, &mut self.policies.path, &mut self.facts.file];
        let records = [&mut self.decisions.redaction, &mut self.decisions.jsonl, &mut self.policies.bundle];
        let secrets = [&mut self.secrets.file, &mut self.secrets.identity, &mut self.exports.directory];
        let effects = &mut self.effects;
        let effects = [&mut effects.workspace, &mut effects.definitions, &mut effects.credential_rules];
        let backup = [&mut self.backup.directory, &mut self.log.file];
        let tls = &mut self.tls;
        let tls = [&mut tls.certificate, &mut tls.key, &mut tls.client_ca];
        let optional = optional.into_iter().chain(records).chain(secrets).chain(effects).chain(tls).chain(backup);
        for path in optional.flatten().chain([&mut self.data]) {
            *path = directory.join(&*path);
        }
        let prefixes = std::mem::take(&mut self.sources.file_prefixes);
        self.sources.file_prefixes = prefixes.into_iter().map(|folder| directory.join(folder)).collect();
        for caller in self.migration.callers.values_mut() {
            caller.key = directory.join(&caller.key);
        }
    }

    /// The policies: of the file or directory that `policies.path` names, or the built-in ones. Whether
    /// they are Cedar is found out when their fact is read.
    pub fn policy_bundle(&self) -> Result<PolicyBundle, SettingsError> {
        let serial = self.policies.serial;
        let Some(path) = &self.policies.path else {
            return Ok(PolicyBundle { serial, policies: DEFAULT_POLICIES.into() });
        };
        let texts = policy_files(path)?.iter().map(|file| read_policies(file)).collect::<Result<Vec<_>, _>>()?;
        Ok(PolicyBundle { serial, policies: texts.join("\n") })
    }
}

impl Settings {
    /// The redaction policy's text: of the file that `decisions.redaction` names, or the built-in one. Whether it
    /// is one is found out when it is parsed.
    pub fn redaction_text(&self) -> Result<Cow<'static, str>, SettingsError> {
        self.decisions.redaction.as_deref().map_or(Ok(DEFAULT_REDACTION.into()), |path| Ok(read(path)?.into()))
    }

    /// Every setting that names a secret, by its key.
    pub fn secret_references(&self) -> Vec<(&'static str, &SecretRef)> {
        let all = [
            ("decisions.bubble_token", &self.decisions.bubble_token),
            ("kaching.token", &self.kaching.token),
            ("effects.slurp_token", &self.effects.slurp_token),
            ("traces.token", &self.traces.token),
        ];
        let tokens = self.migration.callers.values().map(|caller| ("migration.callers", &caller.token));
        let named = all.into_iter().chain(tokens).filter_map(|(key, reference)| Some((key, reference.as_ref()?)));
        let sources = self.sources.credentials.iter().map(|credential| ("sources.credentials", &credential.token));
        named.chain(sources).collect()
    }
}

/// The text of the built-in policies.
pub fn default_policies() -> &'static str {
    DEFAULT_POLICIES
}

pub(super) fn read(path: &Path) -> Result<String, SettingsError> {
    let text =
        swoosh_files::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    Ok(without_mark(&text).to_owned())
}

/// Text without the byte-order mark that some editors begin a file with (YAML 1.2 §5.2).
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn read_policies(path: &Path) -> Result<String, SettingsError> {
    let text = read(path)?;
    let normal = unicode_normalization::is_nfc(&text);
    if normal { Ok(text) } else { Err(SettingsError::PolicyText(path.to_owned())) }
}

/// The file itself, or the `.cedar` files of a directory by name.
fn policy_files(path: &Path) -> Result<Vec<PathBuf>, SettingsError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let error = |source| SettingsError::Read { path: path.to_owned(), source };
    let entries = std::fs::read_dir(path).map_err(error)?.collect::<Result<Vec<_>, _>>().map_err(error)?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "cedar"));
    files.sort();
    if files.is_empty() { Err(SettingsError::NoPolicies(path.to_owned())) } else { Ok(files) }
}

fn without_place(error: &yaml_serde::Error) -> String {
    let text = error.to_string();
    text.rfind(" at line ").map_or(text.as_str(), |at| &text[..at]).to_owned()
}

/// A bare path under `backbeat` is short for `backbeat.file`.
fn with_schedule_section(mut document: Mapping) -> Mapping {
    if let Some(path) = document.get_mut("backbeat").filter(|value| value.is_string()) {
        let file = std::mem::take(path);
        *path = Value::Mapping([(Value::String("file".into()), file)].into_iter().collect());
    }
    document
}

/// Takes out keys without a value: a section whose keys are all commented out keeps its defaults.
fn without_empty(value: Value) -> Value {
    let Value::Mapping(mapping) = value else { return value };
    let kept =
        mapping.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key, without_empty(value)));
    Value::Mapping(kept.collect())
}
