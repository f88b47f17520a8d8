//! Making a backup: a checkpoint's files go into the directory of backups, each is read back, the chain of the
//! copy is checked, and the manifest is written last.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;

use super::repository::{Lock, Repository};
use super::{FORMAT, JOURNAL, Manifest, NODE_KEY, Stored, WATERMARK, WHOOSH_POSITION, origin};
use crate::export::Vault;
use swoosh_journal::verify::{Finding, scrub};
use swoosh_journal::{self as journal, FoldError, Journal, RecoverError};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::SecretKey;

/// Files of a data directory beside the journal that backups keep: fetched and pushed ones.
const BESIDE: [&str; 6] = [
    "license.json",
    "backbeat.json",
    "policy-bundles.json",
    // Switches of the migration, and the last record delivered to WHOOSH.
    "migration/switches.jsonl",
    WHOOSH_POSITION,
    "migration/divergences.jsonl",
];
/// Where the reports of packer's runs are, in a project's workspace. Artifacts, trees and logs are left out: they are large.
const RUNS: &str = "environment/state/runs";
const REPORT: &str = "run.json";
/// The workspaces' place in a data directory.
const WORKSPACES: &str = "workspaces";
/// A folder of them.
const FACTS: &str = "facts";

/// A backup that is to be made.
pub struct Job<'a> {
    /// The directory that a checkpoint was made in.
    pub checkpoint: &'a Path,
    /// The data directory, for the files beside the journal.
    pub data: &'a Path,
    /// The workspaces of projects, for the reports of what was built.
    pub workspaces: &'a Path,
    /// The node's key, which signs the manifest; it is kept only where files are encrypted.
    pub node_key: &'a Path,
    pub repository: &'a Repository,
    pub recipients: &'a [String],
    pub taken_at: Hlc,
    /// Asked between any two files.
    pub goes_on: &'a dyn Fn() -> bool,
}

/// The result of a backup.
#[derive(Clone, Debug)]
pub struct Made {
    pub manifest: Manifest,
    /// Files that were written; the others were there.
    pub written: u64,
    pub written_bytes: u64,
    /// Files of earlier backups that were found damaged and written again.
    pub mended: Vec<String>,
}

/// The journal is damaged, so a backup of it would not restore whole.
#[derive(Debug, thiserror::Error)]
#[error("the journal is damaged, so there is no backup of it ({} found): {}; see runbooks/corrupt-journal.md", .0.len(), first(.0))]
pub struct Damaged(pub Vec<Finding>);

fn first(findings: &[Finding]) -> String {
    findings.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The chain of the journal breaks at a damaged record. The directory passed the checks of a start, so that a node runs on it.
#[derive(Debug, thiserror::Error)]
#[error("the journal is damaged, so there is no backup of it: {0}; see runbooks/corrupt-journal.md")]
pub struct BrokenChain(pub FoldError);

/// Makes a backup. A failed one removes its files.
pub fn create(job: &Job<'_>) -> anyhow::Result<Made> {
    let repository = job.repository;
    let lock = repository.lock()?;
    let before = repository.all()?;
    let made = Writing::of(job, &lock, &before)?.run();
    if made.is_err() {
        // Left-overs are removed by the next backup at the latest.
        drop(repository.collect(&lock));
    }
    made
}

struct Writing<'a> {
    job: &'a Job<'a>,
    lock: &'a Lock,
    vault: Vault,
    recipients: Vec<String>,
    /// The signing key of the manifest.
    key: Option<SecretKey>,
    /// Files of earlier backups for the same recipients, by what they hold.
    known: BTreeMap<Hash, Stored>,
    files: Vec<Stored>,
    written: Vec<Stored>,
    mended: Vec<String>,
}

impl<'a> Writing<'a> {
    fn of(job: &'a Job<'a>, lock: &'a Lock, before: &[Manifest]) -> anyhow::Result<Writing<'a>> {
        let mut recipients = job.recipients.to_vec();
        recipients.sort_unstable();
        recipients.dedup();
        let vault = Vault::for_recipients(&recipients)?;
        let alike = before.iter().filter(|manifest| manifest.recipients == recipients);
        let known = alike.flat_map(|manifest| &manifest.files).map(|file| (file.sha256, file.clone())).collect();
        let key = origin::key(job.node_key)?;
        let (files, written, mended) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Writing { job, lock, vault, recipients, key, known, files, written, mended })
    }

    fn run(mut self) -> anyhow::Result<Made> {
        self.job.repository.collect(self.lock)?;
        let mut manifest = self.look()?;
        let journal = self.job.checkpoint.join(JOURNAL);
        for name in names(&journal)? {
            self.put(&journal.join(&name), format!("{JOURNAL}/{name}"))?;
        }
        self.put(&self.job.checkpoint.join(WATERMARK), WATERMARK.to_owned())?;
        self.beside()?;
        for stored in &self.written {
            let read = self.job.repository.bytes(stored);
            read.with_context(|| format!("{} was written, and does not read back", stored.path))?;
        }
        manifest.files = self.files;
        let manifest = manifest.signed_by(self.key.as_ref())?;
        self.job.repository.add(&manifest, self.lock)?;
        let written_bytes = self.written.iter().map(|stored| stored.object_bytes).sum();
        Ok(Made { manifest, written: self.written.len() as u64, written_bytes, mended: self.mended })
    }

    /// Checks the chain of the copy, and that it is of the node whose backups stand here.
    fn look(&self) -> anyhow::Result<Manifest> {
        let journal = Journal::open_read_only(self.job.checkpoint.join(JOURNAL))?;
        if let Err(error) = journal.check_chain(&mut |_| ()) {
            return Err(match error {
                RecoverError::Fault(fault) if fault.is_damage() => BrokenChain(fault).into(),
                other => anyhow::Error::from(other)
                    .context("the copy of the journal is not whole, so there is no backup of it"),
            });
        }
        let findings = scrub(&journal, self.job.goes_on);
        if !findings.is_empty() {
            return Err(Damaged(findings).into());
        }
        let identity = journal.identity().clone();
        for other in self.job.repository.all()? {
            anyhow::ensure!(
                other.node == identity.node && other.cluster == identity.cluster,
                "{} holds the backups of node {} in cluster {}; name another directory",
                self.job.repository.directory().display(),
                other.node,
                other.cluster
            );
        }
        let (last_index, last_chain) = journal.last();
        Ok(Manifest {
            format: FORMAT,
            id: Repository::name(self.job.taken_at, last_index),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            journal_format: journal::FORMAT,
            node: identity.node,
            cluster: identity.cluster,
            incarnation: identity.incarnation,
            incarnations: journal.incarnations().to_vec(),
            first_index: journal.first_index(),
            last_index,
            last_chain,
            last_stamp: match last_index {
                0 => None,
                _ => journal.record(last_index)?.map(|stored| stored.record.timestamp),
            },
            taken_at: self.job.taken_at,
            recipients: self.recipients.clone(),
            files: Vec::new(),
            seal: None,
        })
    }

    /// Stores the files beside the journal. The node's key is never stored unencrypted.
    fn beside(&mut self) -> anyhow::Result<()> {
        let mut named: Vec<String> = BESIDE.iter().map(|&name| name.to_owned()).collect();
        let facts = self.job.data.join(FACTS);
        match facts.is_dir() {
            true => named.extend(names(&facts)?.into_iter().map(|name| format!("{FACTS}/{name}"))),
            false => named.push(FACTS.to_owned()),
        }
        for name in named {
            let path = self.job.data.join(&name);
            if path.is_file() {
                self.put(&path, name)?;
            }
        }
        for project in folders(self.job.workspaces)? {
            let runs = self.job.workspaces.join(&project).join(RUNS);
            for run in folders(&runs)? {
                let report = runs.join(&run).join(REPORT);
                match self.put(&report, format!("{WORKSPACES}/{project}/{RUNS}/{run}/{REPORT}")) {
                    // A run without a report never began, or a release removed it meanwhile.
                    Err(_) if !report.is_file() => {}
                    put => put?,
                }
            }
        }
        if !self.recipients.is_empty() && self.job.node_key.is_file() {
            self.put(self.job.node_key, NODE_KEY.to_owned())?;
        }
        Ok(())
    }

    fn put(&mut self, file: &Path, path: String) -> anyhow::Result<()> {
        anyhow::ensure!((self.job.goes_on)(), "the node stops");
        let plain = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let (sha256, bytes) = (Hash::of(&plain), plain.len() as u64);
        if let Some(known) = self.known.get(&sha256) {
            match self.job.repository.bytes(known) {
                Ok(_) => {
                    self.files.push(Stored { path, ..known.clone() });
                    return Ok(());
                }
                Err(_) => self.mended.push(known.object.clone()),
            }
        }
        let sealed = self.vault.seal(plain)?;
        let object_sha256 = Hash::of(&sealed);
        let object = Repository::object(&object_sha256, !self.recipients.is_empty());
        self.job.repository.put(&object, &sealed, self.lock)?;
        let stored = Stored { path, sha256, bytes, object, object_sha256, object_bytes: sealed.len() as u64 };
        self.known.insert(sha256, stored.clone());
        self.written.push(stored.clone());
        self.files.push(stored);
        Ok(())
    }
}

/// The folders in a folder, by name; none where it is missing.
fn folders(folder: &Path) -> anyhow::Result<Vec<String>> {
    let cannot = || format!("cannot read {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        entries => entries.with_context(cannot)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(cannot)?;
        if entry.file_type().with_context(cannot)?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The files of a folder, by name. RocksDB's lock and its own log are of no use elsewhere.
fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let cannot = || format!("cannot read {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let name = entry.file_name().into_string().ok().with_context(cannot)?;
        let of_use = name != "LOCK" && !name.starts_with("LOG") && !name.starts_with('.');
        if of_use && entry.file_type().with_context(cannot)?.is_file() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
