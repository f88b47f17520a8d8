//! age (age-encryption.org/v1) with X25519 keys: identities from a file or the environment, encryption to
//! recipients, decryption into memory that is wiped.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::ExposeSecret as _;
use age::x25519;
use zeroize::Zeroizing;

use super::private;
use swoosh_files as files;

/// The environment variable that holds an identity, as text, where no file is named.
pub const IDENTITY_VARIABLE: &str = "SWOOSH_AGE_IDENTITY";

/// The most bytes of an identity file.
const MOST_IDENTITY_BYTES: u64 = 65_536;
/// The most bytes of a decrypted file.
const MOST_PLAIN_BYTES: u64 = 16 << 20;

/// Why something cannot be encrypted or decrypted. Tells nothing of what was inside.
#[derive(Debug, thiserror::Error)]
pub enum AgeError {
    /// No identity is configured.
    #[error("there is no age identity; name its file under secrets.identity, or put its text in {IDENTITY_VARIABLE}")]
    NoIdentity,
    /// A file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Others may read the identity.
    #[error("the identity {} may be read by others (mode {mode:04o}); run `chmod 600 {}`", .path.display(), .path.display())]
    Exposed {
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is no identity.
    #[error("{0} holds no age identity; it needs a line AGE-SECRET-KEY-1…, as `swoosh secrets identity` writes it")]
    Identity(String),
    /// It is no recipient.
    #[error("{0:?} is not an age recipient; write age1…, as `swoosh secrets identity` prints it")]
    Recipient(String),
    /// No recipient: the result could not be decrypted.
    #[error("there is no recipient; name at least one recipient (age1…)")]
    NoRecipients,
    /// It cannot be encrypted.
    #[error("cannot encrypt: {0}")]
    Encrypt(String),
    /// It cannot be decrypted.
    #[error("cannot decrypt: {0}; check that the identity is one of the file's recipients and the file is whole")]
    Decrypt(String),
}

/// Secret keys that files are decrypted with.
pub struct Identities(Vec<x25519::Identity>);

impl Identities {
    /// Of a file that only its owner may read, or of the environment where none is named.
    pub fn load(path: Option<&Path>) -> Result<Identities, AgeError> {
        match (path, std::env::var(IDENTITY_VARIABLE)) {
            (Some(path), _) => Identities::parse(&read_private(path)?, &path.display().to_string()),
            (None, Ok(text)) => Identities::parse(&Zeroizing::new(text), IDENTITY_VARIABLE),
            (None, Err(_)) => Err(AgeError::NoIdentity),
        }
    }

    /// Of text: one identity a line, beside comments and blank lines.
    pub fn parse(text: &str, origin: &str) -> Result<Identities, AgeError> {
        let error = || AgeError::Identity(origin.to_owned());
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let identities: Vec<x25519::Identity> =
            lines.map(|line| line.parse().map_err(|_| error())).collect::<Result<_, _>>()?;
        if identities.is_empty() { Err(error()) } else { Ok(Identities(identities)) }
    }

    /// Those who these identities are.
    pub fn recipients(&self) -> Vec<Recipient> {
        self.0.iter().map(|identity| Recipient(identity.to_public())).collect()
    }

    /// Decrypts a file, armored or binary.
    pub fn decrypt(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, AgeError> {
        let failed = |error: &dyn std::fmt::Display| AgeError::Decrypt(error.to_string());
        let decryptor = age::Decryptor::new_buffered(ArmoredReader::new(sealed)).map_err(|error| failed(&error))?;
        let identities = self.0.iter().map(|identity| identity as &dyn age::Identity);
        let reader = decryptor.decrypt(identities).map_err(|error| failed(&error))?;
        // Room for everything at once, so that no grown buffer leaves a copy behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
        reader.take(MOST_PLAIN_BYTES + 1).read_to_end(&mut plain).map_err(|error| failed(&error))?;
        if plain.len() as u64 > MOST_PLAIN_BYTES {
            return Err(AgeError::Decrypt(format!("it holds more than {MOST_PLAIN_BYTES} bytes")));
        }
        Ok(plain)
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identities([secret])")
    }
}

/// A key that can decrypt: `age1…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient(x25519::Recipient);

impl std::str::FromStr for Recipient {
    type Err = AgeError;
    fn from_str(text: &str) -> Result<Recipient, AgeError> {
        // A user may have passed the secret key by mistake.
        let shown = if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY") { "[secret]" } else { text };
        text.parse().map(Recipient).map_err(|_| AgeError::Recipient(shown.chars().take(80).collect()))
    }
}

impl std::fmt::Display for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A new identity: its text, and who it is.
pub fn new_identity() -> (Zeroizing<String>, Recipient) {
    let identity = x25519::Identity::generate();
    (Zeroizing::new(identity.to_string().expose_secret().to_owned()), Recipient(identity.to_public()))
}

/// Encrypts to all recipients, in ASCII armor.
pub fn encrypt(recipients: &[Recipient], plain: &[u8]) -> Result<Vec<u8>, AgeError> {
    if recipients.is_empty() {
        return Err(AgeError::NoRecipients);
    }
    let each = recipients.iter().map(|recipient| &recipient.0 as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(each).map_err(|error| AgeError::Encrypt(error.to_string()))?;
    let seal = || -> io::Result<Vec<u8>> {
        let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
        let mut writer = encryptor.wrap_output(armor)?;
        writer.write_all(plain)?;
        writer.finish()?.finish()
    };
    seal().map_err(|error| AgeError::Encrypt(error.to_string()))
}

/// Reads a file that only its owner may read.
fn read_private(path: &Path) -> Result<Zeroizing<String>, AgeError> {
    let failed = |source| AgeError::Read { path: path.to_owned(), source };
    let file = files::open(path).map_err(failed)?;
    if let Some(mode) = private::exposure(&file, path).map_err(failed)? {
        return Err(AgeError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MOST_IDENTITY_BYTES).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn identity() -> (Identities, Recipient, Zeroizing<String>) {
        let (text, recipient) = new_identity();
        (Identities::parse(&text, "test").unwrap(), recipient, text)
    }

    #[test]
    fn each_of_several_recipients_decrypts_and_a_stranger_does_not() {
        let ((first, to_first, _), (second, to_second, _), (stranger, ..)) = (identity(), identity(), identity());
        let sealed = encrypt(&[to_first, to_second], b"canary").unwrap();
        assert!(sealed.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----"));
        assert_eq!(first.decrypt(&sealed).unwrap().as_slice(), b"canary");
        assert_eq!(second.decrypt(&sealed).unwrap().as_slice(), b"canary");
        assert!(matches!(stranger.decrypt(&sealed), Err(AgeError::Decrypt(_))));
        assert!(matches!(encrypt(&[], b"canary"), Err(AgeError::NoRecipients)));
    }

    #[test]
    fn a_file_that_was_cut_or_changed_is_refused() {
        let (identities, recipient, _) = identity();
        let sealed = encrypt(&[recipient], &[7; 1000]).unwrap();
        assert!(identities.decrypt(&sealed[..sealed.len() / 2]).is_err());
        assert!(identities.decrypt(b"not age").is_err() && identities.decrypt(b"").is_err());
        let mut changed = sealed.clone();
        let at = changed.len() - 100;
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(identities.decrypt(&changed).is_err());
    }

    #[test]
    fn an_identity_is_read_from_a_private_file_with_comments() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity");
        let (_, recipient, text) = identity();
        std::fs::write(&path, format!("# made today\n\n{}\n", *text)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Identities::load(Some(&path)), Err(AgeError::Exposed { mode: 0o644, .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(Identities::load(Some(&path)).unwrap().recipients(), [recipient]);
        std::fs::write(&path, "# nothing\n").unwrap();
        assert!(matches!(Identities::load(Some(&path)), Err(AgeError::Identity(_))));
        assert!(matches!(Identities::load(Some(&directory.path().join("none"))), Err(AgeError::Read { .. })));
    }

    #[test]
    fn a_secret_key_given_as_recipient_is_not_repeated() {
        let (_, _, text) = identity();
        let error = text.parse::<Recipient>().unwrap_err().to_string();
        assert!(!error.contains(text.as_str()) && error.contains("age1"), "{error}");
        assert!(!format!("{:?}", identity().0).contains("AGE-SECRET"));
    }
}
