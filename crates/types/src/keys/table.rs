//! A precomputed table of one key, which checks its signatures in less time and with the same result.

use curve25519_dalek::edwards::{EdwardsBasepointTable, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::BasepointTable as _;
use ed25519_dalek::VerifyingKey;
use sha2::{Digest as _, Sha512};

use super::{PublicKey, Signature};

#[cfg(test)]
mod tests;

/// Multiples of `-A`, where `A` is the key's point. It takes [`KeyTable::BYTES`] and about as much time as 30 checks.
pub struct KeyTable {
    key: PublicKey,
    minus_a: EdwardsBasepointTable,
}

impl KeyTable {
    /// Size of a table: 30 KiB.
    pub const BYTES: usize = size_of::<KeyTable>();

    /// The table of a key. A key that is no point, or one of small order, verifies no signature and gets none: `k·A` of such
    /// a key has at most eight values, so one signature would fit many messages.
    pub fn of(key: PublicKey) -> Option<KeyTable> {
        let point = VerifyingKey::from_bytes(&key.0).ok().filter(|point| !point.is_weak())?;
        Some(KeyTable { key, minus_a: EdwardsBasepointTable::create(&-point.to_edwards()) })
    }

    /// The key whose signatures it checks.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Accepts the signatures that [`PublicKey::verify`] accepts, and no others.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        #[cfg(feature = "remembering")]
        {
            super::remembered::passes(&self.key.0, message, signature, || self.check(message, signature))
        }
        #[cfg(not(feature = "remembering"))]
        {
            self.check(message, signature)
        }
    }

    /// Computes `R' = S·B - k·A` and compares its encoding with the signature's `R`. Every check of
    /// `ed25519_dalek::VerifyingKey::verify_strict` is here, or follows from one that is:
    ///
    /// - `S` is less than the group's order. `S` plus the order gives the same point, and would be a second signature of
    ///   the same message.
    /// - `k` hashes the encodings of `R` and `A` as they were received, and is reduced by the order. The products of a
    ///   point with a part of small order depend on this number, and no cofactor is multiplied, so both checks agree on
    ///   such points too.
    /// - Encodings are compared, not points. The encoding of `R'` is canonical, so another encoding of the same point is
    ///   refused, and so are bytes that are no point.
    /// - `R'` is not of small order. At this line `R` is its encoding, so this is the check of `R`.
    /// - `A` is not of small order: [`KeyTable::of`] makes no table of it.
    fn check(&self, message: &[u8], signature: &Signature) -> bool {
        let (halves, _) = signature.0.as_chunks::<32>();
        let [r, s] = halves else { return false };
        let Some(s) = Option::<Scalar>::from(Scalar::from_canonical_bytes(*s)) else { return false };
        let hash = Sha512::new().chain_update(r).chain_update(self.key.0).chain_update(message).finalize();
        let k = Scalar::from_bytes_mod_order_wide(&hash.into());
        let expected = EdwardsPoint::mul_base(&s) + self.minus_a.mul_base(&k);
        expected.compress().as_bytes() == r && !expected.is_small_order()
    }
}

impl std::fmt::Debug for KeyTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyTable({})", self.key)
    }
}
