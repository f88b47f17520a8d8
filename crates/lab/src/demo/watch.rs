//! What the story waits for: that the node has seen what goes on outside. Everything is asked of the node itself.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::stage::Stage;
use swoosh_client::{Accepted, Client, FactsView};
use swoosh_standins::kaching::Mood;
use swoosh_types::fact::FactKind;
use swoosh_types::names::{GuardName, Transition};
use swoosh_types::rejection::Code;

/// How long the daemon may take to see something.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is asked.
const PAUSE: Duration = Duration::from_millis(10);

impl Stage {
    /// The license server answers so from now on, and the daemon asks it at once.
    pub async fn kaching(&self, mood: Mood) {
        self.servers.kaching.be(mood);
        self.daemon.hang_up().await;
    }

    /// Waits until the facts of a kind in the node satisfy `holds`.
    pub async fn sees(&self, kind: FactKind, what: &str, holds: impl Fn(&FactsView) -> bool) -> anyhow::Result<()> {
        let reader = self.reader()?;
        let seen = async {
            while !holds(&reader.beliefs(Some(kind), None).await?) {
                tokio::time::sleep(PAUSE).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, seen).await.with_context(|| format!("the daemon did not see that {what}"))?
    }

    /// The license server grants a license; returns when the daemon holds it and its network gate is open.
    pub async fn license(&self) -> anyhow::Result<()> {
        self.kaching(Mood::kind()).await;
        let granted = |view: &FactsView| view.network.open && is_believed(view);
        self.sees(FactKind::License, "its license was granted", granted).await
    }

    /// Waits until the node's own probes of the tools give these words against Council_McpGreen, and no others.
    pub async fn probed(&self, expected: &[&str]) -> anyhow::Result<()> {
        let reader = self.reader()?;
        let mut found = Vec::new();
        let seen = async {
            loop {
                let view = reader.transitions(&self.project).await?;
                let guards =
                    view.of(Transition::CouncilMcpGreen).map(|view| view.guards.as_slice()).unwrap_or_default();
                let tooling = guards.iter().find(|view| view.guard == GuardName::Tooling && view.ok == Some(false));
                found = tooling.map(|view| view.reasons.clone()).unwrap_or_default();
                if found.len() == expected.len()
                    && found.iter().zip(expected).all(|(found, words)| found.contains(words))
                {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        seen.with_context(|| format!("the node was to find {expected:?} of its tools, not {found:?}"))?
    }

    /// Waits until BACKBEAT leads the node's schedule, and keeps time by it from then on.
    pub async fn follow_beats(&mut self) -> anyhow::Result<()> {
        let reader = self.reader()?;
        let led = async {
            loop {
                let known = reader.windows(&self.project, None, 0).await?.known;
                if let Some(known) = known.filter(|known| known.outlook.led) {
                    return anyhow::Ok(known.schedule);
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let context = "the daemon does not follow BACKBEAT";
        self.schedule = tokio::time::timeout(PATIENCE, led).await.context(context)??;
        Ok(())
    }

    /// Waits until BUBBLE holds the decision records of the whole log, and returns how many those are.
    pub async fn exported(&self) -> anyhow::Result<u64> {
        let last = last_index(self.reader()?).await?;
        let all = async {
            while (self.servers.bubble.documents().len() as u64) < last {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let held = || format!("BUBBLE holds {} of {last} records", self.servers.bubble.documents().len());
        tokio::time::timeout(PATIENCE, all).await.with_context(held)?;
        Ok(last)
    }

    /// Proposes what must pass, and what the node proposes something itself for first.
    pub async fn accept_after(
        &mut self,
        own: Transition,
        who: &str,
        transition: Transition,
        inputs: Value,
    ) -> anyhow::Result<Accepted> {
        let accepted = self.accept(who, transition, inputs).await?;
        let first = self.reader()?.wal(accepted.receipt.index.saturating_sub(1), 1).await?;
        ensure!(
            first.records.iter().any(|entry| entry.record.transition == own && entry.record.signer == self.node),
            "the node did not propose {own} before {transition}"
        );
        Ok(accepted)
    }

    /// Proposes what must be blocked, and what the node proposes something itself for first.
    pub async fn blocked_after(
        &mut self,
        own: Transition,
        who: &str,
        transition: Transition,
        inputs: Value,
    ) -> anyhow::Result<()> {
        let draft = self.draft(transition, &inputs)?;
        let Err(problem) = self.propose(who, &draft).await? else { anyhow::bail!("{transition} by {who} passed") };
        let first = self.catch_up(None).await?;
        ensure!(
            first.iter().any(|entry| entry.record.transition == own),
            "the node did not propose {own} before it refused {transition}"
        );
        self.story.refused(who, transition, &problem);
        ensure!(problem.code == Code::Blocked, "{transition} was to be blocked, not {}", problem.code);
        self.refresh().await
    }
}

/// Index of the last durable record.
pub(super) async fn last_index(reader: &Client) -> anyhow::Result<u64> {
    Ok(reader.wal(1, 1).await?.last_index)
}

/// Whether some license may be believed now.
pub(super) fn is_believed(view: &FactsView) -> bool {
    view.facts.iter().any(|fact| fact.get("believed") == Some(&Value::Bool(true)))
}
