//! Follows a project until an expression holds.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Waited;
use super::expression::{Expression, Moment};
use super::hopeless::{self, Failure};
use crate::cli::connect::Node;
use crate::cli::health;
use crate::cli::names;
use crate::cli::output;
use crate::cli::state;
use crate::cli::time::{Span, spell};
use crate::client::{EventStream, ReadError, StateView};
use crate::machine::head::Head;
use crate::types::event_id::EventId;
use crate::types::names::Region;
use crate::types::rejection::Code;
use crate::types::text::ProjectName;

/// How long an event is waited for before the state is read without one.
const LOOK: Duration = Duration::from_secs(2);
/// The wait before a node that does not answer is asked again.
const AGAIN: Duration = Duration::from_millis(300);
/// Silence after which open work is reported.
const SILENCE: Duration = Duration::from_secs(10);

/// A wait.
pub(in crate::cli) struct Waiting<'a> {
    node: &'a Node,
    project: ProjectName,
    goals: Vec<Expression>,
    fail_on: Vec<Failure>,
    began: Instant,
    most: Duration,
    stream: Option<EventStream>,
    /// The last event that was heard, to go on after it.
    heard: Option<EventId>,
    /// Index of the last record that was looked at because of its event.
    seen: u64,
    /// What is said of a project without a record, while it has none.
    absent: Option<String>,
    /// The last answer of the node that gave no state.
    answered: Option<String>,
    progress: Progress,
}

/// What was printed.
#[derive(Default)]
struct Progress {
    regions: Option<Vec<&'static str>>,
    is_down: bool,
    spoke: Option<Instant>,
    /// The last text about open work, which is printed again only after a change.
    silent: Option<String>,
}

/// The result of waiting for an event.
enum Heard {
    Record(u64),
    Nothing,
}

impl Waiting<'_> {
    /// A wait for one of these goals.
    pub fn new(node: &Node, project: ProjectName, goals: Vec<Expression>, timeout: Span) -> Waiting<'_> {
        let (began, most) = (Instant::now(), Duration::from_millis(timeout.0));
        let (fail_on, progress) = (Vec::new(), Progress::default());
        let (stream, heard, absent, answered) = (None, None, None, None);
        Waiting { node, project, goals, fail_on, began, most, stream, heard, seen: 0, absent, answered, progress }
    }

    /// Ends for these failures too.
    pub(super) fn failing_on(mut self, failures: Vec<Failure>) -> Self {
        self.fail_on = failures;
        self
    }

    /// Waits. An error is an answer of the node that waiting does not change.
    pub fn run(mut self) -> anyhow::Result<Waited> {
        let mut last = None;
        let mut record = None;
        loop {
            self.listen();
            match self.look(record)? {
                Some((view, moment)) => {
                    if let Some(end) = self.judge(view, &moment) {
                        return Ok(end);
                    }
                    last = Some(moment);
                }
                None => self.rest(AGAIN),
            }
            if self.left().is_zero() {
                return Ok(Waited::TimeOver { missing: self.missing(last.as_ref()) });
            }
            record = match self.hear() {
                Heard::Record(index) => Some(index),
                Heard::Nothing => None,
            };
        }
    }

    fn left(&self) -> Duration {
        self.most.saturating_sub(self.began.elapsed())
    }

    fn rest(&self, wait: Duration) {
        std::thread::sleep(wait.min(self.left()));
    }

    /// Listens to the project's records. Without a stream the state is read from time to time.
    fn listen(&mut self) {
        if self.stream.is_none() {
            let (node, client) = (self.node, self.node.client());
            self.stream = node.wait(client.events(Some(&self.project), "transition", self.heard)).ok();
        }
    }

    /// The state after a record, or the present one. None where the node does not answer.
    fn look(&mut self, record: Option<u64>) -> anyhow::Result<Option<(StateView, Moment)>> {
        let node = self.node;
        let read = match record {
            Some(index) => node.wait(node.client().state_at(&self.project, None, index)),
            None => node.wait(node.client().state(&self.project, None)),
        };
        let view = match read {
            Ok(view) => {
                self.absent = None;
                view
            }
            Err(error) if is_missing(&error) => {
                if self.absent.is_none() {
                    self.absent = Some(names::absence(node, &self.project));
                }
                state::view_of(&Head::genesis(&self.project), 0)?
            }
            // The record may be pruned; the present state is there.
            Err(ReadError::Problem(_)) if record.is_some() => return self.look(None),
            Err(error) if error.is_passing() => {
                self.report_down(&error);
                return Ok(None);
            }
            Err(error) => return node.ask(async { Err(error) }),
        };
        let head = state::head_of(&view)?;
        let moment = Moment::new(view.index, head.state().clone())?;
        if record.is_none() && self.progress.regions.is_none() {
            self.seen = view.index;
        }
        self.progress.is_down = false;
        Ok(Some((view, moment)))
    }

    /// The end of the wait, if this state is one.
    fn judge(&mut self, view: StateView, moment: &Moment) -> Option<Waited> {
        if let Some(goal) = self.goals.iter().find(|goal| goal.holds(moment)) {
            let after_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            return Some(Waited::Reached { goal: goal.text().to_owned(), view: Box::new(view), after_ms });
        }
        if let Some(why) = hopeless::reason(moment.state(), &self.fail_on) {
            return Some(Waited::Unreachable { why: format!("{why} (waiting for {})", self.goal_text()) });
        }
        self.report(moment);
        None
    }

    fn goal_text(&self) -> String {
        self.goals.iter().map(Expression::text).collect::<Vec<_>>().join(" or ")
    }

    /// Waits for the next record's event.
    fn hear(&mut self) -> Heard {
        let wait = LOOK.min(self.left());
        let Some(stream) = &mut self.stream else {
            self.rest(AGAIN);
            return Heard::Nothing;
        };
        let event = match self.node.wait(async { tokio::time::timeout(wait, stream.next()).await }) {
            Err(_) => {
                self.report_silence();
                return Heard::Nothing;
            }
            Ok(Ok(Some(event))) => event,
            Ok(Ok(None) | Err(_)) => {
                self.stream = None;
                self.rest(AGAIN);
                return Heard::Nothing;
            }
        };
        self.heard = event.id.or(self.heard);
        match event.data["index"].as_u64().filter(|index| event.kind == "transition" && *index > self.seen) {
            Some(index) => {
                self.seen = index;
                Heard::Record(index)
            }
            None => Heard::Nothing,
        }
    }

    /// What is missing at the end: conditions, blocks and open work.
    fn missing(&self, last: Option<&Moment>) -> String {
        let Some(moment) = last else {
            let address = self.node.client().address();
            return match &self.answered {
                Some(answer) => format!("the node at {address} answered: {answer}"),
                None => format!("the node at {address} did not answer"),
            };
        };
        let conditions: Vec<String> = self.goals.iter().map(|goal| goal.missing(moment).join(", ")).collect();
        let mut parts: Vec<String> = self.absent.clone().into_iter().collect();
        parts.push(format!("{} at record {}", conditions.join(" or "), moment.index()));
        let control = &moment.state().control;
        parts.extend(control.paused.then(|| "the project is paused".to_owned()));
        parts.extend(control.recovery.then(|| "the project is in recovery".to_owned()));
        parts.extend(hopeless::reason(moment.state(), &[Failure::Quarantined]));
        parts.extend(hopeless::failed_effect(moment.state()));
        parts.extend(self.open_work());
        parts.join("; ")
    }

    /// Open effects with what each waits for, and why the node takes no proposals.
    fn open_work(&self) -> Vec<String> {
        let effects = self.node.wait(self.node.client().effects(Some(&self.project))).unwrap_or_default();
        let line = |effect: &crate::client::EffectView| {
            let more = effect.reason.as_ref().or(effect.step.as_ref()).map(|more| format!(" ({more})"));
            format!("{} {}{}", effect.id, effect.phase, more.unwrap_or_default())
        };
        effects.iter().map(line).chain(health::refusal(self.node)).collect()
    }

    fn note(&mut self, document: Value, text: &str) {
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.progress.spoke = Some(Instant::now());
        let mut document = document;
        document["elapsed_ms"] = elapsed_ms.into();
        output::note(&document, || format!("+{:<9} {text}", spell(elapsed_ms / 100 * 100)));
    }

    /// Prints regions that changed.
    fn report(&mut self, moment: &Moment) {
        let now: Vec<&'static str> = Region::ALL.iter().map(|region| moment.state().region_state(*region)).collect();
        let Some(before) = self.progress.regions.replace(now.clone()) else {
            let (goal, index) = (self.goal_text(), moment.index());
            let first: Vec<String> = self.goals.iter().flat_map(|goal| goal.missing(moment)).collect();
            let mut document = json!({"waiting_for": goal, "project": self.project, "index": index, "missing": first});
            let (most, missing) = (spell(u64::try_from(self.most.as_millis()).unwrap_or(u64::MAX)), first.join(", "));
            let mut text =
                format!("waiting for {goal}, {most} at most; project {} at record {index}: {missing}", self.project);
            if let Some(absent) = &self.absent {
                document["absent"] = absent.as_str().into();
                text = format!("{text}; {absent}");
            }
            self.note(document, &text);
            return;
        };
        let changed = Region::ALL.iter().zip(before.iter().zip(&now)).filter(|(_, (before, now))| before != now);
        let changed: Vec<String> =
            changed.map(|(region, (before, now))| format!("{region} {before} → {now}")).collect();
        if !changed.is_empty() {
            let document = json!({"index": moment.index(), "changed": changed});
            self.note(document, &format!("record {}: {}", moment.index(), changed.join(", ")));
        }
    }

    fn report_silence(&mut self) {
        if self.progress.spoke.is_none_or(|spoke| spoke.elapsed() < SILENCE) {
            return;
        }
        let open = self.open_work();
        let text = match open.is_empty() {
            true => "no work is open: the project waits for a proposal; `swoosh transitions` lists the possible ones"
                .to_owned(),
            false => format!("open: {}", open.join("; ")),
        };
        self.progress.spoke = Some(Instant::now());
        if self.progress.silent.as_ref() != Some(&text) {
            self.note(json!({"open": open}), &text);
            self.progress.silent = Some(text);
        }
    }

    fn report_down(&mut self, error: &ReadError) {
        self.stream = None;
        self.answered = error.problem().map(|_| error.to_string());
        if !self.progress.is_down {
            self.progress.is_down = true;
            self.note(json!({"unanswered": error.to_string()}), &format!("{error}; asking again"));
        }
    }
}

/// Whether the project has no record yet: its state is the genesis state.
fn is_missing(error: &ReadError) -> bool {
    error.problem().is_some_and(|problem| problem.code == Code::UnknownProject)
}
