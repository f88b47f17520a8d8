//! Where the story happens: proposals that must pass, proposals that must not, and waiting for windows.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::cast::{Cast, now_ms};
use super::daemon::Daemon;
use super::follow::Followed;
use super::moment::Moment;
use super::outside::Outside;
use super::repositories::Repositories;
use super::servers::Servers;
use super::story::Story;
use swoosh_client::{Accepted, Client, Draft, Event, Prepared, ProposeError};
use swoosh_machine::chart;
use swoosh_machine::head::Head;
use swoosh_machine::state::State;
use swoosh_types::backbeat::Schedule;
use swoosh_types::fact::FactKind;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::{GuardName, Transition};
use swoosh_types::rejection::{Code, Problem};
use swoosh_types::text::ProjectName;

/// Waits shorter than this are not printed, in milliseconds.
const SHORT_WAIT_MS: u64 = 150;
/// How often a window may close on a proposal that is under way.
const WINDOW_TRIES: usize = 5;
/// How long the daemon may take to read a fact.
const FACT_PATIENCE: Duration = Duration::from_secs(10);

/// The stage.
pub(super) struct Stage {
    /// Who tells.
    pub story: Story,
    /// Who acts.
    pub cast: Cast,
    /// The daemon.
    pub daemon: Daemon,
    /// The world outside.
    pub outside: Outside,
    /// The servers outside.
    pub servers: Servers,
    /// The git repositories outside.
    pub repositories: Repositories,
    /// The window schedule, as the node follows it.
    pub schedule: Schedule,
    /// The demo's directory.
    pub directory: PathBuf,
    /// The daemon's settings file.
    pub settings: PathBuf,
    /// The node's key.
    pub node: PublicKey,
    /// The project.
    pub project: ProjectName,
    /// The project's head, as read last.
    pub head: Head,
    /// Progress of the node's own work that was printed.
    pub followed: Followed,
}

impl Stage {
    /// The project's state, as read last.
    pub fn state(&self) -> &State {
        self.head.state()
    }

    /// The client that reads for the teller.
    pub fn reader(&self) -> anyhow::Result<&Client> {
        self.cast.client("operator")
    }

    /// Reads the head again.
    pub async fn refresh(&mut self) -> anyhow::Result<()> {
        self.head = read_head(self.reader()?, &self.project).await?;
        Ok(())
    }

    /// A draft under the demo's goal.
    pub fn draft(&self, transition: Transition, inputs: &Value) -> anyhow::Result<Draft> {
        Ok(Draft::new(transition, inputs)?.for_goal("demo".parse()?))
    }

    /// Proposes what must pass.
    pub async fn accept(&mut self, who: &str, transition: Transition, inputs: Value) -> anyhow::Result<Accepted> {
        let draft = self.draft(transition, &inputs)?;
        self.accept_at(who, draft, Moment::of(transition)).await
    }

    /// Proposes what must pass, at a moment.
    pub async fn accept_at(&mut self, who: &str, draft: Draft, moment: Moment) -> anyhow::Result<Accepted> {
        for _ in 0..WINDOW_TRIES {
            self.wait_for(moment).await?;
            match self.propose(who, &draft).await? {
                Ok(accepted) => {
                    self.report_accepted(who, &accepted).await?;
                    return Ok(accepted);
                }
                Err(problem) if problem.code == Code::Guard(GuardName::Window) => {}
                Err(problem) => {
                    bail!("{} by {who} was to pass: {}: {}", draft.transition(), problem.code, problem.detail)
                }
            }
        }
        bail!("the window closed {WINDOW_TRIES} times before {} by {who} arrived", draft.transition())
    }

    /// Prints an accepted proposal, after the records that the node added by itself before it.
    pub async fn report_accepted(&mut self, who: &str, accepted: &Accepted) -> anyhow::Result<()> {
        let receipt = &accepted.receipt;
        self.catch_up(Some(receipt.index)).await?;
        let now = self.after(receipt.transition, receipt.index).await?;
        self.story.accepted(who, receipt, &now);
        self.refresh().await
    }

    /// Where a transition's region stood after the record at `index`.
    pub async fn after(&self, transition: Transition, index: u64) -> anyhow::Result<String> {
        let view = self.reader()?.state_at(&self.project, None, index).await?;
        let state: State = serde_json::from_value(serde_json::to_value(&view.projection)?)?;
        let region = chart::spec(transition).region;
        Ok(format!("{region} {}", state.region_state(region)))
    }

    /// The worker reports the outcome of the effect that is open.
    pub async fn outcome(&mut self, transition: Transition, inputs: Value) -> anyhow::Result<Accepted> {
        let inputs = self.answering(transition, inputs)?;
        self.accept("worker", transition, inputs).await
    }

    /// The worker reports an outcome that must not pass.
    pub async fn refuse_outcome(
        &mut self,
        transition: Transition,
        inputs: Value,
        guard: GuardName,
    ) -> anyhow::Result<()> {
        let inputs = self.answering(transition, inputs)?;
        self.refuse("worker", transition, inputs, guard).await
    }

    /// An outcome's inputs, with the effect that they answer; where none is open, with one of record 0.
    pub fn answering(&self, transition: Transition, mut inputs: Value) -> anyhow::Result<Value> {
        let effect = chart::spec(transition).closes.with_context(|| format!("{transition} answers no effect"))?;
        let open = self.state().effects(chart::effect(effect).region).get(&effect).map(|open| open.id.to_string());
        inputs["effect"] = Value::String(open.unwrap_or_else(|| format!("{}/0/{effect}", self.project)));
        Ok(inputs)
    }

    /// Proposes what this guard must refuse.
    pub async fn refuse(
        &mut self,
        who: &str,
        transition: Transition,
        inputs: Value,
        guard: GuardName,
    ) -> anyhow::Result<()> {
        let draft = self.draft(transition, &inputs)?;
        self.refuse_at(who, draft, guard, Moment::of(transition)).await
    }

    /// Proposes what this guard must refuse, at a moment; nothing may change.
    pub async fn refuse_at(&mut self, who: &str, draft: Draft, guard: GuardName, moment: Moment) -> anyhow::Result<()> {
        for _ in 0..WINDOW_TRIES {
            self.wait_for(moment).await?;
            let answer = self.propose(who, &draft).await?;
            let closed = Code::Guard(GuardName::Window);
            if guard != GuardName::Window && answer.as_ref().is_err_and(|problem| problem.code == closed) {
                continue;
            }
            return self.refused(who, draft.transition(), answer, guard).await;
        }
        bail!("the window closed {WINDOW_TRIES} times before {} by {who} arrived", draft.transition())
    }

    /// Posts bytes that this guard must refuse; nothing may change.
    pub async fn refuse_prepared(&mut self, who: &str, prepared: Prepared, guard: GuardName) -> anyhow::Result<()> {
        let transition = prepared.signed().proposal.transition;
        let answer = answer(self.cast.client(who)?.submit(prepared, &mut |_| {}).await)?;
        self.refused(who, transition, answer, guard).await
    }

    /// Proposes what must be refused, whatever that does to the project; the caller judges.
    pub async fn refused_somehow(&mut self, who: &str, draft: &Draft, moment: Moment) -> anyhow::Result<Box<Problem>> {
        for _ in 0..WINDOW_TRIES {
            self.wait_for(moment).await?;
            match self.propose(who, draft).await? {
                Ok(_) => bail!("{} by {who} passed, but was to be refused", draft.transition()),
                Err(problem) if problem.code == Code::Guard(GuardName::Window) => {}
                Err(problem) => {
                    self.story.refused(who, draft.transition(), &problem);
                    return Ok(problem);
                }
            }
        }
        bail!("the window closed {WINDOW_TRIES} times before {} by {who} arrived", draft.transition())
    }

    async fn refused(
        &mut self,
        who: &str,
        transition: Transition,
        answer: Result<Accepted, Box<Problem>>,
        guard: GuardName,
    ) -> anyhow::Result<()> {
        let Err(problem) = answer else { bail!("{transition} by {who} passed, but {guard} was to refuse it") };
        self.story.refused(who, transition, &problem);
        let judged = problem.guard_outcomes.iter().any(|outcome| outcome.guard == guard && !outcome.ok);
        ensure!(judged || problem.guard == Some(guard), "{guard} was to refuse it, not {}", problem.code);
        self.still().await.with_context(|| format!("the refused {transition} moved the head"))
    }

    /// Makes sure that nothing happened since the head was read last but what the node did by itself, and tells that.
    pub async fn still(&mut self) -> anyhow::Result<()> {
        let mut hash = self.head.hash();
        for entry in self.catch_up(None).await? {
            if entry.record.state_pre_hash == hash {
                hash = entry.record.state_post_hash;
            }
        }
        self.refresh().await?;
        ensure!(self.head.hash() == hash, "the head is {}, and was to be {hash}", self.head.hash());
        Ok(())
    }

    /// Proposes, and tells of attempts that were made again.
    pub async fn propose(&mut self, who: &str, draft: &Draft) -> anyhow::Result<Result<Accepted, Box<Problem>>> {
        let mut causes = Vec::new();
        let mut observe = |event: Event<'_>| {
            if let Event::Retrying { cause, .. } = event {
                causes.push(cause.to_string());
            }
        };
        let answered = self.cast.client(who)?.propose_observed(draft, &mut observe).await;
        causes.iter().for_each(|cause| self.story.retried(who, draft.transition(), cause));
        answer(answered)
    }

    /// The platform says something new; returns when the daemon holds it.
    pub async fn fact(&mut self, kind: FactKind, body: Value) -> anyhow::Result<()> {
        let hash = Value::String(self.outside.say(kind, &body)?.to_string());
        self.daemon.hang_up().await;
        let reader = self.reader()?;
        let held = async {
            while !reader.facts().await?.iter().any(|fact| fact.get("hash") == Some(&hash)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            anyhow::Ok(())
        };
        let patience = || format!("the daemon did not take the {kind} fact from its fact file");
        tokio::time::timeout(FACT_PATIENCE, held).await.with_context(patience)?
    }

    /// How long it is until a moment, in milliseconds; `None` when it does not come within two cycles.
    pub fn until(&self, moment: Moment) -> Option<u64> {
        moment.wait_ms(&self.schedule, now_ms())
    }

    /// Waits for a moment, and says so.
    pub async fn wait_for(&self, moment: Moment) -> anyhow::Result<()> {
        if matches!(moment, Moment::Any) {
            return Ok(());
        }
        let wait_ms = self.until(moment).with_context(|| format!("it takes too long until {}", moment.words()))?;
        let wait = Duration::from_millis(wait_ms);
        if wait_ms > SHORT_WAIT_MS {
            self.story.waiting(wait, &moment.words());
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// What the node said, or why it said nothing.
pub(super) fn answer(answered: Result<Accepted, ProposeError>) -> anyhow::Result<Result<Accepted, Box<Problem>>> {
    match answered {
        Ok(accepted) => Ok(Ok(accepted)),
        Err(error) => match error.problem() {
            Some(problem) => Ok(Err(Box::new(problem.clone()))),
            None => Err(error.into()),
        },
    }
}

/// Reads a project's whole state and hashes it again: what the node shows must give the head it names.
pub(super) async fn read_head(reader: &Client, project: &ProjectName) -> anyhow::Result<Head> {
    let view = match reader.state(project, None).await {
        Ok(view) => view,
        Err(error) if error.problem().is_some_and(|problem| problem.code == Code::UnknownProject) => {
            return Ok(Head::genesis(project));
        }
        Err(error) => return Err(error.into()),
    };
    let state: State = serde_json::from_value(serde_json::to_value(&view.projection)?)?;
    let head = Head::try_of(state)?;
    ensure!(head.hash() == view.hash, "the state of {project} hashes to {}, the node says {}", head.hash(), view.hash);
    Ok(head)
}
