//! House rules that no linter knows: sizes of files, and references in texts. Clippy checks the length of functions,
//! the purity of `machine` and `types`, and the network gate: see `clippy.toml` here and in those two crates.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const FILE_LINES: usize = 600;

/// The Rust sources that git knows.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git").args(["ls-files", "*.rs"]).current_dir(root).output().unwrap();
    let names = String::from_utf8(listed.stdout).unwrap();
    let found: Vec<_> =
        names.lines().map(|name| (name.into(), std::fs::read_to_string(root.join(name)).unwrap())).collect();
    assert!(found.len() > 400, "git lists {} sources", found.len());
    found
}

#[test]
fn no_file_is_longer_than_600_lines() {
    let long =
        sources().into_iter().map(|(path, text)| (path, text.lines().count())).filter(|(_, lines)| *lines > FILE_LINES);
    let long: Vec<_> = long.map(|(path, lines)| format!("{}: {lines} lines; split it", path.display())).collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// Code that reads files which users name, without its tests. A named pipe must be refused and not waited for, as `swoosh_files::open` does.
const READERS: [&str; 5] =
    ["src/cli/", "crates/settings/src/", "crates/terminal/src/", "crates/upstreams/src/", "crates/http/src/serve/"];
/// Sources that open files themselves, and which.
const OPENERS: [(&str, &str); 3] = [
    ("crates/settings/src/document.rs", "a test: the page of settings"),
    ("src/cli/keys.rs", "a descriptor that is open already, in a thread"),
    ("src/cli/secrets/edit.rs", "a draft of its own, in a directory of its own"),
];

#[test]
fn files_that_users_name_are_opened_without_waiting() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let name = path.display().to_string();
        let is_test = name.ends_with("tests.rs") || name.contains("/tests/");
        let is_opener = OPENERS.iter().any(|(opener, _)| *opener == name);
        if is_test || is_opener || !READERS.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        for call in ["fs::read(", "fs::read_to_string(", "File::open("] {
            if code.contains(call) {
                wrong.push(format!("{name}: {call}…) may wait for a pipe; use swoosh_files"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Folders whose text files are checked for references. `tests/compat` is data of earlier programs.
const TEXTS: &[&str] = &[
    "capd",
    "chaos",
    "config",
    "crates",
    "dashboards",
    "deploy",
    "docs",
    "examples",
    "fuzz",
    "openapi",
    "runbooks",
    "sdk",
    "src",
    "tests",
    "tools",
];
/// Files of other programs, and files that may hold any bytes.
const NOT_OURS: &[&str] = &["tests/compat", "fuzz/corpus", "fuzz/target"];
const SECTION: char = '\u{a7}';

/// Paths from the root and texts of all files that are UTF-8, below the folders and at the top of the repository.
fn texts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let top = std::fs::read_dir(root).expect("the root can be read").map(|entry| entry.expect("an entry").path());
    let mut places: Vec<PathBuf> = top.filter(|path| path.is_file()).collect();
    places.extend(TEXTS.iter().map(|folder| root.join(folder)));
    let mut texts = Vec::new();
    while let Some(place) = places.pop() {
        let path = place.strip_prefix(root).expect("it is below the root").to_string_lossy().into_owned();
        if NOT_OURS.contains(&path.as_str()) {
            continue;
        }
        if place.is_dir() {
            let inner = std::fs::read_dir(&place).expect("a folder can be read");
            places.extend(inner.map(|entry| entry.expect("an entry").path()));
        } else if let Ok(text) = std::fs::read_to_string(&place) {
            texts.push((path, text));
        }
    }
    texts
}

/// References to documents that are not in the repository, as `path:line: the line`. A section sign needs the name of a
/// public standard in its line.
fn foreign_references(path: &str, text: &str) -> Vec<String> {
    let words = ["DESIGN", "brief", "Brief"].map(|word| format!("{word} {SECTION}"));
    let phrases = ["design page", "the brief's", "of the brief", "the seed's"];
    let standards = ["RFC ", "WHATWG", "YAML 1.2", "Fetch Metadata"];
    let is_foreign = |line: &&str| {
        words.iter().any(|word| line.contains(word.as_str()))
            || phrases.iter().any(|phrase| line.contains(phrase))
            || (line.contains(SECTION) && !standards.iter().any(|standard| line.contains(standard)))
    };
    let found = text.lines().enumerate().filter(|(_, line)| is_foreign(line));
    found.map(|(at, line)| format!("{path}:{}: {}", at + 1, line.trim())).collect()
}

#[test]
fn nothing_refers_to_a_document_outside_of_the_repository() {
    let this = |path: &str| path == "tests/integration/house_rules.rs";
    let texts = texts();
    assert!(texts.len() > 500, "the walk finds {} files only", texts.len());
    let found: Vec<String> =
        texts.iter().filter(|(path, _)| !this(path)).flat_map(|(path, text)| foreign_references(path, text)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn foreign_references_are_found_and_standards_may_be_cited() {
    let found = |line: &str| foreign_references("x", &line.replace('$', "\u{a7}")).len();
    assert_eq!(found("as DESIGN $4 says"), 1);
    assert_eq!(found("(brief $12)"), 1);
    assert_eq!(found("see $4"), 1);
    assert_eq!(found("the design page decides"), 1);
    assert_eq!(found("RFC 8785 $3.2; WHATWG HTML $9.2"), 0);
}

/// Anchors of a page that stand in the line before a heading, and what is wrong with the page's headings and anchors.
fn anchors(page: &str) -> (BTreeSet<String>, Vec<String>) {
    let (mut anchors, mut wrong, mut before) = (BTreeSet::new(), Vec::new(), "");
    let anchor = |line: &str| Some(line.strip_prefix("<a id=\"")?.strip_suffix("\"></a>")?.to_owned());
    for line in page.lines() {
        let is_heading = line.starts_with("## ") || line.starts_with("### ");
        match (anchor(before), is_heading) {
            (Some(name), true) if anchors.contains(&name) => wrong.push(format!("{before} is there twice")),
            (Some(name), true) => drop(anchors.insert(name)),
            (None, true) => wrong.push(format!("{line} has no anchor before it")),
            (Some(_), false) => wrong.push(format!("{before} is not before a heading")),
            _ => {}
        }
        before = line;
    }
    (anchors, wrong)
}

/// The anchors of docs/design.md that a text names, each as `path:line: anchor`.
fn design_links(path: &str, text: &str) -> Vec<(String, String)> {
    let starts: &[&str] = if path == "docs/design.md" { &["](#", "design.md#"] } else { &["design.md#"] };
    let mut links = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for rest in starts.iter().flat_map(|start| line.split(start).skip(1)) {
            let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
            let name: String = rest.chars().take_while(|c| is_part(*c)).collect();
            links.push((format!("{path}:{}", at + 1), name));
        }
    }
    links
}

#[test]
fn every_link_to_the_design_leads_to_a_heading() {
    let texts = texts();
    let page = texts.iter().find(|(path, _)| path == "docs/design.md").expect("docs/design.md is there");
    let (anchors, mut wrong) = anchors(&page.1);
    let others = texts.iter().filter(|(path, _)| path != "tests/integration/house_rules.rs");
    let links: Vec<_> = others.flat_map(|(path, text)| design_links(path, text)).collect();
    assert!(links.len() > 100, "{} links are found only", links.len());
    let lost = links.iter().filter(|(_, name)| !name.is_empty() && !anchors.contains(name));
    wrong.extend(lost.map(|(place, name)| format!("{place}: docs/design.md has no section {name}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn anchors_stand_before_headings_and_links_are_found() {
    let (found, wrong) = anchors("<a id=\"one\"></a>\n## 1. One\n\n<a id=\"two\"></a>\ntext\n### Three\n");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["one"]);
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    let links = design_links("src/x.rs", "//! (docs/design.md#one), [x](../design.md#two-b).\n");
    let names: Vec<&str> = links.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["one", "two-b"]);
    assert_eq!(design_links("docs/design.md", "[a](#three)").len(), 1);
}
