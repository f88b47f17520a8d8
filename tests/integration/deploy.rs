//! What is deployed: settings that a daemon starts with, a unit that systemd reads, manifests that name what is there.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

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
    for name in ["settings/development.yaml", "settings/production.yaml", "kubernetes/settings.yaml"] {
        let path = deploy().join(name);
        let checked = Command::new(env!("CARGO_BIN_EXE_swoosh")).args(["config", "check"]).arg(&path).output().unwrap();
        assert!(checked.status.success(), "{name}: {}", String::from_utf8_lossy(&checked.stderr));
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let daemon = Daemon::with_settings(&path, &folder.path().join("data"));
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
    let Ok(told) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output() else {
        return skipped("there is no systemd-analyze");
    };
    let said = String::from_utf8([told.stdout, told.stderr].concat()).unwrap();
    let about: Vec<&str> = said.lines().filter(|line| line.contains("swoosh.service")).collect();
    assert!(told.status.success() && about.is_empty(), "{said}");
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
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn the_image_runs_as_nobody_in_particular_and_writes_its_data_alone() {
    let text = read("docker/Dockerfile");
    let lines: Vec<&str> = text.lines().collect();
    let last_stage = lines.iter().rposition(|line| line.starts_with("FROM ")).unwrap();
    assert!(last_stage > lines.iter().position(|line| line.starts_with("FROM ")).unwrap(), "one stage only");
    assert!(lines[last_stage..].contains(&"USER 10001:10001"));
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
    assert_eq!(target, "swoosh:7400");
    let source = &yaml("docker/grafana/provisioning/datasources/prometheus.yaml")["datasources"][0];
    assert_eq!(source["type"], "prometheus");
    let provider = &yaml("docker/grafana/provisioning/dashboards/swoosh.yaml")["providers"][0];
    assert!(read("docker/compose.yaml").contains(provider["options"]["path"].as_str().unwrap()));
}

#[test]
fn the_manifests_run_one_node_without_rights() {
    let set = yaml("kubernetes/statefulset.yaml");
    assert_eq!(set["spec"]["replicas"], 1, "one node writes a log");
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
    for resource in yaml("kubernetes/kustomization.yaml")["resources"].as_array().unwrap() {
        yaml(&format!("kubernetes/{}", resource.as_str().unwrap()));
    }
    let built = Command::new("kubectl").arg("kustomize").arg(deploy().join("kubernetes")).output();
    match built {
        Ok(built) => assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr)),
        Err(_) => skipped("there is no kubectl"),
    }
}

#[test]
fn prometheus_reads_its_configuration_and_its_rules() {
    let config = deploy().join("prometheus/prometheus.yml");
    let told = crate::support::prometheus::promtool(&["check", "config", config.to_str().unwrap()], b"");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
}
