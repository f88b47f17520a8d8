//! Backups of a running node, and what is put back from them: the same heads, records, receipts and keys.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use swoosh::journal::Journal;
use swoosh::types::keys::SecretKey;
use swoosh::types::names::{Region, Transition};

use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::{Project, bytes};
use crate::support::world::Ask;

/// Waits until something holds; two minutes is more than a busy machine takes.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{what} never happened");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
pub fn good(output: Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn bad(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Every project's head after a record, as the node tells it.
pub fn heads_at(daemon: &Daemon, index: u64) -> BTreeMap<String, String> {
    let projects = daemon.get("/projects").json()["projects"].as_array().unwrap().clone();
    let named = projects.iter().map(|project| project["project"].as_str().unwrap().to_owned());
    let head = |name: String| {
        let state = daemon.get(&format!("/state?project={name}&at={index}")).json();
        (state["index"].as_u64() > Some(0)).then(|| (name, state["hash"].as_str().unwrap().to_owned()))
    };
    named.filter_map(head).collect()
}

/// Where a test keeps its backups, and what it restores.
struct Shelf(tempfile::TempDir);

impl Shelf {
    fn new() -> Shelf {
        Shelf(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    fn backups(&self) -> PathBuf {
        self.0.path().join("backups")
    }

    fn place(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    #[track_caller]
    fn create(&self, site: &Site) -> Value {
        good(site.run(&["--json", "backup", "create", "--to", text(&self.backups())]))
    }

    fn restore(&self, site: &Site, to: &str, more: &[&str]) -> Output {
        let (from, to) = (self.backups(), self.place(to));
        let given = ["--json", "restore", "--from", text(&from), "--to", text(&to), "--reason", "a test"];
        site.tool(&[&given[..], more].concat())
    }

    fn verify(&self, site: &Site) -> Output {
        site.tool(&["--json", "backup", "verify", "--from", text(&self.backups())])
    }

    /// The file of a backup that holds this.
    fn object(&self, backup: &Value, path: &str) -> PathBuf {
        let files = backup["backup"]["files"].as_array().unwrap();
        let file = files.iter().find(|file| file["path"].as_str().unwrap().contains(path)).unwrap();
        self.backups().join(file["object"].as_str().unwrap())
    }
}

/// A project with some records.
fn busy<'a>(site: &'a Site, daemon: &Daemon, name: &str) -> Project<'a> {
    let mut project = Project::new(site, name);
    project.drive(daemon, Region::Boot, "LICENSED");
    project
}

fn toggle(project: &mut Project<'_>, daemon: &Daemon) {
    project.accept(daemon, Transition::ControlPause);
    project.accept(daemon, Transition::ControlResume);
}

#[test]
fn a_backup_under_load_restores_every_head_at_its_last_record() {
    let (site, shelf) = (Site::new(), Shelf::new());
    let daemon = site.start();
    let mut projects: Vec<_> = ["one", "two", "three"].iter().map(|name| busy(&site, &daemon, name)).collect();
    let enough = AtomicBool::new(false);
    let made: Vec<Value> = std::thread::scope(|scope| {
        for project in &mut projects {
            let (daemon, enough) = (&daemon, &enough);
            scope.spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    toggle(project, daemon)
                }
            });
        }
        let made = (0..3).map(|_| shelf.create(&site)).collect();
        enough.store(true, Ordering::Relaxed);
        made
    });
    assert!(made.iter().all(|made| made["while_running"] == true));
    let files = made[2]["backup"]["files"].as_array().unwrap().len() as u64;
    assert!(made[2]["written_files"].as_u64().unwrap() < files, "tables of before are not written again: {}", made[2]);
    let leftover = std::fs::read_dir(site.data().join("checkpoints")).unwrap().count();
    assert_eq!(leftover, 0, "the checkpoint goes when the backup is made");
    good(shelf.verify(&site));
    let restored = good(shelf.restore(&site, "again", &[]));
    let last = made[2]["backup"]["last_index"].as_u64().unwrap();
    assert_eq!((restored["last_index"].as_u64(), &restored["incarnation"]), (Some(last), &json!(2)));
    let heads: BTreeMap<String, String> = serde_json::from_value(restored["projects"].clone()).unwrap();
    assert_eq!(heads, heads_at(&daemon, last));
    daemon.terminate();
    std::fs::copy(site.data().join("node.key"), shelf.place("again").join("node.key")).unwrap();
    let daemon = site.start_in(&shelf.place("again")).unwrap();
    for project in &mut projects {
        project.refresh(&daemon);
        let shown = daemon.get(&format!("/state?project={}&projection=control", project.name)).json();
        if shown["projection"]["control"]["paused"] == true {
            project.accept(&daemon, Transition::ControlResume);
        }
        toggle(project, &daemon);
    }
    daemon.terminate();
    let journal = Journal::open_read_only(shelf.place("again").join("journal")).unwrap();
    let report = swoosh::journal::verify::verify(&journal, &mut |_| ());
    assert!(report.is_good(), "{:?}", report.problems);
    assert_eq!((report.incarnations.len(), report.incarnations[0].after), (1, last));
    let replayed = swoosh::journal::replay::replay(&journal, &mut |_| (), None);
    assert_eq!((replayed.fault, replayed.replayed), (None, report.records));
}

#[test]
fn a_restore_to_a_record_forgets_what_came_later_and_repeats_what_came_before() {
    let (site, shelf) = (Site::new(), Shelf::new());
    let daemon = site.start();
    let mut project = busy(&site, &daemon, "one");
    let early = project.signed(&Ask::new(Transition::ControlPause));
    let receipt = daemon.post(&bytes(&early));
    project.advance(&early.proposal, &receipt.receipt());
    let kept = daemon.last_index();
    let late = project.signed(&Ask::new(Transition::ControlResume));
    let answer = daemon.post(&bytes(&late));
    project.advance(&late.proposal, &answer.receipt());
    busy(&site, &daemon, "later");
    let heads = heads_at(&daemon, kept);
    daemon.terminate();
    let made = shelf.create(&site);
    assert_eq!(made["while_running"], false);
    let past = (kept + 1_000).to_string();
    assert!(bad(&shelf.restore(&site, "past", &["--index", &past])).contains("no backup holds record"));
    let restored = good(shelf.restore(&site, "then", &["--index", &kept.to_string()]));
    assert_eq!(restored["last_index"], kept);
    let found: BTreeMap<String, String> = serde_json::from_value(restored["projects"].clone()).unwrap();
    assert_eq!(found, heads);
    // Rows of effects that records behind the end had opened were left, and made this say that the log is damaged.
    good(site.run_in(&shelf.place("then"), &["--json", "wal", "verify"]));
    std::fs::copy(site.data().join("node.key"), shelf.place("then").join("node.key")).unwrap();
    let daemon = site.start_in(&shelf.place("then")).unwrap();
    assert_eq!(daemon.last_index(), kept);
    let again = daemon.post(&bytes(&early));
    assert_eq!((again.status, &again.body), (202, &receipt.body), "its key is bound as before");
    let again = daemon.post(&bytes(&late));
    assert_eq!(again.status, 202, "{}", again.text());
    assert_ne!(again.body, answer.body, "it was forgotten, and is accepted in the new incarnation");
    assert_eq!(again.receipt().index, kept + 1);
    assert_ne!(again.receipt().chain, answer.receipt().chain);
}

#[test]
fn damage_to_a_backup_is_named_and_nothing_is_restored_from_it() {
    let (site, shelf) = (Site::new(), Shelf::new());
    let daemon = site.start();
    busy(&site, &daemon, "one");
    let made = shelf.create(&site);
    let id = made["backup"]["id"].as_str().unwrap().to_owned();
    daemon.terminate();
    let table = shelf.object(&made, ".sst");
    let whole = std::fs::read(&table).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let damages: [(&str, Option<&[u8]>); 3] =
        [("torn", Some(&whole[..whole.len() / 2])), ("flipped", Some(&flipped)), ("missing", None)];
    for (damage, now) in damages {
        match now {
            Some(bytes) => std::fs::write(&table, bytes).unwrap(),
            None => std::fs::remove_file(&table).unwrap(),
        }
        let said = bad(&shelf.verify(&site));
        assert!(said.contains(&id) && said.contains(".sst"), "{damage}: {said}");
        let said = bad(&shelf.restore(&site, damage, &[]));
        assert!(said.contains(".sst"), "{damage}: {said}");
        assert!(!shelf.place(damage).exists(), "{damage}");
    }
    let left = std::fs::read_dir(shelf.0.path()).unwrap().count();
    assert_eq!(left, 1, "what was begun is removed");
    let mended = good(site.run(&["--json", "backup", "create", "--to", text(&shelf.backups())]));
    assert_eq!(mended["mended"].as_array().unwrap().len(), 1, "the next backup writes the file again");
    good(shelf.verify(&site));
    std::fs::write(shelf.backups().join(format!("backups/{id}.json")), "{}").unwrap();
    assert!(bad(&shelf.verify(&site)).contains(&id));
}

#[test]
fn nothing_is_overwritten_and_wrong_paths_are_reported() {
    let (site, shelf) = (Site::new(), Shelf::new());
    let daemon = site.start();
    busy(&site, &daemon, "one");
    assert!(bad(&shelf.restore(&site, "x", &[])).contains("there is no backup in"));
    let inside = site.data().join("backups");
    assert!(bad(&site.run(&["backup", "create", "--to", text(&inside)])).contains("in the data directory"));
    shelf.create(&site);
    std::fs::create_dir(shelf.place("full")).unwrap();
    std::fs::write(shelf.place("full").join("precious"), "x").unwrap();
    assert!(bad(&shelf.restore(&site, "full", &[])).contains("nothing is overwritten"));
    assert_eq!(std::fs::read_dir(shelf.place("full")).unwrap().count(), 1);
    assert!(bad(&shelf.restore(&site, "y", &["--backup", "none"])).contains("the newest are"));
}

fn canonical(manifest: &Value) -> Vec<u8> {
    swoosh::types::json::Json::parse(manifest.to_string().as_bytes()).unwrap().canonical()
}

/// Signs a manifest as its node does: over its canonical form without the seal.
fn sign(manifest: &mut Value, key: &SecretKey) {
    manifest.as_object_mut().unwrap().remove("seal");
    let message = [&b"swoosh/backup/v1\n"[..], &canonical(manifest)].concat();
    manifest["seal"] = json!({"node": key.public(), "signature": key.sign(&message)});
}

/// Writes a manifest under another name and with other members, as a node with another clock would have.
fn rename(site: &Site, shelf: &Shelf, from: &str, to: &str, taken_at: &str) {
    let folder = shelf.backups().join("backups");
    let mut manifest: Value =
        serde_json::from_slice(&std::fs::read(folder.join(format!("{from}.json"))).unwrap()).unwrap();
    (manifest["id"], manifest["taken_at"]) = (json!(to), json!(taken_at));
    sign(&mut manifest, &site.hands.get("node").secret);
    std::fs::write(folder.join(format!("{to}.json")), canonical(&manifest)).unwrap();
    std::fs::remove_file(folder.join(format!("{from}.json"))).unwrap();
}

/// The newest backup was the one with the latest name. After a clock had been ahead for one round, a restore took a
/// stale backup, and pruning kept the stale ones and removed the others.
#[test]
fn the_newest_backup_is_the_one_with_the_latest_records_whatever_its_name() {
    let (site, shelf) = (Site::new(), Shelf::new());
    let daemon = site.start();
    let mut project = busy(&site, &daemon, "one");
    let first = shelf.create(&site)["backup"].clone();
    toggle(&mut project, &daemon);
    let second = shelf.create(&site)["backup"].clone();
    daemon.terminate();
    let stale = format!("20991231T235959.000Z-{}", first["last_index"]);
    rename(&site, &shelf, first["id"].as_str().unwrap(), &stale, "2099-12-31T23:59:59.000+00:00#0");
    let restored = good(shelf.restore(&site, "a", &[]));
    assert_eq!((&restored["backup"], &restored["last_index"]), (&second["id"], &second["last_index"]));
    assert_eq!(restored["named_later"], json!([stale]));
    let said = site.tool(&[
        "restore",
        "--from",
        text(&shelf.backups()),
        "--to",
        text(&shelf.place("b")),
        "--reason",
        "a test",
    ]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("warning: backups with later names hold older records"));
    let index = first["last_index"].to_string();
    assert_eq!(good(shelf.restore(&site, "c", &["--index", &index]))["backup"], second["id"]);
    let listed = good(site.tool(&["--json", "backup", "list", "--from", text(&shelf.backups())]));
    assert_eq!(listed["backups"].as_array().unwrap().last().unwrap()["id"], second["id"]);
    good(site.tool(&["--json", "backup", "prune", "--from", text(&shelf.backups()), "--keep", "1"]));
    assert_eq!(good(shelf.restore(&site, "d", &[]))["backup"], second["id"]);
    // One whose manifest cannot be read may be the newest: it is not passed over in silence.
    std::fs::write(shelf.backups().join("backups").join(format!("{stale}.json")), "{}").unwrap();
    assert!(bad(&shelf.restore(&site, "e", &[])).contains("may be the newest"));
}

/// A restore looked at heads and at nothing before their snapshots: a damaged key was restored in silence.
#[test]
fn a_restore_finds_the_damage_that_verify_finds_in_a_backup() {
    let (site, shelf) = (Site::new(), Shelf::new());
    let daemon = site.start();
    busy(&site, &daemon, "one");
    daemon.terminate();
    let made = shelf.create(&site)["backup"].clone();
    // The manifest says one record more than there is.
    let folder = shelf.backups().join("backups");
    let path = folder.join(format!("{}.json", made["id"].as_str().unwrap()));
    let whole = std::fs::read(&path).unwrap();
    let mut manifest: Value = serde_json::from_slice(&whole).unwrap();
    manifest["last_index"] = json!(made["last_index"].as_u64().unwrap() + 1);
    std::fs::write(&path, canonical(&manifest)).unwrap();
    assert!(bad(&shelf.verify(&site)).contains("says that it ends at record"));
    std::fs::write(&path, whole).unwrap();
    good(shelf.verify(&site));
    assert_eq!(good(shelf.restore(&site, "a", &[]))["damage"], json!([]));
    good(site.run_in(&shelf.place("a"), &["--json", "wal", "verify"]));
}

#[test]
fn an_encrypted_backup_holds_the_node_s_key_and_opens_with_its_identity_alone() {
    let (site, shelf) = (Site::new(), Shelf::new());
    let daemon = site.start();
    busy(&site, &daemon, "one");
    let identity = shelf.place("identity.age");
    let identity_made = good(site.tool(&["--json", "secrets", "identity", "--out", text(&identity)]));
    let recipient = identity_made["recipient"].as_str().unwrap_or_else(|| panic!("{identity_made}")).to_owned();
    let made =
        good(site.run(&["--json", "backup", "create", "--to", text(&shelf.backups()), "--recipient", &recipient]));
    let heads = heads_at(&daemon, made["backup"]["last_index"].as_u64().unwrap());
    daemon.terminate();
    let secret = std::fs::read(site.data().join("node.key")).unwrap();
    for entry in std::fs::read_dir(shelf.backups().join("objects")).unwrap() {
        for object in std::fs::read_dir(entry.unwrap().path()).unwrap() {
            let object = object.unwrap().path();
            assert!(object.extension().is_some_and(|extension| extension == "age"), "{}", object.display());
            let bytes = std::fs::read(&object).unwrap();
            assert!(!bytes.windows(secret.len()).any(|part| part == secret));
        }
    }
    assert!(bad(&shelf.restore(&site, "closed", &[])).contains("--identity"));
    let other = shelf.place("other.age");
    good(site.tool(&["--json", "secrets", "identity", "--out", text(&other)]));
    let said = bad(&shelf.restore(&site, "closed", &["--identity", text(&other)]));
    assert!(said.contains("--identity names the file") && said.contains("Nothing was restored"), "{said}");
    let restored = good(shelf.restore(&site, "open", &["--identity", text(&identity)]));
    assert_eq!(restored["has_node_key"], true);
    assert_eq!(std::fs::read(shelf.place("open").join("node.key")).unwrap(), secret);
    let daemon = site.start_in(&shelf.place("open")).unwrap();
    assert_eq!(heads_at(&daemon, daemon.last_index()), heads);
}

#[test]
fn a_node_makes_backups_by_itself_and_keeps_as_many_as_it_should() {
    let shelf = Shelf::new();
    let site = Site::with(always_open(), |settings| {
        settings["backup"] = json!({"directory": shelf.backups(), "every_ms": 300, "keep": 2, "keep_ms": 0});
    });
    let daemon = site.start();
    let mut project = busy(&site, &daemon, "one");
    let list = || good(site.tool(&["--json", "backup", "list", "--from", text(&shelf.backups())]))["backups"].clone();
    let newest = || list().as_array().unwrap().last().map(|backup| backup["id"].clone());
    let mut seen = std::collections::BTreeSet::new();
    eventually("the fourth backup", || {
        toggle(&mut project, &daemon);
        if shelf.backups().join("backups").is_dir() {
            seen.extend(newest().map(|id| id.to_string()));
        }
        (seen.len() >= 4).then_some(())
    });
    daemon.kill();
    good(site.tool(&["--json", "backup", "prune", "--from", text(&shelf.backups()), "--keep", "1"]));
    assert_eq!(list().as_array().unwrap().len(), 1);
    good(shelf.verify(&site));
    good(shelf.restore(&site, "again", &[]));
}

/// After a restart the time of the last backup was 0 until the next round, like on a node that never made one.
#[test]
fn a_restart_does_not_forget_the_last_backup() {
    let shelf = Shelf::new();
    let site = Site::with(always_open(), |settings| {
        settings["backup"] = json!({"directory": shelf.backups(), "every_ms": 300});
    });
    let none = |daemon: &Daemon| daemon.measures("swoosh_backup_last_success_seconds 0");
    let daemon = site.start();
    busy(&site, &daemon, "one");
    eventually("a backup", || (!none(&daemon)).then_some(()));
    daemon.kill();
    site.change_settings(|settings| settings["backup"]["every_ms"] = json!(2_592_000_000_u64));
    let daemon = site.start();
    eventually("the earlier backup", || (!none(&daemon)).then_some(()));
}

#[test]
fn leftovers_of_a_killed_backup_are_removed_and_earlier_ones_stay_good() {
    let (site, shelf) = (Site::new(), Shelf::new());
    let daemon = site.start();
    let mut project = busy(&site, &daemon, "one");
    shelf.create(&site);
    let partial = shelf.backups().join("objects/00");
    std::fs::create_dir_all(&partial).unwrap();
    std::fs::write(partial.join(".partial-abc"), "half").unwrap();
    std::fs::write(partial.join("0".repeat(64)), "an object that no backup names").unwrap();
    good(shelf.verify(&site));
    toggle(&mut project, &daemon);
    shelf.create(&site);
    assert!(!partial.join(".partial-abc").exists() && !partial.join("0".repeat(64)).exists());
    good(shelf.verify(&site));
}

/// A site like another one, of another node.
fn foreign() -> Site {
    let site = Site::new();
    site.put_node_key(&site.hands.get("stranger").secret);
    site
}

/// Anybody can encrypt for a public recipient: a backup of another node was good, and was restored.
#[test]
fn a_backup_of_another_node_is_neither_good_nor_restored() {
    let (site, other, shelf) = (Site::new(), foreign(), Shelf::new());
    let identity = shelf.place("identity.age");
    let identity_made = good(site.tool(&["--json", "secrets", "identity", "--out", text(&identity)]));
    let recipient = identity_made["recipient"].as_str().unwrap().to_owned();
    let make = |site: &Site, to: &str| {
        let daemon = site.start();
        busy(site, &daemon, "one");
        daemon.terminate();
        good(site.run(&["--json", "backup", "create", "--to", text(&shelf.place(to)), "--recipient", &recipient]))
    };
    let (own, planted) = (make(&site, "backups"), make(&other, "planted"));
    let opened = ["--identity", text(&identity)];
    let verify = |more: &[&str]| {
        let from = shelf.backups();
        let given = ["--json", "backup", "verify", "--from", text(&from)];
        site.tool(&[&given[..], &opened, more].concat())
    };
    let checked = good(verify(&[]));
    let (node, stranger) = (site.hands.get("node").key().to_string(), site.hands.get("stranger").key().to_string());
    assert_eq!((checked["node"].as_str(), &checked["signed"]), (Some(node.as_str()), &json!(1)), "{checked}");
    let restored = good(shelf.restore(&site, "mine", &opened));
    assert_eq!((&restored["node"], &restored["signed"]), (&json!(node), &json!(true)));

    // In the place of the node's own.
    let moved = shelf.place("aside");
    std::fs::rename(shelf.backups(), &moved).unwrap();
    std::fs::rename(shelf.place("planted"), shelf.backups()).unwrap();
    assert!(bad(&verify(&[])).contains("held backups of node"), "the owner was known");
    // A link to the directory was another first use.
    let link = shelf.place("link");
    std::os::unix::fs::symlink(shelf.backups(), &link).unwrap();
    let by_link = site.tool(&[&["--json", "backup", "verify", "--from", text(&link)][..], &opened].concat());
    assert!(bad(&by_link).contains("held backups of node"), "a link names the same directory");
    let refused = bad(&shelf.restore(&site, "x", &opened));
    assert!(refused.contains(&node) && refused.contains(&stranger) && refused.contains("--from-node"), "{refused}");
    assert!(
        bad(&shelf.restore(&site, "x", &[&opened[..], &["--from-node", &node]].concat())).contains("no backup of node")
    );
    let theirs = good(shelf.restore(&site, "theirs", &[&opened[..], &["--from-node", &stranger]].concat()));
    assert_eq!(theirs["node"], json!(stranger));

    // Beside the node's own, where nothing is known yet.
    for below in ["backups", "objects"] {
        let copied = std::process::Command::new("cp").arg("-r").arg(moved.join(below)).arg(shelf.backups()).status();
        assert!(copied.unwrap().success());
    }
    std::fs::remove_file(site.file("known_nodes")).unwrap();
    assert!(bad(&verify(&[])).contains("--from-node"));
    assert!(bad(&shelf.restore(&site, "x", &opened)).contains("name yours with --from-node"));
    let mine = good(shelf.restore(&site, "again", &[&opened[..], &["--from-node", &node]].concat()));
    assert_eq!((&mine["node"], &mine["backup"]), (&json!(node), &own["backup"]["id"]));
    assert!(
        bad(&site.tool(&["backup", "prune", "--from", text(&shelf.backups()), "--keep", "1"]))
            .contains("of another node")
    );
    assert!(!shelf.place("x").exists());
    drop(planted);
}

/// A manifest counts only with its node's signature.
#[test]
fn a_manifest_that_was_changed_or_is_not_signed_is_refused() {
    let (site, shelf) = (Site::new(), Shelf::new());
    let daemon = site.start();
    busy(&site, &daemon, "one");
    daemon.terminate();
    let made = shelf.create(&site)["backup"].clone();
    let path = shelf.backups().join("backups").join(format!("{}.json", made["id"].as_str().unwrap()));
    let write = |manifest: &Value| std::fs::write(&path, canonical(manifest)).unwrap();
    let unsigned = ["--accept-unsigned"];

    let mut changed = made.clone();
    changed["cluster"] = json!("elsewhere");
    write(&changed);
    assert!(bad(&shelf.restore(&site, "x", &[])).contains("its signature does not hold"));
    assert!(bad(&shelf.restore(&site, "x", &unsigned)).contains("its signature does not hold"));
    // Signed by another key, which the manifest names or does not name as its node.
    let mut other = made.clone();
    sign(&mut other, &site.hands.get("stranger").secret);
    write(&other);
    assert!(bad(&shelf.restore(&site, "x", &[])).contains("its signature does not hold"));
    other["node"] = json!(site.hands.get("stranger").key());
    sign(&mut other, &site.hands.get("stranger").secret);
    write(&other);
    assert!(bad(&shelf.restore(&site, "x", &[])).contains("its log is of node"));

    // As an older program left it.
    let mut old = made.clone();
    old.as_object_mut().unwrap().remove("seal");
    old["format"] = json!(2);
    write(&old);
    let refused = bad(&shelf.restore(&site, "x", &[]));
    assert!(refused.contains("is not signed") && refused.contains("--accept-unsigned"), "{refused}");
    assert!(bad(&shelf.verify(&site)).contains("--accept-unsigned"));
    let restored = good(shelf.restore(&site, "old", &unsigned));
    assert_eq!(restored["signed"], false);
    // A signed one beside it is the newest.
    let fresh = shelf.create(&site)["backup"].clone();
    assert_eq!(good(shelf.restore(&site, "fresh", &[]))["backup"], fresh["id"]);
    assert!(!shelf.place("x").exists());
}

/// The settings' directory was backed up although `--data` named another one, with exit code 0.
#[test]
fn the_data_directory_of_the_command_line_wins_over_that_of_the_settings() {
    let (site, shelf) = (Site::new(), Shelf::new());
    busy(&site, &site.start(), "one");
    let config = site.file("swoosh.yaml");
    let create = |more: &[&str]| {
        let to = shelf.backups();
        let words = ["--json", "backup", "create", "--config", text(&config), "--to", text(&to)];
        site.tool(&[&words[..], more].concat())
    };
    let nowhere = shelf.place("nowhere");
    assert!(bad(&create(&["--data", text(&nowhere)])).contains("there is no journal in"));
    assert!(!shelf.backups().exists(), "nothing was backed up");
    good(create(&["--data", text(&site.data())]));
}

/// To another user, a data directory and a directory of backups read as "there is none".
#[test]
fn what_this_user_may_not_read_is_not_said_to_be_missing() {
    let (site, shelf) = (Site::new(), Shelf::new());
    busy(&site, &site.start(), "one");
    shelf.create(&site);
    let missing = shelf.place("missing");
    let said = site.tool(&["backup", "list", "--from", text(&missing)]);
    assert_eq!((said.status.code(), bad(&said).contains("there is no directory")), (Some(1), true));
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let closed = [site.data(), shelf.backups()];
    // The other user reaches both, and the program.
    for path in [site.file("x").parent().unwrap(), shelf.0.path()] {
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    for path in &closed {
        std::fs::set_permissions(path, Permissions::from_mode(if is_root { 0o700 } else { 0 })).unwrap();
    }
    let (data, backups) = (site.data(), shelf.backups());
    let of_data = ["wal verify", "wal show", "replay", "snapshot list", "clock show", "backup create --to elsewhere"];
    let calls = of_data.map(|words| (words, "--data", &data)).into_iter();
    for (words, option, path) in calls.chain(["list", "verify"].map(|word| (word, "--from", &backups))) {
        let words = if option == "--from" { format!("backup {words}") } else { words.to_owned() };
        let mut command = site.program();
        command.args(words.split(' ')).arg(option).arg(path);
        if is_root {
            command.uid(65_534);
        }
        // Where the other user may not run the program either, there is nothing to try.
        let Ok(output) = command.output() else { continue };
        let said = bad(&output);
        assert!(said.to_lowercase().contains("permission denied") && !said.contains("there is no"), "{words}: {said}");
    }
    for path in &closed {
        std::fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    }
}
