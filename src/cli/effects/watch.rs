//! `swoosh effects --watch`: hears from the node what happens, and shows it.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use super::hidden::{Hidden, hidden};
use super::ledger::{Ending, Ledger, ending_in, ends_effects};
use super::{attempts, line, what};
use crate::cli::connect::Node;
use crate::cli::output::{self, Output, exit};
use crate::cli::{interrupt, state, wait};
use crate::client::{EffectView, EventStream, NodeEvent, ReadError};
use crate::hybridcore::leave::{Cancellable, Leave as _};
use crate::types::event_id::EventId;
use crate::types::ids::EffectId;
use crate::types::text::ProjectName;

/// How often a node that gives no events is asked.
const LOOK: Duration = Duration::from_millis(300);
/// How long is waited for an event before the operator's interrupt is looked for.
const LISTEN: Duration = Duration::from_millis(100);
/// How long a lost node is looked for.
const LOST: Duration = Duration::from_secs(60);
/// The longest wait between two tries to reach it.
const WAIT: Duration = Duration::from_secs(5);
/// Records in a page of the log that is searched for the end of an effect, and the most pages.
const RECORDS: u64 = 200;
const PAGES: usize = 20;
/// Characters of a step that a bar shows.
const SHOWN: usize = 100;

/// Follows effects until no work of the node's own is open.
pub(super) fn follow(node: &Node, project: Option<&ProjectName>, output: Output) -> anyhow::Result<ExitCode> {
    let bars = std::io::stderr().is_terminal().then(Bars::default).filter(|_| !output.is_json());
    let (effects, shown, ledger) = (BTreeMap::new(), BTreeMap::new(), Ledger::default());
    let view = View { output, bars, effects, shown, has_worked: false, ledger };
    Watch { node, project, leave: interrupt::leave(), view, heard: None }.run()
}

struct Watch<'a> {
    node: &'a Node,
    project: Option<&'a ProjectName>,
    leave: Cancellable,
    view: View,
    /// The last record that was heard of.
    heard: Option<EventId>,
}

/// Why listening ended.
enum Ended {
    /// The list of open effects may have changed.
    Moved,
    /// The stream is over.
    Lost(String),
    /// The operator wants no more.
    Interrupted,
}

impl Watch<'_> {
    fn run(mut self) -> anyhow::Result<ExitCode> {
        // Listened to before anything is read, so that nothing falls between.
        let mut stream = match self.listen() {
            Ok(stream) => Some(stream),
            Err(error) => self.give_up_listening(error)?,
        };
        let mut found = false;
        loop {
            match self.node.wait(self.node.client().effects(self.project)) {
                Ok(effects) => {
                    self.account(&effects);
                    self.view.see(effects)?;
                }
                // A node that was there a moment ago may come back.
                Err(error) if found && error.is_passing() => {
                    stream = self.listen_again(&error.to_string())?;
                    continue;
                }
                Err(error) => return self.node.ask(async { Err(error) }),
            }
            found = true;
            if !self.view.effects.values().any(|effect| effect.mode == "builtin") {
                if self.project.is_some() || hidden(self.node)?.is_empty() {
                    self.view.say_if_idle();
                }
                return self.end();
            }
            match self.hear(stream.as_mut())? {
                Ended::Moved => {}
                Ended::Lost(why) => stream = self.listen_again(&why)?,
                Ended::Interrupted => return Ok(interrupt::exit_code()),
            }
            if self.leave.stop().is_some() {
                return Ok(interrupt::exit_code());
            }
        }
    }

    /// The end of the watch: a failure where the last outcome of some work is one.
    fn end(&self) -> anyhow::Result<ExitCode> {
        let mut failures = self.view.ledger.failures();
        if self.project.is_none() {
            failures.extend(hidden(self.node)?.iter().map(Hidden::text));
        }
        if failures.is_empty()
            && let Some(project) = self.project
        {
            // The work may have failed before the watch began.
            let (_, head) = state::proven(self.node, project)?;
            failures.extend(wait::failed_effect(head.state()).map(|why| format!("{project}: {why}")));
        }
        for failure in &failures {
            output::note(&json!({"failed": failure}), || format!("failed: {failure}"));
        }
        Ok(exit(failures.is_empty()))
    }

    /// Finds out how effects ended that are open no more and whose event was not heard.
    fn account(&mut self, open: &[EffectView]) {
        let is_open = |known: &EffectView| open.iter().any(|effect| effect.id == known.id);
        let View { effects, ledger, .. } = &self.view;
        let gone = effects.values().filter(|effect| !is_open(effect) && !ledger.knows(&effect.id));
        for effect in gone.cloned().collect::<Vec<_>>() {
            if let Some(ending) = self.on_record(&effect.id) {
                self.view.ledger.close(&effect.id, ending);
            } else if let Ok((_, head)) = state::proven(self.node, &effect.project) {
                self.view.ledger.close_by_state(&effect, head.state());
            }
        }
    }

    fn listen(&self) -> Result<EventStream, ReadError> {
        self.node.wait(self.node.client().events(self.project, "effect,transition", self.heard))
    }

    /// A node that answers and has no events is asked again and again; one that does not answer is an error.
    fn give_up_listening(&self, error: ReadError) -> anyhow::Result<Option<EventStream>> {
        if matches!(error, ReadError::Link(_)) {
            return self.node.ask(async { Err(error) });
        }
        let (error, every_ms) = (error.to_string(), LOOK.as_millis());
        output::note(&json!({"no_events": error}), || {
            format!("the node gives no events ({error}); asking it every {every_ms} ms instead")
        });
        Ok(None)
    }

    fn listen_again(&self, why: &str) -> anyhow::Result<Option<EventStream>> {
        let from = self.heard.map(|id| format!(" from record {}", id.index + 1)).unwrap_or_default();
        output::note(&json!({"events_lost": why}), || format!("the events broke off ({why}); listening again{from}"));
        let (begun, mut wait) = (Instant::now(), LISTEN);
        loop {
            match self.listen() {
                Ok(stream) => return Ok(Some(stream)),
                Err(error @ ReadError::Link(_)) if begun.elapsed() < LOST && self.leave.stop().is_none() => {
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(WAIT);
                    drop(error);
                }
                Err(error) => return self.give_up_listening(error),
            }
        }
    }

    /// Shows effects as they go on, until something may have opened or closed one.
    fn hear(&mut self, stream: Option<&mut EventStream>) -> anyhow::Result<Ended> {
        let Some(stream) = stream else {
            std::thread::sleep(LOOK);
            return Ok(Ended::Moved);
        };
        let mut moved: Option<Instant> = None;
        loop {
            if self.leave.stop().is_some() {
                return Ok(Ended::Interrupted);
            }
            if moved.is_some_and(|since| since.elapsed() >= LOOK) {
                return Ok(Ended::Moved);
            }
            match self.node.wait(async { tokio::time::timeout(LISTEN, stream.next()).await }) {
                // Nothing more comes at the moment, so what came can be looked at.
                Err(_) if moved.is_some() => return Ok(Ended::Moved),
                Err(_) => {}
                Ok(Ok(None)) => return Ok(Ended::Lost("the node ended them".to_owned())),
                Ok(Err(error)) => return Ok(Ended::Lost(error.to_string())),
                Ok(Ok(Some(event))) => {
                    if self.take(event)? {
                        moved.get_or_insert_with(Instant::now);
                    }
                }
            }
        }
    }

    /// Takes an event in; whether what is open may be something else after it.
    fn take(&mut self, event: NodeEvent) -> anyhow::Result<bool> {
        self.heard = event.id.or(self.heard);
        if event.kind == "gap" {
            let reason = event.data["reason"].as_str().unwrap_or_default();
            output::note(&json!({"events_missing": reason}), || {
                format!("events are missing ({reason}); asking for all effects again")
            });
            return Ok(true);
        }
        if event.kind == "transition" {
            let index = event.data["index"].as_u64().filter(|_| ends_effects(&event.data));
            let page = index.and_then(|index| self.node.wait(self.node.client().wal(index, 1)).ok());
            let entry = page.as_ref().and_then(|page| page.records.first());
            self.view.ledger.heard(&event.data, &self.view.effects, entry);
            return Ok(true);
        }
        if event.kind != "effect" {
            return Ok(false);
        }
        let Ok(effect) = serde_json::from_value::<EffectView>(event.data) else { return Ok(false) };
        if effect.phase == "closed" {
            return Ok(true);
        }
        self.view.go_on(effect)?;
        Ok(false)
    }
}

impl Watch<'_> {
    /// How an effect ended by the log; none where the record is not found, or the caller may not read it.
    fn on_record(&self, id: &EffectId) -> Option<Ending> {
        let mut from = id.index + 1;
        for _ in 0..PAGES {
            let page = self.node.wait(self.node.client().wal(from, RECORDS)).ok()?;
            if let Some(ending) = page.records.iter().find_map(|entry| ending_in(entry, id)) {
                return Some(ending);
            }
            from = page.records.last()?.record.index + 1;
        }
        None
    }
}

/// The display: bars on a terminal, else a line for each change, as JSON on request.
struct View {
    output: Output,
    bars: Option<Bars>,
    effects: BTreeMap<String, EffectView>,
    shown: BTreeMap<String, EffectView>,
    /// Whether work of the node's own was open.
    has_worked: bool,
    /// How effects ended.
    ledger: Ledger,
}

impl View {
    /// All that is open.
    fn see(&mut self, effects: Vec<EffectView>) -> anyhow::Result<()> {
        self.effects = effects.into_iter().map(|effect| (effect.id.to_string(), effect)).collect();
        self.has_worked |= self.effects.values().any(|effect| effect.mode == "builtin");
        self.show()
    }

    /// Says why a watch ends that saw no work of the node's own.
    fn say_if_idle(&self) {
        if self.has_worked {
            return;
        }
        let external = self.effects.len();
        output::note(&json!({"open": external, "builtin": 0}), || match external {
            0 => "nothing is open".to_owned(),
            _ => format!("no work of the node's own is open; {} for workers", output::count(external as u64, "effect")),
        });
    }

    /// An effect changed. Events do not say when it was opened.
    fn go_on(&mut self, effect: EffectView) -> anyhow::Result<()> {
        let id = effect.id.to_string();
        let opened_at = self.effects.get(&id).and_then(|known| known.opened_at);
        self.effects.insert(id, EffectView { opened_at, ..effect });
        self.show()
    }

    fn show(&mut self) -> anyhow::Result<()> {
        match &mut self.bars {
            Some(bars) => {
                bars.show(&self.effects, &self.ledger);
                Ok(())
            }
            None => self.tell(),
        }
    }

    /// Prints changes since the last output.
    fn tell(&mut self) -> anyhow::Result<()> {
        let (effects, output) = (&self.effects, self.output);
        for (_, effect) in self.shown.extract_if(.., |id, _| !effects.contains_key(id)).collect::<Vec<_>>() {
            let ending = self.ledger.ending(&effect.id);
            let reason = ending.reason().map(str::to_owned);
            let (phase, step) = (ending.word().to_owned(), None);
            let ended =
                EffectView { phase, reason, step, begun_ms: None, next_ms: None, done: None, total: None, ..effect };
            print(output, &ended)?;
        }
        for (id, effect) in effects {
            let news = EffectView { opened_at: None, ..effect.clone() };
            if self.shown.insert(id.clone(), news.clone()).as_ref() != Some(&news) {
                print(output, effect)?;
            }
        }
        Ok(())
    }
}

/// A change in a line: of text, or of JSON.
fn print(output: Output, effect: &EffectView) -> anyhow::Result<()> {
    if output.is_json() { output::print(&serde_json::to_string(effect)?) } else { output::print_text(&line(effect)) }
}

/// A bar for each effect that the node runs.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    by_id: BTreeMap<String, ProgressBar>,
}

impl Bars {
    fn show(&mut self, effects: &BTreeMap<String, EffectView>, ledger: &Ledger) {
        for (id, bar) in self.by_id.extract_if(.., |id, _| !effects.contains_key(id)) {
            let ending = id.parse().map_or(Ending::Closed, |id| ledger.ending(&id));
            let reason = ending.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
            bar.finish_with_message(format!("{}{reason}", ending.word()).chars().take(SHOWN).collect::<String>());
        }
        for effect in effects.values().filter(|effect| effect.mode == "builtin") {
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
            let text = format!("{}{} {}", effect.phase, attempts(effect), what(effect));
            let text: String = text.chars().take(SHOWN).collect();
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
