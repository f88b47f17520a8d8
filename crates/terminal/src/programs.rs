//! Programs that belong together: `swoosh` and `swoosh-lab` find each other in one directory, or in `PATH`.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The program `name` in the directory of `own`, else in the first directory of `path` that has it. Directories that are relative do not
/// count: the program that is run must not depend on the working directory. A link to `own` does not count either: it would run itself for ever.
pub fn find(name: &str, own: &Path, path: Option<&OsStr>) -> Option<PathBuf> {
    let beside = own.parent().map(Path::to_path_buf);
    let listed = path.map(std::env::split_paths).into_iter().flatten();
    let folders = beside.into_iter().chain(listed).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(name)).find(|file| is_program(file) && !is_same(file, own))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino())).ok();
    id(one).is_some_and(|found| Some(found) == id(other))
}

/// Whether a path leads to a file that may be run.
pub fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(folder: &Path, name: &str, mode: u32) -> PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        let file = folder.join(name);
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn the_program_beside_counts_before_those_of_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let [beside, listed, empty] = ["a", "b", "c"].map(|name| folder.path().join(name));
        let (own, other) = (beside.join("swoosh"), program(&listed, "swoosh-lab", 0o755));
        let path = std::env::join_paths([&empty, &listed]).unwrap();
        assert_eq!(find("swoosh-lab", &own, Some(&path)), Some(other));
        let own_lab = program(&beside, "swoosh-lab", 0o755);
        assert_eq!(find("swoosh-lab", &own, Some(&path)), Some(own_lab));
        assert_eq!(find("swoosh-lab", &empty.join("swoosh"), None), None);
    }

    #[test]
    fn a_link_to_the_program_itself_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let own = program(folder.path(), "swoosh", 0o755);
        std::os::unix::fs::symlink(&own, folder.path().join("swoosh-lab")).unwrap();
        assert_eq!(find("swoosh-lab", &own, None), None);
    }

    /// A folder, a file that may not be run, and a relative entry of `PATH` are passed over.
    #[test]
    fn what_cannot_or_must_not_be_run_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (own, listed) = (folder.path().join("a/swoosh"), folder.path().join("b"));
        program(&folder.path().join("a"), "swoosh-lab", 0o644);
        std::fs::create_dir_all(listed.join("swoosh-lab")).unwrap();
        let here = std::env::current_dir().unwrap();
        let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
        let relative = up
            .join(program(&folder.path().join("c"), "swoosh-lab", 0o755).parent().unwrap().strip_prefix("/").unwrap());
        assert!(is_program(&relative.join("swoosh-lab")), "{}", relative.display());
        assert_eq!(find("swoosh-lab", &own, Some(&std::env::join_paths([listed, relative]).unwrap())), None);
    }
}
