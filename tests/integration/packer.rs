//! `swoosh packer` with the real packer: the builders `file` and `null`, and provisioners of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

mod builds;
mod hostile;
mod stopped;

/// Long enough for any machine; what comes sooner is not waited for.
const LONG: Duration = Duration::from_secs(180);

/// These tests are worth nothing without the program, so its lack fails them.
fn packer() -> &'static str {
    static FOUND: OnceLock<String> = OnceLock::new();
    FOUND.get_or_init(|| {
        let program = std::env::var("SWOOSH_PACKER").unwrap_or_else(|_| "packer".to_owned());
        let version = Command::new(&program).arg("version").env("CHECKPOINT_DISABLE", "1").output();
        let there = version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("Packer v"));
        assert!(there, "packer is not installed; run tools/install-prerequisites.sh tests, or set SWOOSH_PACKER");
        program
    })
}

/// A workspace with templates.
struct Desk {
    folder: tempfile::TempDir,
}

/// The common first lines of the templates.
const HEAD: &str = r#"variable "swoosh_output" { default = "output" }
variable "swoosh_manifest" { default = "manifest.json" }
variable "swoosh_run" { default = "none" }
"#;
const TAIL: &str = r#"  post-processor "manifest" {
    output      = var.swoosh_manifest
    custom_data = { run = var.swoosh_run }
  }
}
"#;

/// A template with one file, whose provisioner runs these lines of shell.
fn template(shell: &str) -> String {
    format!(
        "{HEAD}source \"file\" \"web\" {{\n  target  = \"${{var.swoosh_output}}/web.txt\"\n  content = \"hello\"\n}}\n\
         build {{\n  sources = [\"source.file.web\"]\n  provisioner \"shell-local\" {{\n    inline = [{shell:?}]\n  }}\n{TAIL}"
    )
}

impl Desk {
    /// A workspace with the template web.pkr.hcl, whose provisioner runs these lines of shell.
    fn new(shell: &str) -> Desk {
        packer();
        let desk = Desk { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(desk.root()).unwrap();
        desk.write("web.pkr.hcl", &template(shell));
        desk
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A place beside the workspace.
    fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.root().join(path), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swoosh"));
        command.args(["--json", "packer"]).args(arguments).args(["--root", self.root().to_str().unwrap()]);
        command.env("SWOOSH_OPERATOR", "olga").env("SWOOSH_PACKER", packer());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    fn catalogue(&self) -> Option<Value> {
        let text = fs::read_to_string(self.root().join("state/packer-hybrid.json")).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    /// Whether any process knows this workspace: packer, its plugins, what they started.
    fn has_processes(&self) -> bool {
        let root = self.root();
        let wanted = root.to_str().unwrap().as_bytes();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let environments = entries.filter_map(|entry| fs::read(entry.path().join("environ")).ok());
        environments.into_iter().any(|bytes| bytes.windows(wanted.len()).any(|window| window == wanted))
    }
}

/// How a command came out.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    said: Value,
    errors: String,
}

impl Ran {
    fn of(output: Output) -> Ran {
        let said = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        Ran { code: output.status.code(), said, errors: String::from_utf8(output.stderr).unwrap() }
    }

    fn good(self) -> Ran {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// A build that failed for this.
    fn failed(self, class: &str) -> Ran {
        assert_eq!((self.code, self.said["failure"]["class"].as_str()), (Some(1), Some(class)), "{self:?}");
        assert_eq!(self.said["status"], "failed");
        assert!(!self.said["failure"]["remedy"].as_str().unwrap().is_empty());
        self
    }

    /// All of its output; asserts that it failed.
    fn refusal(&self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        format!("{} {}", self.said, self.errors)
    }
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LONG, "{what} never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(name: &str, id: u32) {
    assert!(Command::new("kill").args([name, &id.to_string()]).status().unwrap().success());
}

/// All bytes of all files below a folder.
fn everything(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => bytes.extend(everything(&entry.path())),
            false => bytes.extend(fs::read(entry.path()).unwrap()),
        }
    }
    bytes
}
