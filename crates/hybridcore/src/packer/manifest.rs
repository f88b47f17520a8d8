//! The file of packer's manifest post-processor. It is read from a path that no run had before, and each of its
//! builds counts only with this run's id in `custom_data`, so that nothing of another run is taken for ours.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use swoosh_types::hash::Hash;

/// The member of `custom_data` that holds the run's id.
pub const RUN_MEMBER: &str = "run";
/// The most bytes of a manifest.
const MOST_BYTES: u64 = 64 << 20;

/// One build that packer finished.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ManifestBuild {
    /// The source's name.
    #[serde(default)]
    pub name: String,
    /// The builder's type.
    #[serde(default)]
    pub builder_type: String,
    /// When, in seconds since 1970; absent with `strip_time`.
    #[serde(default)]
    pub build_time: Option<i64>,
    #[serde(default)]
    pub files: Option<Vec<ManifestFile>>,
    #[serde(default)]
    pub artifact_id: String,
    /// The template's own data.
    #[serde(default)]
    pub custom_data: Option<BTreeMap<String, String>>,
}

/// A file of a build.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ManifestFile {
    /// Its path as packer was given it.
    pub name: String,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    builds: Option<Vec<ManifestBuild>>,
}

/// The part of a manifest about one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The run's builds.
    pub builds: Vec<ManifestBuild>,
    /// How many builds it holds that name another run, or none.
    pub foreign: usize,
}

/// Why a manifest is of no use.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error("packer's manifest {} cannot be read ({source}); see to the disk and build again", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is no manifest.
    #[error("packer's manifest {} is damaged ({detail}); build again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        detail: String,
    },
}

/// Reads the manifest of a run, and its hash; `None` when the template wrote none there.
pub fn read(path: &Path, run_id: &str) -> Result<Option<(Manifest, Hash)>, ManifestError> {
    let unreadable = |source| ManifestError::Unreadable { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(unreadable)?,
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        let detail = format!("it has more than {MOST_BYTES} bytes");
        return Err(ManifestError::Damaged { path: path.to_owned(), detail });
    }
    let manifest = parse(&bytes, run_id)
        .map_err(|error| ManifestError::Damaged { path: path.to_owned(), detail: error.to_string() })?;
    Ok(Some((manifest, Hash::of(&bytes))))
}

/// Reads the bytes of a manifest.
pub fn parse(bytes: &[u8], run_id: &str) -> Result<Manifest, serde_json::Error> {
    let document: Document = serde_json::from_slice(bytes)?;
    let is_ours = |build: &ManifestBuild| {
        build.custom_data.as_ref().and_then(|data| data.get(RUN_MEMBER)).is_some_and(|run| run == run_id)
    };
    let (builds, foreign): (Vec<_>, Vec<_>) = document.builds.unwrap_or_default().into_iter().partition(is_ours);
    Ok(Manifest { builds, foreign: foreign.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RECORDED: &str = include_str!("recorded/manifest.json");

    #[test]
    fn only_builds_that_carry_the_id_of_the_run_count() {
        let manifest = parse(RECORDED.as_bytes(), "r2").unwrap();
        assert_eq!(manifest.foreign, 2, "one of another run, one without any");
        let names: Vec<&str> = manifest.builds.iter().map(|build| build.name.as_str()).collect();
        assert_eq!(names, ["a", "n"]);
        assert_eq!(manifest.builds[0].files.as_ref().unwrap()[0].name, "out/b.txt");
        assert_eq!(manifest.builds[1].files, None);
        assert_eq!(parse(RECORDED.as_bytes(), "r3").unwrap().builds, []);
    }

    #[test]
    fn a_missing_manifest_is_distinguished_from_a_damaged_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        assert_eq!(read(&path, "r").unwrap(), None);
        std::fs::write(&path, &RECORDED[..40]).unwrap();
        assert!(matches!(read(&path, "r"), Err(ManifestError::Damaged { .. })));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(read(&path, "r"), Err(ManifestError::Unreadable { .. })));
    }

    proptest! {
        #[test]
        fn any_piece_of_a_manifest_is_read_or_refused(from in 0usize..400, length in 0usize..900) {
            let end = (from + length).min(RECORDED.len());
            let _ = parse(&RECORDED.as_bytes()[from.min(end)..end], "r2");
        }
    }
}
