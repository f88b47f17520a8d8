//! `config/sources.yaml`: which repositories there are, at which references.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::address::{Address, AddressError, Role};
use super::child::Times;
use super::credentials::{CredentialRules, RuleError};
use super::git::Limits;
use super::retry::RetryPolicy;
use super::session::Rules;
use crate::state::files;
use swoosh_types::inputs::{SourceSet, SourceSpec};
use swoosh_types::text::{GitRef, Name, Url};
use swoosh_types::yaml;

/// Path of the file in a workspace.
pub const CONFIG_FILE: &str = "config/sources.yaml";
/// How long a command waits for another that is at work.
const PATIENCE: Duration = Duration::from_secs(600);

/// One repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositoryConfig {
    /// Its name, which is that of its folder under `sources/`.
    pub name: Name,
    pub url: Url,
    /// A tag, a commit id of 40 digits, or a branch when `floating` allows it.
    #[serde(rename = "ref")]
    pub reference: GitRef,
    /// Whether `ref` may be a branch.
    #[serde(default)]
    pub floating: bool,
}

/// How sources are scanned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScanConfig {
    /// An external scanner: a program and its arguments, run in each working tree without a shell. It ends with
    /// 0 when all is well and with 1 when it found something. Empty by default: only the built-in checks run.
    pub command: Vec<String>,
    /// A file of credential rules in gitleaks' form, in the place of the built-in ones. It is read at each scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_rules: Option<PathBuf>,
    /// A scan older than this many days is stale; 7 by default.
    pub max_age_days: u64,
    /// The most seconds that the scanner may run; 600 by default.
    pub time_limit_s: u64,
}

impl Default for ScanConfig {
    fn default() -> ScanConfig {
        ScanConfig { command: Vec::new(), credential_rules: None, max_age_days: 7, time_limit_s: 600 }
    }
}

/// Why a file of credential rules cannot be used.
#[derive(Debug, Error)]
pub enum RulesError {
    /// It cannot be read.
    #[error("the credential rules {} cannot be read ({source}); name a file that this user may read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// It is not a rule file.
    #[error("{}: {source}; config/scan/credentials.toml shows the form", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        #[source]
        source: RuleError,
    },
}

impl ScanConfig {
    /// The text of the rule file, after checking that it can be used; `None` for the built-in rules.
    pub fn credential_rules(&self) -> Result<Option<String>, RulesError> {
        let Some(path) = &self.credential_rules else { return Ok(None) };
        let text =
            files::read_to_string(path).map_err(|source| RulesError::Unreadable { path: path.to_owned(), source })?;
        CredentialRules::parse(&text).map_err(|source| RulesError::Malformed { path: path.to_owned(), source })?;
        Ok(Some(text))
    }
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcesConfig {
    pub repositories: Vec<RepositoryConfig>,
    /// Tries.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
    /// The most seconds that one request to git may take; 3,600 by default.
    #[serde(default = "an_hour")]
    pub time_limit_s: u64,
    /// The most seconds that a server may be silent; 120 by default.
    #[serde(default = "two_minutes")]
    pub silence_s: u64,
    #[serde(default)]
    pub scan: ScanConfig,
}

/// The error of the first invalid address, with the form to write instead.
fn wrong_address(path: &Path, text: &str) -> Option<ConfigError> {
    let document: serde_json::Value = yaml::checked(text).and_then(yaml_serde::from_str).ok()?;
    document.get("repositories")?.as_array()?.iter().find_map(|repository| {
        let text = |key: &str| repository.get(key).and_then(serde_json::Value::as_str);
        let (name, url) = (text("name")?.parse().ok()?, text("url").filter(|url| url.parse::<Url>().is_err())?);
        let source = Address::parse(url, Role::Source).err()?;
        Some(ConfigError::Address { path: path.to_owned(), name, source })
    })
}

fn an_hour() -> u64 {
    3600
}

fn two_minutes() -> u64 {
    120
}

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{} cannot be read ({source}); write one as docs/hybridcore.md shows, or name another with --config", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// It does not say what it should.
    #[error("{}: {detail}; docs/hybridcore.md shows every key", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        detail: String,
    },
    /// Two repositories have one name.
    #[error("{}: two repositories are named {name}; give one another name", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        name: Name,
    },
    /// A repository's address is no good.
    #[error("{}: {name}: {source}", path.display())]
    Address {
        /// The file.
        path: PathBuf,
        /// The repository.
        name: Name,
        #[source]
        source: AddressError,
    },
}

impl SourcesConfig {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<SourcesConfig, ConfigError> {
        let text =
            files::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let mut config = SourcesConfig::parse(path, &text)?;
        let beside = |rules: PathBuf| path.parent().unwrap_or(Path::new("")).join(rules);
        config.scan.credential_rules = config.scan.credential_rules.map(beside);
        Ok(config)
    }

    fn parse(path: &Path, text: &str) -> Result<SourcesConfig, ConfigError> {
        let malformed = |error: yaml_serde::Error| {
            let redactor = crate::logs::Redactor::default();
            ConfigError::Malformed { path: path.to_owned(), detail: redactor.clean(&error.to_string()) }
        };
        // Some editors begin a file with a byte-order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let config: SourcesConfig = crate::config::exact::from_yaml(text)
            .map_err(|error| wrong_address(path, text).unwrap_or_else(|| malformed(error)))?;
        let mut names = BTreeSet::new();
        for RepositoryConfig { name, url, .. } in &config.repositories {
            let (path, name) = (path.to_owned(), name.clone());
            if !names.insert(name.clone()) {
                return Err(ConfigError::Twice { path, name });
            }
            if let Err(source) = Address::parse(url.as_str(), Role::Source) {
                return Err(ConfigError::Address { path, name, source });
            }
        }
        Ok(config)
    }

    /// The repositories as the machine knows them.
    pub fn set(&self) -> SourceSet {
        let spec = |repository: &RepositoryConfig| {
            let (url, reference) = (repository.url.clone(), repository.reference.clone());
            (repository.name.clone(), SourceSpec { url, reference })
        };
        self.repositories.iter().map(spec).collect()
    }

    pub fn rules(&self) -> Rules {
        let floating = self.repositories.iter().filter(|repository| repository.floating);
        let floating: BTreeMap<Name, GitRef> =
            floating.map(|repository| (repository.name.clone(), repository.reference.clone())).collect();
        Rules { floating, limits: self.limits, retry: self.retry, patience: PATIENCE, fence: None }
    }

    /// Time limits of git.
    pub fn times(&self) -> Times {
        Times { request: Duration::from_secs(self.time_limit_s), silence: Duration::from_secs(self.silence_s) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_ships_is_good_and_pins_everything() {
        let config =
            SourcesConfig::load(&Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(CONFIG_FILE)).unwrap();
        assert!(!config.repositories.is_empty());
        assert!(config.repositories.iter().all(|repository| !repository.floating));
    }

    #[test]
    fn errors_are_reported_with_the_file_and_the_key() {
        for (text, expected) in [
            (
                "repositories: [{name: a, url: 'https://h/x', ref: v1}, {name: a, url: 'https://h/y', ref: v1}]",
                "two repositories",
            ),
            ("repositories: [{name: a, url: 'http://h/x', ref: v1}]", "http:// is not allowed"),
            ("repositories: [{name: a, url: 'https://h/x', ref: '-v1'}]", "git reference"),
            ("repositories: [{name: ../a, url: 'https://h/x', ref: v1}]", "a name"),
            ("repositories: []\nretries: 3", "retries"),
            ("repositories: [{name: a, url: 'git@h.example:x/y.git', ref: v1}]", "write ssh://git@h.example/x/y.git"),
            ("repositories: [{name: a, url: 'git@h.example: a/b', ref: v1}]", "write ssh://git@h.example/a/b"),
            (
                "repositories: [{name: a, url: /srv/a.git, ref: v1}]",
                "a: \"/srv/a.git\" is a path; write file:///srv/a.git",
            ),
            ("repositories: [{name: a, url: ~/a.git, ref: v1}]", "write file:///home/USER/a.git"),
            ("repositories: [{name: a, url: ./a, ref: v1}]", "write file:///absolute/path/a"),
            ("repositories: [{name: a, url: 'file:/srv/a', ref: v1}]", "write file:///srv/a"),
            ("repositories: [{name: a, url: 'C:\\x', ref: v1}]", "is a path of Windows"),
            ("repositories: [{name: a, url: ' ', ref: v1}]", "an address is empty"),
            ("repositories: [{name: a, url: ' https://h/x', ref: v1}]", "write https://h/x"),
            ("repositories: [{name: a, url: 'https://h/x y', ref: v1}]", "write https://h/x%20y"),
            ("repositories: [{name: a, name: b, url: 'https://h/x', ref: v1}]", "twice"),
        ] {
            let error = SourcesConfig::parse(Path::new("sources.yaml"), text).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("sources.yaml"), "{text}: {error}");
        }
    }
}
