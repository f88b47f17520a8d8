//! What the daemon is started with: settings and window schedule.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::cast::Cast;
use super::repositories::Repositories;
use super::servers::Servers;
use swoosh_types::backbeat::{AmplitudePoint, Schedule, WindowSpec};
use swoosh_types::fact::FactKind;
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::{EffectName, WindowClass};

/// The settings file.
pub(super) const SETTINGS: &str = "swoosh.yaml";
/// The data directory.
pub(super) const DATA: &str = "data";
/// The fact file.
pub(super) const FACTS: &str = "facts.json";
/// How long a project goes on after its license, in milliseconds.
pub(super) const GRACE_MS: u64 = 4_000;
/// What is built: a file that describes an image.
pub(super) const BUILDER: &str = "source.file.linux-image";
/// What that build is called.
pub(super) const BUILD: &str = "file.linux-image";
/// How long the node waits before it works at an effect again that failed, in milliseconds.
const RETRY_MIN_MS: u64 = 1_000;
const BACKBEAT: &str = "backbeat.yaml";

/// A schedule in a hurry: beats of 100 ms, 24 of which make a cycle. A second plan window at the end of the
/// cycle shows that an open window is not always a new one.
pub(super) fn schedule() -> anyhow::Result<Schedule> {
    let window = |phase_beats, length_beats| WindowSpec { phase_beats, length_beats };
    let schedule = Schedule {
        epoch: "2025-01-01T00:00:00.000+00:00#0".parse::<Hlc>()?,
        beat_ms: 100,
        cycle_beats: 24,
        windows: [
            (WindowClass::Plan, vec![window(0, 8), window(20, 4)]),
            (WindowClass::Review, vec![window(7, 8)]),
            (WindowClass::Reverb, vec![window(14, 10)]),
        ]
        .into(),
        amplitude: vec![AmplitudePoint { phase_beats: 14, pressure: 300 }],
        live: None,
    };
    schedule.validate()?;
    Ok(schedule)
}

/// Sources and environment are the node's own to work at; only for the tools it waits for a worker. Nothing is given
/// up while the story makes it wait.
fn effects() -> Value {
    let builtin = EffectName::ALL.iter().filter(|effect| **effect != EffectName::Probe);
    let mut effects: serde_json::Map<_, _> = builtin.map(|effect| (effect.to_string(), json!("builtin"))).collect();
    let more = json!({
        "attempts": 100,
        "retry_min_ms": RETRY_MIN_MS,
        "retry_max_ms": 1_500,
        "builds": [{"environment": "dev", "builder": BUILDER}],
    });
    effects.extend(more.as_object().cloned().unwrap_or_default());
    effects.into()
}

/// Writes settings and schedule; returns the settings file.
pub(super) fn write(
    directory: &Path,
    cast: &Cast,
    platform: PublicKey,
    servers: &Servers,
    repositories: &Repositories,
) -> anyhow::Result<PathBuf> {
    let believed = [FactKind::Capacity, FactKind::Liveness];
    let sources: serde_json::Map<_, _> = believed.iter().map(|kind| (kind.to_string(), json!([platform]))).collect();
    let operator = cast.key("operator")?.to_string();
    let settings = json!({
        "cluster": cast.cluster(),
        "data": DATA,
        "backbeat": {
            "file": BACKBEAT, "source": servers.beats.stream(), "source_key": servers.beats.key(), "poll_ms": 100,
        },
        "identities": {operator: {"name": "operator", "roles": ["operator"]}},
        "facts": {"file": FACTS, "sources": sources},
        "kaching": {"url": servers.kaching.url(), "keys": [servers.kaching.key()]},
        "license": {"grace_ms": GRACE_MS},
        "effects": effects(),
        "sources": {
            "floating_refs": repositories.floating(),
            "transports": ["file", "https", "ssh"],
            "file_prefixes": [repositories.app()],
        },
        "mcp": {"interval_ms": 150, "settle_ms": 50, "timeout_ms": 3_000, "valid_for_ms": 600_000},
        "decisions": {"bubble": servers.bubble.url(), "retry_min_ms": 20, "retry_max_ms": 200},
    });
    let path = directory.join(SETTINGS);
    std::fs::write(directory.join(BACKBEAT), yaml_serde::to_string(&schedule()?)?)?;
    std::fs::write(&path, yaml_serde::to_string(&settings)?)?;
    Ok(path)
}
