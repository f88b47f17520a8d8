//! Retention: old backups go, and with them the files that no other backup names.

use super::repository::Repository;

/// Which backups stay. One stays when either says so; the newest one always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Keep {
    /// As many of the newest.
    pub newest: u64,
    /// Those that are younger than this, in milliseconds.
    pub younger_than_ms: u64,
}

/// What went.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(in crate::cli) struct Pruned {
    pub backups: Vec<String>,
    pub kept: u64,
    pub files: u64,
}

/// Removes what need not stay. Removes nothing while a manifest cannot be read: who knows what it names.
pub(in crate::cli) fn prune(repository: &Repository, keep: Keep, now_ms: u64) -> anyhow::Result<Pruned> {
    let lock = repository.lock()?;
    let all = repository.all()?;
    let old = all.len().saturating_sub(usize::try_from(keep.newest.max(1)).unwrap_or(usize::MAX));
    let since_ms = now_ms.saturating_sub(keep.younger_than_ms);
    let goes = all.iter().take(old).filter(|manifest| manifest.taken_at.physical_ms() < since_ms);
    let mut pruned = Pruned::default();
    for manifest in goes {
        repository.forget(&manifest.id, &lock)?;
        pruned.backups.push(manifest.id.clone());
    }
    pruned.kept = (all.len() - pruned.backups.len()) as u64;
    pruned.files = repository.collect(&lock)?;
    Ok(pruned)
}
