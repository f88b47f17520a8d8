//! Queues of due times and of work in each place.

use super::Engine;
use super::entry::State;
use crate::board::{Phase, Progress};
use crate::task::{Place, place};
use swoosh_types::ids::EffectId;

impl Engine {
    pub(super) fn progress(&self, id: EffectId) -> Progress {
        let Some(entry) = self.entries.get(&id) else {
            return Progress {
                id,
                phase: Phase::Closed,
                attempt: 0,
                begun_ms: None,
                next_ms: None,
                reason: None,
                step: None,
            };
        };
        let begun_ms = match entry.state {
            State::Running { begun_ms, .. } => Some(begun_ms),
            State::Waiting { .. } | State::Reporting { .. } | State::Proposed { .. } => None,
        };
        let held = self.held.filter(|_| matches!(entry.state, State::Waiting { .. }));
        let reason = entry.blocked.clone().or(held.map(|stop| stop.to_string())).or_else(|| entry.reason.clone());
        let phase = if held.is_some() { Phase::Suspended } else { entry.phase() };
        let (attempt, next_ms) = (entry.attempt, entry.due_ms().filter(|_| held.is_none()));
        Progress { id, phase, attempt, begun_ms, next_ms, reason, step: None }
    }

    /// When something is due by itself.
    pub fn wakes_at_ms(&self) -> Option<u64> {
        let starts = self.next_start();
        [starts, self.reports.first(), self.leases.first()].into_iter().flatten().map(|(at_ms, _)| *at_ms).min()
    }

    /// The first attempt that may begin when its time comes.
    pub(super) fn next_start(&self) -> Option<&(u64, EffectId)> {
        let is_free = |(_, id): &&(u64, EffectId)| {
            let place = place(id.effect);
            place == Place::Nowhere || !self.busy.contains(&(id.project.clone(), place))
        };
        if self.running < self.rules.workers && self.held.is_none() { self.starts.iter().find(is_free) } else { None }
    }

    /// Puts an effect where its time is waited for.
    pub(super) fn queue(&mut self, id: &EffectId) {
        self.changed.insert(id.clone());
        let Some(entry) = self.entries.get(id) else { return };
        if let Some(due_ms) = entry.due_ms() {
            let queue = if entry.is_report() { &mut self.reports } else { &mut self.starts };
            queue.insert((due_ms, id.clone()));
        }
        if let State::Running { begun_ms, cut: None } = entry.state {
            self.leases.insert((begun_ms + self.rules.lease_ms, id.clone()));
        }
    }

    pub(super) fn unqueue(&mut self, id: &EffectId) {
        let Some(entry) = self.entries.get(id) else { return };
        if let Some(due_ms) = entry.due_ms() {
            self.starts.remove(&(due_ms, id.clone()));
            self.reports.remove(&(due_ms, id.clone()));
        }
        if let State::Running { begun_ms, .. } = entry.state {
            self.leases.remove(&(begun_ms + self.rules.lease_ms, id.clone()));
        }
    }

    pub(super) fn set(&mut self, id: &EffectId, state: State) {
        self.unqueue(id);
        if let Some(entry) = self.entries.get_mut(id) {
            entry.state = state;
        }
        self.queue(id);
    }

    /// An attempt takes its place, or leaves it.
    pub(super) fn occupy(&mut self, id: &EffectId, begins: bool) {
        let place = (id.project.clone(), place(id.effect));
        if begins {
            self.running += 1;
            self.busy.insert(place);
        } else {
            self.running = self.running.saturating_sub(1);
            self.busy.remove(&place);
        }
    }
}
