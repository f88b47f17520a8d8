//! Metrics of the migration, and the parts of the node that follow its routing.

use std::sync::Arc;

use tokio::task::block_in_place;

use super::super::bus::Bus;
use super::super::doers::Doers;
use swoosh_migration::{Brought, Watch, WhooshError};
use swoosh_sequencer::Handle;
use swoosh_telemetry::metrics::Metrics;
use swoosh_types::migration::{DivergenceKind, Routing};

/// Open effects that are read at once.
const PAGE: usize = 1_000;

/// Metrics of the migration, and those who have to know which regions are decided here.
pub struct Counting {
    pub doers: Arc<Doers>,
    pub metrics: Arc<Metrics>,
    pub handle: Handle,
    pub bus: Arc<Bus>,
}

impl Watch for Counting {
    fn routed(&self, routing: &Routing) {
        self.doers.route(routing);
        self.metrics.migration().routed(routing);
        // At a start it is noted before the first effect begins.
        let Some(runner) = self.bus.runner() else { return };
        block_in_place(|| self.doers.note(&self.handle.journal()));
        let mut after = None;
        // Effects that are open begin, or stop, where who decides has changed.
        loop {
            let rows = match block_in_place(|| self.handle.journal().open_effects_after(after.as_ref(), PAGE)) {
                Ok(rows) => rows,
                Err(error) => return tracing::error!(%error, "open effects cannot be listed; a restart finds them"),
            };
            rows.iter().for_each(|row| runner.moved(&row.id.project));
            after = rows.last().map(|row| row.id.clone());
            if rows.len() < PAGE {
                return;
            }
        }
    }

    fn proposal(&self, here: bool, brought: Brought) {
        let Brought { key, hlc, window_id } = brought;
        self.metrics.migration().proposal(here, [key, hlc, window_id]);
    }

    fn other_path(&self, passed: bool) {
        self.metrics.migration().other_path(passed);
    }

    fn diverged(&self, kind: DivergenceKind) {
        self.metrics.migration().diverged(kind);
    }

    fn differing(&self, projects: usize) {
        self.metrics.migration().differing(projects as u64);
    }

    fn unanswered(&self, why: &WhooshError) {
        self.metrics.migration().unanswered(why.as_str());
    }
}
