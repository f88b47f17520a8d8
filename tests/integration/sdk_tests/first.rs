//! The first proposals of docs/sdk.md, run as they are written there.

use std::process::Command;

use serde_json::json;
use swoosh::types::names::{Region, Transition};

use super::stage::good;
use super::{go, in_python, root};
use crate::examples::example;
use crate::support::daemon::{Daemon, Site};
use crate::support::driver::Project;
use crate::support::world::Ask;

const ADDRESS: &str = "http://127.0.0.1:7400";
const MOST_LINES: usize = 12;

/// The block of a language in the section about first proposals.
fn block(language: &str) -> String {
    let page = std::fs::read_to_string(root().join("docs/sdk.md")).unwrap();
    let section = page.split("## A first proposal\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let begin = format!("```{language}\n");
    let found =
        section.split(&begin).nth(1).unwrap_or_else(|| panic!("docs/sdk.md has no first proposal in {language}"));
    found.split("```").next().unwrap().to_owned()
}

/// The same for a node at another address.
fn block_for(language: &str, daemon: &Daemon) -> String {
    let block = block(language);
    assert!(block.contains(ADDRESS) && block.contains("operator.key"), "{block}");
    let lines = block.lines().filter(|line| !line.is_empty()).count();
    assert!(lines <= MOST_LINES, "{lines} lines of {language}");
    block.replace(ADDRESS, &format!("http://{}", daemon.address))
}

struct Stage {
    site: Site,
    daemon: Daemon,
}

impl Stage {
    fn new() -> Stage {
        let site = Site::new();
        let daemon = site.start();
        Project::new(&site, "alpha").drive(&daemon, Region::Boot, "LICENSED");
        swoosh::platform::keyfile::store(&site.file("operator.key"), &site.hands.get("operator").secret).unwrap();
        Stage { site, daemon }
    }

    /// The program must pause the project and print the index of the record. A second run is refused, with code and reason.
    fn run(&self, language: &str, mut command: impl FnMut() -> Command) {
        let mut project = Project::new(&self.site, "alpha");
        project.refresh(&self.daemon);
        let run = |mut command: Command| {
            command.current_dir(self.site.file("")).env_remove("SWOOSH_KEY").env_remove("SWOOSH_CLUSTER");
            command.output().unwrap()
        };
        let said = good(&run(command()));
        let state = self.daemon.get("/state?project=alpha&projection=control").json();
        assert_eq!(state["projection"]["control"]["paused"], true, "{language}: {said}");
        assert_eq!(said.trim(), state["index"].to_string(), "{language}");
        let again = run(command());
        let text = String::from_utf8([again.stdout, again.stderr].concat()).unwrap();
        assert!(text.contains("not_enabled"), "{language}: {text}");
        project.refresh(&self.daemon);
        project.propose(&self.daemon, &Ask::new(Transition::ControlResume).with(json!({"rationale": "on"}))).receipt();
    }
}

#[test]
fn the_first_proposal_in_each_language_runs_as_it_is_written() {
    let stage = Stage::new();
    let python = block_for("python", &stage.daemon);
    stage.run("python", || {
        let mut command = in_python("runpy");
        command.env("PYTHONPATH", root().join("sdk/python/src"));
        let mut direct = Command::new(command.get_program());
        direct.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).args(["-c", &python]);
        direct
    });

    let script = stage.site.file("first.mjs");
    let library = root().join("sdk/js/index.js");
    let text = block_for("js", &stage.daemon).replace("./sdk/js/index.js", library.to_str().unwrap());
    std::fs::write(&script, text).unwrap();
    stage.run("js", || {
        let mut node = super::stage::node();
        node.arg(&script);
        node
    });

    // The block is the body of a function.
    let folder = tempfile::tempdir_in(root().join("sdk/go/examples")).unwrap();
    let program = format!(
        "package main\n\nimport (\n\"context\"\n\"errors\"\n\"fmt\"\n\"log\"\n\n\"chorus.local/swoosh\"\n)\n\nfunc main() {{\nctx := context.Background()\n{}}}\n",
        block_for("go", &stage.daemon)
    );
    std::fs::write(folder.path().join("main.go"), program).unwrap();
    let binary = stage.site.file("first-go");
    good(&go(&["build", "-o", binary.to_str().unwrap(), folder.path().to_str().unwrap()]).output().unwrap());
    drop(folder);
    stage.run("go", || Command::new(&binary));

    // The block is the body of the example's main.
    let source = std::fs::read_to_string(root().join("examples/first_proposal.rs")).unwrap();
    let body = block("rust");
    let is_there = body.lines().filter(|line| !line.is_empty()).all(|line| source.contains(line.trim()));
    assert!(is_there && body.lines().count() <= MOST_LINES, "the block is not examples/first_proposal.rs");
    stage.run("rust", || example("first_proposal", &stage.daemon));
}
