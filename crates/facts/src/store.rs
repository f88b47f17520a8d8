//! Pushed facts on disk, so that what was acknowledged is believed again after a restart.
//!
//! One file for each kind, project and source in a directory of the data directory, exchanged whole and synced
//! before the push is acknowledged. The file's content is checked again when it is read: it is trusted no more
//! than a push.
//!
//! A fact that has ended stays as a tombstone for as long as an earlier fact of its source could have an effect:
//! without it, anybody could push the earlier fact again after a restart. Facts that take back what their source said
//! are kept here also where the fact file or a polled server brought them.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::table::{FactRefusal, FactTable, Inserted};
use swoosh_files as files;
use swoosh_types::canonical::{canonical_bytes, from_json};
use swoosh_types::fact::{Fact, FactClaim};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::json::Json;

/// Most pushed facts that are kept.
pub const MOST_FACTS: usize = 65_536;
/// Most bytes that they may have together.
pub const MOST_BYTES: u64 = 256 << 20;

/// Why a pushed fact is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// It is not believed.
    #[error(transparent)]
    Refused(#[from] FactRefusal),
    /// It is the node's own, which the node says itself.
    #[error(
        "the {kind} fact is signed by the node itself, whose facts are not pushed; sign it with a key of \
         facts.sources.{kind}"
    )]
    Own { kind: swoosh_types::fact::FactKind },
    /// It is too large for its kind.
    #[error("the {kind} fact has {found} bytes in canonical form; {most} are the most, say less in one fact", kind = .kind)]
    TooLarge {
        kind: swoosh_types::fact::FactKind,
        /// How large it is, in bytes.
        found: usize,
        /// How large it may be.
        most: usize,
    },
    /// There is no room for one more.
    #[error("the node keeps {facts} pushed facts of {bytes} bytes already; let some expire, or push fewer places")]
    Full {
        /// How many there are.
        facts: usize,
        /// How many bytes they have.
        bytes: u64,
    },
    /// It could not be written.
    #[error("the fact could not be made durable: {0}; send it again")]
    Write(#[from] io::Error),
}

/// Files found at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Facts that are held again.
    pub held: usize,
    /// Facts whose files are gone now: no earlier fact of their source can have an effect any more.
    pub expired: usize,
    /// Problems of other files, which stay unchanged.
    pub problems: Vec<String>,
}

/// When the last record was stamped, in milliseconds; `None` where that is not known.
pub type LastStamp = Box<dyn Fn() -> Option<u64> + Send + Sync>;

/// The directory, and the table it fills.
pub struct FactStore {
    directory: PathBuf,
    table: Arc<FactTable>,
    /// When the last record was stamped as the store was opened.
    stamped_ms: u64,
    last_stamp: OnceLock<LastStamp>,
    /// The lock orders pushes.
    kept: Mutex<Kept>,
}

/// The files there are.
#[derive(Debug, Default)]
struct Kept {
    bytes_of: BTreeMap<String, u64>,
    sum_bytes: u64,
}

impl Kept {
    fn put(&mut self, name: String, bytes: u64) {
        let before = self.bytes_of.insert(name, bytes).unwrap_or_default();
        self.sum_bytes = self.sum_bytes + bytes - before;
    }

    /// Whether a file fits in, in the place of the one of its name.
    fn has_room(&self, name: &str, bytes: u64) -> bool {
        let before = self.bytes_of.get(name);
        let facts = self.bytes_of.len() + usize::from(before.is_none());
        facts <= MOST_FACTS && self.sum_bytes + bytes - before.unwrap_or(&0) <= MOST_BYTES
    }
}

impl FactStore {
    /// Opens the directory, making it where it is missing, and believes again what may still be believed. `stamped_ms` is
    /// when the last record was stamped: only tombstones that ended before that are removed. A wall clock that is ahead
    /// makes facts look over; they stay on disk and in the table, and count again when it is right.
    pub fn open(directory: PathBuf, table: Arc<FactTable>, stamped_ms: u64) -> io::Result<(FactStore, Restored)> {
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let (kept, last_stamp) = (Mutex::default(), OnceLock::new());
        let store = FactStore { directory, table, stamped_ms, last_stamp, kept };
        let restored = store.restore()?;
        Ok((store, restored))
    }

    /// Names who knows when the last record was stamped, from here on.
    pub fn follow_stamps(&self, last_stamp: LastStamp) {
        // It is named once, at the start.
        let _ = self.last_stamp.set(last_stamp);
    }

    /// The time that may delete: the wall clock, and never later than the last record.
    fn may_delete_ms(&self) -> u64 {
        let stamped_ms = self.last_stamp.get().and_then(|last_stamp| last_stamp());
        self.table.clock().now().wall_ms.min(stamped_ms.unwrap_or(self.stamped_ms))
    }

    /// Keeps a fact that the table holds and that has ended: it takes back what its source said before.
    pub fn keep_take_back(&self, fact: &Fact) -> Result<(), PushError> {
        let bytes = canonical_bytes(fact);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let name = file_name(&fact.claim);
        self.make_room(&mut kept, &name, bytes.len() as u64)?;
        files::replace(&self.directory.join(&name), &bytes, files::PRIVATE)?;
        kept.put(name, bytes.len() as u64);
        Ok(())
    }

    /// Refuses pushed facts of the node itself: they could bring back an old one, such as an expired license.
    fn refuse_own(&self, fact: &Fact) -> Result<(), PushError> {
        let FactClaim { kind, source, .. } = &fact.claim;
        let own = *source == self.table.node() && !self.table.is_listed(*kind, source);
        if own { Err(PushError::Own { kind: *kind }) } else { Ok(()) }
    }

    /// Checks a pushed fact, makes it durable, and holds it. A fact that is not newer than the held one changes nothing.
    pub fn push(&self, fact: Fact) -> Result<Inserted, PushError> {
        self.refuse_own(&fact)?;
        let bytes = canonical_bytes(&fact);
        let (kind, found) = (fact.claim.kind, bytes.len());
        if found > kind.max_bytes() {
            return Err(PushError::TooLarge { kind, found, most: kind.max_bytes() });
        }
        // Weighed before the lock, so that no forger keeps others waiting, and again when it is held.
        if let Some(passed) = self.passed(&fact)? {
            return Ok(passed);
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(passed) = self.passed(&fact)? {
            return Ok(passed);
        }
        let name = file_name(&fact.claim);
        self.make_room(&mut kept, &name, found as u64)?;
        files::replace(&self.directory.join(&name), &bytes, files::PRIVATE)?;
        kept.put(name, found as u64);
        // One fact in, one outcome out.
        let outcome = self.table.insert_durable(vec![fact]).pop();
        Ok(outcome.unwrap_or(Ok(Inserted::NotNewer { held: Hlc::default() }))?)
    }

    /// Why a fact is not stored, if it is not: it would change nothing.
    fn passed(&self, fact: &Fact) -> Result<Option<Inserted>, FactRefusal> {
        let outcome = self.table.weigh(fact)?;
        Ok((!outcome.is_kept(self.table.takes_back(fact))).then_some(outcome))
    }

    /// Refuses what would be over the bounds even after what ran out is gone.
    fn make_room(&self, kept: &mut Kept, name: &str, bytes: u64) -> Result<(), PushError> {
        if kept.has_room(name, bytes) {
            return Ok(());
        }
        let now_ms = self.may_delete_ms();
        let Kept { bytes_of, sum_bytes } = kept;
        bytes_of.retain(|name, bytes| {
            let path = self.directory.join(name);
            let over = read(&path).is_ok_and(|fact| fact.outlives_earlier_until_ms() < now_ms);
            let gone = over && fs::remove_file(path).is_ok();
            *sum_bytes -= if gone { *bytes } else { 0 };
            !gone
        });
        let full = PushError::Full { facts: kept.bytes_of.len(), bytes: kept.sum_bytes };
        if kept.has_room(name, bytes) { Ok(()) } else { Err(full) }
    }

    fn restore(&self) -> io::Result<Restored> {
        let mut restored = Restored::default();
        let mut facts = Vec::new();
        let now_ms = self.may_delete_ms();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.ends_with(SUFFIX) {
                // A file that a push was writing when the process ended.
                continue;
            }
            match read(&entry.path()) {
                Ok(fact) if fact.outlives_earlier_until_ms() < now_ms => {
                    fs::remove_file(entry.path())?;
                    restored.expired += 1;
                }
                Ok(fact) if self.refuse_own(&fact).is_err() => {
                    restored.problems.push(format!("{name}: it is the node's own, and those are not pushed"));
                }
                Ok(fact) => {
                    kept.put(name.clone(), entry.metadata()?.len());
                    facts.push((name, fact));
                }
                Err(problem) => restored.problems.push(format!("{name}: {problem}")),
            }
        }
        // In the order of observation, so that the same facts count as before.
        facts.sort_by_key(|(_, fact)| fact.claim.observed_at);
        let (names, facts): (Vec<_>, Vec<_>) = facts.into_iter().unzip();
        for (name, outcome) in names.iter().zip(self.table.insert_durable(facts)) {
            match outcome {
                Ok(Inserted::Held(_)) => restored.held += 1,
                Ok(Inserted::NotNewer { .. } | Inserted::Outdone { .. }) => {}
                Err(refusal) => restored.problems.push(format!("{name}: {refusal}")),
            }
        }
        Ok(restored)
    }
}

const SUFFIX: &str = ".json";

/// The same for every fact of one kind, project and source.
fn file_name(claim: &FactClaim) -> String {
    let project = claim.project.as_ref().map_or("", |project| project.as_str());
    let place =
        Hash::of_parts([claim.kind.as_str().as_bytes(), b"\n", project.as_bytes(), b"\n", claim.source.as_bytes()]);
    format!("{}-{}{SUFFIX}", claim.kind, place.short(32))
}

fn read(path: &Path) -> Result<Fact, String> {
    let most = MOST_BYTES.min(4 << 20);
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > most {
        return Err(format!("it has {length} bytes, which is more than any fact"));
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let document = Json::parse(&bytes).map_err(|error| error.to_string())?;
    from_json(&document).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use swoosh_types::fact::FactKind;

    fn put(directory: &Path, fact: &Fact) {
        fs::write(directory.join("facts").join(file_name(&fact.claim)), canonical_bytes(fact)).unwrap();
    }

    fn open(directory: &Path) -> (Arc<FactTable>, FactStore, Restored) {
        open_after(directory, NOW_MS)
    }

    fn open_after(directory: &Path, stamped_ms: u64) -> (Arc<FactTable>, FactStore, Restored) {
        let table = Arc::new(table());
        let (store, restored) = FactStore::open(directory.join("facts"), table.clone(), stamped_ms).unwrap();
        (table, store, restored)
    }

    /// A node that started with a clock a year ahead removed every fact that was over by it, though they were acknowledged.
    #[test]
    fn a_clock_that_is_ahead_of_the_records_removes_no_fact() {
        let directory = tempfile::tempdir().unwrap();
        let (_, store, _) = open(directory.path());
        let seen_ms = NOW_MS - 10 - FactKind::License.max_effect_ms();
        let mut short = license(&kaching(), seen_ms);
        short.valid_until = Hlc::new(seen_ms + 5, 0).unwrap();
        let short = short.sign(&cluster(), &kaching());
        let until_ms = short.outlives_earlier_until_ms();
        store.push(short.clone()).unwrap();
        for stamped_ms in [0, until_ms] {
            let (table, store, restored) = open_after(directory.path(), stamped_ms);
            assert_eq!((restored.held, restored.expired), (1, 0), "{restored:?}");
            assert!(table.bytes(&short.hash()).is_some());
            assert_eq!(store.may_delete_ms(), stamped_ms);
            store.follow_stamps(Box::new(|| Some(7)));
            assert_eq!(store.may_delete_ms(), 7);
        }
        assert_eq!(open_after(directory.path(), until_ms + 1).2.expired, 1, "a record was stamped later");
    }

    #[test]
    fn what_was_pushed_is_believed_again_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (_, store, restored) = open(directory.path());
        assert_eq!(restored, Restored::default());
        let fact = |project: &str, ms| {
            let mut claim = license(&kaching(), ms);
            claim.project = Some(project.parse().unwrap());
            claim.sign(&cluster(), &kaching())
        };
        for (project, ms) in [("alpha", NOW_MS - 2), ("alpha", NOW_MS - 1), ("beta", NOW_MS - 1)] {
            assert!(matches!(store.push(fact(project, ms)), Ok(Inserted::Held(_))));
        }
        assert!(matches!(store.push(fact("alpha", NOW_MS - 2)), Ok(Inserted::NotNewer { .. })));
        let mut short = fact("gamma", NOW_MS).claim;
        short.valid_until = Hlc::new(NOW_MS - 1, 0).unwrap();
        store.push(short.sign(&cluster(), &kaching())).unwrap();
        fs::write(directory.path().join("facts/license-x.json"), "no fact").unwrap();
        fs::write(directory.path().join("facts/.partial-1234"), "half").unwrap();
        let (table, _, restored) = open(directory.path());
        assert_eq!((restored.held, restored.expired, restored.problems.len()), (3, 0, 1), "{restored:?}");
        assert!(table.bytes(&fact("alpha", NOW_MS - 1).hash()).is_some());
        assert!(table.bytes(&fact("beta", NOW_MS - 1).hash()).is_some());
    }

    /// The file of a take-back was deleted at the first start after its end, and the old license, which anybody may have
    /// kept, was believed again.
    #[test]
    fn a_take_back_outlives_restarts_until_nothing_that_it_takes_back_can_count() {
        let directory = tempfile::tempdir().unwrap();
        let (_, store, _) = open(directory.path());
        let old = license(&kaching(), NOW_MS - 10_000).sign(&cluster(), &kaching());
        let mut back = license(&kaching(), NOW_MS - 5_000);
        back.valid_until = Hlc::new(NOW_MS - 4_000, 0).unwrap();
        let back = back.sign(&cluster(), &kaching());
        store.push(old.clone()).unwrap();
        assert!(matches!(store.push(back.clone()), Ok(Inserted::Held(_))));
        let last_ms = back.claim.observed_at.physical_ms() + FactKind::License.max_effect_ms();
        assert!(last_ms >= old.claim.observed_at.physical_ms() + (400 + 365) * 86_400_000, "a license and its grace");
        for stamped_ms in [NOW_MS, last_ms] {
            let (table, store, restored) = open_after(directory.path(), stamped_ms);
            assert_eq!((restored.held, restored.expired), (1, 0));
            assert!(matches!(store.push(old.clone()), Ok(Inserted::NotNewer { .. })), "{stamped_ms}");
            assert!(table.bytes(&old.hash()).is_none());
        }
    }

    /// A take-back that the fact file brought was forgotten by the restart after the file lost it.
    #[test]
    fn a_take_back_that_did_not_come_by_a_push_outlives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (table, store, _) = open(directory.path());
        let store = Arc::new(store);
        let keeper = store.clone();
        table.keep_take_backs(Box::new(move |fact| keeper.keep_take_back(fact).unwrap()));
        let old = license(&kaching(), NOW_MS - 10_000).sign(&cluster(), &kaching());
        store.push(old.clone()).unwrap();
        let mut back = license(&kaching(), NOW_MS - 5_000);
        back.valid_until = Hlc::new(NOW_MS - 4_000, 0).unwrap();
        assert!(matches!(table.insert(back.sign(&cluster(), &kaching())), Ok(Inserted::Held(_))));
        let (table, store, _) = open(directory.path());
        assert!(matches!(store.push(old.clone()), Ok(Inserted::NotNewer { .. })));
        assert!(table.bytes(&old.hash()).is_none());
    }

    /// A take-back that came while a later fact of another source stood was forgotten: once that one was over, the old license was believed.
    #[test]
    fn a_withdrawal_counts_although_another_sources_fact_is_in_force() {
        let old = license(&kaching(), NOW_MS - 10_000).sign(&cluster(), &kaching());
        let mut back = license(&kaching(), NOW_MS - 5_000);
        back.valid_until = Hlc::new(NOW_MS - 4_000, 0).unwrap();
        let back = back.sign(&cluster(), &kaching());
        for pushed in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let (table, store, _) = open(directory.path());
            let store = Arc::new(store);
            let keeper = store.clone();
            table.keep_take_backs(Box::new(move |fact| keeper.keep_take_back(fact).unwrap()));
            table.insert(license(&node(), NOW_MS).sign(&cluster(), &node())).unwrap();
            let said = if pushed { store.push(back.clone()).unwrap() } else { table.insert(back.clone()).unwrap() };
            assert!(matches!(said, Inserted::Outdone { .. }), "{said:?}");
            for store in [store, Arc::new(open(directory.path()).1)] {
                assert!(matches!(store.push(old.clone()), Ok(Inserted::NotNewer { .. })), "{pushed}");
            }
        }
    }

    /// The node signs licenses that it fetched. After a restart anybody could push one that was denied since.
    #[test]
    fn facts_of_the_node_itself_are_not_taken_from_others() {
        let directory = tempfile::tempdir().unwrap();
        let (table, store, _) = open(directory.path());
        let own = license(&node(), NOW_MS).sign(&cluster(), &node());
        assert!(matches!(store.push(own.clone()), Err(PushError::Own { kind: FactKind::License })));
        put(directory.path(), &own);
        let (again, _, restored) = open(directory.path());
        assert_eq!((restored.held, restored.problems.len()), (0, 1));
        assert!(table.describe().is_empty() && again.describe().is_empty());
    }

    #[test]
    fn a_stored_fact_is_trusted_no_more_than_a_push() {
        let directory = tempfile::tempdir().unwrap();
        let (table, store, _) = open(directory.path());
        let forged = license(&kaching(), NOW_MS).sign(&cluster(), &node());
        assert!(matches!(store.push(forged.clone()), Err(PushError::Refused(FactRefusal::Signature { .. }))));
        assert_eq!(fs::read_dir(directory.path().join("facts")).unwrap().count(), 0);
        put(directory.path(), &forged);
        let (again, _, restored) = open(directory.path());
        assert_eq!((restored.held, restored.problems.len()), (0, 1));
        assert!(table.describe().is_empty() && again.describe().is_empty());
    }

    #[test]
    fn a_fact_too_large_for_its_kind_is_refused_before_anything_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let (_, store, _) = open(directory.path());
        let mut large = license(&kaching(), NOW_MS);
        let scopes: Vec<String> = (0..2_000).map(|n| format!("\"scope-{n:04}\"")).collect();
        let body = format!("{{\"id\":\"l-1\",\"scopes\":[{}]}}", scopes.join(","));
        large.body = Json::parse(body.as_bytes()).unwrap();
        let refused = store.push(large.sign(&cluster(), &kaching()));
        assert!(matches!(refused, Err(PushError::TooLarge { most: 16_384, .. })), "{refused:?}");
        assert_eq!(fs::read_dir(directory.path().join("facts")).unwrap().count(), 0);
    }

    #[test]
    fn a_push_that_cannot_be_written_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let (table, store, _) = open(directory.path());
        fs::remove_dir(directory.path().join("facts")).unwrap();
        let pushed = store.push(license(&kaching(), NOW_MS).sign(&cluster(), &kaching()));
        assert!(matches!(pushed, Err(PushError::Write(_))), "{pushed:?}");
        assert!(table.describe().is_empty());
    }
}
