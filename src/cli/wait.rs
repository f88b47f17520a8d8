//! `swoosh wait`: waits until a project is in a state.

mod expression;
mod hopeless;
mod kinds;
mod tokens;
mod watcher;

use std::process::ExitCode;

use serde_json::json;

use super::connect::{NodeArgs, ProjectArg};
use super::output::{self, Output};
use super::time::{Span, spell};
use crate::client::StateView;
pub(super) use expression::Expression;
use hopeless::Failure;
pub(super) use hopeless::failed_effect;
pub(super) use watcher::Waiting;

/// Exit code where the time is over.
pub(super) const TIME_OVER: u8 = 3;
/// Exit code where the state cannot be reached any more.
const UNREACHABLE: u8 = 4;

/// Arguments of `swoosh wait`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Wait until a project is in a state",
    long_about = "Wait until a project is in a state.\n\nAn expression compares the state with ==, !=, >=, >, <=, < or in; `and` \
        joins conditions. A comparison that no state can fulfil is wrong usage. A region alone means its phase: `ingestion == READY` is `ingestion.phase == READY`. Every member \
        of `swoosh state --projection SECTION` has a name, such as execution.beat or control.paused; lists and maps compare \
        by the number of their entries. `index` is the project's last record, `phase` its top-level phase; `no effects` \
        means that no work is open.\n\nThe command returns at once when the state is there. Else it follows the node's events \
        and looks at the state after each record, so that no state in between is missed. It waits for a node that does not \
        answer, also over a restart. The state that counts is proven against its head.",
    after_help = "Examples:\n  \
        swoosh wait 'ingestion == READY and environment == READY'\n  \
        swoosh wait 'execution == WORK' --or 'execution == REVIEW' --timeout 15m\n  \
        swoosh wait 'execution in [REVIEW, REVERB]' --fail-on quarantined,effect-failed\n  \
        swoosh wait 'index >= 17 and no effects'\n  \
        swoosh --json wait 'execution.approvals >= 2' | jq .projection.execution\n\n\
        --fail-on ends the wait early: quarantined, terminated, effect-failed (the last outcome of sources, tools or\n\
        environment is a failure, even if it is retried). A terminated project always ends it.\n\n\
        Exit codes: 0 reached, 1 refused or failed, 2 wrong usage, 3 the time is over, 4 the state cannot be reached;\n\
        the reason is on standard error."
)]
pub struct WaitCommand {
    /// State to wait for
    #[arg(value_name = "EXPRESSION")]
    goal: Expression,
    /// Another state that will do; may be given many times
    #[arg(long = "or", value_name = "EXPRESSION")]
    others: Vec<Expression>,
    /// Failures that end the wait: quarantined, terminated, effect-failed
    #[arg(long, value_name = "FAILURES", value_delimiter = ',')]
    fail_on: Vec<Failure>,
    /// Longest wait
    #[arg(long, value_name = "SPAN", default_value = "15m")]
    timeout: Span,
    #[command(flatten)]
    project: ProjectArg,
    #[command(flatten)]
    node: NodeArgs,
}

impl WaitCommand {
    /// Waits.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let node = self.node.reader()?;
        let goals = std::iter::once(self.goal).chain(self.others).collect();
        Waiting::new(&node, self.project.project, goals, self.timeout).failing_on(self.fail_on).run()?.report(output)
    }
}

/// How a wait ended.
pub(super) enum Waited {
    Reached {
        /// The expression that holds.
        goal: String,
        view: Box<StateView>,
        after_ms: u64,
    },
    TimeOver {
        /// What was missing at the end.
        missing: String,
    },
    Unreachable {
        why: String,
    },
}

impl Waited {
    /// Prints the result: the state on standard output, a failure on standard error.
    pub fn report(self, output: Output) -> anyhow::Result<ExitCode> {
        if let Waited::Reached { goal, view, after_ms } = &self {
            output.say(view, || reached(goal, view, *after_ms))?;
        }
        Ok(self.end())
    }

    /// The same beside another result on standard output.
    pub fn report_aside(self) -> anyhow::Result<ExitCode> {
        if let Waited::Reached { goal, view, after_ms } = &self {
            let document = json!({"reached": goal, "index": view.index, "hash": view.hash, "after_ms": after_ms});
            output::note(&document, || reached(goal, view, *after_ms));
        }
        Ok(self.end())
    }

    fn end(self) -> ExitCode {
        match self {
            Waited::Reached { .. } => ExitCode::SUCCESS,
            Waited::TimeOver { missing } => {
                output::note(&json!({"time_over": missing}), || format!("the time is over: {missing}"));
                ExitCode::from(TIME_OVER)
            }
            Waited::Unreachable { why } => {
                output::note(&json!({"unreachable": why}), || format!("the state cannot be reached: {why}"));
                ExitCode::from(UNREACHABLE)
            }
        }
    }
}

fn reached(goal: &str, view: &StateView, after_ms: u64) -> String {
    format!("reached: {goal}\nproject {} at record {}, after {}", view.project, view.index, spell(after_ms))
}
