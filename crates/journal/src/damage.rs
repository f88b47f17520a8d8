//! The table of damages: whatever happens to a journal's files, it opens with every record or refuses and names the
//! missing one. docs/journal.md shows the table; `SWOOSH_BLESS=1` rewrites it.

mod member;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::testing::{Directory, Node, name, options};
use super::*;
use swoosh_types::hlc::Hlc;

/// Records that are promised.
const RECORDS: u64 = 5;

/// One way to damage a directory.
struct Damage {
    name: &'static str,
    /// Whether tables are written first, so that the log is not all there is.
    flushed: bool,
    strike: fn(&Scene),
}

/// A directory to be damaged, and an older copy of it.
struct Scene {
    now: Directory,
    /// The directory after record 3.
    older: Directory,
    /// The canonical bytes of each record, from the first.
    records: Vec<Vec<u8>>,
}

const DAMAGES: &[Damage] = &[
    Damage { name: "nothing", flushed: false, strike: |_| () },
    Damage { name: "log: torn tail", flushed: false, strike: |scene| scene.cut(scene.log_bytes().len() - 7) },
    Damage { name: "log: flip in a middle record's payload", flushed: false, strike: |scene| scene.flip_record(3) },
    Damage { name: "log: flip in a length field", flushed: false, strike: |scene| scene.flip_length(3) },
    Damage { name: "log: flip in the last record's payload", flushed: false, strike: |scene| scene.flip_record(5) },
    Damage { name: "log: cut at a record boundary", flushed: false, strike: |scene| scene.cut(scene.start_of(5)) },
    Damage { name: "log: zeroed tail", flushed: false, strike: |scene| scene.zero(scene.start_of(5)) },
    Damage { name: "log: emptied", flushed: false, strike: |scene| scene.cut(0) },
    Damage { name: "log: deleted", flushed: false, strike: |scene| fs::remove_file(scene.log()).unwrap() },
    Damage { name: "log: an older copy put back", flushed: false, strike: |scene| scene.put_back("log") },
    Damage { name: "log: bytes appended", flushed: false, strike: |scene| scene.append_to_log() },
    Damage {
        name: "log: deleted, after tables were written",
        flushed: true,
        strike: |scene| fs::remove_file(scene.log()).unwrap(),
    },
    Damage { name: "table: flip in a record's block", flushed: true, strike: |scene| scene.flip_tables(|_| 40) },
    Damage {
        name: "table: flip in the index",
        flushed: true,
        strike: |scene| scene.flip_tables(|length| length - 120),
    },
    Damage { name: "table: flip in the footer", flushed: true, strike: |scene| scene.flip_tables(|length| length - 4) },
    Damage { name: "table: deleted", flushed: true, strike: |scene| scene.delete("sst") },
    Damage { name: "MANIFEST: cut in half", flushed: true, strike: |scene| scene.cut_manifest(|length| length / 2) },
    Damage { name: "MANIFEST: emptied", flushed: true, strike: |scene| scene.overwrite("MANIFEST", &[]) },
    Damage { name: "MANIFEST: last bytes cut", flushed: true, strike: |scene| scene.cut_manifest(|length| length - 9) },
    Damage { name: "MANIFEST: an older copy put back", flushed: true, strike: |scene| scene.put_back_manifest() },
    Damage { name: "CURRENT: deleted", flushed: true, strike: |scene| fs::remove_file(scene.path("CURRENT")).unwrap() },
    Damage { name: "directory: an older copy put back", flushed: false, strike: |scene| scene.put_back_all() },
    Damage {
        name: "directory: an older copy put back, after tables were written",
        flushed: true,
        strike: |scene| scene.put_back_all(),
    },
    Damage { name: "directory: emptied", flushed: true, strike: |scene| scene.delete("") },
    Damage {
        name: "nothing: a crash between data and watermark",
        flushed: false,
        strike: |scene| scene.forget_newest_mark(),
    },
    Damage { name: "watermark: newest slot torn", flushed: false, strike: |scene| scene.tear_slots(1) },
    Damage { name: "watermark: both slots damaged", flushed: false, strike: |scene| scene.tear_slots(2) },
    Damage {
        name: "watermark: emptied",
        flushed: false,
        strike: |scene| fs::write(scene.now.watermark(), []).unwrap(),
    },
    Damage {
        name: "watermark: deleted",
        flushed: false,
        strike: |scene| fs::remove_file(scene.now.watermark()).unwrap(),
    },
    Damage { name: "watermark: an older copy put back", flushed: false, strike: |scene| scene.put_back_watermark() },
];

impl Scene {
    fn new(flushed: bool) -> Scene {
        let mut node = Node::new();
        (1..=3).for_each(|_| drop(node.commit(&["a"])));
        let older = node.directory.copy();
        if flushed {
            node.flush();
        }
        (4..=RECORDS).for_each(|_| drop(node.commit(&["a"])));
        let records = (1..=RECORDS).map(|index| node.journal.record(index).unwrap().unwrap().encoded).collect();
        // A crash: the directory as copied now, never closed.
        Scene { now: node.directory.copy(), older, records }
    }

    fn copy(&self) -> Scene {
        Scene { now: self.now.copy(), older: self.older.copy(), records: self.records.clone() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.now.path().join(name)
    }

    /// The newest log, in which the last records are.
    fn log(&self) -> PathBuf {
        files(self.now.path(), "log").pop().unwrap()
    }

    fn log_bytes(&self) -> Vec<u8> {
        fs::read(self.log()).unwrap()
    }

    fn cut(&self, length: usize) {
        File::options().write(true).open(self.log()).unwrap().set_len(length as u64).unwrap();
    }

    fn zero(&self, from: usize) {
        let rest = vec![0; self.log_bytes().len() - from];
        File::options().write(true).open(self.log()).unwrap().write_all_at(&rest, from as u64).unwrap();
    }

    /// Where the bytes of a record lie in the log.
    fn payload_of(&self, index: usize) -> usize {
        let (log, sought) = (self.log_bytes(), &self.records[index - 1]);
        log.windows(sought.len()).position(|window| window == sought).unwrap_or_else(|| panic!("no record {index}"))
    }

    /// Where RocksDB's record around a record of ours begins. RocksDB writes checksum (4 bytes), length (2)
    /// and kind (1) before each, and the batch begins with its sequence number (8) and count (4); as each
    /// commit of the scene is one batch of rows, they are found by walking.
    fn start_of(&self, index: usize) -> usize {
        let (log, payload) = (self.log_bytes(), self.payload_of(index));
        let (mut at, mut found) = (0, 0);
        while at + 7 <= payload {
            found = at;
            let length = usize::from(u16::from_le_bytes([log[at + 4], log[at + 5]]));
            at += 7 + length;
        }
        assert!(payload < at, "record {index} lies in the record at {found}");
        found
    }

    fn flip_at(&self, path: &Path, at: u64) {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    }

    fn flip_record(&self, index: usize) {
        self.flip_at(&self.log(), self.payload_of(index) as u64 + 9);
    }

    fn flip_length(&self, index: usize) {
        self.flip_at(&self.log(), self.start_of(index) as u64 + 5);
    }

    fn flip_tables(&self, at: fn(u64) -> u64) {
        for table in files(self.now.path(), "sst") {
            self.flip_at(&table, at(fs::metadata(&table).unwrap().len()));
        }
    }

    fn overwrite(&self, prefix: &str, bytes: &[u8]) {
        for entry in fs::read_dir(self.now.path()).unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                fs::write(entry.path(), bytes).unwrap();
            }
        }
    }

    fn append_to_log(&self) {
        let log = self.log_bytes();
        fs::write(self.log(), [log.as_slice(), &[0xa5; 300]].concat()).unwrap();
    }

    fn cut_manifest(&self, to: fn(usize) -> usize) {
        let current = fs::read_to_string(self.path("CURRENT")).unwrap();
        let bytes = fs::read(self.path(current.trim())).unwrap();
        self.overwrite("MANIFEST", &bytes[..to(bytes.len())]);
    }

    fn put_back_manifest(&self) {
        let older = fs::read_to_string(self.older.path().join("CURRENT")).unwrap();
        self.overwrite("MANIFEST", &fs::read(self.older.path().join(older.trim())).unwrap());
    }

    /// Both slots say what the older one says, as before the newest was written.
    fn forget_newest_mark(&self) {
        let bytes = fs::read(self.now.watermark()).unwrap();
        let newest = watermark::read(&self.now.place()).unwrap().unwrap().mark;
        let (one, two) = bytes.split_at(4096);
        let of = |slot: &[u8]| [slot, slot].concat();
        fs::write(self.now.watermark(), of(one)).unwrap();
        if watermark::read(&self.now.place()).unwrap().unwrap().mark == newest {
            fs::write(self.now.watermark(), of(two)).unwrap();
        }
        assert_eq!(watermark::read(&self.now.place()).unwrap().unwrap().mark.index, RECORDS - 1);
    }

    fn delete(&self, extension: &str) {
        files(self.now.path(), extension).into_iter().for_each(|file| fs::remove_file(file).unwrap());
    }

    fn put_back(&self, extension: &str) {
        self.delete(extension);
        for file in files(self.older.path(), extension) {
            fs::copy(&file, self.path(&file.file_name().unwrap().to_string_lossy())).unwrap();
        }
    }

    fn put_back_all(&self) {
        self.put_back("");
    }

    fn put_back_watermark(&self) {
        fs::copy(self.older.watermark(), self.now.watermark()).unwrap();
    }

    /// Damages this many slots, the newest first.
    fn tear_slots(&self, slots: u64) {
        // A start writes once, and every record once.
        let newest = (RECORDS + 1) % 2;
        (0..slots).for_each(|slot| self.flip_at(&self.now.watermark(), (newest + slot) % 2 * 4096 + 30));
    }
}

/// Files of an extension, or all of them, in the order of their names.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        all.filter(|path| extension.is_empty() || path.extension().is_some_and(|e| e == extension)).collect();
    found.sort();
    found
}

/// Starts a node on the directory.
fn start(scene: &Scene) -> Result<(u64, Hash), String> {
    let journal = Journal::open(options(scene.now.path())).map_err(|error| error.to_string())?;
    let recovered = journal.recover().map_err(|error| error.to_string())?;
    Ok((recovered.last_index, recovered.last_chain))
}

/// Runs `swoosh wal verify` on the directory.
fn look(scene: &Scene) -> String {
    match Journal::open_read_only(scene.now.path()) {
        Err(error) => summarise(scene, &error.to_string()),
        Ok(journal) => {
            let report = verify::verify(&journal, &mut |_| ());
            let problems: Vec<String> = report.problems.iter().map(|problem| problem.index.to_string()).collect();
            if report.is_good() { "whole".to_owned() } else { format!("record {}", problems.join(", ")) }
        }
    }
}

/// The refusal's missing part, without texts that differ from run to run.
fn summarise(scene: &Scene, text: &str) -> String {
    println!("{text}");
    let named = ["is the first one missing", "promises records up to", "record ", "watermark", "both slots"];
    assert!(named.iter().any(|sign| text.contains(sign)), "it does not say what is missing: {text}");
    assert!(text.contains("runbooks/recovery.md"), "{text}");
    assert!(text.contains(scene.now.path().to_str().unwrap()) || text.contains("record "), "{text}");
    match text {
        text if text.contains("record 1 is the first") => "refuses: record 1 is missing".to_owned(),
        text if text.contains("record 3 is the first") => "refuses: record 3 is missing".to_owned(),
        text if text.contains("record 4 is the first") => "refuses: record 4 is missing".to_owned(),
        text if text.contains("record 5 is the first") => "refuses: record 5 is missing".to_owned(),
        text if text.contains("but record 1 is missing") => "refuses: record 1 is missing".to_owned(),
        text if text.contains("is the first one missing") => "refuses: names the first record missing".to_owned(),
        text if text.contains("both slots") => "refuses: the watermark is damaged".to_owned(),
        text if text.contains("is missing, though") => "refuses: the watermark is missing".to_owned(),
        text if text.contains("promises records up to 5") => {
            "refuses: cannot be read, records up to 5 are promised".to_owned()
        }
        _ => {
            format!("refuses: names its record ({})", text.chars().take_while(|c| *c != '(').collect::<String>().trim())
        }
    }
}

/// Everything that a person could still save: every file but RocksDB's own diary and lock, with its hash.
fn contents(scene: &Scene) -> BTreeMap<String, Hash> {
    let named = |path: PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), path);
    let saved = |(name, path): (String, PathBuf)| {
        let own = name.starts_with("LOG") || name == "LOCK";
        (!own).then(|| (name, Hash::of(&fs::read(path).unwrap())))
    };
    files(scene.now.path(), "").into_iter().map(named).filter_map(saved).collect()
}

fn row(damage: &Damage) -> String {
    let scene = Scene::new(damage.flushed);
    let promised = Journal::open_read_only(scene.now.path()).unwrap().last();
    assert_eq!(promised.0, RECORDS, "the scene is whole");
    (damage.strike)(&scene);
    let seen = look(&scene);
    let found = contents(&scene);
    let started = match start(&scene) {
        Ok(end) => {
            assert_eq!(end, promised, "{}: it opens with less than was promised", damage.name);
            "opens with everything".to_owned()
        }
        Err(text) => {
            let first = summarise(&scene, &text);
            // A refusal stays one: nothing was adopted on the way.
            assert!(start(&scene).is_err(), "{}: refused once and then opened", damage.name);
            assert_eq!(contents(&scene), found, "{}: a refusal changed files", damage.name);
            first
        }
    };
    format!("| {} | {started} | {seen} |", damage.name)
}

const BEGIN: &str = "<!-- generated: damages -->";
const END: &str = "<!-- end of damages -->";

#[test]
fn no_damage_loses_a_promised_record_in_silence() {
    let head = ["| damage to | a start | `swoosh wal verify` |", "| --- | --- | --- |"].map(str::to_owned);
    let table = head.into_iter().chain(DAMAGES.iter().map(row)).collect::<Vec<_>>().join("\n");
    println!("{table}");
    holds_table(&table, BEGIN, END);
}

/// docs/journal.md has this table between two marks.
fn holds_table(table: &str, begin: &str, end: &str) {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("docs/journal.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let fresh = format!("{before}{begin}\n\n{table}\n\n{end}{after}");
    if std::env::var_os("SWOOSH_BLESS").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), fresh, "docs/journal.md is stale; run the test with SWOOSH_BLESS=1");
}

#[test]
fn tables_that_an_old_manifest_does_not_know_are_left_alone() {
    let mut node = Node::new();
    node.commit(&["a", "a"]);
    node.flush();
    let older = node.directory.copy();
    node.commit(&["a"]);
    node.flush();
    node.commit(&["a"]);
    let scene = Scene { now: node.directory.copy(), older, records: Vec::new() };
    scene.put_back_manifest();
    let found = contents(&scene);
    let error = Journal::open(options(scene.now.path())).err().unwrap();
    assert!(matches!(error, OpenError::Gap { index: 3, last: 4, .. }), "{error}");
    assert_eq!(contents(&scene), found);
}

/// Bytes between two places that are damaged. Odd, so that fields of every width are met.
const STRIDE: u64 = 1499;

/// Damages a file of the scene in one place, and holds a start and a look against what was promised.
fn strike_at(scene: &Scene, file: &Path, whole: &[u8], at: u64, cut: bool) {
    if cut {
        fs::write(file, &whole[..at as usize]).unwrap();
    } else {
        scene.flip_at(file, at);
    }
    let promised = Journal::open_read_only(scene.now.path()).map(|journal| journal.last());
    let what = format!("{} {} at {at}", file.display(), if cut { "cut" } else { "flipped" });
    if let Ok(journal) = Journal::open_read_only(scene.now.path())
        && verify::verify(&journal, &mut |_| ()).is_good()
    {
        for (index, encoded) in (1..).zip(&scene.records) {
            assert_eq!(journal.record(index).unwrap().unwrap().encoded, *encoded, "{what}");
        }
    }
    match start(scene) {
        Ok((index, _)) => assert_eq!(index, RECORDS, "{what}: opens with less ({promised:?})"),
        Err(text) => assert!(text.contains("runbooks/recovery.md"), "{what}: {text}"),
    }
}

/// Wherever a file is flipped or cut: a start has everything or refuses, and what looking calls whole is so.
#[test]
fn no_flip_and_no_cut_in_any_file_is_silent() {
    let scene = Scene::new(true);
    let files = files(scene.now.path(), "").into_iter().chain([scene.now.watermark()]);
    let mut places = 0;
    for file in files.map(|file| file.file_name().unwrap().to_os_string()).collect::<Vec<_>>() {
        let length =
            fs::metadata(scene.now.path().join(&file)).or_else(|_| fs::metadata(scene.now.watermark())).unwrap().len();
        let name = file.to_string_lossy();
        if name == "LOCK" || name.starts_with("LOG") {
            continue;
        }
        for (n, at) in (0..length).step_by(STRIDE as usize).enumerate() {
            let struck = scene.copy();
            let path = if struck.path(&name).exists() { struck.path(&name) } else { struck.now.watermark() };
            let whole = fs::read(&path).unwrap();
            strike_at(&struck, &path, &whole, at, n % 3 == 2);
            places += 1;
        }
    }
    println!("{places} places");
    assert!(places > 20, "{places}");
}

#[test]
fn data_ahead_of_the_watermark_is_adopted_and_promised() {
    let scene = Scene::new(false);
    scene.put_back_watermark();
    assert_eq!(watermark::read(&scene.now.place()).unwrap().unwrap().mark.index, 3);
    let (index, chain) = start(&scene).unwrap();
    let mark = watermark::read(&scene.now.place()).unwrap().unwrap().mark;
    assert_eq!((mark.index, mark.chain), (index, chain));
    scene.cut(0);
    assert!(start(&scene).is_ok(), "what was adopted is in tables by now");
}

#[test]
fn every_batch_is_promised_before_append_returns() {
    let mut node = Node::new();
    for index in 1..=RECORDS {
        node.commit(&["a"]);
        let mark = watermark::read(&node.directory.place()).unwrap().unwrap().mark;
        // The first write is the start's own.
        assert_eq!((mark.index, mark.chain, mark.sequence), (index, node.chain, index + 1));
    }
}

#[test]
fn with_an_interval_a_sync_promises_what_it_synced() {
    let mut node = Node::new();
    let mark = |node: &Node| watermark::read(&node.directory.place()).unwrap().unwrap().mark.index;
    node.reopen_with(Durability::Interval(Duration::from_millis(1)));
    node.commit(&["a", "b"]);
    assert_eq!(mark(&node), 0);
    node.journal.sync().unwrap();
    assert_eq!(mark(&node), 2);
}

#[test]
fn a_watermark_of_another_chain_or_incarnation_is_refused() {
    let mut node = Node::new();
    node.commit(&["a", "b"]);
    let Node { directory, journal, .. } = node;
    let (index, chain) = journal.last();
    drop(journal);
    for (mark, expected) in [
        (
            Mark { sequence: 0, index, chain: Hash::of(b"another"), incarnation: 1, sides: Sides::NONE, member: None },
            "record 2",
        ),
        (Mark { sequence: 0, index, chain, incarnation: 2, sides: Sides::NONE, member: None }, "incarnation 2"),
    ] {
        drop(watermark::Watermark::create(&directory.place(), mark).unwrap());
        let journal = Journal::open(options(directory.path())).unwrap();
        let error = journal.recover().unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("runbooks/recovery.md"), "{error}");
        let seen = verify::verify(&Journal::open_read_only(directory.path()).unwrap(), &mut |_| ());
        assert_eq!(seen.problem_count, 1);
    }
}

/// Looks at a loss, and accepts it.
fn accept(scene: &Scene, reason: &str) -> Result<Mark, AcceptError> {
    Journal::accept_end(scene.now.path(), &Journal::loss(scene.now.path())?, Hlc::new(7, 0).unwrap(), reason)
}

fn acceptances(scene: &Scene) -> Vec<Acceptance> {
    let journal = Journal::open_read_only(scene.now.path()).unwrap();
    verify::verify(&journal, &mut |_| ()).acceptances
}

#[test]
fn a_loss_is_accepted_as_it_was_looked_at_and_stays_written() {
    let scene = Scene::new(false);
    assert!(matches!(Journal::loss(scene.now.path()), Err(AcceptError::Whole { last: 5 })));
    scene.cut(scene.start_of(5));
    assert!(start(&scene).is_err());
    let loss = Journal::loss(scene.now.path()).unwrap();
    assert_eq!((loss.last, loss.promised, loss.lost()), (4, Some(5), Some(5..=5)));
    assert_eq!(loss.kept, BTreeMap::from([(name("a"), 4)]));
    assert!(start(&scene).is_err(), "looking accepts nothing");
    assert_eq!(accept(&scene, "ops: gone").unwrap().index, 4);
    assert_eq!(start(&scene).unwrap().0, 4);
    let found = acceptances(&scene);
    assert_eq!((found.len(), found[0].last, found[0].promised, &*found[0].reason), (1, 4, Some(5), "ops: gone"));
    assert!(found[0].problem.contains("promises records up to 5"), "{}", found[0].problem);
    assert!(matches!(Journal::loss(scene.now.path()), Err(AcceptError::Whole { last: 4 })));
}

#[test]
fn a_watermark_without_a_promise_is_rewritten_and_each_acceptance_is_kept() {
    let scene = Scene::new(false);
    for round in 1..=2 {
        fs::remove_file(scene.now.watermark()).unwrap();
        let loss = Journal::loss(scene.now.path()).unwrap();
        assert_eq!((loss.last, loss.promised, loss.lost()), (RECORDS, None, None));
        accept(&scene, &format!("round {round}")).unwrap();
        assert_eq!(start(&scene).unwrap().0, RECORDS);
    }
    assert_eq!(
        acceptances(&scene).iter().map(|found| found.reason.as_str()).collect::<Vec<_>>(),
        ["round 1", "round 2"]
    );
}

#[test]
fn a_loss_that_moved_a_journal_that_is_held_and_one_that_does_not_hold_are_not_accepted() {
    let scene = Scene::new(false);
    fs::remove_file(scene.now.watermark()).unwrap();
    let (at, loss) = (Hlc::default(), Journal::loss(scene.now.path()).unwrap());
    accept(&scene, "once").unwrap();
    let journal = Journal::open(options(scene.now.path())).unwrap();
    let held = Journal::accept_end(scene.now.path(), &loss, at, "held");
    assert!(matches!(held, Err(AcceptError::Open(OpenError::Held { .. }))), "{held:?}");
    drop(journal);
    let mut other = loss.clone();
    other.last = 4;
    let other = Journal::accept_end(scene.now.path(), &other, at, "other");
    assert!(matches!(other, Err(AcceptError::OtherEnd { named: 4, found: 5 })), "{other:?}");
    let mut node = Node::new();
    node.commit(&["a", "a", "a"]);
    node.journal.0.db.inside().delete_cf(node.journal.0.family(Family::Wal).inside(), layout::wal_key(2)).unwrap();
    let broken = node.directory.copy();
    fs::remove_file(broken.watermark()).unwrap();
    assert!(matches!(Journal::loss(broken.path()), Err(AcceptError::Broken(_))));
}

#[test]
fn a_record_without_its_key_or_decision_is_reported() {
    for family in [Family::Idem, Family::Decisions] {
        let mut node = Node::new();
        let record = node.commit(&["a"]).remove(0);
        let key = match family {
            Family::Idem => layout::idem_key(&record.project, &record.idem_key),
            _ => layout::scoped_key(&record.project, 1),
        };
        node.journal.0.db.inside().delete_cf(node.journal.0.family(family).inside(), key).unwrap();
        let node = node.reopen();
        assert!(matches!(node.journal.recover(), Err(RecoverError::Torn { index: 1, .. })));
    }
}
