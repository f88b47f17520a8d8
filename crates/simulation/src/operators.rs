//! Operators' work on the directory of a stopped node, by the functions behind `swoosh wal accept` and `swoosh
//! promote`. Only the first may give up acknowledged records.

use super::disk::Trap;
use super::oracle::Violation;
use super::well_formed::reading;
use super::world::World;
use swoosh_journal::{AcceptError, IncarnationError, Journal};
use swoosh_machine::chart;
use swoosh_machine::state::State;
use swoosh_testkit::random::Random;
use swoosh_types::ids::EffectId;
use swoosh_types::names::Transition;

/// An operator's task, repeated until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// `swoosh wal accept`.
    AcceptLoss,
    /// `swoosh promote`, of a directory that follows already.
    Promote,
}

impl World {
    /// Replaces the directory by an older copy; the newer one stays lost.
    pub(super) fn lose_and_accept(&mut self, random: &mut Random) -> bool {
        if !self.put_older_copy_back(random) {
            return false;
        }
        self.order = Some(Order::AcceptLoss);
        true
    }

    /// The directory, or an older copy of it, is taken for that of a follower. One that lost records is refused, and the
    /// newer copy is put back some turns later.
    pub(super) fn take_over(&mut self, random: &mut Random) -> bool {
        if self.moods.damaged.is_some() || self.order.is_some() {
            return false;
        }
        let older = random.below(2) == 0 && self.put_older_copy_back(random);
        if !older {
            self.end_process(random);
        }
        // Whether the node follows must be known afterwards.
        self.site.disk.disarm();
        match Journal::set_following(&self.site.journal(), "node-1") {
            Ok(()) => self.order = Some(Order::Promote),
            Err(_) if older => return self.damage(true, random),
            Err(_) => {}
        }
        true
    }

    fn put_older_copy_back(&mut self, random: &mut Random) -> bool {
        let can = self.moods.damaged.is_none() && self.order.is_none();
        // No order makes a journal of an empty directory: `swoosh wal accept` and `swoosh promote` refuse it.
        if !can || !self.site.disk.has_copy_of_a_journal() || !self.site.disk.put_copy_back() {
            self.site.disk.keep_copy();
            return false;
        }
        // A copy that was kept while a row was flipped is no copy that an operator would accept.
        self.site.disk.mend_rows();
        self.site.disk.switch_off(Trap::Kill);
        self.go_off(random);
        true
    }

    /// Goes on with what was begun, until it is done. A trap may interrupt it.
    pub(super) fn carry_out(&mut self, order: Order, random: &mut Random) -> Result<(), Violation> {
        let done = match order {
            Order::AcceptLoss => self.accept_loss(),
            Order::Promote => self.promote(),
        };
        let interrupted = self.is_excused() || self.site.disk.is_full();
        match done {
            Ok(next) => self.order = next,
            Err(_) if interrupted => self.tally.count("orders interrupted"),
            Err(what) => return Err(Violation { invariant: "orders-end", what }),
        }
        self.after_work(random)
    }

    fn accept_loss(&mut self) -> Result<Option<Order>, String> {
        let place = self.site.journal();
        let loss = match Journal::loss(&place) {
            Ok(loss) => loss,
            // The older copy lacks nothing that was promised; it may follow, and no node starts on it then.
            Err(AcceptError::Whole { .. }) => return Ok(Some(Order::Promote)),
            Err(error) => return Err(error.to_string()),
        };
        let at = reading(self.now_ms());
        let mark = Journal::accept_end(&place, &loss, at, "an operator").map_err(|error| error.to_string())?;
        let lost = self.oracle.given_up(mark.index);
        self.workers.given_up();
        // Workers had taken the lost work up, and the client of the first lost record asks for it once more.
        lost.iter().for_each(|(effect, opened_by)| self.workers.takes(effect, *opened_by));
        let next = lost.first().map(|(effect, _)| effect).filter(|effect| effect.index == mark.index + 1);
        self.moods.asks_again = next.map(|effect| (effect.clone(), self.turn + 40));
        next.into_iter().for_each(|effect| self.waits_no_more(&effect.project));
        self.tally.count("losses accepted");
        // A copy from before a promotion follows, and no node starts on it.
        Ok(loss.follows.map(|_| Order::Promote))
    }

    /// Whether a client may send now. No client may while its project is left alone; only one may after a loss that
    /// is to be reviewed once more.
    pub(super) fn may_send(&self, client: usize) -> bool {
        let Some(project) = self.project(client) else { return false };
        let alone = self.moods.unasked.as_ref().is_some_and(|(unasked, _)| *unasked == project);
        !alone && self.moods.asks_again.as_ref().is_none_or(|(effect, _)| effect.project == project)
    }

    /// The lost index was taken, or too much time passed.
    pub(super) fn no_longer_asks_again(&mut self) {
        let (next, turn) = (self.oracle.last().0 + 1, self.turn);
        self.moods.asks_again.take_if(|(effect, until)| effect.index != next || *until <= turn);
    }

    /// The transition that opens the lost effect again, where it may start.
    pub(super) fn asked_again(&self, state: &State, random: &mut Random) -> Option<Transition> {
        let (lost, _) = self.moods.asks_again.as_ref().filter(|(lost, _)| lost.project == state.meta.project)?;
        let specs = Transition::ALL.iter().map(|transition| chart::spec(*transition));
        let opening = specs.filter(|spec| spec.opens.contains(&lost.effect));
        let ready: Vec<_> = opening.filter(|spec| spec.from.contains(&state.region_state(spec.region))).collect();
        ready.get(random.index(ready.len())).map(|spec| spec.transition)
    }

    /// Work that a worker took up when a record had opened it that was lost, where another record opened an effect of the
    /// same name.
    pub(super) fn lost_work(&self, state: &State) -> Option<EffectId> {
        let open = state.open_effects().map(|open| &open.id);
        open.filter_map(|open| self.workers.took_before(open, self.oracle.opened_by(open)?)).next()
    }

    fn promote(&mut self) -> Result<Option<Order>, String> {
        match Journal::promote(&self.site.journal(), reading(self.now_ms()), "an operator") {
            Ok(_) => self.tally.count("promotions"),
            // The promotion that was interrupted was done.
            Err(IncarnationError::NotFollowing { .. }) => {}
            Err(error) => return Err(error.to_string()),
        }
        Ok(None)
    }
}
