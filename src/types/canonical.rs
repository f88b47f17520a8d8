//! RFC 8785 canonical bytes of typed documents, and the way back.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::hash::Hash;
use super::json::{Json, JsonError};

/// The canonical bytes of a document type.
///
/// # Panics
/// Never: every document type serialises to JSON (string keys, whole numbers), which is the invariant
/// that the vectors in `tests/vectors/` keep.
#[expect(clippy::expect_used, reason = "document types always serialise; see the invariant above")]
pub fn canonical_bytes<T: Serialize>(document: &T) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(document).expect("document types always serialise")
}

/// `sha256` of the canonical bytes.
pub fn canonical_hash<T: Serialize>(document: &T) -> Hash {
    Hash::of(&canonical_bytes(document))
}

/// A document type as a strict JSON value.
pub fn to_json<T: Serialize>(document: &T) -> Result<Json, JsonError> {
    Json::parse(&canonical_bytes(document))
}

/// Why a document is not of the type that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not strict JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Strict JSON of another shape: a missing, unknown or mistyped member.
    #[error("{0}")]
    Schema(String),
}

/// Decodes a typed document from a strict value, by way of its canonical bytes, so that what acts is
/// what was signed.
pub fn from_json<T: DeserializeOwned>(json: &Json) -> Result<T, DecodeError> {
    from_canonical(&json.canonical())
}

/// Decodes a typed document from canonical bytes.
pub fn from_canonical<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    T::deserialize(&mut reader).map_err(|error| DecodeError::Schema(strip_position(&error.to_string())))
}

/// Positions in canonical bytes mean nothing to whoever wrote the original.
fn strip_position(message: &str) -> String {
    message.rfind(" at line ").map_or(message, |at| &message[..at]).to_owned()
}

/// Parses strict JSON and decodes it.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    from_json(&Json::parse(bytes)?)
}
