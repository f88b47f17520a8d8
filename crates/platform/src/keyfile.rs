//! Secret keys in files: one line `hmmm:secret:<base64url>`, readable by their owner alone.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::entropy::{self, EntropyError};
use swoosh_files as files;

use super::private;
use swoosh_types::keys::{KeyError, SecretKey};

/// Most bytes of a key file; a longer file is no key.
const MOST_BYTES: u64 = 4096;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is no such file.
    #[error("there is no key file {}; make one with `swoosh keygen`", .0.display())]
    Missing(PathBuf),
    /// There is a file already.
    #[error("{} exists already; choose another name, or move it away first", .0.display())]
    Exists(PathBuf),
    /// Others may read the file.
    #[error("the key file {} may be read by others (mode {mode:04o}); run `chmod 600 {}`", .path.display(), .path.display())]
    Exposed {
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is a directory, a pipe or the like.
    #[error("{} is not a regular file; name a key file", .0.display())]
    NotAFile(PathBuf),
    /// The file holds the public half.
    #[error("the key file {} holds a public key; name the file of the secret one, which `swoosh keygen --out` wrote", .0.display())]
    Public(PathBuf),
    /// The file is empty.
    #[error("the key file {} is empty; restore it from a backup, or remove it and make a key with `swoosh keygen --out`", .0.display())]
    Empty(PathBuf),
    /// The file holds no key.
    #[error("the key file {} holds no key: {source}; restore it from a backup, or move it away", .path.display())]
    Content { path: PathBuf, source: KeyError },
    /// Reading or writing failed.
    #[error("cannot {action} the key file {}: {source}", .path.display())]
    Io {
        /// The failed action.
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// There is no randomness to make a key of.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// A key that was loaded or made.
#[derive(Clone, Debug)]
pub struct LoadedKey {
    pub key: SecretKey,
    /// Whether the file was made just now.
    pub created: bool,
}

fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::Io { action, path: path.clone(), source }
}

pub fn load(path: &Path) -> Result<SecretKey, KeyFileError> {
    // Opening a pipe must not wait for its writer.
    let file =
        File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => KeyFileError::Missing(path.to_owned()),
            _ => io_error("open", path)(source),
        })?;
    // Asked of the open file, so that it cannot be exchanged between the check and the reading.
    let metadata = file.metadata().map_err(io_error("inspect", path))?;
    if !metadata.is_file() {
        return Err(KeyFileError::NotAFile(path.to_owned()));
    }
    let exposure = private::exposure(&file, path).map_err(io_error("inspect", path))?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(io_error("read", path))?;
    // A file that is no text holds no key.
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    // Others may read a public key; its file is the wrong one all the same.
    if text.trim_start().starts_with("hmmm:pubkey:") {
        return Err(KeyFileError::Public(path.to_owned()));
    }
    if bytes.trim_ascii().is_empty() {
        return Err(KeyFileError::Empty(path.to_owned()));
    }
    if let Some(mode) = exposure {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    text.parse().map_err(|source| KeyFileError::Content { path: path.to_owned(), source })
}

/// Makes a new key and its file, with mode 0600; the file is there whole and durable, or not at all.
/// Missing directories are made with mode 0700.
pub fn create(path: &Path) -> Result<SecretKey, KeyFileError> {
    let key = entropy::secret_key()?;
    store(path, &key)?;
    Ok(key)
}

/// Loads a key, or makes one where there is no file.
pub fn load_or_create(path: &Path) -> Result<LoadedKey, KeyFileError> {
    match load(path) {
        Err(KeyFileError::Missing(_)) => {}
        loaded => return loaded.map(|key| LoadedKey { key, created: false }),
    }
    match create(path) {
        // Another process created it first; its key counts.
        Err(KeyFileError::Exists(_)) => load(path).map(|key| LoadedKey { key, created: false }),
        created => created.map(|key| LoadedKey { key, created: true }),
    }
}

/// Writes a key to a new file.
pub fn store(path: &Path, key: &SecretKey) -> Result<(), KeyFileError> {
    let write = io_error("write", path);
    DirBuilder::new().recursive(true).mode(0o700).create(files::directory_of(path)).map_err(&write)?;
    let line = Zeroizing::new(format!("{}\n", key.expose()));
    files::create(path, line.as_bytes(), files::PRIVATE).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
        _ => write(error),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/node.key");
        let made = load_or_create(&path).unwrap();
        let found = load_or_create(&path).unwrap();
        assert!(made.created && !found.created);
        assert_eq!(made.key.public(), found.key.public());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(matches!(create(&path), Err(KeyFileError::Exists(_))));
        assert_eq!(load(&path).unwrap().public(), made.key.public());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.key");
        create(&path).unwrap();
        for mode in [0o640, 0o604, 0o610] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = load(&path).unwrap_err();
            assert!(matches!(error, KeyFileError::Exposed { .. }));
            assert!(error.to_string().contains(&format!("chmod 600 {}", path.display())), "{error}");
        }
    }

    /// The remedies were `restore it from a backup` and `chmod 600`.
    #[test]
    fn an_empty_file_and_a_public_key_are_named_before_their_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.key");
        let public = create(&path).unwrap().public();
        for mode in [0o600, 0o644] {
            fs::write(&path, "\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(load(&path), Err(KeyFileError::Empty(_))), "{mode:o}");
            fs::write(&path, public.to_string()).unwrap();
            assert!(matches!(load(&path), Err(KeyFileError::Public(_))), "{mode:o}");
        }
    }

    #[test]
    fn a_damaged_key_is_reported_without_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.key");
        let secret = create(&path).unwrap().expose();
        fs::write(&path, &secret[..40]).unwrap();
        let error = load_or_create(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::Content { .. }));
        assert!(!error.to_string().contains(&secret[13..39]), "{error}");
        assert!(matches!(load(directory.path()), Err(KeyFileError::NotAFile(_))));
        assert!(matches!(load(&directory.path().join("none")), Err(KeyFileError::Missing(_))));
    }
}
