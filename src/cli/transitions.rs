//! `swoosh transitions`: transitions that a project allows now, and why not the others.

use std::process::ExitCode;

use super::connect::{NodeArgs, ProjectArg};
use super::output::{Output, Table, count, fields};
use super::time::spell;
use crate::client::{GuardView, TransitionView, TransitionsView};
use crate::machine::chart;

/// Arguments of `swoosh transitions`.
#[derive(Debug, clap::Args)]
#[command(
    about = "List the transitions a project lets happen now",
    long_about = "List the transitions a project lets happen now.\n\nA transition is enabled when the project's state lets \
        it start and nothing blocks the project. The roles that may sign it are listed beside it. Its guards are asked as well: ✗ shows reasons to refuse it now, whatever \
        the inputs. What depends on the inputs is found out by `swoosh propose … --dry-run`.",
    after_help = "Examples:\n  swoosh transitions\n  swoosh transitions --project alpha --all\n\n\
        Works for a project that does not exist yet: there only Boot_ConfigOk is enabled."
)]
pub struct TransitionsCommand {
    #[command(flatten)]
    project: ProjectArg,
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
        let mut view = node.ask(node.client().transitions(&self.project.project))?;
        view.transitions.sort_by_key(|transition| !transition.enabled);
        output.say(&view, || text(&view, self.all))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn text(view: &TransitionsView, all: bool) -> String {
    let (enabled, others): (Vec<_>, Vec<_>) = view.transitions.iter().partition(|transition| transition.enabled);
    let mut parts = vec![headline(view)];
    parts.push(format!("enabled ({}):\n{}", enabled.len(), table(&enabled, |transition| guards(&transition.guards))));
    match (others.len() as u64, all) {
        (0, _) => {}
        (_, true) => {
            let why = |transition: &TransitionView| transition.reasons.join("; ");
            parts.push(format!("not enabled ({}):\n{}", others.len(), table(&others, why)));
        }
        (more, false) => parts.push(format!("{} not enabled; --all tells why", count(more, "other transition"))),
    }
    parts.join("\n\n")
}

fn headline(view: &TransitionsView) -> String {
    let windows = view.windows.iter().map(|(class, window)| match window.opens_in_ms {
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
    if transitions.is_empty() {
        return "  none".to_owned();
    }
    let mut table = Table::new();
    for transition in transitions {
        let signers = chart::spec(transition.transition).signers.iter().map(|role| role.as_str());
        let by = signers.collect::<Vec<_>>().join(", ");
        let window = transition.window.map(|class| format!("in {class} windows")).unwrap_or_default();
        table.row([transition.transition.to_string(), by, window, why(transition)]);
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

    #[test]
    fn enabled_transitions_come_with_what_would_refuse_them_and_the_rest_on_demand() {
        let view: TransitionsView = serde_json::from_value(serde_json::json!({
            "project": "default", "head": format!("sha256-{}", "0".repeat(64)),
            "time": "2025-10-19T01:23:45.678+00:00#0", "beat": 7, "window_id": "backbeat:W-2025-10-19-02",
            "windows": {"plan": {"open": false, "opens_in_ms": 90_000}},
            "transitions": [
                {"transition": "Execution_PlanLocked", "region": "execution", "window": "plan", "enabled": true,
                 "guards": [{"guard": "window", "ok": false, "reasons": ["no plan window is open"]},
                            {"guard": "pin", "reasons": ["depends on the inputs"]}]},
                {"transition": "Control_Resume", "region": "control", "enabled": false, "reasons": ["not paused"]},
            ],
        }))
        .unwrap();
        let short = text(&view, false);
        assert!(short.contains("plan opens in 1m 30s"), "{short}");
        assert!(
            short.contains(
                "Execution_PlanLocked  operator, agent, voter  in plan windows  ✗ window: no plan window is open\n"
            ),
            "{short}"
        );
        assert!(short.ends_with("1 other transition not enabled; --all tells why"), "{short}");
        assert!(text(&view, true).ends_with("Control_Resume  operator    not paused"), "{}", text(&view, true));
    }
}
