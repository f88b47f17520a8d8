//! A member's directory, and rows of the cluster's log with valid records.

use super::{Node, options as of_node};
use crate::*;
use swoosh_types::cluster::{
    Ballot, Batch as Rows, Body, DirectoryId, MemberId, Object, PlacedConfiguration, Position, Row,
};

pub fn at(term: u64, index: u64) -> Position {
    Position { term, index }
}

pub fn ballot(term: u64, member: u64, elected: bool) -> Ballot {
    Ballot { term, member: MemberId(member), elected }
}

/// Options without compactions, so that a directory can be copied while it is open.
fn options(path: &Path) -> JournalOptions {
    let wanted = of_node(path);
    JournalOptions { store: StoreLimits { compacts: false, ..wanted.store }, ..wanted }
}

/// A founder's beginning: member 1 leads term 1, and the log begins behind row 1.
pub fn founding() -> Founding {
    let members = PlacedConfiguration { at: Some(at(1, 1)), ..PlacedConfiguration::default() };
    let (number, directory) = (MemberId(1), DirectoryId([7; 16]));
    Founding { number, directory, begins: Some(at(1, 1)), ballot: Some(ballot(1, 1, true)), members }
}

/// Opens a member's directory and recovers it; `start` is the random number of the start.
pub fn start(wanted: JournalOptions, start: u8) -> Result<Journal, String> {
    let journal = Journal::open_member(wanted, [start; 16]).map_err(|error| error.to_string())?;
    journal.recover_tail().map_err(|error| error.to_string())?;
    Ok(journal)
}

/// A change that fails a test when it is refused.
pub fn must() -> LogDone {
    Box::new(|result| result.unwrap())
}

/// Makes a row of a batch, and what its records write besides.
pub fn row_of(batch: &Batch, at: Position, chain: Hash) -> (Row, Vec<Write>) {
    let frame = |entry: &LogEntry| {
        frame::encode(&entry.linked.chain(), entry.seal.bytes(), &entry.path, entry.linked.encoded()).unwrap()
    };
    let first = batch.entries.first().unwrap();
    let (before, after) = (first.linked.previous(), batch.entries.last().unwrap().linked.chain());
    assert!(before == chain || chain == Hash::ZERO, "the batch follows");
    let frames = batch.entries.iter().map(frame).collect();
    let (mut objects, mut writes) = (Vec::new(), Vec::new());
    for write in &batch.writes {
        match write {
            Write::Object { hash, bytes } => objects.push(Object { hash: *hash, bytes: bytes.clone() }),
            write => writes.push(write.clone()),
        }
    }
    let batch = Rows { first: first.index, before, after, frames, objects, notes: b"{}".to_vec() };
    (Row { at, body: Body::Batch(Arc::new(batch)) }, writes)
}

/// A member, and the node that knows the states of its records.
pub struct MemberNode {
    pub node: Node,
    pub log: MemberLog,
}

impl MemberNode {
    /// A member whose node ran alone for as many records.
    pub fn after(records: usize) -> MemberNode {
        let mut node = Node::new();
        (0..records).for_each(|_| drop(node.commit(&["a"])));
        let wanted = options(node.directory.path());
        node.journal = Journal::open_read_only(&wanted.path).unwrap();
        Journal::found(wanted.clone(), &founding()).unwrap();
        node.journal = start(wanted, 1).unwrap();
        let log = node.journal.member_log().unwrap();
        MemberNode { node, log }
    }

    pub fn new() -> MemberNode {
        MemberNode::after(0)
    }

    /// The next row, with a record of each of these projects.
    pub fn batch(&mut self, term: u64, projects: &[&str]) -> (Row, Vec<Write>) {
        let (chain, place) = (self.node.chain, at(term, self.log.ends().last.unwrap().index + 1));
        let (batch, _) = self.node.batch(projects);
        row_of(&batch, place, chain)
    }

    /// Appends a row with a record of each of these projects, and applies it if asked.
    pub fn commit(&mut self, term: u64, projects: &[&str], apply: bool) -> Row {
        let (row, writes) = self.batch(term, projects);
        self.log.append(vec![row.clone()], must());
        if apply {
            self.log.apply(row.clone(), writes, must());
        }
        self.log.work();
        row
    }

    /// Gives a vote.
    pub fn vote(&self, term: u64, member: u64, elected: bool) {
        self.log.vote(ballot(term, member, elected), must());
        self.log.work();
    }

    /// Closes the journal and starts it again.
    pub fn restart(self, number: u8) -> MemberNode {
        let MemberNode { mut node, log } = self;
        drop(log);
        let wanted = options(node.directory.path());
        node.journal = Journal::open_read_only(&wanted.path).unwrap();
        node.journal = start(wanted, number).unwrap();
        let log = node.journal.member_log().unwrap();
        MemberNode { node, log }
    }
}
