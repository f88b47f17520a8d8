//! `config/swoosh.yaml` as a description of every key: its value and the comment above it.
//!
//! The bounds of numbers and the page `docs/settings.md` are made of it.

use std::sync::LazyLock;

use super::DEFAULT_YAML;

/// The keys of the file, in its order.
pub(super) static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| entries(DEFAULT_YAML));

/// A key of the file and what is written above it.
pub(super) struct Entry {
    pub key: String,
    pub value: String,
    pub comment: Vec<String>,
}

/// The parts of a comment: `meaning`, then `Unit: … Default: … Bound: …` in its last line.
pub(super) struct Parts {
    #[cfg_attr(not(test), expect(dead_code, reason = "for the page"))]
    pub meaning: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the page"))]
    pub unit: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the page"))]
    pub default: String,
    pub bound: String,
}

impl Entry {
    pub fn parts(&self) -> Option<Parts> {
        let last = self.comment.last()?.strip_prefix("Unit: ")?.strip_suffix('.')?;
        let (unit, rest) = last.split_once(". Default: ")?;
        let (default, bound) = rest.split_once(". Bound: ")?;
        let meaning = self.comment[..self.comment.len() - 1].iter().map(String::as_str);
        let meaning: Vec<_> = meaning.take_while(|line| !line.starts_with("  ")).collect();
        Some(Parts {
            meaning: meaning.join(" ").replace(" Example:", ""),
            unit: unit.into(),
            default: default.into(),
            bound: bound.into(),
        })
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
