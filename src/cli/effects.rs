//! `swoosh effects`: the work that is open on a node, and how it goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use super::connect::{Node, NodeArgs};
use super::output::{Output, Table};
use super::{interrupt, time};
use crate::client::EffectView;
use crate::hybridcore::leave::Leave as _;
use crate::hybridcore::logs::now_ms;
use crate::types::text::ProjectName;

/// How often the node is asked.
const LOOK: Duration = Duration::from_millis(300);
/// Characters of a step that a bar shows.
const SHOWN: usize = 100;

/// What `swoosh effects` takes.
#[derive(Debug, clap::Args)]
#[command(
    about = "List the work that is open, and follow it",
    long_about = "List the work that is open, and follow it.\n\nEntering some states opens an effect: sources to fetch, \
        an environment to build. `builtin` effects are the node's own (see effects.* in its settings); the outcome of \
        an external one is posted by an identity of role worker, and names the id that stands here.\n\n\
        waiting: its next attempt comes later. suspended: its project is blocked. running: an attempt runs. reporting: \
        the outcome is on disk and not recorded yet.",
    after_help = "Examples:\n  swoosh effects\n  swoosh effects --project alpha --watch\n  swoosh --json effects"
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
            return self.follow(&node, output);
        }
        let effects = node.ask(node.client().effects(self.project.as_ref()))?;
        output.say(&json!({"effects": effects}), || text(&effects))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Bars on a terminal; elsewhere a line for each change, as JSON where that was asked for.
    fn follow(&self, node: &Node, output: Output) -> anyhow::Result<ExitCode> {
        let leave = interrupt::leave();
        let mut bars = std::io::stderr().is_terminal().then(Bars::default).filter(|_| !output.is_json());
        let mut told: BTreeMap<String, EffectView> = BTreeMap::new();
        loop {
            let effects = node.ask(node.client().effects(self.project.as_ref()))?;
            match &mut bars {
                Some(bars) => bars.show(&effects),
                None => tell(&effects, &mut told, output)?,
            }
            if !effects.iter().any(|effect| effect.mode == "builtin") {
                return Ok(ExitCode::SUCCESS);
            }
            if leave.stop().is_some() {
                return Ok(interrupt::exit_code());
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// What changed since the last look.
fn tell(effects: &[EffectView], told: &mut BTreeMap<String, EffectView>, output: Output) -> anyhow::Result<()> {
    let open: BTreeSet<_> = effects.iter().map(|effect| effect.id.to_string()).collect();
    for (id, effect) in told.extract_if(.., |id, _| !open.contains(id)).collect::<Vec<_>>() {
        output.say(&json!({"id": id, "phase": "closed"}), || {
            line(&EffectView { phase: "closed".to_owned(), ..effect })
        })?;
    }
    for effect in effects {
        if told.insert(effect.id.to_string(), effect.clone()).as_ref() != Some(effect) {
            output.say(effect, || line(effect))?;
        }
    }
    Ok(())
}

fn text(effects: &[EffectView]) -> String {
    if effects.is_empty() {
        return "nothing is open; `swoosh transitions` tells what a project lets happen now".to_owned();
    }
    let mut table = Table::with(&["effect", "who", "at", "attempt", "what"]);
    for effect in effects {
        let who = if effect.mode == "external" { "worker" } else { "node" };
        let attempt = if effect.attempt == 0 { String::new() } else { effect.attempt.to_string() };
        table.row([effect.id.to_string(), who.to_owned(), effect.phase.clone(), attempt, what(effect)]);
    }
    table.text(0)
}

fn line(effect: &EffectView) -> String {
    format!("{} {} {}", effect.id, effect.phase, what(effect)).trim_end().to_owned()
}

/// What it does, or why it does nothing.
fn what(effect: &EffectView) -> String {
    let mut parts = Vec::new();
    if let Some(step) = effect.step.as_ref().filter(|_| effect.phase == "running") {
        let share = effect.done.zip(effect.total).map(|(done, total)| format!(" ({done} of {total})"));
        parts.push(format!("{step}{}", share.unwrap_or_default()));
    }
    parts.extend(effect.reason.clone());
    let wait_ms = effect.next_ms.map(|at_ms| at_ms.saturating_sub(now_ms())).filter(|ms| *ms > 0);
    parts.extend(wait_ms.map(|ms| format!("again in {}", time::spell(ms))));
    parts.join("; ")
}

/// A bar for each effect that the node runs.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    by_id: BTreeMap<String, ProgressBar>,
}

impl Bars {
    fn show(&mut self, effects: &[EffectView]) {
        let ours: Vec<_> = effects.iter().filter(|effect| effect.mode == "builtin").collect();
        let open: BTreeSet<_> = ours.iter().map(|effect| effect.id.to_string()).collect();
        for (_, bar) in self.by_id.extract_if(.., |id, _| !open.contains(id)) {
            bar.finish_with_message("closed");
        }
        for effect in ours {
            let all = &self.all;
            let bar = self.by_id.entry(effect.id.to_string()).or_insert_with(|| {
                let bar = all.add(ProgressBar::no_length()).with_prefix(effect.id.to_string());
                bar.enable_steady_tick(Duration::from_millis(120));
                bar
            });
            let total = effect.total.filter(|total| *total > 0);
            bar.set_style(style(total.is_some()));
            if let Some(total) = total {
                bar.set_length(total);
                bar.set_position(effect.done.unwrap_or(0));
            }
            let text: String = format!("{} {}", effect.phase, what(effect)).chars().take(SHOWN).collect();
            bar.set_message(text);
        }
    }
}

fn style(measured: bool) -> ProgressStyle {
    let template =
        if measured { "{spinner} {prefix:32} {bar:24} {percent:>3} % {msg}" } else { "{spinner} {prefix:32} {msg}" };
    // A template that is no good would only look worse.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
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
        assert_eq!(line(&effect("running")), "p/3/fetch running app: receiving (3 of 10); no answer");
        assert_eq!(line(&effect("waiting")), "p/3/fetch waiting no answer");
        assert!(text(&[effect("running")]).contains("node"));
        assert!(text(&[]).contains("nothing is open"));
    }
}
