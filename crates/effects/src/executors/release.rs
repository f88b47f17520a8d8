//! The recorded assets that a release can remove: those made by runs in this workspace.
//!
//! The runs go with the environment's folder, before the outcome is on record. A note beside the folder says which assets
//! were taken down, so that a release that is repeated after a crash does not report them as missing.

use std::path::Path;

use super::on_disk;
use crate::worker::Failed;
use swoosh_hybridcore::packer::RunReport;
use swoosh_hybridcore::state::files;
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::inputs::Assets;

/// Names of assets that a failure spells out.
const NAMED: usize = 5;

/// The assets on record that neither a run here made, removed or not, nor an earlier attempt took down.
pub(super) fn stray(assets: &Assets, runs: &[RunReport], taken_down: &Assets) -> Assets {
    let made: Vec<_> = runs.iter().map(RunReport::made).collect();
    let is_known =
        |name, hash| taken_down.get(name) == Some(hash) || made.iter().any(|made| made.get(name) == Some(hash));
    assets.iter().filter(|(name, hash)| !is_known(*name, *hash)).map(|(name, hash)| (name.clone(), *hash)).collect()
}

/// Why assets that were made elsewhere stay; `None` where there are none.
pub(super) fn not_ours(stray: &Assets) -> Option<String> {
    let names: Vec<&str> = stray.keys().take(NAMED).map(|name| name.as_str()).collect();
    let more = stray.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty()).then(|| {
        format!(
            "no run in this workspace made {}{more}; take them down where they are, then let a worker report Environment_Released",
            names.join(", ")
        )
    })
}

/// The assets that an earlier attempt removed; empty without such an attempt, or if its note is damaged.
pub(super) fn read(path: &Path) -> Result<Assets, Failed> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Assets::new()),
        Err(error) => Err(on_disk(path, &error)),
    }
}

/// Notes what was taken down; on disk when it returns.
pub(super) fn note(path: &Path, assets: &Assets) -> Result<(), Failed> {
    files::replace(path, &canonical_bytes(assets)).map_err(Failed::passing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use swoosh_types::hash::Hash;

    fn assets(names: &[&str]) -> Assets {
        names.iter().map(|name| (name.parse().unwrap(), Hash::of(name.as_bytes()))).collect()
    }

    #[test]
    fn what_an_earlier_attempt_took_down_is_not_reported_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("released.json");
        assert_eq!(stray(&assets(&["a", "b"]), &[], &read(&path).unwrap()), assets(&["a", "b"]));
        note(&path, &assets(&["a"])).unwrap();
        assert_eq!(stray(&assets(&["a", "b"]), &[], &read(&path).unwrap()), assets(&["b"]));
        std::fs::write(&path, "{").unwrap();
        assert_eq!(stray(&assets(&["a"]), &[], &read(&path).unwrap()), assets(&["a"]), "a damaged note says nothing");
    }

    #[test]
    fn a_failure_names_some_assets_and_counts_the_others() {
        assert_eq!(not_ours(&assets(&[])), None);
        let many = assets(&["a", "b", "c", "d", "e", "f", "g"]);
        assert!(not_ours(&many).unwrap().contains("a, b, c, d, e and 2 more;"));
    }
}
