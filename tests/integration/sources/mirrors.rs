//! Mirrors as people carry them: of another user, packed again, cut, thinned, damaged, in folders with odd names.

use std::os::unix::fs::{MetadataExt as _, chown};

use super::*;

/// A bare clone of a desk's repository, made with these options of git's clone.
fn carry(desk: &Desk, name: &str, options: &[&str]) -> GitRepository {
    let folder = desk.folder.path().join(name);
    let from = format!("file://{}", desk.repository.folder.display());
    let mut arguments = vec!["clone", "-q", "--bare"];
    arguments.extend_from_slice(options);
    arguments.extend([from.as_str(), folder.to_str().unwrap()]);
    desk.repository.git(&["config", "uploadpack.allowFilter", "true"]);
    desk.repository.git(&arguments);
    GitRepository { folder }
}

fn mirrored(desk: &mut Desk, url: &str) {
    desk.variables = vec![("SWOOSH_SOURCES_MIRROR_ALPHA".to_owned(), url.to_owned())];
    desk.configure_url("https://h.invalid/alpha.git", "v1", "");
}

fn url(repository: &GitRepository) -> String {
    format!("file://{}", repository.folder.display())
}

/// Whether the log says that anything was tried again.
fn tried_again(desk: &Desk) -> bool {
    let log = fs::read_to_string(desk.root().join("logs/sources.log")).unwrap_or_default();
    log.contains("trying again") || log.contains("cleaning it up")
}

/// Files on a carried disk have another owner. Git's refusal of that was retried as a network failure.
#[test]
fn a_mirror_of_another_user_is_read() {
    let mut desk = Desk::new();
    let mirror = carry(&desk, "carried.git", &[]);
    if !give_away(&mirror.folder) {
        return crate::support::skipped("only root may give files to another user");
    }
    mirrored(&mut desk, &url(&mirror));
    desk.run(&["sources", "sync"]).good();
    assert_eq!(desk.head(), desk.repository.git(&["rev-parse", "v1^{commit}"]));
}

fn give_away(folder: &Path) -> bool {
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        if chown(&path, Some(12_345), Some(12_345)).is_err() || fs::metadata(&path).unwrap().uid() != 12_345 {
            return false;
        }
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    true
}

/// Both came through and left a tree without its history, or failed as "has no commit".
#[test]
fn a_shallow_and_a_blobless_mirror_are_refused_with_the_command_that_mends_them() {
    for (options, said) in [
        (["--depth", "1"].as_slice(), "fetch --unshallow"),
        (["--filter=blob:none"].as_slice(), "fetch --refetch --no-filter"),
        (["--filter=tree:0"].as_slice(), "fetch --refetch --no-filter"),
    ] {
        let mut desk = Desk::new();
        let mirror = carry(&desk, "thin.git", options);
        mirrored(&mut desk, &url(&mirror));
        desk.configure_url("https://h.invalid/alpha.git", &desk.repository.git(&["rev-parse", "main"]), "");
        let error = desk.run(&["sources", "sync"]).failure();
        let command = format!("git -C {} {said}", mirror.folder.display());
        assert!(error.contains(&command), "{options:?}: {error}");
        assert!(!tried_again(&desk) && !desk.tree().exists(), "{options:?}");
    }
}

#[test]
fn a_shallow_mirror_behind_a_server_is_refused_and_not_tried_again() {
    let mut desk = Desk::new();
    carry(&desk, "served/thin.git", &["--depth", "1"]);
    let server = desk.serve();
    mirrored(&mut desk, &format!("{}/thin.git", server.url));
    desk.configure_url("https://h.invalid/alpha.git", &desk.repository.git(&["rev-parse", "main"]), "");
    let error = desk.run(&["sources", "sync"]).failure();
    assert!(error.contains("shallow") && error.contains("--unshallow"), "{error}");
    assert!(!tried_again(&desk));
}

#[test]
fn an_object_that_is_missing_in_a_mirror_is_named_and_not_tried_again() {
    let mut desk = Desk::new();
    let mirror = carry(&desk, "served/torn.git", &[]);
    let (blob, pack) = (desk.repository.git(&["rev-parse", "v1:a.txt"]), mirror.folder.join("objects/pack"));
    let unpacked = desk.folder.path().join("unpacked");
    fs::rename(&pack, &unpacked).unwrap();
    fs::create_dir(&pack).unwrap();
    for file in fs::read_dir(&unpacked).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "pack") {
            let input = fs::File::open(file).unwrap();
            let mut git = Command::new("git");
            git.args(["unpack-objects", "-q"]).current_dir(&mirror.folder).stdin(input);
            assert!(git.status().unwrap().success());
        }
    }
    fs::remove_file(mirror.folder.join("objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    let server = desk.serve();
    for (address, said) in [(url(&mirror), "is missing there"), (format!("{}/torn.git", server.url), "lacks an object")]
    {
        mirrored(&mut desk, &address);
        let error = desk.run(&["sources", "sync"]).failure();
        assert!(error.contains(said), "{error}");
        assert!(!error.contains("network") && !tried_again(&desk), "{error}");
    }
}

/// The settings of a partial clone stay after all its objects are there, and the refusal was repeated.
#[test]
fn a_partial_mirror_is_read_after_the_command_that_completes_it() {
    for filter in ["--filter=blob:none", "--filter=tree:0"] {
        let mut desk = Desk::new();
        let mirror = carry(&desk, "thin.git", &["--mirror", filter]);
        mirrored(&mut desk, &url(&mirror));
        let error = desk.run(&["sources", "sync"]).failure();
        assert!(error.contains("partial clone") && error.contains("fetch --refetch --no-filter"), "{error}");
        mirror.git(&["fetch", "-q", "--refetch", "--no-filter"]);
        desk.run(&["sources", "sync"]).good();
        assert_eq!(desk.head(), desk.repository.git(&["rev-parse", "v1^{commit}"]));
    }
}

/// A tree was called a commit that lacks files.
#[test]
fn an_id_of_no_commit_is_named_as_that() {
    let mut desk = Desk::new();
    let git = |arguments: &[&str]| desk.repository.git(arguments);
    let (tree, blob) = (git(&["rev-parse", "v1^{tree}"]), git(&["rev-parse", "v1:a.txt"]));
    git(&["tag", "-a", "-m", "x", "of-a-tree", &tree]);
    git(&["tag", "of-a-blob", &blob]);
    let tag = git(&["rev-parse", "of-a-tree"]);
    let mirror = carry(&desk, "served/whole.git", &[]);
    let server = desk.serve();
    for address in [url(&mirror), format!("{}/whole.git", server.url)] {
        for (pinned, kind) in [
            (&tree, "tree"),
            (&blob, "blob"),
            (&tag, "tree"),
            (&"of-a-tree".to_owned(), "tree"),
            (&"of-a-blob".to_owned(), "blob"),
        ] {
            mirrored(&mut desk, &address);
            desk.configure_url("https://h.invalid/alpha.git", pinned, "");
            let error = desk.run(&["sources", "sync"]).failure();
            assert!(
                error.contains(&format!("is a {kind}, and a source needs a commit")),
                "{address} {pinned}: {error}"
            );
            assert!(!tried_again(&desk), "{address} {pinned}");
        }
        let upper = desk.repository.git(&["rev-parse", "v1^{commit}"]).to_ascii_uppercase();
        desk.configure_url("https://h.invalid/alpha.git", &upper, "");
        let error = desk.run(&["sources", "sync"]).failure();
        assert!(error.contains("lower case"), "{error}");
    }
}

#[test]
fn a_reftable_mirror_is_refused_with_the_command_that_mends_it() {
    let mut desk = Desk::new();
    let mirror = carry(&desk, "table.git", &[]);
    let config = fs::read_to_string(mirror.folder.join("config")).unwrap();
    let config = config.replace("repositoryformatversion = 0", "repositoryformatversion = 1");
    fs::write(mirror.folder.join("config"), format!("{config}[extensions]\n\trefStorage = reftable\n")).unwrap();
    mirrored(&mut desk, &url(&mirror));
    let error = desk.run(&["sources", "sync"]).failure();
    assert!(error.contains("reftable") && error.contains("refs migrate --ref-format=files"), "{error}");
    assert!(!error.contains("see that the network is up") && !tried_again(&desk), "{error}");
}

/// It was listed, and then not found.
#[test]
fn escapes_in_a_file_address_name_folders_with_blanks_and_other_letters() {
    for (folder, escaped) in
        [("my disk.git", "my%20disk.git"), ("100%.git", "100%25.git"), ("m\u{fc}ll.git", "m%C3%BCll.git")]
    {
        let mut desk = Desk::new();
        carry(&desk, folder, &[]);
        let url = format!("file://{}/{escaped}", desk.folder.path().display());
        mirrored(&mut desk, &url);
        desk.run(&["sources", "sync"]).good();
        assert_eq!(desk.head(), desk.repository.git(&["rev-parse", "v1^{commit}"]), "{folder}");
    }
}

/// `a-b` and `a.b` share SWOOSH_SOURCES_MIRROR_A_B: the second held the first's repository and was called clean.
#[test]
fn two_sources_that_share_a_mirror_variable_are_refused() {
    let mut desk = Desk::new();
    let text = "repositories:\n- {name: a-b, url: 'https://h.invalid/one.git', ref: v1}\n- {name: a.b, url: 'https://h.invalid/two.git', ref: v1}\n";
    fs::write(desk.root().join("config/sources.yaml"), text).unwrap();
    desk.variables.push(("SWOOSH_SOURCES_MIRROR_A_B".to_owned(), url(&desk.repository)));
    for command in [["sources", "sync"].as_slice(), ["sources", "sync", "a-b"].as_slice()] {
        let error = desk.run(command).failure();
        assert!(
            error.contains("SWOOSH_SOURCES_MIRROR_A_B") && error.contains("a-b") && error.contains("a.b"),
            "{error}"
        );
    }
    assert!(!desk.root().join("sources/a.b").exists());
    let doctor = desk.run(&["sources", "doctor"]).failure();
    assert!(doctor.contains("SWOOSH_SOURCES_MIRROR_A_B"), "{doctor}");
}

/// The tag was there over http and absent over file://, so that `git describe` differed.
#[test]
fn the_tree_is_the_same_over_every_transport() {
    let mut seen = Vec::new();
    for over_http in [false, true] {
        let mut desk = Desk::new();
        let _server = over_http.then(|| desk.serve());
        desk.run(&["sources", "sync"]).good();
        let tree = GitRepository { folder: desk.tree() };
        assert_eq!(tree.git(&["describe"]), "v1", "over http: {over_http}");
        let names = tree.git(&["for-each-ref", "--format=%(refname) %(objecttype)"]);
        seen.push((names, tree.git(&["fsck", "--full"])));
    }
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn the_id_of_an_annotated_tag_is_named_as_what_it_is() {
    for over_http in [false, true] {
        let mut desk = Desk::new();
        let _server = over_http.then(|| desk.serve());
        let (tag, commit) =
            (desk.repository.git(&["rev-parse", "v1"]), desk.repository.git(&["rev-parse", "v1^{commit}"]));
        assert_ne!(tag, commit);
        if over_http {
            desk.configure_url("https://h.invalid/alpha.git", &tag, "");
        } else {
            desk.configure(&tag, "");
        }
        let error = desk.run(&["sources", "sync"]).failure();
        assert!(error.contains("is the annotated tag v1") && error.contains(&commit), "{error}");
    }
}

#[test]
fn the_short_form_of_ssh_is_answered_with_the_address_to_write() {
    let desk = Desk::new();
    desk.configure_url("git@h.example:team/app.git", "v1", "");
    let error = desk.run(&["sources", "sync"]).failure();
    assert!(error.contains("write ssh://git@h.example/team/app.git"), "{error}");
}

/// A mirror that was packed again added its whole history once more, in each round.
#[test]
fn a_mirror_that_was_packed_again_adds_what_is_new_and_no_more() {
    let desk = Desk::new();
    let noise = |seed: u32| -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..200_000).map(|_| next()).collect()
    };
    let first = desk.repository.commit("large.bin", &noise(1));
    desk.repository.git(&["repack", "-adq"]);
    desk.configure(&first, "");
    desk.run(&["sources", "sync"]).good();
    let size = || desk.run(&["sources", "status"]).good().said["sources"][0]["stored_bytes"].as_u64().unwrap();
    let before = size();
    assert!(before > 200_000, "{before}");
    for round in 0..4 {
        let commit = desk.repository.commit("small.txt", format!("{round}\n").as_bytes());
        desk.repository.git(&["repack", "-adfq", &format!("--window={}", round + 1)]);
        desk.configure(&commit, "");
        desk.run(&["sources", "sync"]).good();
        assert_eq!(desk.head(), commit);
    }
    let grown = size() - before;
    assert!(grown < 100_000, "four small commits added {grown} bytes to {before}");
    GitRepository { folder: desk.tree() }.git(&["fsck", "--full"]);
}

/// A mirror that borrows its objects (`git clone --reference`) is read like any other.
#[test]
fn a_mirror_that_borrows_objects_is_read() {
    let mut desk = Desk::new();
    let lender = desk.repository.folder.join(".git/objects");
    let mirror = GitRepository { folder: desk.folder.path().join("borrows.git") };
    fs::create_dir(&mirror.folder).unwrap();
    mirror.git(&["init", "-q", "--bare"]);
    fs::write(mirror.folder.join("objects/info/alternates"), format!("{}\n", lender.display())).unwrap();
    let tag = desk.repository.git(&["rev-parse", "v1"]);
    mirror.git(&["update-ref", "refs/tags/v1", &tag]);
    mirrored(&mut desk, &url(&mirror));
    desk.run(&["sources", "sync"]).good();
    GitRepository { folder: desk.tree() }.git(&["fsck", "--full"]);
}

/// Pointers passed as content in silence, as submodules do not.
#[test]
fn a_pointer_of_git_lfs_is_a_finding() {
    let desk = Desk::new();
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n", "0".repeat(64));
    let commit = desk.repository.commit("large.iso", pointer.as_bytes());
    desk.configure(&commit, "");
    desk.run(&["sources", "sync"]).good();
    let scanned = desk.run(&["sources", "scan"]);
    let said = format!("{} {}", scanned.said, scanned.errors);
    assert!(said.contains("large.iso: a pointer of Git LFS, whose content is not fetched"), "{said}");
}
