//! Git repositories, made on the spot with the real git: one that lies on this disk, and a mirror of others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::git_server::GitServer;
use swoosh_hybridcore::sources::address::{Address, Role};
use swoosh_hybridcore::sources::mirrors;
use swoosh_hybridcore::upstreams::pins::Pins;
use swoosh_types::inputs::{SourceSet, SourceSpec};

/// The pins that `make fetch` goes by.
const PINS: &str = include_str!("../../../../tools/upstreams.env");
/// Where the docs would be, if it were not for the mirror.
const DOCS_URL: &str = "https://git.example/docs.git";
/// Variables that git sets for its child processes, such as hooks.
const ASTRAY: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
    "GIT_CONFIG_PARAMETERS",
];
/// The commits' time, so that the same files give the same commits everywhere.
const DATE: &str = "2026-01-01T00:00:00Z";

/// The repositories, and the mirror that serves them.
#[derive(Debug)]
pub(super) struct Repositories {
    app: PathBuf,
    sources: SourceSet,
    upstreams: SourceSet,
    floating: Vec<String>,
    /// Serves all but `app` over http.
    pub mirror: GitServer,
}

impl Repositories {
    /// Makes them below a folder, and starts the mirror, which holds requests back at first.
    pub fn make(folder: &Path) -> anyhow::Result<Repositories> {
        let pins = Pins::parse(PINS)?;
        let (app, mirrored) = (folder.join("app"), folder.join("mirror"));
        let upstreams = pins.set();
        let app_files = [("README.md", "# app\n\nWhat the project works on.\n"), ("src/main.py", "print('one')\n")];
        let commit = begin(&app, "v1.0.0", &app_files)?;
        let docs = SourceSpec { url: DOCS_URL.parse()?, reference: "v1.0.0".parse()? };
        for (name, spec) in upstreams.iter().map(|(name, spec)| (name.as_str(), spec)).chain([("docs", &docs)]) {
            let text = format!("# {name}\n\nMade by `swoosh demo` in place of {}.\n", spec.url);
            let place = Address::parse(spec.url.as_str(), Role::Source)?.host_and_path();
            begin(&mirrored.join(place), spec.reference.as_str(), &[("README.md", &text)])?;
        }
        let app_source = SourceSpec { url: format!("file://{}", app.display()).parse()?, reference: commit.parse()? };
        let floating = pins.floating().into_iter();
        let floating = floating.filter_map(|(name, branch)| Some(format!("{}#{branch}", upstreams.get(&name)?.url)));
        // A tag without a dot, such as `v11`, looks like a branch to the guard.
        let undotted = upstreams.values().filter(|spec| !spec.reference.as_str().contains('.'));
        let undotted = undotted.map(|spec| format!("{}#{}", spec.url, spec.reference));
        Ok(Repositories {
            floating: floating.chain(undotted).collect(),
            sources: [("app".parse()?, app_source), ("docs".parse()?, docs)].into(),
            upstreams,
            mirror: GitServer::start(&mirrored).context("cannot start a git server on a free port of this machine")?,
            app,
        })
    }

    /// What the project document names as sources.
    pub fn sources(&self) -> Value {
        json!(self.sources)
    }

    /// What it names as upstreams: the four pins of the HyperSwarm scale-up.
    pub fn upstreams(&self) -> Value {
        json!(self.upstreams)
    }

    /// The folder of the repository that is read over `file://`.
    pub fn app(&self) -> &Path {
        &self.app
    }

    /// Branches that may be followed, as the settings name them.
    pub fn floating(&self) -> &[String] {
        &self.floating
    }

    /// Environment that redirects git to the mirror and blocks access to other machines.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let all = self.sources.iter().chain(&self.upstreams);
        let mirrored = all.filter_map(|(name, spec)| {
            let address = Address::parse(spec.url.as_str(), Role::Source).ok().filter(Address::is_far)?;
            let at = format!("{}/{}", self.mirror.url(), address.host_and_path());
            Some((mirrors::variable(name.as_str()), at))
        });
        mirrored.chain([(mirrors::OFFLINE_VARIABLE.to_owned(), "1".to_owned())]).collect()
    }

    /// Commits to `app` and tags the commit; returns the sources with that tag.
    pub fn release(&self, tag: &str) -> anyhow::Result<Value> {
        commit(&self.app, tag, &[("src/main.py", "print('two')\n")])?;
        let mut sources = self.sources();
        sources["app"]["ref"] = json!(tag);
        Ok(sources)
    }
}

/// A repository with one commit, which the reference leads to: a tag when it has a digit in it, else a branch.
fn begin(folder: &Path, reference: &str, files: &[(&str, &str)]) -> anyhow::Result<String> {
    let is_tag = reference.contains(|c: char| c.is_ascii_digit());
    std::fs::create_dir_all(folder)?;
    git(folder, &["init", "--quiet", "--initial-branch", if is_tag { "main" } else { reference }])?;
    if is_tag {
        return commit(folder, reference, files);
    }
    change(folder, files)
}

fn commit(folder: &Path, tag: &str, files: &[(&str, &str)]) -> anyhow::Result<String> {
    let commit = change(folder, files)?;
    git(folder, &["tag", tag])?;
    Ok(commit)
}

fn change(folder: &Path, files: &[(&str, &str)]) -> anyhow::Result<String> {
    for (path, text) in files {
        let path = folder.join(path);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, text)?;
    }
    git(folder, &["add", "--all"])?;
    git(folder, &["commit", "--quiet", "--no-gpg-sign", "--message", "A change"])?;
    git(folder, &["rev-parse", "HEAD"])
}

/// The real git, which neither this user's configuration nor a repository around leads astray.
pub(super) fn git_command() -> Command {
    let mut command = Command::new("git");
    for name in ASTRAY {
        command.env_remove(name);
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "SWOOSH demo")))
        .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "demo@git.example")))
        .envs(["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"].map(|name| (name, DATE)));
    command
}

/// Runs git in a folder, and gives what it says.
pub(super) fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = git_command().arg("-C").arg(folder).args(arguments).output();
    let output = output.context("cannot run git; install it (Debian: apt-get install git) and try again")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {} in {}: {}", arguments.join(" "), folder.display(), said.trim());
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
