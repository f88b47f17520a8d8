//! Making a node load projects, without a record: it is sent proposals that it refuses for their head.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::daemon::Daemon;
use super::fill::project;
use super::story;
use super::world::World;
use swoosh_machine::head::Head;
use swoosh_testkit::http;

/// Wakes the first so many projects.
pub(super) fn all(world: &World, daemon: &Daemon, projects: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = http::connect(daemon.address, None).await?;
        for n in 0..projects {
            let (bodies, _) = story::chain(world, &Head::genesis(&project(n)?), 1)?;
            let body = bodies.first().context("a chain of one step has none")?;
            let reply = http::exchange(&mut connection, &http::proposal(body, &[])).await?;
            let known = reply.status() == 400 || reply.header("idempotency-replayed").is_some();
            anyhow::ensure!(known, "status {} to a proposal on an old head", reply.status());
        }
        Ok(())
    })
}

/// How long a daemon may take to come to something.
const PATIENCE: Duration = Duration::from_secs(600);

/// Waits until a metric has a value.
pub(super) fn until(daemon: &Daemon, name: &str, value: u64) -> anyhow::Result<()> {
    let began = Instant::now();
    while metric(daemon, name)? != value {
        anyhow::ensure!(began.elapsed() < PATIENCE, "{name} did not come to {value} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The value of a metric without labels.
pub(super) fn metric(daemon: &Daemon, name: &str) -> anyhow::Result<u64> {
    Ok(value(&metrics(daemon)?, name)?.parse()?)
}

/// All metrics, as the daemon's text.
pub(super) fn metrics(daemon: &Daemon) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = http::connect(daemon.address, None).await?;
        let reply = http::exchange(&mut connection, &http::get("/metrics")).await?;
        anyhow::Ok(String::from_utf8(reply.body().to_vec())?)
    })
}

/// The value of a series in the daemon's text.
pub(super) fn value<'t>(text: &'t str, series: &str) -> anyhow::Result<&'t str> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.with_context(|| format!("there is no metric {series}"))
}
