//! A look at YAML text before it is parsed: libyaml needs quadratic time for nested brackets, and reads a merge key (`<<`) as a member.

use std::borrow::Cow;

use thiserror::Error;

/// The deepest nesting of brackets that is read; the parser itself refuses 128 levels of any kind.
pub const MAX_DEPTH: usize = 128;

/// Why a YAML text is not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum YamlError {
    /// Brackets are nested too deeply.
    #[error("line {line}: brackets are nested deeper than {MAX_DEPTH} levels; nest them less deeply")]
    Deep {
        /// From 1.
        line: usize,
    },
    /// A merge key. YAML 1.2 has none, and parsers disagree about it.
    #[error(
        "line {line}: `<<` (a merge key) is not supported; write the members themselves, or quote a key of this name"
    )]
    Merge {
        /// From 1.
        line: usize,
    },
}

impl YamlError {
    /// The line, from 1.
    pub const fn line(self) -> usize {
        match self {
            YamlError::Deep { line } | YamlError::Merge { line } => line,
        }
    }
}

/// Checks a text in linear time.
pub fn check(text: &str) -> Result<(), YamlError> {
    let text = with_plain_breaks(text);
    Scanner { text: text.as_bytes(), at: 0, start: 0, line: 1, depth: 0, parent: -1, asked: false }.run()
}

/// The text, checked, with the error type of the parser that reads it next.
pub fn checked<E: serde::de::Error>(text: &str) -> Result<&str, E> {
    check(text).map(|()| text).map_err(E::custom)
}

/// YAML 1.1 has more line breaks than LF and CR; libyaml knows them.
fn with_plain_breaks(text: &str) -> Cow<'_, str> {
    const OTHER: [char; 4] = ['\r', '\u{85}', '\u{2028}', '\u{2029}'];
    if text.contains(OTHER) { text.replace("\r\n", "\n").replace(OTHER, "\n").into() } else { text.into() }
}

/// Follows tokens as far as needed to know which brackets and keys are syntax.
struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
    /// Where the line begins.
    start: usize,
    line: usize,
    /// Open brackets.
    depth: usize,
    /// The column of the innermost block node, -1 outside of all.
    parent: isize,
    /// Whether the next scalar is a key after `?`.
    asked: bool,
}

impl Scanner<'_> {
    fn run(mut self) -> Result<(), YamlError> {
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' | b' ' | b'\t' => self.step(),
                b'#' => self.skip_line(),
                b'%' if self.column() == 0 => self.skip_line(),
                b'[' | b'{' => self.open()?,
                b']' | b'}' | b',' if self.depth > 0 => self.close_or_comma(byte),
                b'"' | b'\'' => self.quoted(byte),
                b'-' | b'?' | b':' if self.ends_after(self.at + 1) => self.indicator(byte),
                b'-' | b'.' if self.is_marker() => (self.at, self.parent) = (self.at + 3, -1),
                b'|' | b'>' if self.depth == 0 => self.block_scalar(),
                b'&' | b'*' | b'!' => self.property(),
                _ => self.plain()?,
            }
        }
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn column(&self) -> isize {
        isize::try_from(self.at - self.start).unwrap_or(isize::MAX)
    }

    fn step(&mut self) {
        let is_break = self.peek() == Some(b'\n');
        self.at += 1;
        if is_break {
            (self.line, self.start) = (self.line + 1, self.at);
        }
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    /// Whether a one-letter indicator ends here: before a blank, the end, or a bracket inside brackets.
    fn ends_after(&self, at: usize) -> bool {
        match self.text.get(at) {
            None | Some(b' ' | b'\t' | b'\n') => true,
            Some(b',' | b'[' | b']' | b'{' | b'}') => self.depth > 0,
            Some(_) => false,
        }
    }

    /// Whether a document begins or ends here.
    fn is_marker(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_marked = rest.starts_with(b"---") || rest.starts_with(b"...");
        self.column() == 0 && self.depth == 0 && is_marked && self.ends_after(self.at + 3)
    }

    fn open(&mut self) -> Result<(), YamlError> {
        (self.at, self.depth, self.asked) = (self.at + 1, self.depth + 1, false);
        if self.depth > MAX_DEPTH { Err(YamlError::Deep { line: self.line }) } else { Ok(()) }
    }

    fn close_or_comma(&mut self, byte: u8) {
        self.at += 1;
        self.asked = false;
        self.depth -= usize::from(byte != b',');
    }

    fn indicator(&mut self, byte: u8) {
        // A value on the line of its key has the key's column.
        let is_first = self.text.get(self.start..self.at).is_some_and(|before| before.iter().all(|byte| *byte == b' '));
        if self.depth == 0 && (byte != b':' || is_first) {
            self.parent = self.column();
        }
        self.asked = byte == b'?';
        self.at += 1;
    }

    fn property(&mut self) {
        while self.peek().is_some() && !self.ends_after(self.at) {
            self.at += 1;
        }
    }

    fn quoted(&mut self, quote: u8) {
        let column = self.column();
        let line = self.line;
        self.step();
        while let Some(byte) = self.peek() {
            self.step();
            match byte {
                b'\\' if quote == b'"' => self.step(),
                b'\'' if quote == b'\'' && self.peek() == Some(b'\'') => self.step(),
                _ if byte == quote => break,
                _ => {}
            }
        }
        self.asked = false;
        let is_key = self.peek() == Some(b':') && self.ends_after(self.at + 1);
        if self.depth == 0 && is_key && line == self.line {
            self.parent = column;
        }
    }

    /// A scalar without quotes, and the colon after it if it is a key. Outside of brackets it goes on in lines that are indented more than
    /// its parent; inside, until an indicator.
    fn plain(&mut self) -> Result<(), YamlError> {
        let (begin, column, line) = (self.at, self.column(), self.line);
        let mut end = self.at;
        while let Some(byte) = self.peek() {
            let after_blank = self.at > begin && matches!(self.text.get(self.at - 1), Some(b' ' | b'\t' | b'\n'));
            match byte {
                b'#' if after_blank => break,
                b':' if self.ends_after(self.at + 1) => break,
                b',' | b'[' | b']' | b'{' | b'}' if self.depth > 0 => break,
                b'\n' if self.depth == 0 && !self.goes_on() => break,
                b' ' | b'\t' | b'\n' => self.step(),
                _ => (self.at, end) = (self.at + 1, self.at + 1),
            }
        }
        let is_key = self.peek() == Some(b':') || self.asked;
        if is_key && self.text.get(begin..end) == Some(b"<<") {
            return Err(YamlError::Merge { line });
        }
        self.asked = false;
        if self.depth == 0 && self.peek() == Some(b':') {
            (self.parent, self.at) = (column, self.at + 1);
        }
        Ok(())
    }

    /// Whether the next line that is not blank belongs to the scalar of this one.
    fn goes_on(&self) -> bool {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\t')).count();
        let indent = rest.get(..blank).unwrap_or_default().iter().rev().take_while(|byte| **byte != b'\n').count();
        let is_more = isize::try_from(indent).is_ok_and(|indent| indent > self.parent);
        let first = rest.get(blank).copied();
        let is_marker = indent == 0 && (rest.get(blank..).is_some_and(|rest| rest.starts_with(b"---")));
        is_more && !is_marker && first.is_some_and(|first| first != b'#')
    }

    /// A scalar after `|` or `>`: all lines with the indentation of its first, or more.
    fn block_scalar(&mut self) {
        let header = self.at + 1;
        self.asked = false;
        self.skip_line();
        let digit =
            self.text.get(header..self.at).unwrap_or_default().iter().take(2).find(|byte| byte.is_ascii_digit());
        let least = usize::try_from(self.parent + 1).unwrap_or_default().max(1);
        let base = usize::try_from(self.parent).unwrap_or_default();
        let mut indent = digit.map(|digit| base + usize::from(digit - b'0'));
        while self.peek().is_some() {
            let line = self.text.get(self.at + 1..).unwrap_or_default();
            let blanks = line.iter().take_while(|byte| **byte == b' ').count();
            let is_blank = line.get(blanks).is_none_or(|byte| *byte == b'\n');
            if !is_blank && blanks < *indent.get_or_insert(blanks.max(least)) {
                return;
            }
            self.step();
            self.skip_line();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 30,000 brackets took eight seconds in libyaml, which goes through all open ones at each token.
    #[test]
    fn deep_brackets_are_refused_before_they_are_parsed() {
        let lists = |levels: usize| format!("a:\n  b: {}{}\n", "[".repeat(levels), "]".repeat(levels));
        let maps = |levels: usize| format!("a:\n  b: {}1{}\n", "{\"c\": ".repeat(levels), "}".repeat(levels));
        for text in [lists(MAX_DEPTH), maps(MAX_DEPTH)] {
            assert_eq!(check(&text), Ok(()));
        }
        for text in [lists(MAX_DEPTH + 1), maps(MAX_DEPTH + 1), lists(1_000_000), maps(100_000), "[".repeat(1_000_000)]
        {
            assert!(matches!(check(&text), Err(YamlError::Deep { line: 1 | 2 })), "{}", &text[..20]);
        }
        for before in [
            "# x\u{85}",
            "a: |\n  \"\nb: ",
            "a: 'it''s'\nb: ",
            "- \"\\\"\"\n- ",
            "? |\n  '\n: ",
            "a: it's\nb: ",
            "a: &x !y ",
        ] {
            assert!(check(&format!("{before}{}", "[".repeat(200))).is_err(), "{before:?}");
        }
        assert!(check(&format!("[{}", "\"]\", [".repeat(200))).is_err());
    }

    #[test]
    fn brackets_of_texts_are_no_nesting() {
        let many = "[{ ".repeat(500);
        for text in [
            format!("a: '{many}'\n"),
            format!("a: \"{many}\"\n"),
            format!("a: x{many}\n"),
            format!("a: x\n  {many}\nb: 1\n"),
            format!("# {many}\na: 1 # {many}\n"),
            format!("a: |\n  {many}\n\n  {many}\nb: [1]\n"),
            format!("a:\n- >-\n  {many}\n- b: |2\n     {many}\n"),
            format!("a:\n    |\n  {many}\nb: 1\n"),
            format!("--- |\n {many}\n"),
            format!("[{}]\n", "[], {}, ".repeat(5_000)),
        ] {
            assert_eq!(check(&text), Ok(()), "{text:.60}");
        }
    }

    /// Some readers took the members of `<<`, and some a member of this name.
    #[test]
    fn merge_keys_are_refused_with_their_line() {
        for text in [
            "a: &a {b: 1}\n<<: *a\n",
            "a: 1\nb: {<<: {c: 1}}\n",
            "a:\n- <<: [*x, *y]\n",
            "a:\n  ? <<\n  : *x\n",
            "x: 1\n&k <<: 1\n",
            "a: |\n  <<: 1\n<< : 1\n",
        ] {
            assert!(matches!(check(text), Err(YamlError::Merge { line: 2 | 3 })), "{text}: {:?}", check(text));
        }
        for text in
            ["a: <<\n", "a: \"<<: x\"\n", "a: |\n  <<: x\n", "# <<: x\n", "\"<<\": 1\n", "a: [<<, 1]\n", "<<a: 1\n"]
        {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn files_of_this_repository_pass() {
        for text in [
            include_str!("../../../config/swoosh.yaml"),
            include_str!("../../../config/backbeat.yaml"),
            include_str!("../../../statechart.yaml"),
        ] {
            assert_eq!(check(text), Ok(()));
        }
    }
}
