//! An election with the same result for every candidate, and tools that must match their pins.

use serde_json::json;

use super::vote;
use crate::demo::project;
use crate::demo::servers::{OUTDATED, PINNED};
use crate::demo::stage::Stage;
use swoosh_types::names::GuardName;
use swoosh_types::names::Transition::*;

/// The chapter.
pub(in crate::demo) async fn tell(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.chapter("Council: five candidates, three seats");
    let (members, votes) = vote::votes(stage).await?;
    let seats = members.iter().map(|(key, role)| format!("{} as {role}", stage.cast.name(key).unwrap_or("?")));
    let seats = seats.collect::<Vec<_>>().join(", ");
    stage.story.say(&format!(
        "Each candidate reads the state, ranks the five by capability and then by a hash that no candidate controls, and \
         signs the outcome. All five came to the same council: {seats}. Three signatures are a quorum."
    ));
    let few = votes.get(..2).unwrap_or_default();
    stage.refuse("agent", CouncilQuorumCert, vote::certificate(&members, few), GuardName::Quorum).await?;
    stage.accept("agent", CouncilQuorumCert, vote::certificate(&members, &votes)).await?;
    tools(stage).await?;
    stage.refuse("agent", CouncilReaffirm, json!({"version": 7}), GuardName::Versions).await
}

/// The node probes the pinned servers by itself, and believes no worker who says otherwise.
async fn tools(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.say(&format!(
        "The council needs its tools: two MCP servers, pinned at {PINNED}, which the node probes itself, again and \
         again. The worker says that both are as pinned; `search` answers as {OUTDATED}."
    ));
    stage.probed(&[&format!("found search {OUTDATED}")]).await?;
    stage.refuse_outcome(CouncilMcpGreen, project::tools(), GuardName::Tooling).await?;
    let why = format!("answers as {OUTDATED}, pinned is {PINNED}");
    stage.outcome(CouncilMcpRed, json!({"unreachable": {"search": why}})).await?;
    stage.servers.archive.go_away();
    stage.servers.search.become_version(PINNED);
    stage.story.say("`search` is upgraded, and at the same moment `archive` goes away: its port is closed.");
    stage.probed(&["archive"]).await?;
    stage.refuse_outcome(CouncilMcpGreen, project::tools(), GuardName::Tooling).await?;
    stage.servers.archive.come_back()?;
    stage.probed(&[]).await?;
    stage.story.check("`archive` is back; once four of its last five probes agree, it counts as up again");
    stage.outcome(CouncilMcpGreen, project::tools()).await?;
    Ok(())
}
