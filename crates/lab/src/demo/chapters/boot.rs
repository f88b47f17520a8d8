//! From nothing to LICENSED.

use anyhow::ensure;
use serde_json::json;

use crate::demo::moment::Moment;
use crate::demo::project;
use crate::demo::stage::Stage;
use swoosh_client::Prepared;
use swoosh_machine::chart;
use swoosh_types::council::rotation_proof;
use swoosh_types::names::GuardName;
use swoosh_types::names::Transition::*;
use swoosh_types::proposal::SignedProposal;

/// The chapter.
pub(in crate::demo) async fn tell(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.chapter("Boot: a project begins");
    stage.story.say(&format!(
        "Nothing has happened to the project `default`: its head {} follows from its name alone. The proposal that \
         begins it must be signed by its sender, with a known key, a right clock and valid inputs. (`hasty` is the operator on a machine \
         whose clock is a minute fast.)",
        stage.head.hash()
    ));
    begin(stage).await?;
    license(stage).await?;
    keep_house(stage).await
}

async fn begin(stage: &mut Stage) -> anyhow::Result<()> {
    let document = json!({"document": project::document(&stage.cast, &stage.servers, &stage.repositories)?});
    let draft = stage.draft(BootConfigOk, &document)?;
    forged(stage, &draft).await?;
    stage.refuse_at("stranger", draft.clone(), GuardName::Identity, Moment::Any).await?;
    stage.refuse_at("hasty", draft.clone(), GuardName::Clock, Moment::Any).await?;
    let mut lax = document.clone();
    lax["document"]["approval_threshold"] = json!(1);
    stage.refuse("operator", BootConfigOk, lax, GuardName::Document).await?;
    let client = stage.cast.client("operator")?.clone();
    let prepared = client.prepare(&draft).await?;
    let first = client.submit(prepared.clone(), &mut |_| {}).await?;
    stage.report_accepted("operator", &first).await?;
    let again = client.submit(prepared, &mut |_| {}).await?;
    ensure!(again.replayed && again.body == first.body, "the repeat got another receipt");
    let text = "sent once more, as if the answer had been lost: the same receipt, byte for byte, and nothing moves";
    stage.story.duplicate("operator", &again.receipt, text);
    Ok(())
}

/// The operator's document, signed with another key.
async fn forged(stage: &mut Stage, draft: &swoosh_client::Draft) -> anyhow::Result<()> {
    let proposal = stage.cast.client("operator")?.prepare(draft).await?.signed().proposal.clone();
    let message = proposal.message(stage.cast.cluster());
    let signature = stage.cast.identity("stranger")?.key().sign(&message);
    let forged = Prepared::of(SignedProposal { proposal, signature })?;
    stage.refuse_prepared("stranger", forged, GuardName::Signature).await
}

async fn license(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.say(
        "KACHING, the license server, denies the license, so nothing else may begin. The node calls no \
         other server, not even BUBBLE: the decision record of the first transition waits.",
    );
    stage.refuse("agent", BootLicensed, json!({}), GuardName::License).await?;
    ensure!(stage.servers.bubble.requests() == 0, "the node talked to BUBBLE without a license");
    stage.license().await?;
    stage.story.check("KACHING signs a license; the node fetches it, keeps it on disk, and opens its network gate");
    let sent = stage.exported().await?;
    stage.story.check(&format!("through the gate go the decision records so far: {sent}, which BUBBLE now holds"));
    stage.accept("agent", BootLicensed, json!({})).await?;
    Ok(())
}

/// Proposals refused even from an operator or the node.
async fn keep_house(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.say("Not even an operator may remove the last operator, or rotate to a key that did not agree.");
    let operator = stage.cast.key("operator")?;
    let farewell = json!({"key": operator, "rationale": "I am leaving."});
    stage.refuse("operator", BootIdentityRevoked, farewell, GuardName::Operators).await?;
    let (old, new) = (stage.cast.key("worker")?, stage.cast.key("stranger")?);
    let wrong = stage.cast.identity("operator")?.key().clone();
    let proof = rotation_proof(stage.cast.cluster(), &stage.project, &old, &wrong);
    let rotation = json!({"old": old, "new": new, "proof": proof});
    stage.refuse("operator", BootIdentityRotated, rotation, GuardName::Rotation).await?;
    stage.story.say(
        "License changes and chart upgrades are the node's own: an operator is turned away, and even the node's key, \
         which this demo borrows here, must tell the truth.",
    );
    let renewed = json!({"cause": "because I say so"});
    stage.refuse("operator", LicenseRenewed, renewed.clone(), GuardName::Identity).await?;
    stage.refuse("node", LicenseRenewed, renewed, GuardName::LicenseStatus).await?;
    let version = stage.state().meta.chart_version;
    let upgrade = json!({"from_version": version, "to_version": version, "schema_hash": chart::SCHEMA_HASH});
    stage.refuse("node", BootChartUpgraded, upgrade, GuardName::Chart).await
}
