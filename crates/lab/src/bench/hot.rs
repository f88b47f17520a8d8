//! One contended project: SDK clients read the head again each time another client was faster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::world::World;
use swoosh_client::{Client, Draft};
use swoosh_types::names::{Role, Transition};
use swoosh_types::text::ProjectName;

/// What the crowd on one project came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HotRow {
    pub clients: usize,
    pub accepted_per_second: u64,
    /// Proposals posted for each one accepted.
    pub attempts_each: f64,
    /// Proposals that their client gave up.
    pub given_up: u64,
    /// Clients that gave up a proposal at least once.
    #[serde(default)]
    pub clients_given_up: usize,
    /// Accepted proposals of the client that got the fewest.
    #[serde(default)]
    pub least: u64,
    /// Accepted proposals of the client that got the most.
    #[serde(default)]
    pub most: u64,
    /// From a client's first attempt to the acceptance.
    pub p50_us: u64,
    pub p99_us: u64,
}

#[derive(Default)]
struct Count {
    accepted: u64,
    attempts: u64,
    given_up: u64,
    took_us: Vec<u64>,
}

/// Lets `clients` SDK clients reaffirm one project's environment as often as they can.
pub(super) fn run(
    world: &Arc<World>,
    address: SocketAddr,
    project: &ProjectName,
    clients: usize,
    measured: Duration,
) -> anyhow::Result<HotRow> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let worker = world.with_role(&[Role::Worker])?;
    runtime.block_on(async {
        let end = Instant::now() + measured;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..clients {
            let client = Client::new(&format!("http://{address}"), world.cluster.clone(), worker.secret.clone())?;
            let draft = Draft::new(Transition::EnvironmentReaffirm, &json!({"version": 1}))?.to(project.clone());
            tasks.spawn(one(client, draft, end));
        }
        let mut latency_us = Histogram::<u64>::new(3)?;
        let (mut all, mut clients_given_up, mut accepted_each) = (Count::default(), 0, Vec::new());
        while let Some(count) = tasks.join_next().await {
            let count = count??;
            all.accepted += count.accepted;
            all.attempts += count.attempts;
            all.given_up += count.given_up;
            clients_given_up += usize::from(count.given_up > 0);
            accepted_each.push(count.accepted);
            for took in count.took_us {
                latency_us.record(took.max(1))?;
            }
        }
        Ok(HotRow {
            clients,
            accepted_per_second: (all.accepted as f64 / measured.as_secs_f64()) as u64,
            attempts_each: all.attempts as f64 / all.accepted.max(1) as f64,
            given_up: all.given_up,
            clients_given_up,
            least: accepted_each.iter().copied().min().unwrap_or(0),
            most: accepted_each.iter().copied().max().unwrap_or(0),
            p50_us: latency_us.value_at_quantile(0.5),
            p99_us: latency_us.value_at_quantile(0.99),
        })
    })
}

async fn one(client: Client, draft: Draft, end: Instant) -> anyhow::Result<Count> {
    use swoosh_client::{Outcome, ProposeError::GaveUp};
    let mut count = Count::default();
    while Instant::now() < end {
        let began = Instant::now();
        match client.propose(draft.clone()).await {
            Ok(Outcome::Accepted(accepted)) => {
                count.accepted += 1;
                count.attempts += u64::from(accepted.attempts);
                count.took_us.push(u64::try_from(began.elapsed().as_micros())?);
            }
            Ok(Outcome::Held(held)) => anyhow::bail!("{} is held", held.key),
            Err(GaveUp { attempts, .. }) => {
                count.given_up += 1;
                count.attempts += u64::from(attempts);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(count)
}
