//! Repositories that mean harm, and input of every wrong kind.

use super::*;

#[test]
fn links_hooks_and_submodules_of_a_repository_do_nothing() {
    let desk = Desk::new();
    let repository = &desk.repository;
    std::os::unix::fs::symlink("/etc/passwd", repository.folder.join("evil")).unwrap();
    let inner = GitRepository::make(desk.folder.path().join("inner"));
    inner.commit("x", b"x");
    repository.git(&["submodule", "--quiet", "add", inner.folder.to_str().unwrap(), "sub"]);
    let commit = repository.commit(".gitattributes", b"* filter=run text eol=crlf\n");
    desk.configure(&commit, "");
    desk.run(&["sources", "sync"]).good();
    let evil = desk.tree().join("evil");
    assert!(fs::symlink_metadata(&evil).unwrap().is_file());
    assert_eq!(fs::read_to_string(&evil).unwrap(), "/etc/passwd");
    assert!(!desk.tree().join("sub/x").exists());
    assert_eq!(fs::read(desk.tree().join("a.txt")).unwrap(), b"one\n", "attributes change no byte");
    desk.run(&["sources", "status"]).good();
    let scan = desk.run(&["sources", "scan"]);
    let findings = scan.failure();
    assert!(
        findings.contains("evil: a symbolic link that leads out") && findings.contains("sub: a submodule"),
        "{findings}"
    );
}

#[test]
fn more_than_the_limits_allow_is_refused_and_leaves_nothing() {
    let desk = Desk::new();
    let commit = desk.repository.commit("big", &vec![7; 100_000]);
    for limits in ["file_bytes: 50000", "tree_bytes: 50000", "files: 1", "received_bytes: 10"] {
        desk.configure(&commit, &format!("limits: {{{limits}}}"));
        let failure = desk.run(&["sources", "sync"]).failure();
        assert!(failure.contains("raise the limit under `limits`"), "{limits}: {failure}");
        assert!(!desk.tree().exists() && desk.state("sources.json").is_none());
    }
}

#[test]
fn wrong_input_of_every_kind_is_reported_with_its_remedy_and_changes_nothing() {
    let desk = Desk::new();
    desk.run(&["sources", "sync"]).good();
    let (before, head) = (desk.state("sources.json"), desk.head());
    let own = format!("file://{}", desk.repository.folder.display());
    for (url, reference, expected) in [
        ("git://h.example/a", "v1", "git:// is not allowed"),
        ("http://h.example/a", "v1", "http:// is not allowed"),
        ("nonsense", "v1", "write scheme://"),
        ("/srv/a.git", "v1", "write file:///srv/a.git"),
        ("~/a.git", "v1", "write file:///home/USER/a.git"),
        ("git@h.example: a/b", "v1", "write ssh://git@h.example/a/b"),
        (own.as_str(), "-v1", "git reference"),
        (own.as_str(), "v2", "near it there are v1"),
        (own.as_str(), "main", "pin a tag or the commit"),
        (own.as_str(), "release", "the main branch is main"),
        (own.as_str(), "0123456789012345678901234567890123456789", "name a commit that the repository has"),
        ("file:///no/such/repository", "v1", "see that the address is spelled right"),
        ("https://h.invalid/a", "v1", "see that the network is up"),
    ] {
        desk.configure_url(url, reference, "");
        let said = desk.run(&["sources", "sync"]).failure();
        assert!(said.contains(expected), "{url} {reference}: {said}");
        assert_eq!((desk.state("sources.json"), desk.head()), (before.clone(), head.clone()), "{url} {reference}");
    }
}

#[test]
fn a_dirty_tree_stops_everything_and_status_and_doctor_say_so() {
    let desk = Desk::new();
    desk.run(&["sources", "sync"]).good();
    fs::write(desk.tree().join("a.txt"), "mine").unwrap();
    let failure = desk.run(&["sources", "sync"]).failure();
    assert!(failure.contains(desk.tree().to_str().unwrap()) && failure.contains("reset --hard"), "{failure}");
    assert_eq!(desk.run(&["sources", "status"]).said["sources"][0]["condition"], "dirty");
    let doctor = desk.run(&["sources", "doctor"]);
    assert!(doctor.failure().contains("its working tree is dirty"));
    assert_eq!(fs::read_to_string(desk.tree().join("a.txt")).unwrap(), "mine");
}

#[test]
fn an_unwritable_folder_is_reported() {
    let desk = Desk::new();
    fs::write(desk.root().join("sources"), "a file where a folder should be").unwrap();
    let failure = desk.run(&["sources", "sync"]).failure();
    assert!(failure.contains("cannot be used"), "{failure}");
    assert!(desk.state("sources.json").is_none());
}

#[test]
fn a_clone_that_fills_the_disk_is_reported_and_leaves_nothing() {
    let desk = Desk::new();
    let commit = desk
        .repository
        .commit("big", &(0..400_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect::<Vec<u8>>());
    desk.configure(&commit, "");
    // No file may grow beyond 200 blocks: what the system then says is what a full disk says, by another name.
    let program = env!("CARGO_BIN_EXE_swoosh");
    let script =
        format!("trap '' XFSZ; ulimit -f 200; exec {program} --json sources sync --root {}", desk.root().display());
    let ran = Ran::of(Command::new("sh").args(["-c", &script]).output().unwrap());
    let failure = ran.failure();
    assert!(failure.contains("make room on that file system"), "{failure}");
    assert!(!desk.tree().exists() && !desk.root().join("sources/.alpha.partial").exists());
}
