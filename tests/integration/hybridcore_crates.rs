//! What `hybridcore` and `upstreams` may use of others: the contract asks for the standard library alone, and
//! docs/hybridcore.md says why each of these few is there all the same.

use std::collections::BTreeSet;

use super::source::{files, paths};

const ALLOWED: &[&str] = &[
    "git2",
    "hcl",
    "regex",
    "rustix",
    "serde",
    "serde_json",
    "sha1",
    "sha2",
    "spdx",
    "strsim",
    "tempfile",
    "thiserror",
    "toml",
    "yaml_serde",
];

/// The crates that this package depends on, by the names that code uses.
fn dependencies() -> BTreeSet<String> {
    let manifest = include_str!("../../Cargo.toml");
    let section = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let names = section.lines().filter_map(|line| line.split_once('=').map(|(name, _)| name.trim().replace('-', "_")));
    names.map(|name| if name == "hcl_rs" { "hcl".to_owned() } else { name }).collect()
}

#[test]
fn hybridcore_uses_the_standard_library_and_a_short_list_of_crates() {
    let dependencies = dependencies();
    assert!(dependencies.contains("rocksdb") && ALLOWED.iter().all(|name| dependencies.contains(*name)));
    let modules = files()
        .into_iter()
        .filter(|file| matches!(file.module.first().map(String::as_str), Some("hybridcore" | "upstreams")));
    let mut breaches = Vec::new();
    for file in modules {
        for named in paths(&file.module, &file.shipped) {
            let root = &named.path[0];
            if dependencies.contains(root) && !ALLOWED.contains(&root.as_str()) {
                breaches.push(format!("{}:{}: {root}", file.path, named.line));
            }
        }
    }
    assert!(breaches.is_empty(), "hybridcore must not use these crates:\n{}", breaches.join("\n"));
}
