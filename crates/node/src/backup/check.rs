//! Checking backups: every file that one names, and the log in it, record by record.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::origin::{Origin, Wanted};
use super::repository::{Repository, is_plain};
use super::{JOURNAL, Manifest, Stored};
use swoosh_journal::Journal;
use swoosh_journal::verify::verify;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::ClusterId;

/// The result of a check.
#[derive(Debug, Default, Serialize)]
pub struct Checked {
    pub backups: u64,
    pub files: u64,
    /// Backups whose log was checked record by record.
    pub opened: u64,
    pub records: u64,
    /// The node that made them.
    pub node: Option<PublicKey>,
    pub cluster: Option<ClusterId>,
    /// Backups that the node signed.
    pub signed: u64,
    pub problems: Vec<String>,
}

/// Checks every file of these backups; and the log of the newest of them, where it can be decrypted.
pub fn check(
    repository: &Repository,
    only: Option<&str>,
    keys: &[Box<dyn age::Identity>],
    wanted: &Wanted<'_>,
) -> anyhow::Result<Checked> {
    let mut checked = Checked::default();
    let mut manifests = Vec::new();
    match only {
        Some(id) => manifests.push(repository.find(Some(id))?),
        None => {
            for listed in repository.list()? {
                match listed.found {
                    Ok(manifest) => manifests.push(manifest),
                    Err(error) => checked.problems.push(format!("{}: {error:#}", listed.id)),
                }
            }
            anyhow::ensure!(
                !manifests.is_empty() || !checked.problems.is_empty(),
                "there is no backup in {}; name a directory that `swoosh backup create` or a node wrote to",
                repository.directory().display()
            );
        }
    }
    let mut known = BTreeMap::new();
    for manifest in &manifests {
        checked.backups += 1;
        files(repository, manifest, &mut known, &mut checked);
    }
    if let Some(newest) = manifests.last().filter(|_| checked.problems.is_empty()) {
        log(repository, newest, keys, &mut checked)?;
    }
    origins(repository, &manifests, wanted, &mut checked);
    Ok(checked)
}

/// Checks their origin. Comes last, so that damage is reported as well.
fn origins(repository: &Repository, manifests: &[Manifest], wanted: &Wanted<'_>, checked: &mut Checked) {
    if let Some(newest) = manifests.last() {
        (checked.node, checked.cluster) = (Some(newest.node), Some(newest.cluster.clone()));
    }
    for manifest in manifests {
        match wanted.check_seal(manifest) {
            Ok(()) if manifest.origin() == Origin::Signed => checked.signed += 1,
            Ok(()) => {}
            Err(error) => checked.problems.push(error.to_string()),
        }
    }
    let all: Vec<&Manifest> = manifests.iter().collect();
    if let Err(error) = wanted.check_owner(repository, &all) {
        checked.problems.push(format!("{error:#}"));
    }
    let newest = manifests.last().filter(|_| checked.problems.is_empty());
    if let Some(Err(error)) = newest.map(|newest| wanted.keep_owner(repository, newest)) {
        checked.problems.push(format!("{error:#}"));
    }
}

fn files(
    repository: &Repository,
    manifest: &Manifest,
    known: &mut BTreeMap<String, Option<String>>,
    checked: &mut Checked,
) {
    for stored in &manifest.files {
        let problem = known.entry(stored.object.clone()).or_insert_with(|| {
            checked.files += 1;
            repository.bytes(stored).err().map(|error| format!("{error:#}"))
        });
        if let Some(problem) = problem {
            checked.problems.push(format!("{}: {}: {problem}", manifest.id, stored.path));
        }
    }
}

fn log(
    repository: &Repository,
    manifest: &Manifest,
    keys: &[Box<dyn age::Identity>],
    checked: &mut Checked,
) -> anyhow::Result<()> {
    if keys.is_empty() && !manifest.recipients.is_empty() {
        return Ok(());
    }
    let folder = tempfile::tempdir().context("cannot make a scratch directory")?;
    if let Err(error) = assemble(repository, manifest, keys, folder.path()) {
        checked.problems.push(format!("{}: {error:#}", manifest.id));
        return Ok(());
    }
    let journal = Journal::open_read_only(folder.path().join(JOURNAL))?;
    if let Err(error) = ends_as_said(&journal, manifest) {
        checked.problems.push(format!("{error:#}"));
    }
    let report = verify(&journal, &mut |_| ());
    (checked.opened, checked.records) = (1, report.records);
    checked.problems.extend(report.problems.iter().map(|problem| format!("{}: {problem}", manifest.id)));
    if !report.complete {
        checked.problems.push(format!("{}: its log cannot be read to the end", manifest.id));
    }
    Ok(())
}

/// Compares the end of a backup's log with its manifest: a log may be whole and end too early.
pub fn ends_as_said(journal: &Journal, manifest: &Manifest) -> anyhow::Result<()> {
    let (index, chain) = journal.last();
    let identity = journal.identity();
    anyhow::ensure!(
        (identity.node, &identity.cluster) == (manifest.node, &manifest.cluster),
        "the backup {} says that it is of node {} in cluster {}; its log is of node {} in cluster {}",
        manifest.id,
        manifest.node,
        manifest.cluster,
        identity.node,
        identity.cluster
    );
    anyhow::ensure!(
        (index, chain) == (manifest.last_index, manifest.last_chain),
        "the backup {} says that it ends at record {}, chain {}; its log ends at record {index}, chain {chain}",
        manifest.id,
        manifest.last_index,
        manifest.last_chain
    );
    Ok(())
}

/// Puts the files of a backup into a folder, each checked. The files are on disk when this returns; the folders are not.
pub fn assemble(
    repository: &Repository,
    manifest: &Manifest,
    keys: &[Box<dyn age::Identity>],
    to: &Path,
) -> anyhow::Result<()> {
    for stored in &manifest.files {
        lay_down(repository, stored, keys, to).with_context(|| format!("{} of {}", stored.path, manifest.id))?;
    }
    Ok(())
}

fn lay_down(
    repository: &Repository,
    stored: &Stored,
    keys: &[Box<dyn age::Identity>],
    to: &Path,
) -> anyhow::Result<()> {
    anyhow::ensure!(is_plain(&stored.path), "the path leads out of the data directory");
    let plain = repository.plain(stored, keys)?;
    let plain = plain.context("it is encrypted; name the file of an age secret key with --identity")?;
    let path = to.join(&stored.path);
    let cannot = || format!("cannot write {}", path.display());
    path.parent().map_or(Ok(()), fs::create_dir_all).with_context(cannot)?;
    let mut options = fs::OpenOptions::new();
    if stored.path == super::NODE_KEY {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let mut file = options.write(true).create_new(true).open(&path).with_context(cannot)?;
    file.write_all(&plain).and_then(|()| file.sync_all()).with_context(cannot)
}
