//! The index of open effects, in the `outbox` family: rows written with the record that opens or closes an effect,
//! and the notes of its runner. Open effects are found without loading heads.
//!
//! ```text
//!  effect/<id> → when it was opened        with the record, gone with the one that closes it
//!  held/<id>   → an outcome that waits      see `held.rs`, gone with the same record
//!  work/<id>   → the runner's own note      by the runner, gone with the same record
//!
//!  <id> = project ‖ 0x00 ‖ index (8 bytes, big-endian) ‖ digest ‖ "/" ‖ name; no digest and no "/" under statechart
//!  version 1. The digest keeps rows of two records apart that took the same index in two incarnations.
//! ```
//! The states of the projects are authoritative; these rows only index them. A directory from before the index gets
//! it once, from the states.

use super::store::WriteBatch;

use super::error::{AppendError, FoldError, ReadError, StorageError};
use super::held::{HELD, HELD_END};
use super::layout::{Family, meta, parse_scoped, scope_end, scoped_key};
use super::{Inner, Journal};
use swoosh_machine::blocks::Blocks;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::EffectId;
use swoosh_types::text::ProjectName;

const OPEN: &[u8] = b"effect/";
const OPEN_END: &[u8] = b"effect0";
const NOTE: &[u8] = b"work/";
const NOTE_END: &[u8] = b"work0";

/// Kinds of rows about an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Open,
    /// An outcome that waits.
    Held,
    /// The runner's note.
    Note,
}

impl Kind {
    const ALL: [(Kind, &'static [u8]); 3] = [(Kind::Open, OPEN), (Kind::Held, HELD), (Kind::Note, NOTE)];

    /// Name of the row in messages.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Kind::Open => "the opening",
            Kind::Held => "the outcome that waits",
            Kind::Note => "the note",
        }
    }
}

/// An open effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRow {
    pub id: EffectId,
    /// When it was opened.
    pub opened_at: Hlc,
}

/// Why notes of effects are not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EffectRowError {
    /// The journal takes no writes.
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the note of an effect cannot be kept: {0}")]
    Storage(#[from] StorageError),
}

impl Journal {
    pub fn open_effects(&self, project: &ProjectName) -> Result<Vec<OpenRow>, ReadError> {
        self.0.open_rows(prefixed(OPEN, &scoped_key(project, 0)), prefixed(OPEN, &scope_end(project)), usize::MAX)
    }

    /// Open effects of all projects that come after this one, in the order of their ids; `limit` at most.
    pub fn open_effects_after(&self, after: Option<&EffectId>, limit: usize) -> Result<Vec<OpenRow>, ReadError> {
        let from = after.map_or_else(
            || OPEN.to_vec(),
            |id| {
                let mut key = effect_key(OPEN, id);
                key.push(0);
                key
            },
        );
        self.0.open_rows(from, OPEN_END.to_vec(), limit)
    }

    /// The notes of open effects, in the order of their ids.
    pub fn effect_notes(&self) -> Result<Vec<(EffectId, Vec<u8>)>, ReadError> {
        let mut keys = self.0.keys(Family::Outbox, NOTE.to_vec(), NOTE_END.to_vec());
        let mut notes = Vec::new();
        while let Some((key, value)) = keys.next_row()? {
            notes.push((parse_key(NOTE, key)?, value.to_vec()));
        }
        Ok(notes)
    }

    pub fn effect_note(&self, id: &EffectId) -> Result<Option<Vec<u8>>, ReadError> {
        self.0.get(Family::Outbox, &effect_key(NOTE, id))
    }

    /// Notes something of an effect, on disk and promised by the time it returns; see `sides.rs`.
    pub fn note_effect(&self, id: &EffectId, note: &[u8]) -> Result<(), EffectRowError> {
        self.0.write_side(&effect_key(NOTE, id), note)
    }

    /// Forgets what was noted of effects that are not open any more.
    pub fn forget_effects(&self, ids: &[EffectId]) -> Result<(), EffectRowError> {
        let mut rows = WriteBatch::default();
        ids.iter().for_each(|id| rows.delete_cf(self.0.family(Family::Outbox), effect_key(NOTE, id)));
        // A note that a crash brings back is found useless by the next start.
        self.0.write_effects_lazily(rows)
    }

    /// Writes the rows of open effects and of projects that are held up where a directory lacks them, from the states
    /// of its projects. To be called before the first batch. Projects that cannot be loaded are returned; the next
    /// start tries them again.
    pub fn index_rows(&self) -> Result<Vec<(ProjectName, FoldError)>, EffectRowError> {
        let indexed = self.0.get(Family::Meta, meta::EFFECTS_INDEXED)?.is_some_and(|value| value == meta::INDEXED);
        if indexed && self.0.load_blocked().is_ok() {
            return Ok(Vec::new());
        }
        let mut rows = WriteBatch::default();
        rows.delete_range_cf(self.0.family(Family::Outbox), OPEN, OPEN_END);
        rows.delete_range_cf(self.0.family(Family::Meta), meta::BLOCKED, meta::BLOCKED_END);
        self.0.write_effects(rows)?;
        self.0.blocked().clear();
        let mut damaged = Vec::new();
        for project in self.projects()? {
            match self.latest_head(&project) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    let mut rows = WriteBatch::default();
                    for open in found.head.state().open_effects() {
                        self.0.stage_open(&mut rows, &open.id, open.opened_at);
                    }
                    let blocks = Blocks::of(found.head.state());
                    self.0.stage_blocked(&mut rows, &project, blocks);
                    self.0.write_effects(rows)?;
                    self.0.set_blocked(&project, blocks);
                }
                Err(error) => damaged.push((project, error)),
            }
        }
        if damaged.is_empty() {
            self.0.drop_strays()?;
            let mut rows = WriteBatch::default();
            rows.put_cf(self.0.family(Family::Meta), meta::EFFECTS_INDEXED, meta::INDEXED);
            self.0.write_effects(rows)?;
        }
        Ok(damaged)
    }
}

impl Inner {
    pub(super) fn write_effects(&self, rows: WriteBatch) -> Result<(), EffectRowError> {
        self.write_effect_rows(rows, true)
    }

    fn write_effects_lazily(&self, rows: WriteBatch) -> Result<(), EffectRowError> {
        self.write_effect_rows(rows, false)
    }

    fn write_effect_rows(&self, rows: WriteBatch, sync: bool) -> Result<(), EffectRowError> {
        self.may_change()?;
        if rows.is_empty() {
            return Ok(());
        }
        Ok(self.or_stop(self.write(rows, sync))?)
    }

    /// Drops notes and held outcomes of effects that no state holds open: of records that were cut off or given up.
    fn drop_strays(&self) -> Result<(), EffectRowError> {
        let mut rows = WriteBatch::default();
        for (prefix, end) in [(NOTE, NOTE_END), (HELD, HELD_END)] {
            let mut keys = self.keys(Family::Outbox, prefix.to_vec(), end.to_vec());
            while let Some((key, _)) = keys.next_row()? {
                let id = parse_key(prefix, key)?;
                if self.get(Family::Outbox, &effect_key(OPEN, &id))?.is_none() {
                    rows.delete_cf(self.family(Family::Outbox), key);
                }
            }
        }
        self.write_effects(rows)
    }

    /// An effect begins without a note: after a loss that was accepted, an index comes a second time.
    pub(super) fn stage_opened(&self, rows: &mut WriteBatch, id: &EffectId, opened_at: Hlc) {
        [NOTE, HELD].iter().for_each(|kind| rows.delete_cf(self.family(Family::Outbox), effect_key(kind, id)));
        self.stage_open(rows, id, opened_at);
    }

    fn stage_open(&self, rows: &mut WriteBatch, id: &EffectId, opened_at: Hlc) {
        rows.put_cf(self.family(Family::Outbox), effect_key(OPEN, id), opened_at.to_string());
    }

    pub(super) fn stage_closed(&self, rows: &mut WriteBatch, id: &EffectId) {
        [OPEN, NOTE, HELD].iter().for_each(|kind| rows.delete_cf(self.family(Family::Outbox), effect_key(kind, id)));
    }

    fn open_rows(&self, from: Vec<u8>, end: Vec<u8>, limit: usize) -> Result<Vec<OpenRow>, ReadError> {
        let mut keys = self.keys(Family::Outbox, from, end);
        let mut found = Vec::new();
        while found.len() < limit
            && let Some((key, value)) = keys.next_row()?
        {
            let id = parse_key(OPEN, key)?;
            if id.index > self.shown() {
                continue;
            }
            found.push(OpenRow { opened_at: parse_opened_at(value).ok_or_else(|| mangled(key))?, id });
        }
        Ok(found)
    }
}

fn prefixed(prefix: &[u8], key: &[u8]) -> Vec<u8> {
    [prefix, key].concat()
}

pub(super) fn effect_key(prefix: &[u8], id: &EffectId) -> Vec<u8> {
    let mut key = prefixed(prefix, &scoped_key(&id.project, id.index));
    if let Some(digest) = &id.digest {
        key.extend_from_slice(digest.as_bytes());
        key.push(b'/');
    }
    key.extend_from_slice(id.effect.as_str().as_bytes());
    key
}

pub(super) fn parse_key(prefix: &[u8], key: &[u8]) -> Result<EffectId, ReadError> {
    let parse = || {
        let (project, index, rest) = parse_scoped(key.strip_prefix(prefix)?)?;
        let rest = std::str::from_utf8(rest).ok()?;
        let (digest, effect) = match rest.split_once('/') {
            Some((digest, effect)) => (Some(EffectId::parse_digest(digest)?), effect),
            None => (None, rest),
        };
        Some(EffectId { project, index, digest, effect: effect.parse().ok()? })
    };
    parse().ok_or_else(|| mangled(key))
}

pub(super) fn parse_row(key: &[u8]) -> Option<(Kind, EffectId)> {
    Kind::ALL.into_iter().find_map(|(kind, prefix)| Some((kind, parse_key(prefix, key).ok()?)))
}

/// When an effect was opened.
pub(super) fn parse_opened_at(value: &[u8]) -> Option<Hlc> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

pub(super) fn mangled(key: &[u8]) -> ReadError {
    ReadError::Row { project: String::from_utf8_lossy(key).into_owned(), family: Family::Outbox.name() }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Node, name};
    use super::super::{Batch, Write};
    use super::*;

    fn id(text: &str) -> EffectId {
        text.parse().unwrap()
    }

    fn opened(text: &str) -> Write {
        Write::EffectOpened { id: id(text), opened_at: Hlc::new(7, 0).unwrap() }
    }

    fn write(node: &Node, writes: Vec<Write>) {
        node.journal.append(&Batch { entries: Vec::new(), writes }).unwrap();
        // The records that these ids name are not there.
        node.journal.0.show(u64::MAX);
    }

    fn ids(rows: &[OpenRow]) -> Vec<String> {
        rows.iter().map(|row| row.id.to_string()).collect()
    }

    #[test]
    fn open_effects_are_listed_by_project_and_in_pages_until_they_are_closed() {
        let node = Node::new();
        write(&node, ["a/3/fetch", "a/300/probe", "a-b/4/fetch"].map(opened).into());
        assert_eq!(ids(&node.journal.open_effects(&name("a")).unwrap()), ["a/3/fetch", "a/300/probe"]);
        assert_eq!(ids(&node.journal.open_effects(&name("a-b")).unwrap()), ["a-b/4/fetch"]);
        let page = node.journal.open_effects_after(None, 2).unwrap();
        assert_eq!((ids(&page), page[0].opened_at.physical_ms()), (vec!["a/3/fetch".into(), "a/300/probe".into()], 7));
        let rest = node.journal.open_effects_after(Some(&page[1].id), 2).unwrap();
        assert_eq!(ids(&rest), ["a-b/4/fetch"]);
        write(&node, vec![Write::EffectClosed { id: id("a/3/fetch") }]);
        assert_eq!(ids(&node.journal.open_effects(&name("a")).unwrap()), ["a/300/probe"]);
    }

    #[test]
    fn notes_outlive_the_process_and_go_with_their_effect() {
        let mut node = Node::new();
        node.commit(&["a"]);
        write(&node, vec![opened("a/3/fetch"), opened("a/4/probe")]);
        node.journal.note_effect(&id("a/3/fetch"), b"one").unwrap();
        node.journal.note_effect(&id("a/4/probe"), b"two").unwrap();
        let node = node.reopen();
        node.journal.recover().unwrap();
        let notes = node.journal.effect_notes().unwrap();
        assert_eq!(notes, [(id("a/3/fetch"), b"one".to_vec()), (id("a/4/probe"), b"two".to_vec())]);
        write(&node, vec![Write::EffectClosed { id: id("a/3/fetch") }]);
        assert_eq!(node.journal.effect_note(&id("a/3/fetch")).unwrap(), None);
        node.journal.forget_effects(&[id("a/4/probe")]).unwrap();
        assert_eq!(node.journal.effect_notes().unwrap(), []);
    }

    #[test]
    fn an_index_that_comes_a_second_time_begins_without_a_note() {
        let node = Node::new();
        node.journal.note_effect(&id("a/3/fetch"), b"of a record that was lost").unwrap();
        write(&node, vec![opened("a/3/fetch")]);
        assert_eq!(node.journal.effect_note(&id("a/3/fetch")).unwrap(), None);
    }

    #[test]
    fn rows_are_rebuilt_once_from_the_states() {
        let mut node = Node::new();
        node.commit(&["a"]);
        write(&node, vec![opened("a/3/fetch")]);
        assert_eq!(node.journal.index_rows().unwrap(), []);
        assert_eq!(node.journal.open_effects(&name("a")).unwrap(), [], "its state has none");
        write(&node, vec![opened("a/4/fetch")]);
        node.journal.index_rows().unwrap();
        assert_eq!(ids(&node.journal.open_effects(&name("a")).unwrap()), ["a/4/fetch"]);
    }
}
