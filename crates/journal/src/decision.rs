//! Rows of the `decisions` family: the part of a decision record that is not in its WAL record.
//!
//! ```text
//! 1 byte   version of the row
//! the rest the words in canonical JSON
//! ```
//!
//! Before format 2, a row was the whole document, and it is so where the WAL record was pruned: a row that begins with
//! `{`.

use super::error::ReadError;
use super::frame::Frame;
use super::layout::{Family, scoped_key};
use super::read::mangled;
use super::{Inner, Journal};
use swoosh_types::canonical::{canonical_bytes, from_canonical};
use swoosh_types::decision::{Decision, Wording};
use swoosh_types::text::ProjectName;

const VERSION: u8 = 1;

pub(super) fn encode(wording: &Wording) -> Vec<u8> {
    [&[VERSION], canonical_bytes(wording).as_slice()].concat()
}

impl Journal {
    /// The canonical bytes of the decision record that the record at an index left.
    pub fn decision(&self, project: &ProjectName, index: u64) -> Result<Option<Vec<u8>>, ReadError> {
        if index > self.0.shown() { Ok(None) } else { self.0.decision(project, index) }
    }
}

impl Inner {
    pub(super) fn decision(&self, project: &ProjectName, index: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(row) = self.get(Family::Decisions, &scoped_key(project, index))? else { return Ok(None) };
        if row.first() == Some(&b'{') {
            return Ok(Some(row));
        }
        let bytes = row.strip_prefix(&[VERSION]).ok_or_else(|| mangled(project, Family::Decisions))?;
        let wording: Wording = from_canonical(bytes).map_err(|_| mangled(project, Family::Decisions))?;
        let bytes = self.frame_bytes(index)?.ok_or(ReadError::Missing { index })?;
        let frame = Frame::parse(index, &bytes)?;
        Ok(Some(canonical_bytes(&Decision::of(&frame.decode_record()?, &frame.chain, wording))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::{FORMAT, meta};
    use super::super::testing::{Node, name, options};
    use super::*;
    use crate::Journal;

    #[test]
    fn words_and_record_are_the_whole_decision() {
        let mut node = Node::new();
        node.commit(&["alpha", "beta"]);
        for index in [1, 2] {
            let entry = node.journal.record(index).unwrap().unwrap();
            let ucxl = Vec::new();
            let wording = Wording { summary: "a test".into(), justification: "a test".into(), ucxl };
            let expected = canonical_bytes(&Decision::of(&entry.record, &entry.chain, wording));
            assert_eq!(node.journal.decision(&entry.record.project, index).unwrap(), Some(expected));
        }
        assert_eq!(node.journal.decision(&name("alpha"), 2).unwrap(), None);
    }

    #[test]
    fn a_row_that_is_neither_words_nor_a_document_is_reported() {
        let mut node = Node::new();
        node.commit(&["alpha"]);
        for row in [&b""[..], b"\x01", b"\x01{}", b"\x02{}"] {
            node.overwrite(Family::Decisions, &scoped_key(&name("alpha"), 1), row);
            let read = node.journal.decision(&name("alpha"), 1);
            assert!(matches!(read, Err(ReadError::Row { .. })), "{row:?}: {read:?}");
        }
    }

    #[test]
    fn a_directory_of_format_1_is_of_this_format_once_it_is_opened_to_write_and_its_decisions_stay() {
        let mut node = Node::new();
        node.commit(&["alpha"]);
        let whole = node.journal.decision(&name("alpha"), 1).unwrap().unwrap();
        node.overwrite(Family::Decisions, &scoped_key(&name("alpha"), 1), &whole);
        node.overwrite(Family::Meta, meta::FORMAT, b"1");
        let Node { directory, journal, .. } = node;
        drop(journal);
        let format = |journal: &Journal| journal.0.get(Family::Meta, meta::FORMAT).unwrap();
        let looked_at = Journal::open_read_only(directory.path()).unwrap();
        assert_eq!(format(&looked_at), Some(b"1".to_vec()), "who looks changes nothing");
        drop(looked_at);
        let opened = Journal::open(options(directory.path())).unwrap();
        assert_eq!(format(&opened), Some(b"1".to_vec()), "nothing is written before the checks of a start");
        opened.recover().unwrap();
        assert_eq!(format(&opened), Some(FORMAT.to_string().into_bytes()));
        assert_eq!(opened.decision(&name("alpha"), 1).unwrap(), Some(whole));
    }
}
