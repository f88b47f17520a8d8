//! Opening a data directory, and refusing one that is not ours.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use rocksdb::{DB, Options};

use super::base::PrunePoint;
use super::error::{OpenError, StorageError};
use super::frame::Frame;
use super::incarnations;
use super::layout::{FORMAT, Family, MEMBER_FORMAT, OLDEST_FORMAT, meta, wal_index, wal_key};
use super::member::{self, Member};
use super::promise::Keeper;
use super::sealers::Roster;
use super::store::{Column, Place, Scan, Store, WriteBatch};
use super::unsnapshotted::Unsnapshotted;
use super::watermark::{self, Found, Mark, Nonce, Watermark, WatermarkError};
use super::{Inner, Journal, JournalIdentity, JournalOptions, Mode, Origin, Sides, Stage, StoreLimits, Tail, options};
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::hash::Hash;
use swoosh_types::incarnation;

impl Journal {
    /// Opens a data directory for one node, and creates it where it is missing. Refused: a directory of
    /// another node, another cluster or another format, one that a process holds, and one that has less than
    /// its watermark promises.
    pub fn open(wanted: JournalOptions) -> Result<Journal, OpenError> {
        Journal::open_as(wanted, None)
    }

    pub(super) fn open_as(wanted: JournalOptions, origin: Option<&Origin>) -> Result<Journal, OpenError> {
        let place = Place { path: wanted.path.clone(), medium: wanted.medium.clone() };
        let found = watermark::read(&place)?;
        let promised = found.map_or(0, |found| found.mark.index);
        let alone = |db: &Store| runs_alone(db, &place);
        look_first(&place, found.as_ref().map(|found| &found.mark), &alone)
            .and_then(|()| Journal::open_promised(place.clone(), wanted, found, origin))
            .map_err(|error| with_promise(error, promised))
    }

    fn open_promised(
        place: Place,
        wanted: JournalOptions,
        promised: Option<Found>,
        origin: Option<&Origin>,
    ) -> Result<Journal, OpenError> {
        let db = open_to_write(&place, &wanted.store)?;
        let found_sides = Sides::read(&db).map_err(|source| storage(&place, source))?;
        is_all_there(&place, last_record(&db, &place)?.0, found_sides, promised.as_ref().map(|found| &found.mark))?;
        let incarnation = origin.map_or(1, |origin| incarnation::number(&origin.incarnations));
        let mine = JournalIdentity { node: wanted.node, cluster: wanted.cluster.clone(), incarnation };
        if is_new(&db, &place)? {
            initialise(&db, &mine, origin).map_err(|source| storage(&place, source))?;
        }
        let found = identity(&db, &place)?;
        runs_alone(&db, &place)?;
        may_write(&db, &place, origin)?;
        belongs(&found, &mine, &place)?;
        let watermark = match promised {
            Some(promised) => Watermark::open(&place, promised),
            None => Watermark::create(&place, Mark::first(found.incarnation)),
        };
        Journal::over(db, place, found, Keeper::write(watermark?), Some(wanted), None)
    }

    /// Opens the directory of a cluster's member; it is never created here. `nonce` is a random number of this start. Refused
    /// besides: the directory of a node that runs alone, and one whose watermark may have forgotten a vote.
    pub fn open_member(wanted: JournalOptions, nonce: Nonce) -> Result<Journal, OpenError> {
        let place = Place::from(&wanted);
        let found = watermark::read(&place)?;
        let promised = found.map_or(0, |found| found.mark.index);
        let member = |db: &Store| is_of_member(db, &place, found.as_ref());
        look_first(&place, found.as_ref().map(|found| &found.mark), &member)
            .and_then(|()| Journal::open_promised_member(place.clone(), wanted, found, nonce))
            .map_err(|error| with_promise(error, promised))
    }

    fn open_promised_member(
        place: Place,
        wanted: JournalOptions,
        promised: Option<Found>,
        nonce: Nonce,
    ) -> Result<Journal, OpenError> {
        if !place.is_there() {
            return Err(OpenError::Absent { path: place.path });
        }
        let db = open_to_write(&place, &wanted.store)?;
        let mine = JournalIdentity { node: wanted.node, cluster: wanted.cluster.clone(), incarnation: 1 };
        let found = identity(&db, &place)?;
        is_of_member(&db, &place, promised.as_ref())?;
        belongs(&found, &mine, &place)?;
        let promised = promised.ok_or_else(|| WatermarkError::NoMember { path: place.watermark() })?;
        let watermark = Watermark::open(&place, promised)?;
        Journal::over(db, place, found, Keeper::write(watermark), Some(wanted), Some(nonce))
    }

    /// Opens a data directory to look at it. Nothing is written, and whose it is, it says itself. The view
    /// is that of the moment of opening, also when a node is writing to it.
    pub fn open_read_only(path: impl Into<PathBuf>) -> Result<Journal, OpenError> {
        Journal::look_at(&Place::directory(path))
    }

    pub(super) fn look_at(place: &Place) -> Result<Journal, OpenError> {
        // Read first: a node that writes meanwhile has its data on disk before it promises it.
        let keeper = Keeper::read(place);
        let promised = keeper.promised().ok().flatten().map_or(0, |mark| mark.index);
        Journal::look_only(place, keeper).map_err(|error| with_promise(error, promised))
    }

    /// Opens a data directory to look at it, as if its watermark were this one.
    pub(super) fn look_only(place: &Place, keeper: Keeper) -> Result<Journal, OpenError> {
        let absent = || OpenError::Absent { path: place.path.clone() };
        if !place.is_there() {
            return Err(place.unreadable().unwrap_or_else(absent));
        }
        let db = look(place)?;
        if is_new(&db, place)? {
            return Err(absent());
        }
        let found = identity(&db, place)?;
        Journal::over(db, place.clone(), found, keeper, None, None)
    }

    fn over(
        db: Store,
        place: Place,
        identity: JournalIdentity,
        keeper: Keeper,
        options: Option<JournalOptions>,
        nonce: Option<Nonce>,
    ) -> Result<Journal, OpenError> {
        let snapshot_every = options.as_ref().map_or(u64::MAX, |options| options.snapshot_every);
        let mode =
            options.as_ref().map_or(Mode::ReadOnly, |options| Mode::ReadWrite { durability: options.durability });
        let prune_floor = number(&db, &place, meta::PRUNE_FLOOR)?.unwrap_or(0);
        let member = Member::read(&db, &place, nonce)?;
        let roster = Roster::read(&db, &place)?;
        let (last_index, last_chain) = match &member {
            Some(member) => member.ends().applied.end(),
            None => last_record(&db, &place)?,
        };
        // Without a writer readers see everything, of a member what is applied.
        let shown = if member.is_some() { last_index } else { u64::MAX };
        let incarnations = incarnations::read(&db).map_err(|source| storage(&place, source))?;
        let follows = get(&db, &place, meta::FOLLOWS)?;
        let point = PrunePoint::read(get(&db, &place, meta::WAL_FLOOR)?.map(String::into_bytes))?;
        let unsnapshotted = Unsnapshotted::new(snapshot_every);
        let sides = Sides::read(&db).map_err(|source| storage(&place, source))?;
        let tail = Tail { stage: Stage::Opened, last_index, last_chain, unsnapshotted };
        Ok(Journal(Arc::new(Inner {
            db,
            place,
            identity,
            mode,
            options,
            incarnations,
            follows,
            member,
            roster: Mutex::new(roster),
            keeper,
            sides: Mutex::new(sides),
            prune_floor,
            ageing: Mutex::new(()),
            shown: AtomicU64::new(shown),
            first_index: AtomicU64::new(point.as_ref().map_or(1, PrunePoint::first_index)),
            point: Mutex::new(point),
            objects: Mutex::new(0),
            blocked: Mutex::default(),
            appending: Mutex::new(()),
            tail: Mutex::new(tail),
        })))
    }
}

/// Says what was promised of a directory that does not open.
pub(super) fn with_promise(error: OpenError, promised: u64) -> OpenError {
    match error {
        OpenError::Storage { path, source } if promised > 0 => OpenError::Damaged { path, source, promised },
        OpenError::Absent { path } if promised > 0 => OpenError::Lost { path, last: 0, index: 1, promised },
        error => error,
    }
}

/// Opens a directory for writing, whatever its watermark says; drops what RocksDB cannot read of the log's tail.
pub(super) fn open_to_write(place: &Place, limits: &StoreLimits) -> Result<Store, OpenError> {
    open_with(place, limits, &[])
}

/// The same; creates these families where they are missing.
pub(super) fn open_with(place: &Place, limits: &StoreLimits, more: &[Family]) -> Result<Store, OpenError> {
    if let Some(medium) = &place.medium {
        return medium.open(true).map(Store::Other).map_err(|error| storage(place, error));
    }
    let mut others = other_families(place).map_err(|source| storage(place, source))?;
    let missing = more.iter().map(|family| family.name().to_owned()).filter(|name| !others.contains(name));
    let missing: Vec<String> = missing.collect();
    others.extend(missing);
    let families = options::families(others.into_iter(), limits);
    let db = DB::open_cf_descriptors(&options::database(true, limits), &place.path, families);
    db.map(Store::rocks).map_err(|error| storage(place, error.into()))
}

/// Opens a directory to look at it.
pub(super) fn look(place: &Place) -> Result<Store, OpenError> {
    if let Some(medium) = &place.medium {
        return medium.open(false).map(Store::Other).map_err(|error| storage(place, error));
    }
    let others = other_families(place).map_err(|source| storage(place, source))?;
    let limits = StoreLimits::default();
    let families = options::families(others.into_iter(), &limits);
    let db = DB::open_cf_descriptors_read_only(&options::database(false, &limits), &place.path, families, false);
    db.map(Store::rocks).map_err(|error| storage(place, error.into()))
}

/// Refuses a directory that has less than was promised before it is opened for writing: RocksDB would then drop data
/// that it cannot read and tables missing from its MANIFEST, which a person could still save. It looks twice before
/// it gives up, because a process that holds the directory may have moved its files meanwhile. `check` is one more check.
pub(super) fn look_first(
    place: &Place,
    mark: Option<&Mark>,
    check: &dyn Fn(&Store) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    if !place.is_there() {
        return is_all_there(place, 0, Sides::NONE, mark);
    }
    match (look(place).or_else(|_| look(place)), mark) {
        (Ok(db), _) => has_all(&db, place, mark).and_then(|()| check(&db)),
        // Nothing was promised yet: the directory may be half made.
        (Err(_), mark) if mark.is_none_or(Mark::is_empty) => Ok(()),
        (Err(error), _) => Err(error),
    }
}

fn has_all(db: &Store, place: &Place, mark: Option<&Mark>) -> Result<(), OpenError> {
    let (last, _) = last_record(db, place)?;
    is_all_there(place, last, Sides::read(db).map_err(|source| storage(place, source))?, mark)?;
    if let Some(mark) = mark {
        member::log_reaches(db, place, mark)?;
    }
    if last > 0 {
        identity(db, place)?;
        has_no_gap(db, place, last)?;
    }
    Ok(())
}

/// Refuses a log with a gap behind one of its tables, as an old MANIFEST leaves it.
fn has_no_gap(db: &Store, place: &Place, last: u64) -> Result<(), OpenError> {
    let family = family(db, place, Family::Wal)?;
    let first = first_record(db, place)?;
    let ends = db.table_ends(Family::Wal).map_err(|error| storage(place, error))?;
    for end in ends.iter().filter_map(|key| wal_index(key)) {
        // Earlier records were pruned.
        let index = end.saturating_add(1);
        if (first..=last).contains(&index) {
            let found = db.has_cf(family, wal_key(index)).map_err(|error| storage(place, error))?;
            found.then_some(()).ok_or_else(|| OpenError::Gap { path: place.path.clone(), index, last })?;
        }
    }
    Ok(())
}

fn is_all_there(place: &Place, last: u64, sides: Sides, mark: Option<&Mark>) -> Result<(), OpenError> {
    match mark {
        None if last > 0 => Err(WatermarkError::Absent { path: place.watermark(), last }.into()),
        Some(mark) if mark.index > last => {
            Err(OpenError::Lost { path: place.path.clone(), last, index: last + 1, promised: mark.index })
        }
        Some(mark) => sides.keep(&mark.sides).map_err(|lost| OpenError::SidesLost { path: place.path.clone(), lost }),
        None => Ok(()),
    }
}

/// Families in the directory that are none of ours: a later format may have some.
fn other_families(place: &Place) -> Result<Vec<String>, StorageError> {
    if !place.is_there() {
        return Ok(Vec::new());
    }
    let names = DB::list_cf(&Options::default(), &place.path)?;
    let ours = |name: &String| Family::ALL.iter().any(|family| family.name() == name);
    Ok(names.into_iter().filter(|name| !ours(name)).collect())
}

fn storage(place: &Place, source: StorageError) -> OpenError {
    let path = place.path.clone();
    // RocksDB has no error kind for a held lock: it says «While lock file» of another process, «lock hold
    // by current process» of this one.
    let held = ["While lock file", "lock hold by"].iter().any(|sign| source.0.contains(sign));
    if held { OpenError::Held { path, source } } else { OpenError::Storage { path, source } }
}

pub(super) fn get(db: &Store, place: &Place, key: &[u8]) -> Result<Option<String>, OpenError> {
    let mangled = |what: &str| OpenError::Mangled { path: place.path.clone(), what: what.to_owned() };
    let family = db.column(Family::Meta).ok_or_else(|| mangled("it has no column family meta"))?;
    let value = db.get_cf(family, key).map_err(|error| storage(place, error))?;
    value.map(String::from_utf8).transpose().map_err(|_| mangled("an entry of meta is no text"))
}

pub(super) fn parsed<T: FromStr<Err: Display>>(db: &Store, place: &Place, key: &[u8]) -> Result<Option<T>, OpenError> {
    let Some(text) = get(db, place, key)? else { return Ok(None) };
    let mangled = |error: T::Err| OpenError::Mangled {
        path: place.path.clone(),
        what: format!("the entry {} of meta is {text:?}: {error}", String::from_utf8_lossy(key)),
    };
    text.parse().map(Some).map_err(mangled)
}

pub(super) fn number(db: &Store, place: &Place, key: &[u8]) -> Result<Option<u64>, OpenError> {
    parsed(db, place, key)
}

pub(super) fn required<T: FromStr<Err: Display>>(db: &Store, place: &Place, key: &[u8]) -> Result<T, OpenError> {
    let what = || format!("meta has no entry {}", String::from_utf8_lossy(key));
    parsed(db, place, key)?.ok_or_else(|| OpenError::Mangled { path: place.path.clone(), what: what() })
}

/// Whether the directory was only just created. One that has records but no format is mangled.
fn is_new(db: &Store, place: &Place) -> Result<bool, OpenError> {
    Ok(get(db, place, meta::FORMAT)?.is_none() && last_record(db, place)?.0 == 0)
}

fn initialise(db: &Store, mine: &JournalIdentity, origin: Option<&Origin>) -> Result<(), StorageError> {
    let family = db.column(Family::Meta).ok_or_else(|| StorageError("no column family meta".into()))?;
    let mut batch = WriteBatch::default();
    batch.put_cf(family, meta::FORMAT, FORMAT.to_string());
    batch.put_cf(family, meta::NODE, mine.node.to_string());
    batch.put_cf(family, meta::CLUSTER, mine.cluster.as_str());
    batch.put_cf(family, meta::INCARNATION, mine.incarnation.to_string());
    batch.put_cf(family, meta::PRUNE_FLOOR, "0");
    batch.put_cf(family, meta::REPLAY_FLOOR, "0");
    if let Some(origin) = origin {
        batch.put_cf(family, meta::FOLLOWS, &origin.primary);
        origin.incarnations.iter().for_each(|begun| {
            batch.put_cf(family, incarnations::begun_key(begun.number), canonical_bytes(begun));
        });
    }
    db.write(batch, true)
}

fn identity(db: &Store, place: &Place) -> Result<JournalIdentity, OpenError> {
    if get(db, place, meta::FORMAT)?.is_none() && first_record(db, place)? > 1 {
        return Err(OpenError::Gap { path: place.path.clone(), index: 1, last: last_record(db, place)?.0 });
    }
    let format: String = required(db, place, meta::FORMAT)?;
    if !(OLDEST_FORMAT..=FORMAT).chain([MEMBER_FORMAT]).any(|known| format == known.to_string()) {
        return Err(OpenError::Format { path: place.path.clone(), found: format });
    }
    Ok(JournalIdentity {
        node: required(db, place, meta::NODE)?,
        cluster: required(db, place, meta::CLUSTER)?,
        incarnation: required(db, place, meta::INCARNATION)?,
    })
}

/// A directory of an older format becomes one of this format before anything of this format is written to it, so that
/// an older program refuses it and does not stumble over a row. Called once the checks of a start passed.
pub(super) fn raise_format(db: &Store) -> Result<(), StorageError> {
    let family = db.column(Family::Meta).ok_or_else(|| StorageError("no column family meta".into()))?;
    let format = FORMAT.to_string();
    if db.get_cf(family, meta::FORMAT)?.as_deref() == Some(format.as_bytes()) {
        return Ok(());
    }
    let mut batch = WriteBatch::default();
    batch.put_cf(family, meta::FORMAT, format);
    db.write(batch, true)
}

/// Refuses a member's directory: alone it would write records that the cluster does not have.
pub(super) fn runs_alone(db: &Store, place: &Place) -> Result<(), OpenError> {
    if member::is_member(db, place)? { Err(OpenError::Member { path: place.path.clone() }) } else { Ok(()) }
}

/// Refuses the directory of a node that runs alone, and one whose watermark is not a member's, or older than the journal.
fn is_of_member(db: &Store, place: &Place, found: Option<&Found>) -> Result<(), OpenError> {
    if !member::is_member(db, place)? {
        return Err(OpenError::NotMember { path: place.path.clone() });
    }
    let pledge = found.and_then(|found| found.mark.member);
    let pledge = pledge.ok_or_else(|| WatermarkError::NoMember { path: place.watermark() })?;
    member::is_newest(db, place, &pledge)
}

fn belongs(found: &JournalIdentity, mine: &JournalIdentity, place: &Place) -> Result<(), OpenError> {
    let path = place.path.clone();
    if found.node != mine.node {
        return Err(OpenError::OtherNode { path, expected: mine.node, found: found.node });
    }
    if found.cluster != mine.cluster {
        let (expected, found) = (mine.cluster.clone(), found.cluster.clone());
        return Err(OpenError::OtherCluster { path, expected, found });
    }
    Ok(())
}

/// Refuses to write as a node to a log that follows, and to follow with the log of a node.
fn may_write(db: &Store, place: &Place, origin: Option<&Origin>) -> Result<(), OpenError> {
    let path_of = || place.path.clone();
    match (get(db, place, meta::FOLLOWS)?, origin) {
        (Some(primary), None) => Err(OpenError::Following { path: path_of(), primary }),
        (None, Some(_)) => Err(OpenError::NotFollowing { path: path_of() }),
        _ => Ok(()),
    }
}

fn family<'a>(db: &'a Store, place: &Place, family: Family) -> Result<Column<'a>, OpenError> {
    let what = || format!("it has no column family {}", family.name());
    db.column(family).ok_or_else(|| OpenError::Mangled { path: place.path.clone(), what: what() })
}

/// Index of the first record, 0 where there is none.
pub(super) fn first_record(db: &Store, place: &Place) -> Result<u64, OpenError> {
    let mut rows = db.walk(family(db, place, Family::Wal)?, Scan::default());
    rows.seek_to_first();
    let row = rows.item().map_err(|error| storage(place, error))?;
    Ok(row.and_then(|(key, _)| wal_index(key)).unwrap_or(0))
}

/// Index and chain value of the last record as stored; recovery checks it.
pub(super) fn last_record(db: &Store, place: &Place) -> Result<(u64, Hash), OpenError> {
    let mangled = |what: String| OpenError::Mangled { path: place.path.clone(), what };
    let mut rows = db.walk(family(db, place, Family::Wal)?, Scan::default());
    rows.seek_to_last();
    let row = rows.item().map_err(|error| storage(place, error))?;
    let Some((key, value)) = row else { return Ok((0, Hash::ZERO)) };
    let index = wal_index(key).ok_or_else(|| mangled("the last key of the WAL is no index".to_owned()))?;
    let frame = Frame::parse(index, value).map_err(|error| mangled(error.to_string()))?;
    Ok((index, frame.chain))
}
