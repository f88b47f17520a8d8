//! The system calls that a piece of code makes, seen by strace.
//!
//! A test runs itself again under strace, with an environment variable that names a directory; the copy does the work there.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the directory in which the traced copy of a test works.
const DIRECTORY: &str = "SWOOSH_TRACED_IN";

/// Checks that `work` makes the file `file` in the directory that it gets durable: a file is synced, then renamed to `file`, then the
/// directory is synced. `test` is the whole name of the calling test. Does nothing, and says so, where strace cannot trace.
pub fn assert_durable(test: &str, file: &str, work: impl FnOnce(&Path)) {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return work(&PathBuf::from(directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().canonicalize().unwrap();
    let Some(calls) = traced(test, &directory) else {
        return eprintln!("strace cannot trace here; the syncs of {test} were not checked");
    };
    let target = format!("\"{}\"", directory.join(file).display());
    let renamed = calls.iter().position(|call| call.contains("rename") && call.contains(&target));
    let renamed = renamed.unwrap_or_else(|| panic!("nothing is renamed to {target}:\n{}", calls.join("\n")));
    let draft = calls[renamed].split('"').nth(1).unwrap();
    let synced = |calls: &[String], path: &str| {
        calls.iter().any(|call| call.contains("sync(") && call.contains(&format!("<{path}>")) && call.ends_with("= 0"))
    };
    let (before, after) = calls.split_at(renamed);
    assert!(synced(before, draft), "{draft} is renamed without a sync:\n{}", calls.join("\n"));
    let directory = directory.to_str().unwrap();
    assert!(synced(after, directory), "{directory} is not synced after the rename:\n{}", calls.join("\n"));
}

/// The syncs and renames of one test of this binary, in order; `None` where strace cannot trace.
fn traced(test: &str, directory: &Path) -> Option<Vec<String>> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let traced = Command::new("strace")
        .args(["-f", "-y", "-s", "4096", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2,linkat", "-o"])
        .arg(log.path())
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--test-threads", "1"])
        .env(DIRECTORY, directory)
        .output()
        .ok()?;
    let text = std::fs::read_to_string(log.path()).unwrap();
    if text.is_empty() && !traced.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&traced.stdout);
    assert!(traced.status.success() && said.contains("1 passed"), "{test} fails under strace:\n{said}");
    Some(text.lines().map(str::to_owned).collect())
}
