//! The loop: plan, work, review, reverb; three beats, so twice round.

use anyhow::Context as _;
use serde_json::json;

use super::{environment, ingestion, quarantine, vote};
use crate::demo::beats::{BEAT_MS, EARLIER_MS, PRESSURE};
use crate::demo::cast::now_ms;
use crate::demo::moment::Moment;
use crate::demo::project;
use crate::demo::stage::Stage;
use swoosh_machine::state::State;
use swoosh_types::fact::FactKind;
use swoosh_types::ids::WindowId;
use swoosh_types::names::Transition::*;
use swoosh_types::names::{GuardName, WindowClass};

/// How often a submission may miss the late plan window.
const SUBMISSIONS: usize = 5;

/// The chapters of the loop.
pub(in crate::demo) async fn tell(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.chapter("The loop: plan, work, review, reverb");
    first_beat(stage).await?;
    stage.story.chapter("Once round the loop, and into a quarantine");
    next_beat(stage).await?;
    second_beat(stage).await?;
    stage.story.chapter("Twice round the loop");
    let last = used_window(stage)?;
    let draft = stage.draft(ExecutionNextWindow, &json!({}))?;
    stage.accept_at("agent", draft, Moment::Fresh(last)).await?;
    lock(stage).await?;
    review(stage).await?;
    submit(stage).await
}

async fn first_beat(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.say(
        "Plans are locked, work is reviewed and results are submitted in windows of their own. A proposal names the \
         window it means, and is refused while that window is closed. The story waits for the windows.",
    );
    follow(stage).await?;
    let ready = project::prerequisites(stage.state());
    stage.accept("agent", ExecutionAllReady, ready).await?;
    let plan = project::plan(stage.state());
    let draft = stage.draft(ExecutionPlanLocked, &plan)?;
    stage.refuse_at("agent", draft, GuardName::Window, Moment::Closed(WindowClass::Plan)).await?;
    lock(stage).await?;
    stage.story.say("Work is under way. Taking the environment down is refused now, and so are false alarms.");
    let rationale = json!({"rationale": "I want the machines back."});
    stage.refuse("operator", EnvironmentDeprovision, rationale, GuardName::Entered).await?;
    let alive = project::liveness(&stage.cast, now_ms().saturating_sub(3_600_000))?;
    stage.fact(FactKind::Liveness, alive).await?;
    let members: Vec<_> = stage.state().council.members.keys().copied().collect();
    stage.refuse("operator", ControlQuorumLost, json!({"alive": members}), GuardName::Liveness).await?;
    stage.accept("agent", ExecutionBeatReviewGate, json!({})).await?;
    objections(stage).await?;
    approve(stage).await?;
    spent_window(stage).await
}

/// BACKBEAT leads the schedule.
async fn follow(stage: &mut Stage) -> anyhow::Result<()> {
    let written_ms = stage.schedule.beat_ms;
    stage.follow_beats().await?;
    stage.story.check(&format!(
        "BACKBEAT leads: its signed beats last {BEAT_MS} ms instead of the {written_ms} ms that are written, their first \
         one began {EARLIER_MS} ms early, and they call for a pressure of {PRESSURE} of 1000; the node follows, within its bounds",
    ));
    Ok(())
}

/// Approvals that do not count.
async fn objections(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.say(
        "An approval counts from an elected member, once, and for this very plan. Then all three members approve at \
         the same moment: one is first, the others are overtaken and try again by themselves.",
    );
    let inputs = project::approval(stage.state());
    let outsider = vote::outsider(stage)?;
    stage.refuse(outsider, ExecutionApprove, inputs.clone(), GuardName::Member).await?;
    let mut elsewhere = inputs;
    elsewhere["beat"] = json!(stage.state().execution.beat + 1);
    let member = vote::members(stage).into_iter().next().context("no member was elected")?;
    stage.refuse(&member, ExecutionApprove, elsewhere, GuardName::Binding).await?;
    stage.refuse("agent", ExecutionApprovalsThreshold, json!({}), GuardName::Threshold).await
}

/// A second plan window opens at the end of the same cycle: open, but not new.
async fn spent_window(stage: &mut Stage) -> anyhow::Result<()> {
    for _ in 0..SUBMISSIONS {
        submit(stage).await?;
        let last = used_window(stage)?;
        if stage.until(Moment::Spent(last)).is_some() {
            stage.story.say("A plan window opens late in the same cycle. It is open, but no new one.");
            let draft = stage.draft(ExecutionNextWindow, &json!({}))?;
            return stage.refuse_at("agent", draft, GuardName::FreshWindow, Moment::Spent(last)).await;
        }
    }
    anyhow::bail!("{SUBMISSIONS} submissions all came too late in their cycles; is this machine very busy?")
}

/// The image is gone when the environment is checked again, and as long as that lasts the next beat does not begin.
async fn next_beat(stage: &mut Stage) -> anyhow::Result<()> {
    let last = used_window(stage)?;
    stage.story.say(
        "The image is moved away, and the agent has the assets checked again. No beat begins until the image is back and \
         passes its check.",
    );
    let assets = stage.assets()?;
    let (_, path) = assets.first_key_value().context("there is no image")?;
    let away = path.with_extension("away");
    std::fs::rename(path, &away)?;
    stage.accept("agent", EnvironmentRecheck, json!({})).await?;
    stage.settles("the image is missed", |state| state.environment.last_failure.is_some()).await?;
    let draft = stage.draft(ExecutionNextWindow, &json!({}))?;
    stage.refuse_at("agent", draft.clone(), GuardName::Ready, Moment::Fresh(last)).await?;
    std::fs::rename(away, path)?;
    stage.story.check("the image is back; the node, which checks again and again, finds it");
    stage.settles("the image is found again", environment::is_ready).await?;
    stage.accept_at("agent", draft, Moment::Fresh(last)).await?;
    Ok(())
}

async fn second_beat(stage: &mut Stage) -> anyhow::Result<()> {
    new_version(stage).await?;
    lock(stage).await?;
    review(stage).await?;
    quarantine::tell(stage).await?;
    submit(stage).await
}

/// The content gets a new version; the loop continues only after it is pinned to that version.
async fn new_version(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.say(
        "A commit comes into `app` and is tagged v1.1.0. The agent asks for a new version of the content, and the node \
         ingests it beside the loop, which stays pinned to the old one.",
    );
    let sources = stage.repositories.release("v1.1.0")?;
    let before = stage.state().ingestion.version;
    stage.accept("agent", IngestionNewVersion, json!({"sources": sources})).await?;
    let arrived = |state: &State| ingestion::is_ready(state) && state.ingestion.version > before;
    stage.settles("the new version is READY", arrived).await?;
    stage.show_sources()?;
    let version = json!({"version": stage.state().ingestion.version});
    stage.accept("agent", CouncilReaffirm, version.clone()).await?;
    let plan = project::plan(stage.state());
    stage.refuse("agent", ExecutionPlanLocked, plan, GuardName::Pin).await?;
    stage.accept("agent", EnvironmentReaffirm, version).await?;
    let inputs = project::prerequisites(stage.state());
    stage.accept("agent", ExecutionPlanChange, inputs).await?;
    Ok(())
}

async fn lock(stage: &mut Stage) -> anyhow::Result<()> {
    let plan = project::plan(stage.state());
    stage.accept("agent", ExecutionPlanLocked, plan).await?;
    Ok(())
}

async fn review(stage: &mut Stage) -> anyhow::Result<()> {
    stage.accept("agent", ExecutionBeatReviewGate, json!({})).await?;
    approve(stage).await
}

async fn approve(stage: &mut Stage) -> anyhow::Result<()> {
    vote::approve(stage).await?;
    stage.accept("agent", ExecutionApprovalsThreshold, json!({})).await?;
    Ok(())
}

async fn submit(stage: &mut Stage) -> anyhow::Result<()> {
    let submission = project::submission(stage.state().execution.beat);
    stage.accept("agent", ExecutionSubmit, submission).await?;
    Ok(())
}

/// The last window that a transition of the loop used.
fn used_window(stage: &Stage) -> anyhow::Result<WindowId> {
    stage.state().execution.window.context("the loop has used no window yet")
}
