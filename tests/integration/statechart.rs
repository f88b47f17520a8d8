//! `docs/statechart.md` says what `statechart.yaml` says.
//!
//! `SWOOSH_BLESS=1 cargo test --test integration statechart` rewrites the generated parts.

use std::path::PathBuf;

use swoosh::cli::statechart::Statechart;

/// The parts of the page that are generated, by marker.
fn parts() -> [(&'static str, String); 3] {
    let chart = Statechart::embedded().expect("the embedded chart is well formed");
    [
        ("version", format!("This page shows {}.", chart.summary())),
        ("diagram", format!("```mermaid\n{}\n```", chart.diagram().trim_end())),
        ("tables", chart.tables()),
    ]
}

/// The page with every part between `<!-- generated: NAME -->` and `<!-- end of NAME -->` as it should be.
fn current(page: &str) -> String {
    parts().iter().fold(page.to_owned(), |page, (name, text)| {
        let (open, close) = (format!("<!-- generated: {name} -->"), format!("<!-- end of {name} -->"));
        let (before, rest) = page.split_once(&open).unwrap_or_else(|| panic!("the page has no {open}"));
        let (_, after) = rest.split_once(&close).unwrap_or_else(|| panic!("the page has no {close}"));
        format!("{before}{open}\n\n{}\n\n{close}{after}", text.trim())
    })
}

fn page_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/statechart.md")
}

#[test]
fn the_generated_parts_of_the_page_are_current() {
    let page = std::fs::read_to_string(page_path()).expect("docs/statechart.md is there");
    let current = current(&page);
    if std::env::var_os("SWOOSH_BLESS").is_some() {
        std::fs::write(page_path(), &current).expect("the page can be written");
        return;
    }
    let differing = page.lines().zip(current.lines()).position(|(is, should)| is != should);
    let line = differing.unwrap_or(page.lines().count().min(current.lines().count())) + 1;
    assert!(
        page == current,
        "docs/statechart.md is stale from line {line} on; run SWOOSH_BLESS=1 cargo test --test integration statechart"
    );
}

#[test]
fn the_page_names_no_transition_guard_or_state_that_the_chart_does_not_have() {
    let page = std::fs::read_to_string(page_path()).expect("docs/statechart.md is there");
    let tables = Statechart::embedded().expect("well formed").tables();
    let prefixes = ["Boot_", "Ingestion_", "Council_", "Environment_", "Execution_", "License_", "Control_", "Policy_"];
    for word in page.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
        let is_transition =
            prefixes.iter().any(|prefix| word.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()));
        assert!(!is_transition || tables.contains(&format!("| `{word}` |")), "the chart has no {word}");
    }
}

/// Other YAML parsers could not read the chart: it had `Count?` in a flow mapping.
const READ: &str =
    "import json, sys, yaml; print(json.dumps([list(yaml.safe_load_all(open(path))) for path in sys.argv[1:]]))";

/// The documents that PyYAML reads from each file.
fn by_pyyaml(paths: &[PathBuf]) -> Vec<serde_json::Value> {
    let read = std::process::Command::new("python3").args(["-c", READ]).args(paths).output().expect("python3 runs");
    let said = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "tools/install-prerequisites.sh tests installs PyYAML: {said}");
    serde_json::from_slice(&read.stdout).expect("it printed JSON")
}

#[test]
fn pyyaml_reads_the_chart_as_the_daemon_does() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("statechart.yaml");
    let text = std::fs::read_to_string(&path).expect("statechart.yaml is there");
    let ours: serde_json::Value = yaml_serde::from_str(&text).expect("it is YAML");
    assert_eq!(by_pyyaml(&[path])[0][0], ours);
}

#[test]
fn pyyaml_reads_every_yaml_file_that_ships() {
    let mut folders: Vec<PathBuf> = ["config", "dashboards", "deploy", "openapi"]
        .map(|name| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name))
        .into();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("it can be read").path();
            let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
            match path.is_dir() {
                // A template is YAML only when it is rendered.
                true if path.ends_with("templates") => {}
                true => folders.push(path),
                false if is_yaml => files.push(path),
                false => {}
            }
        }
    }
    assert!(files.len() > 10, "{files:?}");
    by_pyyaml(&files);
}
