//! The first frame in each direction of a connection. Its form never changes, so that members of any two versions can name their
//! difference: unknown members of these documents are passed over, and their frames have version 0.

use std::fmt;

use serde::{Deserialize, Serialize};
use swoosh_types::canonical::{from_slice, try_canonical_bytes};
use swoosh_types::cluster::{Ballot, DirectoryId, MemberId, Position};
use swoosh_types::hash::Hash;
use swoosh_types::text::ClusterId;

use super::WireError;
use super::frame::{Draft, MAX_HANDSHAKE, parts};

const HANDSHAKE_VERSION: u8 = 0;

/// The traffic of one connection. Votes and heartbeats never wait behind rows, and neither behind a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Control,
    Log,
    Bulk,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Purpose::Control => "control",
            Purpose::Log => "log",
            Purpose::Bulk => "bulk",
        })
    }
}

/// One start of a member: the counter rises by one at each, the nonce is random. Both are synced before the first hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    pub number: u64,
    /// Distinguishes two copies of one directory, which have the same number.
    pub nonce: DirectoryId,
}

/// What a member's program reads and writes. A range is from the least to the greatest version, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    pub wire_least: u64,
    pub wire_most: u64,
    /// The greatest version of the statechart that this program knows.
    pub chart: u64,
    /// The format of its data directory.
    pub format: u64,
}

/// Who a member is, and the state of its directory. The TLS handshake has proved the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub cluster: ClusterId,
    /// Counts restores and recoveries of the cluster's chain.
    pub incarnation: u64,
    /// The chain's link at the beginning of the incarnation: two clusters of one name differ in it.
    pub founded: Hash,
    pub member: MemberId,
    /// The member that the sender wants to reach, or answers.
    pub to: MemberId,
    pub directory: DirectoryId,
    pub boot: Boot,
    /// The vote and the end of the log on the sender's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ballot: Option<Ballot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Position>,
    pub versions: Versions,
    pub purpose: Purpose,
}

/// Why a hello is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum HelloRefusal {
    #[error("it belongs to another cluster")]
    OtherCluster,
    #[error("it belongs to another incarnation of the cluster")]
    OtherIncarnation,
    #[error("another member was meant")]
    OtherMember,
    #[error("it is no member")]
    UnknownMember,
    #[error("it was removed")]
    Removed,
    #[error("its key is not that of the member")]
    WrongKey,
    #[error("its directory is not that of the member")]
    WrongDirectory,
    #[error("its directory went back, or is a copy of the member's")]
    RolledBack,
    #[error("its program is too old for this wire")]
    TooOld,
    #[error("its program is too new for this wire")]
    TooNew,
    #[error("it has too many connections")]
    TooMany,
    #[error("it is not ready or stops")]
    NotReady,
    #[error("its first frame is no hello")]
    NoHello,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handshake {
    /// The dialer's first frame.
    Hello(Hello),
    /// The acceptor's own hello; the dialer checks it in turn.
    Welcome(Hello),
    /// The connection ends. The reason says nothing else about the refusing member.
    Refused { why: HelloRefusal },
}

/// Fails where a number is over 2^53 − 1.
pub fn encode_handshake(handshake: &Handshake) -> Result<Vec<u8>, WireError> {
    Ok(Draft::new(HANDSHAKE_VERSION, &try_canonical_bytes(handshake)?, 0)?.finish())
}

pub fn decode_handshake(frame: &[u8]) -> Result<Handshake, WireError> {
    if frame.len() > MAX_HANDSHAKE + 4 {
        return Err(WireError::FrameTooLong { bytes: frame.len() as u64, most: MAX_HANDSHAKE as u64 });
    }
    let parts = parts(frame, HANDSHAKE_VERSION)?;
    if !parts.blobs.is_empty() {
        return Err(WireError::Leftover(parts.blobs.len() as u64));
    }
    Ok(from_slice(parts.header)?)
}
