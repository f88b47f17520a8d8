//! The laboratory as users run it: the programs `swoosh-lab` and `swoosh`, as they were built.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used)]

mod bench;
mod chaos;
mod demo;
mod help;
mod kept;
mod picture;

use std::path::Path;
use std::process::Command;

/// `swoosh-lab`, with the `swoosh` beside it. Cargo builds `swoosh` for the tests of its own package, and so for those of the workspace.
fn lab() -> Command {
    let lab = Path::new(env!("CARGO_BIN_EXE_swoosh-lab"));
    let swoosh = lab.with_file_name("swoosh");
    assert!(
        swoosh.is_file(),
        "{} is missing; build it with `cargo build --package swoosh --package swoosh-lab`",
        swoosh.display()
    );
    let mut command = Command::new(lab);
    command.env_remove("SWOOSH");
    command
}

/// Says past the test harness that a test was not run, and why: the harness keeps the output of a test that passes.
fn skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED {test}: {why}\n").as_bytes());
}
