//! How every build is: fresh, drifted, damaged; and the removal of what one made.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::artifacts::{self, Finding, Removal, Verification, verify_artifacts};
use super::build::BuildError;
use super::call::Desk;
use super::failure::Failure;
use super::inputs::{self, Change};
use super::report::{RunReport, Status};
use super::runs::{self, RunsError};
use super::session::Session;
use super::tool::{self, Seen};
use crate::state::Lock;
use crate::state::catalogue;
use swoosh_types::text::Name;

/// How a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildCondition {
    /// The last good run's inputs are what they are now, and all that it made is there.
    Fresh,
    /// Inputs changed since.
    Drifted,
    /// Some of what it made is missing or changed.
    Damaged,
    /// It was never built well, or what it made was removed.
    Missing,
}

/// One build and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BuildStatus {
    /// The build's name.
    pub name: Name,
    /// How it is.
    pub condition: BuildCondition,
    /// The last good run that was not removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// When that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub built_at: Option<String>,
    /// Inputs that changed since.
    pub changes: Vec<Change>,
    /// Artifacts that are not as they were made.
    pub damage: Vec<Finding>,
    /// The last run of all, when it is another one: how it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_id: Option<String>,
    /// Why that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Failure>,
    /// Whether that run's process died without an end.
    pub abandoned: bool,
    /// Runs that made something which is still recorded, the newest first.
    pub kept_runs: Vec<String>,
    /// Further notes.
    pub notes: Vec<String>,
}

/// How all builds are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Version of this document's form.
    pub schema_version: u64,
    /// Packer's version, when there is one.
    pub packer_version: Option<String>,
    /// Why the version is unknown.
    pub packer_failure: Option<Failure>,
    /// Plugins that are there.
    pub plugins: BTreeMap<String, String>,
    /// Builds by name.
    pub builds: Vec<BuildStatus>,
}

/// How builds are: all there ever were, or those of one name. Reads only, also while one runs.
pub fn overview(session: &Session<'_>, name: Option<&Name>) -> Result<Overview, BuildError> {
    let probed: Name = session_name();
    let desk = Desk::plain(probed, session.workspace.root().to_owned(), session.log.clone());
    let seen = tool::probe(session, &desk.map_err(BuildError::Scratch)?);
    let mut by_name: BTreeMap<Name, Vec<RunReport>> = BTreeMap::new();
    for run in runs::all(session, name)? {
        by_name.entry(run.name.clone()).or_default().push(run);
    }
    let builds = by_name.into_iter().map(|(name, runs)| status(session, name, &runs, seen.as_ref().ok())).collect();
    let (packer_version, plugins) = match &seen {
        Ok(seen) => (Some(seen.version.clone()), seen.plugins.clone()),
        Err(_) => (None, BTreeMap::new()),
    };
    Ok(Overview { schema_version: 1, packer_version, packer_failure: seen.err(), plugins, builds })
}

#[expect(clippy::expect_used, reason = "it is a name")]
fn session_name() -> Name {
    "packer".parse().expect("a name")
}

fn status(session: &Session<'_>, name: Name, runs: &[RunReport], seen: Option<&Seen>) -> BuildStatus {
    let good = runs.iter().rev().find(|run| run.status == Status::Succeeded);
    let last = runs.last().filter(|last| good.is_none_or(|good| good.run_id != last.run_id));
    let made = |run: &&RunReport| run.status != Status::Removed && run.files().next().is_some();
    let mut status = BuildStatus {
        abandoned: last.is_some_and(|last| last.status == Status::Running && is_abandoned(session, &name)),
        name,
        condition: BuildCondition::Missing,
        run_id: good.map(|run| run.run_id.clone()),
        built_at: good.and_then(|run| run.finished_at.clone()),
        changes: Vec::new(),
        damage: Vec::new(),
        last_status: last.map(|run| run.status),
        last_run_id: last.map(|run| run.run_id.clone()),
        last_failure: last.and_then(|run| run.failure.clone()),
        kept_runs: runs.iter().rev().filter(made).map(|run| run.run_id.clone()).collect(),
        notes: Vec::new(),
    };
    let Some(good) = good else { return status };
    // Without packer, the version of the last run is assumed; other changes are still reported.
    let recorded = Seen { version: good.packer_version.clone(), plugins: good.plugins.clone() };
    let skip = runs::products(runs);
    let root = session.workspace.root();
    match inputs::gather(root, &good.recipe, seen.unwrap_or(&recorded), &skip, session.leave) {
        Ok(now) => {
            status.changes = good.inputs.changes(&now.inputs);
            status.notes.extend(now.doubt());
        }
        Err(error) => status.notes.push(error.to_string()),
    }
    let found = verify_artifacts(root, good, session.leave).findings;
    status.damage = found.into_iter().filter(|finding| finding.detail.is_some()).collect();
    status.condition = match (&status.damage, &status.changes, &status.notes) {
        (damage, _, _) if !damage.is_empty() => BuildCondition::Damaged,
        (_, changes, notes) if changes.is_empty() && notes.is_empty() => BuildCondition::Fresh,
        _ => BuildCondition::Drifted,
    };
    status
}

/// Whether the last run of a name never ended and no process holds the name's lock.
fn is_abandoned(session: &Session<'_>, name: &Name) -> bool {
    let path = runs::folder(session).join(format!(".{name}.lock"));
    Lock::take(&path, "packer status", Duration::ZERO, session.leave).is_ok()
}

/// The run that is meant: this one, or the last good one of the name, or the last that made anything.
fn meant(session: &Session<'_>, name: &Name, run_id: Option<&str>) -> Result<RunReport, RunsError> {
    if let Some(run_id) = run_id {
        let run = runs::load(session, run_id)?;
        return if run.name == *name { Ok(run) } else { Err(RunsError::Unknown(format!("{run_id} of {name}"))) };
    }
    let runs = runs::all(session, Some(name))?;
    let good = runs.iter().rev().find(|run| run.status == Status::Succeeded);
    let found = good.or_else(|| runs.iter().rev().find(|run| run.is_partial()));
    found.cloned().ok_or_else(|| RunsError::Unknown(format!("of {name} that made anything")))
}

/// Looks at what a run made: the last good one of the name when no run is named.
pub fn verify(
    session: &Session<'_>,
    name: &Name,
    run_id: Option<&str>,
) -> Result<(RunReport, Verification), RunsError> {
    let run = meant(session, name, run_id)?;
    let verification = verify_artifacts(session.workspace.root(), &run, session.leave);
    Ok((run, verification))
}

/// Removes what a run made, whether it succeeded or failed, and records that. Once more changes nothing.
pub fn remove(session: &Session<'_>, name: &Name, run_id: Option<&str>) -> Result<(RunReport, Removal), BuildError> {
    let _lock = runs::lock(session, name, "remove")?;
    runs::recover(session, name)?;
    let mut run = meant(session, name, run_id)?;
    let root = session.workspace.root();
    let removal = artifacts::remove(root, &run, session.leave);
    let output = super::report::found_path(root, &run.output);
    let stays = removal.kept.iter().any(|kept| kept.starts_with(&run.output));
    let is_ours = output.starts_with(runs::folder(session)) && !output.is_symlink();
    if !stays && is_ours && output.exists() {
        std::fs::remove_dir_all(&output).map_err(runs::folder_error(&output))?;
    }
    if removal.kept.is_empty() {
        run.status = Status::Removed;
    }
    runs::store(session, &run)?;
    forget(session, &run)?;
    Ok((run, removal))
}

/// Removes what all runs of a name made but the last good one, and their folders. A run whose files had to stay is kept.
pub fn remove_superseded(session: &Session<'_>, name: &Name) -> Result<Removal, BuildError> {
    let _lock = runs::lock(session, name, "remove")?;
    runs::recover(session, name)?;
    let all = runs::all(session, Some(name))?;
    let stays = all.iter().rev().find(|run| run.status == Status::Succeeded).map(|run| run.run_id.clone());
    let mut removal = Removal::default();
    for run in all.iter().filter(|run| Some(&run.run_id) != stays.as_ref()) {
        let one = artifacts::remove(session.workspace.root(), run, session.leave);
        let folder = runs::folder(session).join(&run.run_id);
        if one.kept.is_empty() {
            std::fs::remove_dir_all(&folder).map_err(runs::folder_error(&folder))?;
        }
        removal.removed.extend(one.removed);
        removal.kept.extend(one.kept);
    }
    Ok(removal)
}

/// Takes a removed run out of the catalogue, unless a later run replaced it there.
fn forget(session: &Session<'_>, run: &RunReport) -> Result<(), BuildError> {
    let is_listed = |entry: &catalogue::ManifestEntry| {
        Some(&entry.built_at) == run.finished_at.as_ref() && entry.inputs_hash == run.inputs.hash
    };
    catalogue::update(&session.workspace.state(), "packer remove", session.leave, |catalogue| {
        if run.status == Status::Removed && catalogue.manifests.get(run.name.as_str()).is_some_and(is_listed) {
            catalogue.manifests.remove(run.name.as_str());
        }
    })?;
    Ok(())
}
