//! Which folders of this machine repositories may be read from.
//!
//! A node reads with rights that its tenants do not have. Without a fence, a project could name the workspace of another
//! project, or the data directory, as its source.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where `file://` may lead. Folders are compared after symbolic links were followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fence {
    /// Folders below which repositories may lie; `None` where an operator named the repository, as a mirror.
    pub within: Option<Vec<PathBuf>>,
    /// Folders below which none may lie, whatever `within` says.
    pub never: Vec<PathBuf>,
}

/// Why a folder may not be read.
#[derive(Debug, Error)]
pub enum FenceError {
    /// It is not in a listed folder.
    #[error(
        "{} lies below none of the folders of sources.file_prefixes; serve the repository over https:// or ssh://, or list \
         its folder there", .0.display()
    )]
    Outside(PathBuf),
    /// It belongs to the node.
    #[error("{} leads into the node's own data, which is no source; use a repository elsewhere", .0.display())]
    Inside(PathBuf),
    /// It cannot be looked at.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Fence {
    /// The same, for a repository that an operator named.
    #[must_use]
    pub fn for_mirror(&self) -> Fence {
        Fence { within: None, never: self.never.clone() }
    }

    /// Whether a path, as written, lies below a listed folder. Nothing is read.
    pub fn covers(&self, path: &Path) -> bool {
        self.within.as_ref().is_none_or(|within| within.iter().any(|folder| path.starts_with(folder)))
    }

    /// Follows symbolic links, and refuses what does not lie where it may. A folder that is mounted a second time is
    /// the same folder.
    pub fn check(&self, path: &Path) -> Result<PathBuf, FenceError> {
        let unreadable = |source| FenceError::Unreadable { path: path.to_owned(), source };
        let real = fs::canonicalize(path).map_err(unreadable)?;
        let own: Vec<(u64, u64)> = self.never.iter().filter_map(|folder| identity(folder)).collect();
        let is_own = |folder: &Path| identity(folder).is_some_and(|identity| own.contains(&identity));
        if real.ancestors().any(is_own) {
            return Err(FenceError::Inside(path.to_owned()));
        }
        let Some(within) = &self.within else { return Ok(real) };
        let listed = within.iter().filter_map(|folder| fs::canonicalize(folder).ok());
        if listed.into_iter().any(|folder| real.starts_with(folder)) {
            return Ok(real);
        }
        Err(FenceError::Outside(path.to_owned()))
    }
}

/// Device and inode of a folder; `None` where it is not there.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    fs::metadata(folder).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn folders_are_compared_after_links_were_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["git/app", "git-evil/app", "data/workspaces/p", "git/data"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        symlink(at("data/workspaces/p"), at("git/tenant")).unwrap();
        symlink(at("git-evil"), at("git/out")).unwrap();
        symlink(at("git"), at("listed")).unwrap();
        let fence = Fence { within: Some(vec![at("listed")]), never: vec![at("data"), at("git/data")] };
        for good in ["git/app", "listed/app", "git/../git/app"] {
            assert_eq!(fence.check(&at(good)).unwrap(), fs::canonicalize(at("git/app")).unwrap(), "{good}");
        }
        for outside in ["git-evil/app", "git/out/app", ""] {
            assert!(matches!(fence.check(&at(outside)), Err(FenceError::Outside(_))), "{outside}");
        }
        for inside in ["git/tenant", "data/workspaces/p", "git/data", "listed/tenant"] {
            assert!(matches!(fence.check(&at(inside)), Err(FenceError::Inside(_))), "{inside}");
            assert!(fence.for_mirror().check(&at(inside)).is_err(), "{inside}");
        }
        assert!(fence.for_mirror().check(&at("git-evil/app")).is_ok());
        assert!(matches!(fence.check(&at("git/none")), Err(FenceError::Unreadable { .. })));
        let unlisted = Fence { within: Some(Vec::new()), never: Vec::new() };
        assert!(unlisted.check(&at("git/app")).is_err() && !unlisted.covers(&at("git/app")));
    }
}
