//! `swoosh effects`: the work that is open on a node, and how it goes on.

mod hidden;
mod ledger;
mod watch;

use std::process::ExitCode;

use serde_json::json;

use super::connect::NodeArgs;
use super::output::{Output, Table, wrapped};
use super::time;
use crate::client::EffectView;
use crate::hybridcore::logs::now_ms;
use crate::types::text::ProjectName;
use hidden::Hidden;

/// Arguments of `swoosh effects`.
#[derive(Debug, clap::Args)]
#[command(
    about = "List the work that is open, and follow it",
    long_about = "List the work that is open, and follow it.\n\nEntering some states opens an effect: sources to fetch, \
        an environment to build. `builtin` effects are the node's own (see effects.* in its settings); the outcome of \
        an external one is posted by an identity of role worker, and names the id listed here \
        (`swoosh propose`).\n\nWhat an effect is at:\n  \
        waiting    its next attempt comes later; the line shows the time and the last error\n  \
        suspended  its project is paused, quarantined or in recovery, or the license lets nothing outside\n  \
        running    an attempt runs; with its step\n  \
        reporting  the outcome is on disk and is recorded when the project takes it\n  \
        external   a worker is to post the outcome\n\n\
        With --watch the node sends events (GET /events). When the connection is lost, it is made again from the \
        last record that was heard of, for a minute; a node that has no room for listeners is asked again and again \
        instead. It ends when no work of the node's own is open: with 0, or with 1 where the last \
        outcome of some work is a failure, or a damaged project hides its work. Each effect ends as done, failed or cancelled.\n\nA recorded failure opens the effect \
        again under another id. Attempts are counted on over such effects, until the work succeeds.",
    after_help = "Examples:\n  swoosh effects                                   open effects of all projects\n  \
        swoosh effects --project alpha --watch           progress bars until alpha has no work of the node's own\n  \
        swoosh --json effects --watch                    one line of JSON for each change\n\n\
        An effect that does not go on: its reason tells why. `swoosh transitions` tells what blocks a project; docs/effects.md \
        lists the workers, and the state after a crash."
)]
pub struct EffectsCommand {
    /// Only this project's
    #[arg(long, value_name = "PROJECT")]
    project: Option<ProjectName>,
    /// Follow them until no work of the node's own is open; on a terminal with progress bars
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    node: NodeArgs,
}

impl EffectsCommand {
    /// Lists them.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let node = self.node.reader()?;
        if self.watch {
            return watch::follow(&node, self.project.as_ref(), output);
        }
        let effects = node.ask(node.client().effects(self.project.as_ref()))?;
        let missing = if self.project.is_some() { Vec::new() } else { hidden::hidden(&node)? };
        let damaged: Vec<_> = missing.iter().map(Hidden::document).collect();
        output.say(&json!({"effects": effects, "damaged": damaged}), || text(&effects, &missing))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn text(effects: &[EffectView], missing: &[Hidden]) -> String {
    let mut parts = Vec::new();
    if !effects.is_empty() {
        parts.push(table(effects));
    } else if missing.is_empty() {
        parts.push("nothing is open; `swoosh transitions` lists the enabled transitions of a project".to_owned());
    }
    parts.extend(missing.iter().map(|hidden| wrapped(&format!("✗ {}", hidden.text()))));
    if !missing.is_empty() {
        parts.push("read runbooks/corrupt-journal.md".to_owned());
    }
    parts.join("\n")
}

fn table(effects: &[EffectView]) -> String {
    let mut table = Table::with(&["effect", "who", "at", "attempt", "what"]);
    for effect in effects {
        let who = if effect.mode == "external" { "worker" } else { "node" };
        let attempt = if effect.attempt == 0 { String::new() } else { effect.attempt.to_string() };
        table.row([effect.id.to_string(), who.to_owned(), effect.phase.clone(), attempt, what(effect)]);
    }
    table.text(0)
}

fn line(effect: &EffectView) -> String {
    let what = what(effect);
    let colon = if what.is_empty() { "" } else { ": " };
    format!("{} {}{}{colon}{what}", effect.id, effect.phase, attempts(effect))
}

/// Which attempt runs, or how many there were. The reason of a recorded failure may say it already.
fn attempts(effect: &EffectView) -> String {
    let named = format!("(attempt {})", effect.attempt);
    let is_named = effect.reason.as_ref().is_some_and(|reason| reason.ends_with(&named));
    match (effect.attempt, effect.phase.as_str()) {
        (0, _) => String::new(),
        (_, "failed") if is_named => String::new(),
        (number, "running" | "reporting") => format!(", attempt {number}"),
        (number, _) => format!(" after attempt {number}"),
    }
}

/// Its progress, or why it waits.
fn what(effect: &EffectView) -> String {
    let mut parts = Vec::new();
    if let Some(step) = effect.step.as_ref().filter(|_| effect.phase == "running") {
        let share = effect.done.zip(effect.total).map(|(done, total)| format!(" ({done} of {total})"));
        parts.push(format!("{step}{}", share.unwrap_or_default()));
    }
    match &effect.reason {
        // The step of a moment ago says it.
        Some(reason) if parts.contains(reason) => {}
        Some(reason) if effect.phase == "running" => parts.push(format!("last failure: {reason}")),
        Some(reason) => parts.push(reason.clone()),
        None => {}
    }
    let wait_ms = effect.next_ms.map(|at_ms| at_ms.saturating_sub(now_ms())).filter(|ms| *ms > 0);
    parts.extend(wait_ms.map(|ms| format!("again in {}", time::spell(ms))));
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(phase: &str) -> EffectView {
        serde_json::from_value(json!({
            "id": "p/3/fetch", "project": "p", "effect": "fetch", "mode": "builtin", "phase": phase, "attempt": 2,
            "step": "app: receiving", "done": 3, "total": 10, "reason": "no answer",
        }))
        .unwrap()
    }

    #[test]
    fn a_line_tells_what_is_done_and_what_went_wrong_before() {
        assert_eq!(
            line(&effect("running")),
            "p/3/fetch running, attempt 2: app: receiving (3 of 10); last failure: no answer"
        );
        let failed = EffectView { step: Some("no answer".to_owned()), done: None, total: None, ..effect("running") };
        assert_eq!(line(&failed), "p/3/fetch running, attempt 2: no answer");
        assert_eq!(line(&effect("waiting")), "p/3/fetch waiting after attempt 2: no answer");
        let failed = EffectView { reason: Some("no answer (attempt 2)".to_owned()), ..effect("failed") };
        assert_eq!(line(&failed), "p/3/fetch failed: no answer (attempt 2)");
        assert!(text(&[effect("running")], &[]).contains("node"));
        assert!(text(&[], &[]).contains("nothing is open"));
    }
}
