//! The steps of pipelines in `deploy/ci`: their shell runs as the runners run it, against a real node.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use swoosh::types::names::Region;

use crate::support::daemon::{Daemon, Site, daily, review_closed};
use crate::support::driver::Project;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/ci")
}

fn yaml(name: &str) -> Value {
    yaml_serde::from_str(&std::fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

/// A licensed project, and the programs that a runner has.
struct Stage {
    site: Site,
    daemon: Daemon,
    begun: String,
}

impl Stage {
    fn new() -> Stage {
        let always = json!([{"phase_beats": 0, "length_beats": 1440}]);
        Stage::at(daily(always), Region::Boot, "LICENSED")
    }

    fn at(schedule: Value, region: Region, state: &str) -> Stage {
        let found = Command::new("jq").arg("--version").output();
        assert!(found.is_ok(), "the steps need `jq`; `tools/install-prerequisites.sh tests` installs it");
        let site = Site::with(schedule, |_| {});
        let daemon = site.start();
        Project::new(&site, "p").drive(&daemon, region, state);
        let time: swoosh::types::hlc::Hlc = daemon.get("/health").json()["time"].as_str().unwrap().parse().unwrap();
        // The run was created an hour ago: its beat is not that of now.
        let an_hour_ago = swoosh::types::hlc::Hlc::new(time.physical_ms() - 3_600_000, 0).unwrap().to_string();
        let begun = an_hour_ago.trim_end_matches("#0").replace("+00:00", "Z");
        // `gh` answers with the time at which the run was created.
        let gh = site.file("gh");
        std::fs::write(&gh, format!("#!/bin/sh\necho \"$*\" >'{}'\necho {begun}\n", site.file("gh.asked").display()))
            .unwrap();
        std::fs::set_permissions(&gh, std::fs::Permissions::from_mode(0o755)).unwrap();
        Stage { site, daemon, begun }
    }

    /// A shell in an empty folder of the runner, with `swoosh` in its path.
    fn shell(&self, arguments: &[&str], variables: &BTreeMap<String, String>) -> Command {
        let mut shell = Command::new(arguments[0]);
        let path = format!("{}:{}", self.site.file("").display(), std::env::var("PATH").unwrap());
        shell.args(&arguments[1..]).current_dir(self.site.file("")).env_clear().env("PATH", path);
        shell.env("SWOOSH_KNOWN_NODES", self.site.file("known_nodes")).envs(variables);
        shell
    }

    fn secret(&self, name: &str) -> String {
        self.site.hands.get(name).secret.expose().to_string()
    }

    /// Runs the action as GitHub's runner does; outputs, summary and exit code.
    fn action(&self, inputs: &[(&str, &str)]) -> Ended {
        let action = yaml("action.yml");
        let step = &action["runs"]["steps"][0];
        let mut variables = BTreeMap::new();
        let given = self.action_inputs(inputs);
        for (name, value) in step["env"].as_object().unwrap() {
            let value = value.as_str().unwrap();
            let input = value.strip_prefix("${{ inputs.").and_then(|rest| rest.strip_suffix(" }}"));
            let value = input.map_or(value, |input| {
                let default = || action["inputs"][input]["default"].as_str();
                let found = given.get(input).map(String::as_str).or_else(default);
                found.unwrap_or_else(|| panic!("{input} is no input, or is required"))
            });
            variables.insert(name.clone(), value.to_owned());
        }
        let (output, summary) = (self.site.file("github.output"), self.site.file("github.summary"));
        let _ = (std::fs::remove_file(&output), std::fs::remove_file(&summary));
        for (name, value) in [
            ("GITHUB_ACTION_PATH", folder()),
            ("GITHUB_OUTPUT", output.clone()),
            ("GITHUB_STEP_SUMMARY", summary.clone()),
            ("RUNNER_TEMP", self.site.file("")),
        ] {
            variables.insert(name.to_owned(), value.to_str().unwrap().to_owned());
        }
        variables.insert("GITHUB_RUN_ID".to_owned(), "12345678".to_owned());
        variables.insert("GITHUB_REPOSITORY".to_owned(), "chorus/alpha".to_owned());
        let script = self.site.file("action.sh");
        std::fs::write(&script, step["run"].as_str().unwrap()).unwrap();
        let arguments = ["bash", "--noprofile", "--norc", "-eo", "pipefail", script.to_str().unwrap()];
        let said = self.shell(&arguments, &variables).output().unwrap();
        Ended {
            code: said.status.code(),
            log: String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned(),
            outputs: outputs(&std::fs::read_to_string(output).unwrap_or_default()),
            summary: std::fs::read_to_string(summary).unwrap_or_default(),
        }
    }

    fn action_inputs(&self, inputs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut given: BTreeMap<String, String> =
            inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        given.insert("url".to_owned(), format!("http://{}", self.daemon.address));
        given.insert("cluster".to_owned(), self.site.cluster.to_string());
        given.insert("project".to_owned(), "p".to_owned());
        given.insert("token".to_owned(), "unused".to_owned());
        given
    }

    /// Runs the job as GitLab's runner does, in one shell that ends with the first failure.
    fn job(&self, more: &[(&str, &str)]) -> Ended {
        let job = &yaml("gitlab.yml")[".swoosh-step"];
        let mut variables = BTreeMap::new();
        for (name, value) in job["variables"].as_object().unwrap() {
            variables.insert(name.clone(), value.as_str().unwrap().to_owned());
        }
        let url = format!("http://{}", self.daemon.address);
        let (secret, cluster) = (self.secret("operator"), self.site.cluster.to_string());
        let own = [
            ("SWOOSH_URL", url.as_str()),
            ("SWOOSH_CLUSTER", &cluster),
            ("SWOOSH_PROJECT", "p"),
            ("SWOOSH_SECRET", &secret),
            ("CI_PIPELINE_ID", "987654"),
            ("CI_PIPELINE_CREATED_AT", &self.begun),
            ("CI_JOB_NAME_SLUG", "gate"),
        ];
        variables.extend(own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let lines: Vec<&str> = job["script"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        let said = self.shell(&["sh", "-e", "-c", &lines.join("\n")], &variables).output().unwrap();
        let results = self.site.file("swoosh-step");
        Ended {
            code: said.status.code(),
            log: String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned(),
            outputs: outputs(&std::fs::read_to_string(results.join("step.env")).unwrap_or_default()),
            summary: std::fs::read_to_string(results.join("summary.md")).unwrap_or_default(),
        }
    }

    fn records(&self, transition: &str) -> usize {
        let page = self.daemon.get("/wal?from=1&limit=1000&project=p").json();
        let records = page["records"].as_array().unwrap();
        records.iter().filter(|entry| entry["record"]["transition"] == transition).count()
    }
}

#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    log: String,
    outputs: BTreeMap<String, String>,
    summary: String,
}

/// Lines of `name=value`; a value has one line.
fn outputs(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().map(|line| line.split_once('=').unwrap_or_else(|| panic!("{line:?} of {text:?}")));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_action_proposes_waits_and_gives_receipt_decision_and_a_summary() {
    let stage = Stage::new();
    let operator = stage.secret("operator");
    let inputs = [
        ("key", operator.as_str()),
        ("step", "pause"),
        ("transition", "Control_Pause"),
        ("inputs", r#"{"rationale": "a | <b> `c`"}"#),
        ("wait", "control.paused == true"),
    ];
    let first = stage.action(&inputs);
    assert_eq!(first.code, Some(0), "{first:#?}");
    assert_eq!(first.outputs["outcome"], "done");
    let receipt: Value = serde_json::from_str(&first.outputs["receipt"]).unwrap();
    assert_eq!(receipt["index"].to_string(), first.outputs["index"]);
    assert_eq!(receipt["decision"], first.outputs["decision"].as_str());
    let results = PathBuf::from(&first.outputs["folder"]);
    let file = |name: &str| serde_json::from_slice::<Value>(&std::fs::read(results.join(name)).unwrap()).unwrap();
    assert_eq!(file("decision.json")["id"], receipt["decision"]);
    let mut verify = stage.site.program();
    verify.args(["receipt", "verify", "--cluster", "test"]).arg(results.join("receipt.json"));
    assert!(verify.status().unwrap().success());
    assert!(first.summary.contains("Accepted: Control_Pause in project p"), "{}", first.summary);
    assert!(first.summary.contains("| signature | yes |") && first.summary.contains("reached:"), "{}", first.summary);
    assert!(!first.log.contains(&operator) && !first.summary.contains(&operator));
    let asked = std::fs::read_to_string(stage.site.file("gh.asked")).unwrap();
    assert!(asked.starts_with("api repos/chorus/alpha/actions/runs/12345678"), "{asked}");

    // The run is repeated: the same proposal, which the node accepted before.
    let again = stage.action(&inputs);
    assert_eq!((again.code, &again.outputs["index"]), (Some(0), &first.outputs["index"]), "{again:#?}");
    assert_eq!(stage.records("Control_Pause"), 1);
}

#[test]
fn the_action_fails_with_the_reasons_of_the_guards_and_of_the_wait() {
    let stage = Stage::at(review_closed(), Region::Execution, "WORK");
    let (operator, worker) = (stage.secret("operator"), stage.secret("worker"));
    let gate = [("step", "gate"), ("transition", "BeatReviewGate")];
    let refused = stage.action(&[&gate[..], &[("key", operator.as_str())]].concat());
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert_eq!(refused.outputs["outcome"], "refused");
    assert!(!refused.outputs.contains_key("receipt") && !refused.outputs.contains_key("index"), "{refused:#?}");
    for part in ["Refused: **guard_window**", "| window | **no** | ", "| signature | yes |"] {
        assert!(refused.summary.contains(part), "{part}: {}", refused.summary);
    }
    let over = stage.action(&[&gate[..], &[("key", operator.as_str()), ("patience", "1s")]].concat());
    assert_eq!((over.code, over.outputs["outcome"].as_str()), (Some(3), "time-over"), "{over:#?}");
    assert_eq!(stage.records("Execution_BeatReviewGate"), 0);

    // A refusal that no guard gave, wrong usage, and a key that is no key.
    let pause = [("step", "pause"), ("transition", "Control_Pause"), ("inputs", r#"{"rationale": "x"}"#)];
    let other = stage.action(&[&pause[..], &[("key", worker.as_str())]].concat());
    assert_eq!((other.code, other.outputs["outcome"].as_str()), (Some(1), "refused"), "{other:#?}");
    assert!(other.summary.contains("Refused: **role_not_allowed**"), "{}", other.summary);
    for wrong in
        [[("transition", "Control_Pose"), ("key", worker.as_str())], [("transition", "Control_Resume"), ("key", "x")]]
    {
        let usage = stage.action(&[&[("step", "pause")][..], &wrong].concat());
        assert_eq!((usage.code, usage.outputs["outcome"].as_str()), (Some(2), "failed"), "{usage:#?}");
    }

    // A step that only waits needs no key.
    let over = stage.action(&[("step", "look"), ("wait", "control.paused == true"), ("timeout", "1s")]);
    assert_eq!((over.code, over.outputs["outcome"].as_str()), (Some(3), "time-over"), "{over:#?}");
    assert!(over.summary.contains("the time is over"), "{}", over.summary);
}

#[test]
fn the_job_of_gitlab_proposes_once_though_it_runs_twice() {
    let stage = Stage::new();
    let variables = [
        ("STEP_NAME", "pause"),
        ("STEP_TRANSITION", "Control_Pause"),
        ("STEP_INPUTS", r#"{"rationale": "x"}"#),
        ("STEP_WAIT", "control.paused == true"),
    ];
    let (first, again) = (stage.job(&variables), stage.job(&variables));
    assert_eq!((first.code, again.code), (Some(0), Some(0)), "{first:#?}\n{again:#?}");
    assert_eq!(first.outputs, again.outputs);
    assert_eq!(first.outputs["outcome"], "done");
    assert_eq!(stage.records("Control_Pause"), 1);
    // Results of an earlier step in the same folder do not remain.
    let refused = stage.job(&[("STEP_NAME", "other-step"), ("STEP_TRANSITION", "Boot_Licensed")]);
    assert_eq!((refused.code, refused.outputs["outcome"].as_str()), (Some(1), "refused"), "{refused:#?}");
    assert!(!stage.site.file("swoosh-step/receipt.json").exists());
    assert!(stage.site.file("swoosh-step/problem.json").exists());
}

/// A template cannot name the script by its path, so it has a copy.
#[test]
fn the_template_of_gitlab_has_the_script_as_it_is() {
    let script = std::fs::read_to_string(folder().join("step.sh")).unwrap();
    let copy = yaml("gitlab.yml")[".swoosh-step"]["script"][1].as_str().unwrap().to_owned();
    assert!(copy == script, "copy step.sh into gitlab.yml");
}

/// An expression in a script lets the name of a branch become a command.
#[test]
fn no_expression_of_the_action_is_in_its_shell() {
    for step in yaml("action.yml")["runs"]["steps"].as_array().unwrap() {
        assert!(!step["run"].as_str().unwrap().contains("${{"), "{step}");
    }
}
