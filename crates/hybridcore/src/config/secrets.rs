//! Secrets of a build: named in the configuration, looked up when a build runs, written into no rendered file.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;
use thiserror::Error;

use super::value::Value;
use super::write;
use swoosh_types::secret::Secret;

/// Prefix of the environment variables that packer reads variables from.
const PREFIX: &str = "PKR_VAR_";

/// Which packer variable comes from which environment variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SecretVariables {
    by_variable: BTreeMap<String, String>,
}

/// Environment variables that are not set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}; set them where the build runs, and nowhere else", describe(.missing))]
pub struct SecretError {
    /// Packer variable and environment variable of each.
    pub missing: Vec<(String, String)>,
}

fn describe(missing: &[(String, String)]) -> String {
    let one = |(variable, name): &(String, String)| format!("{variable} is env(\"{name}\"), and {name} is not set");
    missing.iter().map(one).collect::<Vec<_>>().join("; ")
}

impl SecretVariables {
    pub(super) fn insert(&mut self, variable: &str, environment: &str) {
        self.by_variable.insert(variable.to_owned(), environment.to_owned());
    }

    /// Packer variable and environment variable of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.by_variable.iter().map(|(variable, name)| (variable.as_str(), name.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_variable.is_empty()
    }

    /// Looks all of them up; an empty value counts as none.
    pub fn resolve(&self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<ResolvedSecrets, SecretError> {
        let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
        for (variable, name) in &self.by_variable {
            match lookup(name).filter(|value| !value.is_empty()) {
                Some(value) => drop(found.insert(variable.clone(), Secret::new(value))),
                None => missing.push((variable.clone(), name.clone())),
            }
        }
        if missing.is_empty() { Ok(ResolvedSecrets { found }) } else { Err(SecretError { missing }) }
    }

    /// Looks all of them up in this process's environment.
    pub fn from_environment(&self) -> Result<ResolvedSecrets, SecretError> {
        self.resolve(&|name| std::env::var(name).ok())
    }
}

/// Secrets that were looked up. Shown, they are `[secret]`.
#[derive(Clone, Debug, Default)]
pub struct ResolvedSecrets {
    found: BTreeMap<String, Secret>,
}

impl ResolvedSecrets {
    /// Variables for the environment of packer: `PKR_VAR_NAME` and its value.
    pub fn environment(&self) -> impl Iterator<Item = (String, &Secret)> {
        self.found.iter().map(|(variable, secret)| (format!("{PREFIX}{variable}"), secret))
    }

    /// The values, for redaction.
    pub fn values(&self) -> Vec<String> {
        self.found.values().map(|secret| secret.expose().to_owned()).collect()
    }

    /// Writes them to a new variable file with mode 0600, where no environment can be passed. The caller removes it.
    pub fn write_file(&self, path: &Path) -> io::Result<()> {
        let values = self.found.iter().map(|(name, secret)| (name.clone(), Value::Text(secret.expose().to_owned())));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(write::attributes(&values.collect()).as_bytes())?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn variables() -> SecretVariables {
        let mut variables = SecretVariables::default();
        variables.insert("proxmox_token", "PROXMOX_TOKEN");
        variables.insert("admin_password", "ADMIN");
        variables
    }

    #[test]
    fn all_missing_secrets_are_reported_together_by_name() {
        let error = variables().resolve(&|_| Some(String::new())).unwrap_err();
        assert_eq!(error.missing.len(), 2);
        let message = error.to_string();
        assert!(message.contains("proxmox_token is env(\"PROXMOX_TOKEN\"), and PROXMOX_TOKEN is not set"), "{message}");
        assert!(SecretVariables::default().resolve(&|_| None).is_ok());
    }

    #[test]
    fn values_go_to_the_environment_or_a_private_file_and_are_never_shown() {
        let resolved = variables().resolve(&|name| Some(format!("canary-{name}"))).unwrap();
        let environment: Vec<_> =
            resolved.environment().map(|(name, secret)| format!("{name}={}", secret.expose())).collect();
        assert_eq!(environment, ["PKR_VAR_admin_password=canary-ADMIN", "PKR_VAR_proxmox_token=canary-PROXMOX_TOKEN"]);
        assert!(!format!("{resolved:?}").contains("canary"));
        assert_eq!(resolved.values(), ["canary-ADMIN", "canary-PROXMOX_TOKEN"]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.pkrvars.hcl");
        resolved.write_file(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(&path).unwrap().contains("admin_password = \"canary-ADMIN\""));
        assert!(resolved.write_file(&path).is_err(), "an existing file is never overwritten");
    }
}
