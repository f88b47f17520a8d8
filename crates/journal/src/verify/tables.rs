//! The tables that no record refers to: snapshots and the outbox.

use crate::effects::{self, Kind};
use crate::layout::{Family, parse_scoped};
use crate::store::Scan;
use crate::{Inner, Journal, Sides, exporters, held, parallel, sides};
use swoosh_types::ids::EffectId;
use swoosh_types::json::Json;

use super::{Flaw, VerifyReport};

/// Rows that are in memory at once.
const AT_ONCE: usize = 256;

type Row = (Vec<u8>, Vec<u8>);

impl VerifyReport {
    /// Looks at every snapshot and at every row of the outbox. Of a project's base the two copies were looked at before.
    pub(super) fn tables(&mut self, journal: &Journal) {
        let inner = &*journal.0;
        let last = self.last_index;
        self.each_row(inner, Family::Snapshots, &|row| snapshot(inner, row));
        self.each_row(inner, Family::Outbox, &|row| outbox(inner, row, last));
    }

    fn each_row(&mut self, inner: &Inner, family: Family, look: &(dyn Fn(&Row) -> Option<(u64, Flaw)> + Sync)) {
        let mut rows = inner.db.walk(inner.family(family), Scan { once: true, ..Scan::default() });
        rows.seek_to_first();
        loop {
            let mut some: Vec<Row> = Vec::new();
            let failed = loop {
                match rows.item() {
                    Ok(Some((key, value))) if some.len() < AT_ONCE => some.push((key.to_vec(), value.to_vec())),
                    Ok(_) => break None,
                    Err(error) => break Some(error),
                }
                rows.next();
            };
            let end = some.is_empty();
            let found = parallel::map(some, |row| look(&row));
            found.into_iter().flatten().for_each(|(index, flaw)| self.note(index, flaw));
            if let Some(source) = failed {
                return self.note(self.last_index, Flaw::Table { family: family.name(), what: source.to_string() });
            }
            if end {
                return;
            }
        }
    }
}

/// The flaw of a snapshot, and the index of its record.
fn snapshot(inner: &Inner, (key, bytes): &Row) -> Option<(u64, Flaw)> {
    let family = Family::Snapshots.name();
    let Some((project, index, b"")) = parse_scoped(key) else {
        return Some((0, Flaw::Table { family, what: format!("the key {} is none of its", shown(key)) }));
    };
    let checked = inner.second_base(&project).and_then(|base| match base {
        // Snapshots before a base are not read any more; the base itself is verified already.
        Some((base, _)) if base >= index => Ok(None),
        _ => inner.check_snapshot(&project, index, bytes).map(Result::err),
    });
    match checked {
        Ok(reason) => reason.map(|reason| (index, Flaw::Snapshot { project, reason })),
        Err(error) => Some((index, Flaw::Snapshot { project, reason: error.to_string() })),
    }
}

/// The flaw of a row of the outbox, and the index of its record.
fn outbox(inner: &Inner, (key, value): &Row, last: u64) -> Option<(u64, Flaw)> {
    let flaw = |what: String| Flaw::Table { family: Family::Outbox.name(), what };
    if let Some(name) = crate::layout::exporter_name(key) {
        return match exporters::parse(key, value) {
            None => Some((last, flaw(format!("the position of the exporter {name} does not decode")))),
            Some(position) if position.index > last => {
                let what = format!("the exporter {name} is said to have sent record {}", position.index);
                Some((last, flaw(format!("{what}, and the log ends at record {last}"))))
            }
            Some(_) => None,
        };
    }
    if key == sides::POSITION {
        let unreadable = Sides::parse(value).is_none();
        return unreadable.then(|| (last, flaw("the position of side writes does not decode".to_owned())));
    }
    let Some((kind, id)) = effects::parse_row(key) else {
        return Some((last, flaw(format!("the key {} is none of its", shown(key)))));
    };
    let readable = match kind {
        Kind::Open => effects::parse_opened_at(value).is_some(),
        Kind::Held => held::parse(value).is_some(),
        // The note's format is its runner's own.
        Kind::Note => true,
    };
    if !readable {
        return Some((id.index, flaw(format!("{} of the effect {id} does not decode", kind.words()))));
    }
    stray(inner, &id, last)
        .map(|what| (id.index.min(last), flaw(format!("{} of the effect {id}: {what}", kind.words()))))
}

/// Why no record of this log can have opened an effect.
fn stray(inner: &Inner, id: &EffectId, last: u64) -> Option<String> {
    if id.index > last {
        return Some(format!("the log ends at record {last}"));
    }
    let index = id.index;
    match inner.record_at(index) {
        Ok(Some(record)) if record.project != id.project => {
            Some(format!("record {index} is of project {}", record.project))
        }
        Ok(Some(record)) => {
            let proposal = record.proposal(Json::empty_object()).proposal;
            let digest = EffectId::digest_of(index, record.timestamp, &proposal);
            let differs = id.digest.as_ref().is_some_and(|named| *named != digest);
            differs.then(|| format!("record {index} opens effects of the digest {digest}"))
        }
        // The verification of records reports damage of the record itself.
        Ok(None) | Err(_) => None,
    }
}

fn shown(key: &[u8]) -> String {
    format!("«{}»", key.escape_ascii())
}
