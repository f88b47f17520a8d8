//! Every state document that there is, looked over and repaired together: `swoosh documents check`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::config::store::{CONFIGS_FILE, CONFIGS_FOLDER, ConfigsDocument};
use super::leave::Leave;
use super::packer::{RunReport, runs};
use super::sources::documents::{
    MARKER_FILE, MIRRORS_FILE, Marker, OVERRIDES_FILE, OverridesDocument, PINS_FILE, PinsDocument, SOURCES_FILE,
    SourcesDocument,
};
use super::sources::mirrors::MirrorInventory;
use super::state::catalogue::Catalogue;
use super::state::check::{self, Condition, Finding, RepairError};
use super::state::document::{self, DocumentError, Versioned};
use super::state::{CATALOGUE_FILE, LOCK_FILE, Lock, files};
use swoosh_types::hash::Hash;

/// How long a repair waits for a writer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A document, and what is known of it.
struct Known {
    file: &'static str,
    look: fn(&Path) -> Finding,
    rewrite: fn(&Path) -> Result<(), DocumentError>,
    is_newer: fn(&Path) -> bool,
    /// How it comes to be again when it is moved away; `None` for what nothing can make again.
    made_again: Option<&'static str>,
}

fn known<T: Versioned>(file: &'static str, made_again: Option<&'static str>) -> Known {
    Known { file, look: check::document::<T>, rewrite: rewrite::<T>, is_newer: is_newer::<T>, made_again }
}

fn all() -> [Known; 7] {
    [
        known::<Catalogue>(CATALOGUE_FILE, Some("`swoosh sources sync` and the next builds write it again")),
        known::<ConfigsDocument>(
            CONFIGS_FILE,
            Some(
                "`swoosh config render` and `swoosh templates compose` write it again; files that are there need --overwrite",
            ),
        ),
        known::<SourcesDocument>(SOURCES_FILE, None),
        known::<PinsDocument>(PINS_FILE, None),
        known::<OverridesDocument>(OVERRIDES_FILE, None),
        known::<MirrorInventory>(MIRRORS_FILE, None),
        known::<Marker>(MARKER_FILE, Some("`swoosh sources sync` finishes the interrupted sync")),
    ]
}

fn rewrite<T: Versioned>(path: &Path) -> Result<(), DocumentError> {
    match document::load::<T>(path)? {
        Some(loaded) => document::store(path, &loaded.document),
        None => Ok(()),
    }
}

fn is_newer<T: Versioned>(path: &Path) -> bool {
    matches!(document::load::<T>(path), Err(DocumentError::Newer { .. }))
}

/// How the state of a workspace is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Every document that there may be.
    pub documents: Vec<Finding>,
    /// Left-overs of killed writers.
    pub leftovers: Vec<PathBuf>,
    /// Files of the state folder that no part of this program writes.
    pub strangers: Vec<PathBuf>,
    pub repaired: Vec<Repaired>,
}

/// Something that was repaired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// The file.
    pub path: PathBuf,
    pub how: String,
}

impl Report {
    /// Whether anything needs a repair or a person.
    pub fn is_good(&self) -> bool {
        let is_bad = |finding: &Finding| matches!(finding.condition, Condition::Bad { .. });
        self.leftovers.is_empty() && !self.documents.iter().any(is_bad)
    }
}

/// Reads every document of a workspace, and changes nothing.
pub fn check(root: &Path) -> Result<Report, RepairError> {
    let state = root.join("state");
    let mut documents: Vec<Finding> = all().iter().map(|known| (known.look)(&state.join(known.file))).collect();
    let mut leftovers = files::leftovers(&state).map_err(|source| folder(&state, source))?;
    for run in runs::folders(&state).map_err(|source| folder(&state, source))? {
        documents.push(check::document::<RunReport>(&run.join(runs::REPORT_FILE)));
        // Only of the folder itself: files below it are build output.
        leftovers.extend(files::leftovers(&run).map_err(|source| folder(&run, source))?);
    }
    below(&root.join(CONFIGS_FOLDER), &mut leftovers).map_err(|source| folder(&root.join(CONFIGS_FOLDER), source))?;
    let ours: BTreeSet<PathBuf> =
        documents.iter().map(|finding| finding.path.clone()).chain(leftovers.clone()).collect();
    let strangers = strangers(&state, &ours).map_err(|source| folder(&state, source))?;
    Ok(Report { documents, leftovers, strangers, repaired: Vec::new() })
}

/// Repairs what can be repaired. Left-overs are removed. Documents of older versions are rewritten; the old one is kept
/// as `NAME.vN`. Damaged documents that can be made again are moved to `NAME.damaged-HASH`; the others stay and are
/// reported. Documents of a newer release are never touched.
pub fn repair(root: &Path, leave: &dyn Leave) -> Result<Report, RepairError> {
    let state = root.join("state");
    let mut repaired = Vec::new();
    if !state.is_dir() {
        return check(root);
    }
    let removed = |path| Repaired { path, how: "removed: a writer was killed before it was done with it".to_owned() };
    repaired.extend(check::repair(&state, leave)?.into_iter().map(removed));
    let _lock = Lock::take(&state.join(LOCK_FILE), "state repair", PATIENCE, leave)?;
    for path in check(root)?.leftovers {
        fs::remove_file(&path).map_err(|source| folder(&path, source))?;
        repaired.push(removed(path));
    }
    for known in all() {
        repaired.extend(repair_one(&known, &state.join(known.file))?);
    }
    Ok(Report { repaired, ..check(root)? })
}

fn repair_one(known: &Known, path: &Path) -> Result<Option<Repaired>, RepairError> {
    let repaired = |how: String| Some(Repaired { path: path.to_owned(), how });
    match (known.look)(path).condition {
        Condition::Older { version, current } => {
            let kept = beside(path, &format!("v{version}"));
            fs::copy(path, &kept).map_err(|source| folder(path, source))?;
            (known.rewrite)(path)?;
            Ok(repaired(format!("rewritten as version {current}; the old one is kept as {}", kept.display())))
        }
        Condition::Bad { .. } if !(known.is_newer)(path) => {
            let Some(made_again) = known.made_again else { return Ok(None) };
            let bytes = files::read(path).map_err(|source| folder(path, source))?;
            let moved = beside(path, &format!("damaged-{}", Hash::of(&bytes).short(8)));
            fs::rename(path, &moved).map_err(|source| folder(path, source))?;
            Ok(repaired(format!("moved to {}; {made_again}", moved.display())))
        }
        Condition::Absent | Condition::Good { .. } | Condition::Bad { .. } => Ok(None),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{suffix}"));
    name.into()
}

fn folder(path: &Path, source: io::Error) -> RepairError {
    RepairError::Folder { path: path.to_owned(), source }
}

/// Left-overs in all folders below one that may not be there.
fn below(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    found.extend(files::leftovers(folder)?);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    folders.iter().try_for_each(|folder| below(folder, found))
}

fn strangers(state: &Path, ours: &BTreeSet<PathBuf>) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(state) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_kept = all().iter().any(|known| name.starts_with(&format!("{}.", known.file)));
        if entry.file_type()?.is_file() && !name.starts_with('.') && !is_kept && !ours.contains(&entry.path()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leave::Always;

    fn workspace(documents: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        for (file, text) in documents {
            fs::write(folder.path().join("state").join(file), text).unwrap();
        }
        folder
    }

    #[test]
    fn an_empty_workspace_is_good_and_a_repair_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check(folder.path()).unwrap().is_good());
        assert!(repair(folder.path(), &Always).unwrap().repaired.is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn each_kind_of_damage_is_reported_and_repaired_where_possible() {
        let newer = r#"{"schema_version": 9}"#;
        let folder = workspace(&[
            ("packer-hybrid.json", "{"),
            ("sources-overrides.json", "{"),
            ("sources-mirrors.json", newer),
            ("configs.json", newer),
            ("sources.json", r#"{"schema_version": 1, "sources": []}"#),
            ("sources.lock.tmp", "half"),
            ("notes.txt", "mine"),
        ]);
        fs::create_dir_all(folder.path().join("configs/dev")).unwrap();
        fs::write(folder.path().join("configs/dev/a.pkrvars.hcl.tmp"), "half").unwrap();
        let before = check(folder.path()).unwrap();
        assert!(!before.is_good() && before.leftovers.len() == 2 && before.strangers.len() == 1, "{before:?}");
        let after = repair(folder.path(), &Always).unwrap();
        let repaired: Vec<String> = after.repaired.iter().map(|repaired| repaired.how.clone()).collect();
        assert_eq!(repaired.len(), 4, "{repaired:?}");
        let state = folder.path().join("state");
        let read = |file: &str| fs::read_to_string(state.join(file)).ok();
        assert_eq!(read("packer-hybrid.json"), None);
        assert_eq!(read("sources.json.v1").as_deref(), Some(r#"{"schema_version": 1, "sources": []}"#));
        assert!(read("sources.json").unwrap().contains("\"schema_version\": 2"));
        assert_eq!(read("sources-overrides.json").as_deref(), Some("{"), "an audit is never moved away");
        assert_eq!(
            [read("sources-mirrors.json"), read("configs.json")],
            [Some(newer.to_owned()), Some(newer.to_owned())]
        );
        assert!(!after.is_good() && after.leftovers.is_empty(), "damage that needs a person is still reported");
        assert_eq!(after.strangers, before.strangers);
    }

    #[test]
    fn a_damaged_run_report_is_reported_and_build_output_is_no_left_over() {
        let folder = workspace(&[]);
        let run = folder.path().join("state/runs/web-1");
        fs::create_dir_all(run.join("output")).unwrap();
        for (file, text) in [("run.json", "{"), ("run.json.tmp", "half"), ("output/disk.tmp", "built")] {
            fs::write(run.join(file), text).unwrap();
        }
        let report = repair(folder.path(), &Always).unwrap();
        assert_eq!(report.repaired.len(), 1, "{report:?}");
        assert!(!run.join("run.json.tmp").exists() && run.join("output/disk.tmp").exists());
        let finding = report.documents.iter().find(|finding| finding.path == run.join("run.json")).unwrap();
        assert!(matches!(finding.condition, Condition::Bad { .. }) && !report.is_good());
    }

    #[test]
    fn a_good_state_stays_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state").join(CATALOGUE_FILE);
        document::store(&path, &Catalogue::default()).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(repair(folder.path(), &Always).unwrap().is_good());
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}
