//! Runs the commands of a runbook as they are written there.

use std::path::PathBuf;
use std::process::Command;

/// A command block of a runbook.
struct Block {
    section: String,
    script: String,
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

impl Runbook {
    pub fn open(name: &str) -> Runbook {
        let (mut section, mut script, mut blocks) = (String::new(), None::<String>, Vec::new());
        for line in text(name).lines() {
            match &mut script {
                Some(so_far) if line == "```" => {
                    blocks.push(Block { section: section.clone(), script: std::mem::take(so_far), ran: false });
                    script = None;
                }
                Some(so_far) => *so_far += &format!("{line}\n"),
                None if line == "```sh" => script = Some(String::new()),
                None => {
                    if let Some(title) = line.strip_prefix("## ") {
                        section = title.to_owned();
                    }
                }
            }
        }
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
        Said { text, good: output.status.success() }
    }

    /// Runs the nth block of a section, which must end well; what it said.
    #[track_caller]
    pub fn run(&mut self, section: &str, nth: usize) -> String {
        let said = self.try_run(section, nth);
        assert!(said.good, "{}, {section}, block {nth}: {}", self.name, said.text);
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
