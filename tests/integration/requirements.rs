//! The tables of docs/hybridcore.md and docs/mission.md: each requirement has its row, and every test, path and
//! command that a row names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The scenarios of the contracts `hybridcore` and `hybridcore-sources`, by their names there.
const SCENARIOS: [&str; 27] = [
    "Air-gap doc",
    "Atomic writes",
    "Audit trail",
    "Avoid duplication",
    "Builder catalog",
    "Class coverage",
    "Dependency-free imports",
    "Deterministic configs",
    "Diagram availability",
    "Diagram governance linkage",
    "Diagram upkeep",
    "Dirty repo",
    "Escalation rubric",
    "Interrupted sync resume",
    "Manual override request",
    "Matrix upkeep",
    "Metadata update",
    "Missing override metadata",
    "Mocked failure",
    "Partial clone recovery",
    "Pinned versions",
    "Registry visibility",
    "Remediation linkage",
    "Schema reference",
    "Shared formatter",
    "Structured results",
    "Toggle enforcement",
];

/// Failure modes of the contract of the scale-up wrapper, as docs/UPSTREAMS.md tells them.
const FAILURES: [&str; 4] =
    ["missing upstream reference", "floating reference", "`third_party/` tracked", "network outage"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// Every `fn name` of the sources and the tests.
fn functions() -> BTreeSet<String> {
    let (mut found, mut folders) =
        (BTreeSet::new(), vec![root().join("src"), root().join("crates"), root().join("tests")]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.extend(functions_of(&path));
            }
        }
    }
    found
}

fn functions_of(path: &PathBuf) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let name = |rest: &str| rest.split(['(', '<']).next().unwrap_or_default().trim().to_owned();
    text.split("fn ").skip(1).map(name).collect()
}

/// Test names in a row of a table: words in backticks, joined by at least three `_`.
fn named(row: &str) -> impl Iterator<Item = &str> {
    let is_name = |word: &&str| {
        let plain = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        plain && word.matches('_').count() >= 3
    };
    row.split('`').skip(1).step_by(2).filter(is_name)
}

#[test]
fn every_test_that_the_tables_of_hybridcore_name_is_there() {
    let (functions, page) = (functions(), page("hybridcore.md"));
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with('|')).collect();
    let tests: BTreeSet<&str> = rows.iter().flat_map(|row| named(row)).collect();
    assert!(tests.len() > 100, "the tables name {} tests", tests.len());
    let missing: Vec<_> = tests.into_iter().filter(|name| !functions.contains(*name)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

#[test]
fn every_scenario_of_the_contracts_has_its_row() {
    let page = page("hybridcore.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| Scenario: ")).collect();
    let missing: Vec<_> = SCENARIOS.iter().filter(|name| !rows.iter().any(|row| row.contains(**name))).collect();
    assert!(missing.is_empty(), "no row tells of {missing:?}");
    let upstreams = self::page("UPSTREAMS.md");
    let untold: Vec<_> = FAILURES.iter().filter(|name| !upstreams.contains(&format!("| {name} |"))).collect();
    assert!(untold.is_empty(), "docs/UPSTREAMS.md does not tell of {untold:?}");
}

/// The code of hybridcore below a folder, or in a file, whose path contains a word.
fn code_of(word: &str) -> String {
    let (mut found, mut folders) = (String::new(), vec![root().join("crates/hybridcore/src")]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let text = path.to_str().unwrap();
            match path.is_dir() {
                true => folders.push(path),
                false if text.contains(word) && !text.contains("test") => found += &fs::read_to_string(&path).unwrap(),
                false => {}
            }
        }
    }
    found
}

/// Parameters of each function with this name, without `self`.
fn parameters(code: &str, name: &str) -> Vec<Vec<String>> {
    let head = format!("fn {name}");
    let heads = code.match_indices(&head).map(|(at, head)| &code[at + head.len()..]);
    let heads = heads.filter(|rest| rest.starts_with(['(', '<']));
    let list = |rest: &str| {
        let body = rest.split_once('{').map_or(rest, |(head, _)| head);
        let open = body.find("(").unwrap();
        let words: Vec<&str> = body[open..].split(&['(', ',', ' ', '\n'][..]).collect();
        words.iter().filter_map(|word| word.strip_suffix(':')).map(str::to_owned).collect()
    };
    heads.map(list).collect()
}

/// `name(a, b)` of a line of a diagram.
fn call(text: &str) -> Option<(String, Vec<String>)> {
    let (name, rest) = text.trim().split_once('(')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let list = rest.split(')').next()?.split(',').map(|word| word.trim().to_owned());
    is_name.then(|| (name.to_owned(), list.filter(|word| !word.is_empty()).collect()))
}

fn diagram<'a>(page: &'a str, kind: &str) -> Vec<&'a str> {
    let rest = page.split(&format!("```mermaid\n{kind}\n")).nth(1).unwrap();
    rest.split("```").next().unwrap().lines().collect()
}

/// The diagram named parameters and results that the code did not have.
#[test]
fn every_function_of_the_class_diagram_is_in_its_module_with_these_parameters() {
    let page = page("hybridcore.md");
    let folders = [("Git", "sources"), ("Manifest", "templates"), ("RunReport", "packer"), ("Logger", "logs.rs")];
    let (mut code, mut seen, mut wrong) = (String::new(), 0, Vec::new());
    for line in diagram(&page, "classDiagram") {
        if let Some(class) = line.trim().strip_prefix("class ") {
            let class = class.trim_end_matches('{').trim();
            let folder = folders.iter().find(|(name, _)| *name == class).map_or(class, |(_, folder)| folder);
            code = code_of(&folder.to_lowercase());
        }
        let Some(text) = line.trim().strip_prefix('+') else { continue };
        let (name, list) = call(text).unwrap();
        seen += 1;
        if !parameters(&code, &name).contains(&list) {
            wrong.push(text.to_owned());
        }
        let result = text.split(')').nth(1).unwrap().trim().trim_start_matches("List~").trim_end_matches('~');
        let all = code_of("") + &fs::read_to_string(root().join("crates/types/src/inputs.rs")).unwrap();
        let is_known = ["", "bool", "BTreeMap"].contains(&result)
            || ["struct", "enum", "type"].iter().any(|kind| all.contains(&format!("{kind} {result}")));
        if !is_known {
            wrong.push(format!("{text}: no type {result}"));
        }
    }
    assert!(seen > 25, "{seen}");
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_call_of_the_sequence_diagram_is_in_the_code_with_these_parameters() {
    let (page, code) = (page("hybridcore.md"), code_of(""));
    let messages = diagram(&page, "sequenceDiagram").into_iter().filter_map(|line| line.split_once(": "));
    let calls: Vec<_> = messages.flat_map(|(_, text)| text.split("), ")).filter_map(call).collect();
    assert!(calls.len() > 5, "{calls:?}");
    let missing: Vec<_> = calls.iter().filter(|(name, list)| !parameters(&code, name).contains(list)).collect();
    assert!(missing.is_empty(), "no such functions: {missing:?}");
}

#[test]
fn each_module_of_the_registry_has_an_owner_and_each_severity_a_role_that_answers() {
    let page = page("hybridcore.md");
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let table = |title: &str| -> Vec<Vec<String>> {
        let rest = page.split(&format!("## {title}\n")).nth(1).unwrap();
        rest.lines()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .skip(2)
            .map(cells)
            .collect()
    };
    let (registry, severities) = (table("Module registry"), table("Severities"));
    assert_eq!(registry.len(), 8);
    assert!(registry.iter().all(|row| row.len() == 8 && row.iter().all(|cell| !cell.is_empty())), "{registry:?}");
    let names: Vec<_> = severities.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, ["critical", "high", "medium"]);
    assert!(severities.iter().all(|row| row.len() == 4 && !row[2].is_empty()), "{severities:?}");
}

/// A function that is no test kept a requirement as well as a test.
fn tests() -> BTreeSet<String> {
    let (mut found, mut folders) =
        (BTreeSet::new(), vec![root().join("src"), root().join("crates"), root().join("tests")]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let name = |rest: &str| Some(rest.split_once("fn ")?.1.split('(').next()?.to_owned());
                found.extend(text.split("#[test]").skip(1).filter_map(name));
            }
        }
    }
    found
}

#[test]
fn every_row_of_the_mission_names_a_command_and_a_test_that_exist() {
    let (tests_there, page) = (tests(), page("mission.md"));
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let asked = page.split("## Deviations from the mission").next().unwrap();
    let rows: Vec<&str> = asked.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")).collect();
    let rows: Vec<&str> = rows.into_iter().filter(|row| !row.contains("tests that keep it")).collect();
    assert_eq!(rows.len(), 18 + 5, "a deliverable or a criterion is missing");
    for row in rows {
        let tests: Vec<&str> = named(row).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        let missing: Vec<_> = tests.into_iter().filter(|name| !tests_there.contains(*name)).collect();
        assert!(missing.is_empty(), "no such tests: {missing:?}");
        let quoted = || row.split('`').skip(1).step_by(2);
        // Commands of `swoosh` are tried by `named_commands`.
        assert!(quoted().any(|words| words.starts_with("swoosh ") || words.starts_with("make ")), "no command: {row}");
        for target in quoted().filter_map(|words| words.strip_prefix("make ")) {
            assert!(makefile.contains(&format!("\n{target}: ")), "no target {target}");
        }
        for path in quoted().filter(|words| words.contains('/') || words.ends_with(".yaml")) {
            assert!(root().join(path).exists(), "{path} is not there");
        }
    }
}
