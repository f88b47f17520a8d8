//! Incarnations: where a log was put back or taken over, and goes on as another one.
//!
//! A log that is restored, or that a follower takes over, may lack acknowledged records of the previous one. So it
//! must never be taken for the same: the beginning of an incarnation is part of the chain. Its first record does not
//! follow the last record before it, but this document, which names that record's link.

use serde::{Deserialize, Serialize};

use super::canonical::canonical_bytes;
use super::hash::Hash;
use super::hlc::Hlc;

/// First line of what the link of an incarnation is taken over.
const DOMAIN: &[u8] = b"swoosh/incarnation/v1\n";

/// How an incarnation began. The first one, which has number 1, has no such document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incarnation {
    /// Its number; those of one log rise.
    pub number: u64,
    /// The last record of the incarnation before; 0 for none.
    pub after: u64,
    /// The link that this document follows.
    pub link: Hash,
    /// When it began.
    pub at: Hlc,
    pub reason: String,
}

impl Incarnation {
    /// The link that its first record follows: `sha256("swoosh/incarnation/v1\n" ‖ JCS(this))`.
    pub fn beginning(&self) -> Hash {
        Hash::of_parts([DOMAIN, &canonical_bytes(self)])
    }
}

/// The number of the last of these; 1 for none.
pub fn number(incarnations: &[Incarnation]) -> u64 {
    incarnations.last().map_or(1, |last| last.number)
}

/// The link that the record after `index` follows, whose own link is `chain`.
pub fn onward(incarnations: &[Incarnation], index: u64, chain: Hash) -> Hash {
    let last = incarnations.iter().rfind(|incarnation| incarnation.after == index);
    last.map_or(chain, Incarnation::beginning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_follows_what_began_its_incarnation() {
        let chain = Hash::of(b"record 4");
        let begun = |number, link, reason: &str| Incarnation {
            number,
            after: 4,
            link,
            at: Hlc::default(),
            reason: reason.to_owned(),
        };
        let second = begun(2, chain, "restored");
        let third = begun(3, second.beginning(), "restored again");
        let all = [second.clone(), third.clone()];
        assert_eq!((number(&[]), number(&all)), (1, 3));
        assert_eq!(onward(&[], 4, chain), chain);
        assert_eq!(onward(&all, 3, chain), chain);
        assert_eq!(onward(&all, 4, chain), third.beginning());
        assert_ne!(second.beginning(), begun(2, chain, "for another reason").beginning());
    }
}
