//! Putting a backup back: into a folder beside the new data directory first, which takes its name when all is
//! there and checked.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::check::{assemble, ends_as_said};
use super::origin::{Origin, Wanted};
use super::repository::{Listed, Repository, newest};
use super::{JOURNAL, Manifest, NODE_KEY, WHOOSH_POSITION};
use swoosh_files as files;
use swoosh_journal::replay::replay;
use swoosh_journal::verify::verify;
use swoosh_journal::{Durability, Journal, JournalOptions, NextIncarnation, SWEEP_AT_ONCE, StoreLimits};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::{ClusterId, ProjectName};

/// Records between snapshots, for a journal that gets no records.
const NO_SNAPSHOTS: u64 = 1_000_000;

pub struct Order<'a> {
    pub repository: &'a Repository,
    pub backup: Option<&'a str>,
    /// The last record that is kept.
    pub index: Option<u64>,
    /// The data directory, which must be empty or not there.
    pub to: &'a Path,
    pub keys: &'a [Box<dyn age::Identity>],
    /// The node to follow from there on; then nothing of the log changes.
    pub follow: Option<&'a str>,
    pub at: Hlc,
    pub reason: &'a str,
    /// The node whose backups are wanted.
    pub wanted: Wanted<'a>,
    /// Whether damage in the backup's log is listed and left, instead of an error.
    pub with_damage: bool,
}

/// The restored log.
#[derive(Debug, Serialize)]
pub struct Restored {
    pub backup: String,
    /// The log's node.
    pub node: PublicKey,
    pub cluster: ClusterId,
    /// Whether that node signed the backup.
    pub signed: bool,
    pub last_index: u64,
    pub last_chain: Hash,
    pub incarnation: u64,
    /// Records of the backup that were not kept.
    pub dropped: u64,
    /// Each project's head, reduced again.
    pub projects: std::collections::BTreeMap<ProjectName, Hash>,
    pub has_node_key: bool,
    /// Backups that a clock which was ahead named later, though they end earlier.
    pub named_later: Vec<String>,
    /// Damage that is left in it.
    pub damage: Vec<String>,
}

/// Puts a backup back.
pub fn restore(order: &Order<'_>) -> anyhow::Result<Restored> {
    let manifest = choose(order)?;
    is_owned(order, &manifest)?;
    is_free(order.to)?;
    let to = std::path::absolute(order.to)?;
    let (parent, name) = (to.parent().context("the data directory has no parent")?, name_of(&to)?);
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let staging = tempfile::Builder::new().prefix(&format!(".{name}.restoring-")).tempdir_in(parent);
    let staging = staging.with_context(|| format!("cannot write to {}", parent.display()))?;
    let assembled = assemble(order.repository, &manifest, order.keys, staging.path());
    assembled.map_err(|error| {
        anyhow::anyhow!(
            "{error:#}. Nothing was restored; `swoosh backup verify` tells which backups are whole, and --backup takes another one"
        )
    })?;
    let journal = staging.path().join(JOURNAL);
    is_what_it_says(&journal, &manifest)?;
    begin(order, &manifest, &journal)?;
    let restored = Restored { named_later: named_later(order, &manifest)?, ..settle(order, &manifest, &journal)? };
    let position = staging.path().join(WHOOSH_POSITION);
    cap_position(&position, restored.last_index)?;
    sync_folders(staging.path())?;
    if to.is_dir() {
        fs::remove_dir(&to).with_context(|| format!("{} is not empty any more", to.display()))?;
    }
    let folder = staging.keep();
    fs::rename(&folder, &to).with_context(|| format!("cannot rename {} to {}", folder.display(), to.display()))?;
    files::sync_directory(parent).context("cannot sync the parent directory")?;
    order.wanted.keep_owner(order.repository, &manifest)?;
    Ok(restored)
}

fn name_of(to: &Path) -> anyhow::Result<String> {
    let name = to.file_name().and_then(|name| name.to_str());
    Ok(name.context("the data directory has no name")?.to_owned())
}

/// Checks the backup's origin. Unless a node was named, all backups in the directory must be of one node.
fn is_owned(order: &Order<'_>, manifest: &Manifest) -> anyhow::Result<()> {
    let refused = "nothing was restored";
    order.wanted.check_seal(manifest).context(refused)?;
    let all: Vec<Manifest> = order.repository.list()?.into_iter().filter_map(|listed| listed.found.ok()).collect();
    let shown: Vec<&Manifest> = match (order.backup, order.wanted.node) {
        (None, None) => all.iter().collect(),
        _ => vec![manifest],
    };
    order.wanted.check_owner(order.repository, &shown).context(refused)
}

/// The backup that is meant: by name, the newest one that holds the record, or the newest.
fn choose(order: &Order<'_>) -> anyhow::Result<Manifest> {
    let Some(index) = order.index else {
        return if order.backup.is_some() { order.repository.find(order.backup) } else { newest_wanted(order) };
    };
    let holds = |manifest: &Manifest| (manifest.first_index..=manifest.last_index).contains(&index);
    if order.backup.is_some() {
        let named = order.repository.find(order.backup)?;
        let (id, first, last) = (&named.id, named.first_index, named.last_index);
        anyhow::ensure!(holds(&named), "the backup {id} holds records {first} to {last}, and not record {index}");
        return Ok(named);
    }
    let newest = newest_wanted(order)?;
    let all = wanted(order)?.into_iter().rev().filter_map(|listed| listed.found.ok());
    let (first, last) = (newest.first_index, newest.last_index);
    all.into_iter().find(holds).with_context(|| {
        format!(
            "no backup holds record {index}; the newest holds records {first} to {last}, `swoosh backup list` shows the others"
        )
    })
}

/// The backups of the node that was named, and those that cannot be read; all where none was named.
fn wanted(order: &Order<'_>) -> anyhow::Result<Vec<Listed>> {
    let mut listed = order.repository.list()?;
    if let Some(node) = order.wanted.node {
        listed.retain(|listed| listed.found.as_ref().map_or(true, |manifest| manifest.node == node));
    }
    Ok(listed)
}

fn newest_wanted(order: &Order<'_>) -> anyhow::Result<Manifest> {
    let wanted = wanted(order)?;
    match order.wanted.node {
        // Its error says what the directory holds.
        None => order.repository.find(None),
        Some(node) => {
            let none = || format!("{} holds no backup of node {node}", order.repository.directory().display());
            newest(wanted).with_context(none)
        }
    }
}

/// Nothing is overwritten: existing files may still be needed.
fn is_free(to: &Path) -> anyhow::Result<()> {
    let taken = || {
        format!(
            "{} is there already and not empty; nothing is overwritten: name another directory, or move that one away",
            to.display()
        )
    };
    match fs::read_dir(to) {
        Ok(mut entries) => anyhow::ensure!(entries.next().is_none(), taken()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot look into {}", to.display())),
    }
    Ok(())
}

fn is_what_it_says(path: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let journal = Journal::open_read_only(path)?;
    journal.check_chain(&mut |_| ())?;
    ends_as_said(&journal, manifest)
}

/// Backups whose names carry a later time than the chosen one's, though what they hold is older: a clock was ahead.
fn named_later(order: &Order<'_>, chosen: &Manifest) -> anyhow::Result<Vec<String>> {
    if order.backup.is_some() || order.index.is_some() {
        return Ok(Vec::new());
    }
    let later = order.repository.list()?.into_iter().map(|listed| listed.id).filter(|id| *id > chosen.id);
    Ok(later.collect())
}

/// Begins the next incarnation, whose number no backup here has, or records the primary that the log follows.
fn begin(order: &Order<'_>, manifest: &Manifest, journal: &Path) -> anyhow::Result<()> {
    if let Some(primary) = order.follow {
        return Ok(Journal::set_following(journal, primary)?);
    }
    let known = order.repository.list()?.into_iter().filter_map(|listed| listed.found.ok());
    let highest = known.map(|manifest| manifest.incarnation).max().unwrap_or(0).max(manifest.incarnation);
    let reason = format!("restored from backup {}: {}", manifest.id, order.reason);
    let next = NextIncarnation { number: highest + 1, at: order.at, reason: &reason, last: order.index };
    Journal::begin_incarnation(journal, &next)?;
    Ok(())
}

/// Opens what is left as a node would, checks all of it as `swoosh wal verify` does, and reduces every record again.
fn settle(order: &Order<'_>, manifest: &Manifest, path: &Path) -> anyhow::Result<Restored> {
    let journal = open(order, manifest, path)?;
    let recovered = journal.recover_tail()?;
    let mut damage = Vec::new();
    for some in journal.projects()?.chunks(SWEEP_AT_ONCE) {
        let damaged = journal.sweep(some)?.damaged;
        damage.extend(damaged.into_iter().map(|(project, error)| format!("project {project}: {error}")));
    }
    let checked = verify(&journal, &mut |_| ());
    damage.extend(checked.problems.iter().map(ToString::to_string));
    let replayed = replay(&journal, &mut |_| (), None);
    damage.extend(replayed.fault.map(|fault| format!("not every project can be reduced again: {fault}")));
    if !damage.is_empty() && !order.with_damage {
        return Err(is_damaged(manifest, &damage));
    }
    Ok(Restored {
        backup: manifest.id.clone(),
        node: manifest.node,
        cluster: manifest.cluster.clone(),
        signed: manifest.origin() == Origin::Signed,
        last_index: recovered.last_index,
        last_chain: recovered.last_chain,
        incarnation: journal.identity().incarnation,
        dropped: manifest.last_index - recovered.last_index,
        projects: replayed.heads.into_iter().map(|(project, head)| (project, head.hash)).collect(),
        has_node_key: manifest.files.iter().any(|file| file.path == NODE_KEY),
        named_later: Vec::new(),
        damage,
    })
}

/// Caps the position of deliveries to WHOOSH at the log's end: records after it were not delivered.
fn cap_position(position: &Path, last_index: u64) -> anyhow::Result<()> {
    let cannot = || format!("cannot correct {}", position.display());
    let delivered: Option<u64> = match fs::read_to_string(position) {
        Ok(text) => text.trim().parse().ok(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(cannot),
    };
    if delivered.is_some_and(|delivered| delivered > last_index) {
        fs::write(position, format!("{last_index}\n")).with_context(cannot)?;
        File::open(position).and_then(|file| file.sync_all()).with_context(cannot)?;
    }
    Ok(())
}

fn open(order: &Order<'_>, manifest: &Manifest, path: &Path) -> anyhow::Result<Journal> {
    let wanted = JournalOptions {
        path: PathBuf::from(path),
        node: manifest.node,
        cluster: manifest.cluster.clone(),
        snapshot_every: NO_SNAPSHOTS,
        durability: Durability::Sync,
        store: StoreLimits::default(),
        medium: None,
    };
    Ok(match order.follow {
        Some(_) => Journal::reopen_following(wanted)?,
        None => Journal::open(wanted)?,
    })
}

fn is_damaged(manifest: &Manifest, damage: &[String]) -> anyhow::Error {
    anyhow::anyhow!(
        "the log in the backup {} is damaged ({} found): {}. Nothing was restored; --backup takes another one, and \
         --with-damage restores this one and lists its damage",
        manifest.id,
        damage.len(),
        damage.iter().take(5).cloned().collect::<Vec<_>>().join("; ")
    )
}

/// Syncs every folder below one: the files are on disk already, but not yet their names.
fn sync_folders(folder: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot sync {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        if entry.file_type().with_context(cannot)?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    files::sync_directory(folder).with_context(cannot)
}
