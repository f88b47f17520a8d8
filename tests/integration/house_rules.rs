//! House rules that no linter knows: sizes, what the pure modules must not name, and what texts refer to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::source::{SourceFile, Token, all_files, file, files, paths};

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;

/// Modules that must be pure: the same input gives the same output on every machine.
const PURE: &[&str] = &["machine", "types"];

/// Words that stand for what a pure module must not use. Hash-ordered collections differ from run to run, and
/// floats from machine to machine.
const WORDS: &[&str] =
    &["HashMap", "HashSet", "RandomState", "f32", "f64", "SystemTime", "Instant", "async", "await", "unsafe"];

/// Paths that a pure module must not use, with everything below them.
const PATHS: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::collections::hash_map",
    "getrandom",
    "rand",
    "reqwest",
    "rocksdb",
    "tokio",
];

/// What is allowed all the same: file, word, why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("src/machine/policy/engine.rs", "HashSet", "Cedar's API takes sets; nothing is ever read out of them in order"),
    ("src/types/canonical/serializer.rs", "f32", "serde hands a float over as one, so that it can be refused"),
    ("src/types/canonical/serializer.rs", "f64", "serde hands a float over as one, so that it can be refused"),
    ("src/types/json.rs", "f64", "serde hands a float over as one, so that it can be refused"),
];

#[test]
fn no_file_is_longer_than_600_lines() {
    let long: Vec<_> = all_files().into_iter().filter(|file| file.lines > FILE_LINES).collect();
    let told: Vec<_> = long.iter().map(|file| format!("{}: {} lines; split it", file.path, file.lines)).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// Functions that are too long: `path:line: name has n lines`.
fn long_functions(file: &SourceFile) -> Vec<String> {
    let functions = (0..file.all.len()).filter_map(|at| function(&file.all[at..]));
    functions
        .filter(|(.., lines)| *lines > FUNCTION_LINES)
        .map(|(name, line, lines)| format!("{}:{line}: {name} has {lines} lines", file.path))
        .collect()
}

/// Name, line and length in lines of a function that begins here and has a body.
fn function(rest: &[Token]) -> Option<(&str, usize, usize)> {
    let [keyword, name, ..] = rest else { return None };
    if keyword.text != "fn" || name.text == "(" {
        return None;
    }
    let (mut braces, mut brackets) = (0usize, 0usize);
    for token in rest {
        match token.text.as_str() {
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets = brackets.saturating_sub(1),
            "{" => braces += 1,
            "}" if braces == 1 => return Some((&name.text, keyword.line, token.line + 1 - keyword.line)),
            "}" => braces = braces.saturating_sub(1),
            ";" if braces == 0 && brackets == 0 => return None,
            _ => {}
        }
    }
    None
}

#[test]
fn no_function_is_longer_than_70_lines() {
    let long: Vec<String> = all_files().iter().flat_map(long_functions).collect();
    assert!(long.is_empty(), "split these functions:\n{}", long.join("\n"));
}

/// What a file of a pure module names although it must not: `path:line: what`.
fn impurities(file: &SourceFile) -> Vec<String> {
    if !file.module.first().is_some_and(|module| PURE.contains(&module.as_str())) {
        return Vec::new();
    }
    let excepted = |word: &str| EXCEPTIONS.iter().any(|(path, what, _)| *path == file.path && *what == word);
    let words = file.shipped.iter().filter(|token| WORDS.contains(&token.text.as_str()) && !excepted(&token.text));
    let words = words.map(|token| (token.line, token.text.clone()));
    let named = paths(&file.module, &file.shipped).into_iter().map(|named| (named.line, named.path.join("::")));
    // Addresses are values like others; sockets are not.
    let is_value = |path: &str| ["std::net::IpAddr", "std::net::Ipv4Addr", "std::net::Ipv6Addr"].contains(&path);
    let below =
        |path: &str| !is_value(path) && PATHS.iter().any(|bad| path == *bad || path.starts_with(&format!("{bad}::")));
    words
        .chain(named.filter(|(_, path)| below(path)))
        .map(|(line, what)| format!("{}:{line}: a pure module must not use {what}", file.path))
        .collect()
}

#[test]
fn the_pure_modules_name_no_clock_file_network_float_or_hash_order() {
    let found: Vec<String> = files().iter().flat_map(impurities).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_exception_is_still_needed() {
    for (path, word, _) in EXCEPTIONS {
        let files = files();
        let file = files.iter().find(|file| file.path == *path);
        assert!(
            file.is_some_and(|f| f.shipped.iter().any(|token| token.text == *word)),
            "{path} has no {word} any more"
        );
    }
}

#[test]
fn impurities_are_found_and_tests_may_do_as_they_like() {
    let found = |text: &str| impurities(&file(Path::new("src/machine/guards.rs"), text)).len();
    assert_eq!(found("use std::{fs, env::var};"), 2);
    assert_eq!(found("fn f() { std::thread::spawn(|| ()); }"), 1);
    assert_eq!(found("fn f(x: f64) -> HashMap<(), ()> { todo() }"), 2);
    assert_eq!(found("async fn f() {}"), 1);
    assert_eq!(found("use std::net::{IpAddr, Ipv6Addr, TcpStream};"), 1);
    assert_eq!(found("/// As f64, std::fs::read.\nuse std::fmt; use std::collections::BTreeMap;"), 0);
    assert_eq!(found("#[cfg(test)]\nmod tests { use std::fs; use std::time::Instant; }"), 0);
    assert_eq!(impurities(&file(Path::new("src/journal.rs"), "use std::fs;")).len(), 0);
}

#[test]
fn functions_are_measured_from_their_first_line_to_their_brace() {
    let lengths = |text: &str| {
        let file = file(Path::new("src/x.rs"), text);
        let found = (0..file.all.len())
            .filter_map(|at| function(&file.all[at..]).map(|(name, line, n)| (name.to_owned(), line, n)));
        found.collect::<Vec<_>>()
    };
    let text =
        "trait T {\n fn declared(x: [u8; 3]);\n fn short() {}\n}\nfn long(f: fn(u8) -> u8)\n{\n  if x { y }\n}\n";
    assert_eq!(lengths(text), [("short".to_owned(), 3, 1), ("long".to_owned(), 5, 4)]);
    let body = "\n".repeat(FUNCTION_LINES);
    assert_eq!(long_functions(&file(Path::new("src/x.rs"), &format!("fn f() {{{body}}}"))).len(), 1);
}

/// Folders whose text files are checked for references. `tests/compat` is data of earlier programs.
const TEXTS: &[&str] = &[
    "build",
    "capd",
    "chaos",
    "config",
    "dashboards",
    "deploy",
    "docs",
    "fuzz",
    "openapi",
    "runbooks",
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
