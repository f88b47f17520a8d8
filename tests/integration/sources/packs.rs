//! Copies of large mirrors: as much as the pin needs, each object once.

use super::*;

/// Bytes that do not compress.
fn noise(seed: u32, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// Commits this many files in one commit; each is a variation of a common text, so that git makes deltas of them.
fn commit_files(desk: &Desk, folder: &str, files: u32, round: u32) -> String {
    let common = "a line that all files have in common\n".repeat(20);
    let place = desk.repository.folder.join(folder);
    fs::create_dir_all(&place).unwrap();
    for file in 0..files {
        fs::write(place.join(format!("{file}.txt")), format!("{common}{file} of {round}\n")).unwrap();
    }
    desk.repository.git(&["add", "-A"]);
    desk.repository.git(&["commit", "-qm", folder]);
    desk.repository.git(&["rev-parse", "HEAD"])
}

fn size(desk: &Desk) -> u64 {
    desk.run(&["sources", "status"]).good().said["sources"][0]["stored_bytes"].as_u64().unwrap()
}

/// Syncs to a commit; its tree must then be whole and its history too.
fn sync(desk: &Desk, commit: &str) {
    desk.configure(commit, "");
    desk.run(&["sources", "sync"]).good();
    assert_eq!(desk.head(), commit);
    let tree = GitRepository { folder: desk.tree() };
    tree.git(&["fsck", "--full", "--strict"]);
    let all = |repository: &GitRepository| repository.git(&["rev-list", "--objects", commit]);
    assert_eq!(all(&tree), all(&desk.repository));
}

/// A first copy of more than 500 objects took every pack of the mirror whole, with all branches in it.
#[test]
fn a_first_copy_of_many_objects_leaves_out_what_the_pin_does_not_need() {
    let desk = Desk::new();
    let pin = commit_files(&desk, "many", 700, 0);
    desk.repository.git(&["checkout", "-qb", "other"]);
    let other = desk.repository.commit("large.bin", &noise(1, 600_000));
    desk.repository.git(&["repack", "-adfq"]);
    sync(&desk, &pin);
    assert!(size(&desk) < 300_000, "{}", size(&desk));
    let found = Command::new("git").args(["cat-file", "-e", &other]).current_dir(desk.tree()).output().unwrap();
    assert!(!found.status.success(), "a branch that is not pinned was copied");
}

/// An update of more than 2,000 objects copied each pack of the mirror again under its new name. A pack holds what its deltas build on, so
/// a few objects lie in two packs, as they do in git's.
#[test]
fn an_update_of_many_objects_keeps_no_pack_twice() {
    let desk = Desk::new();
    desk.repository.commit("large.bin", &noise(1, 600_000));
    let mut pin = commit_files(&desk, "many", 300, 0);
    desk.repository.git(&["repack", "-adq"]);
    sync(&desk, &pin);
    let before = size(&desk);
    for round in 1..4 {
        pin = commit_files(&desk, "many", 2_100, round);
        desk.repository.git(&["repack", "-adfq", &format!("--window={}", round + 1)]);
        sync(&desk, &pin);
    }
    let grown = size(&desk) - before;
    assert!(grown < 2_000_000, "three updates added {grown} bytes");
    let mut names = Vec::new();
    for index in fs::read_dir(desk.tree().join(".git/objects/pack")).unwrap().map(|entry| entry.unwrap().path()) {
        if index.extension().is_some_and(|extension| extension == "idx") {
            let output = Command::new("git").arg("show-index").stdin(fs::File::open(&index).unwrap()).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            names.extend(text.lines().map(|line| line.split(' ').nth(1).unwrap().to_owned()));
        }
    }
    let all = names.len();
    names.sort();
    names.dedup();
    let twice = all - names.len();
    assert!(twice < all / 20, "{twice} of {all} objects lie in two packs");
}

/// Mirrors hold packs of several ages, single objects, and indexes of the first version; all of that is read.
#[test]
fn packs_of_all_ages_and_single_objects_are_read_together() {
    let desk = Desk::new();
    commit_files(&desk, "many", 150, 0);
    desk.repository.git(&["repack", "-dq"]);
    commit_files(&desk, "many", 150, 1);
    desk.repository.git(&["-c", "pack.indexVersion=1", "repack", "-dq"]);
    commit_files(&desk, "many", 150, 2);
    desk.repository.git(&["repack", "-dq"]);
    let pin = commit_files(&desk, "single", 150, 3);
    sync(&desk, &pin);
    let next = commit_files(&desk, "single", 120, 4);
    sync(&desk, &next);
}

/// Temporary files of a killed libgit2 were never removed.
#[test]
fn leftovers_of_a_killed_copy_are_removed() {
    let desk = Desk::new();
    let first = desk.repository.git(&["rev-parse", "main"]);
    sync(&desk, &first);
    let objects = desk.tree().join(".git/objects");
    let left = [objects.join("pack/pack_git2_0a1b2c"), objects.join("tmp_object_git2_0a1b2c")];
    left.iter().for_each(|file| fs::write(file, [0; 9_000]).unwrap());
    let second = desk.repository.commit("e.txt", b"three\n");
    sync(&desk, &second);
    assert!(left.iter().all(|file| !file.exists()));
}

/// Only `--json` showed how much room a repository takes.
#[test]
fn status_and_doctor_show_the_size_to_people() {
    let desk = Desk::new();
    let pin = desk.repository.commit("large.bin", &noise(1, 3_000_000));
    sync(&desk, &pin);
    for action in ["status", "doctor"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swoosh"));
        command.args(["sources", action, "--root", desk.root().to_str().unwrap()]);
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(said.contains("MiB"), "{action}: {said}");
    }
}
