//! Names of things that are more than one word: idempotency keys, effects, windows, decisions.

use std::fmt;
use std::str::FromStr;

use super::civil::{self, number};
use super::hash::Hash;
use super::hlc::Hlc;
use super::json::MAX_INTEGER;
use super::names::{EffectName, OpClass};
use super::proposal::Proposal;
use super::text::{ProjectName, TextError, checked_text, serde_as_text};

checked_text!(
    /// The goal an idempotency key belongs to. Those that begin with `swoosh.` are the node's own.
    GoalId, "a goal id; write 1 to 100 characters of A-Z, a-z, 0-9, '.', '_', '-'",
    |text| (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
);
checked_text!(
    /// The unique part of an idempotency key: a UUID, or any 8 to 64 characters of its alphabet and more.
    KeyUuid, "a uuid; write 8 to 64 characters of A-Z, a-z, 0-9, '_', '-'",
    |text| (8..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
);

impl GoalId {
    /// Whether the goal is reserved for the node's own proposals.
    pub fn is_reserved(&self) -> bool {
        self.as_str().starts_with("swoosh.")
    }
}

/// `goalId:beatIndex:opClass:uuid` (docs/design.md#idempotency), scoped to its project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdemKey {
    /// The caller's goal.
    pub goal: GoalId,
    /// The beat the caller was in, as the window schedule counts beats.
    pub beat: u64,
    /// The op class of the transition.
    pub op_class: OpClass,
    /// The unique part of the key.
    pub uuid: KeyUuid,
}

const KEY_FORM: &str =
    "an idempotency key; write goalId:beatIndex:opClass:uuid, for example goal-7:42:council:0b8e7a52";

impl fmt::Display for IdemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.goal, self.beat, self.op_class, self.uuid)
    }
}

/// Canonical decimal digits of a number up to 2^53−1.
fn canonical_number(text: &str) -> Option<u64> {
    let value = number(text).filter(|&n| n <= MAX_INTEGER)?;
    (text.len() == 1 || !text.starts_with('0')).then_some(value)
}

impl FromStr for IdemKey {
    type Err = TextError;
    fn from_str(text: &str) -> Result<IdemKey, TextError> {
        let error = || TextError::new(text, KEY_FORM);
        let parts: Vec<&str> = text.split(':').collect();
        let [goal, beat, op_class, uuid] = parts[..] else { return Err(error()) };
        Ok(IdemKey {
            goal: goal.parse()?,
            beat: canonical_number(beat).ok_or_else(error)?,
            op_class: op_class.parse().map_err(|_| error())?,
            uuid: uuid.parse()?,
        })
    }
}

serde_as_text!(IdemKey);

/// `<project>/<index>-<digest>/<effect>`: the record that opened the effect, and which effect it is.
///
/// After a restore or a promotion another record can take the same index, so the index alone does not name a record.
/// The digest does: see [`EffectId::digest_of`]. Effects that a record of statechart version 1 opened have none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EffectId {
    /// The project the effect belongs to.
    pub project: ProjectName,
    /// Index of the record that opened it.
    pub index: u64,
    /// First 16 hexadecimal digits of the hash over that record's identity; `None` under statechart version 1.
    pub digest: Option<Box<str>>,
    pub effect: EffectName,
}

/// First line of what the digest of an effect id is taken over.
const EFFECT_DOMAIN: &[u8] = b"swoosh/effect-id/v1\n";
const DIGEST_DIGITS: usize = 16;

impl EffectId {
    /// The digest for effects that the record of this proposal opens at an index and a stamped time:
    /// `sha256(domain ‖ index ‖ "\n" ‖ stamp ‖ "\n" ‖ transition ‖ "\n" ‖ key ‖ "\n" ‖ hlc ‖ "\n" ‖ head before ‖ inputs
    /// hash ‖ signer)`, numbers in decimal, the last three as 32 bytes each.
    pub fn digest_of(index: u64, at: Hlc, proposal: &Proposal) -> Box<str> {
        let Proposal { transition, idem_key, hlc, .. } = proposal;
        let texts = format!("{index}\n{at}\n{transition}\n{idem_key}\n{hlc}\n");
        let (before, inputs) = (proposal.current_state_hash.as_bytes(), proposal.inputs_hash.as_bytes());
        let parts = [EFFECT_DOMAIN, texts.as_bytes(), before, inputs, proposal.signer.as_bytes()];
        Hash::of_parts(parts).short(DIGEST_DIGITS).into()
    }

    /// Parses the digest of an id.
    pub fn parse_digest(text: &str) -> Option<Box<str>> {
        is_digest(text).then(|| text.into())
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == DIGEST_DIGITS && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl fmt::Display for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.digest {
            Some(digest) => write!(f, "{}/{}-{digest}/{}", self.project, self.index, self.effect),
            None => write!(f, "{}/{}/{}", self.project, self.index, self.effect),
        }
    }
}

impl FromStr for EffectId {
    type Err = TextError;
    fn from_str(text: &str) -> Result<EffectId, TextError> {
        let form =
            "an effect id; write <project>/<index>-<16 hexadecimal digits>/<effect>, or <project>/<index>/<effect>";
        let error = || TextError::new(text, form);
        let parts: Vec<&str> = text.split('/').collect();
        let [project, opened, effect] = parts[..] else { return Err(error()) };
        let (index, digest) = match opened.split_once('-') {
            Some((index, digest)) => (index, Some(EffectId::parse_digest(digest).ok_or_else(error)?)),
            None => (opened, None),
        };
        let index = canonical_number(index).ok_or_else(error)?;
        Ok(EffectId { project: project.parse()?, index, digest, effect: effect.parse().map_err(|_| error())? })
    }
}

serde_as_text!(EffectId);

/// `backbeat:W-2025-10-19-02`: the UTC day on which a cycle begins, and its number within that day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowId {
    /// Midnight (UTC) of the day, in milliseconds.
    pub day_ms: u64,
    /// Cycle of the day, from 0.
    pub ordinal: u64,
}

impl fmt::Display for WindowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backbeat:W-{}-{:02}", civil::Date(self.day_ms), self.ordinal)
    }
}

impl FromStr for WindowId {
    type Err = TextError;
    fn from_str(text: &str) -> Result<WindowId, TextError> {
        let error = || TextError::new(text, "a window id; write backbeat:W-2025-10-19-02");
        let rest = text.strip_prefix("backbeat:W-").ok_or_else(error)?;
        let parts: Vec<&str> = rest.split('-').collect();
        let [year, month, day, ordinal] = parts[..] else { return Err(error()) };
        let padded = year.len() == 4
            && month.len() == 2
            && day.len() == 2
            && (ordinal.len() == 2 || (ordinal.len() > 2 && !ordinal.starts_with('0')));
        let date = || civil::to_ms(number(year)?, number(month)?, number(day)?);
        match (padded, date(), number(ordinal).filter(|&n| n < civil::DAY_MS)) {
            (true, Some(day_ms), Some(ordinal)) => Ok(WindowId { day_ms, ordinal }),
            _ => Err(error()),
        }
    }
}

serde_as_text!(WindowId);

/// `bubble://dr/<project>/<index>-<hash>`: the address of a decision record. The hash is the first 16
/// digits of the record's chain value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DecisionId {
    /// The project decided about.
    pub project: ProjectName,
    pub index: u64,
    /// First 16 hexadecimal digits of the record's chain hash.
    pub digest: Box<str>,
}

impl DecisionId {
    /// The id of the decision that the record at `index` made.
    pub fn of(project: &ProjectName, index: u64, chain: &Hash) -> DecisionId {
        DecisionId { project: project.clone(), index, digest: chain.short(16).into() }
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bubble://dr/{}/{}-{}", self.project, self.index, self.digest)
    }
}

impl FromStr for DecisionId {
    type Err = TextError;
    fn from_str(text: &str) -> Result<DecisionId, TextError> {
        let error =
            || TextError::new(text, "a decision id; write bubble://dr/<project>/<index>-<16 hexadecimal digits>");
        let (project, tail) =
            text.strip_prefix("bubble://dr/").and_then(|rest| rest.split_once('/')).ok_or_else(error)?;
        let (index, digest) = tail.split_once('-').ok_or_else(error)?;
        let index = canonical_number(index).filter(|_| is_digest(digest)).ok_or_else(error)?;
        Ok(DecisionId { project: project.parse()?, index, digest: digest.into() })
    }
}

serde_as_text!(DecisionId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_text() {
        for text in ["goal-7:42:council:0b8e7a52-11", "swoosh.license:0:control:abcdefgh"] {
            assert_eq!(text.parse::<IdemKey>().unwrap().to_string(), text);
        }
        assert_eq!("backbeat:W-2025-10-19-02".parse::<WindowId>().unwrap().to_string(), "backbeat:W-2025-10-19-02");
        assert_eq!("backbeat:W-2025-10-19-12345".parse::<WindowId>().unwrap().ordinal, 12345);
        for text in ["default/17/fetch", "default/17-0123456789abcdef/fetch"] {
            assert_eq!(text.parse::<EffectId>().unwrap().to_string(), text);
        }
        let decision = "bubble://dr/default/17-0123456789abcdef";
        assert_eq!(decision.parse::<DecisionId>().unwrap().to_string(), decision);
    }

    #[test]
    fn malformed_ids_are_refused() {
        for text in [
            "",
            "a:1:council",
            "a:01:council:abcdefgh",
            "a:-1:council:abcdefgh",
            "a:1:dance:abcdefgh",
            "a:1:council:short",
            "a\u{0}:1:council:abcdefgh",
            "a:9007199254740992:council:abcdefgh",
        ] {
            assert!(text.parse::<IdemKey>().is_err(), "{text}");
        }
        for text in
            ["backbeat:W-2025-02-30-00", "backbeat:W-2025-10-19-2", "backbeat:W-2025-10-19-002", "W-2025-10-19-02"]
        {
            assert!(text.parse::<WindowId>().is_err(), "{text}");
        }
        for text in [
            "default/017/fetch",
            "default/17-/fetch",
            "default/17-0123/fetch",
            "default/17-0123456789ABCDEF/fetch",
            "default/17-0123456789abcdef-1/fetch",
            "default/17-0123456789abcdef",
        ] {
            assert!(text.parse::<EffectId>().is_err(), "{text}");
        }
    }
}
