//! Holds `config/swoosh.yaml` and `docs/settings.md` together: the table is generated from the comments.

use std::fmt::Write as _;

use super::bounds::BOUNDS;
use super::{DEFAULT_YAML, keys};

/// A key of the file and what is written above it.
struct Entry {
    key: String,
    value: String,
    comment: Vec<String>,
}

impl Entry {
    fn is_section(&self) -> bool {
        self.value.is_empty()
    }

    /// `(meaning, unit, default, bound)`, as the comment has them.
    fn parts(&self) -> Option<(String, String, String, String)> {
        let last = self.comment.last()?.strip_prefix("Unit: ")?.strip_suffix('.')?;
        let (unit, rest) = last.split_once(". Default: ")?;
        let (default, bound) = rest.split_once(". Bound: ")?;
        let meaning = self.comment[..self.comment.len() - 1]
            .iter()
            .map(String::as_str)
            .take_while(|line| !line.starts_with("  "));
        Some((
            meaning.collect::<Vec<_>>().join(" ").replace(" Example:", ""),
            unit.into(),
            default.into(),
            bound.into(),
        ))
    }
}

/// Reads keys and comments; sections are at most two deep, indented by two blanks.
fn entries(yaml: &str) -> Vec<Entry> {
    let mut section = String::new();
    let mut comment = Vec::new();
    let mut entries = Vec::new();
    for line in yaml.lines() {
        let text = line.trim_start();
        if let Some(said) = text.strip_prefix('#') {
            comment.push(said.strip_prefix(' ').unwrap_or(said).to_owned());
        } else if let Some((name, value)) = text.split_once(':') {
            let inner = line.len() > text.len();
            let key = if inner { format!("{section}.{name}") } else { name.to_owned() };
            if !inner {
                section = name.to_owned();
            }
            entries.push(Entry { key, value: value.trim().to_owned(), comment: std::mem::take(&mut comment) });
        } else {
            comment.clear();
        }
    }
    entries
}

fn render() -> String {
    let mut page = String::from(
        "# Settings\n\nGenerated from `config/swoosh.yaml`, which is built into the daemon; a test keeps this page true\n(`SWOOSH_BLESS=1 cargo test --lib settings::` writes it again). A settings file names only what\ndiffers; relative paths in it are relative to the file.\n",
    );
    let row = |page: &mut String, entry: &Entry| {
        let (meaning, unit, default, bound) = entry.parts().unwrap();
        let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            entry.key,
            cell(&meaning),
            cell(&unit),
            cell(&default),
            cell(&bound)
        );
    };
    let header = "\n| key | meaning | unit | default | bound |\n| --- | --- | --- | --- | --- |\n";
    page.push_str(header);
    for entry in &entries(DEFAULT_YAML) {
        if entry.is_section() {
            let _ = write!(page, "\n## `{}`\n\n{}\n{header}", entry.key, entry.comment.join(" "));
        } else {
            row(&mut page, entry);
        }
    }
    page
}

#[test]
fn every_key_is_in_the_file_with_meaning_unit_default_and_bound() {
    let entries = entries(DEFAULT_YAML);
    let keys: Vec<_> = entries.iter().map(|entry| entry.key.clone()).collect();
    assert_eq!(keys, keys::known());
    for entry in &entries {
        assert!(!entry.comment.is_empty(), "{} has no comment", entry.key);
        if entry.is_section() {
            continue;
        }
        let parts = entry.parts();
        let (meaning, unit, default, bound) = parts.unwrap_or_else(|| panic!("{}: no unit, default, bound", entry.key));
        assert!([&meaning, &unit, &bound].iter().all(|text| !text.is_empty()), "{}", entry.key);
        if !["null", "{}", "[]"].contains(&entry.value.as_str()) {
            assert_eq!(default, entry.value, "{}", entry.key);
        }
    }
}

#[test]
fn every_number_has_the_bound_that_its_comment_says() {
    for entry in entries(DEFAULT_YAML).iter().filter(|entry| entry.value.bytes().all(|b| b.is_ascii_digit())) {
        let Some((_, _, _, bound)) = entry.parts() else { continue };
        let range = BOUNDS.iter().find(|bound| bound.key == entry.key);
        let range = range.unwrap_or_else(|| panic!("{} has no bound", entry.key));
        assert_eq!(bound, format!("{} to {}", range.least, range.most), "{}", entry.key);
    }
}

#[test]
fn the_page_of_settings_is_generated_from_the_file() {
    let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("docs/settings.md");
    if std::env::var_os("SWOOSH_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, render()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(page, render(), "docs/settings.md is stale; run the test with SWOOSH_BLESS=1");
}
