//! The commit and the target that `swoosh version` names.

use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    built_from()?;
    Ok(())
}

/// The commit and the target, for `swoosh version`. A release names its commit; a working tree changes after this script ran, so that its
/// commit is marked as where the build began. Nothing here makes cargo compile again after a commit.
fn built_from() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-env-changed=SWOOSH_COMMIT");
    println!("cargo::rustc-env=SWOOSH_BUILT_TARGET={}", std::env::var("TARGET")?);
    let commit = match std::env::var("SWOOSH_COMMIT").ok().filter(|commit| !commit.is_empty()) {
        Some(commit) if is_commit(commit.strip_suffix("-dirty").unwrap_or(&commit)) => Some(commit),
        Some(commit) => {
            return Err(format!("SWOOSH_COMMIT is {commit:?}; name a commit by its 40 hexadecimal digits").into());
        }
        None => working_tree(),
    };
    if let Some(commit) = commit {
        println!("cargo::rustc-env=SWOOSH_BUILT_COMMIT={commit}");
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "git runs while the program is built, not in it")]
fn working_tree() -> Option<String> {
    let asked = Command::new("git").args(["rev-parse", "--verify", "HEAD"]).output().ok()?;
    let head = String::from_utf8(asked.stdout).ok()?.trim().to_owned();
    is_commit(&head).then(|| format!("{head}-dev"))
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
