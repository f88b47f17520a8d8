//! The engine: events in, commands out. No clock, no thread, no disk.

mod entry;
mod hands;
mod queues;

use std::collections::{BTreeMap, BTreeSet};

use entry::{Cut, Entry, State};

use super::board::Progress;
use super::host::{Answer, Doer, Open};
use super::note::Note;
use super::outcome::{self, Outcome, Report};
use super::task::{Place, is_idempotent};
use super::worker::{Ended, Failed};
use swoosh_hybridcore::leave::Stop;
use swoosh_types::back_off::BackOff;
use swoosh_types::ids::EffectId;
use swoosh_types::names::EffectName;
use swoosh_types::text::ProjectName;

/// How persistent the engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Attempts that run at once.
    pub workers: usize,
    /// Attempts at one effect before its failure is reported, at least 1.
    pub attempts: u32,
    /// The wait before the second attempt, in milliseconds; it doubles with each further one.
    pub retry_min_ms: u64,
    /// The longest wait.
    pub retry_max_ms: u64,
    /// The longest that one attempt may take, in milliseconds.
    pub lease_ms: u64,
    /// This process, in notes.
    pub holder: String,
    /// The log's present incarnation, in notes.
    pub incarnation: u64,
}

impl Rules {
    /// The wait after so many failures in a row.
    fn wait_ms(&self, failures: u32) -> u64 {
        let longest_ms = self.retry_max_ms.max(self.retry_min_ms);
        BackOff { first_ms: self.retry_min_ms, longest_ms, jitter_permille: 0 }.wait_ms(failures, 0)
    }
}

/// The next actions, in order. When a note cannot be stored, the later commands of its effect are skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Keep this on disk.
    Note { id: EffectId, note: Note },
    /// Begin an attempt.
    Start { id: EffectId, attempt: u32 },
    /// Tell an attempt to stop.
    Interrupt { id: EffectId },
    /// Propose an outcome.
    Propose { id: EffectId, outcome: Outcome },
    /// Deletes a note that is not needed any more.
    Forget { id: EffectId },
}

type Failing = (ProjectName, EffectName);

/// Entries of [`Engine::failing`] that are kept at most; past it the one that failed longest ago goes.
const MOST_FAILING: usize = 65_536;

/// Failures of one kind of effect in one project since the last success that was accepted.
#[derive(Clone, Debug, Default)]
struct Streak {
    failures: u32,
    /// Attempts at all of these effects.
    attempts: u32,
    /// Why the last one failed.
    reason: Option<String>,
    /// When the last one was reported.
    last_ms: u64,
}

#[derive(Debug)]
pub struct Engine {
    rules: Rules,
    entries: BTreeMap<EffectId, Entry>,
    /// Notes of other processes, until their effects are found open.
    left: BTreeMap<EffectId, Note>,
    /// When attempts and reports are due.
    starts: BTreeSet<(u64, EffectId)>,
    reports: BTreeSet<(u64, EffectId)>,
    /// When leases of running attempts end.
    leases: BTreeSet<(u64, EffectId)>,
    running: usize,
    /// Where attempts run.
    busy: BTreeSet<(ProjectName, Place)>,
    /// Why nothing may begin now, in any project.
    held: Option<Stop>,
    /// Failures in a row that were reported. Each one of them opens the effect again, and it waits longer each time. Only
    /// a success that was accepted ends a streak: one that was refused became a failure.
    failing: BTreeMap<Failing, Streak>,
    commands: Vec<Command>,
    changed: BTreeSet<EffectId>,
}

impl Engine {
    /// One that knows what earlier processes noted.
    pub fn new(rules: Rules, left: BTreeMap<EffectId, Note>) -> Engine {
        Engine {
            rules,
            entries: BTreeMap::new(),
            left,
            starts: BTreeSet::new(),
            reports: BTreeSet::new(),
            leases: BTreeSet::new(),
            running: 0,
            busy: BTreeSet::new(),
            held: None,
            failing: BTreeMap::new(),
            commands: Vec::new(),
            changed: BTreeSet::new(),
        }
    }

    /// The next commands, in order.
    pub fn take_commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }

    /// The changes since the last call.
    pub fn take_changes(&mut self) -> Vec<Progress> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|id| self.progress(id)).collect()
    }

    /// Attempts that run.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Projects that have an effect here.
    pub fn projects(&self) -> BTreeSet<ProjectName> {
        self.entries.keys().map(|id| id.project.clone()).collect()
    }

    /// Updates the open effects of a project.
    pub fn found(&mut self, project: &ProjectName, open: &[Open], now_ms: u64) {
        let known: Vec<_> = of(&self.entries, project).cloned().collect();
        let gone = known.iter().filter(|id| !open.iter().any(|open| open.id == **id));
        gone.for_each(|id| self.gone(id));
        let left: Vec<_> =
            of(&self.left, project).filter(|id| !open.iter().any(|open| open.id == **id)).cloned().collect();
        left.iter().for_each(|id| drop(self.left.remove(id)));
        for open in open {
            if self.entries.contains_key(&open.id) {
                self.look(open, now_ms);
            } else {
                self.opened(open, now_ms);
            }
        }
    }

    /// The effect was answered or cancelled.
    fn gone(&mut self, id: &EffectId) {
        // Its lease must not run out any more: that would be another reason to stop, and this one is final.
        self.unqueue(id);
        let Some(entry) = self.entries.get_mut(id) else { return };
        match &mut entry.state {
            State::Running { cut: cut @ (None | Some(Cut::Blocked | Cut::Overdue | Cut::HandedOver)), .. } => {
                *cut = Some(Cut::Gone);
                self.commands.push(Command::Interrupt { id: id.clone() });
            }
            State::Running { .. } => {}
            State::Waiting { .. } | State::Reporting { .. } | State::Proposed { .. } => self.drop_entry(id),
        }
    }

    fn drop_entry(&mut self, id: &EffectId) {
        self.unqueue(id);
        if self.entries.remove(id).is_some() {
            // Its rows went with the record that closed it; a note that was written in between must go as well.
            self.commands.push(Command::Forget { id: id.clone() });
            self.changed.insert(id.clone());
        }
    }

    fn opened(&mut self, open: &Open, now_ms: u64) {
        if open.held.is_none() && self.is_others(open) {
            return;
        }
        let id = open.id.clone();
        let mut entry = Entry {
            state: State::Waiting { until_ms: now_ms },
            attempt: 0,
            before: 0,
            failures: 0,
            refusals: 0,
            seen: open.seen,
            blocked: open.blocked.clone(),
            doer: open.doer,
            held: open.held.is_some(),
            reason: None,
        };
        match self.left.remove(&id) {
            _ if open.held.is_some() => {}
            note if self.may_have_been_done(open, note.as_ref()) => {
                entry.attempt = note.map_or(0, |note| note.attempt);
                let after = match open.doer {
                    Doer::Node => "the log was restored or taken over after this effect was opened",
                    Doer::NodeAfterOthers => "others had this effect before the node",
                    Doer::Workers | Doer::Whoosh => "the node had this effect before others",
                };
                let text =
                    format!("{after}, and whether it was worked at is unknown; look at what it made, and take it down");
                self.unknown(&id, &mut entry, &text, now_ms);
            }
            Some(note) => self.resume(&id, &mut entry, note, now_ms),
            None => self.follow_up(open, &mut entry, now_ms),
        }
        if let Some(outcome) = open.held.clone() {
            entry.state = State::Reporting { outcome, until_ms: now_ms };
        }
        self.entries.insert(id.clone(), entry);
        self.queue(&id);
    }

    /// Begins where earlier effects of the same work ended: with their attempts and the last reason, after a wait. The record knows
    /// of failures before this process began.
    fn follow_up(&self, open: &Open, entry: &mut Entry, now_ms: u64) {
        (entry.before, entry.reason) = (open.failures, open.last_failure.clone());
        if let Some(streak) = self.failing.get(&(open.id.project.clone(), open.id.effect)) {
            let until_ms = streak.last_ms.saturating_add(self.rules.wait_ms(streak.failures));
            entry.state = State::Waiting { until_ms: until_ms.max(now_ms) };
            entry.before = entry.before.max(streak.attempts);
            entry.reason = streak.reason.clone().or(entry.reason.take());
        }
        entry.attempt = entry.before;
    }

    /// Goes on from what another process left.
    fn resume(&mut self, id: &EffectId, entry: &mut Entry, note: Note, now_ms: u64) {
        let attempt = note.attempt;
        (entry.attempt, entry.failures) = (attempt, note.failures);
        if let Some(outcome) = note.outcome {
            entry.state = State::Reporting { outcome, until_ms: now_ms };
            return;
        }
        if note.ended {
            entry.state = State::Waiting { until_ms: now_ms + self.rules.wait_ms(note.failures) };
            return;
        }
        let cut_short = format!("the node stopped during attempt {attempt}");
        entry.reason = Some(cut_short.clone());
        // An effect that crashes the node each time must not be tried for ever.
        entry.failures += 1;
        if !is_idempotent(id.effect) || entry.failures >= self.rules.attempts {
            let text = format!("{cut_short}, and how far it came is unknown; look at what it made, and take it down");
            self.unknown(id, entry, &text, now_ms);
        }
    }

    /// Whether work that must not be done twice may have been done before this incarnation of the log began, by the
    /// node whose log this was or after the record that the log was cut at, or by others who had the effect before. A
    /// note of this incarnation says what the node did since; an outcome in a note always counts.
    fn may_have_been_done(&self, open: &Open, note: Option<&Note>) -> bool {
        let by_others = open.doer != Doer::Node;
        let says = |note: &Note| note.outcome.is_some() || (!by_others && note.incarnation == self.rules.incarnation);
        (open.inherited || by_others) && !is_idempotent(open.id.effect) && !note.is_some_and(says)
    }

    /// Keeps and reports that whether the work was done is unknown.
    fn unknown(&mut self, id: &EffectId, entry: &mut Entry, text: &str, now_ms: u64) {
        let outcome = outcome::failed(id, text, true, Report::default());
        let kept = Note { ended: true, outcome: Some(outcome.clone()), ..self.note(entry, 0) };
        self.commands.push(Command::Note { id: id.clone(), note: kept });
        self.failed_again(id, entry.attempt, Some(text.to_owned()), now_ms);
        entry.state = State::Reporting { outcome, until_ms: now_ms };
    }

    /// Counts a failure that is reported.
    fn failed_again(&mut self, id: &EffectId, attempts: u32, reason: Option<String>, now_ms: u64) {
        let streak = self.failing.entry((id.project.clone(), id.effect)).or_default();
        let failures = streak.failures.saturating_add(1);
        *streak = Streak { failures, attempts: attempts.max(streak.attempts), reason, last_ms: now_ms };
        if self.failing.len() > MOST_FAILING
            && let Some(oldest) =
                self.failing.iter().min_by_key(|(_, streak)| streak.last_ms).map(|(key, _)| key.clone())
        {
            self.failing.remove(&oldest);
        }
    }

    fn note(&self, entry: &Entry, begun_ms: u64) -> Note {
        let (attempt, failures, holder) = (entry.attempt, entry.failures, self.rules.holder.clone());
        let incarnation = self.rules.incarnation;
        Note { attempt, failures, holder, begun_ms, incarnation, ended: false, outcome: None }
    }

    /// An effect that is known already, as its project has it now.
    fn look(&mut self, open: &Open, now_ms: u64) {
        let (id, blocked) = (&open.id, &open.blocked);
        if self.entries.get(id).is_some_and(|entry| entry.held) && open.held.is_none() {
            return self.let_go(open, now_ms);
        }
        if self.entries.get(id).is_some_and(|entry| entry.doer != open.doer) && open.held.is_none() {
            self.change_hands(open, now_ms);
        }
        self.unqueue(id);
        let Some(entry) = self.entries.get_mut(id) else { return };
        let was_blocked = entry.blocked.is_some();
        let moved = std::mem::replace(&mut entry.seen, open.seen) != open.seen;
        entry.blocked.clone_from(blocked);
        match &mut entry.state {
            State::Running { cut: cut @ None, .. } if blocked.is_some() => {
                *cut = Some(Cut::Blocked);
                self.commands.push(Command::Interrupt { id: id.clone() });
            }
            // The project goes on, so the wait ends.
            State::Waiting { until_ms } | State::Reporting { until_ms, .. } if was_blocked && blocked.is_none() => {
                *until_ms = now_ms;
            }
            // The project moved, so what was refused may pass now.
            State::Reporting { until_ms, .. } if entry.refusals > 0 && moved => *until_ms = now_ms,
            State::Waiting { .. } | State::Running { .. } | State::Reporting { .. } | State::Proposed { .. } => {}
        }
        self.queue(id);
    }

    /// Drops a held outcome: its bringer lost the right to it. The node takes the work over, unless it must not be
    /// done twice, because the worker did it.
    fn let_go(&mut self, open: &Open, now_ms: u64) {
        self.unqueue(&open.id);
        self.entries.remove(&open.id);
        self.opened(open, now_ms);
        // Workers go on with what is theirs.
        if is_idempotent(open.id.effect) || matches!(open.doer, Doer::Workers | Doer::Whoosh) {
            return;
        }
        self.unqueue(&open.id);
        if let Some(mut entry) = self.entries.remove(&open.id) {
            let text = "a worker did it whose outcome does not count any more; look at what it made, and take it down";
            self.unknown(&open.id, &mut entry, text, now_ms);
            self.entries.insert(open.id.clone(), entry);
        }
        self.queue(&open.id);
    }

    /// Whether anything may begin, in any project.
    pub fn hold(&mut self, held: Option<Stop>) {
        if self.held != held {
            self.held = held;
            let waiting = self.entries.iter().filter(|(_, entry)| matches!(entry.state, State::Waiting { .. }));
            self.changed.extend(waiting.map(|(id, _)| id.clone()));
            if held.is_none() {
                self.report_now();
            }
        }
    }

    /// Whether something holds every project back.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// The license came back: outcomes that were rejected may pass now.
    fn report_now(&mut self) {
        let refused = |entry: &Entry| entry.is_report() && entry.refusals > 0;
        let refused: Vec<_> =
            self.entries.iter().filter(|(_, entry)| refused(entry)).map(|(id, _)| id.clone()).collect();
        for id in refused {
            if let Some(Entry { state: State::Reporting { outcome, .. }, .. }) = self.entries.get(&id).cloned() {
                self.set(&id, State::Reporting { outcome, until_ms: 0 });
            }
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now_ms: u64) {
        while let Some((_, id)) = self.leases.first().filter(|(at_ms, _)| *at_ms <= now_ms).cloned() {
            self.overdue(&id);
        }
        while let Some((_, id)) = self.reports.first().filter(|(at_ms, _)| *at_ms <= now_ms).cloned() {
            self.propose(&id);
        }
        while let Some((_, id)) = self.next_start().filter(|(at_ms, _)| *at_ms <= now_ms).cloned() {
            self.start(&id, now_ms);
        }
    }

    fn overdue(&mut self, id: &EffectId) {
        self.unqueue(id);
        if let Some(Entry { state: State::Running { cut, .. }, .. }) = self.entries.get_mut(id) {
            *cut = Some(Cut::Overdue);
            self.commands.push(Command::Interrupt { id: id.clone() });
        }
        self.queue(id);
    }

    fn propose(&mut self, id: &EffectId) {
        self.unqueue(id);
        if let Some(entry) = self.entries.get_mut(id)
            && let State::Reporting { outcome, .. } = entry.state.clone()
        {
            entry.state = State::Proposed { outcome: outcome.clone() };
            self.commands.push(Command::Propose { id: id.clone(), outcome });
        }
        self.queue(id);
    }

    fn start(&mut self, id: &EffectId, now_ms: u64) {
        self.unqueue(id);
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.attempt += 1;
        entry.state = State::Running { begun_ms: now_ms, cut: None };
        let attempt = entry.attempt;
        if let Some(entry) = self.entries.get(id) {
            let note = self.note(entry, now_ms);
            self.commands.push(Command::Note { id: id.clone(), note });
        }
        self.commands.push(Command::Start { id: id.clone(), attempt });
        self.occupy(id, true);
        self.queue(id);
    }

    /// An attempt was not begun after all, and left no trace; something outside does not let it.
    pub fn not_begun(&mut self, id: &EffectId, why: &str, now_ms: u64) {
        let Some(Entry { state: State::Running { cut, .. }, .. }) = self.entries.get(id) else { return };
        let gone = *cut == Some(Cut::Gone);
        self.occupy(id, false);
        if gone {
            return self.end_gone(id);
        }
        self.set(id, State::Waiting { until_ms: now_ms + self.rules.retry_min_ms });
        if let Some(entry) = self.entries.get_mut(id) {
            entry.attempt = entry.attempt.saturating_sub(1);
            entry.reason = Some(why.to_owned());
        }
    }

    fn end_gone(&mut self, id: &EffectId) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.state = State::Waiting { until_ms: u64::MAX };
        }
        self.drop_entry(id);
    }

    /// A note could not be kept: the outcome that it holds is kept in memory, and noted with the next change.
    pub fn note_failed(&mut self, id: &EffectId, note: &Note, why: &str, now_ms: u64) {
        let until_ms = now_ms + self.rules.retry_max_ms.min(self.rules.retry_min_ms.saturating_mul(10));
        match &note.outcome {
            Some(outcome) => self.set(id, State::Reporting { outcome: outcome.clone(), until_ms }),
            None if note.ended => {}
            None => self.not_begun(id, why, now_ms),
        }
    }

    pub fn ended(&mut self, id: &EffectId, attempt: u32, ended: Ended, now_ms: u64) {
        let Some(entry) = self.entries.get(id).filter(|entry| entry.attempt == attempt) else { return };
        let State::Running { begun_ms, cut } = entry.state else { return };
        self.occupy(id, false);
        self.unqueue(id);
        if cut == Some(Cut::Gone) {
            return self.end_gone(id);
        }
        if cut == Some(Cut::HandedOver) {
            return self.end_handed_over(id, ended, begun_ms, now_ms);
        }
        match ended {
            Ended::Done(outcome) => self.report(id, outcome, begun_ms, now_ms),
            Ended::Failed(failed) => self.failed(id, failed, begun_ms, now_ms),
            Ended::Stopped(_) if cut == Some(Cut::Overdue) => {
                let limit_s = self.rules.lease_ms / 1_000;
                let reason = format!("it was not done within {limit_s} s; raise effects.lease_ms, or make it less");
                self.failed(id, Failed::passing(reason), begun_ms, now_ms);
            }
            Ended::Stopped(stop) => self.stopped(id, stop, begun_ms, now_ms),
        }
    }

    fn failed(&mut self, id: &EffectId, failed: Failed, begun_ms: u64, now_ms: u64) {
        let attempts = self.rules.attempts;
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.reason = Some(failed.reason.clone());
        entry.failures += 1;
        if !failed.again || entry.failures >= attempts {
            let text = format!("{} (attempt {})", failed.reason, entry.attempt);
            let outcome = outcome::failed(id, &text, false, *failed.report);
            return self.report(id, outcome, begun_ms, now_ms);
        }
        let failures = entry.failures;
        self.rest(id, begun_ms, now_ms + self.rules.wait_ms(failures));
    }

    /// A stopped attempt is no failure: the work goes on later.
    fn stopped(&mut self, id: &EffectId, stop: Stop, begun_ms: u64, now_ms: u64) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.reason = Some(stop.to_string());
        }
        self.rest(id, begun_ms, now_ms + self.rules.retry_min_ms);
    }

    /// Notes that nothing of the attempt runs any more, and waits.
    fn rest(&mut self, id: &EffectId, begun_ms: u64, until_ms: u64) {
        if let Some(entry) = self.entries.get(id) {
            let note = Note { ended: true, ..self.note(entry, begun_ms) };
            self.commands.push(Command::Note { id: id.clone(), note });
        }
        self.set(id, State::Waiting { until_ms });
    }

    /// Keeps an outcome on disk, and proposes it.
    fn report(&mut self, id: &EffectId, outcome: Outcome, begun_ms: u64, now_ms: u64) {
        if let Some(entry) = self.entries.get(id) {
            let (attempts, reason) = (entry.attempt, entry.reason.clone());
            let note = Note { ended: true, outcome: Some(outcome.clone()), ..self.note(entry, begun_ms) };
            self.commands.push(Command::Note { id: id.clone(), note });
            if outcome.transition == outcome::failed_transition(id.effect) {
                self.failed_again(id, attempts, reason, now_ms);
            }
        }
        self.set(id, State::Reporting { outcome, until_ms: now_ms });
    }

    /// The answer to a proposed outcome.
    pub fn answered(&mut self, id: &EffectId, answer: Answer, now_ms: u64) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let State::Proposed { outcome } = entry.state.clone() else { return };
        let failed = outcome.transition == outcome::failed_transition(id.effect);
        match answer {
            Answer::Accepted => {
                if !failed {
                    self.failing.remove(&(id.project.clone(), id.effect));
                }
                self.drop_entry(id);
            }
            Answer::Refused(why) if !failed => {
                entry.refusals = 0;
                entry.reason = Some(why.clone());
                let text = format!("{} does not pass: {why}", outcome.transition);
                let instead = outcome::failed(id, &text, false, outcome.made());
                self.report(id, instead, now_ms, now_ms);
            }
            Answer::Later(why) | Answer::Refused(why) => {
                entry.refusals += 1;
                entry.reason = Some(why);
                let until_ms = now_ms + self.rules.wait_ms(entry.refusals);
                self.set(id, State::Reporting { outcome, until_ms });
            }
        }
    }

    /// Tells every attempt to stop: the node stops.
    pub fn stop(&mut self) {
        for (id, entry) in &mut self.entries {
            if let State::Running { cut: cut @ None, .. } = &mut entry.state {
                *cut = Some(Cut::Blocked);
                self.commands.push(Command::Interrupt { id: id.clone() });
            }
        }
        (self.starts, self.reports, self.leases) = Default::default();
    }
}

fn of<'a, T>(map: &'a BTreeMap<EffectId, T>, project: &ProjectName) -> impl Iterator<Item = &'a EffectId> + use<'a, T> {
    let first = EffectId { project: project.clone(), index: 0, digest: None, effect: EffectName::ALL[0] };
    let ours = project.clone();
    map.range(first..).map(|(id, _)| id).take_while(move |id| id.project == ours)
}
