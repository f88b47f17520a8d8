//! ed25519 keys and signatures as HMMM writes them, and the domains that keep messages apart.
//!
//! A public key is `hmmm:pubkey:<base64url>`, a signature `ed25519:<base64url>`; base64url is unpadded.
//! Every signed message begins with its domain's line, so that a vote can never pass for a proposal.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;

#[cfg(feature = "remembering")]
mod remembered;
mod table;

#[cfg(feature = "remembering")]
pub use remembered::Remembering;
pub use table::KeyTable;

/// First lines of the messages that are signed.
pub mod domain {
    /// A proposal (docs/design.md#signatures).
    pub const TRANSITION: &str = "swoosh/transition/v1\n";
    /// A council vote.
    pub const VOTE: &str = "swoosh/vote/v1\n";
    pub const FACT: &str = "swoosh/fact/v1\n";
    /// The root over one committed batch of records.
    pub const BATCH: &str = "swoosh/batch/v1\n";
    /// The word of a live beat source.
    pub const BEAT: &str = "swoosh/beat/v1\n";
    /// A new key's proof that its holder agrees to a rotation.
    pub const ROTATION: &str = "swoosh/rotation/v1\n";
    /// A read on an address where reads are closed (docs/design.md#reads).
    pub const READ: &str = "swoosh/read/v1\n";
    /// An operator's order to the WHOOSH migration (docs/design.md#migration).
    pub const MIGRATION: &str = "swoosh/migration/v1\n";
}

/// Text is not a key or a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Wrong prefix, alphabet or padding.
    #[error("{0:?} is not {1}")]
    Form(String, &'static str),
    /// Right form, wrong number of bytes.
    #[error("{what} has {expected} bytes, this one {found}")]
    Length {
        what: &'static str,
        /// How many bytes it has.
        expected: usize,
        /// How many were found.
        found: usize,
    },
}

const PUBLIC_PREFIX: &str = "hmmm:pubkey:";
const SIGNATURE_PREFIX: &str = "ed25519:";
const PUBLIC_FORM: &str = "a signer; write \"hmmm:pubkey:\" and 43 characters of unpadded base64url";
const SIGNATURE_FORM: &str = "a signature; write \"ed25519:\" and 86 characters of unpadded base64url";
const SECRET_FORM: &str = "a secret key; write \"hmmm:secret:\" and 43 characters of unpadded base64url";

fn decode<const N: usize>(
    text: &str,
    prefix: &str,
    form: &'static str,
    what: &'static str,
) -> Result<[u8; N], KeyError> {
    let error = || KeyError::Form(text.chars().take(100).collect(), form);
    let encoded = text.strip_prefix(prefix).ok_or_else(error)?;
    // On the stack; a text that does not fit is decoded again to measure it.
    let mut room = [0; DECODED_ROOM];
    if URL_SAFE_NO_PAD.decode_slice(encoded, &mut room) == Ok(N)
        && let Some(bytes) = room.first_chunk::<N>()
    {
        return Ok(*bytes);
    }
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| error())?;
    <[u8; N]>::try_from(bytes.as_slice()).map_err(|_| KeyError::Length { what, expected: N, found: bytes.len() })
}

/// Room for what a key or signature is decoded to, and what the decoder wants beyond.
const DECODED_ROOM: usize = 72;
/// The longest text of a key or signature, in bytes.
const MAX_TEXT: usize = SIGNATURE_PREFIX.len() + 86;

/// The prefix and the bytes in base64url, on the stack.
struct Encoded {
    text: [u8; MAX_TEXT],
    length: usize,
}

impl Encoded {
    fn of(prefix: &str, bytes: &[u8]) -> Option<Encoded> {
        let mut text = [0u8; MAX_TEXT];
        let (start, rest) = text.split_at_mut_checked(prefix.len())?;
        start.copy_from_slice(prefix.as_bytes());
        let length = prefix.len() + URL_SAFE_NO_PAD.encode_slice(bytes, rest).ok()?;
        Some(Encoded { text, length })
    }

    fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.text.get(..self.length)?).ok()
    }
}

fn write_encoded(f: &mut fmt::Formatter<'_>, prefix: &str, bytes: &[u8]) -> fmt::Result {
    let encoded = Encoded::of(prefix, bytes).ok_or(fmt::Error)?;
    f.write_str(encoded.as_str().ok_or(fmt::Error)?)
}

fn serialize_encoded<S: serde::Serializer>(prefix: &str, bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let error = || serde::ser::Error::custom("the text of a key or a signature does not fit");
    let encoded = Encoded::of(prefix, bytes).ok_or_else(error)?;
    serializer.serialize_str(encoded.as_str().ok_or_else(error)?)
}

/// The public half of an identity, as in `signer`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// A key from its 32 bytes; whether they are a point is found out when a signature is checked.
    pub const fn from_bytes(bytes: [u8; 32]) -> PublicKey {
        PublicKey(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks a signature strictly: no small-order key, no malleated `S` (RFC 8032 §5.1.7, cofactorless).
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        let check = || self.point().is_some_and(|point| point.check(message, signature));
        #[cfg(feature = "remembering")]
        {
            remembered::passes(&self.0, message, signature, check)
        }
        #[cfg(not(feature = "remembering"))]
        {
            check()
        }
    }

    /// Why no secret key belongs to this key; none where one may. A key that is no point, or one of small order such as all
    /// zeros, verifies no signature here, and elsewhere any.
    pub fn weakness(&self) -> Option<&'static str> {
        match self.point() {
            None => Some("is no point of the curve, so no secret key belongs to it"),
            Some(point) if point.0.is_weak() => Some("is of small order, so no secret key belongs to it"),
            Some(_) if !self.is_canonical() => {
                Some("is no canonical encoding of a point, so no secret key belongs to it")
            }
            Some(_) => None,
        }
    }

    /// Whether the coordinate is less than 2^255 - 19, as RFC 8032 demands. Other bytes encode the same points as canonical ones.
    fn is_canonical(&self) -> bool {
        let [lowest, between @ .., highest] = &self.0;
        *lowest < 0xed || *highest & 0x7f != 0x7f || between.iter().any(|byte| *byte != 0xff)
    }

    /// The point that the bytes stand for, which a tenth of a check goes into; `None` where they stand for none.
    pub fn point(&self) -> Option<PublicPoint> {
        ed25519_dalek::VerifyingKey::from_bytes(&self.0).ok().map(PublicPoint)
    }
}

/// An unpacked public key, to check many of its signatures.
#[derive(Clone, Copy, Debug)]
pub struct PublicPoint(ed25519_dalek::VerifyingKey);

impl PublicPoint {
    /// Checks a signature as strictly as [`PublicKey::verify`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        #[cfg(feature = "remembering")]
        {
            remembered::passes(self.0.as_bytes(), message, signature, || self.check(message, signature))
        }
        #[cfg(not(feature = "remembering"))]
        {
            self.check(message, signature)
        }
    }

    fn check(&self, message: &[u8], signature: &Signature) -> bool {
        self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature.0)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_encoded(f, PUBLIC_PREFIX, &self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<PublicKey, KeyError> {
        decode(text, PUBLIC_PREFIX, PUBLIC_FORM, "a signer's key").map(PublicKey)
    }
}

super::text::serde_as_text!(PublicKey, |key, serializer| serialize_encoded(PUBLIC_PREFIX, &key.0, serializer));

/// An ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature([u8; 64]);

impl Signature {
    /// A signature from its 64 bytes.
    pub const fn from_bytes(bytes: [u8; 64]) -> Signature {
        Signature(bytes)
    }

    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_encoded(f, SIGNATURE_PREFIX, &self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Signature {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Signature, KeyError> {
        decode(text, SIGNATURE_PREFIX, SIGNATURE_FORM, "a signature").map(Signature)
    }
}

super::text::serde_as_text!(Signature, |it, serializer| serialize_encoded(SIGNATURE_PREFIX, &it.0, serializer));

/// The secret half of an identity. Shown as `[secret]`; wiped when dropped.
#[derive(Clone)]
pub struct SecretKey(ed25519_dalek::SigningKey);

impl SecretKey {
    /// A key from 32 random bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> SecretKey {
        SecretKey(ed25519_dalek::SigningKey::from_bytes(bytes))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    pub fn sign(&self, message: &[u8]) -> Signature {
        let sign = || Signature(self.0.sign(message).to_bytes());
        #[cfg(feature = "remembering")]
        {
            remembered::made(self.public(), message, sign)
        }
        #[cfg(not(feature = "remembering"))]
        {
            sign()
        }
    }

    /// The form that key files hold: `hmmm:secret:<base64url>`. Never print it anywhere else.
    pub fn expose(&self) -> String {
        format!("hmmm:secret:{}", URL_SAFE_NO_PAD.encode(self.0.to_bytes()))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<SecretKey, KeyError> {
        let hidden = |_| KeyError::Form("[secret]".into(), SECRET_FORM);
        decode(text.trim(), "hmmm:secret:", SECRET_FORM, "a secret key")
            .map_err(hidden)
            .map(|bytes| SecretKey::from_bytes(&bytes))
    }
}

/// The message of a signed document: domain line, cluster, canonical bytes.
pub fn message(domain: &str, cluster: &super::text::ClusterId, canonical: &[u8]) -> Vec<u8> {
    let mut message = begin_message(domain, cluster, canonical.len());
    message.extend_from_slice(canonical);
    message
}

/// The beginning of a message, whose canonical bytes are written behind it; `room` is how many are expected.
pub fn begin_message(domain: &str, cluster: &super::text::ClusterId, room: usize) -> Vec<u8> {
    let mut message = Vec::with_capacity(domain.len() + cluster.as_str().len() + 1 + room);
    message.extend_from_slice(domain.as_bytes());
    message.extend_from_slice(cluster.as_str().as_bytes());
    message.push(b'\n');
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_signatures_survive_their_text() {
        let secret = SecretKey::from_bytes(&[7; 32]);
        let signature = secret.sign(b"hello");
        let public: PublicKey = secret.public().to_string().parse().unwrap();
        assert!(public.verify(b"hello", &signature.to_string().parse().unwrap()));
        assert!(!public.verify(b"hullo", &signature));
        assert_eq!(secret.expose().parse::<SecretKey>().unwrap().public(), public);
        assert_eq!(format!("{secret:?}"), "[secret]");
    }

    #[test]
    fn says_which_length_is_wrong_and_never_shows_a_secret() {
        assert!(matches!("ed25519:AAAA".parse::<Signature>(), Err(KeyError::Length { expected: 64, found: 3, .. })));
        assert!(matches!("hmmm:pubkey:AA==".parse::<PublicKey>(), Err(KeyError::Form(..))));
        assert!(!"hmmm:secret:topsecret!".parse::<SecretKey>().unwrap_err().to_string().contains("topsecret"));
    }
}
