//! What honest clients get while others do the node harm.

mod attack;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::daemon::Daemon;
use super::fill::{Size, fill};
use super::load::{self, LoadRow};
use super::world::World;
use super::{story, tell, tell_row};
use attack::{Abuse, Attack};
use swoosh_machine::head::Head;
use swoosh_platform::descriptors;

/// Honest clients, each with a project of its own.
const HONEST: usize = 16;
/// Descriptors that this program needs for everything but the idle connections.
const OTHER_DESCRIPTORS: usize = 1_500;

/// Load of the honest clients during one kind of abuse.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AbuseRow {
    /// Kind of abuse.
    pub abuse: String,
    /// Amount of abuse, and the answers to it.
    pub detail: String,
    /// Baseline, measured immediately before without abuse.
    pub alone: LoadRow,
    /// Measured during the abuse.
    pub honest: LoadRow,
}

/// Measures honest clients under each abuse, and each time alone right before: what else runs on the machine changes
/// from minute to minute.
pub(super) fn run(world: &Arc<World>, scratch: &Path, measured: Duration) -> anyhow::Result<Vec<AbuseRow>> {
    descriptors::raise();
    let directory = scratch.join("abuse");
    let projects = 2 * HONEST * Abuse::ALL.len() + 1;
    tell(&format!("abuse: {projects} projects are brought into the loop"));
    let size = Size { projects, records: story::LIFECYCLE };
    let heads = fill(world, &directory, size, &(0..projects).collect::<Vec<_>>())?;
    let (hot, honest) = heads.split_first().context("there is no project")?;
    let mut rows = Vec::new();
    for (abuse, own) in Abuse::ALL.into_iter().zip(honest.chunks(2 * HONEST)) {
        rows.push(row(world, &directory, abuse, own, hot, measured)?);
    }
    super::remove(&directory)?;
    Ok(rows)
}

fn row(
    world: &World,
    directory: &Path,
    abuse: Abuse,
    own: &[Head],
    hot: &Head,
    measured: Duration,
) -> anyhow::Result<AbuseRow> {
    let mut settings = world.settings(directory)?;
    // Keeps all idle connections open: at the default limit the node closes idle ones to admit new clients.
    settings.limits.connections = 16_384;
    let path = directory.join("swoosh.yaml");
    std::fs::write(&path, yaml_serde::to_string(&settings)?)?;
    let daemon = Daemon::start(&path)?;
    let mut owned: Vec<_> = own.iter().map(|head| vec![head.clone()]).collect();
    let (before, meanwhile) = owned.split_at_mut(HONEST.min(own.len()));
    let (alone, _) = load::accepted(world, &daemon, before, measured, None)?;
    tell_row("abuse, none yet", &alone);
    let attack = Attack::begin(abuse, world, daemon.address, hot, idle_connections())?;
    let (honest, _) = load::accepted(world, &daemon, meanwhile, measured, None)?;
    let detail = attack.end()?;
    tell_row(&format!("abuse, {}", abuse.name()), &honest);
    daemon.kill();
    Ok(AbuseRow { abuse: abuse.name().to_owned(), detail, alone, honest })
}

/// As many of 10,000 as the process may have open.
fn idle_connections() -> usize {
    let room = descriptors::limit().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let possible = room.saturating_sub(OTHER_DESCRIPTORS).min(attack::IDLE);
    if possible < attack::IDLE {
        tell(&format!("abuse: only {possible} idle connections, because the open-files limit is {room}"));
    }
    possible
}
