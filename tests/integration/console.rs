//! The console in a browser: `tests/console/` drives Chromium over nodes of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn good(output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr));
}

/// The program with the first of these names that is there.
fn needed(names: &[&str]) -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let all = names.iter().flat_map(|name| std::env::split_paths(&folders).map(move |folder| folder.join(name)));
    all.into_iter()
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{} is not installed; run tools/install-prerequisites.sh tests", names[0]))
}

/// The libraries of the tests, by their lock file, in the target folder.
fn modules() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let folder = target.join("console-tests");
    std::fs::create_dir_all(&folder).unwrap();
    let mut changed = !folder.join("node_modules/playwright-core/package.json").exists();
    for name in ["package.json", "package-lock.json"] {
        let wanted = std::fs::read(root().join("tests/console").join(name)).unwrap();
        if std::fs::read(folder.join(name)).ok().as_ref() != Some(&wanted) {
            std::fs::write(folder.join(name), wanted).unwrap();
            changed = true;
        }
    }
    if changed {
        let mut install = Command::new(needed(&["npm"]));
        good(
            &install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder).output().unwrap(),
        );
    }
    folder
}

#[test]
fn the_console_is_tried_in_a_browser() {
    let (node, chromium) = (needed(&["node"]), needed(&["chromium", "chromium-browser", "google-chrome"]));
    let mut tests = Command::new(node);
    tests.args(["--test", "--test-concurrency=1"]).arg(root().join("tests/console/console.test.mjs"));
    tests.env("CONSOLE_MODULES", modules()).env("CHROMIUM", chromium).env("SWOOSH", env!("CARGO_BIN_EXE_swoosh"));
    good(&tests.current_dir(env!("CARGO_TARGET_TMPDIR")).output().unwrap());
}
