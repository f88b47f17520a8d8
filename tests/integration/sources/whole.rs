//! Syncs that go as they should.

use std::sync::atomic::Ordering;

use super::*;

#[test]
fn a_tag_is_brought_over_file_and_over_http_to_the_same_commit_and_tree() {
    for over_http in [false, true] {
        let mut desk = Desk::new();
        let server = over_http.then(|| desk.serve());
        let commit = desk.repository.git(&["rev-parse", "v1^{commit}"]);
        let tree = desk.repository.git(&["rev-parse", "v1^{tree}"]);
        let ran = desk.run(&["sources", "sync"]).good();
        assert_eq!(
            (&ran.said["synced"][0]["commit_sha"], &ran.said["synced"][0]["tree_sha"]),
            (&commit.clone().into(), &tree.into())
        );
        assert_eq!(desk.head(), commit);
        let entry = &desk.state("sources.json").unwrap()["sources"]["alpha"];
        assert_eq!((&entry["commit_sha"], &entry["updated_by"]), (&commit.into(), &"olga".into()));
        assert_eq!(entry["mirror_url"].is_string(), over_http);
        if let Some(server) = server {
            let packs = server.packs.load(Ordering::SeqCst);
            desk.run(&["sources", "sync"]).good();
            assert_eq!(server.packs.load(Ordering::SeqCst), packs, "what is there is not fetched again");
        }
    }
}

#[test]
fn a_commit_id_moves_the_tree_and_the_bytes_are_those_of_the_repository() {
    let desk = Desk::new();
    desk.run(&["sources", "sync"]).good();
    let second = desk.repository.git(&["rev-parse", "main"]);
    desk.configure(&second, "");
    desk.run(&["sources", "sync"]).good();
    assert_eq!(desk.head(), second);
    assert_eq!(fs::read(desk.tree().join("b/c.txt")).unwrap(), b"two\r\n");
    let status = desk.run(&["sources", "status"]).good();
    assert_eq!(status.said["sources"][0]["condition"], "clean");
    assert_eq!(GitRepository { folder: desk.tree() }.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_packed_repository_is_brought_and_its_later_commits_as_well() {
    let desk = Desk::new();
    desk.repository.git(&["gc", "-q"]);
    desk.run(&["sources", "sync"]).good();
    assert_eq!(desk.head(), desk.repository.git(&["rev-parse", "v1^{commit}"]));
    let loose = desk.repository.commit("d.txt", b"three\n");
    let packed = desk.repository.commit("e.txt", b"four\n");
    desk.repository.git(&["repack", "-q"]);
    for commit in [loose, packed] {
        desk.configure(&commit, "");
        desk.run(&["sources", "sync"]).good();
        assert_eq!(desk.head(), commit);
    }
    assert_eq!(fs::read(desk.tree().join("e.txt")).unwrap(), b"four\n");
    desk.run(&["sources", "status"]).good();
}

#[test]
fn two_processes_at_once_take_turns_and_both_succeed() {
    let desk = Desk::new();
    let both: Vec<_> = (0..2).map(|_| desk.command(&["sources", "sync"]).spawn().unwrap()).collect();
    let both: Vec<Ran> = both.into_iter().map(|child| Ran::of(child.wait_with_output().unwrap()).good()).collect();
    let changed = both.iter().filter(|ran| ran.said["synced"][0]["changed"] == true).count();
    assert_eq!(changed, 1, "one brought it, the other found it there");
}

#[test]
fn a_forced_commit_is_kept_with_its_approval_until_it_is_released() {
    let desk = Desk::new();
    desk.run(&["sources", "sync"]).good();
    let (first, second) = (desk.head(), desk.repository.git(&["rev-parse", "main"]));
    let pin = ["sources", "pin", "alpha", &second, "--reason", "hotfix"];
    assert_eq!(desk.run(&pin).code, Some(2), "the approval is not optional");
    let approval = ["--request-id", "GOV-1", "--approver", "dana", "--expires", "30d"];
    desk.run(&[&pin[..], &approval[..]].concat()).good();
    assert_eq!(desk.head(), second);
    let audit = desk.run(&["sources", "audit", "export"]).good();
    assert_eq!(
        (&audit.said["overrides"][0]["status"], &audit.said["overrides"][0]["approver"]),
        (&"active".into(), &"dana".into())
    );
    desk.run(&["sources", "pin", "alpha", "--release", "--reason", "fixed"]).good();
    desk.run(&["sources", "sync"]).good();
    assert_eq!(desk.head(), first);
}
