//! The part of `swoosh settings check` that reads the secrets file.

use std::io::ErrorKind;
use std::path::Path;

use crate::platform::agefile::AgeError;
use crate::platform::secrets::{Secrets, SecretsError};
use crate::settings::Settings;

/// Where systemd puts credentials of a unit, for the time that it runs.
const CREDENTIALS: &str = "/run/credentials";

/// Finds every secret that the settings name, by the rules of a start and of `swoosh secrets check`. Returns a note if the identity
/// exists only while the service runs, so that nothing could be decrypted.
pub(super) fn check(settings: &Settings) -> anyhow::Result<Option<String>> {
    let identity = settings.secrets.identity.as_deref();
    let secrets = match Secrets::open(settings.secrets.file.as_deref(), identity) {
        Err(SecretsError::Age { source, .. }) if is_absent_credential(&source) => {
            let identity = identity.unwrap_or(Path::new(CREDENTIALS)).display();
            return Ok(Some(format!(
                "secrets were not checked: {identity} exists only while the service runs; check them with `swoosh secrets check \
                 --identity FILE`"
            )));
        }
        opened => opened?,
    };
    let references = settings.secret_references();
    let faults = references.iter().filter_map(|(key, reference)| secrets.find(key, Some(reference)).err());
    let faults: Vec<String> = faults.map(|fault| fault.to_string()).collect();
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
    swoosh_node::check_callers(settings, &secrets)?;
    Ok(None)
}

fn is_absent_credential(error: &AgeError) -> bool {
    let AgeError::Read { path, source } = error else { return false };
    source.kind() == ErrorKind::NotFound && path.starts_with(CREDENTIALS)
}
