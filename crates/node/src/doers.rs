//! Which system performs effects (the node, workers, or WHOOSH's workers), by settings and orders of a migration; and
//! the record after which that changed last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use swoosh_effects::Doer;
use swoosh_journal::Journal;
use swoosh_machine::chart;
use swoosh_settings::Effects;
use swoosh_types::ids::EffectId;
use swoosh_types::migration::Routing;
use swoosh_types::names::EffectName;

/// The worker of each kind of effect.
#[derive(Debug)]
pub struct Doers {
    effects: Effects,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Which regions are decided here: all of them, unless a migration says otherwise.
    routing: Option<Routing>,
    /// The last record whose effects others may have begun.
    until: BTreeMap<EffectName, u64>,
    /// Kinds that became the node's, as long as it is not known since which record.
    unsettled: BTreeSet<EffectName>,
}

impl Known {
    fn decides(&self, effect: EffectName) -> bool {
        self.routing.as_ref().is_none_or(|routing| routing.decides(chart::effect(effect).region))
    }
}

impl Doers {
    /// As the settings say; nothing is noted yet.
    pub fn new(effects: &Effects) -> Doers {
        Doers { effects: effects.clone(), known: RwLock::default() }
    }

    /// Whether the node works at effects of this kind now.
    pub fn runs(&self, effect: EffectName) -> bool {
        let known = self.read();
        self.is_own(&known, effect) && !known.unsettled.contains(&effect)
    }

    /// The current worker of an effect.
    pub fn of(&self, id: &EffectId) -> Doer {
        let known = self.read();
        let others_until = known.until.get(&id.effect).copied().unwrap_or(0);
        match (self.is_own(&known, id.effect), known.decides(id.effect)) {
            (true, _) if known.unsettled.contains(&id.effect) => Doer::Whoosh,
            (true, _) if id.index <= others_until => Doer::NodeAfterOthers,
            (true, _) => Doer::Node,
            (false, true) => Doer::Workers,
            (false, false) => Doer::Whoosh,
        }
    }

    /// Sets the regions that are decided here from now on. Effects that become the node's begin once that is noted.
    pub fn route(&self, routing: &Routing) {
        let mut known = self.write();
        let before: BTreeSet<EffectName> = self.own(&known);
        known.routing = Some(routing.clone());
        let gained = self.own(&known).difference(&before).copied().collect::<Vec<_>>();
        known.unsettled.extend(gained);
    }

    /// Notes in the journal who works at each kind of effect from here on. Where that fails, every effect that is open
    /// counts as one that others may have begun.
    pub fn note(&self, journal: &Journal) {
        let own = self.own(&self.read());
        let noted = journal.note_hands(&|effect| own.contains(&effect));
        let noted = noted.unwrap_or_else(|error| {
            tracing::error!(%error, "the workers of effects cannot be stored; provisioning that is open is reported as unknown");
            let last = journal.last().0;
            EffectName::ALL.iter().map(|&effect| (effect, last)).collect()
        });
        let mut known = self.write();
        known.until = noted;
        known.unsettled.clear();
    }

    fn own(&self, known: &Known) -> BTreeSet<EffectName> {
        EffectName::ALL.iter().copied().filter(|effect| self.is_own(known, *effect)).collect()
    }

    fn is_own(&self, known: &Known, effect: EffectName) -> bool {
        self.effects.is_builtin(effect) && known.decides(effect)
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}
