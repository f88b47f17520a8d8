//! Random bytes of the operating system.

use swoosh_types::keys::SecretKey;

/// The operating system gave no random bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes: {0}; check that getrandom(2) is allowed here")]
pub struct EntropyError(String);

/// `N` random bytes.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], EntropyError> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(|error| EntropyError(error.to_string()))?;
    Ok(bytes)
}

/// A new secret key.
pub fn secret_key() -> Result<SecretKey, EntropyError> {
    let bytes = zeroize::Zeroizing::new(random_bytes::<32>()?);
    Ok(SecretKey::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_keys_differ() {
        assert_ne!(secret_key().unwrap().public(), secret_key().unwrap().public());
    }
}
