//! What comes along with the features that promise little: the pure core has no runtime and no storage,
//! the SDK has no storage.

use std::collections::BTreeSet;
use std::process::Command;

/// Names of all crates that a feature needs, ours included.
fn crates_of(feature: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build", "--no-default-features"])
        .args(["--features", feature, "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "cargo tree failed:\n{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("crate names are UTF-8");
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn assert_without(feature: &str, unwanted: &[&str]) {
    let crates = crates_of(feature);
    assert!(crates.contains("swoosh") && crates.contains("ed25519-dalek"), "this is no tree of ours: {crates:?}");
    let found: Vec<_> = unwanted.iter().filter(|name| crates.contains(**name)).collect();
    assert!(found.is_empty(), "the feature {feature} must not bring along {found:?}");
}

#[test]
fn the_pure_core_brings_along_no_runtime_no_network_and_no_storage() {
    assert_without("machine", &["rocksdb", "librocksdb-sys", "tokio", "hyper", "reqwest", "axum", "getrandom", "clap"]);
}

/// `make fetch` and `make validate` compiled RocksDB first, for twenty minutes.
#[test]
fn fetching_upstreams_brings_along_no_storage_and_no_server() {
    let unwanted =
        ["rocksdb", "librocksdb-sys", "bindgen", "axum", "hyper", "reqwest", "cedar-policy", "opentelemetry"];
    assert_without("upstreams-tool", &unwanted);
    let makefile = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Makefile")).unwrap();
    for target in ["fetch", "validate"] {
        let line = makefile.lines().find(|line| line.starts_with(&format!("{target}:"))).unwrap();
        let needs: Vec<&str> = line.split("##").next().unwrap().split_whitespace().skip(1).collect();
        assert_eq!(needs, ["upstreams-tool"], "{line}");
    }
    let (_, recipe) = makefile.split_once("\nupstreams-tool:").unwrap();
    assert!(recipe.lines().nth(1).unwrap().contains("--no-default-features --features upstreams-tool"), "{recipe}");
}

#[test]
fn the_sdk_brings_along_no_storage_and_no_server() {
    assert_without("client", &["rocksdb", "librocksdb-sys", "axum", "clap", "cedar-policy", "git2"]);
}
