//! `swoosh --help` lists its commands in groups, and commands whose names changed keep their old spelling.

use std::process::Command;

use serde_json::Value;

use crate::support::listed;

const HEADINGS: [&str; 6] = ["Node:", "Propose and read:", "Evidence:", "Work:", "Data:", "Lab:"];

/// Standard output, standard error and exit code.
fn run(arguments: &[&str], columns: &str) -> (String, String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swoosh"));
    let output = command.args(arguments).env("COLUMNS", columns).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// Forty commands in one list gave no hint where to begin.
#[test]
fn help_lists_the_commands_in_groups_with_headings() {
    for arguments in [&["-h"][..], &["--help"], &["help"]] {
        let (help, _, code) = run(arguments, "100");
        assert_eq!(code, Some(0));
        let lines: Vec<&str> = help.lines().collect();
        let at = |line: &str| lines.iter().position(|found| *found == line).unwrap_or_else(|| panic!("{line}\n{help}"));
        let places: Vec<usize> = HEADINGS.iter().map(|heading| at(heading)).collect();
        assert!(places.is_sorted(), "{help}");
        let group = |name: &str| {
            let entry = lines.iter().position(|line| line.starts_with(&format!("  {name} "))).unwrap();
            HEADINGS[places.iter().rposition(|place| *place < entry).unwrap()]
        };
        for (name, heading) in [
            ("serve", "Node:"),
            ("settings", "Node:"),
            ("propose", "Propose and read:"),
            ("state", "Propose and read:"),
            ("receipt", "Evidence:"),
            ("config", "Work:"),
            ("documents", "Work:"),
            ("backup", "Data:"),
        ] {
            assert_eq!(group(name), heading, "{name}");
        }
        assert!(help.contains("Options:\n  ") && help.contains("--json"), "{help}");
        assert!(!help.contains("__git") && !help.contains('{'), "{help}");
    }
}

#[test]
fn help_fits_the_width_of_the_terminal() {
    let wide = listed(&run(&["-h"], "100").0);
    for columns in [40, 60, 80, 100] {
        let (help, ..) = run(&["-h"], &columns.to_string());
        let groups = help.split("Options:").next().unwrap();
        let long: Vec<&str> = groups.lines().filter(|line| line.chars().count() > columns).collect();
        assert!(long.is_empty(), "{columns} columns: {long:#?}");
        assert_eq!(listed(&help), wide, "{columns} columns");
    }
}

/// `state` was the state of a project and the documents of a workspace; `config` was a node's settings and the configuration of builds.
#[test]
fn old_spellings_work_and_name_the_new_one_on_standard_error() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = folder.path().to_str().unwrap();
    let cases = [
        (vec!["config", "show"], vec!["settings", "show"]),
        (vec!["config", "check"], vec!["settings", "check"]),
        (vec!["state", "check", "--root", root], vec!["documents", "check", "--root", root]),
    ];
    for (old, new) in cases {
        for json in [false, true] {
            let call = |words: &[&str]| run(&[words, if json { &["--json"] } else { &[] }].concat(), "100");
            let (said, note, code) = call(&old);
            let (present, silence, expected) = call(&new);
            assert_eq!((said, code), (present, expected), "{old:?}");
            assert_eq!(silence, "", "{new:?}");
            assert_eq!(note.lines().count(), 1, "{note}");
            assert!(note.contains(&new[..2].join(" ")), "{note}");
            assert!(!json || serde_json::from_str::<Value>(&note).is_ok(), "{note}");
        }
    }
}

#[test]
fn the_state_of_a_project_and_the_configuration_of_builds_list_their_own_meaning_alone() {
    assert!(listed(&run(&["state", "--help"], "100").0).is_empty());
    let config: Vec<String> = listed(&run(&["config", "--help"], "100").0).into_iter().collect();
    assert_eq!(config, ["explain", "help", "render", "validate"]);
    let settings: Vec<String> = listed(&run(&["settings", "--help"], "100").0).into_iter().collect();
    assert_eq!(settings, ["check", "help", "show"]);
    for shell in ["bash", "zsh", "fish"] {
        let (script, ..) = run(&["completions", shell], "100");
        assert!(script.contains("settings") && script.contains("documents"), "{shell}");
    }
}
