//! The pages of `docs/` and the runbooks, embedded by the build script.

use std::fmt::Write as _;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::markdown::{self, escape};

include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// A page, served at `/docs/NAME`.
pub(super) struct Page {
    pub name: &'static str,
    /// Its path in the repository, such as `docs/facts.md`.
    file: &'static str,
    pub source: &'static str,
    html: OnceLock<Bytes>,
}

impl Page {
    const fn new(name: &'static str, file: &'static str, source: &'static str) -> Page {
        Page { name, file, source, html: OnceLock::new() }
    }

    pub fn title(&self) -> String {
        markdown::title(self.source)
    }

    /// The page for a browser, rendered when it is first asked for.
    pub fn html(&self) -> Bytes {
        let render = || {
            let content = markdown::render_with(self.source, &|target| self.resolve(target));
            super::page(&escape(&self.title()), &content).into()
        };
        self.html.get_or_init(render).clone()
    }

    /// Where a link of this page leads. `None` for files of the repository that are not served.
    fn resolve(&self, target: &str) -> Option<String> {
        if let Some(safe) = markdown::safe(target) {
            return Some(safe);
        }
        let (path, fragment) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
        let file = beside(self.file, path)?;
        let page = PAGES.iter().find(|page| page.file == file)?;
        let fragment = fragment.map(|anchor| format!("#{anchor}")).unwrap_or_default();
        Some(format!("/docs/{}{fragment}", page.name))
    }
}

/// The path of a file that is named relative to another; `None` outside of the repository.
fn beside(file: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The page of a name, also if it is written as a file: `facts`, `facts.md` or `quick-start.sh`.
pub(super) fn find(name: &str) -> Option<&'static Page> {
    let name = [".md", ".sh"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    PAGES.iter().find(|page| page.name == name)
}

/// All pages, by folder.
pub(super) fn index() -> String {
    let mut out = String::from("<h1 id=\"pages\">Documentation</h1>\n");
    for (heading, folder) in [("Pages", ""), ("Decisions", "decisions/"), ("Runbooks", "runbooks/")] {
        let _ = writeln!(out, "<h2>{heading}</h2>\n<ul class=\"toc\">");
        let is_inside = |page: &&Page| page.name.rfind('/').map_or("", |at| &page.name[..=at]) == folder;
        for page in PAGES.iter().filter(is_inside) {
            let _ = writeln!(out, "<li><a href=\"/docs/{}\">{}</a></li>", page.name, escape(&page.title()));
        }
        out.push_str("</ul>\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn html(page: &Page) -> String {
        String::from_utf8(page.html().to_vec()).unwrap()
    }

    /// The targets of the links of a page, without those of the frame.
    fn links(html: &str) -> Vec<String> {
        let (_, main) = html.split_once("<main>").unwrap();
        main.split("href=\"").skip(1).map(|rest| rest.split_once('"').unwrap().0.replace("&amp;", "&")).collect()
    }

    /// Most pages could be read only in the repository, which an operator does not have.
    #[test]
    fn every_file_of_docs_and_every_runbook_is_a_page_of_the_index() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let index = index();
        let mut files = 0;
        for (folder, prefix) in [("docs", ""), ("docs/decisions", "decisions/"), ("runbooks", "runbooks/")] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let Some(stem) = name.strip_suffix(".md").or(name.strip_suffix(".sh")) else { continue };
                let address = format!("{prefix}{stem}");
                assert!(find(&address).is_some() && find(&format!("{prefix}{name}")).is_some(), "{address}");
                assert!(index.contains(&format!("href=\"/docs/{address}\"")), "{address} is not in the index");
                files += 1;
            }
        }
        assert_eq!(PAGES.len(), files);
        assert!(PAGES.iter().all(|page| !page.title().is_empty()));
    }

    #[test]
    fn links_between_pages_lead_to_served_pages_and_to_headings_that_exist() {
        let mut between = 0;
        for page in &PAGES {
            let own = html(page);
            for link in links(&own) {
                let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
                let to = match path.strip_prefix("/docs/") {
                    Some(name) => html(find(name).unwrap_or_else(|| panic!("{}: {link}", page.file))),
                    None if path.is_empty() => own.clone(),
                    None => {
                        assert!(path.starts_with("http") || path.starts_with('/'), "{}: {link}", page.file);
                        continue;
                    }
                };
                between += 1;
                let exists = anchor.is_empty() || to.contains(&format!("id=\"{anchor}\""));
                assert!(exists, "{} has a link to {link}, where no heading has this anchor", page.file);
            }
        }
        assert!(between > 100, "{between}");
    }

    /// A bar in code splits a cell of a table; the text behind it would be lost.
    #[test]
    fn no_page_loses_cells_of_a_table() {
        let cells = |row: &str| row.replace("\\|", "").trim().trim_matches('|').split('|').count();
        for page in &PAGES {
            let mut heads: Option<usize> = None;
            let mut fenced = false;
            for (number, line) in page.source.lines().enumerate() {
                fenced ^= line.trim_start().starts_with("```");
                if fenced || !line.trim_start().starts_with('|') {
                    heads = None;
                    continue;
                }
                let expected = *heads.get_or_insert_with(|| cells(line));
                assert_eq!(cells(line), expected, "{}:{}: {line}", page.file, number + 1);
            }
        }
    }

    #[test]
    fn pages_load_nothing_and_run_nothing() {
        for page in &PAGES {
            let html = html(page);
            assert!(html.starts_with("<!doctype html>"), "{}", page.file);
            for sign in ["<script", "<link", "<img", "<iframe", "@import", "url(", "href=\"javascript:"] {
                assert!(!html.contains(sign), "{}: {sign}", page.file);
            }
        }
    }

    #[test]
    fn a_link_is_resolved_from_the_folder_of_its_page() {
        let page = |file| PAGES.iter().find(|page| page.file == file).unwrap();
        let resolved = |file, target: &str| page(file).resolve(target);
        let at = |address: &str| Some(address.to_owned());
        assert_eq!(resolved("docs/facts.md", "settings.md#x"), at("/docs/settings#x"));
        assert_eq!(resolved("docs/facts.md", "decisions/consensus.md"), at("/docs/decisions/consensus"));
        assert_eq!(resolved("docs/decisions/consensus.md", "../facts.md"), at("/docs/facts"));
        assert_eq!(resolved("runbooks/clock.md", "../docs/operating.md#runbooks"), at("/docs/operating#runbooks"));
        assert_eq!(resolved("runbooks/clock.md", "recovery.md"), at("/docs/runbooks/recovery"));
        assert_eq!(resolved("docs/facts.md", "#here"), at("#here"));
        assert_eq!(resolved("docs/facts.md", "https://example.org/"), at("https://example.org/"));
        for unserved in ["../config/sources.yaml", "../../../etc/passwd", "absent.md", "javascript:x", "//evil.example"]
        {
            assert_eq!(resolved("docs/facts.md", unserved), None, "{unserved}");
        }
    }

    #[test]
    fn names_of_pages_are_unique() {
        let names: BTreeSet<&str> = PAGES.iter().map(|page| page.name).collect();
        assert_eq!(names.len(), PAGES.len());
    }
}
