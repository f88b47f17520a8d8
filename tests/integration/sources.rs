//! `swoosh sources` and `swoosh upstreams` with real git repositories, over file:// and over http.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::support::git_server::{GitRepository, GitServer};

mod hostile;
mod interrupted;
mod mirrors;
mod packs;
mod secure;
mod servers;
mod upstreams;
mod whole;

/// A workspace, a repository beside it, and the command.
struct Desk {
    folder: tempfile::TempDir,
    repository: GitRepository,
    variables: Vec<(String, String)>,
}

impl Desk {
    /// A repository with the tag v1, an annotated one, at its first commit, and a second commit on `main`.
    fn new() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let repository = GitRepository::make(folder.path().join("served/alpha.git"));
        repository.commit("a.txt", b"one\n");
        repository.git(&["tag", "-a", "v1", "-m", "v1"]);
        repository.commit("b/c.txt", b"two\r\n");
        let desk = Desk { folder, repository, variables: Vec::new() };
        desk.configure("v1", "");
        desk
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn tree(&self) -> PathBuf {
        self.root().join("sources/alpha")
    }

    /// Names the repository over file://, at a reference.
    fn configure(&self, reference: &str, more: &str) {
        let url = format!("file://{}", self.repository.folder.display());
        self.configure_url(&url, reference, more);
    }

    fn configure_url(&self, url: &str, reference: &str, more: &str) {
        fs::create_dir_all(self.root().join("config")).unwrap();
        let text = format!(
            "repositories: [{{name: alpha, url: '{url}', ref: '{reference}'}}]\n\
             retry: {{attempts: 2, first_delay_ms: 1, max_delay_ms: 1}}\n{more}\n"
        );
        fs::write(self.root().join("config/sources.yaml"), text).unwrap();
    }

    /// Serves the repository over http, as the mirror of an address that does not exist.
    fn serve(&mut self) -> GitServer {
        let server = GitServer::start(&self.folder.path().join("served"));
        self.variables.push(("SWOOSH_SOURCES_MIRROR_ALPHA".to_owned(), format!("{}/alpha.git", server.url)));
        self.configure_url("https://h.invalid/alpha.git", "v1", "");
        server
    }

    fn command(&self, arguments: &[&str]) -> Command {
        command(&self.root(), &self.variables, arguments)
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    fn head(&self) -> String {
        GitRepository { folder: self.tree() }.git(&["rev-parse", "HEAD"])
    }

    fn state(&self, file: &str) -> Option<Value> {
        let text = fs::read_to_string(self.root().join("state").join(file)).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }
}

/// `swoosh --json sources …` in a folder, with nothing of the test's own environment that matters.
fn command(root: &Path, variables: &[(String, String)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swoosh"));
    command.arg("--json").args(arguments).args(["--root", root.to_str().unwrap()]);
    for name in ["https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY", "SWOOSH_GIT_TOKEN", "SWOOSH_GIT_URL_PREFIX"]
    {
        command.env_remove(name);
    }
    command.env("SWOOSH_OPERATOR", "olga").envs(variables.iter().cloned());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
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

    /// All of its output; asserts that it failed.
    fn failure(&self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        format!("{} {}", self.said, self.errors)
    }

    fn good(self) -> Ran {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }
}
