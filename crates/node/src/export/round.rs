//! One round: changes since the one before are written, then the round's own file, then the hook runs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde_json::json;

use super::{Content, Exported, Manifest, Plan, WAL_EXPORTER, file};
use swoosh_hybridcore::leave::Leave;
use swoosh_journal::{Journal, SWEEP_AT_ONCE, StoredRecord};
use swoosh_machine::head::Head;
use swoosh_types::canonical::{canonical_bytes, from_canonical};
use swoosh_types::hash::Hash;
use swoosh_types::json::Json;
use swoosh_types::text::ProjectName;

/// Version of the manifest's form. In form 1 nothing says where the log begins and how its incarnations began.
pub const FORMAT: u64 = 2;
/// Records in one file at most.
const RECORDS_IN_FILE: u64 = 10_000;
/// Bytes of records after which a file ends early.
const FILE_BYTES: usize = 32 << 20;

/// The rounds of a plan.
pub struct Rounds {
    plan: Plan,
    /// Whether the journal keeps the records that a round has yet to export.
    holds_pruning: bool,
}

/// The result of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    pub files: usize,
    pub last_index: u64,
}

/// The rounds of an export directory, the first one first, and the hash of each one's file.
pub fn read_rounds(directory: &Path) -> anyhow::Result<Vec<(Manifest, Hash)>> {
    let mut paths = round_files(directory)?;
    paths.sort();
    paths.iter().map(|path| read_round(path)).collect()
}

fn round_files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = directory.join("rounds");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let cannot = || format!("cannot read {}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn read_round(path: &Path) -> anyhow::Result<(Manifest, Hash)> {
    let cannot = || format!("the round {} cannot be read", path.display());
    let bytes = std::fs::read(path).with_context(cannot)?;
    Ok((from_canonical(&bytes).with_context(cannot)?, Hash::of(&bytes)))
}

/// The last round, without reading the others.
fn last_round(directory: &Path) -> anyhow::Result<Option<(Manifest, Hash)>> {
    round_files(directory)?.into_iter().max().map(|path| read_round(&path)).transpose()
}

/// The last record that the newest round with records holds; 0 where no round holds any.
fn exported(directory: &Path) -> anyhow::Result<u64> {
    let mut paths = round_files(directory)?;
    paths.sort();
    for path in paths.iter().rev() {
        let (manifest, _) = read_round(path)?;
        let last = manifest.files.iter().filter_map(|file| match &file.content {
            Content::Records { last, .. } => Some(*last),
            Content::Snapshot { .. } => None,
        });
        if let Some(last) = last.max() {
            return Ok(last);
        }
    }
    Ok(0)
}

impl Rounds {
    /// Rounds that leave the data directory as it is.
    pub fn new(plan: Plan) -> Rounds {
        Rounds { plan, holds_pruning: false }
    }

    /// The rounds of a node. From here on nothing is pruned that a round has yet to export. Where that is not known,
    /// because the directory cannot be read or is of another history, nothing is pruned at all; each round says why.
    pub fn of_node(plan: Plan, journal: &Journal) -> anyhow::Result<Rounds> {
        let rounds = Rounds { plan, holds_pruning: true };
        if rounds.plan.wal {
            journal.note_exported(WAL_EXPORTER, rounds.held(journal).unwrap_or(0))?;
        }
        Ok(rounds)
    }

    /// The last record of this journal that the directory holds.
    fn held(&self, journal: &Journal) -> anyhow::Result<u64> {
        let before = last_round(&self.plan.directory)?;
        self.since(journal, before.as_ref().map(|(manifest, _)| manifest))?;
        exported(&self.plan.directory)
    }

    /// Exports what changed since the last round; `None` when nothing did.
    /// Asks `goes_on` between any two files, and gives up when it may not; the command after it asks `leave`.
    pub fn run(
        &self,
        journal: &Journal,
        goes_on: &dyn Fn() -> bool,
        leave: &dyn Leave,
    ) -> anyhow::Result<Option<Done>> {
        let directory = &self.plan.directory;
        let before = last_round(directory)?;
        let (last_index, last_chain) = journal.last_promised();
        let since = self.since(journal, before.as_ref().map(|(manifest, _)| manifest))?;
        let held = if self.plan.wal { exported(directory)? } else { last_index };
        if last_index <= since && last_index <= held {
            return Ok(None);
        }
        let first_index = journal.first_index();
        let mut files = self.snapshots(journal, since, last_index, goes_on)?;
        if self.plan.wal {
            files.extend(self.records(journal, first_index.max(held + 1)..=last_index, goes_on)?);
        }
        let identity = journal.identity();
        let manifest = Manifest {
            format: FORMAT,
            node: identity.node,
            cluster: identity.cluster.clone(),
            incarnation: identity.incarnation,
            last_index,
            last_chain,
            first_index: Some(first_index),
            incarnations: journal.incarnations().to_vec(),
            previous: before.map(|(_, hash)| hash),
            files,
        };
        // A round without new records adds those that the rounds before it left out, and comes behind the last of them.
        let ending = if last_index <= since { "wal.json" } else { "json" };
        let path = directory.join("rounds").join(format!("{last_index:020}.{ending}"));
        file::write(&path, &canonical_bytes(&manifest))?;
        if self.plan.wal && self.holds_pruning {
            journal.note_exported(WAL_EXPORTER, last_index)?;
        }
        if let Some(hook) = &self.plan.hook {
            let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let now_ms = u64::try_from(now_ms).unwrap_or(0);
            hook.run(last_index, now_ms, leave).context("the round is written, but the hook after it failed")?;
        }
        Ok(Some(Done { files: manifest.files.len(), last_index }))
    }

    /// The last record of the round before, which must be of this journal.
    fn since(&self, journal: &Journal, before: Option<&Manifest>) -> anyhow::Result<u64> {
        let Some(before) = before else { return Ok(0) };
        let (identity, directory) = (journal.identity(), self.plan.directory.display());
        anyhow::ensure!(
            before.node == identity.node && before.cluster == identity.cluster,
            "{directory} holds the exports of node {} in cluster {}; name another directory",
            before.node,
            before.cluster
        );
        let known = match before.last_index {
            index if index > journal.last().0 => None,
            index if index < journal.first_index() => return Ok(index),
            index => journal.record(index)?.map(|stored| stored.chain),
        };
        anyhow::ensure!(
            known == Some(before.last_chain),
            "{directory} holds exports of another history: at record {} it has the chain value {}; name another directory",
            before.last_index,
            before.last_chain
        );
        Ok(before.last_index)
    }

    /// A snapshot of every project that has a record after `since`.
    fn snapshots(
        &self,
        journal: &Journal,
        since: u64,
        last: u64,
        goes_on: &dyn Fn() -> bool,
    ) -> anyhow::Result<Vec<Exported>> {
        let mut files = Vec::new();
        let changed: Vec<ProjectName> = journal.projects_between(since, last)?.into_iter().collect();
        for projects in changed.chunks(SWEEP_AT_ONCE) {
            // A project that cannot be loaded is reported elsewhere and does not block exports of others.
            journal.sweep(projects)?;
            for project in projects {
                anyhow::ensure!(goes_on(), "the node stops");
                files.extend(self.snapshot(journal, project)?);
            }
        }
        Ok(files)
    }

    fn snapshot(&self, journal: &Journal, project: &ProjectName) -> anyhow::Result<Option<Exported>> {
        let Some(&index) = journal.snapshots(project)?.last() else { return Ok(None) };
        let Some(document) = journal.snapshot_document(project, index)? else { return Ok(None) };
        let state_hash = Head::of(document.snapshot.state.clone()).hash();
        let content = Content::Snapshot { project: project.clone(), index, state_hash };
        self.put(&format!("snapshots/{project}/{index:020}"), "json", canonical_bytes(&document), content).map(Some)
    }

    /// The records from one index to another, in files of bounded size.
    fn records(
        &self,
        journal: &Journal,
        wanted: RangeInclusive<u64>,
        goes_on: &dyn Fn() -> bool,
    ) -> anyhow::Result<Vec<Exported>> {
        let (from, last) = wanted.into_inner();
        let mut files = Vec::new();
        let mut segment = Segment::default();
        for stored in journal.records_from(from) {
            let stored = stored?;
            let index = stored.record.index;
            if index > last {
                break;
            }
            segment.push(journal, &stored)?;
            if index == last || segment.is_full() {
                anyhow::ensure!(goes_on(), "the node stops");
                let (first, lines) = std::mem::take(&mut segment).finish(journal)?;
                let stem = format!("wal/{first:020}-{index:020}");
                files.push(self.put(&stem, "jsonl", lines, Content::Records { first, last: index })?);
            }
        }
        Ok(files)
    }

    /// Writes a file. One that is there already, with other bytes, stays: an earlier round may name it.
    fn put(&self, stem: &str, ending: &str, plain: Vec<u8>, content: Content) -> anyhow::Result<Exported> {
        let (vault, directory) = (&self.plan.vault, &self.plan.directory);
        let sealed = vault.seal(plain)?;
        let sha256 = Hash::of(&sealed);
        let mut path = vault.name(&format!("{stem}.{ending}"));
        let held = std::fs::read(directory.join(&path)).ok().map(|bytes| Hash::of(&bytes));
        if held.is_some_and(|held| held != sha256) {
            path = vault.name(&format!("{stem}-{}.{ending}", sha256.short(12)));
        }
        file::write(&directory.join(&path), &sealed)?;
        Ok(Exported { path, sha256, bytes: sealed.len() as u64, content })
    }
}

/// Lines of records, and the facts that they name.
#[derive(Default)]
struct Segment {
    lines: Vec<u8>,
    first: Option<u64>,
    count: u64,
    facts: BTreeSet<Hash>,
}

impl Segment {
    fn is_full(&self) -> bool {
        self.count >= RECORDS_IN_FILE || self.lines.len() >= FILE_BYTES
    }

    fn push(&mut self, journal: &Journal, stored: &StoredRecord) -> anyhow::Result<()> {
        let record = &stored.record;
        let object = object(journal, record.index, &record.inputs_hash)?;
        let line = json!({
            "record": record, "chain": stored.chain, "inputs": object, "seal": stored.seal, "path": stored.path,
        });
        self.line(&line);
        self.first.get_or_insert(record.index);
        self.count += 1;
        self.facts.extend(record.facts());
        Ok(())
    }

    fn finish(mut self, journal: &Journal) -> anyhow::Result<(u64, Vec<u8>)> {
        let first = self.first.context("a file of records has none")?;
        for hash in std::mem::take(&mut self.facts) {
            let fact = object(journal, first, &hash)?;
            self.line(&json!({"fact": fact, "hash": hash}));
        }
        Ok((first, self.lines))
    }

    fn line(&mut self, line: &serde_json::Value) {
        self.lines.extend_from_slice(&canonical_bytes(line));
        self.lines.push(b'\n');
    }
}

fn object(journal: &Journal, index: u64, hash: &Hash) -> anyhow::Result<Json> {
    let bytes = journal.object(hash)?.with_context(|| format!("the object {hash} of record {index} is missing"))?;
    Ok(Json::parse(&bytes)?)
}

/// The newest exported snapshot of each project.
pub fn newest(rounds: &[(Manifest, Hash)]) -> BTreeMap<&ProjectName, &Exported> {
    let files = rounds.iter().flat_map(|(manifest, _)| &manifest.files);
    let named = files.filter_map(|file| match &file.content {
        Content::Snapshot { project, .. } => Some((project, file)),
        Content::Records { .. } => None,
    });
    named.collect()
}
