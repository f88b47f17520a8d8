//! Rows of a sound leader pass; each damage of a row refuses it and all behind it.

use std::sync::Arc;

use swoosh_journal::testing::member::{at, ballot, row_of};
use swoosh_journal::testing::{Node, cluster, name, node_key};
use swoosh_types::cluster::{Batch, DirectoryId, Member, MemberId};
use swoosh_types::keys::SecretKey;

use super::*;

/// Milliseconds of the stamps of records; each is a millisecond later than the one before.
const NOW: u64 = 1_760_000_000_000;

/// A leader's log, and the member that checks it.
struct Pair {
    node: Node,
    rows: Vec<Row>,
    held: Held,
    inspector: Inspector,
}

/// The applied state and the log of the member.
#[derive(Default)]
struct Held {
    end: End,
    members: Configuration,
    heads: BTreeMap<ProjectName, (Arc<Head>, u64)>,
    objects: BTreeSet<Hash>,
    log: Vec<Row>,
}

impl Known for Held {
    fn applied(&self) -> Result<(End, Configuration), String> {
        Ok((self.end, self.members.clone()))
    }

    fn head(&self, project: &ProjectName) -> Result<(Arc<Head>, u64), String> {
        let genesis = || (Arc::new(Head::genesis(project)), 0);
        Ok(self.heads.get(project).cloned().unwrap_or_else(genesis))
    }

    fn has_object(&self, hash: &Hash) -> Result<bool, String> {
        Ok(self.objects.contains(hash))
    }

    fn rows(&self, from: u64, to: u64) -> Result<Vec<Row>, String> {
        Ok(self.log.iter().filter(|row| (from..to).contains(&row.at.index)).cloned().collect())
    }
}

fn member(key: &SecretKey) -> Member {
    Member { name: "n".to_owned(), key: key.public(), directory: DirectoryId::default(), address: String::new() }
}

fn members() -> Configuration {
    let members = [(MemberId(1), member(&node_key())), (MemberId(2), member(&SecretKey::from_bytes(&[2; 32])))];
    Configuration { voters: vec![[MemberId(1), MemberId(2)].into()], members: members.into() }
}

fn barrier(member: u64) -> Body {
    Body::Barrier(Barrier { member: MemberId(member), epoch: 1 })
}

impl Pair {
    /// Term 2 has begun, with member 1 as its leader.
    fn new() -> Pair {
        let end = End { at: Some(at(1, 1)), ..End::default() };
        let rules = Rules { cluster: cluster(), incarnations: Vec::new(), max_ahead_ms: 1_000 };
        let held = Held { end, members: members(), ..Held::default() };
        let mut pair = Pair { node: Node::new(), rows: Vec::new(), held, inspector: Inspector::new(rules) };
        pair.push(2, Body::Blank);
        pair.push(2, barrier(1));
        pair
    }

    fn push(&mut self, term: u64, body: Body) {
        let index = self.rows.len() as u64 + 2;
        self.rows.push(Row { at: at(term, index), body });
    }

    fn batch(&mut self, term: u64, projects: &[&str]) {
        let chain = self.node.chain;
        let (batch, _) = self.node.batch(projects);
        let (row, _) = row_of(&batch, at(term, self.rows.len() as u64 + 2), chain);
        self.rows.push(row);
    }

    /// The message with the rows from an index on.
    fn append(&self, from: u64) -> Append {
        let rows: Vec<Row> = self.rows.iter().filter(|row| row.at.index >= from).cloned().collect();
        let before = self.rows.iter().find(|row| row.at.index + 1 == from).map_or(at(1, 1), |row| row.at);
        Append { ballot: ballot(2, 1, true), previous: Some(before), rows, committed: None }
    }

    fn weigh(&mut self, append: &Append) -> Weighed {
        self.inspector.weigh(append, NOW, &self.held)
    }

    fn weigh_all(&mut self) -> Weighed {
        let append = self.append(2);
        self.weigh(&append)
    }

    /// Changes the batch of the last row.
    fn change(&mut self, change: impl FnOnce(&mut Batch)) {
        let Some(Row { body: Body::Batch(batch), .. }) = self.rows.last_mut() else {
            panic!("the last row is no batch")
        };
        change(Arc::make_mut(batch));
    }

    /// The member applies all rows.
    fn apply(&mut self) {
        self.held.end = self.inspector.end();
        let heads = self.node.heads.iter().map(|(project, head)| (project.clone(), Arc::new(head.clone())));
        self.held.heads = heads.map(|(project, head)| (project, (head, self.node.last()))).collect();
    }
}

/// Why the last row is refused; the rows before it pass.
fn refusal(pair: &mut Pair) -> Why {
    let last = pair.rows.len() - 1;
    match pair.weigh_all() {
        Weighed::Upto { taken, at, why } if taken == last && at == pair.rows[last].at => why,
        other => panic!("{other:?}"),
    }
}

fn is_damaged(pair: &mut Pair, word: &str) {
    let why = refusal(pair);
    assert!(matches!(&why, Why::Damaged(what) if what.contains(word)), "{why}");
}

#[test]
fn rows_of_a_sound_leader_pass_once_and_again() {
    let mut pair = Pair::new();
    pair.batch(2, &["a", "b", "a"]);
    pair.batch(2, &["b"]);
    assert_eq!(pair.weigh_all(), Weighed::Whole);
    assert_eq!(pair.inspector.end().record, 4);
    assert_eq!(pair.weigh_all(), Weighed::Whole, "a repeated message");
    pair.apply();
    pair.batch(2, &["a", "c"]);
    let append = pair.append(6);
    assert_eq!(pair.weigh(&append), Weighed::Whole, "heads come from the applied state");
    assert_eq!(pair.inspector.end().chain, pair.node.chain);
}

/// The leader of the next term has other rows behind a common one.
#[test]
fn rows_of_a_later_term_take_the_place_of_those_that_were_checked() {
    let mut pair = Pair::new();
    pair.batch(2, &["a"]);
    let common = pair.node.chain;
    pair.batch(2, &["a"]);
    assert_eq!(pair.weigh_all(), Weighed::Whole);
    pair.rows.pop();
    pair.node.forget_after(1, common);
    pair.push(3, Body::Blank);
    pair.push(3, barrier(1));
    pair.batch(3, &["b"]);
    let append = pair.append(5);
    assert_eq!(pair.weigh(&append), Weighed::Whole);
    assert_eq!(pair.inspector.end().at, Some(at(3, 7)));
}

/// A leader appends without a check. Deposed, it checks its own rows when the next leader's follow them.
#[test]
fn own_rows_are_checked_before_rows_that_follow_them() {
    let mut pair = Pair::new();
    pair.batch(2, &["a"]);
    pair.held.log = pair.rows.clone();
    pair.batch(2, &["a"]);
    let append = pair.append(5);
    assert_eq!(pair.weigh(&append), Weighed::Whole);
    assert_eq!(pair.inspector.end().record, 2);
    let beyond = Append { previous: Some(at(2, 9)), ..append.clone() };
    assert_eq!(pair.weigh(&beyond), Weighed::Elsewhere, "the log has no such row");
    let other = Append { previous: Some(at(3, 4)), ..append };
    assert_eq!(pair.weigh(&other), Weighed::Elsewhere, "the log has a row of another term there");
}

#[test]
fn applied_rows_pass_and_the_rest_follows_the_applied_state() {
    let mut pair = Pair::new();
    pair.batch(2, &["a"]);
    assert_eq!(pair.weigh_all(), Weighed::Whole);
    pair.apply();
    pair.batch(2, &["a"]);
    // Another member's inspector, after a start.
    pair.inspector = Inspector::new(pair.inspector.rules.clone());
    assert_eq!(pair.weigh_all(), Weighed::Whole);
    assert_eq!(pair.inspector.end().record, 2);
}

/// The state is applied while the rows are checked: the check begins again, and is never on a newer head than the rows before say.
#[test]
fn a_head_that_is_newer_than_the_applied_row_is_not_reduced_on() {
    let mut pair = Pair::new();
    pair.batch(2, &["a"]);
    let newer = Arc::new(pair.node.heads[&name("a")].clone());
    pair.held.heads.insert(name("a"), (newer, 1));
    let why = pair.weigh_all();
    assert!(matches!(&why, Weighed::Upto { taken: 0, why: Why::Unreadable(_), .. }), "{why:?}");
}

#[test]
fn a_changed_link_refuses_the_row() {
    for change in [|batch: &mut Batch| batch.before = Hash::of(b"x"), |batch: &mut Batch| batch.first += 1] {
        let mut pair = Pair::new();
        pair.batch(2, &["a"]);
        pair.change(change);
        is_damaged(&mut pair, "begins with");
    }
    let mut pair = Pair::new();
    pair.batch(2, &["a"]);
    pair.change(|batch| batch.after = Hash::of(b"x"));
    is_damaged(&mut pair, "ends with");
    let mut pair = Pair::new();
    pair.batch(2, &["a"]);
    pair.change(|batch| batch.frames[0][1] ^= 1);
    is_damaged(&mut pair, "the link of record 1");
}

/// No byte of a row changes unseen.
#[test]
fn flipped_bits_of_a_frame_refuse_the_row() {
    let mut pair = Pair::new();
    pair.batch(2, &["a"]);
    let sound = pair.rows.clone();
    let Some(Row { body: Body::Batch(batch), .. }) = sound.last() else { panic!("no batch") };
    for byte in (0..batch.frames[0].len()).step_by(7) {
        pair.rows = sound.clone();
        pair.change(|batch| batch.frames[0][byte] ^= 1);
        pair.inspector = Inspector::new(pair.inspector.rules.clone());
        refusal(&mut pair);
    }
}

#[test]
fn a_batch_is_sealed_by_the_leader_of_its_term() {
    let mut pair = Pair::new();
    pair.rows.pop();
    pair.batch(2, &["a"]);
    is_damaged(&mut pair, "before the barrier");
    let mut pair = Pair::new();
    pair.rows.pop();
    pair.push(2, barrier(2));
    pair.batch(2, &["a"]);
    is_damaged(&mut pair, "does not lead its term");
    let mut pair = Pair::new();
    pair.push(3, barrier(7));
    is_damaged(&mut pair, "is no member");
    let mut pair = Pair::new();
    pair.push(2, barrier(2));
    is_damaged(&mut pair, "a term of another member");
}

/// A leader may complete its own removal: its batches hold to the end of its term.
#[test]
fn a_removed_leader_seals_to_the_end_of_its_term() {
    let mut pair = Pair::new();
    let mut rest = members();
    rest.members.remove(&MemberId(1));
    rest.voters = vec![[MemberId(2)].into()];
    pair.push(2, Body::Members(rest));
    pair.batch(2, &["a"]);
    assert_eq!(pair.weigh_all(), Weighed::Whole);
    pair.push(3, barrier(1));
    is_damaged(&mut pair, "is no member");
}

#[test]
fn missing_and_changed_objects_refuse_the_row() {
    let mut pair = Pair::new();
    pair.batch(2, &["a"]);
    pair.change(|batch| batch.objects.clear());
    is_damaged(&mut pair, "the inputs of record 1 are missing");
    let mut pair = Pair::new();
    pair.batch(2, &["a"]);
    pair.change(|batch| batch.objects[0].bytes.push(b' '));
    is_damaged(&mut pair, "another hash");
}

/// The head differs from the leader's: this member, or the leader, is the odd one.
#[test]
fn a_record_that_leads_elsewhere_is_refused_as_different() {
    let mut pair = Pair::new();
    pair.batch(2, &["a"]);
    let other = pair.node.heads[&name("a")].clone();
    pair.held.heads.insert(name("a"), (Arc::new(other), 0));
    assert!(matches!(refusal(&mut pair), Why::Differs(Divergence::PreHash { index: 1, .. })));
}

/// One early stamp that committed may not stop the cluster until the clocks reach it.
#[test]
fn a_stamp_ahead_of_the_clock_is_refused_unless_the_log_has_it() {
    let mut pair = Pair::new();
    pair.batch(2, &["a"]);
    let append = pair.append(2);
    let early = NOW - 2_000;
    let Weighed::Upto { taken: 2, why: Why::Clock { index: 1, .. }, .. } =
        pair.inspector.weigh(&append, early, &pair.held)
    else {
        panic!("the stamp is two seconds ahead")
    };
    pair.held.log = pair.rows.clone();
    let behind = Append { previous: Some(at(2, 4)), rows: vec![Row { at: at(2, 5), body: Body::Blank }], ..append };
    assert_eq!(pair.inspector.weigh(&behind, early, &pair.held), Weighed::Whole);
}
