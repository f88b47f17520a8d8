//! Output of commands: text for people or JSON for programs, lists in columns.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

mod short;
mod style;
mod table;

pub use short::{name_keys, short_key};
pub use style::{coloured, coloured_error, is_verbose, set_verbose, set_wide};
pub use swoosh_types::words::count;
pub use table::{Table, fields, has_room, paragraph, prose, wrapped};

/// Version of the documents that `--json` prints (docs/command-line.md). Within a version, members are only added.
pub const JSON_VERSION: u64 = 1;

/// Whether notes are JSON.
static JSON_NOTES: AtomicBool = AtomicBool::new(false);

/// Tells something beside the result, on standard error: as text, or as a line of JSON where JSON was asked for.
pub fn note(document: &serde_json::Value, text: impl FnOnce() -> String) {
    match JSON_NOTES.load(Ordering::Relaxed) {
        true => eprintln!("{document}"),
        false => eprintln!("{}", prose(&text())),
    }
}

/// The same for a person: printed only if standard error is a terminal.
pub fn hint(document: &serde_json::Value, text: impl FnOnce() -> String) {
    if std::io::stderr().is_terminal() {
        note(document, text);
    }
}

/// Where results go: standard output, as text or as JSON.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// Says everything as JSON, or as text.
    pub fn new(json: bool) -> Output {
        JSON_NOTES.store(json, Ordering::Relaxed);
        Output { json }
    }

    /// Whether JSON was asked for.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Says a result: the document where JSON was asked for, else the text.
    pub fn say<T: Serialize + ?Sized>(self, document: &T, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        if self.json { self.document(document) } else { print_text(&text()) }
    }

    /// Says a document that is JSON either way: one that is signed, stored or sent on.
    pub fn document<T: Serialize + ?Sized>(self, document: &T) -> anyhow::Result<()> {
        print(&serde_json::to_string_pretty(document)?)
    }
}

/// The exit code of success, or of failure.
pub fn exit(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Writes text with one line end to standard output; a reader that went away (`| head`) is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
    Ok(written.or_else(|error| if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })?)
}

/// Writes text for people: like [`print()`], with colours where standard output is a terminal.
pub fn print_text(text: &str) -> anyhow::Result<()> {
    print(&coloured(text))
}
