//! RFC 8785 canonical bytes of typed documents, and the way back.

use std::cell::RefCell;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use serde_path_to_error::Segment;

mod object;
mod serializer;
#[cfg(test)]
mod tests;

use serializer::Writer;

use super::hash::Hash;
use super::json::path::{self, Step};
use super::json::{Json, JsonError, MAX_INTEGER};

/// Why a value has no canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// A number that JSON implementations do not all hold exactly.
    #[error("{0} is not a whole number from 0 to {MAX_INTEGER}")]
    Number(String),
    /// A key of an object that is neither text nor a whole number.
    #[error("{0} is not a key; write a string")]
    Key(String),
    /// An object holds a key twice.
    #[error("the key {0} occurs twice in one object")]
    DuplicateKey(String),
    /// The type refused to be serialised.
    #[error("{0}")]
    Other(String),
}

/// The canonical bytes of an unchecked value. An absent `Option` becomes `null`, which no signed document holds, but
/// the sections of a state do.
pub fn try_canonical_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    with_canonical(value, <[u8]>::to_vec)
}

thread_local! {
    /// Written into again and again: its buffers have grown to what documents need.
    static WRITER: RefCell<Writer> = RefCell::default();
}

/// Buffers over this many bytes are let go.
const KEPT_BYTES: usize = 64 << 10;

/// Calls `read` with the canonical bytes of a value.
fn with_canonical<T: Serialize + ?Sized, R>(value: &T, read: impl FnOnce(&[u8]) -> R) -> Result<R, CanonicalError> {
    let write = |writer: &mut Writer| {
        writer.clear();
        value.serialize(&mut *writer)?;
        #[cfg(feature = "counting")]
        crate::counts::encoded(writer.bytes().len());
        let made = read(writer.bytes());
        if writer.bytes().len() > KEPT_BYTES {
            *writer = Writer::default();
        }
        Ok(made)
    };
    WRITER.with(|writer| match writer.try_borrow_mut() {
        Ok(mut writer) => write(&mut writer),
        // A value that writes another one while it is written.
        Err(_) => write(&mut Writer::default()),
    })
}

/// The canonical bytes of a document type.
///
/// # Panics
/// Never: every document type serialises to JSON (string keys, whole numbers up to 2^53−1); the vectors in
/// `tests/vectors/` check it. For unchecked numbers from outside, use [`try_canonical_bytes`].
#[expect(clippy::expect_used, reason = "document types always serialise; see the invariant above")]
pub fn canonical_bytes<T: Serialize>(document: &T) -> Vec<u8> {
    try_canonical_bytes(document).expect("document types always serialise")
}

/// `sha256` of the canonical bytes.
///
/// # Panics
/// Never, for the same reason as [`canonical_bytes`].
#[expect(clippy::expect_used, reason = "document types always serialise; see canonical_bytes")]
pub fn canonical_hash<T: Serialize>(document: &T) -> Hash {
    with_canonical(document, Hash::of).expect("document types always serialise")
}

/// A document type as a strict JSON value.
pub fn to_json<T: Serialize>(document: &T) -> Result<Json, JsonError> {
    let bytes = try_canonical_bytes(document).map_err(|error| match error {
        CanonicalError::Number(number) => JsonError::Number(number),
        CanonicalError::DuplicateKey(key) => JsonError::DuplicateKey(key),
        CanonicalError::Key(_) | CanonicalError::Other(_) => JsonError::Syntax(error.to_string()),
    })?;
    Json::parse(&bytes)
}

/// Why a document is not of the type that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not strict JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Strict JSON of another shape: a missing, unknown or mistyped member.
    #[error("{}{reason}", place(path))]
    Schema {
        /// `claim.body.resources`, `votes[2].voter`; empty for the document itself.
        path: String,
        reason: String,
    },
}

fn place(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

/// A member that is passed over when its document is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed;

impl<'de> Deserialize<'de> for Passed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Passed, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Passed)
    }
}

/// Decodes a typed document from a strict value, by way of its canonical bytes, so that the decoded document is the
/// signed one.
pub fn from_json<T: DeserializeOwned>(json: &Json) -> Result<T, DecodeError> {
    from_checked(&json.canonical())
}

/// Decodes a typed document from stored canonical bytes, all of them. The document can be encoded again: a number
/// beyond [`MAX_INTEGER`], which no canonical form has, is refused.
pub fn from_canonical<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    if has_large_number(bytes) {
        let reason = format!("it holds a number beyond {MAX_INTEGER}");
        return Err(DecodeError::Schema { path: String::new(), reason });
    }
    from_checked(bytes)
}

/// The same for bytes that come right from [`Json::canonical`], or whose hash or numbers are checked besides.
pub fn from_checked<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let decoded = T::deserialize(&mut reader).and_then(|decoded| reader.end().map(|()| decoded));
    decoded.map_err(|error| shape_fault::<T>(bytes, &error))
}

/// The fault with its path, for which the bytes are read again: documents without a fault pay nothing for it.
fn shape_fault<T: DeserializeOwned>(bytes: &[u8], error: &serde_json::Error) -> DecodeError {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let again = serde_path_to_error::deserialize::<_, T>(&mut reader);
    let (path, error) = match &again {
        Err(found) => (path_of(found.path()), found.inner()),
        // What follows the document is at fault.
        Ok(_) => (String::new(), error),
    };
    let reason = in_words_of_json(strip_position(&error.to_string()));
    let missing = reason.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    let path = missing.map_or(path.clone(), |name| path::join(&path, name));
    DecodeError::Schema { path, reason }
}

fn path_of(found: &serde_path_to_error::Path) -> String {
    let steps = found.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(Step::Entry(*index)),
        Segment::Map { key } => Some(Step::Member(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    let steps: Vec<Step> = steps.collect();
    path::outwards(&steps.into_iter().rev().collect::<Vec<_>>())
}

/// Whether a number outside of any text is too large to be written canonically.
fn has_large_number(bytes: &[u8]) -> bool {
    let (mut in_text, mut escaped, mut number) = (false, false, 0_u64);
    for &byte in bytes {
        if in_text {
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        in_text = byte == b'"';
        number =
            if byte.is_ascii_digit() { number.saturating_mul(10).saturating_add(u64::from(byte - b'0')) } else { 0 };
        if number > MAX_INTEGER {
            return true;
        }
    }
    false
}

/// Positions in canonical bytes do not help the author of the original.
fn strip_position(message: &str) -> String {
    message.rfind(" at line ").map_or(message, |at| &message[..at]).to_owned()
}

/// Serde names Rust's types; JSON's are meant.
fn in_words_of_json(message: String) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else { return message };
    let word = expected.split_whitespace().next().unwrap_or_default();
    let plain = match (word, expected) {
        (_, "a sequence") => "an array",
        ("struct" | "map", _) | (_, "a map") => "an object",
        ("enum" | "variant" | "borrowed", _) => "a string",
        ("tuple", _) => "an array",
        ("u8" | "u16" | "u32" | "u64" | "usize" | "i64", _) => "a whole number",
        ("bool", _) | (_, "a boolean") => "true or false",
        _ => return message,
    };
    let found = found
        .replace("invalid type: sequence", "invalid type: array")
        .replace("invalid type: map", "invalid type: object");
    format!("{found}, expected {plain}")
}

/// Parses strict JSON and decodes it.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    from_json(&Json::parse(bytes)?)
}
