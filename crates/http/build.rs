//! Lists the pages that the node serves, so that none is left out: all of docs/, its scripts too, and all runbooks.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Folders of pages, and where their pages are served.
const FOLDERS: [(&str, &str); 3] = [("docs", ""), ("docs/decisions", "decisions/"), ("runbooks", "runbooks/")];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let (mut list, mut count) = (String::new(), 0);
    for (folder, prefix) in FOLDERS {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
        for page in pages(&root.join(folder))? {
            let stem = page.file_stem().and_then(|stem| stem.to_str()).ok_or("the name of a page is not UTF-8")?;
            let file = page.file_name().and_then(|name| name.to_str()).ok_or("the name of a page is not UTF-8")?;
            let (name, file) = (format!("{prefix}{stem}"), format!("{folder}/{file}"));
            let source = match is_script(&page) {
                true => format!("concat!({:?}, include_str!({page:?}), {:?})", head(stem), "```\n"),
                false => format!("include_str!({page:?})"),
            };
            writeln!(list, "    Page::new({name:?}, {file:?}, {source}),")?;
            count += 1;
        }
    }
    let array = format!("pub(super) static PAGES: [Page; {count}] = [\n{list}];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("pages.rs"), array)?;
    Ok(())
}

fn is_script(page: &Path) -> bool {
    page.extension().is_some_and(|extension| extension == "sh")
}

/// The beginning of a script's page: `quick-start.sh` is "Quick start".
fn head(stem: &str) -> String {
    let title = stem.replace('-', " ");
    let (first, rest) = title.split_at(1);
    format!("# {}{rest}\n\n```sh\n", first.to_uppercase())
}

/// The Markdown files and the scripts of a folder, sorted.
fn pages(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md" || extension == "sh") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
