//! `make validate`: whether the repository is as the wrapper's specification asks. Needs no network.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::FOLDER;
use super::capability::{self, CAPABILITY_FILE, SCHEMA_FILE};
use super::pins::{PINS_FILE, Pins};
use crate::leave::Leave;
use crate::process::{self, Bounds, End, Program, Stream};

/// Files that must be there.
const REQUIRED: &[&str] = &[
    "README.md",
    "docs/UPSTREAMS.md",
    "docs/STANDARDS_GAPS.md",
    "tools/fetch_upstreams.sh",
    "tools/validate.py",
    PINS_FILE,
    CAPABILITY_FILE,
    SCHEMA_FILE,
    ".gitignore",
];
/// Documents in which a lone ellipsis is an unfilled placeholder.
const CORE: &[&str] = &["README.md", "docs/UPSTREAMS.md", "docs/STANDARDS_GAPS.md"];

/// One check and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub check: &'static str,
    /// The problems with remedies; none if all is well.
    pub problems: Vec<String>,
}

/// Checks a repository.
pub fn validate(root: &Path, leave: &dyn Leave) -> Vec<Check> {
    vec![
        Check { check: "required files", problems: missing_files(root) },
        Check { check: "third_party/ untracked", problems: tracked(root, leave) },
        Check { check: "pinned references", problems: unpinned(root) },
        Check { check: "capability file", problems: capability(root) },
        Check { check: "no placeholder ellipsis", problems: placeholders(root) },
    ]
}

fn missing_files(root: &Path) -> Vec<String> {
    let missing = REQUIRED.iter().filter(|path| !root.join(path).is_file());
    missing.map(|path| format!("{path} is missing; put it back from version control")).collect()
}

fn tracked(root: &Path, leave: &dyn Leave) -> Vec<String> {
    let mut problems = Vec::new();
    if !is_ignored(root, leave) {
        problems.push(format!(".gitignore does not exclude {FOLDER}/; add the line /{FOLDER}"));
    }
    problems.extend(tracked_file(root, leave).map(|file| {
        format!("{file} is tracked; take it out with `git rm -r --cached {FOLDER}`, since upstreams are fetched, not shipped")
    }));
    problems
}

/// Whether git leaves out what is fetched, by its own rules: the repository's `.gitignore` files, and no settings of this machine.
fn is_ignored(root: &Path, leave: &dyn Leave) -> bool {
    let names = Pins::load(root).map(|pins| pins.set().into_keys().collect::<Vec<_>>()).unwrap_or_default();
    let mut probes: Vec<String> = names.iter().map(|name| format!("{FOLDER}/{name}/README.md")).collect();
    probes.push(format!("{FOLDER}/any/README.md"));
    match ignored_by_git(root, &probes, leave) {
        Some(ignored) => probes.iter().all(|probe| ignored.contains(probe)),
        None => ignored_by_text(root),
    }
}

/// Which of the paths git ignores; `None` where there is no git to ask. A repository of its own is asked, so that the one of the root need not be
/// there, and has no say by its `info/exclude`.
fn ignored_by_git(root: &Path, probes: &[String], leave: &dyn Leave) -> Option<BTreeSet<String>> {
    let scratch = tempfile::tempdir().ok()?;
    let folder = scratch.path().join("git");
    let root = std::path::absolute(root).ok()?;
    let git = |arguments: Vec<std::ffi::OsString>| {
        let mut git = Program::new("git").variable("HOME", "/nonexistent").variable("GIT_CONFIG_NOSYSTEM", "1");
        git.arguments = arguments;
        git.folder = Some(root.clone());
        git
    };
    let init = git(vec!["init".into(), "-q".into(), "--bare".into(), "--template=".into(), folder.clone().into()]);
    let made = process::run(&init, &Bounds::default(), leave, &mut |_, _| ());
    if !matches!(made, Ok(End::Code(0))) {
        return None;
    }
    let mut ask = vec!["--git-dir".into(), folder.into(), "--work-tree".into(), root.clone().into()];
    ask.extend(["-c", "core.quotePath=false", "check-ignore", "--no-index", "--"].map(Into::into));
    ask.extend(probes.iter().map(Into::into));
    let mut ignored = BTreeSet::new();
    let mut on_line = |stream: Stream, line: &str| {
        if stream == Stream::Output {
            ignored.insert(line.to_owned());
        }
    };
    // 1 says that none is.
    let asked = process::run(&git(ask), &Bounds::default(), leave, &mut on_line);
    matches!(asked, Ok(End::Code(0 | 1))).then_some(ignored)
}

fn ignored_by_text(root: &Path) -> bool {
    let ignore = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    ignore.lines().any(|line| line.trim().trim_start_matches('/').trim_end_matches('/') == FOLDER)
}

/// A file below the folder that version control knows; `None` also where there is no git to ask.
fn tracked_file(root: &Path, leave: &dyn Leave) -> Option<String> {
    let mut git = Program::new("git").variable("GIT_OPTIONAL_LOCKS", "0").variable("HOME", "/nonexistent");
    git.arguments = ["ls-files", "--", FOLDER].map(Into::into).into();
    git.folder = Some(root.to_owned());
    let mut first = None;
    let mut on_line = |stream: Stream, line: &str| {
        if stream == Stream::Output {
            first.get_or_insert(line.to_owned());
        }
    };
    match process::run(&git, &Bounds::default(), leave, &mut on_line) {
        Ok(End::Code(0)) => first,
        _ => None,
    }
}

fn unpinned(root: &Path) -> Vec<String> {
    let pins = match Pins::load(root) {
        Ok(pins) => pins,
        Err(error) => return vec![error.to_string()],
    };
    let describe = |floating: String| {
        format!(
            "{PINS_FILE}: {floating} is a branch or looks like one; pin a tag or commit, or enter it in FLOATING_ALLOWLIST"
        )
    };
    pins.suspicious().into_iter().map(describe).collect()
}

fn capability(root: &Path) -> Vec<String> {
    let read = |path: &str| -> Result<Value, String> {
        let text = fs::read_to_string(root.join(path)).map_err(|error| format!("{path} cannot be read: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{path} is no JSON: {error}"))
    };
    let (document, schema) = match (read(CAPABILITY_FILE), read(SCHEMA_FILE)) {
        (Ok(document), Ok(schema)) => (document, schema),
        (document, schema) => return [document.err(), schema.err()].into_iter().flatten().collect(),
    };
    let mut problems: Vec<String> = capability::disagreements(&document, &schema)
        .iter()
        .map(|found| format!("{CAPABILITY_FILE}: {found}"))
        .collect();
    let names = |list: &Value| -> BTreeSet<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let pinned: BTreeSet<String> =
        Pins::load(root).map(|pins| pins.upstreams.into_keys().collect()).unwrap_or_default();
    if names(&document["upstreams"]) != pinned {
        problems.push(format!("{CAPABILITY_FILE}: its upstreams are not those of {PINS_FILE}; name the same"));
    }
    for path in document["artifacts"].as_array().into_iter().flatten().filter_map(|artifact| artifact["path"].as_str())
    {
        if !root.join(path).is_file() {
            problems.push(format!("{CAPABILITY_FILE}: the artifact {path} is missing"));
        }
    }
    problems
}

/// An ellipsis alone in a line, a list item or a table's cell, or after words that announce text which is to come.
fn placeholders(root: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    for path in CORE {
        let text = fs::read_to_string(root.join(path)).unwrap_or_default();
        let mut in_code = false;
        for (at, line) in text.lines().enumerate() {
            in_code ^= line.trim_start().starts_with("```");
            if !in_code && is_placeholder(line) {
                problems.push(format!("{path}:{}: a placeholder ellipsis; write the missing text", at + 1));
            }
        }
    }
    problems
}

fn is_placeholder(line: &str) -> bool {
    is_open(line) || (line.contains('|') && line.split('|').any(is_open))
}

/// Words next to which an ellipsis promises text.
const ANNOUNCED: &[&str] = &[
    "todo",
    "to do",
    "tbd",
    "tba",
    "tbc",
    "wip",
    "fixme",
    "xxx",
    "placeholder",
    "to be added",
    "to be announced",
    "to be completed",
    "to be confirmed",
    "to be decided",
    "to be defined",
    "to be determined",
    "to be done",
    "to be filled",
    "to be filled in",
    "to be provided",
    "to be written",
    "to come",
    "to follow",
    "coming soon",
    "done later",
    "follows later",
    "written later",
    "fill in",
    "in preparation",
    "under construction",
    "work in progress",
];

/// Whether a line, an item or a cell is an ellipsis and nothing else, or has one next to words that announce text.
fn is_open(text: &str) -> bool {
    let bare = |text: &str| text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let text = text.replace(". . .", "…").replace("...", "…");
    let sides: Vec<String> = text.split('…').map(bare).collect();
    let ends = |side: &String, word: &&str| side == word || side.ends_with(&format!(" {word}"));
    let begins = |side: &String, word: &&str| side == word || side.starts_with(&format!("{word} "));
    sides.windows(2).any(|pair| {
        let announced = |word| ends(&pair[0], word) || begins(&pair[1], word);
        sides.iter().all(String::is_empty) || ANNOUNCED.iter().any(announced)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leave::Always;

    fn problems(root: &Path) -> Vec<String> {
        validate(root, &Always).into_iter().flat_map(|check| check.problems).collect()
    }

    /// The repository.
    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    /// A copy of what is checked.
    fn copy() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in REQUIRED {
            let to = folder.path().join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(root().join(path), to).unwrap();
        }
        folder
    }

    #[test]
    fn this_repository_is_valid() {
        assert_eq!(problems(root()), Vec::<String>::new());
    }

    #[test]
    fn an_ellipsis_in_a_sentence_is_no_placeholder() {
        for text in [
            "and so on, ...",
            "swoosh propose TRANSITION ...",
            "a list (1, 2, ...) of later steps",
            "More: see …",
            "pages 1...5",
            "A methodology … in brief",
            "todo lists, ...",
            "three dots . . are none",
        ] {
            assert!(!is_placeholder(text), "{text}");
        }
    }

    #[test]
    fn a_tracked_third_party_folder_is_reported_with_the_line_to_add() {
        let folder = copy();
        fs::write(folder.path().join(".gitignore"), "/target\n").unwrap();
        let found = problems(folder.path());
        assert!(found.len() == 1 && found[0].contains("add the line /third_party"), "{found:?}");
    }

    /// The line was looked for as text, which was wrong both ways.
    #[test]
    fn git_says_whether_third_party_is_ignored() {
        for (ignore, is_ignored) in [
            ("/third_party/\n", true),
            ("third_party/**\n", true),
            ("**/third_party\n", true),
            ("third_*/\n", true),
            ("*\n!*.md\n", true),
            ("/third_party\n!/third_party\n", false),
            ("third_party/*\n!third_party/krew/\n!third_party/KREW/\n", false),
            (" /third_party\n", false),
            ("#/third_party\n", false),
            ("third_party \\\n", false),
        ] {
            let folder = copy();
            fs::write(folder.path().join(".gitignore"), ignore).unwrap();
            let found = problems(folder.path());
            let reported = found.iter().any(|problem| problem.contains("does not exclude"));
            assert_eq!(!reported, is_ignored, "{ignore:?}: {found:?}");
        }
    }

    #[test]
    fn every_rule_finds_its_breach() {
        let breach = |path: &str, text: &str, expected: &str| {
            let folder = copy();
            fs::write(folder.path().join(path), text).unwrap();
            let found = problems(folder.path());
            assert!(found.iter().any(|problem| problem.contains(expected)), "{path}: {found:?}");
        };
        let pins = fs::read_to_string(root().join(PINS_FILE)).unwrap();
        breach(PINS_FILE, &pins.replace("v0.4.5", "main"), "KREW_REF=main is a branch");
        breach(PINS_FILE, &pins.replace("KREW_", "OTHER_"), "its upstreams are not those of");
        breach("docs/UPSTREAMS.md", "# Upstreams\n\n| a | ... |\n", "docs/UPSTREAMS.md:3: a placeholder ellipsis");
        breach(CAPABILITY_FILE, "{}", "has no capability_id");
        for open in [
            "to be done ...",
            "- TODO …",
            "TODO: ...",
            "* [...]",
            "| a | to be written … |",
            "Limits: TBD...",
            "...",
            "to do ...",
            "to be done . . .",
            "TODO … soon",
            "… to be written",
            "**Coming soon ....**",
            "In preparation …",
            "It will be done later…",
            "<placeholder ...>",
            "… … …",
        ] {
            breach("README.md", &format!("# SWOOSH\n{open}\n"), "README.md:2: a placeholder ellipsis");
        }
        let folder = copy();
        fs::remove_file(folder.path().join("docs/STANDARDS_GAPS.md")).unwrap();
        assert!(problems(folder.path()).iter().any(|problem| problem.contains("STANDARDS_GAPS.md is missing")));
    }
}
