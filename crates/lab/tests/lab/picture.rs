//! The picture of README: parts of the demo as a terminal shows them. The demo runs on a pseudo-terminal; numbers and hashes differ from run
//! to run and are not compared. `SWOOSH_BLESS=1` draws it again.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const COLUMNS: usize = 110;
const LINE_HEIGHT: usize = 18;
/// Width of a character of the font, in tenths of a pixel.
const CHARACTER: usize = 78;

/// What is drawn, from a line to another, by their beginnings.
const PARTS: [(&str, &str); 3] = [
    ("2  Boot: a project begins", "✓ Boot_Licensed"),
    ("The agent submits a result that lies where secrets lie", "✓ Policy_Release"),
    ("13  Replay", "head of default after replay"),
];

/// A run of characters in one style.
struct Span {
    class: &'static str,
    text: String,
}

type Line = Vec<Span>;

/// The demo's output on a terminal of this width, with its control sequences.
fn on_a_terminal() -> String {
    let temporary = tempfile::tempdir().unwrap();
    let demo = format!("stty cols {COLUMNS} rows 50 && exec '{}' demo", crate::lab().get_program().to_str().unwrap());
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &demo, "/dev/null"]).env("TMPDIR", temporary.path());
    command.env("TERM", "xterm-256color").env("SHELL", "/bin/sh").env_remove("NO_COLOR").stdin(Stdio::null());
    command.env_remove("SWOOSH");
    let output =
        command.output().unwrap_or_else(|error| panic!("script, of the package bsdutils, cannot be run: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}");
    printed
}

/// The lines of a terminal, with the style of each part.
fn lines(printed: &str) -> Vec<Line> {
    let mut class = "";
    let mut all = Vec::new();
    for raw in printed.lines() {
        // What a carriage return overwrites is progress.
        let raw = raw.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
        let mut line = vec![Span { class, text: String::new() }];
        let mut rest = raw;
        while let Some((before, after)) = rest.split_once("\u{1b}[") {
            line.last_mut().unwrap().text.push_str(before);
            let end = after.find(|c: char| c.is_ascii_alphabetic()).map_or(after.len(), |at| at + 1);
            if after[..end].ends_with('m') {
                class = match &after[..end - 1] {
                    "1" => "bold",
                    "2" => "dim",
                    "31" => "red",
                    "32" => "green",
                    "33" => "yellow",
                    _ => "",
                };
                line.push(Span { class, text: String::new() });
            }
            rest = &after[end..];
        }
        line.last_mut().unwrap().text.push_str(rest);
        all.push(line);
    }
    all
}

fn text(line: &Line) -> String {
    line.iter().map(|span| span.text.as_str()).collect()
}

/// The parts that are drawn, with a gap between them.
fn drawn(all: Vec<Line>) -> Vec<Line> {
    let mut all = all.into_iter();
    let mut drawn = vec![vec![Span { class: "dim", text: "$ swoosh demo".to_owned() }]];
    for (first, last) in PARTS {
        drawn.push(vec![Span { class: "dim", text: "…".to_owned() }]);
        let begins = |line: &Line, with: &str| text(line).trim_start().starts_with(with);
        let begin =
            all.by_ref().find(|line| begins(line, first)).unwrap_or_else(|| panic!("the demo has no {first:?}"));
        drawn.push(begin);
        for line in all.by_ref() {
            let is_last = begins(&line, last);
            drawn.push(line);
            if is_last {
                break;
            }
        }
        let end = drawn.last().unwrap();
        assert!(begins(end, last), "the demo has no {last:?} after {first:?}");
    }
    drawn
}

fn svg(lines: &[Line]) -> String {
    let (width, height) = (COLUMNS * CHARACTER / 10 + 24, lines.len() * LINE_HEIGHT + 24);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>swoosh demo: accepted and refused transitions, a quarantine, and the replay</title>\n\
         <style>text {{ font: 13px ui-monospace, Menlo, Consolas, monospace; fill: #d8dee9; white-space: pre; }} .bold {{ font-weight: bold; }} \
         .dim {{ fill: #8a94a6; }} .red {{ fill: #f07178; }} .green {{ fill: #9ece6a; }} .yellow {{ fill: #e0af68; }}</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1b1f27\"/>\n"
    );
    for (n, line) in lines.iter().enumerate() {
        let _ = write!(out, "<text x=\"12\" y=\"{}\" xml:space=\"preserve\">", (n + 1) * LINE_HEIGHT + 8);
        for Span { class, text } in line.iter().filter(|span| !span.text.is_empty()) {
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let _ = match *class {
                "" => write!(out, "{text}"),
                class => write!(out, "<tspan class=\"{class}\">{text}</tspan>"),
            };
        }
        out.push_str("</text>\n");
    }
    out + "</svg>\n"
}

/// A picture without what differs from run to run: numbers, hashes, and blanks that align them.
fn masked(picture: &str) -> String {
    let mut out = String::new();
    for word in picture.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let (name, mark) = word.split_at(word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).len());
        let is_hash =
            name.len() >= 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
        if is_hash {
            out.push('0');
        } else {
            let mut number = false;
            for c in name.chars() {
                if !(c.is_ascii_digit() && number) {
                    out.push(if c.is_ascii_digit() { '0' } else { c });
                }
                number = c.is_ascii_digit();
            }
        }
        out.push_str(mark);
    }
    out.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/demo.svg")
}

/// The picture follows the program: a change of the demo fails here until it is drawn again.
#[test]
fn the_picture_of_the_demo_is_what_a_terminal_shows() {
    let picture = svg(&drawn(lines(&on_a_terminal())));
    if std::env::var_os("SWOOSH_BLESS").is_some() {
        std::fs::write(path(), &picture).unwrap();
    }
    let kept = std::fs::read_to_string(path()).unwrap_or_default();
    let (now, kept) = (masked(&picture), masked(&kept));
    let differs = now.lines().zip(kept.lines()).find(|(now, kept)| now != kept);
    assert!(now == kept, "docs/demo.svg is not what the demo shows; SWOOSH_BLESS=1 draws it again: {differs:?}");
}

#[test]
fn numbers_and_hashes_are_masked_and_words_are_not() {
    assert_eq!(masked("took 54.5 s, 0.28 s; #12  head deadbeef…"), masked("took 3.0 s, 1.1 s; #7 head 01234567…"));
    assert_ne!(masked("accepted"), masked("refused"));
}
