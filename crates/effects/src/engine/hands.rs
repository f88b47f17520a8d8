//! Effects that pass to other doers, or come back from them.

use super::entry::{Cut, State};
use super::{Command, Engine};
use crate::host::{Doer, Open};
use crate::note::Note;
use crate::task::is_idempotent;
use crate::worker::Ended;
use swoosh_types::ids::EffectId;

impl Engine {
    /// Whether an effect that is new to the engine is left to others. Work that the node began and must not do twice
    /// is reported first. A note stays if the effect may come back.
    pub(super) fn is_others(&mut self, open: &Open) -> bool {
        match open.doer {
            Doer::Node | Doer::NodeAfterOthers => false,
            Doer::Whoosh => true,
            Doer::Workers => {
                let says = |note: &Note| note.outcome.is_some() || !is_idempotent(open.id.effect);
                let others = !self.left.get(&open.id).is_some_and(says);
                if others && self.left.remove(&open.id).is_some() {
                    self.commands.push(Command::Forget { id: open.id.clone() });
                }
                others
            }
        }
    }

    /// Passes a known effect to another doer. A running attempt is interrupted first.
    pub(super) fn change_hands(&mut self, open: &Open, now_ms: u64) {
        let id = &open.id;
        self.unqueue(id);
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.doer = open.doer;
        let leaves = matches!(open.doer, Doer::Workers | Doer::Whoosh);
        match &mut entry.state {
            State::Running { cut: cut @ (None | Some(Cut::Blocked | Cut::Overdue)), .. } if leaves => {
                *cut = Some(Cut::HandedOver);
                self.commands.push(Command::Interrupt { id: id.clone() });
            }
            State::Running { .. } => {}
            // An outcome is there: it is proposed, except where WHOOSH decides.
            State::Reporting { .. } | State::Proposed { .. } if open.doer != Doer::Whoosh => {}
            State::Waiting { .. } | State::Reporting { .. } | State::Proposed { .. } => {
                return self.begin_again(open, now_ms);
            }
        }
        self.queue(id);
    }

    /// An attempt that was interrupted because others took the effect over has ended.
    pub(super) fn end_handed_over(&mut self, id: &EffectId, ended: Ended, begun_ms: u64, now_ms: u64) {
        match ended {
            Ended::Done(outcome) => self.report(id, outcome, begun_ms, now_ms),
            Ended::Failed(_) | Ended::Stopped(_) => self.rest(id, begun_ms, now_ms),
        }
        let Some(entry) = self.entries.get(id) else { return };
        if entry.is_report() && entry.doer != Doer::Whoosh {
            return;
        }
        let (id, seen, blocked, doer) = (id.clone(), entry.seen, entry.blocked.clone(), entry.doer);
        let open = Open {
            id,
            opened_at_ms: 0,
            seen,
            blocked,
            inherited: false,
            doer,
            failures: 0,
            last_failure: None,
            held: None,
        };
        self.begin_again(&open, now_ms);
    }

    /// Looks at an effect as if it were new, with what the engine knows of it in the place of what a process left.
    fn begin_again(&mut self, open: &Open, now_ms: u64) {
        self.unqueue(&open.id);
        let Some(entry) = self.entries.remove(&open.id) else { return };
        let outcome = match &entry.state {
            State::Reporting { outcome, .. } | State::Proposed { outcome } => Some(outcome.clone()),
            State::Waiting { .. } | State::Running { .. } => None,
        };
        if entry.attempt > entry.before || outcome.is_some() {
            let note = Note { ended: true, outcome, ..self.note(&entry, 0) };
            self.left.insert(open.id.clone(), note);
        }
        self.changed.insert(open.id.clone());
        self.opened(open, now_ms);
    }
}
