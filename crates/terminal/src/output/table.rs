//! Lists in columns that fit the width of the terminal.

use std::io::IsTerminal as _;

use super::short::shortened;
use super::style;

/// Blanks between two columns.
const GAP: usize = 2;
/// Blanks before a note, beside the indent of the rows.
const NOTE: usize = 4;
/// The least width of a column whose words are broken.
const LEAST: usize = 8;

/// Rows in columns.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    /// A text below the row of an index.
    notes: Vec<(usize, String)>,
    /// The heading of the notes where they are a column.
    noted: Option<&'static str>,
}

impl Table {
    /// A table without headings.
    pub fn new() -> Table {
        Table::default()
    }

    pub fn with(headings: &[&str]) -> Table {
        Table {
            rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()],
            notes: Vec::new(),
            noted: None,
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Names the notes of a table with headings.
    pub fn noted(mut self, heading: &'static str) -> Table {
        self.noted = Some(heading);
        self
    }

    /// Adds a text below the last row, which has the whole width. It is the last column where lines may be as long as they are, so
    /// that a line has all of a row.
    pub fn note(&mut self, text: String) {
        if let Some(last) = self.rows.len().checked_sub(1).filter(|_| !text.is_empty()) {
            self.notes.push((last, text));
        }
    }

    /// The rows, each indented by `indent` blanks; the last column is never padded. Hashes and keys are shortened and cells are broken
    /// into lines where the terminal is too narrow, unless `--wide` was given.
    pub fn text(&self, indent: usize) -> String {
        match style::width() {
            Some(width) => self.within(indent, width),
            None => self.in_full(indent),
        }
    }

    fn in_full(&self, indent: usize) -> String {
        let mut rows = self.rows.clone();
        let heading = self.noted.filter(|_| !self.notes.is_empty()).map(|heading| (0, heading));
        let notes = self.notes.iter().map(|(at, note)| (*at, note.as_str()));
        for (at, note) in heading.into_iter().chain(notes) {
            rows.get_mut(at).into_iter().for_each(|row| row.push(note.to_owned()));
        }
        let widths = natural(&rows);
        rows.iter().flat_map(|row| lines_of(row, &widths, indent)).collect::<Vec<_>>().join("\n")
    }

    fn within(&self, indent: usize, width: usize) -> String {
        let short = |row: &Vec<String>| row.iter().map(|cell| shortened(cell)).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(short).collect();
        let room = width.saturating_sub(indent + NOTE).max(LEAST);
        self.lines(&rows, &fitting(&rows, indent, width), indent, |note| broken(&shortened(note), room))
    }

    fn lines(
        &self,
        rows: &[Vec<String>],
        widths: &[usize],
        indent: usize,
        split: impl Fn(&str) -> Vec<String>,
    ) -> String {
        let mut all = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            all.extend(lines_of(row, widths, indent));
            let notes = self.notes.iter().filter(|(below, _)| *below == at);
            let lines = notes.flat_map(|(_, note)| split(note));
            all.extend(lines.map(|line| format!("{}{line}", " ".repeat(indent + NOTE))));
        }
        all.join("\n")
    }
}

/// A text for standard error in lines of the terminal's width; as it is where standard error is no terminal.
pub fn paragraph(text: &str) -> String {
    let Some(width) = style::width().filter(|_| std::io::stderr().is_terminal()) else { return text.to_owned() };
    text.lines().map(|line| wrapped_to(line, width)).collect::<Vec<_>>().join("\n")
}

/// The same of prose alone: an indented line is a command or a field, which a reader copies.
pub fn prose(text: &str) -> String {
    let shown = |line: &str| if line.starts_with(' ') { line.to_owned() } else { paragraph(line) };
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

/// A line of a text in lines of the width of lists, the later ones indented. A longer word is copied whole, so it stays whole, and so
/// does a command between backticks.
pub fn wrapped(line: &str) -> String {
    style::width().map_or_else(|| line.to_owned(), |width| wrapped_to(line, width))
}

fn wrapped_to(line: &str, width: usize) -> String {
    let indent = line.chars().take_while(|letter| *letter == ' ').count();
    let mut lines = vec![" ".repeat(indent)];
    for word in words(line.trim_start()) {
        let Some(last) = lines.last_mut() else { break };
        let is_empty = last.trim().is_empty();
        if is_empty || length(last) + 1 + length(word) <= width {
            let gap = if is_empty { "" } else { " " };
            last.push_str(&format!("{gap}{word}"));
        } else {
            lines.push(format!("{}{word}", " ".repeat(indent + 2)));
        }
    }
    lines.join("\n")
}

/// The parts of a line between blanks. Blanks between two backticks separate nothing.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let has_pairs = line.matches('`').count().is_multiple_of(2);
    line.split(move |letter| {
        is_quoted ^= letter == '`' && has_pairs;
        letter == ' ' && !is_quoted
    })
}

/// Whether lists have room for so many columns.
pub fn has_room(columns: usize) -> bool {
    style::width().is_none_or(|width| width >= columns)
}

/// Names and values, one pair a line. A hash is shortened where the line would be wider than the terminal.
pub fn fields(pairs: &[(&str, String)]) -> String {
    fields_within(pairs, style::width())
}

fn fields_within(pairs: &[(&str, String)], width: Option<usize>) -> String {
    let longest = pairs.iter().map(|(name, _)| length(name)).max().unwrap_or(0);
    let fits = |value: &str| width.is_none_or(|width| 2 + longest + GAP + length(value) <= width);
    // A text that quotes a hash is broken into lines instead.
    let is_whole = |value: &str| fits(value) || value.split(' ').all(fits);
    let value = |value: &String| if is_whole(value) { value.clone() } else { shortened(value) };
    let rows: Vec<Vec<String>> = pairs.iter().map(|(name, text)| vec![(*name).to_owned(), value(text)]).collect();
    let mut widths = natural(&rows);
    if let (Some(width), [name, value]) = (width, &mut widths[..]) {
        let room = width.saturating_sub(2 + *name + GAP).max(LEAST);
        // A word that does not fit is a path or an address, which is copied whole.
        *value = (*value).min(room.max(longest_word(&rows, 1)));
    }
    rows.iter().flat_map(|row| lines_of(row, &widths, 2)).collect::<Vec<_>>().join("\n")
}

fn natural(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| length(cell)).max();
    (0..columns).map(|column| width(column).unwrap_or(0)).collect()
}

fn longest_word(rows: &[Vec<String>], column: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(column));
    cells.flat_map(|cell| cell.split(' ')).map(length).max().unwrap_or(0)
}

/// Widths whose sum fits: the widest columns give way, first down to their longest words, then below.
fn fitting(rows: &[Vec<String>], indent: usize, width: usize) -> Vec<usize> {
    let mut widths = natural(rows);
    let room = width.saturating_sub(indent + GAP * widths.len().saturating_sub(1));
    let words: Vec<usize> = (0..widths.len()).map(|column| longest_word(rows, column)).collect();
    let broken: Vec<usize> = words.iter().map(|word| (*word).min(LEAST)).collect();
    for least in [words, broken] {
        while widths.iter().sum::<usize>() > room {
            let shrinking = (0..widths.len()).filter(|&column| widths[column] > least[column]);
            let Some(widest) = shrinking.max_by_key(|&column| widths[column]) else { break };
            widths[widest] -= 1;
        }
    }
    widths
}

fn length(cell: &str) -> usize {
    cell.chars().count()
}

/// The lines of a row: as many as its longest cell needs.
fn lines_of(row: &[String], widths: &[usize], indent: usize) -> Vec<String> {
    let cells: Vec<Vec<String>> = row.iter().zip(widths).map(|(cell, width)| broken(cell, *width)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let line = |at: usize| {
        let mut line = " ".repeat(indent);
        for (cell, width) in cells.iter().zip(widths) {
            let part = cell.get(at).map(String::as_str).unwrap_or_default();
            line.push_str(part);
            line.push_str(&" ".repeat(width.saturating_sub(length(part)) + GAP));
        }
        line.trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

/// A cell in lines of a width, broken at blanks, and inside of words that are longer.
fn broken(cell: &str, width: usize) -> Vec<String> {
    if length(cell) <= width || width == 0 {
        return vec![cell.to_owned()];
    }
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in cell.split(' ') {
        if !line.is_empty() && length(&line) + 1 + length(word) <= width {
            line.push(' ');
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        let mut letters: Vec<char> = word.chars().collect();
        while letters.len() > width {
            let rest = letters.split_off(place_to_break(&letters, width));
            lines.push(letters.into_iter().collect());
            letters = rest;
        }
        line = letters.into_iter().collect();
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// After the last sign within the width, so that names in a path or a list stay whole.
fn place_to_break(letters: &[char], width: usize) -> usize {
    let sign = letters.iter().take(width).rposition(|letter| "/,_-".contains(*letter));
    sign.map(|at| at + 1).filter(|at| *at > width / 3).unwrap_or(width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_clean() {
        let mut table = Table::with(&["name", "why"]);
        table.row(["a".into(), "first".into()]);
        table.row(["länger".into(), String::new()]);
        assert_eq!(table.within(1, 80), " name    why\n a       first\n länger");
    }

    /// The inputs of a transition had lines of 127 columns.
    #[test]
    fn a_wrapped_line_fits_but_for_words_that_are_longer() {
        let text = "document.sources: object of at most 64 members, with keys such as \"main\"";
        let lines = wrapped_to(text, 40);
        assert_eq!(lines, "document.sources: object of at most 64\n  members, with keys such as \"main\"");
        let long = "x".repeat(50);
        assert_eq!(wrapped_to(&format!("    a {long} b"), 40), format!("    a\n      {long}\n      b"));
    }

    #[test]
    fn a_command_between_backticks_is_not_broken() {
        let text = "error: no key; run `swoosh keygen --out me.key` and name it";
        assert_eq!(wrapped_to(text, 30), "error: no key; run\n  `swoosh keygen --out me.key`\n  and name it");
        assert_eq!(wrapped_to("it's a ` b c", 6), "it's a\n  ` b\n  c");
    }

    /// Fields with a whole hash had 83 to 87 columns.
    #[test]
    fn a_hash_in_a_field_is_shortened_where_it_does_not_fit() {
        let hash = "sha256-c1f2d3a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d1e2";
        let pairs = [("first record", "1".to_owned()), ("chain", hash.to_owned())];
        assert_eq!(fields_within(&pairs, Some(80)), "  first record  1\n  chain         c1f2d3a4");
        assert_eq!(fields_within(&pairs, Some(100)), format!("  first record  1\n  chain         {hash}"));
        assert_eq!(fields_within(&pairs, None), fields_within(&pairs, Some(100)));
    }

    /// Tables were as wide as their content, and terminals broke their lines anywhere.
    #[test]
    fn a_table_is_never_wider_than_the_terminal() {
        let mut table = Table::with(&["transition", "why", "path"]);
        let why = "an outcome names its open effect, and the signer is an executor of this effect";
        table.row(["Execution_ApprovalsThreshold".into(), why.into(), "/var/lib/swoosh/data/index/000123.sst".into()]);
        table.row(["Control_Pause".into(), String::new(), "x".repeat(90)]);
        for width in [40, 60, 80, 120] {
            let text = table.within(0, width);
            assert!(text.lines().all(|line| length(line) <= width), "{width}:\n{text}");
            let all: String = text.split_whitespace().collect();
            assert!(all.contains("Control_Pause") || width < 60, "{width}:\n{text}");
        }
        assert!(table.within(0, 200).contains("an outcome names its open effect"));
    }

    #[test]
    fn a_note_has_the_whole_width_below_its_row() {
        let mut table = Table::with(&["transition", "by"]);
        table.row(["Council_Eject".into(), "operator".into()]);
        table.note("✗ entered: execution is in REVIEW; pause the project first".into());
        let expected = "  transition     by\n  Council_Eject  operator\n      ✗ entered: execution is in REVIEW;\n      pause the project first";
        assert_eq!(table.within(2, 40), expected);
        let full = "transition     by        why\nCouncil_Eject  operator  ✗ entered: execution is in REVIEW; pause the project first";
        assert_eq!(table.noted("why").in_full(0), full);
    }

    #[test]
    fn a_cell_is_broken_at_blanks_and_long_words_at_signs() {
        assert_eq!(broken("one two three", 7), ["one two", "three"]);
        assert_eq!(broken("/var/lib/swoosh/data", 12), ["/var/lib/", "swoosh/data"]);
        assert_eq!(broken("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(broken("", 4), [""]);
    }
}
