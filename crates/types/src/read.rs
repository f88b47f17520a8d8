//! A signed read: the document that a caller signs to read on an address where reads are closed
//! (docs/design.md#reads).
//!
//! The document is never sent. Its members travel as the request's target and three headers; the verifier reassembles
//! it.

use serde::{Deserialize, Serialize};

use super::canonical::canonical_bytes;
use super::hlc::Hlc;
use super::keys::{self, PublicKey, SecretKey, Signature, domain};
use super::text::ClusterId;

/// The header that names who signed a read.
pub const SIGNER_HEADER: &str = "x-hmmm-signer";
/// The header with the caller's clock.
pub const HLC_HEADER: &str = "x-swoosh-hlc";
pub const SIGNATURE_HEADER: &str = "x-hmmm-signature";

/// One read by one identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRead {
    /// The caller's clock: a read counts only while it is near the node's.
    pub hlc: Hlc,
    pub signer: PublicKey,
    /// Path and query as they stand in the request: `/state?project=a`.
    pub target: String,
}

impl SignedRead {
    /// The bytes that are signed.
    pub fn message(&self, cluster: &ClusterId) -> Vec<u8> {
        keys::message(domain::READ, cluster, &canonical_bytes(self))
    }

    /// Signs the read for one cluster.
    pub fn sign(&self, cluster: &ClusterId, key: &SecretKey) -> Signature {
        key.sign(&self.message(cluster))
    }

    /// Whether a signature is the signer's over this read.
    pub fn is_signed_by(&self, cluster: &ClusterId, signature: &Signature) -> bool {
        self.signer.verify(&self.message(cluster), signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_counts_for_one_target_one_time_and_one_cluster() {
        let (here, there): (ClusterId, ClusterId) = ("here".parse().unwrap(), "there".parse().unwrap());
        let key = SecretKey::from_bytes(&[7; 32]);
        let hlc = Hlc::new(1_760_832_000_000, 0).unwrap();
        let read = SignedRead { hlc, signer: key.public(), target: "/state?project=a".into() };
        let signature = read.sign(&here, &key);
        assert!(read.is_signed_by(&here, &signature));
        assert!(!read.is_signed_by(&there, &signature));
        assert!(!SignedRead { target: "/state?project=b".into(), ..read.clone() }.is_signed_by(&here, &signature));
        let later = SignedRead { hlc: Hlc::new(1_760_832_000_001, 0).unwrap(), ..read };
        assert!(!later.is_signed_by(&here, &signature));
    }

    #[test]
    fn the_signed_bytes_are_the_domain_the_cluster_and_the_canonical_document() {
        let key = SecretKey::from_bytes(&[7; 32]);
        let read = SignedRead { hlc: Hlc::default(), signer: key.public(), target: "/wal".into() };
        let expected = format!(
            "swoosh/read/v1\nhere\n{{\"hlc\":\"{}\",\"signer\":\"{}\",\"target\":\"/wal\"}}",
            read.hlc, read.signer
        );
        assert_eq!(String::from_utf8(read.message(&"here".parse().unwrap())).unwrap(), expected);
    }
}
