//! Rules of the workspace that Cargo cannot express: the allowed dependencies of the pure core, the SDK and `hybridcore`.
//!
//! The import law itself is the list of dependencies of each crate: a crate that is no dependency cannot be imported.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names of the crates in what `cargo tree` prints for one crate of the workspace: what it needs to run, and to be built.
fn tree(crate_name: &str, more: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .args(["--package", crate_name])
        .args(more)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "cargo tree failed:\n{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("crate names are UTF-8");
    let found: BTreeSet<_> =
        text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    assert!(found.contains("serde"), "{crate_name} brings along too little to be true: {found:?}");
    found
}

fn assert_without(crate_name: &str, unwanted: &[&str]) {
    let found = tree(crate_name, &[]);
    let unwanted: Vec<_> = unwanted.iter().filter(|name| found.contains(**name)).collect();
    assert!(unwanted.is_empty(), "{crate_name} must not bring along {unwanted:?}");
}

#[test]
fn the_pure_core_brings_along_no_runtime_no_network_and_no_storage() {
    let unwanted = ["rocksdb", "librocksdb-sys", "tokio", "hyper", "reqwest", "axum", "getrandom", "clap"];
    assert_without("swoosh-machine", &unwanted);
    assert_without("swoosh-types", &unwanted);
}

#[test]
fn the_sdk_brings_along_no_storage_and_no_server() {
    assert_without("swoosh-client", &["rocksdb", "librocksdb-sys", "axum", "clap", "cedar-policy", "git2"]);
}

/// The daemon carried the demo, the benchmark, the simulation and servers for tests.
#[test]
fn the_shipped_program_brings_along_nothing_of_the_lab() {
    let unwanted = [
        "swoosh-lab",
        "swoosh-simulation",
        "swoosh-standins",
        "swoosh-testkit",
        "swoosh-fuzz",
        "hdrhistogram",
        "plotters",
    ];
    assert_without("swoosh", &unwanted);
    let lab = tree("swoosh-lab", &[]);
    assert!(!lab.contains("swoosh"), "the lab starts the program `swoosh` and links none of it");
    assert!(lab.contains("hdrhistogram") && lab.contains("swoosh-simulation"), "{lab:?}");
    assert!(lab.contains("plotters"), "{lab:?}");
    let unwanted = ["plotters-bitmap", "font-kit", "image", "inferno"];
    let unwanted: Vec<_> = unwanted.iter().filter(|name| lab.contains(**name)).collect();
    assert!(
        unwanted.is_empty(),
        "pictures are drawn as SVG alone, and flame graphs by a program of its own: {unwanted:?}"
    );
}

/// A check of a signature that asks a memory first is a risk; the daemon has none, even switched off.
#[test]
fn only_the_simulation_can_remember_signatures() {
    let types = |package: &str| {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--locked", "--offline", "--edges", "normal,build,features", "--prefix", "none"])
            .args(["--package", package])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo can be run");
        assert!(output.status.success(), "cargo tree failed:\n{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("crate names are UTF-8");
        let of_types = text.lines().filter(|line| line.starts_with("swoosh-types "));
        of_types.map(str::to_owned).collect::<BTreeSet<String>>()
    };
    let can_remember = |package| types(package).iter().any(|line| line.contains("\"remembering\""));
    let can_count = |package| types(package).iter().any(|line| line.contains("\"counting\""));
    assert!(can_remember("swoosh-simulation"), "{:?}", types("swoosh-simulation"));
    for package in ["swoosh", "swoosh-node", "swoosh-client", "swoosh-http", "swoosh-upstreams"] {
        assert!(!types(package).is_empty() && !can_remember(package), "{package}: {:?}", types(package));
        assert!(!can_count(package), "{package}: {:?}", types(package));
    }
    let manifests = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("crates")).unwrap();
    let enables = |manifest: &Path| std::fs::read_to_string(manifest).unwrap().contains("\"remembering\"");
    let enabling: Vec<_> =
        manifests.map(|entry| entry.unwrap().path()).filter(|folder| enables(&folder.join("Cargo.toml"))).collect();
    assert_eq!(enabling.len(), 1, "{enabling:?}");
    assert!(enabling[0].ends_with("simulation"), "{enabling:?}");
}

/// The journal needed the platform, its network gate and its signals for one function that replaces a file.
#[test]
fn the_journal_and_the_migration_bring_along_nothing_of_the_platform() {
    assert_without("swoosh-journal", &["swoosh-platform", "tokio", "reqwest", "openraft"]);
    let direct = tree("swoosh-migration", &["--depth", "1"]);
    assert!(!direct.contains("swoosh-platform"), "{direct:?}");
}

/// Rust files under a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The engine is an alpha: it can be exchanged only where nothing else depends on its types.
#[test]
fn one_module_names_the_consensus_engine() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    ["src", "crates", "examples"].iter().for_each(|folder| sources(&root.join(folder), &mut files));
    let names = |path: &PathBuf, name: &str| std::fs::read_to_string(path).unwrap().contains(name);
    let is_under = |path: &PathBuf, places: &[&str]| places.iter().any(|place| path.starts_with(root.join(place)));
    let engine = ["crates/cluster/src/engine", "crates/cluster/src/engine.rs"];
    let elsewhere: Vec<_> = files.iter().filter(|path| names(path, "openraft::") && !is_under(path, &engine)).collect();
    assert!(elsewhere.is_empty(), "these name the consensus engine: {elsewhere:?}");
    assert!(files.iter().any(|path| names(path, "openraft::")), "it is named under crates/cluster");
    let runtime = ["crates/cluster", "crates/simulation/src/runtime.rs", "crates/simulation/src/runtime"];
    let runtime = [&runtime[..], &["crates/simulation/src/cluster"]].concat();
    let elsewhere: Vec<_> =
        files.iter().filter(|path| names(path, "openraft_rt::") && !is_under(path, &runtime)).collect();
    assert!(elsewhere.is_empty(), "these name the runtime of the consensus engine: {elsewhere:?}");
}

/// `cargo update` would raise a companion alone; `serde` would let the engine's forms reach disk and wire.
#[test]
fn the_consensus_engine_is_pinned_and_has_few_features() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    for name in ["openraft", "openraft-macros", "openraft-rt", "openraft-rt-tokio"] {
        let line = manifest.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap();
        assert!(line.contains("\"=0.10.0-alpha.37\""), "{line}");
    }
    let built = features(&["--workspace", "--edges", "normal,build,dev"]);
    let of =
        |name: &str| built.iter().filter(|line| line.starts_with(&format!("{name} "))).cloned().collect::<Vec<_>>();
    assert_eq!(of("openraft"), ["openraft v0.10.0-alpha.37 [type-alias]"]);
    let companions = ["openraft-macros", "openraft-rt", "openraft-rt-tokio"].map(of).concat();
    assert!(companions.iter().all(|line| !line.contains("single-threaded")), "{companions:?}");
    assert_eq!(companions.len(), 3, "{companions:?}");
}

/// A crate and its features, as `cargo tree` prints them, of all crates from outside that a selection of packages builds.
fn features(selected: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--prefix", "none", "--no-dedupe", "--format", "{p} [{f}]"])
        .args(selected)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "cargo tree failed:\n{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("crate names are UTF-8");
    text.lines().filter(|line| !line.starts_with("swoosh") && !line.is_empty()).map(str::to_owned).collect()
}

/// A crate that has other features in the tests than in the demo is compiled twice; with RocksDB, that is 10 minutes.
#[test]
fn the_demo_and_the_tests_build_each_dependency_with_the_same_features() {
    let makefile = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Makefile")).unwrap();
    let (_, recipe) = makefile.split_once("\nbuild: prerequisites").unwrap();
    let words: Vec<&str> = recipe.lines().nth(1).unwrap().split_whitespace().skip(3).collect();
    let build = [&["--edges", "normal,build"], words.as_slice()].concat();
    let tested = features(&["--workspace", "--edges", "normal,build,dev"]);
    for selected in [&build[..], &["--package", "swoosh", "--edges", "normal,build,dev"]] {
        let built = features(selected);
        assert!(built.iter().any(|line| line.starts_with("librocksdb-sys ")), "{selected:?}: {built:?}");
        let different: Vec<_> = built.difference(&tested).collect();
        assert!(different.is_empty(), "make test builds these with other features than {selected:?}: {different:#?}");
    }
}

/// A release without overflow checks would record a wrong sum where the tests end the request.
#[test]
fn a_release_is_built_with_overflow_checks_for_our_crates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let manifest = read("Cargo.toml");
    let (_, release) = manifest.split_once("\n[profile.release]\n").unwrap();
    let lines: Vec<&str> = release.lines().take_while(|line| !line.starts_with('[')).collect();
    assert!(lines.contains(&"overflow-checks = true"), "{lines:?}");
    assert_eq!(manifest.matches("[profile.release.package.").count(), 1, "one for crates from outside, none for ours");
    assert!(manifest.contains("[profile.release.package.\"*\"]"));
    let makefile = read("Makefile");
    let (_, recipe) = makefile.split_once("\ndist: ").unwrap();
    let recipe = recipe.split_once("\n\n").unwrap().0;
    assert!(recipe.contains("cargo build --locked --release --package swoosh\n"), "{recipe}");
    assert!(recipe.contains("/release/swoosh\" tools/dist.py"), "{recipe}");
    let image = read("deploy/docker/Dockerfile");
    let built: Vec<&str> = image.lines().filter(|line| line.contains("cargo build")).collect();
    assert!(built.iter().all(|line| line.contains("--release")) && built.len() == 2, "{built:?}");
}

/// `make fetch` and `make validate` compiled RocksDB first, for twenty minutes.
#[test]
fn fetching_upstreams_brings_along_no_storage_and_no_server() {
    let unwanted =
        ["rocksdb", "librocksdb-sys", "bindgen", "axum", "hyper", "reqwest", "cedar-policy", "opentelemetry"];
    assert_without("swoosh-upstreams", &unwanted);
    let makefile = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Makefile")).unwrap();
    for target in ["fetch", "validate"] {
        let line = makefile.lines().find(|line| line.starts_with(&format!("{target}:"))).unwrap();
        let needs: Vec<&str> = line.split("##").next().unwrap().split_whitespace().skip(1).collect();
        assert_eq!(needs, ["upstreams-tool"], "{line}");
    }
    let (_, recipe) = makefile.split_once("\nupstreams-tool:").unwrap();
    assert!(recipe.lines().nth(1).unwrap().contains("--package swoosh-upstreams"), "{recipe}");
}

/// The seed asks for the standard library alone; docs/hybridcore.md says why each of these is there.
#[test]
fn hybridcore_uses_the_standard_library_and_a_short_list_of_crates() {
    let allowed = [
        "git2",
        "hcl-rs",
        "regex",
        "rustix",
        "semver",
        "serde",
        "serde_json",
        "sha1",
        "sha2",
        "spdx",
        "strsim",
        "swoosh-types",
        "tempfile",
        "thiserror",
        "toml",
        "yaml_serde",
    ];
    let mut found = tree("swoosh-hybridcore", &["--depth", "1"]);
    found.remove("swoosh-hybridcore");
    assert_eq!(found, allowed.map(str::to_owned).into());
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/hybridcore.md");
    let page = std::fs::read_to_string(page).unwrap();
    for name in allowed.iter().filter(|name| !name.starts_with("swoosh-")) {
        assert!(page.contains(name), "docs/hybridcore.md does not say why {name} is there");
    }
}

/// A crate that is missing there is optimised at every edit.
#[test]
fn the_profile_for_edits_names_every_crate_with_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let profile = std::fs::read_to_string(root.join("tools/edit.toml")).unwrap();
    let crates = std::fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().file_name());
    let named = |name: &str| profile.contains(&format!("\n[profile.dev.package.swoosh-{name}]\n"));
    let missing: Vec<_> =
        crates.map(|name| name.into_string().unwrap()).filter(|name| name != "features" && !named(name)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// Cargo compares times alone: a clone whose files are older than the other one's build ran the other one's programs.
#[test]
fn a_clone_never_runs_what_another_one_built_in_the_same_target_folder() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    let clones = ["first", "second"].map(|name| folder.path().join(name));
    for clone in &clones {
        std::fs::create_dir_all(clone.join("tools")).unwrap();
        std::fs::create_dir_all(clone.join("src")).unwrap();
        let manifest = "[package]\nname = \"swoosh-clone\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
        std::fs::write(clone.join("Cargo.toml"), manifest).unwrap();
        let name = clone.file_name().unwrap().to_str().unwrap();
        std::fs::write(clone.join("src/main.rs"), format!("fn main() {{ print!(\"{name}\") }}")).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/claim-target.sh");
        std::fs::copy(script, clone.join("tools/claim-target.sh")).unwrap();
    }
    let output = |clone: &Path, program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let output = command.args(arguments).current_dir(clone).env("CARGO_TARGET_DIR", &target).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let again = "another clone used";
    for (turn, (clone, name)) in [0, 1, 1, 0].into_iter().map(|n| (&clones[n], ["first", "second"][n])).enumerate() {
        let printed = output(clone, "tools/claim-target.sh", &[]);
        assert_eq!(printed.contains(again), turn % 2 == 1, "turn {turn}: {printed}");
        assert_eq!(output(clone, env!("CARGO"), &["run", "--quiet", "--offline"]), name, "turn {turn}");
    }
    let makefile = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Makefile")).unwrap();
    let (_, recipe) = makefile.split_once("\nprerequisites:\n").unwrap();
    assert!(recipe.contains("\t@tools/claim-target.sh\n"), "{recipe}");
}
