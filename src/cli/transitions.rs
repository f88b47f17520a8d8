//! `swoosh transitions`: transitions that a project allows now, and why not the others.

use std::process::ExitCode;

use super::connect::{Node, NodeArgs, ProjectWord};
use super::output::{Output, Table, count, fields};
use super::time::spell;
use super::{names, state};
use crate::client::{GuardView, TransitionView, TransitionsView};
use crate::machine::chart;
use crate::types::backbeat::LOOP;
use crate::types::names::{Role, Transition};
use crate::types::text::ProjectName;

/// Arguments of `swoosh transitions`.
#[derive(Debug, clap::Args)]
#[command(
    about = "List the transitions a project lets happen now",
    long_about = "List the transitions a project lets happen now.\n\nA transition is enabled when the project's state lets \
        it start and nothing blocks the project. They are listed in four groups: the next steps of the project, others that \
        are possible too, those of the node and its workers, and those that a guard refuses now, with its reason. The roles \
        that may sign a transition are listed beside it. `swoosh propose … --dry-run` checks inputs as well.",
    after_help = "Examples:\n  swoosh transitions\n  swoosh transitions alpha --all\n\n\
        Works for a project that does not exist yet: there only Boot_ConfigOk is enabled."
)]
pub struct TransitionsCommand {
    #[command(flatten)]
    project: ProjectWord,
    /// List those that are not enabled too, with the reasons
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    node: NodeArgs,
}

impl TransitionsCommand {
    /// Lists them.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let node = self.node.reader()?;
        let mut view = node.ask(node.client().transitions(self.project.project()))?;
        names::note_absence(&node, self.project.project());
        view.transitions.sort_by_key(|transition| !transition.enabled);
        output.say(&view, || format!("{}{}", banner(&node, self.project.project()), text(&view, self.all)))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Transitions beside the way through the regions: they change identities, repeat work, or go back. Compensations are too.
const ASIDE: &[Transition] = &[
    Transition::BootIdentityGranted,
    Transition::BootIdentityRevoked,
    Transition::BootIdentityRotated,
    Transition::IngestionRetry,
    Transition::IngestionNewVersion,
    Transition::CouncilReaffirm,
    Transition::EnvironmentRecheck,
    Transition::EnvironmentReaffirm,
    Transition::ExecutionPlanChange,
    Transition::ExecutionRework,
    Transition::ControlPause,
    Transition::ControlQuorumLost,
    Transition::ControlTerminate,
    Transition::PolicyQuarantine,
    Transition::PolicyConfirmedBlock,
];

/// The group of an enabled transition, in the order of the list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Next,
    Aside,
    Node,
    Refused,
}

impl Group {
    const ALL: [(Group, &'static str); 4] = [
        (Group::Next, "next"),
        (Group::Aside, "also possible"),
        (Group::Node, "the node's own, or its workers'"),
        (Group::Refused, "would be refused now"),
    ];

    fn of(view: &TransitionView) -> Group {
        let spec = chart::spec(view.transition);
        if spec.signers.iter().all(|role| matches!(role, Role::Node | Role::Worker)) {
            Group::Node
        } else if view.guards.iter().any(|guard| guard.ok == Some(false)) {
            Group::Refused
        } else if spec.compensation || ASIDE.contains(&view.transition) {
            Group::Aside
        } else {
            Group::Next
        }
    }
}

fn text(view: &TransitionsView, all: bool) -> String {
    let (enabled, others): (Vec<_>, Vec<_>) = view.transitions.iter().partition(|transition| transition.enabled);
    let mut parts = vec![headline(view)];
    for (group, title) in Group::ALL {
        let members: Vec<_> = enabled.iter().copied().filter(|transition| Group::of(transition) == group).collect();
        if !members.is_empty() {
            let table = table(&members, |transition| guards(&transition.guards));
            parts.push(format!("{title} ({}):\n{table}", members.len()));
        }
    }
    let one_reason = one_reason(&view.transitions);
    if enabled.is_empty() {
        let why = one_reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        parts.push(format!("nothing is enabled{why}"));
    }
    match (others.len() as u64, all) {
        (0, _) => {}
        _ if one_reason.is_some() => {}
        (_, true) => {
            let why = |transition: &TransitionView| transition.reasons.join("; ");
            parts.push(format!("not enabled ({}):\n{}", others.len(), table(&others, why)));
        }
        (more, false) => {
            parts.push(format!("{} not enabled; --all lists the reasons", count(more, "other transition")))
        }
    }
    parts.join("\n\n")
}

/// The blocks of a project, and whose windows are shown. A node that takes no proposals enables nothing, so its transitions do not show them. A state that cannot
/// be read leaves them out: the list is worth more.
fn banner(node: &Node, project: &ProjectName) -> String {
    let view = node.ask(node.client().state(project, None));
    let blocks = view.and_then(|view| state::full(&view)).map(|state| state::banner(&state)).unwrap_or_default();
    match node.ask(node.client().health()) {
        Ok(health) if health.mode == "following" => {
            format!("{blocks}this node is a follower: windows and guards are those of its own settings\n\n")
        }
        _ => blocks,
    }
}

/// The reason that holds for every transition: the node takes no proposals, or the project has ended.
fn one_reason(transitions: &[TransitionView]) -> Option<String> {
    let (first, others) = transitions.split_first()?;
    let is_one = others.iter().all(|other| !other.enabled && other.reasons == first.reasons);
    (!first.enabled && !first.reasons.is_empty() && is_one).then(|| first.reasons.join("; "))
}

fn headline(view: &TransitionsView) -> String {
    let windows = LOOP.iter().filter_map(|class| view.windows.get_key_value(class));
    let windows = windows.map(|(class, window)| match window.opens_in_ms {
        _ if window.open => format!("{class} open"),
        Some(ms) => format!("{class} opens in {}", spell(ms)),
        None => format!("{class} never opens"),
    });
    let mut about = vec![("head", view.head.to_string()), ("node's time", view.time.to_string())];
    if let Some(window) = view.window_id {
        about.push(("window", format!("{window}, beat {}, pressure {} of 1000", view.beat, view.pressure)));
    }
    let known = windows.collect::<Vec<_>>().join(", ");
    about.push((
        "windows",
        if known.is_empty() { "no valid schedule; see `swoosh fact show`".to_owned() } else { known },
    ));
    format!("project {}\n{}", view.project, fields(&about))
}

fn table(transitions: &[&TransitionView], why: impl Fn(&TransitionView) -> String) -> String {
    let mut table = Table::new();
    for transition in transitions {
        let signers = chart::spec(transition.transition).signers.iter().map(|role| role.as_str());
        let by = signers.collect::<Vec<_>>().join(", ");
        let window = transition.window.map(|class| format!("in {class} windows")).unwrap_or_default();
        table.row([transition.transition.to_string(), by, window]);
        table.note(why(transition));
    }
    table.text(2)
}

/// Guards that would refuse it now.
fn guards(guards: &[GuardView]) -> String {
    let failing = guards.iter().filter(|guard| guard.ok == Some(false));
    failing.map(|guard| format!("✗ {}: {}", guard.guard, guard.reasons.join("; "))).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> TransitionsView {
        serde_json::from_value(serde_json::json!({
            "project": "default", "head": format!("sha256-{}", "0".repeat(64)),
            "time": "2025-10-19T01:23:45.678+00:00#0", "beat": 7, "window_id": "backbeat:W-2025-10-19-02",
            "windows": {"review": {"open": true}, "reverb": {"open": false}, "plan": {"open": false, "opens_in_ms": 90_000}},
            "transitions": [
                {"transition": "Control_Pause", "region": "control", "enabled": true},
                {"transition": "Execution_PlanLocked", "region": "execution", "window": "plan", "enabled": true,
                 "guards": [{"guard": "window", "ok": false, "reasons": ["no plan window is open"]},
                            {"guard": "pin", "reasons": ["depends on the inputs"]}]},
                {"transition": "Ingestion_BytesOk", "region": "ingestion", "enabled": true},
                {"transition": "Council_ProfilesLoaded", "region": "council", "enabled": true},
                {"transition": "Control_Resume", "region": "control", "enabled": false, "reasons": ["not paused"]},
            ],
        }))
        .unwrap()
    }

    /// The list was in the order of the names, so the next step was somewhere between 20 others.
    #[test]
    fn enabled_transitions_are_grouped_and_the_refused_ones_have_their_reasons() {
        let short = text(&view(), false);
        let places: Vec<usize> = [
            "plan opens in 1m 30s, review open, reverb never opens",
            "next (1):\n  Council_ProfilesLoaded  operator, agent, voter",
            "also possible (1):\n  Control_Pause  operator",
            "the node's own, or its workers' (1):\n  Ingestion_BytesOk",
            "would be refused now (1):\n  Execution_PlanLocked",
            "✗ window: no plan window is open",
            "1 other transition not enabled; --all lists the reasons",
        ]
        .iter()
        .map(|part| short.find(part).unwrap_or_else(|| panic!("{part}\n{short}")))
        .collect();
        assert!(places.is_sorted(), "{short}");
        assert!(text(&view(), true).ends_with("  Control_Resume  operator    not paused"), "{}", text(&view(), true));
    }

    /// A follower, an unsafe clock and a full disk were "nothing is enabled" alone, and `--all` repeated their reason 59 times.
    #[test]
    fn a_reason_that_holds_for_all_transitions_is_printed_once() {
        let mut view = view();
        for transition in &mut view.transitions {
            (transition.enabled, transition.reasons) = (false, vec!["this node follows another".to_owned()]);
        }
        for all in [false, true] {
            assert!(
                text(&view, all).ends_with("\n\nnothing is enabled: this node follows another"),
                "{}",
                text(&view, all)
            );
        }
        view.transitions[0].reasons = vec!["not paused".to_owned()];
        assert!(text(&view, false).contains("nothing is enabled\n\n5 other transitions"), "{}", text(&view, false));
    }
}
