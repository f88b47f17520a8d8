//! Working trees that are dirty, moved, half-made; syncs that were interrupted.

use super::*;
use crate::leave::Always;
use crate::sources::documents::{MARKER_FILE, Marker, read_if_any};
use crate::sources::sync::{self, SyncError, SyncOptions};
use crate::sources::tree::{self, Found, TreeError};
use crate::state::Lock;

const V1: &[(&str, char)] = &[("refs/tags/v1", 'a'), ("refs/heads/main", 'b')];

fn sync_all(world: &World, set: &SourceSet) -> Result<sync::SyncReport, SyncError> {
    sync::sync(&world.session(), set, &SyncOptions::default())
}

#[test]
fn dirty_repo_stops_the_sync_and_reports_path_and_remedy_before_anything_changes() {
    let world = World::new(FakeGit::with_refs(V1));
    let both = set(&[("alpha", "v1"), ("beta", "main")]);
    sync_all(&world, &set(&[("beta", "main")])).unwrap();
    world.git.changes.lock().unwrap().insert(world.tree("beta"), 2);
    let before = world.all_state();
    world.git.asked();
    let error = sync_all(&world, &both).unwrap_err().to_string();
    assert!(
        error.contains(&world.tree("beta")) && error.contains("reset --hard") && error.contains("File-1"),
        "{error}"
    );
    assert_eq!(world.all_state(), before);
    assert_eq!(world.git.whats(), ["looking at the working tree"]);
    assert!(!world.folder.path().join("sources/alpha").exists());
}

#[test]
fn diverging_shas_block_updates() {
    let world = World::new(FakeGit::with_refs(V1));
    let set = set(&[("alpha", "v1")]);
    sync_all(&world, &set).unwrap();
    world.git.heads.lock().unwrap().insert(world.tree("alpha"), id('9'));
    let error = sync_all(&world, &set).unwrap_err();
    assert!(matches!(error, SyncError::Tree(TreeError::Diverged { .. })), "{error}");
    assert!(error.to_string().contains(&format!("checkout --detach {}", id('a'))), "{error}");
}

#[test]
fn a_rewritten_branch_blocks_updates_and_one_that_went_on_does_not() {
    for rewritten in [false, true] {
        let mut world = World::new(FakeGit::with_refs(V1));
        world.git.rewritten = rewritten;
        let set = set(&[("beta", "main")]);
        sync_all(&world, &set).unwrap();
        world.git.point("refs/heads/main", 'c');
        assert_eq!(sync_all(&world, &set).unwrap().synced[0].commit_sha, id('b'), "only --update moves a branch");
        let update = SyncOptions { update: true, ..SyncOptions::default() };
        let report = sync::sync(&world.session(), &set, &update).unwrap();
        assert_eq!(report.is_complete(), !rewritten, "{report:?}");
        assert!(!rewritten || report.failed[0].error.contains("was rewritten"));
    }
}

#[test]
fn a_tag_that_was_moved_is_not_followed() {
    let world = World::new(FakeGit::with_refs(V1));
    let set = set(&[("alpha", "v1")]);
    sync_all(&world, &set).unwrap();
    world.git.point("refs/tags/v1", 'd');
    let update = SyncOptions { update: true, ..SyncOptions::default() };
    let report = sync::sync(&world.session(), &set, &update).unwrap();
    assert!(report.failed[0].error.contains("was moved"), "{report:?}");
}

#[test]
fn partial_clone_recovery_cleans_up_retries_and_logs() {
    let world = World::new(FakeGit::with_refs(V1));
    world.git.fail_next("fetching", network());
    let report = sync_all(&world, &set(&[("alpha", "v1")])).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(world.git.whats(), ["listing references", "fetching", "fetching", "checking out"]);
    assert!(world.log().contains("the clone is incomplete; cleaning it up"), "{}", world.log());
    assert!(!world.folder.path().join("sources/.alpha.partial").exists());
}

#[test]
fn a_partial_clone_of_a_killed_process_is_detected_and_cloned_again() {
    for left in ["sources/.alpha.partial/.git", "sources/alpha/.git"] {
        let world = World::new(FakeGit::with_refs(V1));
        fs::create_dir_all(world.folder.path().join(left)).unwrap();
        let session = world.session();
        let found = tree::look(&session, &name("alpha"), &session.workspace.tree(&name("alpha"))).unwrap();
        assert_eq!(found, Found::Partial, "{left}");
        assert!(sync_all(&world, &set(&[("alpha", "v1")])).unwrap().is_complete());
        assert!(world.log().contains("removing an unfinished clone"), "{}", world.log());
    }
}

#[test]
fn a_folder_with_somebodys_files_is_never_removed() {
    let world = World::new(FakeGit::with_refs(V1));
    let file = world.folder.path().join("sources/alpha/thesis.txt");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "precious").unwrap();
    let error = sync_all(&world, &set(&[("alpha", "v1")])).unwrap_err().to_string();
    assert!(error.contains("move it away"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn a_link_in_place_of_a_working_tree_is_not_followed() {
    let world = World::new(FakeGit::with_refs(V1));
    fs::create_dir_all(world.folder.path().join("sources")).unwrap();
    std::os::unix::fs::symlink("/", world.folder.path().join("sources/alpha")).unwrap();
    let error = sync_all(&world, &set(&[("alpha", "v1")])).unwrap_err().to_string();
    assert!(error.contains("symbolic link"), "{error}");
}

#[test]
fn interrupted_sync_resume_reads_the_marker_finishes_and_clears_it() {
    let world = World::new(FakeGit::with_refs(V1));
    let both = set(&[("alpha", "v1"), ("beta", "main")]);
    world.git.fail_next("checking out", failed(FailureKind::DiskFull));
    let report = sync_all(&world, &both).unwrap();
    assert_eq!((report.synced.len(), report.failed.len()), (1, 1));
    let marker: Marker = read_if_any(&world.folder.path().join("state"), MARKER_FILE).unwrap().unwrap();
    assert_eq!((marker.pending, marker.done), (vec![name("alpha")], vec![name("beta")]));
    world.git.asked();
    let report = sync::resume(&world.session(), &both).unwrap().unwrap();
    assert_eq!(report.synced.iter().map(|synced| synced.name.clone()).collect::<Vec<_>>(), [name("alpha")]);
    assert_eq!(world.state(MARKER_FILE), "");
    assert!(world.state("sources.json").contains("alpha") && world.log().contains("resumed and completed cmd-1"));
    assert_eq!(sync::resume(&world.session(), &both).unwrap(), None);
}

#[test]
fn an_interrupt_leaves_the_rest_pending_and_the_marker_says_so() {
    let world = World::new(FakeGit::with_refs(V1));
    let both = set(&[("alpha", "v1"), ("beta", "main")]);
    let leave = world.leave.clone();
    let stop = move |event: &Event| {
        if matches!(event, Event::Ended { .. }) {
            leave.cancel();
        }
    };
    let mut session = world.session();
    session.events = &stop;
    let report = sync::sync(&session, &both, &SyncOptions::default()).unwrap();
    assert_eq!((report.synced.len(), report.pending), (1, vec![name("beta")]));
    assert!(world.state(MARKER_FILE).contains("\"beta\""));
}

#[test]
fn a_checkout_that_was_killed_is_finished_and_not_called_dirty() {
    let world = World::new(FakeGit::with_refs(V1));
    let set = set(&[("alpha", "v1")]);
    sync_all(&world, &set).unwrap();
    fs::write(world.folder.path().join("sources/.alpha.busy"), "").unwrap();
    world.git.changes.lock().unwrap().insert(world.tree("alpha"), 7);
    let lock = world.folder.path().join("sources/alpha/.git/index.lock");
    fs::write(&lock, "").unwrap();
    assert!(sync_all(&world, &set).unwrap().is_complete());
    assert!(!lock.exists() && !world.folder.path().join("sources/.alpha.busy").exists());
}

#[test]
fn a_moved_but_unrecorded_tree_is_not_attributed_to_another_program() {
    let world = World::new(FakeGit::with_refs(V1));
    let set = set(&[("beta", "main")]);
    sync_all(&world, &set).unwrap();
    world.git.point("refs/heads/main", 'c');
    let before = world.state("sources.json");
    // A folder where the document's temporary file should be: the tree moves, and the record fails.
    let in_the_way = world.folder.path().join("state/sources.json.tmp");
    fs::create_dir(&in_the_way).unwrap();
    let update = SyncOptions { update: true, ..SyncOptions::default() };
    assert!(!sync::sync(&world.session(), &set, &update).unwrap().is_complete());
    assert_eq!(world.state("sources.json"), before);
    fs::remove_dir(&in_the_way).unwrap();
    let report = sync::resume(&world.session(), &set).unwrap().unwrap();
    assert_eq!(report.synced[0].commit_sha, id('c'));
    assert!(world.state("sources.json").contains(id('c').as_str()));
}

#[test]
fn writers_are_serialised_by_the_lock_file_and_readers_are_not() {
    let world = World::new(FakeGit::with_refs(V1));
    let path = world.folder.path().join("sources/.lock");
    let held = Lock::take(&path, "another sync", Duration::ZERO, &Always).unwrap();
    let error = sync_all(&world, &set(&[("alpha", "v1")])).unwrap_err().to_string();
    assert!(error.contains("another sync"), "{error}");
    assert!(world.git.asked().is_empty());
    crate::sources::status::overview(&world.session(), &set(&[("alpha", "v1")]), 7).unwrap();
    drop(held);
    sync_all(&world, &set(&[("alpha", "v1")])).unwrap();
}

#[test]
fn edits_after_a_checkout_was_cut_short_stop_resume_with_path_and_remedy() {
    let world = World::new(FakeGit::with_refs(V1));
    let both = set(&[("alpha", "v1"), ("beta", "main")]);
    sync_all(&world, &both).unwrap();
    fs::write(world.folder.path().join("sources/.alpha.busy"), format!("{}\n", id('a'))).unwrap();
    world.git.edits.lock().unwrap().insert(world.tree("alpha"), 1);
    let before = world.all_state();
    world.git.asked();
    let error = sync_all(&world, &both).unwrap_err().to_string();
    let remedy = format!("git -C {} reset --hard", world.tree("alpha"));
    assert!(error.contains("edit-0") && error.contains(&remedy), "{error}");
    assert_eq!((world.git.whats(), world.all_state()), (vec!["looking for edits"], before));
    let overview = crate::sources::status::overview(&world.session(), &both, 7).unwrap();
    let alpha = overview.sources.iter().find(|source| source.name == name("alpha")).unwrap();
    assert_eq!(alpha.condition, crate::sources::status::Condition::Dirty);
    world.git.edits.lock().unwrap().clear();
    assert!(sync_all(&world, &both).unwrap().is_complete());
}
