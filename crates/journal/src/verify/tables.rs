//! Tables that are walked row by row: snapshots, idempotency keys and the outbox.

use crate::effects::{self, Kind};
use crate::layout::{Family, parse_idem_key, parse_scoped};
use crate::receipts::{BoundKey, StoredReceipt};
use crate::store::Scan;
use crate::{Inner, Journal, Sides, exporters, held, parallel, sides};
use swoosh_types::canonical::{canonical_bytes, from_canonical};
use swoosh_types::ids::{EffectId, IdemKey};
use swoosh_types::json::Json;
use swoosh_types::receipt::Receipt;
use swoosh_types::text::ProjectName;

use super::{Flaw, VerifyReport};

/// Rows that are in memory at once.
const AT_ONCE: usize = 256;

type Row = (Vec<u8>, Vec<u8>);

impl VerifyReport {
    /// Looks at every snapshot, key and row of the outbox. Of a project's base the two copies were looked at before.
    pub(super) fn tables(&mut self, journal: &Journal) {
        let inner = &*journal.0;
        let last = self.last_index;
        self.each_row(inner, Family::Snapshots, &|row| snapshot(inner, row));
        self.each_row(inner, Family::Idem, &|row| binding(inner, row, last));
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

/// The flaw of an idempotency key, and the index of its record. The verification of records holds each record against
/// its key; this holds each key against the record that it names, or against the receipt that stands in for it.
fn binding(inner: &Inner, (key, value): &Row, last: u64) -> Option<(u64, Flaw)> {
    let flaw = |what: String| Flaw::Table { family: Family::Idem.name(), what };
    let Some((project, idem)) = parse_idem_key(key) else {
        return Some((last, flaw(format!("the key {} is none of its", shown(key)))));
    };
    let name = format!("the idempotency key {idem} of project {project}");
    let Some(bound) = BoundKey::parse(value) else {
        return Some((last, flaw(format!("{name} does not decode"))));
    };
    let index = bound.index;
    if index > last {
        return Some((last, flaw(format!("{name} is bound to record {index}, and the log ends at record {last}"))));
    }
    let reason = match (&bound.receipt, inner.pruned(index)) {
        (StoredReceipt::Whole(receipt), Some(_)) => stands_in(inner, receipt, (&project, &idem, index)),
        (StoredReceipt::Sum(_), Some(_)) => Some("which is pruned, and the receipt was not kept".to_owned()),
        (_, None) => other_key(inner, (&project, &idem, index)),
    };
    reason.map(|reason| (index, flaw(format!("{name} is bound to record {index}, {reason}"))))
}

/// A key and the index of the record that it is bound to.
type Place<'a> = (&'a ProjectName, &'a IdemKey, u64);

/// Why a receipt is not the one of a pruned record.
fn stands_in(inner: &Inner, bytes: &[u8], place: Place<'_>) -> Option<String> {
    let receipt: Receipt = match from_canonical(bytes) {
        Ok(receipt) => receipt,
        Err(error) => return Some(format!("and the receipt does not decode: {error}")),
    };
    if canonical_bytes(&receipt) != bytes {
        return Some("and the receipt's bytes are not canonical".to_owned());
    }
    if (&receipt.project, &receipt.idem_key, receipt.index) != place {
        return Some(format!("and the receipt is of record {} of project {}", receipt.index, receipt.project));
    }
    if !inner.seals(&receipt.seal.node) {
        return Some(format!("and the receipt is sealed by {}, which may not seal here", receipt.seal.node));
    }
    receipt.verify(&inner.identity.cluster).err().map(|error| format!("and the receipt does not hold: {error}"))
}

/// Why a record is not the one that a key is of. The verification of records reports damage of the record itself.
fn other_key(inner: &Inner, (project, idem, index): Place<'_>) -> Option<String> {
    let record = inner.record_at(index).ok()??;
    let same = (&record.project, &record.idem_key) == (project, idem);
    (!same).then(|| format!("which is of the key {} of project {}", record.idem_key, record.project))
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
