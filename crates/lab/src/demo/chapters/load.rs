//! Load: one client for each of eight further projects, as fast as each can.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::demo::project;
use crate::demo::stage::Stage;
use swoosh_client::{Accepted, Client, Draft, Prepared, RetryPolicy};
use swoosh_types::keys::PublicKey;
use swoosh_types::names::Transition;
use swoosh_types::text::ProjectName;

/// How many projects there are beside `default`.
pub(super) const PROJECTS: usize = 8;

/// What one client did until the daemon died.
pub(super) struct Run {
    /// What was posted and answered with a receipt, in order.
    pub held: Vec<(Prepared, Accepted)>,
    /// What was posted last and never answered.
    pub unanswered: Option<Prepared>,
}

/// Starts all clients. `count` follows the receipts they hold.
pub(super) fn start(stage: &Stage, count: &Arc<AtomicU64>) -> anyhow::Result<Vec<JoinHandle<anyhow::Result<Run>>>> {
    let document = json!({"document": project::document(&stage.cast, &stage.servers, &stage.repositories)?});
    let mut tasks = Vec::new();
    for n in 1..=PROJECTS {
        let project: ProjectName = format!("load-{n}").parse()?;
        let client = client(stage, stage.node)?;
        tasks.push(tokio::spawn(drive(client, project, document.clone(), count.clone())));
    }
    Ok(tasks)
}

/// The operator's key in a client of its own, which tries once and no more.
pub(super) fn client(stage: &Stage, node: PublicKey) -> anyhow::Result<Client> {
    let identity = stage.cast.identity("operator")?.clone();
    let builder = Client::builder(&stage.daemon.url).signing(stage.cast.cluster().clone(), identity);
    Ok(builder.node(node).retry(RetryPolicy::ONCE).build()?)
}

/// Begins a project, then pauses and resumes it for ever; every proposal names the head of the last receipt.
async fn drive(client: Client, project: ProjectName, document: Value, count: Arc<AtomicU64>) -> anyhow::Result<Run> {
    let mut run = Run { held: Vec::new(), unanswered: None };
    loop {
        let draft = next(&run, &document)?.to(project.clone());
        // Reading head or schedule failed: the daemon is gone, and nothing was sent.
        let Ok(prepared) = client.prepare(&draft).await else { return Ok(run) };
        match client.submit(prepared.clone(), &mut |_| {}).await {
            Ok(accepted) => run.held.push((prepared, accepted)),
            Err(error) if error.problem().is_none() => {
                run.unanswered = Some(prepared);
                return Ok(run);
            }
            Err(error) => return Err(error.into()),
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn next(run: &Run, document: &Value) -> anyhow::Result<Draft> {
    let goal = "load".parse()?;
    let Some((_, last)) = run.held.last() else {
        return Ok(Draft::new(Transition::BootConfigOk, document)?.for_goal(goal));
    };
    let transition = match last.receipt.transition {
        Transition::ControlPause => Transition::ControlResume,
        _ => Transition::ControlPause,
    };
    let inputs = json!({"rationale": format!("Round {}.", run.held.len())});
    Ok(Draft::new(transition, &inputs)?.for_goal(goal).from_head(last.receipt.state_post_hash))
}
