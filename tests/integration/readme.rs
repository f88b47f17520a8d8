//! README against the program: the diagram, the quick start, the links and the names.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Regions in the order in which a project meets them.
const REGIONS: [&str; 5] = ["boot", "ingestion", "council", "environment", "execution"];
const BEGIN: &str = "<!-- begin diagram: made by SWOOSH_BLESS=1 cargo test --test integration readme:: -->\n";
const END: &str = "<!-- end diagram -->";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

fn page() -> String {
    std::fs::read_to_string(path()).unwrap()
}

/// The text of a section.
fn section(title: &str) -> String {
    let page = page();
    let (_, rest) = page.split_once(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("README has no {title:?}"));
    rest.split("\n## ").next().unwrap().to_owned()
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The way of a project without its turns back: each region's states, and the transitions from one to the next. The loop is closed.
fn diagram() -> String {
    let chart = std::fs::read_to_string(path().with_file_name("statechart.yaml")).unwrap();
    let chart: Value = yaml_serde::from_str(&chart).unwrap();
    let mut out = String::from("```mermaid\nstateDiagram-v2\n    direction LR\n");
    for region in REGIONS {
        let states = words(&chart["regions"][region]["states"]);
        let _ = writeln!(out, "    state \"{region}\" as {region} {{");
        for state in &states {
            let _ = writeln!(out, "        state \"{state}\" as {region}_{state}");
        }
        let closed = (region == "execution").then(|| (states[states.len() - 1], states[1]));
        for (from, to) in states.windows(2).map(|pair| (pair[0], pair[1])).chain(closed) {
            let leads = |transition: &Value| {
                let (from_, to_) = (words(&transition["from"]), words(&transition["to"]));
                transition["region"] == region && from_.contains(&from) && to_ == [to]
            };
            let transitions =
                chart["transitions"].as_object().unwrap().iter().filter(|(_, transition)| leads(transition));
            let names: Vec<&str> = transitions.map(|(name, _)| name.split_once('_').unwrap().1).collect();
            if !names.is_empty() {
                let _ = writeln!(out, "        {region}_{from} --> {region}_{to} : {}", names.join("<br/>"));
            }
        }
        out.push_str("    }\n");
    }
    out.push_str("    boot --> ingestion\n    boot --> council\n    boot --> environment\n");
    out.push_str("    ingestion --> execution\n    council --> execution\n    environment --> execution\n```\n");
    out
}

/// A diagram that is drawn by hand shows the chart of its day.
#[test]
fn the_diagram_of_the_readme_is_that_of_the_chart() {
    let page = page();
    let (before, rest) = page.split_once(BEGIN).expect("README marks its diagram");
    let (kept, after) = rest.split_once(END).unwrap();
    let diagram = diagram();
    if std::env::var_os("SWOOSH_BLESS").is_some() {
        std::fs::write(path(), format!("{before}{BEGIN}{diagram}{END}{after}")).unwrap();
    } else {
        assert!(kept == diagram, "README's diagram is not the chart's; SWOOSH_BLESS=1 draws it again");
    }
    for state in ["REVERB", "LICENSED", "TOOLING_SYNC", "HEALTHCHECK", "VALIDATE"] {
        assert!(diagram.contains(state), "{state}");
    }
}

#[test]
fn every_link_and_every_page_that_the_readme_names_is_there() {
    let root = path().parent().unwrap().to_owned();
    let page = page();
    let links = page.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap());
    let named = page.split(|c: char| c.is_whitespace() || "(),;`:".contains(c)).map(|word| word.trim_end_matches('.'));
    let named =
        named.filter(|word| ["docs/", "runbooks/", "deploy/", "examples/"].iter().any(|start| word.starts_with(start)));
    let mut seen = 0;
    for target in links.chain(named).filter(|target| !target.contains("://") && !target.contains(['…', '*'])) {
        assert!(root.join(target).exists(), "README names {target}");
        seen += 1;
    }
    assert!(seen > 40, "{seen}");
}

/// A stranger met these names of other systems without a word on what they are.
#[test]
fn every_name_from_outside_is_explained() {
    let names = section("Names");
    for name in ["KACHING", "BACKBEAT", "BUBBLE", "SLURP", "SHHH", "UCXL", "HMMM", "MCP", "WHOOSH"] {
        assert!(names.contains(&format!("| {name} | ")), "{name}");
    }
    let others = section("When to use it, and when not");
    for name in ["Temporal", "Restate", "Argo", "etcd"] {
        assert!(others.lines().any(|line| line.starts_with(&format!("| {name}"))), "{name}");
    }
}

/// `wal accept` gives records up. It was listed among the commands that only look.
#[test]
fn no_command_that_changes_data_is_listed_as_a_check() {
    let checks = section("Check a node");
    let listed = checks.lines().filter(|line| line.starts_with("swoosh "));
    for line in listed {
        for change in ["accept", "take", "prune", "restore", "promote", "put"] {
            assert!(!line.split('#').next().unwrap().split(' ').any(|word| word == change), "{line}");
        }
    }
}

/// The quick start of README is the script that `quick_start.rs` runs, and has fewer than ten commands to REVERB.
#[test]
fn the_quick_start_is_the_script_that_a_test_runs() {
    let script = std::fs::read_to_string(path().with_file_name("docs").join("quick-start.sh")).unwrap();
    let script: Vec<&str> = script.lines().map(str::trim).collect();
    let quick = section("Quick start");
    let commands: Vec<&str> = quick.lines().filter(|line| line.starts_with("swoosh ")).collect();
    let mut after = 0;
    for command in &commands {
        let command = command.split('#').next().unwrap().trim();
        // The script may name a directory, and puts the node into the background.
        let same = |line: &&str| {
            line.starts_with(command) || (command == "swoosh init try" && line.starts_with("swoosh init "))
        };
        let place = script[after..].iter().position(same);
        after += place.unwrap_or_else(|| panic!("docs/quick-start.sh has no {command:?} after line {after}")) + 1;
    }
    let (to_reverb, _) = quick.split_once("The project is in REVERB").expect("it ends in REVERB");
    let words = to_reverb.lines().filter(|line| line.starts_with("swoosh ") || line.contains("&& swoosh "));
    assert!(words.count() < 10, "{to_reverb}");
    assert_eq!(commands.len(), 11, "nine to REVERB, and two that check: {commands:?}");
}
