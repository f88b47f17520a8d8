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

fn has(desk: &Desk, object: &str) -> bool {
    let mut command = Command::new("git");
    command.args(["cat-file", "-e", object]).current_dir(desk.tree()).stderr(Stdio::null()).status().unwrap().success()
}

/// A commit that was pinned by its id was fetched over http with all branches and tags.
#[test]
fn a_commit_over_http_comes_without_other_branches_if_the_server_gives_it_by_its_id() {
    for allowed in ["true", "false"] {
        let mut desk = Desk::new();
        let pin = desk.repository.git(&["rev-parse", "main"]);
        desk.repository.git(&["tag", "light"]);
        let later = desk.repository.commit("later.txt", b"three\n");
        desk.repository.git(&["tag", "-a", "v3", "-m", "v3"]);
        desk.repository.git(&["checkout", "-qb", "other"]);
        let other = desk.repository.commit("large.bin", &noise(1, 300_000));
        desk.repository.git(&["config", "uploadpack.allowReachableSHA1InWant", allowed]);
        let _server = desk.serve();
        desk.configure_url("https://h.invalid/alpha.git", &pin, "");
        desk.run(&["sources", "sync"]).good();
        assert_eq!(desk.head(), pin);
        let is_all = allowed == "false";
        assert_eq!((has(&desk, &later), has(&desk, &other)), (is_all, is_all), "allowed: {allowed}");
        let tree = GitRepository { folder: desk.tree() };
        assert_eq!(tree.git(&["tag", "--merged", &pin]), "light\nv1");
        assert_eq!(tree.git(&["describe"]), desk.repository.git(&["describe", &pin]));
        tree.git(&["fsck", "--full", "--strict"]);
        desk.configure_url("https://h.invalid/alpha.git", "v3", "");
        desk.run(&["sources", "sync"]).good();
        assert_eq!(desk.head(), later, "allowed: {allowed}");
    }
}

/// Earlier versions copied the packs of a mirror whole, again after each repack, and they stayed for ever without a word.
#[test]
fn doctor_names_packs_that_an_earlier_version_stored_twice_and_its_remedy_frees_them() {
    let desk = Desk::new();
    let pin = desk.repository.commit("large.bin", &noise(1, 300_000));
    sync(&desk, &pin);
    let findings = || {
        let said = desk.run(&["sources", "doctor"]).said;
        let all = said["findings"].as_array().unwrap().clone();
        all.into_iter().filter(|finding| finding["found"].as_str().unwrap().contains("pack(s)")).collect::<Vec<_>>()
    };
    assert_eq!(findings(), Vec::<Value>::new());
    for window in ["--window=1", "--window=9"] {
        desk.repository.commit(window.trim_start_matches('-'), b"more\n");
        desk.repository.git(&["repack", "-adfq", window]);
        for entry in fs::read_dir(desk.repository.folder.join(".git/objects/pack")).unwrap().map(|entry| entry.unwrap())
        {
            let place = desk.tree().join(".git/objects/pack").join(entry.file_name());
            fs::copy(entry.path(), place).unwrap();
        }
    }
    let before = size(&desk);
    let found = findings();
    let remedy =
        found.first().and_then(|finding| finding["remedy"].as_str()).unwrap_or_else(|| panic!("{found:?}")).to_owned();
    let command = remedy.split('`').nth(1).unwrap();
    let status = Command::new("sh").args(["-c", command]).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command}");
    assert_eq!(findings(), Vec::<Value>::new());
    assert!(size(&desk) + 300_000 < before, "{before} {}", size(&desk));
    sync(&desk, &pin);
}
