//! Runs linters over provisioner assets where they are installed, and says aloud which were not.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::Stack;
use crate::leave::Leave;
use crate::logs::Redactor;
use crate::process::{Bounds, End, Program, RunError, run};

/// Most lines of a linter's output in a report.
const MOST_LINES: usize = 200;
/// The most that a linter may run.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// How a linter came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing found.
    Clean,
    /// Something found.
    Findings,
    /// Not installed.
    Skipped,
    /// It did not run to its end.
    Failed,
}

/// One linter's word on one stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lint {
    pub stack: Stack,
    /// The linter.
    pub tool: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// Its output, or why there is none.
    pub lines: Vec<String>,
}

/// Linters of a stack and their arguments. They run in the assets' folder and get the names of the files: given only
/// the folder, ansible-lint guesses which files matter and skips roles.
fn linters(stack: Stack, files: &[String]) -> Vec<(&'static str, Vec<String>)> {
    let own = |tool: &'static str, arguments: &[&str]| (tool, arguments.iter().map(|own| (*own).to_owned()).collect());
    let named = |(tool, mut arguments): (&'static str, Vec<String>), suffixes: &[&str]| {
        arguments.push("--".to_owned());
        let wanted = |file: &&String| suffixes.iter().any(|suffix| file.ends_with(suffix));
        arguments.extend(files.iter().filter(wanted).cloned());
        (tool, arguments)
    };
    let yaml = [".yml", ".yaml"];
    match stack {
        Stack::Ansible => vec![
            named(own("ansible-lint", &["--offline", "--nocolor", "-p"]), &yaml),
            named(own("yamllint", &["--format", "parsable"]), &yaml),
        ],
        Stack::Puppet => vec![named(own("puppet-lint", &["--fail-on-warnings"]), &[".pp"])],
    }
}

/// Lints `files`, the assets of a stack by their path in `folder`. `path` takes the place of this process's `PATH`.
pub fn lint(stack: Stack, folder: &Path, files: &[String], path: Option<&str>, leave: &dyn Leave) -> Vec<Lint> {
    let one = |(tool, arguments): (&'static str, Vec<String>)| run_one(stack, tool, &arguments, folder, path, leave);
    linters(stack, files).into_iter().map(one).collect()
}

fn run_one(
    stack: Stack,
    tool: &'static str,
    arguments: &[String],
    folder: &Path,
    path: Option<&str>,
    leave: &dyn Leave,
) -> Lint {
    let mut program =
        Program::new(tool).variable("LC_ALL", "C.UTF-8").variable("HOME", folder).variable("ANSIBLE_HOME", folder);
    if let Some(path) = path {
        program.environment = BTreeMap::from([("PATH".into(), path.into()), ("HOME".into(), folder.into())]);
        // A name is looked up in this process's PATH, so the other one is searched here.
        let found = path.split(':').map(|folder| Path::new(folder).join(tool)).find(|file| file.is_file());
        let Some(file) = found else { return skipped(stack, tool) };
        program.program = file.into_os_string();
    }
    program.arguments = arguments.iter().map(Into::into).collect();
    program.folder = Some(folder.to_owned());
    let (mut lines, redactor) = (Vec::new(), Redactor::default());
    let bounds = Bounds { time_limit: TIME_LIMIT, ..Bounds::default() };
    let ended = run(&program, &bounds, leave, &mut |_, line| {
        if lines.len() < MOST_LINES && !line.trim().is_empty() {
            lines.push(redactor.clean(line));
        }
    });
    let outcome = match ended {
        Ok(End::Code(0)) => Outcome::Clean,
        Ok(End::Code(_)) => Outcome::Findings,
        Ok(End::Signal(signal)) => {
            lines.push(format!("signal {signal} ended it"));
            Outcome::Failed
        }
        Err(RunError::Missing { .. }) => return skipped(stack, tool),
        Err(error) => {
            lines.push(error.to_string());
            Outcome::Failed
        }
    };
    Lint { stack, tool, outcome, lines }
}

fn skipped(stack: Stack, tool: &'static str) -> Lint {
    let lines = vec![format!("{tool} is not installed; install it to have these assets linted")];
    Lint { stack, tool, outcome: Outcome::Skipped, lines }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leave::{Always, Cancellable};

    /// A folder of tools: name and shell script.
    fn tools(scripts: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, script) in scripts {
            let path = folder.path().join(name);
            crate::process::tests::write_program(&path, &format!("#!/bin/sh\n{script}\n"));
        }
        folder
    }

    #[test]
    fn a_linter_reports_clean_or_findings_and_a_missing_one_is_skipped() {
        let tools = tools(&[("ansible-lint", "echo $*; exit 2"), ("puppet-lint", "exit 0")]);
        let files = ["ansible.cfg", "roles/base/tasks/main.yml", "site.yml"].map(str::to_owned);
        let path = tools.path().to_str().unwrap();
        let assets = tempfile::tempdir().unwrap();
        let ansible = lint(Stack::Ansible, assets.path(), &files, Some(path), &Always);
        let outcomes: Vec<_> = ansible.iter().map(|lint| (lint.tool, lint.outcome)).collect();
        assert_eq!(outcomes, [("ansible-lint", Outcome::Findings), ("yamllint", Outcome::Skipped)]);
        assert_eq!(ansible[0].lines, ["--offline --nocolor -p -- roles/base/tasks/main.yml site.yml"]);
        assert!(ansible[1].lines[0].contains("yamllint is not installed"));
        assert_eq!(lint(Stack::Puppet, assets.path(), &files, Some(path), &Always)[0].outcome, Outcome::Clean);
    }

    #[test]
    fn a_linter_that_must_stop_has_failed() {
        let tools = tools(&[("puppet-lint", "exec sleep 600")]);
        let leave = Cancellable::default();
        leave.cancel();
        let assets = tempfile::tempdir().unwrap();
        let lints = lint(Stack::Puppet, assets.path(), &[], Some(tools.path().to_str().unwrap()), &leave);
        assert_eq!(lints[0].outcome, Outcome::Failed);
        assert!(lints[0].lines[0].contains("interrupted"), "{lints:?}");
    }
}
