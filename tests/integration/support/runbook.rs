//! Runs the commands of a runbook as they are written there.

use std::path::PathBuf;
use std::process::Command;

/// A command block of a runbook.
struct Block {
    section: String,
    script: String,
    /// Lines of the output that the page shows after it; `…` stands for any text.
    shown: Vec<String>,
    ran: bool,
}

/// Output of a block.
#[derive(Debug)]
pub struct Said {
    /// stdout and stderr.
    pub text: String,
    /// Whether its exit code was 0.
    pub good: bool,
}

/// A runbook, and what its commands take from the environment.
pub struct Runbook {
    name: String,
    blocks: Vec<Block>,
    environment: Vec<(String, String)>,
    /// `HOME` of its commands.
    home: tempfile::TempDir,
}

/// Every runbook by its file name.
pub fn all() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("runbooks");
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The text of a runbook.
pub fn text(name: &str) -> String {
    std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("runbooks").join(name)).unwrap()
}

/// A line with each run of blanks as one.
pub fn plain(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a line has the parts of a pattern in their order.
fn has_parts<'a>(line: &str, mut parts: impl Iterator<Item = &'a str>) -> bool {
    let mut rest = line;
    parts.all(|part| match rest.find(part.trim()) {
        Some(at) => {
            rest = &rest[at + part.trim().len()..];
            true
        }
        None => false,
    })
}

/// The blocks of commands of a page, with the output that follows each.
fn blocks(page: &str) -> Vec<Block> {
    let (mut section, mut blocks) = (String::new(), Vec::<Block>::new());
    // Whether the last block of commands is followed by nothing but blanks so far.
    let (mut fence, mut follows) = (None::<String>, false);
    for line in page.lines() {
        match fence.as_deref() {
            Some(_) if line == "```" => fence = None,
            Some("sh") => blocks.last_mut().unwrap().script += &format!("{line}\n"),
            Some("shown") => blocks.last_mut().unwrap().shown.push(plain(line)),
            Some(_) => {}
            None if line == "```sh" => {
                let section = section.clone();
                blocks.push(Block { section, script: String::new(), shown: Vec::new(), ran: false });
                (fence, follows) = (Some("sh".into()), true);
            }
            None if line == "```text" && follows => (fence, follows) = (Some("shown".into()), false),
            None if line.starts_with("```") => (fence, follows) = (Some("other".into()), false),
            None => {
                follows &= line.is_empty();
                if let Some(title) = line.strip_prefix("## ") {
                    section = title.to_owned();
                }
            }
        }
    }
    blocks
}

/// Blocks of a runbook that only read and whose output the page does not show, as section and script.
pub fn without_output(name: &str) -> Vec<(String, String)> {
    let reads = blocks(&text(name)).into_iter().filter(|block| block.section != "Action" && block.shown.is_empty());
    reads.map(|block| (block.section, block.script)).collect()
}

/// Every command line of a runbook that asks a node by curl.
pub fn curls(name: &str) -> Vec<String> {
    let blocks = blocks(&text(name));
    let lines = blocks.iter().flat_map(|block| block.script.lines());
    lines.filter(|line| line.contains("curl ") && line.contains("$SWOOSH_URL")).map(str::to_owned).collect()
}

impl Runbook {
    pub fn open(name: &str) -> Runbook {
        let blocks = blocks(&text(name));
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Runbook { name: name.to_owned(), blocks, environment: Vec::new(), home }
    }

    /// Sets a variable that its commands read.
    pub fn set(&mut self, name: &str, value: impl std::fmt::Display) {
        self.environment.push((name.to_owned(), value.to_string()));
    }

    /// Runs the nth block of a section, whatever comes of it.
    pub fn try_run(&mut self, section: &str, nth: usize) -> Said {
        let place = self.blocks.iter_mut().filter(|block| block.section == section).nth(nth);
        let block = place.unwrap_or_else(|| panic!("{} has no block {nth} under {section}", self.name));
        block.ran = true;
        let program = PathBuf::from(env!("CARGO_BIN_EXE_swoosh"));
        let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", &block.script])
            .env("PATH", path)
            .env("SWOOSH_KNOWN_NODES", self.home.path().join("known_nodes"))
            .current_dir(env!("CARGO_TARGET_TMPDIR"));
        let output = command.envs(self.environment.iter().cloned()).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        if std::env::var_os("SWOOSH_SHOW").is_some() {
            println!("=== {}, {section}, block {nth}\n{}---\n{text}", self.name, block.script);
        }
        Said { text, good: output.status.success() }
    }

    /// A row of the page's tables explains a message: the first cell quotes a part of it. `…`, `<hash>` and single capitals stand for
    /// what differs from case to case.
    #[track_caller]
    pub fn explains(&self, message: &str) {
        let message = plain(message);
        let page = text(&self.name);
        let cells = page.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split(" | ").next());
        let mut quoted = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(plain).collect::<Vec<_>>());
        let general = |quote: &String| {
            let words = quote.split(' ').map(|word| match word.trim_matches(|c: char| !c.is_alphanumeric()) {
                "N" | "M" | "P" | "hash" => "…",
                _ => word,
            });
            words.collect::<Vec<_>>().join(" ")
        };
        let is_quoted = quoted.any(|quote| has_parts(&message, general(&quote).split('…')));
        assert!(is_quoted, "no row of {} explains: {message}", self.name);
    }

    /// Runs the nth block of a section, which must end well; what it said.
    #[track_caller]
    pub fn run(&mut self, section: &str, nth: usize) -> String {
        let said = self.try_run(section, nth);
        assert!(said.good, "{}, {section}, block {nth}: {}", self.name, said.text);
        let block = self.blocks.iter().filter(|block| block.section == section).nth(nth).unwrap();
        for line in block.shown.iter().filter(|line| !line.is_empty()) {
            let printed = said.text.lines().any(|printed| has_parts(&plain(printed), line.split('…')));
            assert!(printed, "{}, {section}, block {nth} does not print {line:?}: {}", self.name, said.text);
        }
        said.text
    }

    /// Runs the nth block of a section, which must end well and tell something.
    #[track_caller]
    pub fn tells(&mut self, section: &str, nth: usize, expected: &str) {
        let said = self.run(section, nth);
        assert!(said.contains(expected), "{}, {section}, block {nth}: no {expected:?} in: {said}", self.name);
    }

    /// Every block was run.
    #[track_caller]
    pub fn finish(self) {
        let left: Vec<&str> = self.blocks.iter().filter(|block| !block.ran).map(|block| &block.script[..]).collect();
        assert!(left.is_empty(), "{}: not run: {left:?}", self.name);
    }
}
