//! Requests to git, their number, and the handling of its failures.

use super::*;
use crate::sources::git::{Credentials, Limits, Wanted};
use crate::sources::mirrors::{BASE_VARIABLE, Mirror};
use crate::sources::resolve::{self, ResolveError};
use crate::sources::sync::{self, SyncOptions};
use crate::sources::{fetch, resolve as resolve_all};

#[test]
fn mocked_git_is_asked_with_exact_arguments_in_order() {
    let world = World::new(FakeGit::with_refs(&[("refs/heads/main", 'b'), ("refs/tags/v1", 'a')]));
    sync::sync(&world.session(), &set(&[("alpha", "v1")]), &SyncOptions::default()).unwrap();
    let partial = world.folder.path().join("sources/.alpha.partial");
    let wanted = Wanted { commit: id('a'), reference: Some("refs/tags/v1".to_owned()) };
    let limits = Limits::default();
    let expected = [
        Request::List { remote: remote("alpha") },
        Request::Fetch { remote: remote("alpha"), folder: partial.clone(), wanted, limits },
        Request::Checkout { folder: partial.clone(), commit: id('a'), limits },
    ];
    assert_eq!(world.git.asked(), expected);
    assert!(!partial.exists() && world.folder.path().join("sources/alpha").is_dir());
}

#[test]
fn what_is_there_already_is_only_looked_at() {
    let world = World::new(FakeGit::with_refs(&[("refs/tags/v1", 'a')]));
    let set = set(&[("alpha", "v1")]);
    sync::sync(&world.session(), &set, &SyncOptions::default()).unwrap();
    world.git.asked();
    let report = sync::sync(&world.session(), &set, &SyncOptions::default()).unwrap();
    assert!(!report.synced[0].changed);
    assert_eq!(world.git.whats(), ["looking at the working tree"; 2]);
}

#[test]
fn network_failures_are_retried_with_exponential_back_off_then_reported_with_the_remedy() {
    let world = World::new(FakeGit::with_refs(&[("refs/tags/v1", 'a')]));
    (0..4).for_each(|_| world.git.fail_next("listing references", network()));
    let report = sync::sync(&world.session(), &set(&[("alpha", "v1")]), &SyncOptions::default()).unwrap();
    assert_eq!(*world.waits.0.lock().unwrap(), [500, 1_000, 2_000]);
    let error = &report.failed[0].error;
    assert!(error.contains("as the test wants") && error.contains(FailureKind::Network.remedy()), "{error}");
    assert_eq!(world.git.whats(), ["listing references"; 4]);
}

#[test]
fn a_permanent_failure_is_reported_without_retry() {
    for kind in [FailureKind::Authentication, FailureKind::NoRepository, FailureKind::DiskFull, FailureKind::TooLarge] {
        let world = World::new(FakeGit::with_refs(&[("refs/tags/v1", 'a')]));
        world.git.fail_next("fetching", failed(kind));
        let report = sync::sync(&world.session(), &set(&[("alpha", "v1")]), &SyncOptions::default()).unwrap();
        assert!(report.failed[0].error.contains(kind.remedy()), "{report:?}");
        assert!(world.waits.0.lock().unwrap().is_empty());
        assert!(!world.folder.path().join("sources/alpha").exists());
        assert_eq!(world.state("sources.json"), "");
    }
}

#[test]
fn a_reference_that_was_renamed_is_answered_with_those_that_are_near() {
    let refs = [("refs/tags/v2.29.1", 'a'), ("refs/tags/v2.29.0", 'b'), ("refs/heads/main", 'c')];
    let world = World::new(FakeGit::with_refs(&refs));
    let error = resolve_all(&world.session(), &set(&[("alpha", "v2.29.9")])).unwrap_err().to_string();
    assert!(error.contains("near it there are v2.29.1, v2.29.0"), "{error}");
    let error = resolve_all(&world.session(), &set(&[("alpha", "abcdef1")])).unwrap_err().to_string();
    assert!(error.contains("all of its 40 digits"), "{error}");
}

#[test]
fn a_branch_is_refused_unless_the_source_may_float() {
    let world = World::new(FakeGit::with_refs(&[("refs/heads/main", 'c')]));
    let error = resolve_all(&world.session(), &set(&[("alpha", "main")])).unwrap_err();
    assert!(matches!(&error, ResolveError::Floats { commit, .. } if *commit == id('c')), "{error}");
    let resolved = resolve_all(&world.session(), &set(&[("beta", "main")])).unwrap();
    assert_eq!(resolved[&name("beta")].commit, id('c'));
}

#[test]
fn resolved_sources_are_fetched_to_commits_and_trees() {
    let world = World::new(FakeGit::with_refs(&[("refs/tags/v1", 'a'), ("refs/heads/main", 'b')]));
    let set = set(&[("alpha", "v1"), ("beta", "main")]);
    let resolved = resolve_all(&world.session(), &set).unwrap();
    let fetched = fetch(&world.session(), &set, &resolved).unwrap();
    assert_eq!((&fetched[&name("alpha")].commit, &fetched[&name("alpha")].tree), (&id('a'), &id('e')));
    let nothing = swoosh_types::inputs::ResolvedSources::new();
    assert!(fetch(&world.session(), &set, &nothing).unwrap_err().to_string().contains("was not resolved"));
}

#[test]
fn mirrors_are_asked_instead_and_offline_nothing_else_is() {
    let mut world = World::new(FakeGit::with_refs(&[("refs/tags/v1", 'a')]));
    let set = set(&[("alpha", "v1")]);
    let asked = |world: &World| {
        resolve::route(&world.session(), &name("alpha"), &set[&name("alpha")]).map(|route| route.address.to_string())
    };
    world.mirrors.offline = true;
    let error = asked(&world).unwrap_err().to_string();
    assert!(error.contains("SWOOSH_SOURCES_MIRROR_ALPHA"), "{error}");
    let mirror = Mirror {
        mirror_url: "file:///inventory".to_owned(),
        added_at: String::new(),
        added_by: String::new(),
        request_id: None,
        reason: None,
    };
    world.mirrors.inventory.mirrors.insert("https://h.example".to_owned(), mirror);
    assert_eq!(asked(&world).unwrap(), "file:///inventory/alpha.git");
    world.mirrors.environment.insert(BASE_VARIABLE.to_owned(), "file:///base/".to_owned());
    assert_eq!(asked(&world).unwrap(), "file:///base/h.example/alpha.git");
    world.mirrors.environment.insert("SWOOSH_SOURCES_MIRROR_ALPHA".to_owned(), "file:///own.git".to_owned());
    assert_eq!(asked(&world).unwrap(), "file:///own.git");
    world.mirrors.environment.insert("SWOOSH_SOURCES_MIRROR_ALPHA".to_owned(), "ftp://h/x".to_owned());
    assert!(asked(&world).unwrap_err().to_string().contains("SWOOSH_SOURCES_MIRROR_ALPHA): ftp:// is not allowed"));
}

#[test]
fn the_mirror_of_everything_leaves_files_where_they_are_and_one_by_name_does_not() {
    let mut world = World::new(FakeGit::default());
    world.mirrors.environment.insert(BASE_VARIABLE.to_owned(), "file:///media".to_owned());
    world.mirrors.offline = true;
    let spec = |url: &str| SourceSpec { url: url.parse().unwrap(), reference: "v1".parse().unwrap() };
    let asked = |world: &World, url: &str| {
        let route = resolve::route(&world.session(), &name("alpha"), &spec(url)).unwrap();
        (route.address.to_string(), route.mirror.is_some())
    };
    assert_eq!(asked(&world, "file:///srv/alpha.git"), ("file:///srv/alpha.git".to_owned(), false));
    assert_eq!(asked(&world, "ssh://git@h/alpha.git"), ("file:///media/h/alpha.git".to_owned(), true));
    world.mirrors.environment.insert("SWOOSH_SOURCES_MIRROR_ALPHA".to_owned(), "file:///own.git".to_owned());
    assert_eq!(asked(&world, "file:///srv/alpha.git"), ("file:///own.git".to_owned(), true));
}

#[test]
fn credentials_go_to_https_alone_and_are_never_shown() {
    let mut world = World::new(FakeGit::default());
    let ours = Credentials { user: "bob".to_owned(), password: "hunter2".to_owned() };
    assert!(!format!("{ours:?}").contains("hunter2"));
    let spec = set(&[("alpha", "v1")]).remove(&name("alpha")).unwrap();
    let remote = |world: &World| {
        let mut session = world.session();
        session.wallet.bound = vec![("https://h.example/alpha.git".parse().unwrap(), ours.clone())];
        let route = resolve::route(&session, &name("alpha"), &spec).unwrap();
        session.remote(&route)
    };
    assert_eq!(remote(&world).credentials, Some(ours.clone()));
    for mirror in ["http://127.0.0.1:1/a", "ssh://git@h/a", "file:///a"] {
        world.mirrors.environment.insert("SWOOSH_SOURCES_MIRROR_ALPHA".to_owned(), mirror.to_owned());
        assert_eq!(remote(&world).credentials, None, "{mirror}");
    }
}
