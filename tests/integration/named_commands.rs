//! Each command line in a page, a runbook, a help text or an error is a command of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::listed;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Pages and sources below a folder.
fn texts(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_text = path.extension().is_some_and(|extension| extension == "md" || extension == "rs");
        match path.is_dir() {
            true => texts(&path, found),
            false if is_text => found.push(path),
            false => {}
        }
    }
}

/// Subcommands that the program's help lists below these words; empty if it lists none.
fn commands(words: &[&str]) -> BTreeSet<String> {
    let help = Command::new(env!("CARGO_BIN_EXE_swoosh")).args(words).arg("-h").output().unwrap();
    assert!(help.status.success(), "swoosh {words:?} -h: {}", String::from_utf8_lossy(&help.stderr));
    let help = String::from_utf8(help.stdout).unwrap();
    listed(&help)
}

/// The words after `swoosh` of each command that a text names: in backticks, or at the start of a line of a block.
fn named(text: &str) -> Vec<Vec<String>> {
    let quoted = text.split("`swoosh ").skip(1).filter_map(|rest| rest.split('`').next());
    let lines = text.lines().map(|line| line.trim_start().trim_start_matches("sh$ "));
    let blocks = lines.filter_map(|line| line.strip_prefix("swoosh "));
    let words = |line: &str| line.split_whitespace().take(2).map(str::to_owned).collect();
    quoted.chain(blocks).map(words).collect()
}

#[test]
fn every_command_that_a_text_names_is_there() {
    let top: BTreeSet<String> = commands(&[]).into_iter().chain(["facts".to_owned(), "__git".to_owned()]).collect();
    let below: BTreeMap<String, BTreeSet<String>> = top
        .iter()
        .filter(|name| !["help", "__git"].contains(&name.as_str()))
        .map(|name| (name.clone(), commands(&[name])))
        .collect();
    let mut files = vec![root().join("README.md")];
    ["docs", "runbooks", "crates", "src", "deploy"].iter().for_each(|folder| texts(&root().join(folder), &mut files));
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in files {
        for words in named(&std::fs::read_to_string(&file).unwrap()) {
            let plain = |word: &&String| word.chars().all(|c| c.is_ascii_lowercase());
            // A sentence may begin with the program's name as well.
            let Some(name) = words.first().filter(plain).filter(|name| top.contains(*name)) else {
                continue;
            };
            seen += 1;
            let known = below.get(name).filter(|known| !known.is_empty());
            let Some((known, second)) = known.zip(words.get(1).filter(plain)) else { continue };
            if !known.contains(second) {
                wrong.push(format!("{}: swoosh {name} {second}", file.display()));
            }
        }
    }
    assert!(seen > 200, "{seen}");
    assert_eq!(wrong, Vec::<String>::new());
}
