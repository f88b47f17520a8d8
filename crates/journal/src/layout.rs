//! The column families and their keys. A change here is a new [`FORMAT`], or a new [`MEMBER_FORMAT`].

use swoosh_types::ids::IdemKey;
use swoosh_types::text::ProjectName;

/// Version of the layout. A directory of another version is refused.
pub const FORMAT: u64 = 3;
/// The oldest version that is opened. Format 1 had whole decision records in place of their words, and format 2 had whole
/// receipts in place of their sums.
pub const OLDEST_FORMAT: u64 = 1;
/// Version of the layout of a cluster's member: format 3 with the families `raft` and `facts`, and rows of `meta`. A node
/// that runs alone never writes it, and programs that know no cluster refuse it.
pub const MEMBER_FORMAT: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// index → frame.
    Wal,
    /// project ‖ 0x00 ‖ index → snapshot.
    Snapshots,
    /// project ‖ 0x00 ‖ beat ‖ key text → binding, see `receipts.rs`. The beat comes first, so that the keys behind the
    /// horizon are one range.
    Idem,
    /// hash → canonical bytes of inputs and facts.
    Objects,
    /// project ‖ 0x00 ‖ index → the words of a decision record, see `decision.rs`. Its keys are also the list of a project's records.
    Decisions,
    /// Data to leave the node: `exporter/` ‖ name → position of an exporter of decision records; open effects and
    /// notes of them, see `effects.rs`.
    Outbox,
    /// Identity and metadata of the directory.
    Meta,
    /// Of a member: index of the cluster's log → row, see `member/rows.rs`.
    Raft,
    /// Of a member: kind ‖ 0x00 ‖ project ‖ 0x00 ‖ source → pushed fact.
    Facts,
}

impl Family {
    /// The families of every directory.
    pub(super) const ALL: [Family; 7] = [
        Family::Wal,
        Family::Snapshots,
        Family::Idem,
        Family::Objects,
        Family::Decisions,
        Family::Outbox,
        Family::Meta,
    ];
    /// The families that only a member's directory has.
    pub(super) const MEMBERS: [Family; 2] = [Family::Raft, Family::Facts];

    /// The family of that name.
    pub(super) fn named(name: &str) -> Option<Family> {
        Family::ALL.into_iter().chain(Family::MEMBERS).find(|family| family.name() == name)
    }

    /// The name on disk.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Family::Wal => "wal",
            Family::Snapshots => "snapshots",
            Family::Idem => "idem",
            Family::Objects => "objects",
            Family::Decisions => "decisions",
            Family::Outbox => "outbox",
            Family::Meta => "meta",
            Family::Raft => "raft",
            Family::Facts => "facts",
        }
    }
}

/// Keys of the `meta` family.
pub(super) mod meta {
    /// [`super::FORMAT`], in decimal.
    pub const FORMAT: &[u8] = b"format";
    pub const NODE: &[u8] = b"node";
    pub const CLUSTER: &[u8] = b"cluster";
    /// The incarnation, in decimal; a restore begins the next one.
    pub const INCARNATION: &[u8] = b"incarnation";
    /// Beat below which idempotency keys of every project may be gone, in decimal. Programs up to statechart
    /// version 1 raised it; since then each project has a floor of its own, and this one stays as they left it.
    pub const PRUNE_FLOOR: &[u8] = b"prune_floor";
    /// Before a project's name: the beat below which its idempotency keys may be gone, in decimal.
    pub const KEY_FLOOR: &[u8] = b"key_floor/";
    /// Index of the last record whose idempotency key was old enough to go, in decimal; absent before the first.
    pub const KEYS_AGED: &[u8] = b"keys_aged";
    /// [`RECEIPTS_REBUILT`] once no row of `idem` holds a receipt that its record gives as well, see `receipts.rs`.
    pub const RECEIPTS: &[u8] = b"receipts";
    pub const RECEIPTS_REBUILT: &[u8] = b"rebuilt";
    /// Index up to which snapshots cover every record, in decimal.
    pub const REPLAY_FLOOR: &[u8] = b"replay_floor";
    /// The proposal's clock of the snapshot that was taken last.
    pub const LAST_SNAPSHOT: &[u8] = b"last_snapshot";
    /// Where the log begins, see `base.rs`; absent while nothing was pruned.
    pub const WAL_FLOOR: &[u8] = b"wal_floor";
    /// Followed by a project: the second copy of its base, in one of two slots. The base in force is never
    /// overwritten: the next base goes to the other slot until the log's floor is raised to it.
    pub const BASES: [&[u8]; 2] = [b"base/", b"base2/"];
    /// Under which statechart and policy engine programs write, see `chart.rs`; absent where none said so.
    pub const WRITTEN: &[u8] = b"written";
    /// How many side writes there were, and the link of the last one, see `sides.rs`; absent before the first one.
    pub const SIDES: &[u8] = b"sides";
    /// There, with [`INDEXED`] as its value, when every open effect and every project that is held up has its row. Programs
    /// that knew no rows of projects left another value.
    pub const EFFECTS_INDEXED: &[u8] = b"effects_indexed";
    /// See [`EFFECTS_INDEXED`].
    pub const INDEXED: &[u8] = b"2";
    /// Before a project's name: the reasons that hold it up, see `blocked.rs`.
    pub const BLOCKED: &[u8] = b"blocked/";
    /// After all of them.
    pub const BLOCKED_END: &[u8] = b"blocked0";
    /// After all bases of each slot.
    pub const BASES_END: [&[u8]; 2] = [b"base0", b"base20"];
    /// Prefix of the number (8 bytes, big-endian) of each incarnation but the first → how it began.
    pub const BEGUN: &[u8] = b"begun/";
    /// After all of them.
    pub const BEGUN_END: &[u8] = b"begun0";
    /// The address of the node whose log this one follows; absent where a node writes to it.
    pub const FOLLOWS: &[u8] = b"follows";
    /// The doer of each kind of effect, see `hands.rs`.
    pub const HANDS: &[u8] = b"hands";
    /// Followed by a project, or by nothing for all projects: the latest policy bundle that judged a record.
    pub const POLICY: &[u8] = b"policy/";
    /// After all of them.
    pub const POLICY_END: &[u8] = b"policy0";
    /// Prefix of the number (8 bytes, big-endian, from 0) of each accepted loss.
    pub const ACCEPTED: &[u8] = b"accepted/";
    /// The member's number, in decimal. This row and the following ones are a member's, see `member.rs`.
    pub const MEMBER: &[u8] = b"member";
    /// The directory's random id, in hex.
    pub const DIRECTORY: &[u8] = b"directory";
    /// How often the member was started, in decimal, a blank, and the random number of the last start, in hex; absent before
    /// the first one.
    pub const BOOT: &[u8] = b"boot";
    /// The vote, once the watermark has it. Written with the next write.
    pub const BALLOT: &[u8] = b"ballot";
    /// The last applied row of the cluster's log.
    pub const APPLIED: &[u8] = b"applied";
    /// The last purged row, or where the log began.
    pub const PURGED: &[u8] = b"purged";
    /// A lower bound of the committed rows, as term and index.
    pub const COMMITTED: &[u8] = b"committed";
    /// The configuration at the applied row.
    pub const MEMBERS: &[u8] = b"members";
    /// The keys of all members that ever were, which sealed the records.
    pub const SEALERS: &[u8] = b"sealers";
}

/// Key of a row of the cluster's log.
pub(super) fn raft_key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// Key of a record.
pub(super) fn wal_key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// Index behind a record's key.
pub(super) fn wal_index(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

/// Key of something that belongs to a project and a number. Names hold no 0x00, so the keys of one project
/// lie together and in the order of their numbers.
pub(super) fn scoped_key(project: &ProjectName, number: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(project.as_str().len() + 9);
    key.extend_from_slice(project.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// A slot of bases, 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// The first.
    One,
    /// The second.
    Two,
}

impl Slot {
    pub(super) const ALL: [Slot; 2] = [Slot::One, Slot::Two];

    pub(super) fn other(self) -> Slot {
        if self == Slot::One { Slot::Two } else { Slot::One }
    }

    fn prefix(self) -> &'static [u8] {
        let [one, two] = meta::BASES;
        if self == Slot::One { one } else { two }
    }

    /// Where all its keys lie.
    pub(super) fn range(self) -> (Vec<u8>, Vec<u8>) {
        let [one, two] = meta::BASES_END;
        (self.prefix().to_vec(), if self == Slot::One { one } else { two }.to_vec())
    }
}

/// Key of the second copy of a project's base.
pub(super) fn base_key(project: &ProjectName, slot: Slot) -> Vec<u8> {
    [slot.prefix(), project.as_str().as_bytes()].concat()
}

/// Key of a project's floor of idempotency keys.
pub(super) fn key_floor_key(project: &ProjectName) -> Vec<u8> {
    [meta::KEY_FLOOR, project.as_str().as_bytes()].concat()
}

/// The project in the key of a base in a slot.
pub(super) fn parse_base(key: &[u8], slot: Slot) -> Option<ProjectName> {
    std::str::from_utf8(key.strip_prefix(slot.prefix())?).ok()?.parse().ok()
}

/// The first key after all keys of a project.
pub(super) fn scope_end(project: &ProjectName) -> Vec<u8> {
    let mut key = project.as_str().as_bytes().to_vec();
    key.push(1);
    key
}

/// Project and number of a scoped key, and what follows them.
pub(super) fn parse_scoped(key: &[u8]) -> Option<(ProjectName, u64, &[u8])> {
    let end = key.iter().position(|&byte| byte == 0)?;
    let (name, rest) = (key.get(..end)?, key.get(end + 1..)?);
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let project = std::str::from_utf8(name).ok()?.parse().ok()?;
    Some((project, u64::from_be_bytes(*number), rest))
}

const EXPORTER: &str = "exporter/";

/// Key of an exporter's position.
pub(super) fn exporter_key(name: &str) -> Vec<u8> {
    format!("{EXPORTER}{name}").into_bytes()
}

/// The first key after all exporters' positions.
pub(super) fn exporters_end() -> Vec<u8> {
    b"exporter0".to_vec()
}

/// The exporter of a position's key.
pub(super) fn exporter_name(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key).ok()?.strip_prefix(EXPORTER)
}

/// Key of an idempotency key's binding.
pub(super) fn idem_key(project: &ProjectName, key: &IdemKey) -> Vec<u8> {
    let mut bytes = scoped_key(project, key.beat);
    bytes.extend_from_slice(key.to_string().as_bytes());
    bytes
}

/// The idempotency key in the key of its binding.
pub(super) fn parse_idem_key(key: &[u8]) -> Option<(ProjectName, IdemKey)> {
    let (project, beat, text) = parse_scoped(key)?;
    let key: IdemKey = std::str::from_utf8(text).ok()?.parse().ok()?;
    (key.beat == beat).then_some((project, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_project_lie_together_in_numeric_order() {
        let key = |name: &str, number| scoped_key(&name.parse().unwrap(), number);
        let sorted =
            [key("a", 0), key("a", 255), key("a", 256), scope_end(&"a".parse().unwrap()), key("a-b", 0), key("a.b", 7)];
        assert!(sorted.is_sorted());
        let (project, number, rest) = parse_scoped(&sorted[5]).unwrap();
        assert_eq!((project.as_str(), number, rest), ("a.b", 7, &[][..]));
    }

    #[test]
    fn mangled_keys_and_values_are_refused() {
        assert_eq!(parse_scoped(b"a\0short"), None);
        assert_eq!(parse_scoped(b"nozero"), None);
        assert_eq!(parse_scoped(b"\xff\0\0\0\0\0\0\0\0\0"), None);
        assert_eq!(wal_index(b"seven77"), None);
        let (project, key) = ("a".parse().unwrap(), "goal:7:control:uuid-0001".parse().unwrap());
        let bytes = idem_key(&project, &key);
        assert_eq!(parse_idem_key(&bytes), Some((project.clone(), key)));
        assert_eq!(parse_idem_key(&bytes[..bytes.len() - 9]), None);
        assert_eq!(parse_idem_key(&[scoped_key(&project, 8).as_slice(), b"goal:7:control:uuid-0001"].concat()), None);
    }
}
