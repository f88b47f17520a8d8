//! Each recipe of CONTRIBUTING.md, followed: a patch per recipe in `tests/recipes` that changes its files and no others.
//!
//! `SWOOSH_RECIPES=1` (`make recipes`) compiles them too, in a target folder of its own. Cargo tells crates apart by their path
//! within the workspace, so a copy of the tree that shared this target folder would leave its patched crates there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const NAMES: [&str; 5] = ["guard", "transition", "effect", "endpoint", "setting"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn patch(name: &str) -> PathBuf {
    root().join(format!("tests/recipes/{name}.patch"))
}

/// The files that a recipe lists.
fn listed(name: &str) -> BTreeSet<String> {
    let page = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let mut recipes = page.split("\n### ").skip(1);
    let is_it = |recipe: &&str| recipe.split([',', '\n']).next().unwrap().ends_with(&format!(" {name}"));
    let recipe = recipes.find(is_it).unwrap_or_else(|| panic!("there is no recipe for {name}"));
    let steps = recipe.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    steps.map(|step| step.split('`').nth(1).unwrap().to_owned()).collect()
}

/// The files that a patch changes.
fn changed(name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(patch(name)).unwrap();
    text.lines().filter_map(|line| line.strip_prefix("+++ b/")).map(str::to_owned).collect()
}

fn git_apply(tree: &Path, name: &str, more: &[&str]) -> Output {
    let mut command = Command::new("git");
    command.arg("apply").args(more).arg(patch(name)).current_dir(tree);
    // The scratch folder may be below another repository.
    if let Some(above) = tree.parent().filter(|_| tree != root()) {
        command.env("GIT_CEILING_DIRECTORIES", above);
    }
    command.output().unwrap()
}

#[track_caller]
fn insist(output: &Output, what: &str) {
    assert!(output.status.success(), "{what}:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A recipe that leaves out a file would be found by the compiler of the reader; one that names too many costs more.
#[test]
fn the_patch_of_each_recipe_changes_the_files_that_it_lists() {
    for name in NAMES {
        let mut expected = listed(name);
        if name == "effect" {
            // Its outcomes are transitions, whose reducers are in the effect's region.
            expected.extend(listed("transition"));
            expected.remove("crates/machine/src/reduce/council.rs");
        }
        assert_eq!(changed(name), expected, "{name}");
        insist(
            &git_apply(&root(), name, &["--check"]),
            &format!("tests/recipes/{name}.patch no longer applies; make it again"),
        );
    }
}

/// A copy of the tree without what is built and what git keeps.
fn scratch() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&root(), folder.path());
    folder
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if [".git", "target", "third_party", "dist", "run"].iter().any(|skipped| entry.file_name() == *skipped) {
            continue;
        }
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&source, &target);
        } else if kind.is_file() {
            fs::copy(&source, &target).unwrap();
        }
    }
}

/// Runs cargo on a copy; its products stay for the next run.
fn cargo(tree: &Path, arguments: &[&str]) -> Output {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recipes");
    let mut command = Command::new(env!("CARGO"));
    command.args(["--config", "tools/edit.toml"]).args(arguments).args(["--offline", "--locked"]);
    command.current_dir(tree).env("CARGO_TARGET_DIR", target).output().unwrap()
}

/// With the chart alone, a guard and a transition have no function, and do not compile. With the rest of the recipe they do.
fn compile_guard_and_transition() {
    let tree = scratch();
    let build = ["check", "--lib", "--package", "swoosh-machine"];
    for name in ["guard", "transition"] {
        insist(&git_apply(tree.path(), name, &["--include", "statechart.yaml"]), name);
    }
    let refused = cargo(tree.path(), &build);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    for function in ["`steady`", "`settle`"] {
        assert!(
            said.contains(&format!("cannot find value {function}"))
                || said.contains(&format!("cannot find function {function}")),
            "{said}"
        );
    }
    for name in ["guard", "transition"] {
        insist(&git_apply(tree.path(), name, &["--include", "crates/*"]), name);
    }
    insist(&cargo(tree.path(), &build), "the recipes of a guard and a transition do not compile");
}

/// `make recipes`: each by itself, with all tests. One after the other, because the copies share their target folder.
#[test]
fn every_recipe_compiles_where_that_is_asked_for() {
    if std::env::var_os("SWOOSH_RECIPES").is_none() {
        return;
    }
    compile_guard_and_transition();
    for name in NAMES {
        let tree = scratch();
        insist(&git_apply(tree.path(), name, &[]), name);
        insist(&cargo(tree.path(), &["check", "--workspace", "--all-targets"]), name);
    }
}
