//! House rules that no linter knows: sizes, and what the pure modules must not name.

use std::path::Path;

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
