//! What the node does by itself: its transitions as they come into the log, and what it is at meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use super::stage::Stage;
use super::story::Recorded;
use super::wording;
use swoosh_client::{EffectView, WalEntry};
use swoosh_machine::state::State;
use swoosh_types::ids::EffectId;
use swoosh_types::names::Transition;

/// How long the node may take to bring a region where it belongs.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is asked.
const PAUSE: Duration = Duration::from_millis(20);
/// Records read of the log at once.
const PAGE: u64 = 1_000;
/// Lines of progress printed for one effect, at most.
const LINES: usize = 4;

/// Failures that no step of the story causes.
const UNTOWARD: [Transition; 5] = [
    Transition::IngestionResolveFailed,
    Transition::IngestionFetchFailed,
    Transition::IngestionValidateFailed,
    Transition::IngestionIndexFailed,
    Transition::EnvironmentProvisionFailed,
];

#[derive(Debug, Default)]
pub(super) struct Followed {
    /// Index of the last record read.
    index: u64,
    /// Progress printed for each effect, oldest first.
    progress: BTreeMap<EffectId, Vec<String>>,
}

impl Stage {
    /// Tells every transition that the node proposed by itself since it was asked last; only those before a record,
    /// when one is given, which is passed over.
    pub async fn catch_up(&mut self, before: Option<u64>) -> anyhow::Result<Vec<WalEntry>> {
        let mut own = Vec::new();
        if before.is_some_and(|before| self.followed.index >= before) {
            return Ok(own);
        }
        loop {
            let page = self.reader()?.wal(self.followed.index + 1, PAGE).await?;
            let last_index = page.last_index;
            for entry in page.records {
                let record = &entry.record;
                if before.is_some_and(|before| record.index >= before) {
                    self.followed.index = record.index;
                    return Ok(own);
                }
                self.followed.index = record.index;
                if record.project == self.project && record.signer == self.node {
                    self.tell_own(&entry).await?;
                    own.push(entry);
                }
            }
            if self.followed.index >= last_index {
                return Ok(own);
            }
        }
    }

    async fn tell_own(&mut self, entry: &WalEntry) -> anyhow::Result<()> {
        let transition = entry.record.transition;
        let now = self.after(transition, entry.record.index).await?;
        let detail = wording::outcome(&entry.inputs);
        self.story.recorded("node", &Recorded::from(entry), &now, &detail);
        ensure!(!UNTOWARD.contains(&transition), "{transition}: {detail}");
        Ok(())
    }

    /// Waits until the node has brought the project where it belongs, and tells what it does meanwhile. Returns the
    /// transitions that it proposed.
    pub async fn settles(&mut self, what: &str, holds: impl Fn(&State) -> bool) -> anyhow::Result<Vec<WalEntry>> {
        let (began, mut own) = (Instant::now(), Vec::new());
        loop {
            self.refresh().await?;
            let done = holds(self.state());
            own.extend(self.catch_up(None).await?);
            if done {
                return Ok(own);
            }
            let open = self.open().await?;
            open.iter().for_each(|effect| self.tell_progress(effect));
            if began.elapsed() >= PATIENCE {
                bail!("the node did not bring it so far that {what}; open is {open:?}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Effects of the project that are open.
    async fn open(&self) -> anyhow::Result<Vec<EffectView>> {
        Ok(self.reader()?.effects(Some(&self.project)).await?)
    }

    fn tell_progress(&mut self, effect: &EffectView) {
        let Some(step) = effect.step.as_ref().filter(|_| effect.mode == "builtin" && effect.phase == "running") else {
            return;
        };
        let printed = self.followed.progress.entry(effect.id.clone()).or_default();
        if printed.len() < LINES && !printed.contains(step) {
            printed.push(step.clone());
            self.story.progress(effect.effect, step);
        }
    }

    /// Waits until an open effect is as wanted, and prints its state.
    pub async fn wait_for_effect(&mut self, what: &str, wanted: impl Fn(&EffectView) -> bool) -> anyhow::Result<()> {
        let seen = async {
            loop {
                if let Some(effect) = self.open().await?.into_iter().find(|effect| wanted(effect)) {
                    return anyhow::Ok(effect);
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        let effect = seen.with_context(|| format!("GET /effects does not show that {what}"))??;
        let text = effect.reason.as_ref().filter(|_| effect.phase != "running").or(effect.step.as_ref());
        let text = text.map_or_else(String::new, |text| format!(": {text}"));
        let (id, phase, attempt) = (&effect.id, &effect.phase, effect.attempt);
        self.story.check(&format!("GET /effects: {id} is {phase}, attempt {attempt}{text}"));
        Ok(())
    }
}
