//! Keys whose signatures passed here before, unpacked: the same few sign nearly everything.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::keys::{PublicKey, PublicPoint, Signature};

/// Keys that a thread remembers, 200 bytes each.
const REMEMBERED: usize = 1_024;

thread_local! {
    /// Only keys of signatures that passed get in, so that a flood of bad ones pushes none out.
    static KNOWN: RefCell<BTreeMap<PublicKey, PublicPoint>> = const { RefCell::new(BTreeMap::new()) };
}

/// Checks a signature as strictly as [`PublicKey::verify`].
pub(super) fn verify(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    KNOWN.with_borrow_mut(|known| {
        if let Some(point) = known.get(key) {
            return point.verify(message, signature);
        }
        let Some(point) = key.point().filter(|point| point.verify(message, signature)) else { return false };
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(*key, point);
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;

    #[test]
    fn a_known_key_is_checked_like_an_unknown_one() {
        let keys: Vec<_> = (0..40).map(|n| SecretKey::from_bytes(&[n; 32])).collect();
        for round in 0..3_u8 {
            for key in &keys {
                let signature = key.sign(&[round]);
                assert!(verify(&key.public(), &[round], &signature));
                assert!(!verify(&key.public(), &[round + 1], &signature));
                assert!(!verify(&keys[0].public(), &[round], &keys[1].sign(&[round])));
            }
        }
        assert!(!verify(&PublicKey::from_bytes([0xff; 32]), b"", &keys[0].sign(b"")));
    }
}
