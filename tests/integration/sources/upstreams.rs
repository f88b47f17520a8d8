//! `swoosh upstreams`: the four pins through a mirror, and each way a fetch fails.

use super::*;

/// The repository's own pins, and a mirror that has them all.
struct Upstreams {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

const PINNED: &[(&str, &str)] = &[
    ("kubernetes-sigs/kubespray.git", "v2.29.1"),
    ("kubernetes-sigs/krew.git", "v0.4.5"),
    ("fybrik/fybrik.git", "v1.3.3"),
    ("heroku/heroku-buildpack-apt.git", "v11"),
];

impl Upstreams {
    fn new() -> Upstreams {
        let folder = tempfile::tempdir().unwrap();
        for (path, reference) in PINNED {
            let repository = GitRepository::make(folder.path().join("mirror/github.com").join(path));
            repository.commit("README", path.as_bytes());
            repository.git(&["tag", reference]);
        }
        let base = format!("file://{}", folder.path().join("mirror").display());
        let upstreams = Upstreams { folder, variables: vec![("SWOOSH_SOURCES_MIRROR".to_owned(), base)] };
        upstreams.pins(&fs::read_to_string("tools/upstreams.env").unwrap());
        upstreams
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn pins(&self, text: &str) {
        fs::create_dir_all(self.root().join("tools")).unwrap();
        fs::write(self.root().join("tools/upstreams.env"), text).unwrap();
    }

    fn run(&self, action: &str) -> Ran {
        Ran::of(command(&self.root(), &self.variables, &["upstreams", action]).output().unwrap())
    }

    fn mirror(&self, path: &str) -> GitRepository {
        GitRepository { folder: self.folder.path().join("mirror/github.com").join(path) }
    }
}

#[test]
fn fetching_twice_brings_the_same_commits_and_nothing_but_source_is_stored() {
    let upstreams = Upstreams::new();
    let first = upstreams.run("fetch").good();
    assert_eq!(first.said.as_array().unwrap().len(), 4);
    assert_eq!(upstreams.run("fetch").good().said, first.said);
    assert_eq!(upstreams.run("status").good().said, first.said);
    let mut names: Vec<String> = fs::read_dir(upstreams.root().join("third_party"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".lock")
        .collect();
    names.sort();
    assert_eq!(names, ["heroku-buildpack-apt", "krew", "kubespray", "mesh-for-data"]);
    assert!(!upstreams.root().join("state").exists() && !upstreams.root().join("logs").exists());
    fs::remove_dir_all(upstreams.root().join("third_party")).unwrap();
    assert_eq!(upstreams.run("fetch").good().said, first.said, "it can be deleted at any time");
}

#[test]
fn missing_upstream_ref_names_those_that_are_near_and_the_others_are_fetched() {
    let upstreams = Upstreams::new();
    let pins = fs::read_to_string("tools/upstreams.env").unwrap();
    upstreams.pins(&pins.replace("v2.29.1", "v2.29.2"));
    let failure = upstreams.run("fetch").failure();
    assert!(failure.contains("near it there are v2.29.1") && failure.contains("tools/upstreams.env"), "{failure}");
    assert!(upstreams.root().join("third_party/krew/README").exists());
}

#[test]
fn floating_ref_detected_by_the_fetch_as_well() {
    let upstreams = Upstreams::new();
    let pins = fs::read_to_string("tools/upstreams.env").unwrap();
    upstreams.pins(&pins.replace("KREW_REF=v0.4.5", "KREW_REF=main"));
    let failure = upstreams.run("fetch").failure();
    assert!(failure.contains("krew: main is a branch"), "{failure}");
}

#[test]
fn a_tag_that_was_moved_upstream_is_not_followed() {
    let upstreams = Upstreams::new();
    upstreams.run("fetch").good();
    let krew = upstreams.mirror("kubernetes-sigs/krew.git");
    krew.commit("README", b"other");
    krew.git(&["tag", "-f", "v0.4.5"]);
    let failure = upstreams.run("fetch").failure();
    assert!(failure.contains("the tag v0.4.5 was moved upstream"), "{failure}");
}

#[test]
fn network_outage_says_when_to_run_it_again() {
    let mut upstreams = Upstreams::new();
    upstreams.variables[0].1 = "http://127.0.0.1:1".to_owned();
    let failure = upstreams.run("fetch").failure();
    assert!(failure.contains("see that the network is up"), "{failure}");
}

#[test]
fn a_fetched_tree_with_changes_is_never_overwritten() {
    let upstreams = Upstreams::new();
    upstreams.run("fetch").good();
    let file = upstreams.root().join("third_party/krew/README");
    fs::write(&file, "mine").unwrap();
    let failure = upstreams.run("fetch").failure();
    assert!(failure.contains("uncommitted change"), "{failure}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(upstreams.run("status").code, Some(1));
}

#[test]
fn the_repository_itself_is_valid_through_the_thin_caller() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/validate.py");
    let ran = Command::new(script).env("SWOOSH", env!("CARGO_BIN_EXE_swoosh")).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
}
