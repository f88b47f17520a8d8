//! Each SDK by its own toolchain: formatting and types, the vectors, the contract, and a real node.

mod callers;
mod cross;
mod faults;
mod first;
mod rust;
mod stage;

use std::path::Path;
use std::process::Command;

use stage::{good, python, run_with_node, toolchain};

fn root() -> std::path::PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// Python in the folder of its SDK, with the sources of the package.
fn in_python(module: &str) -> Command {
    let mut command = Command::new(python());
    let folder = root().join("sdk/python");
    command.env("PYTHONPATH", folder.join("src")).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(folder);
    command.args(["-m", module]);
    command
}

#[test]
fn the_python_sdk_keeps_the_contract_against_a_node() {
    run_with_node(in_python("pytest").args(["--tb=short", "-x"]));
}

#[test]
fn the_python_sdk_has_types_and_no_lint() {
    let cache = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    good(&in_python("ruff").args(["check", "--no-cache", "src", "tests", "examples"]).output().unwrap());
    good(&in_python("mypy").arg("--cache-dir").arg(cache.path()).output().unwrap());
}

/// Another team installs the wheel, and checks it by the vectors that it has.
#[test]
fn the_wheel_of_the_python_sdk_holds_the_vectors_in_a_fresh_environment() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    good(&in_python("hatchling").args(["build", "-t", "wheel", "-d"]).arg(folder.path()).output().unwrap());
    let fresh = folder.path().join("venv");
    good(&Command::new("python3").args(["-m", "venv"]).arg(&fresh).output().unwrap());
    let wheel = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let wheel = wheel.into_iter().find(|path| path.extension().is_some_and(|end| end == "whl")).unwrap();
    let mut install = Command::new(fresh.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]);
    good(&install.arg(wheel).output().unwrap());
    // Its dependencies are those of the tests, so that the network is not needed.
    let packages = site_packages(&fresh);
    std::fs::write(packages.join("needed.pth"), site_packages(python().ancestors().nth(2).unwrap()).to_str().unwrap())
        .unwrap();
    let mut run = Command::new(fresh.join("bin/python"));
    let said = good(
        &run.args(["-m", "swoosh", "vectors"])
            .arg(root().join("tests/vectors"))
            .current_dir(folder.path())
            .output()
            .unwrap(),
    );
    assert!(said.contains("vectors hold"), "{said}");
}

fn site_packages(venv: &Path) -> std::path::PathBuf {
    let mut found = std::fs::read_dir(venv.join("lib")).unwrap().map(|entry| entry.unwrap().path());
    found.next().unwrap().join("site-packages")
}

#[test]
fn the_javascript_sdk_keeps_the_contract_against_a_node() {
    let mut node = stage::node();
    node.args(["--no-warnings", "--test", "test/vectors.test.js", "test/contract.test.js", "test/node.test.js"]);
    let said = run_with_node(node.current_dir(root().join("sdk/js")));
    assert!(said.contains("# skipped 0"), "{said}");
}

/// Go in the folder of its SDK. It downloads nothing, and keeps what it compiles beside the build products.
fn go(arguments: &[&str]) -> Command {
    let mut go = toolchain("go", &["version"]);
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("sdk-go");
    go.args(arguments).current_dir(root().join("sdk/go")).env("GOCACHE", cache);
    go.env("GOFLAGS", "-mod=mod").env("GOPROXY", "off").env("GOPATH", std::env::temp_dir());
    go
}

#[test]
fn the_go_sdk_keeps_the_contract_against_a_node() {
    let unformatted =
        good(&toolchain("gofmt", &["-h"]).args(["-l", "."]).current_dir(root().join("sdk/go")).output().unwrap());
    assert_eq!(unformatted, "", "gofmt -w formats them");
    good(&go(&["vet", "./..."]).output().unwrap());
    let said = run_with_node(&mut go(&["test", "-race", "-count=1", "-v", "./..."]));
    assert!(!said.contains("--- SKIP"), "{said}");
}
