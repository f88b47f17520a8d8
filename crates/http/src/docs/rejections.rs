//! The page of rejections: every code with its entry of `statechart.yaml` and its status.

use std::fmt::Write as _;

use crate::status::status;
use swoosh_types::rejection::{Code, Entry, GROUPS};

const INTRODUCTION: &str = "\
# Rejections

Every error response is a problem document (RFC 9457, `application/problem+json`). `code` is one of the words below and is stable
across versions. `reasons` describe the problem, and `guard_outcomes` the result of each guard. `head` and `hlc_last` give the
project's position. `retry_after_ms` says how long to wait, where waiting helps. The first check that fails answers; docs/design.md#order-of-checks
has the order. A test keeps this page and the program's codes equal.
";

/// The page as Markdown: docs/rejections.md.
pub(super) fn markdown() -> String {
    let mut out = INTRODUCTION.to_owned();
    for group in GROUPS {
        let _ = writeln!(out, "\n# {}\n\n{}", group.title, group.intro);
        let entries = group.codes.iter().filter_map(|code| Some((*code, code.entry()?)));
        entries.for_each(|(code, entry)| push(&mut out, code, entry));
    }
    out
}

fn push(out: &mut String, code: Code, entry: &Entry) {
    let Entry { cause, example, remedy, rule, retry: _ } = entry;
    let example: String = example.lines().map(|line| format!("    {line}\n")).collect();
    let status = status(code).as_u16();
    let _ = writeln!(
        out,
        "\n## {code}\n\n**{status}.** {cause}\n\n{example}\n**What to do:** {remedy}\n\nRule: {}.",
        linked(rule)
    );
}

/// The rule, whose sections of docs/ are links.
fn linked(rule: &str) -> String {
    let link = |part: &str| match part.strip_prefix("docs/") {
        Some(page) => format!("[{part}]({page})"),
        None => part.to_owned(),
    };
    rule.split("; ").map(link).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::codes;

    /// `SWOOSH_BLESS=1` rewrites the page.
    #[test]
    fn the_golden_copy_of_the_page_of_rejections_is_current() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rejections.md");
        if std::env::var_os("SWOOSH_BLESS").is_some() {
            std::fs::write(&path, markdown()).unwrap();
        }
        let (found, page) = (std::fs::read_to_string(&path).unwrap(), markdown());
        let differing = found.lines().zip(page.lines()).position(|(is, should)| is != should);
        assert!(
            found == page,
            "docs/rejections.md is stale from line {differing:?} on; run SWOOSH_BLESS=1 make test CRATE=http TESTS=rejections_is"
        );
    }

    #[test]
    fn every_code_has_one_entry_on_the_page() {
        let page = markdown();
        for code in codes() {
            assert_eq!(page.matches(&format!("\n## {code}\n")).count(), 1, "{code}");
        }
        assert_eq!(page.matches("\n## ").count(), codes().len());
    }
}
