//! Lists the pages that the node serves, so that none is left out: all of docs/, its scripts too, all runbooks, and the files of the console.
//! Writes the statechart as JSON.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Folders of pages, and where their pages are served.
const FOLDERS: [(&str, &str); 3] = [("docs", ""), ("docs/decisions", "decisions/"), ("runbooks", "runbooks/")];

/// Folders of the console, and where their files are served below `/console/`.
const CONSOLE: [(&str, &str); 5] = [
    ("console", ""),
    ("console/pages", "pages/"),
    ("console/parts", "parts/"),
    ("console/vendor", "vendor/"),
    ("sdk/js", "sdk/"),
];

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
    write_chart()?;
    write_console(&root)
}

/// The files of the console by the path below `/console/` that they are served at.
fn write_console(root: &Path) -> Result<(), Box<dyn Error>> {
    let mut list = String::new();
    for (folder, prefix) in CONSOLE {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
        for file in files(&root.join(folder), &["html", "js", "css", "svg"])? {
            let name = file.file_name().and_then(|name| name.to_str()).ok_or("the name of a file is not UTF-8")?;
            writeln!(list, "    ({:?}, include_bytes!({file:?})),", format!("{prefix}{name}"))?;
        }
    }
    let array = format!("static FILES: &[(&str, &[u8])] = &[\n{list}];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("console.rs"), array)?;
    Ok(())
}

/// The statechart, as it is served.
fn write_chart() -> Result<(), Box<dyn Error>> {
    let chart = swoosh_chart::json(&swoosh_chart::read()?)?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("chart.json"), chart)?;
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
    files(folder, &["md", "sh"])
}

/// The files of a folder with one of these extensions, sorted.
fn files(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if extensions.iter().any(|&known| path.extension().is_some_and(|extension| extension == known)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
