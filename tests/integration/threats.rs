//! The threat model: each promise names tests, and each test that it names exists and runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Names of tests by their modules: `serving::tls::a_test`.
type Tests = BTreeSet<String>;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/threat-model.md")).unwrap()
}

/// Adds the tests of a file or a folder, named from `module` on.
fn collect(path: &Path, module: &str, found: &mut Tests) {
    let below = |name: &str| if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") };
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()) {
            let stem = entry.file_stem().unwrap().to_str().unwrap().to_owned();
            let named =
                if stem == "mod" || (module.is_empty() && stem == "main") { module.to_owned() } else { below(&stem) };
            if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "rs") {
                collect(&entry, &named, found);
            }
        }
        return;
    }
    found.extend(tests_of(&std::fs::read_to_string(path).unwrap()).into_iter().map(|name| below(&name)));
}

/// Functions of a source that are tests and are not ignored.
fn tests_of(text: &str) -> Vec<String> {
    let (mut is_test, mut is_ignored, mut found) = (false, false, Vec::new());
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            is_ignored |= line.starts_with("#[ignore");
            continue;
        }
        let function = line.strip_prefix("async fn ").or(line.strip_prefix("fn "));
        if let Some(name) = function.and_then(|rest| rest.split('(').next()).filter(|_| is_test && !is_ignored) {
            found.push(name.to_owned());
        }
        if !line.starts_with("//") {
            (is_test, is_ignored) = (false, false);
        }
    }
    found
}

/// The rows of promises: the promise, and the tests that it names.
fn promises(page: &str) -> Vec<(String, Vec<String>)> {
    let mut rows = Vec::new();
    let mut in_table = false;
    for line in page.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if line == "| attack | promise | tests |" {
            in_table = true;
        } else if !line.starts_with('|') {
            in_table = false;
        } else if in_table && !line.starts_with("| ---") {
            let [attack, _, tests] = cells.as_slice() else { panic!("three cells are wanted: {line}") };
            let named = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            rows.push(((*attack).to_owned(), named));
        }
    }
    rows
}

/// A promise without a test is a hope, and a test that was renamed shows nothing.
#[test]
fn every_promise_of_the_threat_model_names_tests_that_exist() {
    let mut tests = Tests::new();
    collect(&root().join("tests/integration"), "", &mut tests);
    assert!(tests.len() > 300, "{}", tests.len());
    let rows = promises(&page());
    assert!(rows.len() > 30, "{}", rows.len());
    for (attack, named) in rows {
        assert!(!named.is_empty(), "\"{attack}\" names no test");
        for test in named {
            assert!(tests.contains(&test), "\"{attack}\" names {test}, and there is no such test");
        }
    }
}

/// The other half of a threat model: where the promises end.
#[test]
fn the_threat_model_says_what_it_does_not_promise_and_where_to_report() {
    let page = page();
    let not = page.split("## What is not promised").nth(1).unwrap();
    assert!(not.lines().filter(|line| line.starts_with("- **")).count() >= 5);
    let security = std::fs::read_to_string(root().join("SECURITY.md")).unwrap();
    for word in ["docs/threat-model.md", "Report", "swoosh version --json", "SHA256SUMS"] {
        assert!(security.contains(word), "{word}");
    }
    for text in [&page, &security] {
        for link in text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap()) {
            let link = link.trim_start_matches("../");
            let found = [root().join(link), root().join("docs").join(link)].iter().any(|path| path.exists());
            assert!(found, "{link} leads nowhere");
        }
    }
}

#[test]
fn tests_are_found_with_their_modules_and_ignored_ones_are_not() {
    let text = "#[test]\nfn one() {}\n/// Story.\n#[tokio::test]\n/// More.\nasync fn two() {}\n#[test]\n#[ignore]\nfn three() {}\nfn four() {}\n";
    assert_eq!(tests_of(text), ["one", "two"]);
    let page = "| attack | promise | tests |\n| --- | --- | --- |\n| a | b | `m::x`, `m::y` |\n| c | d | none |\n\n| e | f |\n";
    let found = promises(page);
    assert_eq!(found[0].1, ["m::x", "m::y"]);
    assert_eq!(found.len(), 2);
    assert!(found[1].1.is_empty());
}
