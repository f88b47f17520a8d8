//! Whether a file that holds a secret may be used, by its owner and mode.
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

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Bits of everybody but the owner.
const OTHERS: u32 = 0o077;
/// The most that a file of root's may allow: the owner writes, the group reads.
const OF_ROOT: u32 = 0o640;
/// A file that was 0600 before a volume opened it to its group.
const OPENED: u32 = 0o660;
const SET_GROUP_ID: u32 = 0o2000;

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

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: u32 = 10_001;

    fn owned(mode: u32, uid: u32, gid: u32) -> Owned {
        Owned { mode, uid, gid }
    }

    #[test]
    fn a_file_of_root_may_be_readable_by_its_group_and_by_nobody_else() {
        for mode in [0o400, 0o440, 0o600, 0o640] {
            assert_eq!(judge(owned(mode, 0, NODE), None, NODE), Verdict::Private, "{mode:o}");
        }
        for mode in [0o444, 0o660, 0o644, 0o450, 0o4640] {
            assert_eq!(judge(owned(mode, 0, NODE), None, NODE), Verdict::Exposed, "{mode:o}");
        }
        // A process of root's owns such a file itself, and is held to its own rule.
        assert_eq!(judge(owned(0o640, 0, 0), None, 0), Verdict::Exposed);
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
