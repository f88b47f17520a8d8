//! The license on disk, so that a restart needs no license server, and a denial survives it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use swoosh_files as files;
use swoosh_types::canonical::{canonical_bytes, from_json};
use swoosh_types::hlc::Hlc;
use swoosh_types::json::Json;

/// Most bytes of the file.
const MOST_BYTES: u64 = 64 << 10;

/// The cached license.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cached {
    /// The token, as KACHING wrote it.
    pub token: String,
    /// When it was fetched.
    pub fetched_at: Hlc,
    /// Since when KACHING denies the license, while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_at: Option<Hlc>,
}

/// Reads what is kept; nothing, where there is no file.
pub fn load(path: &Path) -> io::Result<Option<Cached>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let broken = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
    let document = Json::parse(&bytes).map_err(|error| broken(error.to_string()))?;
    from_json(&document).map(Some).map_err(|error| broken(error.to_string()))
}

/// Exchanges the file whole, with mode 0600, and syncs it.
pub fn store(path: &Path, cached: &Cached) -> io::Result<()> {
    files::replace(path, &canonical_bytes(cached), files::PRIVATE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_cache_is_read_again_and_only_its_owner_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("license.json");
        assert_eq!(load(&path).unwrap(), None);
        let mut cached = Cached { token: "a.b.c".into(), fetched_at: Hlc::new(7, 0).unwrap(), denied_at: None };
        store(&path, &cached).unwrap();
        assert_eq!(load(&path).unwrap().as_ref(), Some(&cached));
        cached.denied_at = Hlc::new(9, 0);
        store(&path, &cached).unwrap();
        assert_eq!(load(&path).unwrap(), Some(cached));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        std::fs::write(&path, "{\"token\":").unwrap();
        assert_eq!(load(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
