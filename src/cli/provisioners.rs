//! `swoosh provisioners`: which stacks provision a build, and whether their assets are in order.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::builds::{BuildArgs, Place};
use super::connect::exit;
use super::interrupt;
use super::output::{Output, Table};
use crate::hybridcore::config::{ConfigError, Finding, Severity, write};
use crate::hybridcore::definitions::Definitions;
use crate::hybridcore::leave::{Cancellable, Leave as _};
use crate::hybridcore::prepare;
use crate::hybridcore::provisioners::lint::{Lint, Outcome, lint};
use crate::hybridcore::provisioners::{self, Plan, PlannedStack, Stack, TOGGLES, Toggles};
use crate::hybridcore::state::files;

/// Arguments of `swoosh provisioners`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Show and check the provisioners of a build: Ansible, Puppet",
    long_about = "Show and check the provisioners of a build: Ansible, Puppet.\n\nAnsible is on and Puppet off unless the configuration \
        says otherwise (ansible_enabled, puppet_enabled, in any layer or with --set). A stack that is on must be allowed by the \
        compatibility matrix of provisioners.yaml, and its assets must stand under templates/ansible or templates/puppet of the \
        definitions. No daemon is needed.",
    after_help = "Begin:\n  swoosh provisioners plan dev --builder file.linux-image\n  swoosh provisioners check"
)]
pub struct ProvisionersCommand {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the stacks of a build, their assets, and the packer variables that they set
    #[command(after_help = "Examples:\n  swoosh provisioners plan dev --builder file.linux-image\n  \
            swoosh provisioners plan dev --builder file.linux-image --set puppet_enabled=true")]
    Plan {
        #[command(flatten)]
        build: BuildArgs,
    },
    /// Check matrix and assets of stacks, and lint them where the linters are installed
    ///
    /// ansible-lint and yamllint for Ansible, puppet-lint for Puppet; one that is not installed is reported as skipped. Ends with 1 when
    /// anything is missing, not allowed, or found.
    #[command(
        after_help = "Examples:\n  swoosh provisioners check\n  swoosh provisioners check --stack puppet --os linux"
    )]
    Check {
        /// Only this stack
        #[arg(long, value_name = "STACK", value_parser = stack)]
        stack: Option<Stack>,
        /// The operating system that is provisioned
        #[arg(long, value_name = "OS", default_value = "linux")]
        os: String,
    },
}

fn stack(text: &str) -> Result<Stack, String> {
    Stack::ALL.into_iter().find(|stack| stack.to_string() == text).ok_or_else(|| {
        format!("there is no stack {text:?}; there are: {}", Stack::ALL.map(|stack| stack.to_string()).join(", "))
    })
}

impl ProvisionersCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let definitions = self.place.definitions(output)?;
        match self.action {
            Action::Plan { build } => plan(&definitions, &build, output),
            Action::Check { stack, os } => check(&definitions, stack, &os, output),
        }
    }
}

fn plan(definitions: &Definitions, build: &BuildArgs, output: Output) -> anyhow::Result<ExitCode> {
    let (builder, resolved) = prepare::resolve(definitions, &build.request()?)?;
    let is_ours =
        |finding: &Finding| TOGGLES.contains(&finding.variable.as_str()) && finding.severity == Severity::Error;
    let findings: Vec<Finding> = resolved.findings.into_iter().filter(is_ours).collect();
    if !findings.is_empty() {
        return Err(ConfigError::Refused { findings }.into());
    }
    let plan = provisioners::plan(definitions, &builder.os, &Toggles::from_config(&resolved.merged))?;
    let variables = plan.emit_vars();
    output.say(&json!({"os": plan.os, "stacks": plan.stacks, "variables": variables}), || {
        format!("{}\n\n{}", text_of(&plan), write::attributes(&variables))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn text_of(plan: &Plan) -> String {
    let mut table = Table::with(&["stack", "version", "runs", "assets"]);
    for PlannedStack { stack, version, entry, assets, .. } in &plan.stacks {
        table.row([
            stack.to_string(),
            version.clone(),
            format!("{}/{entry}", stack.folder()),
            assets.len().to_string(),
        ]);
    }
    let off: Vec<String> = Stack::ALL
        .into_iter()
        .filter(|stack| plan.stacks.iter().all(|planned| planned.stack != *stack))
        .map(|stack| format!("{stack} is off (--set {stack}_enabled=true)"))
        .collect();
    [vec![table.text(0)], off].concat().join("\n")
}

fn check(definitions: &Definitions, only: Option<Stack>, os: &str, output: Output) -> anyhow::Result<ExitCode> {
    let leave = interrupt::leave();
    let (mut problems, mut lints) = (Vec::new(), Vec::new());
    for stack in Stack::ALL.into_iter().filter(|stack| only.is_none_or(|only| only == *stack)) {
        let mut toggles = Toggles::default();
        toggles.enable_ansible(stack == Stack::Ansible);
        toggles.enable_puppet(stack == Stack::Puppet);
        match provisioners::plan(definitions, os, &toggles) {
            Ok(_) => lints.extend(linted(definitions, stack, &leave)?),
            Err(error) => problems.push(error.to_string()),
        }
    }
    let is_good = |lint: &Lint| matches!(lint.outcome, Outcome::Clean | Outcome::Skipped);
    let good = problems.is_empty() && lints.iter().all(is_good);
    output.say(&json!({"ok": good, "problems": problems, "lints": lints}), || {
        let mut lines: Vec<String> = problems.iter().map(|problem| format!("  ✗  {problem}")).collect();
        for Lint { stack, tool, outcome, lines: said } in &lints {
            let mark = match outcome {
                Outcome::Clean => "✓",
                Outcome::Skipped => "-",
                Outcome::Findings | Outcome::Failed => "✗",
            };
            lines.push(format!("  {mark}  {stack}: {tool}: {}", format!("{outcome:?}").to_lowercase()));
            lines.extend(said.iter().map(|line| format!("     {line}")));
        }
        lines.join("\n")
    })?;
    if leave.stop().is_some() { Ok(interrupt::exit_code()) } else { Ok(exit(good)) }
}

/// Lints a stack's assets in a folder of their own, so that linters leave nothing in the definitions.
fn linted(definitions: &Definitions, stack: Stack, leave: &Cancellable) -> anyhow::Result<Vec<Lint>> {
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let prefix = stack.folder();
    let mut names = Vec::new();
    for (path, bytes) in definitions.below(&prefix) {
        let own = Path::new(path).strip_prefix(&prefix)?;
        files::replace_as(&folder.path().join(own), bytes, definitions.is_executable(path))?;
        names.push(own.display().to_string());
    }
    Ok(lint(stack, folder.path(), &names, None, leave))
}
