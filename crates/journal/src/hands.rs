//! The doer of each kind of effect, the node itself or others, and the record since when.
//!
//! Settings and orders of a migration change it while effects are open. How far others came with one of them is not known
//! here, so an effect that was opened before the change must not be taken for untouched.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Journal;
use super::error::ReadError;
use super::exporters::ExportError;
use super::layout::{Family, meta};
use super::store::WriteBatch;
use swoosh_types::canonical::{canonical_bytes, from_canonical};
use swoosh_types::names::EffectName;

/// The doer of one kind of effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hands {
    /// Whether the node itself does.
    own: bool,
    /// The last record when that changed; 0 where it never did.
    after: u64,
}

type Row = BTreeMap<EffectName, Hands>;

impl Journal {
    /// Notes at which kinds of effects the node works itself from here on; on disk when it returns. Returns for each kind
    /// the last record whose effects may have been in other hands after it. A journal that says nothing of it was written
    /// to by a program that did not note it, so all of its effects count.
    pub fn note_hands(&self, own: &dyn Fn(EffectName) -> bool) -> Result<BTreeMap<EffectName, u64>, ExportError> {
        self.0.may_change()?;
        let (before, last) = (self.hands()?, self.last().0);
        let next: Row =
            EffectName::ALL.iter().map(|&effect| (effect, changed(before.get(&effect), own(effect), last))).collect();
        if next != before {
            let mut rows = WriteBatch::default();
            rows.put_cf(self.0.family(Family::Meta), meta::HANDS, canonical_bytes(&next));
            self.0.write(rows, true)?;
        }
        Ok(next.into_iter().map(|(effect, hands)| (effect, hands.after)).collect())
    }

    fn hands(&self) -> Result<Row, ReadError> {
        let Some(row) = self.0.get(Family::Meta, meta::HANDS)? else { return Ok(Row::new()) };
        from_canonical(&row).map_err(|_| ReadError::Row { project: "effects".to_owned(), family: Family::Meta.name() })
    }
}

/// The new doer. After a log was shortened, the limit is its new end.
fn changed(before: Option<&Hands>, own: bool, last: u64) -> Hands {
    match before {
        None => Hands { own, after: last },
        Some(before) if before.own == own => Hands { own, after: before.after.min(last) },
        Some(_) => Hands { own, after: last },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AppendError;
    use crate::testing::Node;

    #[test]
    fn a_change_of_hands_is_kept_with_the_last_record_before_it() {
        let mut node = Node::new();
        node.commit(&["a", "a"]);
        let is = |own: bool| move |effect: EffectName| effect != EffectName::Provision || own;
        let after = |node: &Node, own: bool| node.journal.note_hands(&is(own)).unwrap()[&EffectName::Provision];
        assert_eq!(after(&node, true), 2, "nothing is known of the time before");
        node.commit(&["a"]);
        assert_eq!(after(&node, true), 2);
        assert_eq!(after(&node, false), 3);
        node.commit(&["a"]);
        assert_eq!(after(&node, true), 4);
        let node = node.reopen();
        node.journal.recover().unwrap();
        assert_eq!(after(&node, true), 4);
        assert_eq!(node.journal.note_hands(&is(false)).unwrap()[&EffectName::Resolve], 2, "another kind");
        let shown = Journal::open_read_only(node.directory.path()).unwrap();
        assert!(matches!(shown.note_hands(&is(true)), Err(ExportError::Append(AppendError::ReadOnly))));
    }
}
