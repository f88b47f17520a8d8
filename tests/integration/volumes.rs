//! Modes that mounts give: Kubernetes opens the files of a volume to a group each time it mounts the volume (`fsGroup`).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::json;

use crate::support::daemon::{Site, always_open};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// What the kubelet does to a volume with `fsGroup` and without `fsGroupChangePolicy: OnRootMismatch`: the group reads and writes files,
/// enters directories, and owns what is made in them.
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
