//! Randomness for keys, key uuids and jitter, from the operating system.

use swoosh_types::ids::KeyUuid;

/// The operating system gives no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no randomness ({0}); nothing was sent")]
pub struct EntropyError(getrandom::Error);

/// Random bytes.
pub(super) fn bytes<const N: usize>() -> Result<[u8; N], EntropyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(EntropyError)?;
    Ok(bytes)
}

/// A random UUID of version 4 (RFC 9562 §5.4).
///
/// # Panics
/// Never: a UUID's 36 characters are all of the alphabet of key uuids.
#[expect(clippy::expect_used, reason = "a UUID is a key uuid")]
pub(super) fn uuid() -> Result<KeyUuid, EntropyError> {
    let mut number = u128::from_be_bytes(bytes()?);
    number = number & !(0xf << 76) | 0x4 << 76;
    number = number & !(0x3 << 62) | 0x2 << 62;
    let digits = format!("{number:032x}");
    let (a, b, c, d, e) = (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
    Ok(format!("{a}-{b}-{c}-{d}-{e}").parse().expect("a UUID is a key uuid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_of_version_4_and_differ() {
        let (a, b) = (uuid().unwrap(), uuid().unwrap());
        assert_ne!(a, b);
        assert_eq!((a.as_str().len(), &a.as_str()[14..15]), (36, "4"));
        assert!("89ab".contains(&a.as_str()[19..20]));
    }
}
