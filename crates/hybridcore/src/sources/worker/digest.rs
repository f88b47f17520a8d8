//! The content hash of a commit, and the list of its files.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use git2::{ObjectType, Repository, Tree};
use serde::Serialize;

use super::tree::{commit_tree, open, shown};
use super::{FailureKind, Said, failure};
use crate::sources::content::{self, Entry};
use crate::sources::failure::Failure;
use crate::sources::git::{Digest, Limits, Phase, Progress, Reply};
use swoosh_types::hash::Hash;
use swoosh_types::text::GitId;

/// Trees within trees; more would only be made to exhaust the stack.
const MAX_DEPTH: usize = 256;

pub(super) fn digest(
    folder: &Path,
    commit: &GitId,
    list: &Path,
    limits: &Limits,
    said: &mut Said,
) -> Result<Reply, Failure> {
    let repository = open(folder)?;
    let (_, tree) = commit_tree(&repository, commit)?;
    let unwritable = |error: std::io::Error| {
        failure(FailureKind::Unwritable, format!("{}: {error}; make room, or let the node write there", list.display()))
    };
    let out = BufWriter::new(File::create(list).map_err(unwritable)?);
    let mut walk = Walk { repository: &repository, limits, said, out, files: 0, bytes: 0, entries: 0 };
    let content = walk.tree(&tree, "", 0)?;
    let (files, bytes) = (walk.files, walk.bytes);
    let file = walk.out.into_inner().map_err(|error| unwritable(error.into_error()))?;
    file.sync_all().map_err(unwritable)?;
    Ok(Reply::Digested(Digest { content, files, bytes }))
}

/// A line of the list.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    mode: String,
    content: Hash,
    bytes: u64,
}

struct Walk<'a> {
    repository: &'a Repository,
    limits: &'a Limits,
    said: &'a mut Said,
    out: BufWriter<File>,
    files: u64,
    bytes: u64,
    entries: u64,
}

impl Walk<'_> {
    fn tree(&mut self, tree: &Tree<'_>, folder: &str, depth: usize) -> Result<Hash, Failure> {
        if depth > MAX_DEPTH {
            return Err(failure(FailureKind::TooLarge, format!("{folder} lies more than {MAX_DEPTH} folders deep")));
        }
        let mut entries = Vec::with_capacity(tree.len());
        for entry in tree.iter() {
            self.entries += 1;
            if self.entries > self.limits.files.saturating_mul(2) {
                let detail = format!("the tree holds more than {} entries", self.limits.files.saturating_mul(2));
                return Err(failure(FailureKind::TooLarge, detail));
            }
            let mode = u32::try_from(entry.filemode()).unwrap_or(0);
            let path = format!("{folder}{}", shown(entry.name_bytes()));
            let hash = match entry.kind() {
                Some(ObjectType::Tree) => {
                    let inner = self.repository.find_tree(entry.id()).map_err(damaged)?;
                    self.tree(&inner, &format!("{path}/"), depth + 1)?
                }
                Some(ObjectType::Blob) => self.blob(entry.id(), mode, &path)?,
                _ => content::submodule(&entry.id().to_string()),
            };
            entries.push(Entry { name: entry.name_bytes().to_vec(), mode, hash });
        }
        Ok(content::tree(entries))
    }

    fn blob(&mut self, id: git2::Oid, mode: u32, path: &str) -> Result<Hash, Failure> {
        let odb = self.repository.odb().map_err(damaged)?;
        let size = odb.read_header(id).map_err(damaged)?.0 as u64;
        self.files += 1;
        self.bytes += size;
        let (limits, over) = (self.limits, size > self.limits.file_bytes);
        if over || self.files > limits.files || self.bytes > limits.tree_bytes {
            let detail = format!("{path} makes the tree larger than the limits of its sources allow");
            return Err(failure(FailureKind::TooLarge, detail));
        }
        let blob = self.repository.find_blob(id).map_err(damaged)?;
        let hash = content::blob(blob.content());
        let line = Line { path, mode: format!("{mode:o}"), content: hash, bytes: size };
        let written = serde_json::to_writer(&mut self.out, &line).map_err(std::io::Error::from);
        written
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(|error| failure(FailureKind::Unwritable, format!("the list of files: {error}")))?;
        self.said.tell(&Progress { phase: Phase::Hashing, done: self.files, total: 0, bytes: self.bytes });
        Ok(hash)
    }
}

fn damaged(error: git2::Error) -> Failure {
    failure(FailureKind::Damaged, error.message())
}
