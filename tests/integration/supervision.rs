//! A daemon's notifications to its service manager, over a real datagram socket, and the effect of SIGHUP.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::json;
use swoosh::types::names::{Region, Transition};

use crate::support::daemon::{Daemon, Site};
use crate::support::driver::Project;
use crate::support::world::Ask;

/// A service manager that listens.
struct Manager {
    socket: UnixDatagram,
    _folder: tempfile::TempDir,
}

impl Manager {
    /// Starts a daemon under it, which must answer a watchdog this often.
    fn start(site: &Site, watchdog_ms: u64) -> (Manager, Daemon) {
        // Not below the target folder: a socket's path is short.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (notify, watchdog) =
            (format!("NOTIFY_SOCKET={}", path.display()), format!("WATCHDOG_USEC={}", watchdog_ms * 1_000));
        let daemon = site.start_by(&["env", &notify, &watchdog]).unwrap();
        (Manager { socket, _folder: folder }, daemon)
    }

    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).expect("the daemon says nothing");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// Waits for a message with this line; what else is in it.
    fn hears(&self, line: &str) -> String {
        loop {
            let message = self.next();
            if message.lines().any(|found| found == line) {
                return message;
            }
        }
    }
}

#[test]
fn a_service_manager_hears_of_start_watchdog_reload_and_end() {
    let site = Site::new();
    let (manager, daemon) = Manager::start(&site, 200);
    let first = manager.next();
    let address = daemon.address.to_string();
    assert!(first.starts_with("READY=1\nSTATUS=accepting; http://") && first.contains(&address), "{first}");
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    while !manager.next().contains("2 records, 1 project in memory") {}
    daemon.signal("HUP");
    let reloading = manager.hears("RELOADING=1");
    let clock = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!(clock.parse::<u64>().unwrap() > 0);
    manager.hears("READY=1");
    daemon.signal("TERM");
    assert!(manager.hears("STOPPING=1").contains("STATUS=draining"));
    assert!(daemon.wait().0.success());
}

#[test]
fn a_hang_up_changes_the_level_of_the_log() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.accept(&daemon, Transition::BootConfigOk);
    // A caller is answered before the line is written.
    daemon.wait_for("/health/live", |_| daemon.log().iter().any(|line| line.contains("Boot_ConfigOk")));
    let change = |level: &str| {
        site.change_settings(|settings| settings["log"] = json!({"level": level}));
        daemon.signal("HUP");
    };
    let read = |times: usize| {
        let reads = |line: &&String| line.contains("the log's level was read again");
        daemon.wait_for("/health/live", |_| daemon.log().iter().filter(reads).count() == times);
    };
    change("info,swoosh::transition=off,swoosh::cli=debug");
    read(1);
    project.accept(&daemon, Transition::BootLicensed);
    assert_eq!(project.propose(&daemon, &Ask::new(Transition::BootLicensed)).status, 400);
    change("info,swoosh=loud");
    daemon.wait_for("/health/live", |_| {
        daemon
            .log()
            .iter()
            .any(|line| line.contains("level is unchanged") || line.contains("settings stay as they were"))
    });
    change("info");
    read(2);
    project.accept(&daemon, Transition::ControlPause);
    let log = daemon.terminate();
    let accepted: Vec<_> = log.iter().filter(|line| line.contains("transition accepted")).collect();
    assert_eq!(accepted.len(), 2, "{accepted:?}");
    assert!(accepted[0].contains("Boot_ConfigOk") && accepted[1].contains("Control_Pause"));
    assert!(log.iter().any(|line| line.contains("proposal refused")), "one module's level was debug");
}

#[test]
fn a_hang_up_brings_the_settings_newer_policies_into_force() {
    let site = Site::new();
    let permit = "@id(\"all\") permit (principal, action, resource);";
    let forbid = "@id(\"no-pause\") forbid (principal, action == Action::\"Control_Pause\", resource);";
    std::fs::write(site.file("p.cedar"), permit).unwrap();
    site.change_settings(|settings| settings["policies"] = json!({"path": "p.cedar", "serial": 5}));
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    std::fs::write(site.file("p.cedar"), format!("{permit}\n{forbid}")).unwrap();
    daemon.signal("HUP");
    daemon.wait_for("/health/live", |_| daemon.log().iter().any(|line| line.contains("raise policies.serial")));
    project.accept(&daemon, Transition::ControlPause);
    project.accept(&daemon, Transition::ControlResume);
    site.change_settings(|settings| settings["policies"] = json!({"path": "p.cedar", "serial": 6}));
    daemon.signal("HUP");
    daemon.wait_for("/health/live", |_| daemon.log().iter().any(|line| line.contains("the policies were read again")));
    let refused = project.propose(&daemon, &Ask::new(Transition::ControlPause));
    assert!(refused.code() == "guard_policy" && refused.text().contains("no-pause"), "{}", refused.text());
}

#[test]
fn a_filter_that_would_silence_the_log_by_mistake_is_refused_and_the_old_one_stays() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.accept(&daemon, Transition::BootConfigOk);
    let refused =
        |daemon: &Daemon| daemon.log().iter().filter(|line| line.contains("settings stay as they were")).count();
    for (times, level) in ["banana", "", "hyper=debug", "info,swoosh::fcts=debug"].into_iter().enumerate() {
        site.change_settings(|settings| settings["log"] = json!({"level": level}));
        daemon.signal("HUP");
        daemon.wait_for("/health/live", |_| refused(&daemon) > times);
    }
    project.accept(&daemon, Transition::BootLicensed);
    let log = daemon.terminate();
    let accepted = log.iter().filter(|line| line.contains("transition accepted")).count();
    assert_eq!(accepted, 2, "{log:#?}");
    site.change_settings(|settings| settings["log"] = json!({"level": "banana"}));
    assert!(site.start_refused().1.contains("\"banana\" is no level"));
}

#[test]
fn a_log_file_gets_every_line_and_rolls_over() {
    let site = Site::new();
    site.change_settings(|settings| {
        settings["log"] = json!({"file": "node.log", "file_max_bytes": 4_096, "file_keep": 1_000});
    });
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    for _ in 0..10 {
        project.accept(&daemon, Transition::ControlPause);
        project.accept(&daemon, Transition::ControlResume);
    }
    let log = daemon.terminate();
    let rolled =
        (1..).map(|n| site.file(&format!("node.log.{n}"))).take_while(|path| path.exists()).collect::<Vec<_>>();
    assert!(rolled.len() > 1, "{rolled:?}");
    let texts: Vec<String> = rolled
        .iter()
        .rev()
        .chain(std::iter::once(&site.file("node.log")))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    assert!(texts.iter().all(|text| text.len() <= 4_096));
    assert_eq!(texts.concat().lines().collect::<Vec<_>>(), log.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(log.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{log:#?}");
}

#[test]
fn a_variable_alone_makes_no_node_die() {
    let site = Site::new();
    let daemon = site.start_by(&["sh", "-c", "export SWOOSH_CRASH_AT=nonsense; exec \"$0\" \"$@\""]).unwrap();
    daemon.wait_for("/health/live", |_| {
        daemon.log().iter().any(|line| line.contains("SWOOSH_CRASH_AT is set and does not count"))
    });
    daemon.terminate();
}

/// A stolen key of the settings stayed valid until the node was restarted.
#[test]
fn a_hang_up_revokes_and_grants_identities_of_the_settings() {
    let site = Site::new();
    let stranger = site.hands.get("stranger").key().to_string();
    site.change_settings(|settings| settings["identities"][&stranger] = json!({"name": "s", "roles": ["operator"]}));
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let by_stranger = |transition: Transition| Ask::new(transition).by("stranger");
    let paused = project.propose(&daemon, &by_stranger(Transition::ControlPause));
    assert_eq!(paused.status, 202, "{}", paused.text());
    project.refresh(&daemon);
    let read = |times: usize| {
        let reads = |line: &&String| line.contains("the identities were read again");
        daemon.wait_for("/health/live", |_| daemon.log().iter().filter(reads).count() == times);
    };
    site.change_settings(|settings| drop(settings["identities"].as_object_mut().unwrap().remove(&stranger)));
    daemon.signal("HUP");
    read(1);
    let refused = project.propose(&daemon, &by_stranger(Transition::ControlResume));
    assert_eq!(refused.code(), "identity_unknown", "{}", refused.text());
    site.change_settings(|settings| settings["identities"][&stranger] = json!({"name": "s", "roles": ["operator"]}));
    daemon.signal("HUP");
    read(2);
    let resumed = project.propose(&daemon, &by_stranger(Transition::ControlResume));
    assert_eq!(resumed.status, 202, "{}", resumed.text());
}
