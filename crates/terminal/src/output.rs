//! Output of commands: text for people or JSON for programs, lists in columns.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

/// Blanks between two columns.
const GAP: usize = 2;

/// Whether notes are JSON.
static JSON_NOTES: AtomicBool = AtomicBool::new(false);

/// Tells something beside the result, on standard error: as text, or as a line of JSON where JSON was asked for.
pub fn note(document: &serde_json::Value, text: impl FnOnce() -> String) {
    match JSON_NOTES.load(Ordering::Relaxed) {
        true => eprintln!("{document}"),
        false => eprintln!("{}", text()),
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
        if self.json { self.document(document) } else { print(&text()) }
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

/// Rows in columns.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without headings.
    pub fn new() -> Table {
        Table::default()
    }

    pub fn with(headings: &[&str]) -> Table {
        Table { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()] }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The rows, each indented by `indent` blanks; the last column is never padded.
    pub fn text(&self, indent: usize) -> String {
        let widths = self.widths();
        let lines: Vec<String> = self.rows.iter().map(|row| line(row, &widths, indent)).collect();
        lines.join("\n")
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| length(cell)).max();
        (0..columns).map(|column| width(column).unwrap_or(0)).collect()
    }
}

fn length(cell: &str) -> usize {
    cell.chars().count()
}

fn line(row: &[String], widths: &[usize], indent: usize) -> String {
    let mut line = " ".repeat(indent);
    for (cell, width) in row.iter().zip(widths) {
        line.push_str(cell);
        line.push_str(&" ".repeat(width.saturating_sub(length(cell)) + GAP));
    }
    line.trim_end().to_owned()
}

/// Names and values, one pair a line.
pub fn fields(pairs: &[(&str, String)]) -> String {
    let mut table = Table::new();
    pairs.iter().for_each(|(name, value)| table.row([(*name).to_owned(), value.clone()]));
    table.text(2)
}

/// A number with its noun: `1 record`, `2 records`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_clean() {
        let mut table = Table::with(&["name", "why"]);
        table.row(["a".into(), "first".into()]);
        table.row(["länger".into(), String::new()]);
        assert_eq!(table.text(1), " name    why\n a       first\n länger");
    }

    #[test]
    fn counted_nouns_agree() {
        assert_eq!([count(0, "record"), count(1, "record")], ["0 records".to_owned(), "1 record".to_owned()]);
    }
}
