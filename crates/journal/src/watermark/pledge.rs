//! What the watermark of a cluster's member promises besides: the end of the cluster's log, the vote, and the start of the
//! directory that gave them.
//!
//! ```text
//! one sector of 512 bytes: the content of version 2, with its checksum (140 bytes), then
//! 8 bytes  "SWOOSHMB"       1 + 8 + 8 bytes      whether there is a row; its term; its index
//! 4 bytes  version          32 bytes             hash of that row
//! 16 bytes directory        1 + 8 + 8 + 1 bytes  whether there is a vote; its term; its member; whether it is elected
//! 8 bytes  boot             32 bytes             sha256 over all of it, from the sector's first byte on
//! 16 bytes nonce            a slot is two such sectors, written at once
//! ```
//! A program that knows no cluster reads the first part, and then refuses the directory for its format.
//!
//! **A vote is in both slots.** One slot alone could hold an older vote, so a member does not start on one. A flipped bit leaves
//! the other sector of the slot; a torn write leaves the slot's old content or the new one.

use swoosh_types::cluster::{Ballot, DirectoryId, MemberId, Position};
use swoosh_types::hash::Hash;

/// Where this part begins: after the checksum of version 2.
pub(super) const AT: usize = 140;
const MAGIC: &[u8; 8] = b"SWOOSHMB";
const VERSION: u32 = 1;
/// Length of this part without its checksum.
const LENGTH: usize = 8 + 4 + 16 + 8 + 16 + 17 + 32 + 18;

/// The random number of one start.
pub type Nonce = [u8; 16];

/// A member's promises beside its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pledge {
    pub directory: DirectoryId,
    /// How often the directory was started.
    pub boot: u64,
    /// Of the last start. Of two machines with copies of one directory, each has another one.
    pub nonce: Nonce,
    /// Every row of the cluster's log up to this one was made durable and may have been acknowledged.
    pub end: Option<Position>,
    /// Its hash; [`Hash::ZERO`] where the log began with state, or has no row.
    pub row: Hash,
    /// The last vote, which may have been given.
    pub ballot: Option<Ballot>,
}

/// Writes this part behind the content of version 2 in a sector.
pub(super) fn encode(pledge: &Pledge, sector: &mut [u8]) {
    let (end, vote) = (pledge.end.unwrap_or(Position { term: 0, index: 0 }), pledge.ballot);
    let (term, member) = vote.map_or((0, 0), |ballot| (ballot.term, ballot.member.0));
    let content = [
        MAGIC.as_slice(),
        &VERSION.to_be_bytes(),
        &pledge.directory.0,
        &pledge.boot.to_be_bytes(),
        &pledge.nonce,
        &[u8::from(pledge.end.is_some())],
        &end.term.to_be_bytes(),
        &end.index.to_be_bytes(),
        pledge.row.as_bytes(),
        &[u8::from(vote.is_some())],
        &term.to_be_bytes(),
        &member.to_be_bytes(),
        &[u8::from(vote.is_some_and(|ballot| ballot.elected))],
    ];
    let content = content.concat();
    let (before, place) = sector.split_at_mut(AT);
    let check = Hash::of_parts([&*before, &content]);
    place.iter_mut().zip(content.iter().chain(check.as_bytes())).for_each(|(to, from)| *to = *from);
}

/// The part of a sector; `None` where there is none, or where it is damaged.
pub(super) fn decode(sector: &[u8]) -> Option<Pledge> {
    let (content, rest) = sector.split_at_checked(AT + LENGTH)?;
    if rest.get(..32)? != Hash::of(content).as_bytes().as_slice() {
        return None;
    }
    let rest = content.get(AT..)?.strip_prefix(MAGIC)?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    if u32::from_be_bytes(*version) != VERSION {
        return None;
    }
    let (directory, rest) = rest.split_first_chunk::<16>()?;
    let (boot, rest) = number(rest)?;
    let (nonce, rest) = rest.split_first_chunk::<16>()?;
    let (is_end, rest) = flag(rest)?;
    let (term, rest) = number(rest)?;
    let (index, rest) = number(rest)?;
    let (row, rest) = rest.split_first_chunk::<32>()?;
    let end = is_end.then_some(Position { term, index });
    let (is_vote, rest) = flag(rest)?;
    let (term, rest) = number(rest)?;
    let (member, rest) = number(rest)?;
    let (elected, _) = flag(rest)?;
    let ballot = is_vote.then_some(Ballot { term, member: MemberId(member), elected });
    let (directory, row) = (DirectoryId(*directory), Hash::from_bytes(*row));
    Some(Pledge { directory, boot, nonce: *nonce, end, row, ballot })
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    bytes.split_first_chunk::<8>().map(|(number, rest)| (u64::from_be_bytes(*number), rest))
}

fn flag(bytes: &[u8]) -> Option<(bool, &[u8])> {
    match bytes.split_first()? {
        (0, rest) => Some((false, rest)),
        (1, rest) => Some((true, rest)),
        _ => None,
    }
}
