//! The Helm chart and its renderings. `tools/chart.py` renders with Helm's own engine and checks against the API schemas; what it
//! rendered is kept, and the tests here read that.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::daemon::Daemon;
use crate::support::skipped;

const DEFAULT: &str = "deploy/kubernetes/swoosh.yaml";
const FULL: &str = "tests/integration/chart/full.yaml";
const VALUES: &str = "tests/integration/chart/full.values.yaml";
/// How tools/chart.py ends where its packages cannot be had.
const NOT_AVAILABLE: i32 = 3;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The objects of a rendering.
fn objects(path: &str) -> Vec<Value> {
    let text = read(path);
    let documents = text.split("\n---\n").map(yaml_serde::from_str);
    documents.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[track_caller]
fn object(path: &str, kind: &str, name: &str) -> Value {
    let found = objects(path).into_iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("{path} has no {kind} {name}"))
}

fn pod(path: &str) -> Value {
    object(path, "StatefulSet", "swoosh")["spec"]["template"]["spec"].clone()
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true if entry.file_name().is_some_and(|name| name == "files") => {}
            true => files(&entry, found),
            false => found.push(entry),
        }
    }
}

/// A change of the chart without `make chart` would leave the kept renderings behind, on machines without the engine too.
#[test]
fn the_renderings_are_of_the_chart_as_it_is_now() {
    let mut found = vec![root().join(VALUES)];
    files(&root().join("deploy/helm/swoosh"), &mut found);
    let mut names: Vec<String> =
        found.iter().map(|path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    let mut seen = Sha256::new();
    for name in names {
        let data = std::fs::read(root().join(&name)).unwrap();
        seen.update(format!("{name}\n{}\n", data.len()));
        seen.update(data);
    }
    let digest: String = seen.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    for path in [DEFAULT, FULL] {
        assert!(read(path).contains(&format!("# Made from {digest}\n")), "{path} is stale: run `make chart`");
    }
}

/// Lints the chart, renders it, compares, checks each object strictly against the oldest and the newest API, and refuses bad values.
#[test]
fn helm_renders_the_chart_and_kubernetes_knows_every_field() {
    let checked = Command::new(root().join("tools/chart.py")).arg("--check").output();
    let Ok(checked) = checked else { return skipped("there is no python3") };
    if checked.status.code() == Some(NOT_AVAILABLE) {
        return skipped("Helm's engine and the API schemas cannot be installed here");
    }
    let text = String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap();
    assert!(checked.status.success() && text.contains("the chart is good"), "{text}");
}

#[test]
fn the_chart_runs_one_node_without_rights() {
    for path in [DEFAULT, FULL] {
        let set = object(path, "StatefulSet", "swoosh");
        assert_eq!(set["spec"]["replicas"], 1, "one node writes a log");
        let pod = pod(path);
        let security = &pod["securityContext"];
        assert_eq!(security["runAsNonRoot"], true);
        assert_eq!(security["fsGroupChangePolicy"], "OnRootMismatch", "else each mount opens node.key to the group");
        assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(pod["automountServiceAccountToken"], false);
        let container = &pod["containers"][0];
        let own = &container["securityContext"];
        assert_eq!((&own["readOnlyRootFilesystem"], &own["allowPrivilegeEscalation"]), (&json!(true), &json!(false)));
        assert_eq!(own["capabilities"]["drop"], json!(["ALL"]));
        let budget = object(path, "PodDisruptionBudget", "swoosh");
        assert_eq!(budget["spec"]["selector"], set["spec"]["selector"]);
        for object in objects(path) {
            let labels = &object["metadata"]["labels"];
            assert_eq!(labels["app.kubernetes.io/name"], "swoosh", "{}", object["kind"]);
        }
    }
    let image = pod(FULL)["containers"][0]["image"].as_str().unwrap().to_owned();
    assert!(image.contains("@sha256:"), "a digest in the values pins the image: {image}");
}

/// A kubelet has no client certificate, and asks with the pod's address.
#[test]
fn probes_and_prometheus_use_the_second_listener() {
    for path in [DEFAULT, FULL] {
        let container = pod(path)["containers"][0].clone();
        let ports = container["ports"].as_array().unwrap();
        let port = |name: &str| ports.iter().find(|port| port["name"] == name).unwrap()["containerPort"].clone();
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let get = &container[probe]["httpGet"];
            assert_eq!((&get["port"], &get["scheme"]), (&json!("observe"), &json!("HTTP")), "{path} {probe}");
            assert!(["/health/live", "/health/ready"].contains(&get["path"].as_str().unwrap()));
        }
        let settings = settings(path);
        assert_eq!(settings["http"]["observe"], format!("0.0.0.0:{}", port("observe")));
        assert_eq!(settings["listen"], format!("0.0.0.0:{}", port("http")), "the chart's port wins over settings");
        let service = object(path, "Service", "swoosh");
        let targets: Vec<_> =
            service["spec"]["ports"].as_array().unwrap().iter().map(|port| &port["targetPort"]).collect();
        assert_eq!(targets, ["http", "observe"]);
    }
    let monitor = object(FULL, "ServiceMonitor", "swoosh");
    let service = object(FULL, "Service", "swoosh");
    let job = monitor["spec"]["jobLabel"].as_str().unwrap();
    assert_eq!(service["metadata"]["labels"][job], "swoosh", "the dashboards and the alerts select this job");
    for (key, value) in monitor["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(&service["metadata"]["labels"][key], value);
    }
    assert_eq!(monitor["spec"]["endpoints"][0]["port"], "observe");
}

/// The pod fetches sources that projects name. They must not reach the machine's metadata service.
#[test]
fn nothing_but_named_ports_leaves_the_pod_and_no_metadata_service_is_reached() {
    for path in [DEFAULT, FULL] {
        let policy = object(path, "NetworkPolicy", "swoosh");
        assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
        let rules = policy["spec"]["egress"].as_array().unwrap();
        for rule in rules {
            assert!(
                !rule["ports"].as_array().unwrap().is_empty() && !rule["to"].as_array().unwrap().is_empty(),
                "{rule}"
            );
        }
        let blocks = rules.iter().flat_map(|rule| rule["to"].as_array().unwrap());
        let mut everywhere = 0;
        for block in blocks
            .map(|to| &to["ipBlock"])
            .filter(|block| block["cidr"].as_str().is_some_and(|cidr| cidr.ends_with("/0")))
        {
            everywhere += 1;
            let metadata = if block["cidr"] == "0.0.0.0/0" { "169.254.0.0/16" } else { "fd00:ec2::/32" };
            assert!(block["except"].as_array().unwrap().contains(&json!(metadata)), "{block}");
        }
        assert_eq!(everywhere, 2);
    }
    let ingress = object(FULL, "NetworkPolicy", "swoosh")["spec"]["ingress"].clone();
    assert!(ingress.as_array().unwrap().iter().all(|rule| rule["from"].as_array().is_some_and(|from| from.len() == 1)));
}

/// The settings that a rendering gives to the node.
fn settings(path: &str) -> Value {
    let map = object(path, "ConfigMap", "swoosh-settings");
    yaml_serde::from_str(map["data"]["swoosh.yaml"].as_str().unwrap()).unwrap()
}

/// Whatever the settings name in /etc/swoosh is mounted, readable by the pod's group alone where it is a secret.
#[test]
fn every_file_that_the_settings_name_is_mounted() {
    let pod = pod(FULL);
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap().clone();
    let settings = settings(FULL);
    let named = [
        "/node_key",
        "/tls/certificate",
        "/tls/key",
        "/tls/client_ca",
        "/secrets/file",
        "/secrets/identity",
        "/policies/path",
    ];
    for pointer in named {
        let path = settings.pointer(pointer).unwrap_or_else(|| panic!("{pointer}")).as_str().unwrap();
        let mount = mounts.iter().find(|mount| {
            let at = mount["mountPath"].as_str().unwrap();
            path == at || path.starts_with(&format!("{at}/"))
        });
        let mount = mount.unwrap_or_else(|| panic!("{path} is not mounted"));
        assert_eq!(mount["readOnly"], true);
        let volumes = pod["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        if volume.get("secret").is_some() {
            assert_eq!(volume["secret"]["defaultMode"], 0o400);
        }
    }
}

/// The settings are good, and the default ones start a node that is ready on both listeners.
#[test]
fn a_daemon_starts_with_the_settings_of_the_chart() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("swoosh.yaml");
    let mut settings = settings(DEFAULT);
    assert_eq!(settings["data"], pod(DEFAULT)["containers"][0]["volumeMounts"][0]["mountPath"]);
    settings["http"]["observe"] = json!("127.0.0.1:0");
    settings["backup"]["directory"] = json!(folder.path().join("backups"));
    std::fs::write(&file, settings.to_string()).unwrap();
    let daemon = Daemon::with_settings(&file, &folder.path().join("data"));
    assert_eq!(daemon.get("/health/ready").status, 200);
    daemon.terminate();
}

/// The alert SwooshBackupMissing fired a day after an installation with the default values, which had no backup.
#[test]
fn the_defaults_make_backups_on_a_volume_of_their_own_as_the_alert_expects() {
    let rules = read("deploy/prometheus/swoosh.rules.yml");
    assert!(rules.contains("alert: SwooshBackupMissing"), "a node without a backup alerts");
    let kustomized: Value = yaml_serde::from_str(&read("deploy/kubernetes/settings.yaml")).unwrap();
    for (path, settings) in [(DEFAULT, settings(DEFAULT)), (DEFAULT, kustomized), (FULL, settings(FULL))] {
        let directory = settings["backup"]["directory"].as_str().unwrap_or_else(|| panic!("{path}: no backup"));
        let pod = pod(path);
        let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["mountPath"] == directory).unwrap();
        assert!(mount["name"] != "data" && mount.get("readOnly").is_none(), "{mount}");
        let volume = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        let claim = volume["persistentVolumeClaim"]["claimName"].as_str().unwrap();
        let claim = object(path, "PersistentVolumeClaim", claim);
        assert_eq!(claim["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    }
}

/// `kubectl apply -k` needs no Helm; its settings.yaml takes the place of the chart's settings, under a name that changes with them.
#[test]
fn kustomize_puts_its_settings_in_the_place_of_the_charts() {
    let built = Command::new("kubectl").arg("kustomize").arg(root().join("deploy/kubernetes")).output();
    let Ok(built) = built else { return skipped("there is no kubectl") };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let text = String::from_utf8(built.stdout).unwrap();
    let objects: Vec<Value> = text.split("\n---\n").map(|document| yaml_serde::from_str(document).unwrap()).collect();
    let maps: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "ConfigMap").collect();
    assert_eq!(maps.len(), 1);
    assert_eq!(maps[0]["data"]["swoosh.yaml"], read("deploy/kubernetes/settings.yaml"));
    let set = objects.iter().find(|object| object["kind"] == "StatefulSet").unwrap();
    assert_eq!(set["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"], maps[0]["metadata"]["name"]);
    assert_eq!(set["metadata"]["namespace"], "swoosh");
}

/// The alerts of the PrometheusRule object are the file that promtool tries, not a copy of it.
#[test]
fn the_chart_has_the_alerting_rules_themselves() {
    let kept = root().join("deploy/helm/swoosh/files/swoosh.rules.yml");
    assert_eq!(kept.canonicalize().unwrap(), root().join("deploy/prometheus/swoosh.rules.yml").canonicalize().unwrap());
    let template = read("deploy/helm/swoosh/templates/prometheusrule.yaml");
    assert!(template.contains(".Files.Get \"files/swoosh.rules.yml\""));
}

/// The chart is versioned with the program whose settings it writes.
#[test]
fn the_chart_names_the_version_of_the_program() {
    let chart: Value = yaml_serde::from_str(&read("deploy/helm/swoosh/Chart.yaml")).unwrap();
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}
