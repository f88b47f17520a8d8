//! Checking an export directory against its rounds.

use std::path::Path;

use serde::Serialize;

use super::round::newest;
use super::{Content, Exported, Manifest, file, read_rounds};
use swoosh_journal::{Snapshot, StoredRecord};
use swoosh_machine::head::Head;
use swoosh_types::hash::Hash;
use swoosh_types::incarnation::Incarnation;
use swoosh_types::json::Json;
use swoosh_types::record::Record;

/// The result of a check.
#[derive(Debug, Default, Serialize)]
pub struct Checked {
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
pub fn check(directory: &Path, keys: &[Box<dyn age::Identity>]) -> anyhow::Result<Checked> {
    let rounds = read_rounds(directory)?;
    anyhow::ensure!(
        !rounds.is_empty(),
        "there is no export in {}; name a directory that has rounds/",
        directory.display()
    );
    let mut checked = Checked { rounds: rounds.len(), projects: newest(&rounds).len(), ..Checked::default() };
    let longest = rounds.iter().map(|(manifest, _)| manifest.incarnations.as_slice()).max_by_key(|all| all.len());
    let mut trail = Trail { incarnations: longest.unwrap_or_default(), last: None, chain: None };
    let mut previous = None;
    for (manifest, hash) in &rounds {
        let index = manifest.last_index;
        if manifest.previous != previous {
            checked.problems.push(format!("the round of record {index} does not follow the one before it"));
        }
        if !trail.incarnations.starts_with(&manifest.incarnations) {
            checked.problems.push(format!("the round of record {index} is of other incarnations than the others"));
        }
        previous = Some(*hash);
        checked.last_index = index;
        for exported in &manifest.files {
            checked.files += 1;
            match look(directory, manifest, exported, keys, &mut trail) {
                Ok(opened) => checked.opened += usize::from(opened),
                Err(error) => checked.problems.push(format!("{}: {error:#}", exported.path)),
            }
        }
        checked
            .problems
            .extend(trail.end(manifest).err().map(|error| format!("the round of record {index}: {error:#}")));
    }
    Ok(checked)
}

/// Records that were looked at so far.
struct Trail<'a> {
    /// How the incarnations began, as the rounds say.
    incarnations: &'a [Incarnation],
    /// The last record.
    last: Option<u64>,
    /// Its link, where its file could be looked into.
    chain: Option<Hash>,
}

impl Trail<'_> {
    /// Goes on with a file of records: none may be missing before it, but those that were pruned before the first one.
    fn file(&mut self, first: u64, last: u64, manifest: &Manifest) -> anyhow::Result<()> {
        let expected = self.last.map_or(manifest.first_index, |before| Some(before + 1)).unwrap_or(first);
        if first != expected {
            self.chain = None;
        }
        self.last = self.last.max(Some(last));
        anyhow::ensure!(first <= expected, "records {expected} to {} are in no file of this export", first - 1);
        Ok(())
    }

    /// The link that the record after `index` follows, whose own link is `chain`: through the beginnings of the
    /// incarnations that begin there.
    fn onward(&self, index: u64, chain: Hash) -> anyhow::Result<Hash> {
        let mut link = chain;
        for begun in self.incarnations.iter().filter(|begun| begun.after == index) {
            anyhow::ensure!(begun.link == link, "incarnation {} does not follow record {index}", begun.number);
            link = begun.beginning();
        }
        Ok(link)
    }

    /// A round that exported records exported all of them.
    fn end(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let holds_records = manifest.files.iter().any(|file| matches!(file.content, Content::Records { .. }));
        let Some(last) = self.last.filter(|_| holds_records && manifest.first_index.is_some()) else { return Ok(()) };
        let index = manifest.last_index;
        anyhow::ensure!(last >= index, "records {} to {index} are in no file of this export", last + 1);
        let other = self.chain.filter(|chain| last == index && *chain != manifest.last_chain);
        anyhow::ensure!(other.is_none(), "its last record has another link than the round says");
        Ok(())
    }
}

/// Whether a file could be read, and its problems.
fn look(
    directory: &Path,
    manifest: &Manifest,
    exported: &Exported,
    keys: &[Box<dyn age::Identity>],
    trail: &mut Trail<'_>,
) -> anyhow::Result<bool> {
    let gap = match &exported.content {
        Content::Records { first, last } => trail.file(*first, *last, manifest),
        Content::Snapshot { .. } => Ok(()),
    };
    let chain = trail.chain.take_if(|_| matches!(exported.content, Content::Records { .. }));
    let plain_path = exported.path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    anyhow::ensure!(plain_path, "the path leads out of the export");
    let path = directory.join(&exported.path);
    let bytes = std::fs::read(&path)?;
    let found = Hash::of(&bytes);
    anyhow::ensure!(found == exported.sha256, "it hashes to {found}, its round says {}", exported.sha256);
    let Some(plain) = file::open(&path, bytes, keys)? else { return gap.map(|()| false) };
    match &exported.content {
        Content::Snapshot { state_hash, .. } => {
            let mut document: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&plain)?;
            document.remove("keys");
            let snapshot: Snapshot = serde_json::from_value(document.into())?;
            let found = Head::of(snapshot.state).hash();
            anyhow::ensure!(found == *state_hash, "its state hashes to {found}, its round says {state_hash}");
        }
        Content::Records { first, last } => {
            trail.chain = Some(records(&plain, (*first, *last), manifest, trail, chain)?);
        }
    }
    gap.map(|()| true)
}

/// A line of a file of records.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Line {
    Record { record: Box<Record>, chain: Hash, inputs: Json, seal: swoosh_types::receipt::BatchSeal, path: Vec<Hash> },
    Fact { fact: Json, hash: Hash },
}

/// Looks at every record of a file, which follows the record with the link `previous`, where that is known; the link of
/// the last one.
fn records(
    plain: &[u8],
    (first, last): (u64, u64),
    manifest: &Manifest,
    trail: &Trail<'_>,
    mut previous: Option<Hash>,
) -> anyhow::Result<Hash> {
    let mut next = first;
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
            let link = trail.onward(next - 1, previous)?;
            anyhow::ensure!(
                Record::chain(&link, &record.encode()) == chain,
                "the chain breaks at record {next}{}",
                unsaid(manifest, trail)
            );
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
    previous.ok_or_else(|| anyhow::anyhow!("the file has no record"))
}

/// Rounds of form 1 do not say where an incarnation begins.
fn unsaid(manifest: &Manifest, trail: &Trail<'_>) -> &'static str {
    if manifest.incarnation > 1 && trail.incarnations.is_empty() {
        ", or an incarnation begins there, which rounds of this form do not say; export to a new directory to check it"
    } else {
        ""
    }
}
