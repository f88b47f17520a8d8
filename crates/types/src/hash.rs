//! SHA-256 hashes, written `sha256-<64 lowercase hex>`.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

/// The text is not `sha256-` and 64 lowercase hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a hash; write \"sha256-\" and 64 lowercase hexadecimal digits")]
pub struct HashError(String);

const PREFIX: &str = "sha256-";
/// Bytes of the written form.
pub const TEXT_LENGTH: usize = PREFIX.len() + 64;
const HEX: &[u8; 16] = b"0123456789abcdef";
/// Both digits of each byte.
const HEX_PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [HEX[byte >> 4], HEX[byte & 15]];
        byte += 1;
    }
    pairs
};
/// The value of each hexadecimal digit; over 15 for what is none.
const DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[HEX[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

impl Hash {
    /// The hash before the first record of a chain.
    pub const ZERO: Hash = Hash([0; 32]);

    /// Hashes one piece of bytes.
    pub fn of(bytes: &[u8]) -> Hash {
        Hash::of_parts([bytes])
    }

    /// Hashes the concatenation of several pieces.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Hash {
        let mut hasher = Sha256::new();
        #[cfg(feature = "counting")]
        let mut length = 0;
        for part in parts {
            hasher.update(part);
            #[cfg(feature = "counting")]
            {
                length += part.len();
            }
        }
        #[cfg(feature = "counting")]
        crate::counts::hashed(length);
        Hash(hasher.finalize().into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A hash from its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Hash {
        Hash(bytes)
    }

    /// The written form, which is ASCII.
    pub fn to_text(self) -> [u8; TEXT_LENGTH] {
        let mut text = [0u8; TEXT_LENGTH];
        text[..PREFIX.len()].copy_from_slice(PREFIX.as_bytes());
        for (pair, byte) in text[PREFIX.len()..].as_chunks_mut::<2>().0.iter_mut().zip(&self.0) {
            *pair = HEX_PAIRS[usize::from(*byte)];
        }
        text
    }

    /// The first `digits` hexadecimal digits, for names and messages.
    pub fn short(&self, digits: usize) -> String {
        self.to_text().iter().skip(PREFIX.len()).take(digits).copied().map(char::from).collect()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_text()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Hash {
    type Err = HashError;
    fn from_str(text: &str) -> Result<Hash, HashError> {
        let error = || HashError(text.chars().take(80).collect());
        let hex = text.strip_prefix(PREFIX).ok_or_else(error)?.as_bytes();
        if hex.len() != 64 {
            return Err(error());
        }
        let mut bytes = [0u8; 32];
        let mut faults = 0;
        for (byte, [high, low]) in bytes.iter_mut().zip(hex.as_chunks::<2>().0) {
            let (high, low) = (DIGITS[usize::from(*high)], DIGITS[usize::from(*low)]);
            faults |= high | low;
            *byte = high << 4 | (low & 15);
        }
        if faults > 15 { Err(error()) } else { Ok(Hash(bytes)) }
    }
}

super::text::serde_as_text!(Hash, |hash, serializer| {
    let text = hash.to_text();
    serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
});
