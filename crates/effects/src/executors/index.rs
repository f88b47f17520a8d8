//! The content manifest of a version: the input of its content hash.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::content::Bench;
use super::{Done, Workshop, on_disk};
use crate::outcome::Report;
use crate::task::{Executor, Place};
use crate::worker::{Failed, Job, Work};
use swoosh_hybridcore::sources::content;
use swoosh_hybridcore::state::files;
use swoosh_machine::state::State;
use swoosh_types::canonical::{canonical_bytes, from_slice};
use swoosh_types::hash::Hash;
use swoosh_types::inputs::{Count, FetchedSource, FetchedSources};
use swoosh_types::names::{EffectName, Transition};
use swoosh_types::text::{GitId, Name, ProjectName};

const DOMAIN: &[u8] = b"swoosh/content/index/v1\n";
const FILE: &str = "index.json";

/// The indexed content of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexedSource {
    pub commit: GitId,
    pub tree: GitId,
    /// The Merkle hash of the tree's content.
    pub content: Hash,
    pub files: Count,
    /// Bytes of all files together.
    pub bytes: Count,
}

/// The index of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    pub project: ProjectName,
    pub version: Count,
    pub sources: BTreeMap<Name, IndexedSource>,
}

impl Index {
    /// The content hash: of the sources alone, so that two versions of the same content share it.
    pub fn content_hash(&self) -> Hash {
        indexed(&self.sources)
    }

    /// Reads the index in a folder.
    pub fn load(folder: &Path) -> Result<Index, String> {
        let path = folder.join(FILE);
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// sha256("swoosh/content/index/v1\n" ‖ JCS(sources)).
pub fn indexed(sources: &BTreeMap<Name, IndexedSource>) -> Hash {
    Hash::of_parts([DOMAIN, canonical_bytes(sources).as_slice()])
}

/// Builds the content manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildIndex {
    pub version: u64,
    /// Commits and trees.
    pub fetched: FetchedSources,
    /// Versions that can be rolled back to: their indexes are kept.
    pub kept: BTreeSet<u64>,
}

impl Executor for BuildIndex {
    const EFFECT: EffectName = EffectName::Index;
    const PLACE: Place = Place::Content;
    const IDEMPOTENT: bool = true;

    fn task(state: &State) -> BuildIndex {
        let ingestion = &state.ingestion;
        let kept = ingestion.ready_versions.keys().copied().collect();
        BuildIndex { version: ingestion.version, fetched: ingestion.fetched.clone(), kept }
    }

    /// Hashes the content, writes the index, sends it to SLURP if configured, and drops indexes that a rollback can
    /// no longer reach.
    fn run(&self, workshop: &Workshop, job: &Job, work: &Work<'_>) -> Done {
        let folder = workshop.folder(&job.id.project);
        let target = folder.index(self.version);
        fs::create_dir_all(&target).map_err(|error| on_disk(&target, &error))?;
        let bench = Bench::new(workshop, job, None, work)?;
        let mut sources = BTreeMap::new();
        for (name, source) in &self.fetched {
            sources.insert(name.clone(), bench.hash(name, source, &target)?);
        }
        let index = Index { project: job.id.project.clone(), version: self.version, sources };
        let bytes = canonical_bytes(&index);
        files::replace(&target.join(FILE), &bytes).map_err(Failed::passing)?;
        work.say("telling SLURP");
        workshop.outside.post_index(&index, work).map_err(Failed::passing)?;
        drop_others(&folder.indexes(), self.version, &self.kept).map_err(|error| on_disk(&folder.indexes(), &error))?;
        let content_hash = Some(index.content_hash());
        Ok((Transition::IngestionCorpusBuilt, Report { content_hash, ..Report::default() }))
    }
}

impl Bench<'_> {
    fn hash(&self, name: &Name, source: &FetchedSource, target: &Path) -> Result<IndexedSource, Failed> {
        self.work.say(format!("hashing {name}"));
        let list = target.join(format!("{name}.files"));
        let digest = self.with(name, |session| content::digest(session, name, &source.commit, &list));
        let digest = digest.map_err(|error| Failed {
            again: error.is_transient(),
            reason: format!("{name}: {error}"),
            report: Box::default(),
        })?;
        let (commit, tree) = (source.commit.clone(), source.tree.clone());
        Ok(IndexedSource { commit, tree, content: digest.content, files: digest.files, bytes: digest.bytes })
    }
}

fn drop_others(folder: &Path, version: u64, kept: &BTreeSet<u64>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let held: Option<u64> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if held.is_some_and(|held| held != version && !kept.contains(&held)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
