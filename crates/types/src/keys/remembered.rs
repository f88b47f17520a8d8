//! Signatures that this thread made or checked before, for the simulation: clients, node and tools share one thread and check the same
//! signatures many times, and a world may run twice.
//!
//! The feature `remembering` compiles it, which only the simulation enables (`tests/integration/workspace.rs`). A thread remembers while
//! it holds a [`Remembering`]. The key of the memory is one hash over key, signature and message.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::{PublicKey, Signature};
use crate::hash::Hash;

/// One in so many signatures made here is checked all the same.
const CHECKED_ALL_THE_SAME: u8 = 16;

#[derive(Default)]
struct Memory {
    made: BTreeMap<Hash, Signature>,
    passed: BTreeMap<Hash, bool>,
}

thread_local! {
    static MEMORY: RefCell<Option<Memory>> = const { RefCell::new(None) };
}

/// While it is held, the thread that made it remembers what it signs and checks.
#[derive(Debug)]
pub struct Remembering(std::marker::PhantomData<*const ()>);

impl Remembering {
    /// Begins with nothing.
    pub fn begin() -> Remembering {
        MEMORY.replace(Some(Memory::default()));
        Remembering(std::marker::PhantomData)
    }
}

impl Drop for Remembering {
    fn drop(&mut self) {
        MEMORY.replace(None);
    }
}

fn is_on() -> bool {
    MEMORY.with_borrow(Option::is_some)
}

/// Whether a signature passes: the remembered result, or that of `check`.
pub(super) fn passes(key: &[u8; 32], message: &[u8], signature: &Signature, check: impl FnOnce() -> bool) -> bool {
    if !is_on() {
        return check();
    }
    let what = Hash::of_parts([key.as_slice(), signature.as_bytes(), message]);
    if let Some(found) = MEMORY.with_borrow(|memory| memory.as_ref()?.passed.get(&what).copied()) {
        return found;
    }
    let found = check();
    MEMORY.with_borrow_mut(|memory| memory.as_mut().map(|memory| memory.passed.insert(what, found)));
    found
}

/// The signature of a message: the one made before, or the one that `sign` makes, which is always the same.
pub(super) fn made(key: PublicKey, message: &[u8], sign: impl FnOnce() -> Signature) -> Signature {
    if !is_on() {
        return sign();
    }
    let what = Hash::of_parts([key.as_bytes().as_slice(), message]);
    if let Some(made) = MEMORY.with_borrow(|memory| memory.as_ref()?.made.get(&what).copied()) {
        return made;
    }
    let signature = sign();
    let passed = Hash::of_parts([key.as_bytes().as_slice(), signature.as_bytes(), message]);
    MEMORY.with_borrow_mut(|memory| {
        let Some(memory) = memory else { return };
        memory.made.insert(what, signature);
        // Signatures by the key's own holder in this thread pass; a part of them is checked all the same.
        if !passed.as_bytes()[0].is_multiple_of(CHECKED_ALL_THE_SAME) {
            memory.passed.insert(passed, true);
        }
    });
    signature
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;

    #[test]
    fn what_is_remembered_is_what_would_be_found() {
        let keys: Vec<_> = (0..4).map(|n| SecretKey::from_bytes(&[n; 32])).collect();
        let messages: Vec<_> = (0..40_u8).map(|n| vec![n; 9]).collect();
        let signed = |key: &SecretKey| messages.iter().map(|message| key.sign(message)).collect::<Vec<_>>();
        let plain: Vec<_> = keys.iter().map(signed).collect();
        let remembering = Remembering::begin();
        for _ in 0..2 {
            assert_eq!(keys.iter().map(signed).collect::<Vec<_>>(), plain);
            for (nth, message) in messages.iter().enumerate() {
                assert!(keys[0].public().verify(message, &plain[0][nth]));
                assert!(keys[0].public().point().unwrap().verify(message, &plain[0][nth]));
                assert!(!keys[0].public().verify(message, &plain[1][nth]), "another key's");
                assert!(!keys[0].public().verify(b"other", &plain[0][nth]), "another message");
                assert!(!keys[0].public().verify(message, &plain[0][(nth + 1) % 40]), "another signature");
            }
        }
        drop(remembering);
        assert!(!is_on());
    }

    #[test]
    fn nothing_is_remembered_unasked() {
        let key = SecretKey::from_bytes(&[3; 32]);
        assert!(key.public().verify(b"it", &key.sign(b"it")));
        assert!(!is_on());
    }
}
