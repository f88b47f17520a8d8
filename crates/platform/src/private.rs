//! Access to the node's files: whether a file with a secret may be used, by its owner and mode, and how a data
//! directory is closed to other users.
//!
//! | seen | verdict |
//! | --- | --- |
//! | neither group nor others have access | private |
//! | root owns it, the process is not root, the group may read it at most | private, as PostgreSQL has it: systemd credentials and mounted Kubernetes secrets look like this |
//! | the process owns it, mode 0660, group of a set-group-ID directory | a volume gave the group: taken back to 0600 |
//! | anything else | exposed |
//!
//! Kubernetes opens every file of a volume to the group `fsGroup` when it mounts the volume again. A key file that was refused for that
//! would stop a node at its second start.

use std::fs::{DirBuilder, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::Mode;

/// Mode bits of group and others.
const OTHERS: u32 = 0o077;
/// The most that a file of root's may allow: the owner writes, the group reads.
const OF_ROOT: u32 = 0o640;
/// A file that was 0600 before a volume opened it to its group.
const OPENED: u32 = 0o660;
const SET_GROUP_ID: u32 = 0o2000;
/// Of a directory that all users share, such as `/tmp`.
const STICKY: u32 = 0o1000;
/// Bits of those who are neither the owner nor in the group.
const WORLD: u32 = 0o007;

/// The owner and mode of a file or directory.
#[derive(Clone, Copy, Debug)]
struct Owned {
    mode: u32,
    uid: u32,
    gid: u32,
}

impl From<Metadata> for Owned {
    fn from(metadata: Metadata) -> Owned {
        Owned { mode: metadata.permissions().mode() & 0o7777, uid: metadata.uid(), gid: metadata.gid() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Private,
    OpenedByVolume,
    Exposed,
}

/// Judges a file in `directory` for a process of user `uid`.
fn judge(file: Owned, directory: Option<Owned>, uid: u32) -> Verdict {
    if file.mode & OTHERS == 0 || (file.uid == 0 && uid != 0 && file.mode & !OF_ROOT == 0) {
        return Verdict::Private;
    }
    let of_volume = directory.is_some_and(|directory| directory.mode & SET_GROUP_ID != 0 && directory.gid == file.gid);
    if of_volume && file.uid == uid && file.mode == OPENED { Verdict::OpenedByVolume } else { Verdict::Exposed }
}

/// The mode of an open file where others may read it; `None` where it may be used. Mode 0660 that a volume gave is set back to 0600.
pub(super) fn exposure(file: &File, path: &Path) -> io::Result<Option<u32>> {
    let seen = Owned::from(file.metadata()?);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = std::fs::metadata(parent).ok().map(Owned::from);
    match judge(seen, directory, rustix::process::geteuid().as_raw()) {
        Verdict::Private => Ok(None),
        Verdict::Exposed => Ok(Some(seen.mode)),
        Verdict::OpenedByVolume => {
            file.set_permissions(Permissions::from_mode(0o600))?;
            tracing::warn!(
                path = %path.display(), group = seen.gid,
                "a volume had opened this file to its group; the mode is 0600 again. Set fsGroupChangePolicy: OnRootMismatch"
            );
            Ok(None)
        }
    }
}

/// Files and directories that this process and its children make from here on are for their owner alone.
pub fn keep_new_files_private() {
    rustix::process::umask(Mode::from_raw_mode(OTHERS));
}

/// Makes a data directory where it is missing, and closes it and the journal in it to other users.
///
/// The group of a set-group-ID directory keeps its access: a volume gives it (`fsGroup` of Kubernetes). A directory that all users share, such
/// as `/tmp`, or that belongs to another user is left unchanged, with a warning; so is one whose mode cannot be changed.
pub fn make_data_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    close(path)?;
    // Earlier versions left the files of the journal readable.
    let journal = path.join("journal");
    if !journal.is_dir() {
        return Ok(());
    }
    close(&journal)?;
    for entry in std::fs::read_dir(&journal)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            close(&entry.path())?;
        }
    }
    Ok(())
}

/// Takes the access of others away.
fn close(path: &Path) -> io::Result<()> {
    let metadata = std::fs::metadata(path)?;
    let (is_directory, seen) = (metadata.is_dir(), Owned::from(metadata));
    let open = seen.mode & others(seen, path);
    let uid = rustix::process::geteuid().as_raw();
    let changeable = seen.mode & STICKY == 0 && (seen.uid == uid || uid == 0);
    let mode = format!("{:04o}", seen.mode);
    if open != 0 && changeable {
        // Root may lack the capability for files of others, and some file systems have no modes.
        if let Err(error) = std::fs::set_permissions(path, Permissions::from_mode(seen.mode & !open)) {
            let wanted = format!("{:04o}", seen.mode & !open);
            tracing::warn!(
                path = %path.display(), mode, owner = seen.uid, %error,
                "other users have access to this and the mode cannot be changed; run `chmod {wanted}` on it as its owner, or make the user of the \
                 node its owner"
            );
        }
    } else if open != 0 && is_directory {
        tracing::warn!(
            path = %path.display(), mode, owner = seen.uid,
            "other users have access to this directory; give the node a directory of its own with mode 0700"
        );
    }
    Ok(())
}

/// The mode bits to remove: the group's as well, unless a set-group-ID directory gave the group.
fn others(seen: Owned, path: &Path) -> u32 {
    let of_volume = |mode: u32| mode & SET_GROUP_ID != 0;
    let parent = || path.parent().and_then(|parent| std::fs::metadata(parent).ok()).map(Owned::from);
    let given = of_volume(seen.mode) || parent().is_some_and(|parent| of_volume(parent.mode) && parent.gid == seen.gid);
    if given { WORLD } else { OTHERS }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: u32 = 10_001;

    fn owned(mode: u32, uid: u32, gid: u32) -> Owned {
        Owned { mode, uid, gid }
    }

    #[test]
    fn a_file_of_root_may_be_readable_by_its_group_only() {
        for mode in [0o400, 0o440, 0o600, 0o640] {
            assert_eq!(judge(owned(mode, 0, NODE), None, NODE), Verdict::Private, "{mode:o}");
        }
        for mode in [0o444, 0o660, 0o644, 0o450, 0o4640] {
            assert_eq!(judge(owned(mode, 0, NODE), None, NODE), Verdict::Exposed, "{mode:o}");
        }
        // A process of root's owns such a file itself, and is held to its own rule.
        assert_eq!(judge(owned(0o640, 0, 0), None, 0), Verdict::Exposed);
    }

    /// Root without `CAP_FOWNER` may not change a directory of another user; the node once did not start for that.
    #[test]
    fn a_mode_that_cannot_be_changed_stops_no_start() {
        // No user may change modes in this file system, not even root.
        let fixed = Path::new("/proc/self/task");
        let about = Owned::from(std::fs::metadata(fixed).unwrap());
        assert!(about.mode & OTHERS != 0 && about.uid == rustix::process::geteuid().as_raw());
        assert!(std::fs::set_permissions(fixed, Permissions::from_mode(0o700)).is_err());
        close(fixed).unwrap();
    }

    #[test]
    fn only_what_a_volume_opens_to_its_group_is_taken_back() {
        let volume = owned(0o2775, 0, NODE);
        assert_eq!(judge(owned(0o660, NODE, NODE), Some(volume), NODE), Verdict::OpenedByVolume);
        for (file, directory) in [
            (owned(0o660, NODE, NODE), None),
            (owned(0o660, NODE, NODE), Some(owned(0o0775, 0, NODE))),
            (owned(0o660, NODE, NODE), Some(owned(0o2775, 0, 100))),
            (owned(0o660, 7, NODE), Some(volume)),
            (owned(0o664, NODE, NODE), Some(volume)),
            (owned(0o640, NODE, NODE), Some(volume)),
            (owned(0o670, NODE, NODE), Some(volume)),
        ] {
            assert_eq!(judge(file, directory, NODE), Verdict::Exposed, "{file:?} {directory:?}");
        }
    }
}
