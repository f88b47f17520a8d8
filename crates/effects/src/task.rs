//! The task of an effect, as its executor needs it.

use std::collections::BTreeMap;

use swoosh_types::inputs::{Allocation, Assets, FetchedSources, ResolvedSources, SourceSet};
use swoosh_types::names::EffectName;
use swoosh_types::text::Name;

/// The work of one effect, read from the project's durable head when it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Turns references into commits.
    Resolve {
        /// Sources and upstreams.
        wanted: Wanted,
    },
    /// Brings commits here.
    Fetch {
        /// Sources and upstreams.
        wanted: Wanted,
        /// Their commits.
        resolved: ResolvedSources,
    },
    /// Checks pins, schemas and content.
    Validate {
        /// Sources and upstreams.
        wanted: Wanted,
        /// Their commits and trees.
        fetched: FetchedSources,
    },
    /// Builds the content manifest.
    Index {
        version: u64,
        /// Commits and trees.
        fetched: FetchedSources,
        /// Versions that can be rolled back to, with their trees: their indexes are kept.
        kept: BTreeMap<u64, FetchedSources>,
    },
    /// Asks every pinned MCP server for its name and version.
    Probe,
    /// Checks that the capacity is there.
    Allocate,
    /// Makes the environment's assets.
    Provision {
        /// The content version that they are made for.
        version: u64,
        /// The project's builds; empty where it leaves them to the node.
        builds: Vec<Build>,
        /// The allocation of the environment.
        allocation: Allocation,
        /// Assets recorded by an earlier attempt.
        assets: Assets,
    },
    /// Verifies the assets.
    Healthcheck {
        /// Their hashes.
        assets: Assets,
    },
    /// Takes down what was provisioned.
    Release { assets: Assets },
}

/// One build of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    pub environment: Name,
    /// The builder of the inventory.
    pub builder: String,
    pub variant: Option<Name>,
}

/// The repositories of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub sources: SourceSet,
    /// Its pinned upstreams.
    pub upstreams: SourceSet,
}

impl Task {
    /// The effect that it is the work of.
    pub fn effect(&self) -> EffectName {
        match self {
            Task::Resolve { .. } => EffectName::Resolve,
            Task::Fetch { .. } => EffectName::Fetch,
            Task::Validate { .. } => EffectName::Validate,
            Task::Index { .. } => EffectName::Index,
            Task::Probe => EffectName::Probe,
            Task::Allocate => EffectName::Allocate,
            Task::Provision { .. } => EffectName::Provision,
            Task::Healthcheck { .. } => EffectName::Healthcheck,
            Task::Release { .. } => EffectName::Release,
        }
    }
}

/// The resource that an attempt uses. Two attempts of one project may not use it at once; that includes a stopping
/// attempt and the one that removes its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Trees and indexes.
    Content,
    /// Facts alone.
    Nowhere,
    Environment,
}

/// Where an effect works.
pub(super) fn place(effect: EffectName) -> Place {
    match effect {
        EffectName::Resolve | EffectName::Fetch | EffectName::Validate | EffectName::Index => Place::Content,
        EffectName::Probe | EffectName::Allocate => Place::Nowhere,
        EffectName::Provision | EffectName::Healthcheck | EffectName::Release => Place::Environment,
    }
}

/// Whether repeating an effect after a crash does nothing twice. Provisioning runs builders with effects that are not
/// known here.
pub fn is_idempotent(effect: EffectName) -> bool {
    effect != EffectName::Provision
}
