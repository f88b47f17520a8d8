//! Results of a run as documents: `state/runs/ID/run.json`, and the results for commands and effects.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failure::Failure;
use super::inputs::{Inputs, Recipe};
use crate::state::document::Versioned;
use swoosh_types::hash::Hash;
use swoosh_types::text::{AssetName, Name};

/// How a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It goes on, or its program died meanwhile.
    Running,
    /// It made what it should.
    Succeeded,
    /// It failed; artifacts made before the failure are listed.
    Failed,
    /// Nothing changed since the reported run, and its artifacts are still there. Never stored.
    Skipped,
    /// Its artifacts were removed.
    Removed,
}

/// A file or folder that a run made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactFile {
    /// Its path below the workspace.
    pub path: String,
    /// SHA-256 of its bytes, or of a folder's sorted entries.
    pub hash: Hash,
    pub bytes: u64,
    /// Whether it is a folder.
    #[serde(default)]
    pub is_folder: bool,
}

/// Something that one build of the template made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// The template's build.
    pub build: String,
    /// Which builder or post-processor made it.
    pub builder: String,
    /// Its id in that builder's world: an image, or a name that means little for files.
    pub id: String,
    /// Its files; none for what lives elsewhere.
    pub files: Vec<ArtifactFile>,
}

/// A run of `packer build`. The documented result schema: docs/hybridcore.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunReport {
    /// The run's id: its folder under `state/runs/`.
    pub run_id: String,
    /// The build's name.
    pub name: Name,
    pub operator: String,
    /// The id of what asked for it.
    pub command_id: String,
    /// How it is.
    pub status: Status,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Packer's exit code, when it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended packer, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Tries.
    pub attempts: u32,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// When it ended, RFC 3339; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// Packer's manifest, below the workspace; absent when the template wrote none for this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_path: Option<String>,
    /// The manifest's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_hash: Option<Hash>,
    /// Ids of all artifacts.
    #[serde(default)]
    pub artifact_ids: Vec<String>,
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
    /// Files that builds which failed left in the output folder.
    #[serde(default)]
    pub leftovers: Vec<ArtifactFile>,
    /// Everything that went wrong, in packer's words, without secrets.
    #[serde(default)]
    pub errors: Vec<String>,
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Packer's version.
    pub packer_version: String,
    /// Plugins that were there after the build, with their versions.
    #[serde(default)]
    pub plugins: BTreeMap<String, String>,
    pub recipe: Recipe,
    pub inputs: Inputs,
    /// Files that the build wrote beside its artifacts; they are no inputs.
    #[serde(default)]
    pub products: BTreeSet<String>,
    /// The folder of its artifacts (`var.swoosh_output`), below the workspace.
    pub output: String,
    /// Its log, below the workspace.
    pub log: String,
    /// The process that runs it.
    pub process: u32,
}

impl Versioned for RunReport {
    const SCHEMA_VERSION: u64 = 1;

    fn migrate(_from: u64, _document: Value) -> Option<Value> {
        None
    }
}

impl RunReport {
    /// Whether it failed and made something all the same, which is to be removed or used.
    pub fn is_partial(&self) -> bool {
        self.status == Status::Failed && !(self.artifacts.is_empty() && self.leftovers.is_empty())
    }

    /// Every file that it made, those of failed builds as well.
    pub fn files(&self) -> impl Iterator<Item = &ArtifactFile> {
        self.artifacts.iter().flat_map(|artifact| &artifact.files).chain(&self.leftovers)
    }

    /// Its artifacts with their hashes, by the names of project assets. A file's name is its path in the output folder,
    /// or below the workspace; an artifact without files has the name of its id. Empty after a removal.
    pub fn assets(&self) -> BTreeMap<AssetName, Hash> {
        if self.status == Status::Removed { BTreeMap::new() } else { self.made() }
    }

    /// The same, also after it was removed.
    pub fn made(&self) -> BTreeMap<AssetName, Hash> {
        let files = self.files().map(|file| (self.asset_name(&file.path), file.hash));
        let ids = self.artifacts.iter().filter(|artifact| artifact.files.is_empty());
        let ids = ids.map(|artifact| (self.id_asset_name(artifact), Hash::of(artifact.id.as_bytes())));
        files.chain(ids).filter_map(|(name, hash)| Some((name?, hash))).collect()
    }

    /// The asset's name of an artifact without files.
    pub(super) fn id_asset_name(&self, artifact: &Artifact) -> Option<AssetName> {
        asset_name(&format!("{}/ids/{}/{}", self.name, artifact.build, artifact.id))
    }

    /// The asset's name of a file.
    pub fn asset_name(&self, path: &str) -> Option<AssetName> {
        let within = Path::new(path).strip_prefix(&self.output).ok().and_then(Path::to_str);
        asset_name(&format!("{}/{}", self.name, within.filter(|name| !name.is_empty()).unwrap_or(path)))
    }
}

/// A text as the name of an asset: characters not allowed there become `_`, and where anything was lost, a piece
/// of the text's hash tells it from others.
fn asset_name(text: &str) -> Option<AssetName> {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "._-/".contains(c) { c } else { '_' };
    let parts = text.split('/').filter(|part| !part.is_empty());
    let parts: Vec<&str> = parts.map(|part| if matches!(part, "." | "..") { "_" } else { part }).collect();
    let name: String = parts.join("/").chars().map(allowed).collect();
    if name == text && name.len() <= 200 {
        return name.parse().ok();
    }
    let kept: String = name.chars().take(180).collect();
    format!("{}.{}", kept.trim_end_matches('/'), Hash::of(text.as_bytes()).short(12)).parse().ok()
}

/// A path as it is kept: below the workspace where it is there, whole elsewhere. `None` when it is no UTF-8.
pub(super) fn kept_path(root: &Path, path: &Path) -> Option<String> {
    let below = path.strip_prefix(root).unwrap_or(path);
    below.to_str().map(str::to_owned)
}

/// A kept path on this machine.
pub(super) fn found_path(root: &Path, kept: &str) -> PathBuf {
    root.join(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_have_names_that_projects_allow_and_that_differ() {
        for (text, name) in [
            ("web/a.txt", Some("web/a.txt".to_owned())),
            ("web//a b", Some(format!("web/a_b.{}", Hash::of(b"web//a b").short(12)))),
            ("web/../x", Some(format!("web/_/x.{}", Hash::of(b"web/../x").short(12)))),
        ] {
            assert_eq!(asset_name(text).map(|name| name.to_string()), name, "{text}");
        }
        let long = "x".repeat(500);
        assert!(asset_name(&long).is_some() && asset_name(&long) != asset_name(&format!("{long}y")));
        assert_ne!(asset_name("ids/a/eu:ami-1"), asset_name("ids/a/eu,ami-1"));
    }
}
