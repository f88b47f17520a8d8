//! Checking an export directory against its rounds.

use std::path::Path;

use serde::Serialize;

use super::round::newest;
use super::{Content, Exported, Manifest, file, read_rounds};
use crate::journal::{Snapshot, StoredRecord};
use crate::machine::head::Head;
use crate::types::hash::Hash;
use crate::types::json::Json;
use crate::types::record::Record;

/// What a check found.
#[derive(Debug, Default, Serialize)]
pub(in crate::cli) struct Checked {
    pub rounds: usize,
    pub files: usize,
    /// Files that were looked into, beyond their hash.
    pub opened: usize,
    /// Projects that have a snapshot here.
    pub projects: usize,
    /// Last record of the last round.
    pub last_index: u64,
    pub problems: Vec<String>,
}

/// Looks at every round and every file that a round names. Encrypted files are looked into with keys only.
pub(in crate::cli) fn check(directory: &Path, keys: &[Box<dyn age::Identity>]) -> anyhow::Result<Checked> {
    let rounds = read_rounds(directory)?;
    anyhow::ensure!(
        !rounds.is_empty(),
        "there is no export in {}; name a directory that has rounds/",
        directory.display()
    );
    let mut checked = Checked { rounds: rounds.len(), projects: newest(&rounds).len(), ..Checked::default() };
    let mut previous = None;
    for (manifest, hash) in &rounds {
        if manifest.previous != previous {
            checked
                .problems
                .push(format!("the round of record {} does not follow the one before it", manifest.last_index));
        }
        previous = Some(*hash);
        checked.last_index = manifest.last_index;
        for exported in &manifest.files {
            checked.files += 1;
            match look(directory, manifest, exported, keys) {
                Ok(opened) => checked.opened += usize::from(opened),
                Err(error) => checked.problems.push(format!("{}: {error:#}", exported.path)),
            }
        }
    }
    Ok(checked)
}

/// Whether a file could be looked into; what is wrong with it.
fn look(
    directory: &Path,
    manifest: &Manifest,
    exported: &Exported,
    keys: &[Box<dyn age::Identity>],
) -> anyhow::Result<bool> {
    let plain_path = exported.path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    anyhow::ensure!(plain_path, "the path leads out of the export");
    let path = directory.join(&exported.path);
    let bytes = std::fs::read(&path)?;
    let found = Hash::of(&bytes);
    anyhow::ensure!(found == exported.sha256, "it hashes to {found}, its round says {}", exported.sha256);
    let Some(plain) = file::open(&path, bytes, keys)? else { return Ok(false) };
    match &exported.content {
        Content::Snapshot { state_hash, .. } => {
            let mut document: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&plain)?;
            document.remove("keys");
            let snapshot: Snapshot = serde_json::from_value(document.into())?;
            let found = Head::of(snapshot.state).hash();
            anyhow::ensure!(found == *state_hash, "its state hashes to {found}, its round says {state_hash}");
        }
        Content::Records { first, last } => records(&plain, *first, *last, manifest)?,
    }
    Ok(true)
}

/// A line of a file of records.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Line {
    Record { record: Box<Record>, chain: Hash, inputs: Json, seal: crate::types::receipt::BatchSeal, path: Vec<Hash> },
    Fact { fact: Json, hash: Hash },
}

fn records(plain: &[u8], first: u64, last: u64, manifest: &Manifest) -> anyhow::Result<()> {
    let (mut next, mut previous) = (first, None);
    for line in plain.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let (record, chain, inputs, seal, path) = match serde_json::from_slice(line)? {
            Line::Record { record, chain, inputs, seal, path } => (record, chain, inputs, seal, path),
            Line::Fact { fact, hash } => {
                anyhow::ensure!(Hash::of(&fact.canonical()) == hash, "the fact {hash} is another one");
                continue;
            }
        };
        anyhow::ensure!(record.index == next, "record {next} is missing");
        anyhow::ensure!(
            Hash::of(&inputs.canonical()) == record.inputs_hash,
            "the inputs of record {next} are other ones"
        );
        if let Some(previous) = previous {
            anyhow::ensure!(Record::chain(&previous, &record.encode()) == chain, "the chain breaks at record {next}");
        }
        anyhow::ensure!(seal.node == manifest.node, "record {next} is sealed by another node");
        let stored = StoredRecord { encoded: record.encode(), record: *record, chain, seal, path };
        stored
            .receipt()
            .verify(&manifest.cluster)
            .map_err(|error| anyhow::anyhow!("record {next} does not hold: {error}"))?;
        (next, previous) = (next + 1, Some(chain));
    }
    anyhow::ensure!(next == last + 1, "record {next} is missing");
    Ok(())
}
