//! The folder of one project, which no other project shares.
//!
//! ```text
//!  <root>/<project>/sources/NAME, state/, logs/      its sources at their commits
//!                   upstreams/sources/NAME, state/   its upstreams
//!                   indexes/<version>/index.json, NAME.files
//!                   indexes/current                  the version that is READY
//!                   environment/                     what provisioning made
//!                   released.json                    what the last release took down
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::index::Index;
use swoosh_hybridcore::sources::Workspace;
use swoosh_hybridcore::state::files;
use swoosh_types::hash::Hash;
use swoosh_types::text::ProjectName;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFolder {
    root: PathBuf,
}

impl ProjectFolder {
    /// A project's folder below the root of all.
    pub fn new(root: &Path, project: &ProjectName) -> ProjectFolder {
        ProjectFolder { root: root.join(project.as_str()) }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn sources(&self) -> Workspace {
        Workspace::new(&self.root)
    }

    pub fn upstreams(&self) -> Workspace {
        Workspace::new(self.root.join("upstreams"))
    }

    pub fn indexes(&self) -> PathBuf {
        self.root.join("indexes")
    }

    pub fn index(&self, version: u64) -> PathBuf {
        self.indexes().join(version.to_string())
    }

    /// The assets removed by the last release.
    pub fn released(&self) -> PathBuf {
        self.root.join("released.json")
    }

    /// Folder of the provisioned environment.
    pub fn environment(&self) -> PathBuf {
        self.root.join("environment")
    }

    pub fn make(&self) -> io::Result<()> {
        for folder in [self.root.clone(), self.upstreams().root().to_owned(), self.indexes()] {
            fs::create_dir_all(folder)?;
        }
        Ok(())
    }
}

/// Makes the index of a READY version the current one, after checking that it is the one that was recorded.
/// Nothing is done for a project whose indexes were never built here.
pub fn settle_index(folder: &ProjectFolder, version: u64, content_hash: &Hash) -> Result<(), String> {
    let (index, current) = (folder.index(version), folder.indexes().join("current"));
    if !folder.indexes().is_dir() || fs::read_to_string(&current).is_ok_and(|held| held.trim() == version.to_string()) {
        return Ok(());
    }
    let found = Index::load(&index)?;
    if found.content_hash() != *content_hash {
        let found = found.content_hash();
        return Err(format!("{}: the index hashes to {found}, and {content_hash} was recorded", index.display()));
    }
    files::replace(&current, format!("{version}\n").as_bytes()).map_err(|error| error.to_string())
}
