//! The secrets file: an age-encrypted YAML mapping of names to secrets, which settings name as
//! `secret:<name>`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use zeroize::Zeroizing;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use super::agefile::{AgeError, Identities};
use swoosh_types::secret::{Secret, SecretRef};
use swoosh_types::text::Name;
use swoosh_types::yaml;

/// A secret of fewer bytes would be found in too many places where it is none.
const SHORTEST_KNOWN: usize = 4;

/// Why secrets cannot be had. No message holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file cannot be read.
    #[error("cannot read the secrets file {}: {source}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    /// It cannot be decrypted.
    #[error("the secrets file {}: {source}", .path.display())]
    Age { path: PathBuf, source: AgeError },
    /// The content is no mapping of names to secrets.
    #[error("the secrets file {}: {source}", .path.display())]
    Form { path: PathBuf, source: SecretsFormError },
    /// The settings name a secret, and no file.
    #[error("{key} is {reference}, but secrets.file names no secrets file; make one with `swoosh secrets encrypt`")]
    NoFile {
        /// The setting.
        key: String,
        reference: SecretRef,
    },
    /// The setting is a token of HTTP requests, and no header can carry the secret.
    #[error(
        "{key} is {reference}, which has a blank, a line break or a character that is not ASCII in it, and no HTTP header can \
         carry it; write the token alone with `swoosh secrets edit`"
    )]
    Unfit {
        /// The setting.
        key: String,
        reference: SecretRef,
    },
    /// The settings name a secret that the file does not have.
    #[error("{key} is {reference}, and the secrets file has no {}; add it with `swoosh secrets edit`", .reference.name())]
    Missing {
        /// The setting.
        key: String,
        reference: SecretRef,
    },
}

/// An error in the plain text of a secrets file. Names the place, never the content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretsFormError {
    /// Not text.
    #[error("the content is not UTF-8 text")]
    Text,
    /// Not a mapping of names to texts.
    #[error(
        "line {line} is not `name: value`; write one entry for each secret, each name once, of a-z, 0-9, '.', '_', '-'"
    )]
    Entry {
        /// Which line, from 1; 0 where it is not known.
        line: usize,
    },
}

/// Secrets by name, in memory that is wiped when they are dropped.
#[derive(Debug, Default)]
pub struct Secrets {
    named: BTreeMap<Name, Secret>,
    from_file: bool,
}

impl Secrets {
    /// Decrypts a file; where none is named, there are no secrets.
    pub fn open(file: Option<&Path>, identity: Option<&Path>) -> Result<Secrets, SecretsError> {
        let Some(path) = file else { return Ok(Secrets::default()) };
        let sealed = swoosh_files::read(path).map_err(|source| SecretsError::Read { path: path.to_owned(), source })?;
        let age = |source| SecretsError::Age { path: path.to_owned(), source };
        let plain = Identities::load(identity).and_then(|identities| identities.decrypt(&sealed)).map_err(age)?;
        Secrets::parse(&plain).map_err(|source| SecretsError::Form { path: path.to_owned(), source })
    }

    /// Reads the plain text of a secrets file.
    pub fn parse(plain: &[u8]) -> Result<Secrets, SecretsFormError> {
        let text = std::str::from_utf8(plain).map_err(|_| SecretsFormError::Text)?;
        let entry = |error: yaml_serde::Error| {
            // The message may quote a value; the place is enough.
            SecretsFormError::Entry { line: error.location().map_or(0, |place| place.line()) }
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        yaml::check(text).map_err(|error| SecretsFormError::Entry { line: error.line() })?;
        let named: Option<Entries> = yaml_serde::from_str(text).map_err(entry)?;
        Ok(Secrets { named: named.unwrap_or_default().0, from_file: true })
    }

    /// Names of all secrets.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.named.keys()
    }

    /// Every secret that is long enough to be known again, as it is and as JSON writes it, the longest first.
    pub fn as_written(&self) -> Vec<Secret> {
        let json = |secret: &Secret| {
            let quoted = Zeroizing::new(serde_json::to_string(secret.expose()).unwrap_or_default());
            let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            Secret::new(inner.unwrap_or_default().to_owned())
        };
        let mut all: Vec<_> = self.named.values().flat_map(|secret| [secret.clone(), json(secret)]).collect();
        all.retain(|secret| secret.expose().len() >= SHORTEST_KNOWN);
        all.sort_by(|a, b| b.expose().len().cmp(&a.expose().len()).then_with(|| a.expose().cmp(b.expose())));
        all.dedup_by(|a, b| a.expose() == b.expose());
        all
    }

    /// The secret that a setting names, which is a token of HTTP requests; `key` is the setting's, for the error.
    pub fn find(&self, key: &str, reference: Option<&SecretRef>) -> Result<Option<Secret>, SecretsError> {
        let Some(reference) = reference else { return Ok(None) };
        let (key, found) = (key.to_owned(), self.named.get(reference.name()));
        match found {
            Some(secret) if !secret.fits_header() => Err(SecretsError::Unfit { key, reference: reference.clone() }),
            Some(secret) => Ok(Some(secret.clone())),
            None if self.from_file => Err(SecretsError::Missing { key, reference: reference.clone() }),
            None => Err(SecretsError::NoFile { key, reference: reference.clone() }),
        }
    }
}

/// Entries of a file, each name once.
#[derive(Default)]
struct Entries(BTreeMap<Name, Secret>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
        deserializer.deserialize_map(Entries::default())
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of names to secrets")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Entries, A::Error> {
        while let Some((name, secret)) = entries.next_entry::<Name, Secret>()? {
            if self.0.insert(name, secret).is_some() {
                return Err(A::Error::custom("a name appears twice"));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agefile;

    fn reference(text: &str) -> Option<SecretRef> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_secret_is_found_by_the_name_that_the_settings_give() {
        let secrets = Secrets::parse(b"# tokens\nbubble-token: |\n  abc\nkey: |\n  two\n  lines\n").unwrap();
        assert_eq!(secrets.find("k", reference("secret:bubble-token").as_ref()).unwrap().unwrap().expose(), "abc");
        let unfit = secrets.find("decisions.bubble_token", reference("secret:key").as_ref()).unwrap_err().to_string();
        assert!(unfit.starts_with("decisions.bubble_token is secret:key, which has a blank, a line break"), "{unfit}");
        assert!(secrets.find("k", None).unwrap().is_none());
        let missing = secrets.find("decisions.token", reference("secret:other").as_ref()).unwrap_err().to_string();
        assert!(missing.starts_with("decisions.token is secret:other"), "{missing}");
        let none = Secrets::default().find("k", reference("secret:a").as_ref());
        assert!(matches!(none, Err(SecretsError::NoFile { .. })));
        assert_eq!(Secrets::parse(b"# nothing yet\n").unwrap().names().count(), 0);
    }

    #[test]
    fn errors_inside_are_reported_without_the_content() {
        for text in
            ["a: b\ncanary", "a: [canary]", "Canary: canary", "a: 'canary", "- canary", "a: \"\"", "a: b\na: canary"]
        {
            let error = Secrets::parse(text.as_bytes()).unwrap_err();
            assert!(!error.to_string().to_lowercase().contains("canary"), "{text}: {error}");
        }
        assert_eq!(Secrets::parse(b"\xff").unwrap_err(), SecretsFormError::Text);
        assert!(!format!("{:?}", Secrets::parse(b"a: canary").unwrap()).contains("canary"));
    }

    #[test]
    fn the_file_is_opened_with_its_identity_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let (file, identity) = (directory.path().join("secrets.age"), directory.path().join("identity"));
        let (text, recipient) = agefile::new_identity();
        std::fs::write(&file, agefile::encrypt(&[recipient], b"a: canary\n").unwrap()).unwrap();
        for (line, good) in [(text.as_str(), true), (agefile::new_identity().0.as_str(), false)] {
            std::fs::write(&identity, line).unwrap();
            std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o600)).unwrap();
            let opened = Secrets::open(Some(&file), Some(&identity));
            assert_eq!(opened.is_ok(), good);
        }
        assert_eq!(Secrets::open(None, None).unwrap().names().count(), 0);
        assert!(matches!(Secrets::open(Some(directory.path()), None), Err(SecretsError::Read { .. })));
    }

    #[test]
    fn secrets_are_known_again_as_they_are_and_as_json_writes_them() {
        let secrets = Secrets::parse(b"short: abc\nplain: hunter2-hunter2\nquoted: 'a\"b\\c-long'\n").unwrap();
        let written: Vec<String> = secrets.as_written().iter().map(|secret| secret.expose().to_owned()).collect();
        assert_eq!(written, ["hunter2-hunter2", "a\\\"b\\\\c-long", "a\"b\\c-long"]);
    }
}
