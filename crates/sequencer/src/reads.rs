//! Reads of the sequencer: heads, explanations, identities.

use std::sync::Arc;

use super::handle::{Handle, View};
use swoosh_journal::{FoldError, Stop};
use swoosh_machine::facts::FactBody;
use swoosh_machine::head::Head;
use swoosh_machine::judge::{self, Explanation};
use swoosh_types::fact::FactKind;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::ProjectName;

impl Handle {
    /// A project's durable head; the genesis head with index 0 when it does not exist.
    pub fn view(&self, project: &ProjectName) -> Result<Arc<View>, FoldError> {
        self.view_until(project, &Stop::default())
    }

    /// The same, unless it is stopped.
    pub fn view_until(&self, project: &ProjectName, stop: &Stop) -> Result<Arc<View>, FoldError> {
        if let Some(view) = self.shared.cached_view(project) {
            return Ok(view);
        }
        let loaded = self.shared.journal().latest_head_until(project, stop);
        let (head, index) = match loaded.inspect_err(|error| self.shared.damaged_head(project, error))? {
            Some(found) => (found.head, found.index),
            None => (Head::genesis(project), 0),
        };
        self.shared.head_loads(project);
        Ok(Arc::new(View { head: Arc::new(head), index }))
    }

    /// Explains every transition of a project on its durable head, unless it is stopped.
    pub fn explain(&self, project: &ProjectName, stop: &Stop) -> Result<(Arc<View>, Vec<Explanation>), FoldError> {
        let view = self.view_until(project, stop)?;
        let facts = self.shared.ports.facts.facts();
        let mut explained = judge::explain(&self.shared.options.cluster, &view.head, facts.set(), self.log_time());
        if let Some(rejection) = self.closed() {
            explained.iter_mut().for_each(|explanation| explanation.disabled = Some(rejection.clone()));
        }
        Ok((view, explained))
    }

    /// Whether the node's settings, or a project in memory, name a key, whatever it may do. `None` where the project has to be
    /// read from the journal first.
    pub fn knows_at_once(&self, project: &ProjectName, key: &PublicKey) -> Option<bool> {
        let facts = self.facts();
        let settings = facts.set().get(FactKind::Settings, project).map(|fact| &fact.body);
        if matches!(settings, Some(FactBody::Settings(settings)) if settings.identities.contains_key(key)) {
            return Some(true);
        }
        self.shared.cached_view(project).map(|view| names(&view, key))
    }

    /// The same; it may read the journal.
    pub fn knows(&self, project: &ProjectName, key: &PublicKey, stop: &Stop) -> Result<bool, FoldError> {
        match self.knows_at_once(project, key) {
            Some(known) => Ok(known),
            None => Ok(names(&*self.view_until(project, stop)?, key)),
        }
    }
}

/// Whether a project names a key. One that it revoked or rotated away counts: its proposals are judged.
fn names(view: &View, key: &PublicKey) -> bool {
    view.head.state().boot.identities.contains_key(key)
}
