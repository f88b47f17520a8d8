//! Output of the story: text for people, or one JSON line per step for programs; and the counts.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::wording::{Wording, wrap};
use swoosh_client::WalEntry;
use swoosh_types::hash::Hash;
use swoosh_types::ids::DecisionId;
use swoosh_types::names::{EffectName, GuardName, Transition};
use swoosh_types::receipt::Receipt;
use swoosh_types::rejection::Problem;

/// What is counted along the way.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Transitions accepted, those under load among them.
    pub accepted: u64,
    /// Of these, those under load.
    pub under_load: u64,
    /// Proposals refused.
    pub refused: u64,
    /// Attempts made again under the same key.
    pub retried: u64,
    /// Proposals sent again, which got their first receipt.
    pub duplicates: u64,
    /// Guards that refused something.
    pub guards: BTreeSet<GuardName>,
}

/// The teller.
pub(super) struct Story {
    json: bool,
    colour: bool,
    began: Instant,
    chapter: u32,
    /// Names for keys.
    pub wording: Wording,
    /// What was counted.
    pub tally: Tally,
}

/// What the log holds of an accepted transition.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    /// Which.
    pub transition: Transition,
    /// Where.
    pub index: u64,
    /// The head that it left.
    pub head: Hash,
    /// Its decision record.
    pub decision: DecisionId,
}

impl From<&Receipt> for Recorded {
    fn from(receipt: &Receipt) -> Recorded {
        let Receipt { transition, index, state_post_hash, decision, .. } = receipt;
        Recorded { transition: *transition, index: *index, head: *state_post_hash, decision: decision.clone() }
    }
}

impl From<&WalEntry> for Recorded {
    fn from(entry: &WalEntry) -> Recorded {
        let record = &entry.record;
        let decision = DecisionId::of(&record.project, record.index, &entry.chain);
        Recorded { transition: record.transition, index: record.index, head: record.state_post_hash, decision }
    }
}

const GREEN: &str = "32";
const RED: &str = "31";
const YELLOW: &str = "33";
const BOLD: &str = "1";
const DIM: &str = "2";

impl Story {
    /// A story that has not begun.
    pub fn new(json: bool) -> Story {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Story {
            json,
            colour: !json && !plain && std::io::stdout().is_terminal(),
            began: Instant::now(),
            chapter: 0,
            wording: Wording::default(),
            tally: Tally::default(),
        }
    }

    /// Time since the story began.
    pub fn took(&self) -> Duration {
        self.began.elapsed()
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Ignores write errors: a closed pipe (`| head`) must not stop the demo.
    fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        drop(writeln!(out, "{text}").and_then(|()| out.flush()));
    }

    /// One step: its JSON line, or its text.
    fn step(&self, name: &str, mut document: Value, text: impl FnOnce() -> String) {
        if !self.json {
            return self.print(&text());
        }
        document["step"] = json!(name);
        document["chapter"] = json!(self.chapter);
        document["at_ms"] = json!(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX));
        self.print(&document.to_string());
    }

    /// Text before the first chapter.
    pub fn title(&self, text: &str) {
        self.step("title", json!({"text": text}), || wrap(text, 0, 0));
    }

    /// A new chapter.
    pub fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        let heading = format!("{}  {title}", self.chapter);
        self.step("chapter", json!({"title": title}), || format!("\n{}", self.paint(BOLD, &heading)));
    }

    /// A plain sentence or two.
    pub fn say(&self, text: &str) {
        let plain = self.wording.plain(text);
        self.step("told", json!({"text": plain}), || wrap(&plain, 3, 3));
    }

    /// Something that was checked and is so.
    pub fn check(&self, text: &str) {
        let plain = self.wording.plain(text);
        self.step("checked", json!({"text": plain}), || format!("   {}{}", self.paint(GREEN, "✓"), wrap(&plain, 1, 5)));
    }

    /// A proposal was accepted; `now` is the state of its region.
    pub fn accepted(&mut self, who: &str, receipt: &Receipt, now: &str) {
        self.recorded(who, &Recorded::from(receipt), now, "");
    }

    /// The log has a transition; `detail` describes it.
    pub fn recorded(&mut self, who: &str, record: &Recorded, now: &str, detail: &str) {
        self.tally.accepted += 1;
        let plain = self.wording.plain(detail);
        let document = json!({
            "transition": record.transition, "by": who, "index": record.index, "now": now,
            "head": record.head, "decision": record.decision, "detail": plain,
        });
        self.step("accepted", document, || {
            let head = self.paint(DIM, &format!("#{} head {}…", record.index, record.head.short(8)));
            let mark = self.paint(GREEN, "✓");
            let line = format!("   {mark} {:<29} {who:<10} {now:<24} {head}", record.transition.as_str());
            if plain.is_empty() { line } else { format!("{line}\n{}", self.paint(DIM, &wrap(&plain, 7, 9))) }
        });
    }

    /// What the node is at.
    pub fn progress(&self, effect: EffectName, what: &str) {
        let plain = self.wording.plain(what);
        self.step("progress", json!({"effect": effect, "text": plain}), || {
            self.paint(DIM, &wrap(&format!("… {effect}: {plain}"), 5, 9))
        });
    }

    /// One entry of a list, in as many lines as it needs.
    pub fn entry(&self, document: Value, text: &str) {
        let plain = self.wording.plain(text);
        self.step("item", document, || self.paint(DIM, &wrap(&plain, 7, 9)));
    }

    /// One line of a list.
    pub fn item(&self, document: Value, text: &str) {
        let plain = self.wording.plain(text);
        self.step("item", document, || format!("       {plain}"));
    }

    /// A proposal was refused.
    pub fn refused(&mut self, who: &str, transition: Transition, problem: &Problem) {
        self.tally.refused += 1;
        let failed = problem.guard_outcomes.iter().filter(|outcome| !outcome.ok).map(|outcome| outcome.guard);
        let guards: BTreeSet<GuardName> = problem.guard.into_iter().chain(failed).collect();
        self.tally.guards.extend(&guards);
        let document = json!({
            "transition": transition, "by": who, "code": problem.code, "reasons": problem.reasons, "guards": guards,
            "head": problem.head,
        });
        self.step("refused", document, || {
            let code = self.paint(RED, &problem.code.to_string());
            let mut lines = vec![format!("   {} {:<29} {who:<10} {code}", self.paint(RED, "✗"), transition.as_str())];
            let reasons = problem.reasons.iter().map(|reason| wrap(&self.wording.plain(reason), 7, 9));
            lines.extend(reasons.map(|reason| self.paint(DIM, &reason)));
            lines.join("\n")
        });
    }

    /// An attempt failed and was made again under the same key.
    pub fn retried(&mut self, who: &str, transition: Transition, cause: &str) {
        self.tally.retried += 1;
        let plain = self.wording.plain(cause);
        self.step("retried", json!({"transition": transition, "by": who, "cause": cause}), || {
            let why = if plain.starts_with("stale_head") { "stale_head, reads the head again" } else { plain.as_str() };
            let text = format!("{:<29} {who:<10} {why}; signed again, same key", transition.as_str());
            format!("   {} {text}", self.paint(YELLOW, "↻"))
        });
    }

    /// A proposal was sent again and got its first receipt.
    pub fn duplicate(&mut self, who: &str, receipt: &Receipt, text: &str) {
        self.tally.duplicates += 1;
        let document = json!({"transition": receipt.transition, "by": who, "index": receipt.index});
        self.step("duplicate", document, || format!("   {}{}", self.paint(GREEN, "="), wrap(text, 1, 5)));
    }

    /// The story waits.
    pub fn waiting(&self, wait: Duration, what: &str) {
        let document = json!({"for": what, "wait_ms": u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)});
        self.step("waiting", document, || {
            let text = format!("… {:.1} s until {what}", wait.as_secs_f64());
            format!("   {}", self.paint(DIM, &text))
        });
    }

    /// The end.
    pub fn summary(&self, document: Value, lines: &[String]) {
        self.step("summary", document, || lines.iter().map(|line| format!("   {line}")).collect::<Vec<_>>().join("\n"));
    }
}
