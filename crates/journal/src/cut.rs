//! Removing what the records after an index wrote, in every family: for a copy that ends earlier, and where a loss was
//! accepted, because the next records take those indexes.

use super::effects::parse_row;
use super::error::StorageError;
use super::incarnations::{IncarnationError, family, write};
use super::layout::{Family, Slot, exporter_name, meta, parse_scoped, wal_key};
use super::open::{first_record, last_record, number};
use super::receipts::BoundKey;
use super::store::{Place, Scan, Store, WriteBatch};
use swoosh_types::hash::Hash;

/// Rows that are deleted at once.
const AT_ONCE: usize = 10_000;

/// Removes every record after `wanted` and what they wrote; returns the link of `wanted`.
pub(super) fn cut(db: &Store, place: &Place, wanted: u64, last: u64) -> Result<Hash, IncarnationError> {
    let first = first_record(db, place)?;
    let no_such_record = IncarnationError::NoSuchRecord { wanted, first, last };
    if wanted < first || wanted > last {
        return Err(no_such_record);
    }
    let mut rows = WriteBatch::default();
    rows.delete_range_cf(family(db, Family::Wal)?, wal_key(wanted + 1), wal_key(u64::MAX));
    write(db, rows)?;
    drop_after(db, place, wanted)?;
    match last_record(db, place)? {
        (found, chain) if found == wanted => Ok(chain),
        _ => Err(no_such_record),
    }
}

/// Removes what records after `wanted` wrote beside themselves.
pub(super) fn drop_after(db: &Store, place: &Place, wanted: u64) -> Result<(), IncarnationError> {
    let scoped = |key: &[u8], _: &[u8]| parse_scoped(key).map(|(_, index, _)| index);
    delete_after(db, Family::Decisions, wanted, &scoped)?;
    let snapshots = delete_after(db, Family::Snapshots, wanted, &scoped)?;
    delete_after(db, Family::Idem, wanted, &|_, value| BoundKey::parse(value).map(|bound| bound.index))?;
    delete_after(db, Family::Outbox, wanted, &|key, _| Some(parse_row(key).map_or(0, |(_, id)| id.index)))?;
    delete_bases(db, wanted)?;
    turn_back(db, place, wanted, snapshots > 0)
}

/// The record that a row, key and value, belongs to.
type IndexOf = dyn Fn(&[u8], &[u8]) -> Option<u64>;

/// Deletes the rows of a family that belong to records after `wanted`; how many there were.
fn delete_after(db: &Store, of: Family, wanted: u64, index: &IndexOf) -> Result<u64, StorageError> {
    let handle = family(db, of)?;
    let (mut rows, mut deleted) = (WriteBatch::default(), 0);
    let mut walk = db.walk(handle, Scan::default());
    walk.seek_to_first();
    while let Some((key, value)) = walk.item()? {
        let found = index(key, value).ok_or_else(|| StorageError(format!("a row of {} is mangled", of.name())))?;
        if found > wanted {
            rows.delete_cf(handle, key);
            deleted += 1;
        }
        if rows.len() >= AT_ONCE {
            db.write(std::mem::take(&mut rows), false)?;
        }
        walk.next();
    }
    write(db, rows)?;
    Ok(deleted)
}

/// Deletes bases of records after `wanted`. An interrupted pruning writes bases before it raises the floor; a log cut
/// within that stretch would keep a base beyond its end.
fn delete_bases(db: &Store, wanted: u64) -> Result<(), StorageError> {
    let handle = family(db, Family::Meta)?;
    let mut rows = WriteBatch::default();
    for slot in Slot::ALL {
        let (from, end) = slot.range();
        let mut walk = db.walk(handle, Scan::default());
        walk.seek(&from);
        while let Some((key, value)) = walk.item()?.filter(|(key, _)| *key < end.as_slice()) {
            let index = value.first_chunk::<8>().map(|index| u64::from_be_bytes(*index));
            if index.ok_or_else(|| StorageError("a base is mangled".to_owned()))? > wanted {
                rows.delete_cf(handle, key);
            }
            walk.next();
        }
    }
    write(db, rows)
}

/// Resets rows that referred to removed records: snapshots may have covered them, and exporters must send the new
/// records of those indexes.
fn turn_back(db: &Store, place: &Place, wanted: u64, snapshots_went: bool) -> Result<(), IncarnationError> {
    let mut rows = WriteBatch::default();
    let meta_family = family(db, Family::Meta)?;
    if snapshots_went {
        let floor = first_record(db, place)?.saturating_sub(1);
        let lower = number(db, place, meta::REPLAY_FLOOR)?.unwrap_or(0).min(floor);
        rows.put_cf(meta_family, meta::REPLAY_FLOOR, lower.to_string());
        rows.delete_cf(meta_family, meta::LAST_SNAPSHOT);
    }
    // Records that take the place of lost ones bind young keys.
    if number(db, place, meta::KEYS_AGED)?.is_some_and(|aged| aged > wanted) {
        rows.put_cf(meta_family, meta::KEYS_AGED, wanted.to_string());
    }
    let outbox = family(db, Family::Outbox)?;
    let mut walk = db.walk(outbox, Scan::default());
    walk.seek_to_first();
    while let Some((key, value)) = walk.item()? {
        let exporter = exporter_name(key).and_then(|_| std::str::from_utf8(value).ok());
        if let Some((word, index)) = exporter.and_then(|text| text.split_once(' '))
            && index.parse::<u64>().is_ok_and(|index| index > wanted)
        {
            rows.put_cf(outbox, key, format!("{word} {wanted}"));
        }
        walk.next();
    }
    Ok(write(db, rows)?)
}
