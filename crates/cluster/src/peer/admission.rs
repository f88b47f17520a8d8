//! Whether a hello is that of the member it names. Pure.
//!
//! The engine has no guard of its own against a member whose directory went back: it would count acknowledgements that are gone. So a
//! member remembers of each other one the last boot, vote and acknowledgement that it saw.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use swoosh_types::cluster::{Ballot, MemberId, Position};
use swoosh_types::keys::PublicKey;

use super::{Identity, Standing};
use crate::messages::{Appended, Reply};
use crate::wire::{Boot, Hello, HelloRefusal, Versions};

/// The last that was seen of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub boot: Boot,
    pub ballot: Option<Ballot>,
    pub acknowledged: Option<Acknowledged>,
}

/// Rows that a member acknowledged to the leader of a term. While its vote is of this term, its log never ends before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acknowledged {
    pub term: u64,
    pub last: Position,
}

/// Checks a hello against this member, the configuration, the key that TLS proved, and what is remembered.
pub(super) fn admit(
    me: &Identity,
    standing: &Standing,
    key: &PublicKey,
    seen: Option<&Seen>,
    hello: &Hello,
) -> Result<Seen, HelloRefusal> {
    check_versions(&me.versions, &hello.versions)?;
    if hello.cluster != me.cluster {
        return Err(HelloRefusal::OtherCluster);
    }
    if (hello.incarnation, hello.founded) != (me.incarnation, me.founded) {
        return Err(HelloRefusal::OtherIncarnation);
    }
    if hello.to != me.member || hello.member == me.member {
        return Err(HelloRefusal::OtherMember);
    }
    let member = match standing {
        Standing::Member(member) => member,
        Standing::Removed => return Err(HelloRefusal::Removed),
        Standing::Unknown => return Err(HelloRefusal::UnknownMember),
    };
    if member.key != *key {
        return Err(HelloRefusal::WrongKey);
    }
    if member.directory != hello.directory {
        return Err(HelloRefusal::WrongDirectory);
    }
    if seen.is_some_and(|seen| went_back(seen, hello)) {
        return Err(HelloRefusal::RolledBack);
    }
    let ballot = later(seen.and_then(|seen| seen.ballot), hello.ballot);
    Ok(Seen { boot: hello.boot, ballot, acknowledged: seen.and_then(|seen| seen.acknowledged) })
}

/// The ranges of versions must meet.
fn check_versions(mine: &Versions, other: &Versions) -> Result<(), HelloRefusal> {
    if other.wire_most < mine.wire_least {
        return Err(HelloRefusal::TooOld);
    }
    if other.wire_least > mine.wire_most {
        return Err(HelloRefusal::TooNew);
    }
    Ok(())
}

/// A hello of the same boot may be late, and older than what was seen since; a process does not lose its own writes. After another
/// start, the disk must hold what was seen before.
fn went_back(seen: &Seen, hello: &Hello) -> bool {
    if hello.boot.number == seen.boot.number {
        return hello.boot.nonce != seen.boot.nonce;
    }
    if hello.boot.number < seen.boot.number {
        return true;
    }
    if let Some(held) = &seen.ballot
        && !hello.ballot.is_some_and(|ballot| held.allows(&ballot))
    {
        return true;
    }
    let term = hello.ballot.map(|ballot| ballot.term);
    seen.acknowledged.is_some_and(|seen| term == Some(seen.term) && hello.last < Some(seen.last))
}

fn later(held: Option<Ballot>, next: Option<Ballot>) -> Option<Ballot> {
    match (held, next) {
        (Some(held), Some(next)) if !held.allows(&next) => Some(held),
        (held, next) => next.or(held),
    }
}

/// What this member remembers of the others. It is lost with the process unless its owner stores [`Memory::all`] and gives it back.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<MemberId, Seen>>);

impl Memory {
    pub fn new(seen: BTreeMap<MemberId, Seen>) -> Memory {
        Memory(Mutex::new(seen))
    }

    pub fn all(&self) -> BTreeMap<MemberId, Seen> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MemberId, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks a hello and remembers it as one step: two connections may say hello at the same time.
    pub(super) fn admit(
        &self,
        me: &Identity,
        standing: &Standing,
        key: &PublicKey,
        hello: &Hello,
    ) -> Result<(), HelloRefusal> {
        let mut seen = self.lock();
        let now = admit(me, standing, key, seen.get(&hello.member), hello)?;
        seen.insert(hello.member, now);
        Ok(())
    }

    fn update(&self, id: MemberId, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.lock().get_mut(&id) {
            change(seen);
        }
    }

    /// An answer to an append of this leader. Only an answer that follows a sync of the vote counts: a conflict may come before it.
    pub(super) fn appended(&self, id: MemberId, leader: Ballot, appended: &Appended) {
        let Appended::Upto(last) = appended else { return };
        self.update(id, |seen| {
            seen.ballot = later(seen.ballot, Some(leader));
            let acknowledged = last.map(|last| Acknowledged { term: leader.term, last });
            seen.acknowledged = seen.acknowledged.max(acknowledged);
        });
    }

    /// A voter answers when its vote is on disk. A pre-vote changes nothing and proves nothing.
    pub(super) fn replied(&self, id: MemberId, leader: Option<Ballot>, reply: &Reply) {
        match (reply, leader) {
            (Reply::Vote(reply), _) => self.update(id, |seen| seen.ballot = later(seen.ballot, Some(reply.ballot))),
            (Reply::Append(appended), Some(leader)) => self.appended(id, leader, appended),
            _ => {}
        }
    }
}
