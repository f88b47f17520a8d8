//! Deployment: a daemon starts with the settings, systemd reads the unit, and manifests name existing files.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::skipped;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(deploy().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    yaml_serde::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_example_of_settings_is_good_and_a_daemon_starts_with_it() {
    for name in
        ["settings/development.yaml", "settings/compose.yaml", "settings/production.yaml", "kubernetes/settings.yaml"]
    {
        let path = deploy().join(name);
        let checked =
            Command::new(env!("CARGO_BIN_EXE_swoosh")).args(["settings", "check"]).arg(&path).output().unwrap();
        assert!(checked.status.success(), "{name}: {}", String::from_utf8_lossy(&checked.stderr));
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        // Another daemon may have the port that the example names.
        let mut settings = yaml(name);
        assert!(settings["http"]["observe"].as_str().is_some_and(|address| address.ends_with(":7401")), "{name}");
        settings["http"]["observe"] = json!("127.0.0.1:0");
        for (section, key) in PLACES.iter().filter_map(|place| place.split_once('.')) {
            if let Some(place) = settings[section].get_mut(key).filter(|place| place.is_string()) {
                *place = json!(folder.path().join(section));
            }
        }
        // Files that it names are beside it.
        for beside in std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap()) {
            std::fs::copy(beside.path(), folder.path().join(beside.file_name())).unwrap();
        }
        let copy = folder.path().join("swoosh.yaml");
        std::fs::write(&copy, settings.to_string()).unwrap();
        let daemon = Daemon::with_settings(&copy, &folder.path().join("data"));
        assert_eq!(daemon.get("/health/ready").status, 200, "{name}");
        daemon.terminate();
    }
}

#[test]
fn systemd_reads_the_unit_without_a_complaint() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let unit = folder.path().join("swoosh.service");
    // The program is not installed here.
    std::fs::write(
        &unit,
        read("systemd/swoosh.service").replace("/usr/local/bin/swoosh", env!("CARGO_BIN_EXE_swoosh")),
    )
    .unwrap();
    let Ok(output) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output() else {
        return skipped("there is no systemd-analyze");
    };
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let about: Vec<&str> = said.lines().filter(|line| line.contains("swoosh.service")).collect();
    assert!(output.status.success() && about.is_empty(), "{said}");
}

#[test]
fn the_unit_is_hardened() {
    let unit = read("systemd/swoosh.service");
    for line in [
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "CapabilityBoundingSet=",
        "User=swoosh",
        "Type=notify",
        "WatchdogSec=30",
        "LimitCORE=0",
        "MemorySwapMax=0",
        "TasksMax=2048",
        "LogsDirectoryMode=0700",
        "LoadCredential=swoosh.agekey",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    for key in ["MemoryHigh=", "MemoryMax="] {
        assert!(unit.lines().any(|found| found.starts_with(key)), "{key}");
    }
}

/// development.yaml had no identity and no source of a license, so that a node with it accepted nothing until it was edited.
#[test]
fn the_development_settings_take_a_project_past_its_license_as_they_are() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let keys = folder.path().join("keys");
    let made = Command::new("sh").arg(deploy().join("settings/development-keys.sh")).arg(&keys).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut settings = yaml("settings/development.yaml");
    // Another daemon may have the port of the second listener.
    settings["http"]["observe"] = json!("127.0.0.1:0");
    let schedule = "development.backbeat.yaml";
    std::fs::copy(deploy().join("settings").join(schedule), folder.path().join(schedule)).unwrap();
    let config = folder.path().join("development.yaml");
    std::fs::write(&config, settings.to_string()).unwrap();
    let daemon = Daemon::with_settings(&config, &folder.path().join("data"));
    let url = format!("http://{}", daemon.address);
    let swoosh = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swoosh"));
        command.args(arguments).env("SWOOSH_URL", &url).env("SWOOSH_KEY", keys.join("operator.key"));
        command.env("SWOOSH_KNOWN_NODES", folder.path().join("known_nodes"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    for (kind, body) in
        [("license", r#"{"id":"trial","scopes":["swoosh"]}"#), ("capacity", r#"{"resources":{"vcpu":4}}"#)]
    {
        let fact = swoosh(&["fact", "sign", "--kind", kind, "--cluster", "development", "--valid-for", "1h", body]);
        let head = format!(
            "POST /facts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            fact.len()
        );
        let answer = daemon.send(&[head.as_bytes(), fact.as_slice()].concat());
        assert!((200..300).contains(&answer.status), "{}", answer.text());
    }
    let document = json!({"document": {
        "sources": {"app": {"url": "https://git.example/app.git", "ref": "v1.0.0"}},
        "roles": {"reviewer": {"capabilities": ["review"], "seats": 3}}, "approval_threshold": 2,
        "identities": settings["identities"],
    }});
    swoosh(&["propose", "Boot_ConfigOk", "--inputs", &document.to_string()]);
    swoosh(&["propose", "Boot_Licensed"]);
    let state = daemon.get("/state?projection=boot").json();
    assert_eq!(state["projection"]["boot"]["phase"], "LICENSED", "{state}");
}

/// Keys of the settings that name a directory or file to write.
const PLACES: [&str; 5] = ["data", "exports.directory", "backup.directory", "log.file", "decisions.jsonl"];

/// Production had no backup, so a lost disk was a lost log and no alert said so.
#[test]
fn the_production_settings_make_backups_and_exports_where_the_unit_lets_them() {
    let (unit, settings) = (read("systemd/swoosh.service"), yaml("settings/production.yaml"));
    let writable = |path: &str| {
        let lines = unit.lines().filter_map(|line| line.strip_prefix("ReadWritePaths="));
        let mut paths = lines.flat_map(|paths| paths.split(' ')).map(|path| path.trim_start_matches('-'));
        paths.any(|allowed| path.starts_with(allowed))
            || path.starts_with("/var/lib/swoosh")
            || path.starts_with("/var/log/swoosh")
    };
    for place in PLACES {
        let key = format!("/{}", place.replace('.', "/"));
        if let Some(path) = settings.pointer(&key).and_then(Value::as_str) {
            assert!(writable(path), "{place} is {path}, which the unit does not let the node write");
        }
    }
    for key in ["/backup/directory", "/exports/directory"] {
        let path = settings.pointer(key).and_then(Value::as_str).unwrap_or_else(|| panic!("{key} is not set"));
        assert!(!path.starts_with("/var/lib/swoosh"), "{key}: a copy belongs on another disk than the data");
    }
}

/// `Documentation=` named a page that nothing installed, and the unit skipped the directories of exports and backups.
#[test]
fn the_commands_of_the_installation_give_everything_that_the_unit_names() {
    let page = std::fs::read_to_string(deploy().join("../docs/operating.md")).unwrap();
    let block = page.split("```text\n").find(|block| block.starts_with("install -m 0755 bin/swoosh")).unwrap();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (archive, root) = (folder.path().join("archive"), folder.path().join("root"));
    for made in ["archive/bin", "archive/share/man/man1", "root/usr/local/bin", "root/etc/systemd/system"] {
        std::fs::create_dir_all(folder.path().join(made)).unwrap();
    }
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_swoosh"), archive.join("bin/swoosh")).unwrap();
    for part in ["deploy", "docs", "runbooks"] {
        std::os::unix::fs::symlink(deploy().join("..").join(part), archive.join(part)).unwrap();
    }
    let manual =
        Command::new(env!("CARGO_BIN_EXE_swoosh")).args(["man", "--out"]).arg(archive.join("share/man/man1")).output();
    assert!(manual.unwrap().status.success());
    // The same commands, below another root and without the user, the service manager, and the program that is not installed here.
    let kept = block.split("```").next().unwrap().lines();
    let kept = kept.filter(|line| line.starts_with("install ") || line.starts_with("cp "));
    let script: String = kept
        .map(|line| {
            format!(
                "{}\n",
                line.replace(" /", " \"$ROOT\"/")
                    .replace("-o swoosh -g swoosh ", "")
                    .replace("cp -r docs runbooks", "cp -rL docs runbooks")
            )
        })
        .collect();
    let ran = Command::new("bash").args(["-euc", &script]).env("ROOT", &root).current_dir(&archive).output().unwrap();
    assert!(ran.status.success(), "{script}{}", String::from_utf8_lossy(&ran.stderr));
    let unit = read("systemd/swoosh.service");
    let values = |key: &str| -> Vec<String> {
        let lines = unit.lines().filter_map(|line| line.strip_prefix(key));
        lines.flat_map(|line| line.split(' ')).map(str::to_owned).collect()
    };
    let is_there = |path: &str| root.join(path.trim_start_matches('/')).exists();
    let documents = values("Documentation=");
    assert!(documents.len() >= 2, "{documents:?}");
    for document in documents {
        let path = match document.strip_prefix("man:") {
            Some(page) => format!("/usr/local/share/man/man1/{}.1", page.trim_end_matches("(1)")),
            None => document.trim_start_matches("file://").to_owned(),
        };
        assert!(is_there(&path), "{document} is not installed");
    }
    for path in values("ReadWritePaths=") {
        assert!(is_there(path.trim_start_matches('-')), "{path} is not made");
    }
    let start = values("ExecStart=");
    assert!(
        is_there(&start[0]) && is_there(&start[start.iter().position(|word| word == "--config").unwrap() + 1]),
        "{start:?}"
    );
}

/// The unit lets the node write where the example settings put exports, backups and logs, and nowhere else.
#[test]
fn the_unit_lets_the_node_write_what_the_production_settings_name() {
    let unit = read("systemd/swoosh.service");
    let paths = unit.lines().find_map(|line| line.strip_prefix("ReadWritePaths=")).unwrap();
    let mut writable: Vec<&str> = paths.split(' ').map(|path| path.trim_start_matches('-')).collect();
    writable.extend(["/var/lib/swoosh", "/var/log/swoosh"]);
    let text = read("settings/production.yaml");
    let named: Vec<&str> =
        text.split_whitespace().filter(|word| word.starts_with("/srv/") || word.starts_with("/var/")).collect();
    assert!(named.len() >= 3, "{named:?}");
    for path in named {
        assert!(writable.iter().any(|directory| path.starts_with(directory)), "{path} is not in {writable:?}");
    }
    let credential = "/run/credentials/swoosh.service/swoosh.agekey";
    assert!(text.contains(credential), "the example names the credential that the unit loads");
}

/// `systemd-analyze security` counts what the unit leaves open, from 0 to 10; 2.0 is the most here.
#[test]
fn the_exposure_of_the_unit_stays_below_two() {
    let unit = deploy().join("systemd/swoosh.service");
    let analyze = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--no-pager", "--threshold=20"])
        .arg(&unit)
        .output();
    let Ok(analyze) = analyze else { return skipped("there is no systemd-analyze") };
    let text = String::from_utf8([analyze.stdout, analyze.stderr].concat()).unwrap();
    assert!(analyze.status.success(), "{text}");
    assert!(text.contains("Overall exposure level"), "{text}");
}

#[test]
fn the_image_runs_without_root_and_writes_only_its_data() {
    let text = read("docker/Dockerfile");
    let lines: Vec<&str> = text.lines().collect();
    let stage = lines.iter().position(|line| line.starts_with("FROM debian:")).unwrap();
    assert!(
        stage > lines.iter().position(|line| line.starts_with("FROM rust:")).unwrap(),
        "what compiles is not deployed"
    );
    let user = |lines: &[&str]| lines.iter().rfind(|line| line.starts_with("USER ")).copied().map(str::to_owned);
    // Each stage from here on is one that may be deployed.
    for end in (stage + 1..=lines.len()).filter(|&end| lines.get(end).is_none_or(|line| line.starts_with("FROM "))) {
        assert_eq!(user(&lines[stage..end]).as_deref(), Some("USER 10001:10001"));
    }
    for copied in lines.iter().filter_map(|line| line.strip_prefix("COPY deploy/")) {
        assert!(deploy().join(copied.split(' ').next().unwrap()).exists(), "{copied}");
    }
}

#[test]
fn the_compose_file_mounts_what_is_there() {
    let compose = yaml("docker/compose.yaml");
    let node = &compose["services"]["swoosh"];
    assert_eq!(node["read_only"], true);
    assert!(node["build"]["dockerfile"] == "deploy/docker/Dockerfile");
    let mut mounted = 0;
    for (name, service) in compose["services"].as_object().unwrap() {
        for volume in service["volumes"].as_array().unwrap().iter().map(|volume| volume.as_str().unwrap()) {
            let from = volume.split(':').next().unwrap();
            if from.starts_with('.') {
                mounted += 1;
                assert!(deploy().join("docker").join(from).exists(), "{name}: {volume}");
            } else {
                assert!(compose["volumes"].get(from).is_some(), "{name}: {volume}");
            }
        }
    }
    assert_eq!(mounted, 4);
    let target = yaml("prometheus/prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"][0].clone();
    assert_eq!(target, yaml("settings/development.yaml")["http"]["observe"], "Prometheus scrapes the second listener");
    let source = &yaml("docker/grafana/provisioning/datasources/prometheus.yaml")["datasources"][0];
    assert_eq!(source["type"], "prometheus");
    let provider = &yaml("docker/grafana/provisioning/dashboards/swoosh.yaml")["providers"][0];
    assert!(read("docker/compose.yaml").contains(provider["options"]["path"].as_str().unwrap()));
}

/// Reads on an address that others reach are closed: in a network of the containers' own, this host could not read either.
#[test]
fn the_node_of_the_compose_file_answers_reads_of_this_host() {
    let compose = yaml("docker/compose.yaml");
    let node = &compose["services"]["swoosh"];
    assert_eq!(node["network_mode"], "host");
    let command: Vec<&str> = node["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert!(!command.contains(&"--listen"), "the settings say where: {command:?}");
    let settings = yaml("settings/development.yaml");
    for address in [&settings["listen"], &settings["http"]["observe"]] {
        let address: std::net::SocketAddr = address.as_str().unwrap().parse().unwrap();
        assert!(address.ip().is_loopback(), "{address}: the host's network is not for others");
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let daemon = Daemon::bare(folder.path());
    assert_eq!(daemon.get("/projects").status, 200, "reads on a loopback address are open");
}

/// The node of the compose file made no backups, so its alert fired after a day.
#[test]
fn the_node_of_the_compose_file_makes_backups_on_a_volume_of_their_own() {
    let compose = yaml("docker/compose.yaml");
    let node = &compose["services"]["swoosh"];
    assert!(node["command"].to_string().contains("/etc/swoosh/compose.yaml"), "{node}");
    let mut settings = yaml("settings/compose.yaml");
    let backup = settings.as_object_mut().unwrap().remove("backup").unwrap();
    assert_eq!(settings, yaml("settings/development.yaml"), "compose.yaml is development.yaml with backups");
    let directory = backup["directory"].as_str().unwrap();
    let mounted = node["volumes"].as_array().unwrap().iter().filter_map(|volume| volume.as_str()?.split_once(':'));
    let (volume, _) = mounted.into_iter().find(|(_, to)| *to == directory).expect("it is mounted");
    assert!(compose["volumes"].get(volume).is_some() && volume != "data");
    assert!(read("docker/Dockerfile").contains(&format!("/data {directory}\n")), "the node's user may write it");
}

#[test]
fn the_password_of_grafana_has_no_default() {
    let compose = yaml("docker/compose.yaml");
    let password = compose["services"]["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"].as_str().unwrap();
    assert!(password.starts_with("${GRAFANA_PASSWORD:?"), "compose must refuse to start without one: {password}");
    for service in ["prometheus", "grafana"] {
        let text = compose["services"][service].to_string();
        assert!(text.contains("127.0.0.1"), "{service} listens on a loopback address");
    }
}

/// Nodes that build images run packer; others have one thing less that could be run.
#[test]
fn the_image_for_builds_has_packer_and_the_default_one_has_not() {
    let text = read("docker/Dockerfile");
    let stages: Vec<&str> = text.split("\nFROM ").skip(1).collect();
    let stage = |name: &str| *stages.iter().find(|stage| stage.lines().next().unwrap().ends_with(name)).unwrap();
    assert!(stage(" AS builds").contains(" packer ") && stage(" AS builds").contains("USER 10001:10001"));
    assert!(stages.last().unwrap().starts_with("base AS node"), "the last stage is built without --target");
    assert!(!stage(" AS base").contains("packer") && !stage(" AS node").contains("packer"));
}

/// Whether Docker leaves a path out of the build's context: the last pattern that matches it, or a directory above it, decides.
fn left_out(patterns: &str, path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let mut out = false;
    for line in patterns.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (again, pattern) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
        let pattern: Vec<&str> = pattern.trim_start_matches('/').split('/').collect();
        if (1..=parts.len()).any(|length| matches(&pattern, &parts[..length])) {
            out = !again;
        }
    }
    out
}

fn matches(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => (0..=path.len()).any(|skipped| matches(rest, &path[skipped..])),
        (Some((first, rest)), Some((name, below))) => {
            let fits = first.split_once('*').map_or(first == name, |(before, after)| {
                name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
            });
            fits && matches(rest, below)
        }
        _ => false,
    }
}

/// All users of an image can read its layers, so keys in the build folder must not get into them.
#[test]
fn no_key_of_the_folder_gets_into_the_image() {
    let patterns = std::fs::read_to_string(deploy().join("../.dockerignore")).unwrap();
    for path in [
        "operator.key",
        "data/node.key",
        "deploy/x/node.key",
        "node.agekey",
        "vault/identity.age",
        "secrets.age",
        "secrets.yaml",
        "tls/node.pem",
        "deploy/client.p12",
        ".env",
        "deploy/docker/.env",
        "prod.env",
        "reader.id",
        "license.json",
        "data/facts/a",
        "somewhere/data/journal/CURRENT",
        ".git/config",
        "third_party/x",
        "swoosh-secrets-abc/draft",
    ] {
        assert!(left_out(&patterns, path), "{path} would be copied into the image");
    }
    let tracked = Command::new("git").arg("-C").arg(deploy().join("..")).arg("ls-files").output();
    let Ok(tracked) = tracked else { return skipped("there is no git") };
    let tracked = String::from_utf8(tracked.stdout).unwrap();
    let needed = [
        "src/",
        "crates/",
        "build",
        "config/",
        "statechart.yaml",
        "Cargo.",
        "docs/",
        "deploy/",
        "openapi/",
        "runbooks/",
        "capd/",
    ];
    for path in tracked.lines().filter(|path| needed.iter().any(|start| path.starts_with(start))) {
        assert!(!left_out(&patterns, path), "{path} is part of the build");
    }
}

#[test]
fn prometheus_reads_its_configuration_and_its_rules() {
    let config = deploy().join("prometheus/prometheus.yml");
    let checked = crate::support::prometheus::promtool(&["check", "config", config.to_str().unwrap()], b"");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
