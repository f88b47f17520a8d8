//! Members of a cluster and the majorities that they form.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{MemberId, Position};
use crate::keys::PublicKey;

/// Names one data directory. A member that lost its disk gets another directory, and with it another number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DirectoryId(pub [u8; 16]);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not the id of a data directory: 32 lowercase hex digits")]
pub struct DirectoryIdError(String);

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for DirectoryId {
    type Err = DirectoryIdError;

    fn from_str(text: &str) -> Result<DirectoryId, DirectoryIdError> {
        let digits: Option<Vec<u8>> = text.bytes().map(hex_digit).collect();
        let digits = digits.filter(|digits| digits.len() == 32).ok_or_else(|| DirectoryIdError(text.to_owned()))?;
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
        }
        Ok(DirectoryId(id))
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

impl TryFrom<String> for DirectoryId {
    type Error = DirectoryIdError;

    fn try_from(text: String) -> Result<DirectoryId, DirectoryIdError> {
        text.parse()
    }
}

impl From<DirectoryId> for String {
    fn from(id: DirectoryId) -> String {
        id.to_string()
    }
}

/// How others know and reach a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub name: String,
    /// Its node key: it proves the member to its peers, and seals batches of the terms that it leads.
    pub key: PublicKey,
    pub directory: DirectoryId,
    /// Host and port for peers.
    pub address: String,
}

/// A member without name and address, whose key verifies nothing. The test suite of the consensus engine asks for one.
impl Default for Member {
    fn default() -> Member {
        let (name, address) = (String::new(), String::new());
        Member { name, key: PublicKey::from_bytes([0; 32]), directory: DirectoryId::default(), address }
    }
}

/// Who decides, and who is reached. A row is committed once a majority of each set of voters has it on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// One set; two while the voters change, the old and the new one.
    pub voters: Vec<BTreeSet<MemberId>>,
    /// All members. One that is in no set of voters is a learner.
    pub members: BTreeMap<MemberId, Member>,
}

impl Configuration {
    pub fn is_joint(&self) -> bool {
        self.voters.len() > 1
    }

    pub fn is_voter(&self, id: MemberId) -> bool {
        self.voters.iter().any(|set| set.contains(&id))
    }

    /// Whether these members are a majority of each set of voters. No set, no majority.
    pub fn is_quorum(&self, has: impl Fn(MemberId) -> bool) -> bool {
        let is_majority = |set: &BTreeSet<MemberId>| set.iter().filter(|id| has(**id)).count() * 2 > set.len();
        !self.voters.is_empty() && self.voters.iter().all(is_majority)
    }
}

/// A configuration and the row that it comes from; the first one of a cluster has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacedConfiguration {
    pub at: Option<Position>,
    pub configuration: Configuration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;

    fn set(ids: &[u64]) -> BTreeSet<MemberId> {
        ids.iter().copied().map(MemberId).collect()
    }

    #[test]
    fn a_joint_configuration_needs_a_majority_of_both_sets() {
        let joint = Configuration { voters: vec![set(&[1, 2, 3]), set(&[3, 4, 5])], members: BTreeMap::new() };
        assert!(joint.is_joint() && joint.is_voter(MemberId(5)) && !joint.is_voter(MemberId(6)));
        let quorum = |ids: &[u64]| joint.is_quorum(|id| ids.contains(&id.0));
        assert!(quorum(&[1, 3, 4]) && quorum(&[1, 2, 4, 5]));
        assert!(!quorum(&[1, 2, 3]) && !quorum(&[3, 4, 5]) && !quorum(&[3]));
        assert!(!Configuration::default().is_quorum(|_| true));
    }

    /// Two halves of four voters could decide differently.
    #[test]
    fn half_of_the_voters_is_no_majority() {
        let four = Configuration { voters: vec![set(&[1, 2, 3, 4])], members: BTreeMap::new() };
        assert!(!four.is_quorum(|id| id.0 <= 2) && four.is_quorum(|id| id.0 <= 3));
    }

    #[test]
    fn a_configuration_is_read_back_as_written() {
        let member = Member {
            name: "n1".to_owned(),
            key: SecretKey::from_bytes(&[7; 32]).public(),
            directory: DirectoryId([0xa5; 16]),
            address: "10.0.0.1:7501".to_owned(),
        };
        let written = PlacedConfiguration {
            at: Some(Position { term: 2, index: 9 }),
            configuration: Configuration { voters: vec![set(&[1])], members: [(MemberId(1), member)].into() },
        };
        let text = serde_json::to_string(&written).unwrap();
        assert!(text.contains(r#""1":{"name":"n1""#) && text.contains("a5a5a5a5"), "{text}");
        assert_eq!(serde_json::from_str::<PlacedConfiguration>(&text).unwrap(), written);
        let wrong = text.replace("a5a5", "A5a5");
        assert!(serde_json::from_str::<PlacedConfiguration>(&wrong).is_err(), "{wrong}");
    }
}
