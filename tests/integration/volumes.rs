//! Modes that mounts give: Kubernetes opens the files of a volume to a group each time it mounts the volume (`fsGroup`).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;
use swoosh::journal::Journal;
use swoosh::types::names::Region;

use crate::backup::{eventually, text};
use crate::support::daemon::{Site, always_open};
use crate::support::driver::Project;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Changes a volume as the kubelet does with `fsGroup` and without `fsGroupChangePolicy: OnRootMismatch`: the group reads
/// and writes files, enters directories, and owns new files in them.
fn mount_again(path: &Path) {
    let bits = if path.is_dir() { 0o2770 } else { 0o660 };
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| mount_again(&entry.unwrap().path()));
    }
    set_mode(path, mode(path) | bits);
}

/// Seen on a real cluster's modes: `node.key` was 0660 after the second mount, and the pod refused to start.
#[test]
fn a_node_starts_on_a_volume_that_was_opened_to_its_group_and_closes_its_key_again() {
    let site = Site::new();
    site.start().terminate();
    let key = site.data().join("node.key");
    for _ in 0..2 {
        mount_again(&site.data());
        assert_eq!((mode(&key), mode(&site.data()) & 0o2070), (0o660, 0o2070));
        let daemon = site.start();
        assert_eq!(daemon.get("/health/ready").status, 200);
        assert_eq!(mode(&key), 0o600, "the key is its owner's alone again");
        daemon.terminate();
        assert!(site.run(&["wal", "verify"]).status.success());
    }
}

/// The same mode where no volume gave it is a mistake that others may have made use of.
#[test]
fn a_key_that_no_volume_opened_still_stops_the_start() {
    let site = Site::new();
    let key = site.data().join("node.key");
    for (directory, file) in [(0o700, 0o660), (0o770, 0o660), (0o2770, 0o664), (0o2770, 0o640), (0o2770, 0o606)] {
        set_mode(&site.data(), directory);
        set_mode(&key, file);
        let (code, said) = site.start_refused();
        assert_eq!(code, Some(1), "{directory:o} {file:o}");
        assert!(said.contains("may be read by others") && said.contains("chmod 600"), "{said}");
        assert_eq!(mode(&key), file);
    }
}

/// An age identity on the same volume, and one that others may read.
#[test]
fn an_age_identity_on_such_a_volume_opens_the_secrets() {
    let site = Site::with(always_open(), |settings| {
        settings["secrets"] = json!({"file": "vault/secrets.age", "identity": "vault/identity.age"});
    });
    let vault = site.file("vault");
    fs::create_dir(&vault).unwrap();
    let path = |name: &str| vault.join(name).to_str().unwrap().to_owned();
    let made = site.tool(&["secrets", "identity", "--out", &path("identity.age")]);
    let recipient = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    fs::write(vault.join("plain.yaml"), "token: abcdefgh\n").unwrap();
    let made = site.tool(&[
        "secrets",
        "encrypt",
        &path("plain.yaml"),
        "--recipient",
        &recipient,
        "--out",
        &path("secrets.age"),
    ]);
    assert!(made.status.success(), "{made:?}");
    mount_again(&vault);
    site.start().terminate();
    assert_eq!(mode(&vault.join("identity.age")), 0o600);
    set_mode(&vault.join("identity.age"), 0o644);
    assert!(site.start_refused().1.contains("may be read by others"));
}

/// Every file and directory of a tree that has one of these bits.
fn open_to(path: &Path, bits: u32) -> Vec<String> {
    let seen = fs::symlink_metadata(path).unwrap();
    let mut found = Vec::new();
    if !seen.file_type().is_symlink() && mode(path) & bits != 0 {
        found.push(format!("{} {:04o}", path.display(), mode(path)));
    }
    if seen.is_dir() {
        found.extend(fs::read_dir(path).unwrap().flat_map(|entry| open_to(&entry.unwrap().path(), bits)));
    }
    found
}

#[track_caller]
fn is_private(path: &Path) {
    assert_eq!(open_to(path, 0o077), Vec::<String>::new());
}

/// The program under an umask that keeps nothing from anybody.
fn wide_open(site: &Site, arguments: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(site.program().get_program()).args(arguments);
    shell.env("SWOOSH_KNOWN_NODES", site.file("known_nodes")).stdin(Stdio::null());
    shell
}

#[track_caller]
fn succeeds(site: &Site, arguments: &[&str]) -> Output {
    let done = wide_open(site, arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?} {done:?}");
    done
}

/// The data directory holds keys, tokens and all records: other users of the machine see nothing of it, whatever the umask was.
#[test]
fn all_that_a_node_and_its_commands_write_is_for_their_owner_alone() {
    let site = Site::new();
    set_mode(&site.data(), 0o755);
    let daemon = site.start_by(&["sh", "-c", "umask 000; exec \"$0\" \"$@\""]).unwrap();
    Project::new(&site, "one").drive(&daemon, Region::Execution, "WORK");
    is_private(&site.data());
    let (data, backups, follower, restored) =
        (site.data(), site.file("backups"), site.file("follower"), site.file("restored"));
    succeeds(&site, &["backup", "create", "--data", text(&data), "--to", text(&backups)]);
    is_private(&backups);

    let url = format!("http://{}", daemon.address);
    let mut following = wide_open(&site, &["follow", &url, "--data", text(&follower), "--listen", "127.0.0.1:0"]);
    let mut following = following.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let last = daemon.last_index();
    eventually("the follower's catching up", || {
        let journal = Journal::open_read_only(follower.join("journal")).ok()?;
        (journal.last().0 >= last).then_some(())
    });
    following.kill().unwrap();
    following.wait().unwrap();
    succeeds(&site, &["promote", "--data", text(&follower), "--yes", "--reason", "test: it goes on"]);
    is_private(&follower);

    fs::create_dir(&restored).unwrap();
    set_mode(&restored, 0o755);
    succeeds(&site, &["restore", "--from", text(&backups), "--to", text(&restored), "--reason", "test: it died"]);
    is_private(&restored);
    daemon.terminate();
    succeeds(&site, &["snapshot", "take", "--data", text(&data)]);
    succeeds(&site, &["wal", "verify", "--data", text(&data)]);
    is_private(&data);
}

/// Permissions that an earlier version left open are closed at the next start.
#[test]
fn a_directory_that_was_open_to_other_users_is_closed_at_the_start() {
    fn open(path: &Path) {
        set_mode(path, if path.is_dir() { 0o755 } else { 0o644 });
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| open(&entry.unwrap().path()));
        }
    }
    let site = Site::new();
    site.start().terminate();
    open(&site.data());
    set_mode(&site.data().join("node.key"), 0o600);
    site.start().terminate();
    assert_eq!(mode(&site.data()), 0o700);
    is_private(&site.journal());
}

/// Kubernetes gives a volume to the group `fsGroup` and needs its access; all others lose theirs.
#[test]
fn the_group_of_a_volume_keeps_its_access_and_all_others_lose_theirs() {
    let site = Site::new();
    site.start().terminate();
    mount_again(&site.data());
    set_mode(&site.data(), 0o2775);
    site.start().terminate();
    assert_eq!(mode(&site.data()), 0o2770);
    assert_eq!(open_to(&site.data(), 0o007), Vec::<String>::new());
    assert_eq!(mode(&site.journal()), 0o2770);
}
