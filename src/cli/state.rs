//! `swoosh state`: a project's head and the sections of its state.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

use super::connect::{Node, NodeArgs, ProjectWord};
use super::health;
use super::output::{Output, Table, fields, name_keys, short_key};
use crate::client::StateView;
use crate::machine::head::Head;
use crate::machine::state::{Section, State, TopPhase};
use crate::types::names::{PolicyState, Region};
use crate::types::text::ProjectName;

/// The banner of a project that has ended.
const TERMINATED: &str = "✗ TERMINATED: nothing changes the project any more";
/// The banner of a paused project.
const PAUSED: &str = "✗ PAUSED: Control_Resume continues the project";
/// The banner of a quarantined project.
const QUARANTINED: &str = "✗ QUARANTINED: Policy_Release of a human releases it\n  (runbooks/quarantine-release.md)";
/// The banner of a project without a quorum.
const RECOVERY: &str = "✗ IN RECOVERY: too few members are alive (runbooks/consensus-health.md)";

/// Arguments of `swoosh state`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Show a project's state",
    long_about = "Show a project's state.\n\nWithout --projection, the state of every region and what blocks the project; \
        with it, the sections named, as JSON. The sections shown are proven against the head: their hashes must give \
        the state hash that the node names. For the state documents of a workspace, see `swoosh documents`.",
    after_help = "Examples:\n  swoosh state\n  swoosh state alpha\n  swoosh state --project alpha --projection council,ingestion\n  \
        swoosh state --at 17\n  swoosh --json state --projection epoch\n\n\
        Sections: meta, boot, ingestion, council, environment, execution, control, policy, epoch, hlc_last."
)]
pub struct StateCommand {
    #[command(flatten)]
    project: ProjectWord,
    /// Sections to show, separated by commas
    #[arg(long, value_name = "SECTIONS")]
    projection: Option<String>,
    /// Show the state after this record of the log
    #[arg(long, value_name = "INDEX")]
    at: Option<u64>,
    #[command(flatten)]
    node: NodeArgs,
}

impl StateCommand {
    /// Shows the state.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let node = self.node.reader()?;
        let (project, projection) = (self.project.project(), self.projection.as_deref());
        let view = match self.at {
            None => node.ask(node.client().state(project, projection))?,
            Some(index) => node.ask(node.client().state_at(project, projection, index))?,
        };
        check(&view)?;
        let refusal = || health::refusal(&node).filter(|_| self.at.is_none()).map(|why| format!("✗ {why}\n"));
        let text = || format!("{}{}", refusal().unwrap_or_default(), overview(&view));
        output.say(&view, || if projection.is_some() { sections(&view) } else { text() })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Refuses an answer that does not prove itself.
pub(super) fn check(view: &StateView) -> anyhow::Result<()> {
    anyhow::ensure!(
        view.proves_projection(),
        "the node's answer does not hash to the head {} that it names; do not rely on it, and check the node with \
         `swoosh wal verify`",
        view.hash
    );
    Ok(())
}

/// The whole state behind a view that shows every section.
pub(super) fn full(view: &StateView) -> anyhow::Result<State> {
    let sections = view.projection.iter().map(|(name, section)| (name.to_ascii_lowercase(), section.clone()));
    serde_json::from_value(Value::Object(sections.collect()))
        .context("the node's state is not of the form that this program knows; use the node's own version of it")
}

/// A project's whole state as a node shows it, proven against the head that the node names.
pub(super) fn proven(node: &Node, project: &ProjectName) -> anyhow::Result<(StateView, Head)> {
    let view = node.ask(node.client().state(project, None))?;
    let head = head_of(&view)?;
    Ok((view, head))
}

/// The head behind a view that shows every section.
pub(super) fn head_of(view: &StateView) -> anyhow::Result<Head> {
    check(view)?;
    let head = Head::try_of(full(view)?)?;
    anyhow::ensure!(
        head.hash() == view.hash,
        "the node's state hashes to {}, but it names {}; use the node's own version of this program",
        head.hash(),
        view.hash
    );
    Ok(head)
}

/// The view of a state, as a node would show it.
pub(super) fn view_of(head: &Head, index: u64) -> anyhow::Result<StateView> {
    let document = serde_json::to_value(head.state())?;
    let section = |section: &Section| (section.as_str().to_owned(), head.section_hash(*section));
    Ok(StateView {
        project: head.state().meta.project.clone(),
        hash: head.hash(),
        index,
        hlc_last: None,
        sections: Section::ALL.iter().map(section).collect(),
        projection: document.as_object().cloned().unwrap_or_default().into_iter().collect(),
    })
}

fn headline(view: &StateView, phase: &str) -> String {
    let mut lines = vec![format!("project {} at record {}{phase}", view.project, view.index)];
    let mut about = vec![("head", view.hash.to_string())];
    if let Some(last) = &view.hlc_last {
        about.push(("last clock", last.hlc.to_string()));
        about.push(("last signer", short_key(&last.signer)));
    }
    lines.push(fields(&about));
    lines.join("\n")
}

fn sections(view: &StateView) -> String {
    let mut lines = vec![headline(view, "")];
    for (name, section) in &view.projection {
        lines.push(format!("{name}: {section:#}"));
    }
    lines.join("\n")
}

fn overview(view: &StateView) -> String {
    let Ok(state) = full(view) else { return sections(view) };
    name_identities(&state);
    let phase = serde_json::to_value(state.phase()).ok();
    let phase = phase.as_ref().and_then(Value::as_str).map(|phase| format!(", phase {phase}")).unwrap_or_default();
    let mut table = Table::with(&["region", "state", "epoch", ""]);
    for &region in Region::ALL {
        let place = state.region_state(region).to_owned();
        table.row([region.to_string(), place, state.epoch.of(region).to_string(), remark(&state, region)]);
    }
    let effects: Vec<String> = state.open_effects().map(|effect| effect.id.to_string()).collect();
    let open = if effects.is_empty() { "none".to_owned() } else { effects.join(", ") };
    let (head, banner) = (headline(view, &phase), banner(&state));
    format!("{banner}{head}\n\n{}\n\n{}", table.text(2), fields(&[("open effects", open)]))
}

/// The blocks of a project, each on a line, and an empty line.
pub(super) fn banner(state: &State) -> String {
    if state.phase() == TopPhase::Terminated {
        return format!("{TERMINATED}\n\n");
    }
    let quarantined = state.policy.phase == PolicyState::Quarantined;
    let blocks = [(state.control.paused, PAUSED), (quarantined, QUARANTINED), (state.control.recovery, RECOVERY)];
    let lines: Vec<String> = blocks.iter().filter(|(holds, _)| *holds).map(|(_, line)| format!("{line}\n")).collect();
    if lines.is_empty() { String::new() } else { format!("{}\n", lines.concat()) }
}

/// Names the keys of a project's identities in lists.
pub(super) fn name_identities(state: &State) {
    name_keys(state.boot.identities.iter().map(|(key, identity)| (*key, identity.name.to_string())));
}

/// A remark on a region, beside its state.
fn remark(state: &State, region: Region) -> String {
    let mut remarks: Vec<String> = Vec::new();
    match region {
        Region::Ingestion => {
            remarks.push(format!("version {}", state.ingestion.version));
            remarks.extend(state.ingestion.last_failure.as_ref().map(|failure| format!("failed: {}", failure.detail)));
        }
        Region::Council => {
            let council = &state.council;
            remarks.push(format!("candidates: {}, members: {}", council.candidates.len(), council.members.len()));
        }
        Region::Environment => {
            remarks
                .extend(state.environment.last_failure.as_ref().map(|failure| format!("failed: {}", failure.detail)));
        }
        Region::Execution => {
            let execution = &state.execution;
            remarks.push(format!("beat {}, approvals: {}", execution.beat, execution.approvals.len()));
        }
        Region::Control => {
            remarks.push(format!("license {}", state.control.license));
            remarks.extend(state.control.paused.then(|| "paused".to_owned()));
            remarks.extend(state.control.recovery.then(|| "in recovery".to_owned()));
        }
        Region::Policy => remarks.extend(state.policy.rationale.as_ref().map(ToString::to_string)),
        Region::Boot => remarks.push(format!("identities: {}", state.boot.identities.len())),
    }
    remarks.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::names::ControlState;

    fn view(head: &Head) -> StateView {
        view_of(head, 0).unwrap()
    }

    #[test]
    fn a_full_view_gives_the_state_back_with_its_hash() {
        let head = Head::genesis(&"default".parse().unwrap());
        let view = view(&head);
        assert!(check(&view).is_ok());
        assert_eq!(Head::of(full(&view).unwrap()), head);
        assert!(overview(&view).contains("UNINITIALIZED"), "{}", overview(&view));
    }

    /// "PAUSED: Control_Resume continues the project" was said of a terminated project, which refuses Control_Resume.
    #[test]
    fn the_banner_of_a_terminated_project_names_no_way_on() {
        let mut state = full(&view(&Head::genesis(&"default".parse().unwrap()))).unwrap();
        assert_eq!(banner(&state), "");
        let mut control = state.control.as_ref().clone();
        control.paused = true;
        state.control = control.clone().into();
        assert_eq!(banner(&state), format!("{PAUSED}\n\n"));
        control.phase = ControlState::Terminated;
        state.control = control.into();
        assert_eq!(banner(&state), format!("{TERMINATED}\n\n"));
    }

    #[test]
    fn a_view_that_does_not_hash_to_its_head_is_not_shown() {
        let mut view = view(&Head::genesis(&"default".parse().unwrap()));
        view.projection.insert("epoch".into(), serde_json::json!({}));
        assert!(check(&view).is_err());
    }
}
