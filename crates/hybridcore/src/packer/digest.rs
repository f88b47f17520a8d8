//! Hashes of files and folders. A folder's hash is that of its sorted entries; links are never followed, and one
//! that leads out of the folder that everything must stay in is refused, as is what is neither file nor folder.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::leave::{Leave, Stop};
use crate::state::files;
use swoosh_types::hash::Hash;

/// Read at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// The most entries of one folder tree.
const MOST_ENTRIES: usize = 200_000;

/// A hashed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    pub hash: Hash,
    /// Bytes of all files.
    pub bytes: u64,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// Why something was not hashed.
#[derive(Debug, Error)]
pub enum DigestError {
    /// There is no such thing.
    #[error("{} is not there", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("{} cannot be read ({source}): {}", path.display(), files::remedy(source))]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is, or leads to, something outside of where it may be.
    #[error("{} leads out of {}; keep everything inside of it", path.display(), within.display())]
    Outside {
        path: PathBuf,
        /// Where it may be.
        within: PathBuf,
    },
    /// It is a socket, a pipe or a device.
    #[error("{} is neither a file nor a folder; take it away", .0.display())]
    Special(PathBuf),
    /// There is too much of it.
    #[error("{} holds more than {MOST_ENTRIES} entries; name a smaller folder", .0.display())]
    TooMany(PathBuf),
    /// The work had to stop.
    #[error("hashing was interrupted: {0}")]
    Stopped(Stop),
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> DigestError + '_ {
    move |source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => DigestError::Missing(path.to_owned()),
        _ => DigestError::Unreadable { path: path.to_owned(), source },
    }
}

/// The path without links, when it lies inside `within`.
pub fn inside(path: &Path, within: &Path) -> Result<PathBuf, DigestError> {
    let root = within.canonicalize().map_err(unreadable(within))?;
    let whole = path.canonicalize().map_err(unreadable(path))?;
    if whole.starts_with(&root) {
        Ok(whole)
    } else {
        Err(DigestError::Outside { path: path.to_owned(), within: within.to_owned() })
    }
}

/// Hashes a file or a folder that lies inside `within`.
pub fn of(path: &Path, within: &Path, leave: &dyn Leave) -> Result<Digest, DigestError> {
    let whole = inside(path, within)?;
    let kind = fs::metadata(&whole).map_err(unreadable(path))?.file_type();
    if kind.is_file() {
        let (hash, bytes) = of_file(&whole, leave)?;
        return Ok(Digest { hash, bytes, is_folder: false });
    }
    if !kind.is_dir() {
        return Err(DigestError::Special(path.to_owned()));
    }
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    for entry in walk(&whole, within, leave)? {
        let line = match &entry.kind {
            EntryKind::Folder => "folder".to_owned(),
            EntryKind::Link(target) => format!("link {}", text_hash(target)),
            EntryKind::File => {
                let (hash, length) = of_file(&whole.join(&entry.path), leave)?;
                bytes += length;
                format!("file {hash}")
            }
        };
        // Of a path its hash, so that no name can look like two lines.
        hasher.update(format!("{} {line}\n", text_hash(&entry.path)));
    }
    Ok(Digest { hash: Hash::from_bytes(hasher.finalize().into()), bytes, is_folder: true })
}

fn text_hash(path: &Path) -> Hash {
    use std::os::unix::ffi::OsStrExt as _;
    Hash::of(path.as_os_str().as_bytes())
}

/// Hashes a file's bytes, and counts them.
pub fn of_file(path: &Path, leave: &dyn Leave) -> Result<(Hash, u64), DigestError> {
    let mut file = files::open(path).map_err(unreadable(path))?;
    let (mut hasher, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK_BYTES]);
    loop {
        if let Some(stop) = leave.stop() {
            return Err(DigestError::Stopped(stop));
        }
        match file.read(&mut chunk) {
            Ok(0) => return Ok((Hash::from_bytes(hasher.finalize().into()), bytes)),
            Ok(read) => {
                hasher.update(&chunk[..read]);
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(unreadable(path)(source)),
        }
    }
}

/// One thing in a folder tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its path in the tree.
    pub path: PathBuf,
    pub kind: EntryKind,
}

/// The kind of an entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    File,
    Folder,
    /// A symbolic link, and where to.
    Link(PathBuf),
}

/// Everything in a folder, sorted by path.
pub fn walk(folder: &Path, within: &Path, leave: &dyn Leave) -> Result<Vec<Entry>, DigestError> {
    let (mut found, mut open) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(below) = open.pop() {
        let here = folder.join(&below);
        for entry in fs::read_dir(&here).map_err(unreadable(&here))? {
            if let Some(stop) = leave.stop() {
                return Err(DigestError::Stopped(stop));
            }
            let entry = entry.map_err(unreadable(&here))?;
            let (path, whole) = (below.join(entry.file_name()), entry.path());
            let kind = entry.file_type().map_err(unreadable(&whole))?;
            let kind = if kind.is_symlink() {
                EntryKind::Link(link(&whole, within)?)
            } else if kind.is_dir() {
                open.push(path.clone());
                EntryKind::Folder
            } else if kind.is_file() {
                EntryKind::File
            } else {
                return Err(DigestError::Special(whole));
            };
            found.push(Entry { path, kind });
            if found.len() > MOST_ENTRIES {
                return Err(DigestError::TooMany(folder.to_owned()));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Where a link leads; refused when that is outside. One that leads nowhere is kept as it is written.
fn link(path: &Path, within: &Path) -> Result<PathBuf, DigestError> {
    match inside(path, within) {
        Ok(_) | Err(DigestError::Missing(_)) => fs::read_link(path).map_err(unreadable(path)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leave::{Always, Cancellable};
    use std::os::unix::fs::symlink;

    fn hash(path: &Path, within: &Path) -> Hash {
        of(path, within, &Always).unwrap().hash
    }

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("tree/deep")).unwrap();
        fs::write(folder.path().join("tree/deep/a"), "one").unwrap();
        fs::write(folder.path().join("tree/b"), "two").unwrap();
        folder
    }

    #[test]
    fn a_files_hash_is_that_of_its_bytes() {
        let folder = tree();
        let digest = of(&folder.path().join("tree/b"), folder.path(), &Always).unwrap();
        assert_eq!(digest, Digest { hash: Hash::of(b"two"), bytes: 3, is_folder: false });
    }

    #[test]
    fn a_folders_hash_knows_names_bytes_links_and_empty_folders_and_nothing_else() {
        let (folder, twin) = (tree(), tree());
        let hash = |of: &tempfile::TempDir| hash(&of.path().join("tree"), of.path());
        let before = hash(&folder);
        assert_eq!(before, hash(&twin), "its place makes no difference");
        let changes: [&dyn Fn(&Path); 4] = [
            &|tree| fs::write(tree.join("b"), "2wo").unwrap(),
            &|tree| fs::rename(tree.join("b"), tree.join("c")).unwrap(),
            &|tree| fs::create_dir(tree.join("empty")).unwrap(),
            &|tree| symlink("deep/a", tree.join("link")).unwrap(),
        ];
        for change in changes {
            let before = hash(&folder);
            change(&folder.path().join("tree"));
            assert_ne!(hash(&folder), before);
        }
        assert_eq!(of(&twin.path().join("tree"), twin.path(), &Always).unwrap().bytes, 6);
    }

    #[test]
    fn what_leads_out_is_refused_and_never_read() {
        let folder = tree();
        let (tree, outside) = (folder.path().join("tree"), folder.path().join("secret"));
        fs::write(&outside, "s").unwrap();
        for (target, at) in [(outside.as_path(), "x"), (Path::new("../secret"), "x"), (Path::new(".."), "x")] {
            symlink(target, tree.join(at)).unwrap();
            assert!(matches!(of(&tree, &tree, &Always), Err(DigestError::Outside { .. })), "{target:?}");
            assert!(matches!(of(&tree.join(at), &tree, &Always), Err(DigestError::Outside { .. })), "{target:?}");
            fs::remove_file(tree.join(at)).unwrap();
        }
        assert!(matches!(of(&outside, &tree, &Always), Err(DigestError::Outside { .. })));
        assert!(matches!(of(&tree.join("../secret"), &tree, &Always), Err(DigestError::Outside { .. })));
    }

    #[test]
    fn a_pipe_is_refused_without_waiting_and_a_missing_file_is_reported() {
        let folder = tree();
        let tree = folder.path().join("tree");
        assert!(matches!(of(&tree.join("no"), &tree, &Always), Err(DigestError::Missing(_))));
        let pipe = tree.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(matches!(of(&tree, &tree, &Always), Err(DigestError::Special(_))));
        assert!(matches!(of(&pipe, &tree, &Always), Err(DigestError::Special(_))));
    }

    #[test]
    fn hashing_ends_with_its_leave() {
        let (folder, leave) = (tree(), Cancellable::default());
        leave.cancel();
        assert!(matches!(of(&folder.path().join("tree"), folder.path(), &leave), Err(DigestError::Stopped(_))));
    }
}
