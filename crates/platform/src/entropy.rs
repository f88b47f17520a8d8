//! Random bytes of the operating system.

use std::fmt::Write as _;

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

/// A random UUID (RFC 9562 §5.4, version 4), in 36 lowercase characters.
pub fn uuid_v4() -> Result<String, EntropyError> {
    Ok(uuid_text(random_bytes()?))
}

fn uuid_text(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (n, byte) in bytes.iter().enumerate() {
        if matches!(n, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use swoosh_types::ids::KeyUuid;

    #[test]
    fn uuids_carry_version_and_variant() {
        assert_eq!(uuid_text([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid_text([0; 16]), "00000000-0000-4000-8000-000000000000");
    }

    #[test]
    fn uuids_fit_into_idempotency_keys_and_differ() {
        let (one, other) = (uuid_v4().unwrap(), uuid_v4().unwrap());
        assert!(one.parse::<KeyUuid>().is_ok());
        assert_ne!(one, other);
        assert_ne!(secret_key().unwrap().public(), secret_key().unwrap().public());
    }
}
