//! What the members of the council do by themselves, each in a task of their own.

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::demo::cast::CANDIDATES;
use crate::demo::moment::Moment;
use crate::demo::project;
use crate::demo::stage::{Stage, read_head};
use swoosh_client::{Accepted, Client, Draft, Event};
use swoosh_machine::election;
use swoosh_types::council;
use swoosh_types::inputs::{Members, Vote};
use swoosh_types::names::Transition::ExecutionApprove;
use swoosh_types::names::{GuardName, WindowClass};
use swoosh_types::rejection::{Code, Problem};
use swoosh_types::text::ProjectName;

/// Every candidate reads the state over HTTP, computes the election and signs what came out.
pub(super) async fn votes(stage: &Stage) -> anyhow::Result<(Members, Vec<Vote>)> {
    let mut tasks = Vec::new();
    for name in CANDIDATES {
        tasks.push(tokio::spawn(cast_vote(stage.cast.client(name)?.clone(), stage.project.clone())));
    }
    let mut elected: Option<Members> = None;
    let mut votes = Vec::new();
    for task in tasks {
        let (members, vote) = task.await??;
        ensure!(elected.as_ref().is_none_or(|first| *first == members), "two candidates computed different councils");
        elected = Some(members);
        votes.push(vote);
    }
    Ok((elected.context("the council has no candidates")?, votes))
}

async fn cast_vote(client: Client, project: ProjectName) -> anyhow::Result<(Members, Vote)> {
    let head = read_head(&client, &project).await?;
    let transitions = client.transitions(&project).await?;
    let members = election::propose(&head, &transitions.electorate);
    let (cluster, identity) = client.cluster().zip(client.identity()).context("the candidate has no key")?;
    let vote = council::vote(cluster, &project, head.state().epoch.council, &members, identity.key())?;
    Ok((members, vote))
}

/// One member's approval and the answer to it.
struct Approval {
    name: String,
    causes: Vec<String>,
    answer: Result<Accepted, Box<Problem>>,
}

/// All elected members approve at once, so that most hit a stale head. Members refused by a closed window try again
/// until the threshold is reached.
pub(super) async fn approve(stage: &mut Stage) -> anyhow::Result<()> {
    let names = members(stage);
    let inputs = project::approval(stage.state());
    stage.wait_for(Moment::Open(WindowClass::Reverb)).await?;
    let mut tasks = Vec::new();
    for name in &names {
        let (client, draft) = (stage.cast.client(name)?.clone(), stage.draft(ExecutionApprove, &inputs)?);
        let draft = draft.from_head(stage.head.hash());
        tasks.push(tokio::spawn(approve_one(name.clone(), client, draft)));
    }
    let mut approvals = Vec::new();
    for task in tasks {
        approvals.push(task.await??);
    }
    approvals.sort_by_key(|approval| approval.answer.as_ref().map_or(u64::MAX, |accepted| accepted.receipt.index));
    for Approval { name, causes, answer } in approvals {
        causes.iter().for_each(|cause| stage.story.retried(&name, ExecutionApprove, cause));
        match answer {
            Ok(accepted) => stage.report_accepted(&name, &accepted).await?,
            Err(problem) if problem.code == Code::Guard(GuardName::Window) => {}
            Err(problem) => bail!("the approval by {name} was to pass: {}: {}", problem.code, problem.detail),
        }
    }
    for name in names {
        let execution = &stage.state().execution;
        let enough = execution.approvals.len() as u64 >= execution.approval_threshold;
        if !enough && !execution.approvals.contains_key(&stage.cast.key(&name)?) {
            stage.accept(&name, ExecutionApprove, inputs.clone()).await?;
        }
    }
    Ok(())
}

async fn approve_one(name: String, client: Client, draft: Draft) -> anyhow::Result<Approval> {
    let mut causes = Vec::new();
    let mut observe = |event: Event<'_>| {
        if let Event::Retrying { cause, .. } = event {
            causes.push(cause.to_string());
        }
    };
    let answered = client.propose_observed(&draft, &mut observe).await;
    let answer = crate::demo::stage::answer(answered)?;
    Ok(Approval { name, causes, answer })
}

/// Names of the elected members.
pub(super) fn members(stage: &Stage) -> Vec<String> {
    let keys = stage.state().council.members.keys();
    keys.filter_map(|key| stage.cast.name(key)).map(str::to_owned).collect()
}

/// A candidate who was not elected.
pub(super) fn outsider(stage: &Stage) -> anyhow::Result<&'static str> {
    let elected = members(stage);
    let outsider = CANDIDATES.into_iter().find(|name| !elected.iter().any(|member| member == name));
    outsider.context("every candidate was elected")
}

/// A certificate over a member set.
pub(super) fn certificate(members: &Members, votes: &[Vote]) -> Value {
    serde_json::json!({"members": members, "member_set_hash": council::member_set_hash(members), "votes": votes})
}
