//! The engine's note of an effect, written before it acts.

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use swoosh_types::canonical::{DecodeError, canonical_bytes, from_slice};

/// Stored progress of an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The number of the last attempt that was begun, from 1.
    pub attempt: u32,
    /// Failures in a row that were not reported, because another attempt might do better.
    pub failures: u32,
    /// Holder of the lease: the process that began the attempt. A lease ends with its process.
    pub holder: String,
    /// When the attempt began, in milliseconds since 1970.
    pub begun_ms: u64,
    /// The log's incarnation that it was written in; 0 in notes of older programs. Events after a note of an earlier
    /// incarnation may be unknown here.
    #[serde(default)]
    pub incarnation: u64,
    /// Whether the attempt ended, so that nothing of it runs any more.
    pub ended: bool,
    /// Its outcome, until it is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

impl Note {
    /// The replacement of an unreadable note: an attempt was begun, and nothing else is known.
    pub fn unreadable() -> Note {
        Note {
            attempt: 1,
            failures: 0,
            holder: String::new(),
            begun_ms: 0,
            incarnation: 0,
            ended: false,
            outcome: None,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        canonical_bytes(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Note, DecodeError> {
        from_slice(bytes)
    }
}
