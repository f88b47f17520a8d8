//! The runs of a workspace: `state/runs/ID/` with `run.json`, packer's manifest, the log and the output. One run
//! of a name at a time; runs of a killed process are ended and recorded before the next.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use thiserror::Error;

use super::artifacts::{self, Place};
use super::call::{RUN_VARIABLE, SCRATCH_PREFIX};
use super::failure::{Failure, FailureClass};
use super::manifest;
use super::report::{RunReport, Status, found_path};
use super::session::Session;
use super::transcript::Transcript;
use crate::leave::Always;
use crate::logs::Redactor;
use crate::state::document::{self, DocumentError, Loaded};
use crate::state::{Lock, LockError, files};
use swoosh_types::text::Name;

/// The folder of runs in the state folder.
const RUNS_FOLDER: &str = "runs";
/// The report's file in a run's folder.
pub const REPORT_FILE: &str = "run.json";
/// The file that templates have their manifest written to (`var.swoosh_manifest`).
pub(super) const MANIFEST_FILE: &str = "manifest.json";
/// The folder that templates write to (`var.swoosh_output`).
pub(super) const OUTPUT_FOLDER: &str = "output";
/// The folder of a run's logs.
pub(super) const LOGS_FOLDER: &str = "logs";
/// Between two looks at processes that were asked to end.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Why runs cannot be read or written.
#[derive(Debug, Error)]
pub enum RunsError {
    /// Another run of this name goes on.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A report is no good, or cannot be written.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A folder cannot be read or written.
    #[error("{} cannot be used ({source}): {}", path.display(), files::remedy(source))]
    Folder {
        /// The folder.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// There is no such run.
    #[error("there is no run {0}; `swoosh packer status` lists them")]
    Unknown(String),
}

pub(super) fn folder_error(path: &Path) -> impl FnOnce(io::Error) -> RunsError + '_ {
    move |source| RunsError::Folder { path: path.to_owned(), source }
}

/// The folder of a workspace's runs.
pub fn folder(session: &Session<'_>) -> PathBuf {
    session.workspace.state().join(RUNS_FOLDER)
}

/// Takes the lock of a build's name, and with it of what builds of that name write.
pub(super) fn lock(session: &Session<'_>, name: &Name, task: &str) -> Result<Lock, LockError> {
    let path = folder(session).join(format!(".{name}.lock"));
    Lock::take(&path, &format!("packer {task} {name}"), session.patience, session.leave)
}

/// Makes the folder of a new run, and gives it its id.
pub(super) fn make(session: &Session<'_>, name: &Name) -> Result<(String, PathBuf), RunsError> {
    let runs = folder(session);
    fs::create_dir_all(&runs).map_err(folder_error(&runs))?;
    let stem = format!("{name}-{}-{}", (session.now_ms)(), std::process::id());
    let mut tries = 0;
    loop {
        let id = if tries == 0 { stem.clone() } else { format!("{stem}-{tries}") };
        let path = runs.join(&id);
        match fs::create_dir(&path) {
            Ok(()) => {
                for inner in [OUTPUT_FOLDER, LOGS_FOLDER] {
                    fs::create_dir(path.join(inner)).map_err(folder_error(&path))?;
                }
                return Ok((id, path));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => tries += 1,
            Err(source) => return Err(RunsError::Folder { path, source }),
        }
    }
}

/// Writes a run's report.
pub(super) fn store(session: &Session<'_>, report: &RunReport) -> Result<(), DocumentError> {
    document::store(&folder(session).join(&report.run_id).join(REPORT_FILE), report)
}

/// Reads the report of a run.
pub fn load(session: &Session<'_>, run_id: &str) -> Result<RunReport, RunsError> {
    let unknown = || RunsError::Unknown(run_id.chars().take(150).collect());
    let is_id = run_id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    if !is_id || run_id.is_empty() || run_id.starts_with('.') {
        return Err(unknown());
    }
    let loaded = document::load(&folder(session).join(run_id).join(REPORT_FILE))?;
    loaded.map(|Loaded { document, .. }| document).ok_or_else(unknown)
}

/// The folders of all runs of a state folder, sorted.
pub fn folders(state: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(state.join(RUNS_FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// All runs, the oldest first; those of one name alone when it is given. A folder without a report is the
/// beginning of a run that never was.
pub fn all(session: &Session<'_>, name: Option<&Name>) -> Result<Vec<RunReport>, RunsError> {
    let runs = folder(session);
    let mut found = Vec::new();
    for run in folders(&session.workspace.state()).map_err(folder_error(&runs))? {
        let report = document::load::<RunReport>(&run.join(REPORT_FILE))?;
        found.extend(report.map(|loaded| loaded.document).filter(|run| name.is_none_or(|name| run.name == *name)));
    }
    found.sort_by(|a, b| (&a.started_at, &a.run_id).cmp(&(&b.started_at, &b.run_id)));
    Ok(found)
}

/// Files that runs made, which are no inputs.
pub(super) fn products<'a>(runs: impl IntoIterator<Item = &'a RunReport>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for run in runs {
        all.extend(run.files().map(|file| file.path.clone()));
        all.extend(run.products.iter().cloned());
    }
    all
}

/// Ends runs of a name whose process died, and records them as failed, with their artifacts. The caller holds the
/// name's lock, so no process runs them.
pub(super) fn recover(session: &Session<'_>, name: &Name) -> Result<Vec<RunReport>, RunsError> {
    let mut recovered = Vec::new();
    for mut run in all(session, Some(name))? {
        if run.status != Status::Running {
            continue;
        }
        end_processes(&run.run_id, session.tool.bounds.grace);
        clean_up(&folder(session).join(&run.run_id));
        salvage(session, &mut run);
        let detail = format!("process {} ended while packer ran for it", run.process);
        run.failure = Some(Failure::new(FailureClass::Abandoned, detail.clone()));
        run.errors = vec![detail];
        run.status = Status::Failed;
        run.finished_at = Some(session.now());
        session.log.clone().with("run", &run.run_id).warn("found abandoned, ended and recorded as failed");
        store(session, &run)?;
        recovered.push(run);
    }
    Ok(recovered)
}

/// Records every run whose process died, of all names; one that goes on is left alone. For a daemon's start.
pub fn recover_all(session: &Session<'_>) -> Result<Vec<RunReport>, RunsError> {
    let names: BTreeSet<Name> =
        all(session, None)?.into_iter().filter(|run| run.status == Status::Running).map(|run| run.name).collect();
    let mut recovered = Vec::new();
    for name in names {
        let path = folder(session).join(format!(".{name}.lock"));
        match Lock::take(&path, "packer recovery", Duration::ZERO, session.leave) {
            Ok(_lock) => recovered.extend(recover(session, &name)?),
            Err(LockError::Held { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(recovered)
}

/// Records the artifacts of a dead run, from its manifest and its output.
fn salvage(session: &Session<'_>, run: &mut RunReport) {
    let root = session.workspace.root();
    let (folder, output) = (found_path(root, &run.recipe.folder), found_path(root, &run.output));
    // The secrets of that run are gone with it; texts that look like one are still redacted.
    let redactor = Redactor::default();
    let place = Place { root, folder: &folder, redactor: &redactor, leave: &Always };
    let path = super::runs::folder(session).join(&run.run_id).join(MANIFEST_FILE);
    let found = manifest::read(&path, &run.run_id).ok().flatten();
    if let Some((_, hash)) = &found {
        run.manifest_path = super::report::kept_path(root, &path);
        run.manifest_hash = Some(*hash);
    }
    let collected = artifacts::collect(&place, &Transcript::default(), found.as_ref().map(|(manifest, _)| manifest));
    run.artifact_ids = collected.artifacts.iter().map(|artifact| artifact.id.clone()).collect();
    run.artifacts = collected.artifacts;
    let (leftovers, warnings) = artifacts::leftovers(&place, &output, &run.artifacts);
    run.leftovers = leftovers;
    run.warnings = [collected.warnings, warnings].concat();
}

/// Removes what only a running build needs, secrets first.
pub(super) fn clean_up(run_folder: &Path) {
    let _ = fs::remove_file(run_folder.join(super::build::SECRETS_FILE));
    let _ = fs::remove_dir_all(run_folder.join(super::build::CACHE_FOLDER));
    if let Ok(scratch) = fs::read_to_string(run_folder.join(super::build::SCRATCH_FILE)) {
        let scratch = Path::new(scratch.trim());
        let is_ours = scratch.file_name().and_then(|name| name.to_str()).is_some_and(|n| n.starts_with(SCRATCH_PREFIX));
        if is_ours && scratch.is_absolute() && !scratch.is_symlink() {
            let _ = fs::remove_dir_all(scratch);
        }
    }
    let _ = fs::remove_file(run_folder.join(super::build::SCRATCH_FILE));
}

/// Ends whatever still runs of a run: asked first, so that builders can clean up, and killed after the grace.
fn end_processes(run_id: &str, grace: Duration) {
    let begun = Instant::now();
    let mut found = processes(run_id);
    signal(&found, Signal::INT);
    while !found.is_empty() && begun.elapsed() < grace {
        thread::sleep(LOOK_AGAIN);
        found = processes(run_id);
    }
    signal(&found, Signal::KILL);
}

fn signal(processes: &[Pid], signal: Signal) {
    for id in processes {
        // One that is gone already is what was wanted.
        let _ = kill_process(*id, signal);
    }
}

/// Processes whose environment names the run. Others of this user's are the only ones that can be looked at.
fn processes(run_id: &str) -> Vec<Pid> {
    let wanted = format!("{RUN_VARIABLE}={run_id}");
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_of_run = |id: &i32| {
        let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    ids.filter(|id| *id != own).filter(is_of_run).filter_map(Pid::from_raw).collect()
}
