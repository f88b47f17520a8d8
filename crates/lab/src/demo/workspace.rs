//! What the node made by itself, looked at from outside: files, git and hashes of our own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::repositories::git;
use super::ship;
use super::stage::Stage;
use swoosh_client::WalEntry;
use swoosh_effects::{Index, IndexedSource, ProjectFolder};
use swoosh_types::hash::Hash;
use swoosh_types::names::GuardName;
use swoosh_types::text::{AssetName, Name};

/// Digits of git's ids that are shown.
const DIGITS: usize = 10;
/// Guards that every proposal passes.
const EVERYWHERE: [GuardName; 6] = [
    GuardName::Signature,
    GuardName::Identity,
    GuardName::Head,
    GuardName::Clock,
    GuardName::Policy,
    GuardName::License,
];

impl Stage {
    /// Where the node keeps everything of the project.
    pub fn workspace(&self) -> ProjectFolder {
        ProjectFolder::new(&self.directory.join(ship::DATA).join("workspaces"), &self.project)
    }

    /// Shows the sources that the node fetched, and checks them with git; then their manifest.
    pub fn show_sources(&self) -> anyhow::Result<()> {
        let folder = self.workspace();
        self.story.say(&format!("What is in {} now, as git and we see it:", folder.root().display()));
        let version = self.state().ingestion.version;
        let path = folder.index(version);
        let index = Index::load(&path).map_err(anyhow::Error::msg)?;
        for (name, source) in &index.sources {
            self.show_source(&folder, name, source)?;
        }
        let (found, recorded) = (index.content_hash(), self.state().ingestion.content_hash);
        ensure!(recorded == Some(found), "the index hashes to {found}, the state says {recorded:?}");
        let place = path.strip_prefix(folder.root()).unwrap_or(&path).display();
        self.story.check(&format!(
            "git finds each tree clean at the commit that is on record; {place}/index.json holds their Merkle hashes, \
             whose root is the content hash {found}"
        ));
        Ok(())
    }

    fn show_source(&self, folder: &ProjectFolder, name: &Name, source: &IndexedSource) -> anyhow::Result<()> {
        let trees = [folder.sources(), folder.upstreams()].map(|workspace| workspace.tree(name));
        let tree = trees.iter().find(|tree| tree.is_dir()).with_context(|| format!("there is no tree of {name}"))?;
        let head = git(tree, &["rev-parse", "HEAD"])?;
        ensure!(head == source.commit.as_str(), "{name} is at {head}, and {} is on record", source.commit);
        let changed = git(tree, &["status", "--porcelain"])?;
        ensure!(changed.is_empty(), "{name} was changed: {changed}");
        let place = tree.strip_prefix(folder.root()).unwrap_or(tree).display().to_string();
        let (files, content) = (source.files, source.content);
        let s = if files == 1 { "" } else { "s" };
        let commit = source.commit.as_str().get(..DIGITS).unwrap_or_default();
        let document = json!({"source": name, "commit": source.commit, "tree": source.tree, "content": content});
        self.story.item(document, &format!("{place:<40} {commit}…  {files} file{s}  {content}"));
        Ok(())
    }

    /// Shows why each of these transitions was let through, as its decision record says.
    pub async fn show_decisions(&self, own: &[WalEntry]) -> anyhow::Result<()> {
        let reader = self.reader()?;
        self.story.say("The decision records say why each was let through, beside signature, identity, head, clock, license and policy:");
        for entry in own {
            let decision = reader.decision_at(&self.project, entry.record.index).await?;
            let mut reasons = BTreeMap::new();
            for outcome in decision.guard_outcomes.iter().filter(|outcome| !EVERYWHERE.contains(&outcome.guard)) {
                reasons.insert(outcome.guard, outcome.reasons.join("; "));
            }
            let guards: Vec<_> = reasons.iter().map(|(guard, reasons)| format!("{guard}: {reasons}")).collect();
            let document = json!({"decision": decision.id, "guards": reasons});
            self.story.entry(document, &format!("#{} {}: {}", decision.index, decision.transition, guards.join(" · ")));
        }
        Ok(())
    }

    /// Shows what packer made.
    pub fn show_assets(&self) -> anyhow::Result<()> {
        for (asset, path) in self.assets()? {
            let bytes = std::fs::read(&path)?;
            let hash = Hash::of(&bytes);
            let document = json!({"asset": asset, "hash": hash, "path": path});
            self.story.item(document, &format!("{asset}  {} bytes  {hash}", bytes.len()));
        }
        Ok(())
    }

    /// The files that the environment is made of, found by their hashes.
    pub fn assets(&self) -> anyhow::Result<BTreeMap<AssetName, PathBuf>> {
        let mut hashed = BTreeMap::new();
        for path in files(&self.workspace().environment().join("state/runs"))? {
            hashed.insert(Hash::of(&std::fs::read(&path)?), path);
        }
        let mut found = BTreeMap::new();
        for (asset, hash) in &self.state().environment.assets {
            let path = hashed.remove(hash).with_context(|| format!("no file has the hash of {asset}"))?;
            found.insert(asset.clone(), path);
        }
        ensure!(!found.is_empty(), "the environment has no assets");
        Ok(found)
    }
}

/// All files below a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        let entries = std::fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    Ok(found)
}
