//! Artifacts of a run: reported by packer and its manifest, hashed here, verified later, and removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::digest::{self, DigestError, EntryKind};
use super::manifest::Manifest;
use super::report::{Artifact, ArtifactFile, RunReport, found_path, kept_path};
use super::transcript::Transcript;
use crate::leave::Leave;
use crate::logs::Redactor;
use swoosh_types::inputs::AssetHealth;
use swoosh_types::text::AssetName;

/// The builder that makes nothing, as artifacts and as manifests call it.
const NULL_BUILDER: [&str; 2] = ["fnoeding.null", "null"];
/// The most files of failed builds that are recorded.
const MOST_LEFTOVERS: usize = 1000;

/// Where a run's paths mean something.
pub(super) struct Place<'a> {
    pub root: &'a Path,
    /// Where packer ran.
    pub folder: &'a Path,
    pub redactor: &'a Redactor,
    pub leave: &'a dyn Leave,
}

#[derive(Debug, Default)]
pub(super) struct Collected {
    pub artifacts: Vec<Artifact>,
    /// Unusable artifacts, which fail the run.
    pub problems: Vec<String>,
    pub warnings: Vec<String>,
}

struct Reported {
    build: String,
    builder: String,
    id: String,
    files: Vec<String>,
    /// Whether packer's last word says so, and not only the manifest, whose files may be gone since.
    is_final: bool,
}

/// Everything that packer and its manifest tell of, hashed.
pub(super) fn collect(place: &Place<'_>, transcript: &Transcript, manifest: Option<&Manifest>) -> Collected {
    let mut collected = Collected::default();
    for reported in reported(transcript, manifest) {
        let mut files = Vec::new();
        for name in &reported.files {
            match artifact_file(place, name) {
                Ok(file) => files.push(file),
                Err(detail) if reported.is_final => collected.problems.push(format!("{}: {detail}", reported.build)),
                Err(detail) => collected.warnings.push(format!("{} (in the manifest): {detail}", reported.build)),
            }
        }
        if reported.files.is_empty() || !files.is_empty() {
            // The manifest's words come as they are.
            let [build, builder, id] =
                [reported.build, reported.builder, reported.id].map(|text| place.redactor.clean(&text));
            collected.artifacts.push(Artifact { build, builder, id, files });
        }
    }
    collected
}

/// Artifacts, each once: packer repeats one for each post-processor, and the manifest all of them.
fn reported(transcript: &Transcript, manifest: Option<&Manifest>) -> Vec<Reported> {
    let mut all: Vec<Reported> = Vec::new();
    for ((build, _), reported) in transcript.artifacts.iter().filter(|(_, reported)| !reported.is_nothing) {
        let (build, builder, id) = (build.clone(), reported.builder_id.clone(), reported.id.clone());
        let is_twice = all.iter().any(|other| other.build == build && other.id == id && other.files == reported.files);
        if !is_twice {
            all.push(Reported { build, builder, id, files: reported.files.clone(), is_final: true });
        }
    }
    for build in manifest.iter().flat_map(|manifest| &manifest.builds) {
        let files: Vec<String> = build.files.iter().flatten().map(|file| file.name.clone()).collect();
        let (name, id) = (format!("{}.{}", build.builder_type, build.name), build.artifact_id.clone());
        if !all.iter().any(|other| other.id == id && other.files == files) {
            all.push(Reported { build: name, builder: build.builder_type.clone(), id, files, is_final: false });
        }
    }
    let is_something = |reported: &Reported| {
        !reported.files.is_empty() || !(reported.id.is_empty() || NULL_BUILDER.contains(&reported.builder.as_str()))
    };
    all.retain(is_something);
    all
}

fn artifact_file(place: &Place<'_>, name: &str) -> Result<ArtifactFile, String> {
    let path: PathBuf = place.folder.join(name).components().collect();
    let kept = kept_path(place.root, &path).unwrap_or_default();
    if place.redactor.clean(&kept) != kept {
        return Err("the path of an artifact holds a secret; name it otherwise".to_owned());
    }
    let digest = digest::of(&path, place.root, place.leave).map_err(|error| error.to_string())?;
    Ok(ArtifactFile { path: kept, hash: digest.hash, bytes: digest.bytes, is_folder: digest.is_folder })
}

/// Files in the output folder that no artifact has: left-overs of failed builds.
pub(super) fn leftovers(place: &Place<'_>, output: &Path, artifacts: &[Artifact]) -> (Vec<ArtifactFile>, Vec<String>) {
    let known: BTreeSet<&Path> =
        artifacts.iter().flat_map(|artifact| &artifact.files).map(|file| Path::new(file.path.as_str())).collect();
    let entries = match digest::walk(output, output, place.leave) {
        Ok(entries) => entries,
        Err(DigestError::Missing(_)) => Vec::new(),
        Err(error) => return (Vec::new(), vec![error.to_string()]),
    };
    let (mut found, mut warnings) = (Vec::new(), Vec::new());
    for entry in entries.into_iter().filter(|entry| entry.kind == EntryKind::File).take(MOST_LEFTOVERS) {
        let path = output.join(&entry.path);
        let below = path.strip_prefix(place.root).unwrap_or(&path);
        if below.ancestors().any(|part| known.contains(part)) {
            continue;
        }
        match path.to_str().ok_or_else(|| "a file's name is no UTF-8".to_owned()).and_then(|p| artifact_file(place, p))
        {
            Ok(file) => found.push(file),
            Err(detail) => warnings.push(detail),
        }
    }
    (found, warnings)
}

/// How an artifact was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Unchanged since the run.
    Good,
    /// It is not there.
    Missing,
    /// It is there and differs.
    Changed,
    /// It cannot be looked at.
    Unreadable,
    /// It lives elsewhere (an image in a cloud), and is taken on trust.
    Elsewhere,
}

/// One artifact and how it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file below the workspace, or the id of what has none.
    pub artifact: String,
    /// The name that projects know it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset: Option<AssetName>,
    /// How it is.
    pub condition: Condition,
    /// The fault, if it is not good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How all artifacts of a run are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Each of them.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// Whether there are artifacts that can be verified and all of them are unchanged.
    pub fn is_good(&self) -> bool {
        let good = |finding: &Finding| matches!(finding.condition, Condition::Good | Condition::Elsewhere);
        !self.findings.is_empty() && self.findings.iter().all(good)
    }

    /// Health by asset: missing and changed ones have failed; artifacts elsewhere count as healthy.
    pub fn health(&self) -> BTreeMap<AssetName, AssetHealth> {
        let health = |condition: &Condition| match condition {
            Condition::Good | Condition::Elsewhere => AssetHealth::Ok,
            Condition::Missing | Condition::Changed | Condition::Unreadable => AssetHealth::Failed,
        };
        let named = self.findings.iter().filter_map(|finding| Some((finding.asset.clone()?, &finding.condition)));
        named.map(|(name, condition)| (name, health(condition))).collect()
    }

    /// Faults, one line each.
    pub fn faults(&self) -> Vec<String> {
        self.findings.iter().filter_map(|finding| finding.detail.clone()).collect()
    }
}

/// Hashes what a run made again, below the workspace folder `root`.
pub fn verify_artifacts(root: &Path, report: &RunReport, leave: &dyn Leave) -> Verification {
    let files = report.files().map(|file| {
        let found = look(root, file, leave);
        let condition = found.as_ref().err().map_or(Condition::Good, |(condition, _)| condition.clone());
        let asset = report.asset_name(&file.path);
        Finding { artifact: file.path.clone(), asset, condition, detail: found.err().map(|(_, detail)| detail) }
    });
    let elsewhere = report.artifacts.iter().filter(|artifact| artifact.files.is_empty());
    let elsewhere = elsewhere.map(|artifact| Finding {
        artifact: artifact.id.clone(),
        asset: report.id_asset_name(artifact),
        condition: Condition::Elsewhere,
        detail: None,
    });
    Verification { findings: files.chain(elsewhere).collect() }
}

fn look(root: &Path, file: &ArtifactFile, leave: &dyn Leave) -> Result<(), (Condition, String)> {
    match digest::of(&found_path(root, &file.path), root, leave) {
        Ok(digest) if digest.hash == file.hash && digest.is_folder == file.is_folder => Ok(()),
        Ok(digest) => {
            let detail = format!("{} is {} now and was made as {}", file.path, digest.hash, file.hash);
            Err((Condition::Changed, detail))
        }
        Err(DigestError::Missing(_)) => Err((Condition::Missing, format!("{} is not there any more", file.path))),
        Err(error) => Err((Condition::Unreadable, error.to_string())),
    }
}

/// The result of a removal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// Removed files, below the workspace.
    pub removed: Vec<String>,
    /// Files that were kept, and why.
    pub kept: Vec<String>,
}

/// Removes what a run made and nothing else: files that are still as it made them, inside the workspace.
pub(super) fn remove(root: &Path, report: &RunReport, leave: &dyn Leave) -> Removal {
    let mut removal = Removal::default();
    for file in report.files() {
        let path = found_path(root, &file.path);
        match look(root, file, leave) {
            Err((Condition::Missing, _)) => {}
            Err((_, detail)) => removal.kept.push(format!("{detail}; it is not the run's artifact, so it stays")),
            Ok(()) => match take_away(&path, file.is_folder) {
                Ok(()) => removal.removed.push(file.path.clone()),
                Err(error) => removal.kept.push(format!("{} cannot be removed ({error})", file.path)),
            },
        }
    }
    let elsewhere = report.artifacts.iter().filter(|artifact| artifact.files.is_empty());
    removal.kept.extend(
        elsewhere.map(|artifact| format!("{} of {} lives elsewhere; remove it there", artifact.id, artifact.build)),
    );
    removal
}

fn take_away(path: &Path, is_folder: bool) -> std::io::Result<()> {
    if is_folder && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}
