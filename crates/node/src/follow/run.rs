//! The loop of a follower: ask for what comes next, check it, keep it, show it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::fork::{self, EVIDENCE, FindError};
use super::lag::Lag;
use super::page::take;
use swoosh_client::{Client, LinkError, ReadError};
use swoosh_journal::{self as journal, SWEEP_AT_ONCE};
use swoosh_sequencer::Handle;
use swoosh_telemetry::metrics::Metrics;
use swoosh_types::feed::FeedPage;
use swoosh_types::incarnation::Incarnation;
use swoosh_types::rejection::Code;

/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How long the node may wait for a record before it answers that there is none.
const WAIT_MS: u64 = 5_000;
/// Most records asked for at once.
const AT_ONCE: u64 = 500;

/// How many records are asked for at once: fewer after an answer that was too large, until the follower has caught up.
pub struct AtOnce(AtomicU64);

impl Default for AtOnce {
    fn default() -> AtOnce {
        AtOnce(AtomicU64::new(AT_ONCE))
    }
}

/// Follows a node.
pub struct Follower {
    pub client: Client,
    pub at_once: AtOnce,
    pub handle: Handle,
    pub metrics: Arc<Metrics>,
    /// The node's address.
    pub primary: String,
    pub data: PathBuf,
    /// Records behind the last one at which a project without a fresh snapshot gets one.
    pub sweep_every: u64,
    /// The known state of the followed node, for metrics.
    pub lag: Arc<Lag>,
}

/// Why a page was not taken.
enum Trouble {
    /// It may be otherwise later.
    Passing(ReadError),
    /// It will not.
    Lasting(anyhow::Error),
}

impl Follower {
    /// Follows until something is wrong that waiting does not mend.
    pub async fn run(self) -> anyhow::Error {
        let mut pause = PAUSES.0;
        let mut silent = false;
        loop {
            match self.round().await {
                Ok(()) => {
                    if std::mem::take(&mut silent) {
                        tracing::info!(node = self.primary, "the node answers again");
                    }
                    pause = PAUSES.0;
                }
                Err(Trouble::Passing(error)) => {
                    self.lag.lost();
                    let last_index = self.handle.status().last_index;
                    let reason =
                        format!("follows {}, which does not answer; it is at record {last_index}", self.primary);
                    self.handle.say_cut_off(reason);
                    if !std::mem::replace(&mut silent, true) {
                        tracing::warn!(%error, node = self.primary, "the node does not answer; it is tried again");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
                Err(Trouble::Lasting(error)) => return error,
            }
        }
    }

    /// Asks once for what comes next.
    async fn round(&self) -> Result<(), Trouble> {
        let (last, _) = self.handle.journal().last();
        // The last record is asked for again, so that another history shows at once; unless the node pruned it.
        let mut page = match self.feed(last.max(1), 0).await {
            Err(error) if is_pruned(&error) => self.ask(last + 1).await?,
            asked => asked.map_err(trouble)?,
        };
        self.is_same(&page, last).await?;
        if page.last_index > last {
            // A page that the last record fills brings nothing new.
            if page.records.last().is_none_or(|entry| entry.record.index <= last) {
                page = self.ask(last + 1).await?;
            }
            return self.keep(page).await;
        }
        self.at_once.0.store(AT_ONCE, Ordering::Relaxed);
        self.tell(&page);
        let next = self.ask(last + 1).await?;
        // Events that came meanwhile are handled with the record before them in the next round.
        self.tell(&next);
        if next.last_index <= last {
            // A node that drains does not wait for records.
            tokio::time::sleep(PAUSES.0).await;
        }
        Ok(())
    }

    /// Asks for records; for fewer of them where the answer is too large.
    async fn feed(&self, from: u64, wait_ms: u64) -> Result<FeedPage, ReadError> {
        loop {
            let limit = self.at_once.0.load(Ordering::Relaxed);
            match self.client.feed(from, limit, wait_ms).await {
                Err(ReadError::Link(LinkError::TooLarge { .. })) if limit > 1 => {
                    tracing::debug!(from, limit, "the page is too large; asking for fewer records");
                    self.at_once.0.store(limit / 2, Ordering::Relaxed);
                }
                answered => return answered,
            }
        }
    }

    async fn ask(&self, from: u64) -> Result<FeedPage, Trouble> {
        let asked = self.feed(from, WAIT_MS).await;
        asked.map_err(|error| match is_pruned(&error) {
            true => Trouble::Lasting(anyhow::Error::from(error).context(format!(
                "the node pruned record {from}, which is the next one here; start again from a backup of it: \
                 `swoosh restore --from BACKUPS --to DIR --follow {}` (docs/follower.md)",
                self.primary
            ))),
            false => trouble(error),
        })
    }

    /// Refuses another node's log, another incarnation, and another history.
    async fn is_same(&self, page: &FeedPage, last: u64) -> Result<(), Trouble> {
        let lasting = |text: String| Err(Trouble::Lasting(anyhow::anyhow!(text)));
        let journal = self.handle.journal();
        let (identity, primary) = (journal.identity(), &self.primary);
        if page.node != identity.node || page.cluster != identity.cluster {
            return lasting(format!(
                "{primary} is node {} of cluster {}; this directory follows node {} of cluster {}: check the address, or name \
                 another directory",
                page.node, page.cluster, identity.node, identity.cluster
            ));
        }
        if page.incarnations != journal.incarnations() {
            return lasting(format!(
                "{primary} has {}, and this directory follows {}: the node was restored or promoted, or its loss of records was \
                 accepted. Keep this directory, which may hold records that the node lost, and begin again with an empty one \
                 (docs/follower.md)",
                name(&page.incarnations),
                name(journal.incarnations())
            ));
        }
        if page.last_index < last {
            return lasting(format!(
                "{primary} ends at record {}, and {last} records were followed: its directory was put back from an old copy. \
                 Keep this directory, and see runbooks/promote-follower.md",
                page.last_index
            ));
        }
        let Some(entry) = page.records.first().filter(|entry| entry.record.index == last) else { return Ok(()) };
        match journal.has_link(last, &entry.chain) {
            Ok(true) => Ok(()),
            Ok(false) => self.forked(page, last).await,
            Err(error) => Err(unreadable(error)),
        }
    }

    async fn forked(&self, page: &FeedPage, last: u64) -> Result<(), Trouble> {
        let journal = self.handle.journal();
        let first = page.first_index.max(journal.first_index());
        let fork = fork::find(&self.client, &journal, last, first).await.map_err(|error| match error {
            FindError::Asked(error) => trouble(error),
            FindError::Held(error) => unreadable(error),
        })?;
        let Some(fork) = fork else {
            return Err(Trouble::Lasting(anyhow::anyhow!("{} tells another history than before", self.primary)));
        };
        let kept = match fork.keep(&self.data) {
            Ok(()) => format!("both stand with their seals in {}", self.data.join(EVIDENCE).display()),
            Err(error) => format!("they could not be kept: {error:#}"),
        };
        let (primary, text) = (&self.primary, fork.text());
        Err(Trouble::Lasting(anyhow::anyhow!("{primary} tells another history than before: {text}; {kept}")))
    }

    /// Checks what came, off the runtime's workers, and keeps it.
    async fn keep(&self, page: FeedPage) -> Result<(), Trouble> {
        let (handle, metrics, sweep_every) = (self.handle.clone(), self.metrics.clone(), self.sweep_every);
        let last_index = page.last_index;
        let work = move || -> anyhow::Result<()> {
            let began = Instant::now();
            let journal = handle.journal();
            // Objects that need not be written again must not be collected before the records are there.
            let pin = journal.pin_objects();
            let taken = take(&journal, &handle, &page)?;
            handle.at_work(|| journal.append(&taken.batch))?;
            drop(pin);
            handle.publish(taken.heads, taken.last_index, taken.snapshot);
            metrics.committed(taken.batch.entries.len() as u64, began.elapsed(), taken.last_index);
            let old = journal.sweep_candidates(sweep_every);
            let projects: Vec<_> = old.into_iter().take(SWEEP_AT_ONCE).map(|old| old.project).collect();
            journal.sweep(&projects)?;
            Ok(())
        };
        let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.into()));
        let refused = format!("a page of {} fails verification, so following stops", self.primary);
        done.map_err(|error| Trouble::Lasting(error.context(refused)))?;
        self.progress(last_index);
        Ok(())
    }

    fn tell(&self, page: &FeedPage) {
        self.progress(page.last_index);
    }

    fn progress(&self, there: u64) {
        let here = self.handle.status().last_index;
        self.lag.heard(here, there);
        self.handle.say_following(format!("follows {}, up to record {here} of {}", self.primary, there.max(here)));
    }
}

fn is_pruned(error: &ReadError) -> bool {
    error.problem().is_some_and(|problem| problem.code == Code::Pruned)
}

/// Classifies a read error: one that the node cannot answer now, or does not let this follower read yet, may pass.
fn trouble(error: ReadError) -> Trouble {
    let passes = error.is_passing() || error.problem().is_some_and(|problem| problem.code == Code::ReadsClosed);
    if passes { Trouble::Passing(error) } else { Trouble::Lasting(error.into()) }
}

/// A record here that cannot be read says nothing of the node, and must not accuse it.
fn unreadable(error: journal::ReadError) -> Trouble {
    Trouble::Lasting(
        anyhow::Error::from(error).context("a record that is held here cannot be read; see runbooks/recovery.md"),
    )
}

fn name(incarnations: &[Incarnation]) -> String {
    match incarnations.last() {
        None => "incarnation 1".to_owned(),
        Some(last) => format!(
            "incarnation {}, which began after record {} at {} ({})",
            last.number, last.after, last.at, last.reason
        ),
    }
}
