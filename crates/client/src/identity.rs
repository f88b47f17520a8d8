//! The client's signing identity.

use std::fmt;
use std::str::FromStr;

use super::entropy::{self, EntropyError};
use swoosh_types::keys::{KeyError, PublicKey, SecretKey};

/// A secret key and the name it signs under. Shown by its public half only.
#[derive(Clone)]
pub struct Identity {
    key: SecretKey,
    public: PublicKey,
}

impl Identity {
    /// A new identity from the operating system's randomness.
    pub fn generate() -> Result<Identity, EntropyError> {
        Ok(SecretKey::from_bytes(&entropy::bytes()?).into())
    }

    /// The name that `signer` holds: `hmmm:pubkey:…`.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The secret key, for votes, facts and key files.
    pub fn key(&self) -> &SecretKey {
        &self.key
    }
}

impl From<SecretKey> for Identity {
    fn from(key: SecretKey) -> Identity {
        Identity { public: key.public(), key }
    }
}

impl FromStr for Identity {
    type Err = KeyError;
    /// Reads `hmmm:secret:…`, the content of a key file.
    fn from_str(text: &str) -> Result<Identity, KeyError> {
        text.parse::<SecretKey>().map(Identity::from)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_its_key_file_and_hides_its_secret() {
        let identity = Identity::generate().unwrap();
        let file = format!("{}\n", identity.key().expose());
        let read: Identity = file.parse().unwrap();
        assert_eq!(read.public(), identity.public());
        assert!(!format!("{identity:?}").contains("secret"));
        assert_ne!(Identity::generate().unwrap().public(), identity.public());
    }
}
