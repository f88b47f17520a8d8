//! Short reads of a node: `swoosh projects`, `decision`, `rejections`.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::connect::{NodeArgs, ProjectArg};
use super::names;
use super::output::{Output, Table, fields, short_key, wrapped};
use super::refusal::guards;
use crate::client::{ProjectList, ProjectView};
use crate::types::decision::Decision;
use crate::types::ids::DecisionId;
use crate::types::text::ProjectName;
use swoosh_terminal::failure::Usage;

/// Arguments of `swoosh projects`.
#[derive(Debug, clap::Args)]
#[command(
    about = "List the projects of a node",
    long_about = "List the projects of a node.\n\nDamaged ones come last, with the reason; runbooks/corrupt-journal.md says what to do.",
    after_help = "Example:\n  swoosh projects"
)]
pub struct ProjectsCommand {
    #[command(flatten)]
    node: NodeArgs,
}

impl ProjectsCommand {
    /// Lists them.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let node = self.node.reader()?;
        let list = node.ask(node.client().project_list())?;
        output.say(&list, || projects_text(&list))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether no project is damaged or hidden by damage.
fn is_whole(list: &ProjectList) -> bool {
    list.damaged.is_empty() && list.incomplete.is_none()
}

fn projects_text(list: &ProjectList) -> String {
    let mut parts = Vec::new();
    if !list.projects.is_empty() {
        parts.push(projects_table(&list.projects));
    } else if is_whole(list) {
        parts.push("no project has a record yet; the first Boot_ConfigOk creates one".to_owned());
    }
    let damaged = list.damaged.iter().map(|damaged| format!("✗ damaged: {}: {}", damaged.project, damaged.reason));
    parts.extend(damaged.map(|line| wrapped(&line)));
    let incomplete = list.incomplete.iter().map(|why| format!("✗ projects may be missing from this list: {why}"));
    parts.extend(incomplete.map(|line| wrapped(&line)));
    if !is_whole(list) {
        parts.push("read runbooks/corrupt-journal.md".to_owned());
    }
    parts.join("\n")
}

fn projects_table(projects: &[ProjectView]) -> String {
    let mut table = Table::with(&["project", "phase", "record", "head"]);
    for project in projects {
        let hash = project.hash.to_string();
        table.row([project.project.to_string(), project.phase.clone(), project.index.to_string(), hash]);
    }
    table.text(0)
}

/// Arguments of `swoosh decision`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Show why a transition was accepted",
    after_help = "Examples:\n  swoosh decision bubble://dr/default/17-0123456789abcdef\n  swoosh decision default/17\n  \
        swoosh decision default 17\n  swoosh decision 17                    # of the project that --project or SWOOSH_PROJECT names"
)]
pub struct DecisionCommand {
    /// Id of the decision record, PROJECT/INDEX, an index, or the project whose record INDEX names
    #[arg(value_name = "ID|PROJECT|INDEX")]
    of: String,
    /// Index of the record in the log
    #[arg(value_name = "INDEX")]
    index: Option<u64>,
    #[command(flatten)]
    project: ProjectArg,
    #[command(flatten)]
    node: NodeArgs,
}

impl DecisionCommand {
    /// Shows it.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let node = self.node.reader()?;
        let decision = match named(&self.of, self.index, &self.project.project)? {
            Named::Record(project, index) => node.ask(node.client().decision_at(&project, index))?,
            Named::Id(id) => node.ask(node.client().decision(&id))?,
        };
        names::of_project(output, &node, &decision.project);
        output.say(&decision, || decision_text(&decision))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A decision record as the arguments name it.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Id(DecisionId),
    Record(ProjectName, u64),
}

/// Reads an id, a project and an index, both in one word (`default/17`), or an index of the usual project.
fn named(of: &str, index: Option<u64>, usual: &ProjectName) -> anyhow::Result<Named> {
    if let Some(index) = index {
        return Ok(Named::Record(of.parse()?, index));
    }
    if let Ok(index) = of.parse() {
        return Ok(Named::Record(usual.clone(), index));
    }
    if let Some((project, index)) = of.split_once('/').filter(|_| !of.contains(':'))
        && let (Ok(project), Ok(index)) = (project.parse(), index.parse())
    {
        return Ok(Named::Record(project, index));
    }
    let hint = "or name a project and an index: swoosh decision default/17";
    of.parse().map(Named::Id).map_err(|error| Usage(format!("{error}, {hint}")).into())
}

/// A decision record for people.
pub(super) fn decision_text(decision: &Decision) -> String {
    let addresses = decision.ucxl.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut about = vec![
        ("transition", format!("{} in project {}, record {}", decision.transition, decision.project, decision.index)),
        ("why", decision.justification.clone()),
        ("signer", short_key(&decision.signer)),
        ("key", decision.idem_key.to_string()),
        ("accepted at", decision.timestamp.to_string()),
    ];
    about.extend(decision.on_behalf_of.clone().map(|caller| ("on behalf of", caller)));
    about.extend(decision.grant.as_ref().map(|grant| ("grant", grant.to_string())));
    about.extend(decision.window_id.map(|window| ("window", window.to_string())));
    about.extend([
        ("head before", decision.state_pre_hash.to_string()),
        ("head after", decision.state_post_hash.to_string()),
        ("inputs", decision.inputs_hash.to_string()),
        ("addresses", addresses),
        ("policies", decision.policy_engine.clone()),
    ]);
    let (id, summary) = (&decision.id, &decision.summary);
    format!("{id}\n{summary}\n{}\nguards:\n{}", fields(&about), guards(&decision.guard_outcomes))
}

/// Arguments of `swoosh rejections`.
#[derive(Debug, clap::Args)]
#[command(
    about = "List the latest proposals that were refused",
    long_about = "List the latest proposals that were refused, the newest first. The node keeps them in memory until it stops. \
        A request that was refused before its signature was found good shows neither project nor transition.",
    after_help = "Example:\n  swoosh rejections --limit 5"
)]
pub struct RejectionsCommand {
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    #[command(flatten)]
    node: NodeArgs,
}

impl RejectionsCommand {
    /// Lists them.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let node = self.node.reader()?;
        let rejections = node.ask(node.client().rejections(self.limit))?;
        names::of_projects(output, &node);
        output.say(&json!({"rejections": rejections}), || rejections_text(&rejections))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn rejections_text(rejections: &[Value]) -> String {
    if rejections.is_empty() {
        return "nothing was refused since the node started".to_owned();
    }
    let mut table = Table::with(&["at", "project", "transition", "code"]).noted("why");
    for rejection in rejections {
        let reasons = rejection["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let why = reasons.collect::<Vec<_>>().join("; ");
        let or_none = |member| Some(text(rejection, member)).filter(|text| !text.is_empty());
        table.row([
            text(rejection, "at"),
            or_none("project").unwrap_or_else(|| "-".to_owned()),
            or_none("transition").unwrap_or_else(|| "(not verified)".to_owned()),
            text(rejection, "code"),
        ]);
        table.note(why);
    }
    table.text(0)
}

/// A member as text; empty where there is none.
pub(super) fn text(document: &Value, member: &str) -> String {
    match document.get(member) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `default/10`, as records are written everywhere, was refused.
    #[test]
    fn a_decision_is_named_by_its_id_or_by_project_and_index_in_one_word_or_two() {
        let usual: ProjectName = "alpha".parse().unwrap();
        let record = Named::Record("default".parse().unwrap(), 10);
        assert_eq!(named("default/10", None, &usual).unwrap(), record);
        assert_eq!(named("default", Some(10), &usual).unwrap(), record);
        assert_eq!(named("10", None, &usual).unwrap(), Named::Record(usual.clone(), 10));
        let id = "bubble://dr/default/17-0123456789abcdef";
        assert_eq!(named(id, None, &usual).unwrap(), Named::Id(id.parse().unwrap()));
        for bad in ["default", "default/x", "/10", "de fault/10"] {
            assert!(named(bad, None, &usual).unwrap_err().to_string().contains("default/17"), "{bad}");
        }
    }
}
