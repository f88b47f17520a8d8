//! An election that everybody computes alike, and tools that must be what was pinned.

use serde_json::json;

use super::vote;
use crate::cli::demo::project;
use crate::cli::demo::stage::Stage;
use crate::types::fact::FactKind;
use crate::types::names::GuardName;
use crate::types::names::Transition::*;

/// The chapter.
pub(in crate::cli::demo) async fn tell(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.chapter("Council: five candidates, three seats");
    let (members, votes) = vote::votes(stage).await?;
    let seats = members.iter().map(|(key, role)| format!("{} as {role}", stage.cast.name(key).unwrap_or("?")));
    let seats = seats.collect::<Vec<_>>().join(", ");
    stage.story.say(&format!(
        "Each candidate reads the state, ranks the five by what they can do and by a hash that nobody chose, and \
         signs the outcome. All five came to the same council: {seats}. Three signatures are a quorum."
    ));
    let few = votes.get(..2).unwrap_or_default();
    stage.refuse("agent", CouncilQuorumCert, vote::certificate(&members, few), GuardName::Quorum).await?;
    stage.accept("agent", CouncilQuorumCert, vote::certificate(&members, &votes)).await?;
    stage.story.say("The council needs its tools. The search server is pinned to 1.2.0, and was seen at 1.1.0.");
    stage.fact(FactKind::Tooling, project::tooling("1.1.0")).await?;
    stage.refuse_outcome(CouncilMcpGreen, project::servers("1.2.0"), GuardName::Tooling).await?;
    stage.outcome(CouncilMcpRed, json!({"unreachable": {"search": "answers as 1.1.0, pinned is 1.2.0"}})).await?;
    stage.fact(FactKind::Tooling, project::tooling("1.2.0")).await?;
    stage.story.check("the server is upgraded, and the platform says so in the fact file");
    stage.outcome(CouncilMcpGreen, project::servers("1.2.0")).await?;
    stage.refuse("agent", CouncilReaffirm, json!({"version": 7}), GuardName::Versions).await
}
