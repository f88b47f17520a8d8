//! Releases: version report, manual pages, completions, the archive, pinned images.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{listed, skipped};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn run(arguments: &[&str]) -> Output {
    let said = Command::new(env!("CARGO_BIN_EXE_swoosh")).args(arguments).output().unwrap();
    assert!(said.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said.stderr));
    said
}

fn text(output: &Output) -> String {
    String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap()
}

/// The commands that `swoosh -h` lists.
fn commands() -> BTreeSet<String> {
    let commands = listed(&text(&run(&["-h"])));
    assert!(commands.len() >= 40, "{commands:?}");
    commands
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// An operator must be able to say of a running program from which source it was built and which data it reads.
#[test]
fn version_names_commit_features_formats_and_chart() {
    let version: Value = serde_json::from_slice(&run(&["version", "--json"]).stdout).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    // The program that tests run; `cargo build` makes one without.
    assert_eq!(version["features"], serde_json::json!(["crash-points"]));
    assert!(version["target"].as_str().unwrap().contains('-'));
    for format in ["journal", "journal_oldest", "backup", "export"] {
        assert!(version["formats"][format].as_u64().unwrap() >= 1, "{format}");
    }
    assert_eq!(version["chart"]["version"], swoosh::machine::upgrade::PRESENT.version);
    assert_eq!(version["chart"]["hash"], swoosh::machine::upgrade::PRESENT.schema_hash.to_string());
    assert!(!version["policy_engine"].as_str().unwrap().is_empty());
    if let Some(commit) = version["commit"].as_str() {
        let digits = commit.trim_end_matches("-dev").trim_end_matches("-dirty");
        assert!(digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{commit}");
    }
    let plain = text(&run(&["version"]));
    assert!(plain.contains(env!("CARGO_PKG_VERSION")) && plain.contains("journal format"), "{plain}");
}

#[test]
fn every_shell_gets_a_script_that_completes_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&run(&["completions", shell]));
        for command in commands() {
            assert!(script.contains(&command), "{shell} does not complete {command}");
        }
        assert!(!script.contains("__sentinel") && !script.contains("__git"), "{shell} completes a hidden command");
    }
    let folder = scratch();
    let file = folder.path().join("swoosh.bash");
    std::fs::write(&file, run(&["completions", "bash"]).stdout).unwrap();
    let read = Command::new("bash").arg("-n").arg(&file).output().unwrap();
    assert!(read.status.success(), "{}", text(&read));
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = scratch();
    let pages = folder.path().join("man/man1");
    run(&["man", "--out", pages.to_str().unwrap()]);
    let mut found: BTreeSet<String> = BTreeSet::new();
    for entry in std::fs::read_dir(&pages).unwrap() {
        let path = entry.unwrap().path();
        let page = std::fs::read_to_string(&path).unwrap();
        assert!(page.contains(".TH ") && page.contains(".SH NAME"), "{}", path.display());
        found.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    for command in commands().iter().filter(|command| *command != "help") {
        assert!(found.contains(&format!("swoosh-{command}")), "{command} has no page");
    }
    assert!(found.contains("swoosh") && found.contains("swoosh-fact-sign"), "{found:?}");
    assert!(found.iter().all(|name| !name.contains("__")), "{found:?}");
    let one = text(&run(&["man"]));
    assert!(one.contains(".SH SUBCOMMANDS") || one.contains(".SH COMMANDS"), "{one}");
}

/// Packs the program that the tests run, without what needs a registry.
fn pack(dist: &Path, more: &[(&str, &str)]) -> Output {
    let bill = dist.parent().unwrap().join("bill.json");
    std::fs::write(&bill, "{\"bomFormat\": \"CycloneDX\"}\n").unwrap();
    let mut command = Command::new(root().join("tools/dist.py"));
    command.env("SWOOSH", env!("CARGO_BIN_EXE_swoosh")).env("DIST", dist).env("SBOM", &bill);
    command.env("SOURCE_DATE_EPOCH", "1760832000").env_remove("UNRELEASED").envs(more.iter().copied());
    command.output().unwrap()
}

fn archive(dist: &Path) -> PathBuf {
    let names = std::fs::read_dir(dist).unwrap().map(|entry| entry.unwrap().path());
    names.into_iter().find(|path| path.to_str().unwrap().ends_with(".tar.gz")).unwrap()
}

/// The archive is whole, its checksums hold, its program runs, and the same input gives the same bytes.
#[test]
fn the_release_archive_holds_what_an_operator_installs_and_is_reproducible() {
    if Command::new("python3").arg("--version").output().is_err() {
        return skipped("there is no python3");
    }
    let (first, second) = (scratch(), scratch());
    let dists = [first.path().join("dist"), second.path().join("dist")];
    for dist in &dists {
        let packed = pack(dist, &[("UNRELEASED", "1")]);
        assert!(packed.status.success(), "{}", text(&packed));
        let summed = Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(dist).output();
        assert!(summed.unwrap().status.success());
    }
    let [one, other] = dists.each_ref().map(|dist| archive(dist));
    assert_eq!(one.file_name(), other.file_name());
    assert!(
        std::fs::read(&one).unwrap() == std::fs::read(&other).unwrap(),
        "the archive differs from one run to the next"
    );
    let opened =
        Command::new("tar").arg("--extract").arg("--file").arg(&one).arg("-C").arg(first.path()).output().unwrap();
    assert!(opened.status.success(), "{}", text(&opened));
    let name = one.file_name().unwrap().to_str().unwrap().trim_end_matches(".tar.gz").to_owned();
    let folder = first.path().join(name);
    for path in [
        "share/man/man1/swoosh-serve.1",
        "share/completions/swoosh.bash",
        "share/completions/_swoosh",
        "share/completions/swoosh.fish",
        "docs/operating.md",
        "runbooks/recovery.md",
        "deploy/systemd/swoosh.service",
        "deploy/helm/swoosh/Chart.yaml",
        "deploy/helm/swoosh/files/swoosh.rules.yml",
        "dashboards/swoosh-overview.json",
        "config/swoosh.yaml",
        "LICENSE",
        "SECURITY.md",
        concat!("swoosh-", env!("CARGO_PKG_VERSION"), ".cdx.json"),
    ] {
        assert!(folder.join(path).is_file(), "{path} is not in the archive");
    }
    let ran = Command::new(folder.join("bin/swoosh")).args(["version", "--json"]).output().unwrap();
    assert_eq!(ran.stdout, run(&["version", "--json"]).stdout);
}

/// The manifests name a licence, so its whole text is in the repository. The detector is the one that sources are scanned with.
#[test]
fn the_licence_of_every_manifest_is_that_of_the_licence_file() {
    let mut licences = swoosh::hybridcore::sources::licences::Licences::default();
    licences.look_at("LICENSE", &std::fs::read(root().join("LICENSE")).unwrap());
    let found: Vec<String> = licences.ended().iter().map(ToString::to_string).collect();
    assert_eq!(found, ["Apache-2.0"]);
    let manifest = |folder: &Path| std::fs::read_to_string(folder.join("Cargo.toml"));
    assert!(manifest(&root()).unwrap().contains("\nlicense = \"Apache-2.0\"\n"));
    let crates = std::fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path());
    for folder in crates.chain([root()]) {
        let Ok(text) = manifest(&folder) else { continue };
        assert!(text.lines().any(|line| line == "license.workspace = true"), "{}", folder.display());
    }
}

/// A tag of an action can be moved to other code; a commit cannot.
#[test]
fn hosted_ci_runs_the_checks_keeps_the_archive_and_pins_its_actions() {
    let text = std::fs::read_to_string(root().join(".github/workflows/ci.yml")).unwrap();
    let workflow: Value = yaml_serde::from_str(&text).unwrap();
    let steps = workflow["jobs"]["check"]["steps"].as_array().unwrap();
    let runs: Vec<&str> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
    let place =
        |command: &str| runs.iter().position(|run| *run == command).unwrap_or_else(|| panic!("no step runs {command}"));
    assert!(place(".ci/run") < place("make dist"));
    let uses: Vec<&str> = steps.iter().filter_map(|step| step["uses"].as_str()).collect();
    assert!(uses.iter().any(|action| action.starts_with("actions/upload-artifact@")), "{uses:?}");
    for action in uses {
        let (_, commit) = action.split_once('@').unwrap();
        assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{action}");
    }
    assert_eq!(workflow["permissions"], serde_json::json!({"contents": "read"}));
}

/// Debugging a released program needs the source that it was built from.
#[test]
fn a_program_of_a_working_tree_is_not_released() {
    let version: Value = serde_json::from_slice(&run(&["version", "--json"]).stdout).unwrap();
    if version["commit"].as_str().is_some_and(|commit| commit.len() == 40) {
        return skipped("this program was built from a commit");
    }
    let folder = scratch();
    let packed = pack(&folder.path().join("dist"), &[]);
    assert_eq!(packed.status.code(), Some(1));
    assert!(text(&packed).contains("a release is built from a clean commit"), "{}", text(&packed));
    assert!(!folder.path().join("dist").exists());
}

/// Only a registry knows a digest; a stand-in of docker plays it.
#[test]
fn images_are_pinned_to_the_digests_that_docker_names() {
    let folder = scratch();
    let at = |name: &str| folder.path().join(name);
    for name in ["tools", "deploy/docker", "bin"] {
        std::fs::create_dir_all(at(name)).unwrap();
    }
    for name in ["tools/pin_images.py", "deploy/docker/Dockerfile", "deploy/docker/compose.yaml"] {
        std::fs::copy(root().join(name), at(name)).unwrap();
    }
    let digest = format!("sha256:{}", "5".repeat(64));
    std::fs::write(at("bin/docker"), format!("#!/bin/sh\necho {digest}\n")).unwrap();
    std::fs::set_permissions(at("bin/docker"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let pin = |argument: &[&str]| {
        let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
        Command::new(at("tools/pin_images.py")).args(argument).env("PATH", path).output().unwrap()
    };
    let loose = pin(&["--check"]);
    assert_eq!(loose.status.code(), Some(1));
    for image in ["rust:", "debian:", "prom/prometheus:", "grafana/grafana:"] {
        assert!(text(&loose).contains(image), "{}", text(&loose));
    }
    let pinned = pin(&[]);
    assert!(pinned.status.success(), "{}", text(&pinned));
    assert!(pin(&["--check"]).status.success());
    let dockerfile = std::fs::read_to_string(at("deploy/docker/Dockerfile")).unwrap();
    assert_eq!(dockerfile.matches(&format!("@{digest}")).count(), 2);
    assert!(dockerfile.contains("FROM base AS builds") && dockerfile.contains(&format!("@{digest} AS build\n")));
    let compose = std::fs::read_to_string(at("deploy/docker/compose.yaml")).unwrap();
    assert_eq!(compose.matches(&format!("@{digest}\n")).count(), 2);
    std::fs::write(at("bin/docker"), "#!/bin/sh\necho latest\n").unwrap();
    std::fs::copy(root().join("deploy/docker/Dockerfile"), at("deploy/docker/Dockerfile")).unwrap();
    let refused = pin(&[]);
    assert!(!refused.status.success() && text(&refused).contains("no digest"), "{}", text(&refused));
}
