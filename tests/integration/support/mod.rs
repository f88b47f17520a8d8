//! A pure test world. `inputs` and `route` make valid proposals out of a state and keys alone and know
//! nothing of judging, so that tests over HTTP can use them; `world` judges in-process. `daemon` runs the real
//! program, `http` talks to it, `driver` drives a project in it, and `tracer` breaks its system calls.
#![allow(dead_code, reason = "each test module uses its own part")]

pub mod bubble;
pub mod daemon;
pub mod driver;
pub mod git_server;
pub mod inputs;
pub mod older;
pub mod otlp;
pub mod outside;
pub mod preload;
pub mod prometheus;
pub mod runbook;
pub mod sockets;
pub mod tls_front;
pub mod tracer;
pub mod wal;
pub mod whoosh;
pub mod world;

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use swoosh::types::json::Json;
pub use swoosh_testkit::{hands, http, route};
use tempfile::TempDir;

/// A loose JSON value as the strict one that proposals carry.
pub fn strict(value: &serde_json::Value) -> Json {
    Json::parse(&serde_json::to_vec(value).unwrap()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

/// Writes a program that may be run at once. A child process writes it. Otherwise a fork on another thread could
/// inherit the descriptor open for writing, and the kernel would refuse to run the file (ETXTBSY).
pub fn write_program(path: &std::path::Path, text: &str) {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(path).stdin(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Reports on stderr, past the test harness, that a test was skipped, and why. The harness hides the output of tests
/// that pass.
pub fn skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED {test}: {why}\n").as_bytes());
}

/// The commands that a help text lists: entries between the usage and the options, indented by two blanks.
pub fn listed(help: &str) -> std::collections::BTreeSet<String> {
    let lines =
        help.lines().skip_while(|line| !line.starts_with("Usage:")).skip(1).take_while(|line| *line != "Options:");
    let entries = lines.filter_map(|line| line.strip_prefix("  "));
    let entries = entries.filter(|entry| entry.starts_with(|first: char| first.is_ascii_lowercase()));
    entries.filter_map(|entry| entry.split_whitespace().next()).map(str::to_owned).collect()
}

/// The program. The nodes that it signs for are kept for this call alone, and never in the user's home.
pub fn program() -> Command {
    static KNOWN: OnceLock<TempDir> = OnceLock::new();
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let folder = KNOWN.get_or_init(|| tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
    let known = folder.path().join(CALLS.fetch_add(1, Ordering::Relaxed).to_string());
    let mut command = Command::new(env!("CARGO_BIN_EXE_swoosh"));
    command.env("SWOOSH_KNOWN_NODES", known);
    command
}
