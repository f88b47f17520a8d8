//! The same for the directory of a cluster's member: under any damage to its files, it has every row and vote that it acknowledged, or
//! it does not start. docs/journal.md shows the table; `SWOOSH_BLESS=1` rewrites it.

use super::*;
use crate::testing::member::{MemberNode, start};

/// The last row that is promised.
const ROWS: u64 = 6;

/// Files and bytes from before, which some damages put back or look for.
struct Saved {
    /// The last row, as it is stored.
    row: Vec<u8>,
    /// The watermark of the first start, and that of the second one before its vote.
    first_start: Vec<u8>,
    before_vote: Vec<u8>,
}

/// Makes a scene: rows 2 to 6 with records 1 to 5, of which row 6 is not applied; the older copy ends with row 4.
fn scene(flushed: bool) -> (Scene, Saved) {
    let mut member = MemberNode::new();
    let first_start = fs::read(member.node.directory.watermark()).unwrap();
    member = member.restart(2);
    let before_vote = fs::read(member.node.directory.watermark()).unwrap();
    member.vote(2, 1, true);
    (1..=3).for_each(|_| drop(member.commit(2, &["a"], true)));
    let older = member.node.directory.copy();
    if flushed {
        member.node.flush();
    }
    member.commit(2, &["a"], true);
    let last = member.commit(2, &["a"], false);
    assert_eq!(last.at.index, ROWS);
    let inner = &member.node.journal.0;
    let row = inner.db.get_cf(inner.family(Family::Raft), layout::raft_key(ROWS)).unwrap().unwrap();
    let record = |index| {
        let bytes = inner.frame_bytes(index).unwrap().unwrap();
        frame::Frame::parse(index, &bytes).unwrap().record.to_vec()
    };
    let records = (1..=RECORDS).map(record).collect();
    let scene = Scene { now: member.node.directory.copy(), older, records };
    (scene, Saved { row, first_start, before_vote })
}

struct MemberDamage {
    name: &'static str,
    flushed: bool,
    strike: fn(&Scene, &Saved),
}

/// Flips a bit in sectors of the newest slot, or of both slots.
fn flip_sectors(scene: &Scene, slots: usize, sectors: &[u64]) {
    let bytes = fs::read(scene.now.watermark()).unwrap();
    let newest = usize::from(bytes[4096 + 12..4096 + 20] > bytes[12..20]);
    for slot in (0..slots).map(|n| (newest + n) % 2) {
        for sector in sectors {
            scene.flip_at(&scene.now.watermark(), slot as u64 * 4096 + sector * 512 + 30);
        }
    }
}

/// Both slots say what the older one says, as before the newest was written.
fn forget_newest(scene: &Scene) {
    let bytes = fs::read(scene.now.watermark()).unwrap();
    let (one, two) = bytes.split_at(4096);
    let older = if one[12..20] < two[12..20] { one } else { two };
    fs::write(scene.now.watermark(), [older, older].concat()).unwrap();
}

fn flip_row(scene: &Scene, saved: &Saved) {
    let log = scene.log_bytes();
    let at = log.windows(saved.row.len()).position(|window| window == saved.row).unwrap();
    scene.flip_at(&scene.log(), at as u64 + 20);
}

fn put_both_back(scene: &Scene) {
    scene.put_back_all();
    scene.put_back_watermark();
}

fn damage(name: &'static str, flushed: bool, strike: fn(&Scene, &Saved)) -> MemberDamage {
    MemberDamage { name, flushed, strike }
}

fn damages() -> Vec<MemberDamage> {
    vec![
        damage("nothing", false, |_, _| ()),
        damage("log: torn tail", false, |scene, _| scene.cut(scene.log_bytes().len() - 7)),
        damage("log: flip in the last row", false, flip_row),
        damage("log: flip in the last record's payload", false, |scene, _| scene.flip_record(5)),
        damage("log: cut at a row boundary", false, |scene, _| scene.cut(scene.start_of(5))),
        damage("log: deleted", false, |scene, _| fs::remove_file(scene.log()).unwrap()),
        damage("log: deleted, after tables were written", true, |scene, _| fs::remove_file(scene.log()).unwrap()),
        damage("table: flip in a block", true, |scene, _| scene.flip_tables(|_| 40)),
        damage("CURRENT: deleted", true, |scene, _| fs::remove_file(scene.path("CURRENT")).unwrap()),
        damage("directory: an older copy put back", false, |scene, _| scene.put_back_all()),
        damage("directory and watermark: an older copy of both put back", false, |scene, _| put_both_back(scene)),
        damage("directory: emptied", true, |scene, _| scene.delete("")),
        damage("nothing: a crash between data and watermark", false, |scene, _| forget_newest(scene)),
        damage("watermark: one sector of the newest slot damaged", false, |scene, _| flip_sectors(scene, 1, &[0])),
        damage("watermark: one sector of each slot damaged", false, |scene, _| flip_sectors(scene, 2, &[1])),
        damage("watermark: newest slot damaged", false, |scene, _| flip_sectors(scene, 1, &[0, 1])),
        damage("watermark: both slots damaged", false, |scene, _| flip_sectors(scene, 2, &[0, 1])),
        damage("watermark: emptied", false, |scene, _| fs::write(scene.now.watermark(), []).unwrap()),
        damage("watermark: deleted", false, |scene, _| fs::remove_file(scene.now.watermark()).unwrap()),
        damage("watermark: an older copy put back", false, |scene, _| scene.put_back_watermark()),
        damage("watermark: one from before the last vote put back", false, |scene, saved| {
            fs::write(scene.now.watermark(), &saved.before_vote).unwrap();
        }),
        damage("watermark: one of an earlier start put back", false, |scene, saved| {
            fs::write(scene.now.watermark(), &saved.first_start).unwrap();
        }),
    ]
}

fn started(scene: &Scene) -> Result<(Option<u64>, u64), String> {
    let journal = start(options(scene.now.path()), 9)?;
    let (at, record) = journal.logged().unwrap();
    assert_eq!(journal.member_log().unwrap().ends().ballot.map(|ballot| ballot.term), Some(2), "the vote is kept");
    Ok((at.map(|at| at.index), record))
}

fn refusal(scene: &Scene, text: &str) -> String {
    let signs = [
        ("may have forgotten a vote", "refuses: the watermark is older"),
        ("one slot of the watermark", "refuses: one slot of the watermark is damaged"),
        ("ends at row 4, but", "refuses: row 5 is missing"),
    ];
    match signs.into_iter().find(|(sign, _)| text.contains(sign)) {
        Some((_, words)) => {
            assert!(text.contains("runbooks/recovery.md"), "{text}");
            words.to_owned()
        }
        None => summarise(scene, text),
    }
}

fn looked(scene: &Scene) -> String {
    match Journal::open_read_only(scene.now.path()) {
        Err(error) => refusal(scene, &error.to_string()),
        Ok(journal) => {
            let report = verify::verify(&journal, &mut |_| ());
            report.problems.iter().for_each(|problem| println!("{problem}"));
            if report.is_good() { "whole".to_owned() } else { "reports it".to_owned() }
        }
    }
}

fn row(damage: &MemberDamage) -> String {
    let (scene, saved) = scene(damage.flushed);
    (damage.strike)(&scene, &saved);
    let seen = looked(&scene);
    let found = contents(&scene);
    let outcome = match started(&scene) {
        Ok(end) if end == (Some(ROWS), RECORDS) => "opens with everything".to_owned(),
        Ok(end) => {
            assert!(damage.name.contains("of both"), "{}: it opens with less than was promised: {end:?}", damage.name);
            "opens with less; only other members can see it".to_owned()
        }
        Err(text) => {
            assert!(started(&scene).is_err(), "{}: refused once and then opened", damage.name);
            assert_eq!(contents(&scene), found, "{}: a refusal changed files", damage.name);
            refusal(&scene, &text)
        }
    };
    format!("| {} | {outcome} | {seen} |", damage.name)
}

const BEGIN: &str = "<!-- generated: member damages -->";
const END: &str = "<!-- end of member damages -->";

#[test]
fn no_damage_makes_a_member_forget_a_row_or_a_vote_in_silence() {
    let head = ["| damage to | a start | `swoosh wal verify` |", "| --- | --- | --- |"].map(str::to_owned);
    let table = head.into_iter().chain(damages().iter().map(row)).collect::<Vec<_>>().join("\n");
    println!("{table}");
    holds_table(&table, BEGIN, END);
}
