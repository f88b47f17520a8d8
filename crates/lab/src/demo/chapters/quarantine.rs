//! A breach: the proposal is refused, and the node quarantines the project until a human lets it go.

use anyhow::ensure;
use serde_json::json;

use crate::demo::moment::Moment;
use crate::demo::project;
use crate::demo::stage::Stage;
use swoosh_settings::default_policies;
use swoosh_types::hash::Hash;
use swoosh_types::names::Transition::*;
use swoosh_types::names::{GuardName, PolicyState, WindowClass};
use swoosh_types::rejection::Code;

/// The part of the chapter.
pub(super) async fn tell(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.say("The agent submits a result that lies where secrets lie. That is no mere denial but a breach.");
    breach(stage).await?;
    stage.story.say("Now only policy, control and compensations pass, and only a human may release the project. An agent that was granted `human` by mistake is refused. An operator is refused with unsigned policies, and with the ones that caused the quarantine.");
    blocked(stage).await?;
    let justification = json!({"justification": "It was a mistake; nothing has left the house."});
    stage.refuse("autopilot", PolicyRelease, justification, GuardName::Policy).await?;
    let same = json!({"serial": 1, "bundle_hash": Hash::of(default_policies().as_bytes())});
    let mut unsigned = same.clone();
    unsigned["serial"] = json!(2);
    stage.refuse("operator", PolicyUpdated, unsigned, GuardName::Bundle).await?;
    stage.refuse("operator", PolicyUpdated, same, GuardName::Breach).await?;
    let justification = json!({"justification": "I looked at the submission; the path is gone and the key rotated."});
    stage.accept("human", PolicyRelease, justification).await?;
    Ok(())
}

/// The one refusal after which the head is another: the node's own Policy_Quarantine.
async fn breach(stage: &mut Stage) -> anyhow::Result<()> {
    let mut leak = project::submission(stage.state().execution.beat);
    leak["submission"] = json!("ucxl://agent:dev@default/out/secrets/id_ed25519");
    let draft = stage.draft(ExecutionSubmit, &leak)?;
    let problem = stage.refused_somehow("agent", &draft, Moment::Open(WindowClass::Reverb)).await?;
    ensure!(problem.code == Code::PolicyBreach, "a secret was submitted, and the answer was {}", problem.code);
    let before = stage.head.hash();
    stage.story.say("The node itself answers:");
    let own = stage.catch_up(None).await?;
    let answer = own.iter().find(|entry| entry.record.transition == PolicyQuarantine);
    ensure!(
        answer.is_some_and(|entry| entry.record.state_pre_hash == before),
        "the quarantine is not the node's own answer to the breach"
    );
    stage.refresh().await?;
    ensure!(stage.state().policy.phase == PolicyState::Quarantined, "the breach quarantined nothing");
    Ok(())
}

async fn blocked(stage: &mut Stage) -> anyhow::Result<()> {
    let draft = stage.draft(ExecutionSubmit, &project::submission(stage.state().execution.beat))?;
    let head = stage.head.hash();
    let problem = stage.refused_somehow("agent", &draft, Moment::Open(WindowClass::Reverb)).await?;
    ensure!(problem.code == Code::Blocked, "the project is quarantined, and the answer was {}", problem.code);
    stage.refresh().await?;
    ensure!(stage.head.hash() == head, "the blocked proposal moved the head");
    Ok(())
}
