//! The state document (docs/design.md#state-document): ten sections, each behind an `Arc`, so that a transition
//! copies and hashes again only what it touches.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use identity::Identity;

use super::chart;
use swoosh_types::canonical::{CanonicalError, try_canonical_bytes};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::{EffectId, IdemKey, WindowId};
use swoosh_types::inputs::*;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::*;
use swoosh_types::text::{Capability, Name, ProjectName};
use swoosh_types::ucxl::EvidenceRef;

/// The whole state of one project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the sections, which Section documents")]
pub struct State {
    #[serde(with = "shared")]
    pub meta: Arc<Meta>,
    #[serde(with = "shared")]
    pub boot: Arc<Boot>,
    #[serde(with = "shared")]
    pub ingestion: Arc<Ingestion>,
    #[serde(with = "shared")]
    pub council: Arc<Council>,
    #[serde(with = "shared")]
    pub environment: Arc<Environment>,
    #[serde(with = "shared")]
    pub execution: Arc<Execution>,
    #[serde(with = "shared")]
    pub control: Arc<Control>,
    #[serde(with = "shared")]
    pub policy: Arc<Policy>,
    #[serde(with = "shared")]
    pub epoch: Arc<Epochs>,
    #[serde(with = "shared")]
    pub hlc_last: Arc<Option<HlcLast>>,
}

/// Serialises what an `Arc` holds.
mod shared {
    use super::*;
    pub fn serialize<T: Serialize, S: serde::Serializer>(value: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().serialize(serializer)
    }
    pub fn deserialize<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}

impl State {
    /// The state of a project that nothing has happened to: it follows from the name and the chart alone.
    pub fn genesis(project: &ProjectName) -> State {
        State {
            meta: Arc::new(Meta {
                project: project.clone(),
                chart_version: chart::VERSION,
                schema_hash: chart::SCHEMA_HASH,
            }),
            boot: Arc::default(),
            ingestion: Arc::default(),
            council: Arc::default(),
            environment: Arc::default(),
            execution: Arc::default(),
            control: Arc::default(),
            policy: Arc::default(),
            epoch: Arc::default(),
            hlc_last: Arc::default(),
        }
    }

    /// The canonical bytes of one section of a state that the machine made.
    ///
    /// # Panics
    /// Never: whatever reaches a reducer was decoded from canonical JSON, whose numbers are bounded. A state from
    /// a disk or a server goes through [`super::head::Head::try_of`] first.
    #[expect(clippy::expect_used, reason = "a state that the machine made has canonical bytes; see above")]
    pub fn section_bytes(&self, section: Section) -> Vec<u8> {
        self.try_section_bytes(section).expect("a state that the machine made has canonical bytes")
    }

    /// The canonical bytes of one section of an unchecked state.
    pub fn try_section_bytes(&self, section: Section) -> Result<Vec<u8>, CanonicalError> {
        match section {
            Section::Meta => try_canonical_bytes(&*self.meta),
            Section::Boot => try_canonical_bytes(&*self.boot),
            Section::Ingestion => try_canonical_bytes(&*self.ingestion),
            Section::Council => try_canonical_bytes(&*self.council),
            Section::Environment => try_canonical_bytes(&*self.environment),
            Section::Execution => try_canonical_bytes(&*self.execution),
            Section::Control => try_canonical_bytes(&*self.control),
            Section::Policy => try_canonical_bytes(&*self.policy),
            Section::Epoch => try_canonical_bytes(&*self.epoch),
            Section::HlcLast => try_canonical_bytes(&*self.hlc_last),
        }
    }

    /// Whether two states hold the very same section, by address.
    pub fn shares(&self, other: &State, section: Section) -> bool {
        match section {
            Section::Meta => Arc::ptr_eq(&self.meta, &other.meta),
            Section::Boot => Arc::ptr_eq(&self.boot, &other.boot),
            Section::Ingestion => Arc::ptr_eq(&self.ingestion, &other.ingestion),
            Section::Council => Arc::ptr_eq(&self.council, &other.council),
            Section::Environment => Arc::ptr_eq(&self.environment, &other.environment),
            Section::Execution => Arc::ptr_eq(&self.execution, &other.execution),
            Section::Control => Arc::ptr_eq(&self.control, &other.control),
            Section::Policy => Arc::ptr_eq(&self.policy, &other.policy),
            Section::Epoch => Arc::ptr_eq(&self.epoch, &other.epoch),
            Section::HlcLast => Arc::ptr_eq(&self.hlc_last, &other.hlc_last),
        }
    }

    /// Whether the project is under this version of the statechart or a newer one. Rules that a version
    /// introduced hold from its barrier on; records before it keep the rules that they were judged by.
    pub fn is_under(&self, chart_version: u64) -> bool {
        self.meta.chart_version >= chart_version
    }

    /// The state that a region is in, as the chart names it.
    pub fn region_state(&self, region: Region) -> &'static str {
        match region {
            Region::Boot => self.boot.phase.as_str(),
            Region::Ingestion => self.ingestion.phase.as_str(),
            Region::Council => self.council.phase.as_str(),
            Region::Environment => self.environment.phase.as_str(),
            Region::Execution => self.execution.phase.as_str(),
            Region::Control => self.control.phase.as_str(),
            Region::Policy => self.policy.phase.as_str(),
        }
    }

    /// The top-level phase, which follows from the regions.
    pub fn phase(&self) -> TopPhase {
        let ended = self.control.phase == ControlState::Terminated || self.policy.phase == PolicyState::Terminated;
        match (ended, self.boot.phase, self.execution.phase) {
            (true, ..) => TopPhase::Terminated,
            (_, BootState::Uninitialized | BootState::LicenseCheck, _) => TopPhase::Boot,
            (_, BootState::Licensed, ExecutionState::Inactive) => TopPhase::ProjectLifecycle,
            (_, BootState::Licensed, _) => TopPhase::Execution,
        }
    }

    /// The version that a council or an environment is bound to when it becomes READY now. With a loop, that is the
    /// version that execution is pinned to, so that building a new version does not affect the loop; without one, the
    /// version that ingestion has or builds. Only Reaffirm moves either of them to a newer version.
    pub fn binding(&self) -> u64 {
        self.execution.pin.as_ref().map_or(self.ingestion.version, |pin| pin.version)
    }

    /// The effects that a region holds open.
    pub fn effects(&self, region: Region) -> &Effects {
        static NONE: Effects = Effects::new();
        match region {
            Region::Ingestion => &self.ingestion.effects,
            Region::Council => &self.council.effects,
            Region::Environment => &self.environment.effects,
            Region::Boot | Region::Execution | Region::Control | Region::Policy => &NONE,
        }
    }

    pub fn open_effects(&self) -> impl Iterator<Item = &OpenEffect> {
        Region::ALL.iter().flat_map(|&region| self.effects(region).values())
    }

    pub fn effects_mut(&mut self, region: Region) -> Option<&mut Effects> {
        match region {
            Region::Ingestion => Some(&mut Arc::make_mut(&mut self.ingestion).effects),
            Region::Council => Some(&mut Arc::make_mut(&mut self.council).effects),
            Region::Environment => Some(&mut Arc::make_mut(&mut self.environment).effects),
            Region::Boot | Region::Execution | Region::Control | Region::Policy => None,
        }
    }
}

/// The top-level phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TopPhase {
    /// Before LICENSED.
    Boot,
    /// Licensed, the loop not entered yet.
    ProjectLifecycle,
    /// In the loop.
    Execution,
    /// Ended for good.
    Terminated,
}

/// Chart version and schema hash, and whose state it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    pub project: ProjectName,
    /// Version of the chart that applies.
    pub chart_version: u64,
    pub schema_hash: Hash,
}

/// Configuration, license check, identities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    pub phase: BootState,
    /// When the license check passed.
    pub licensed_at: Option<Hlc>,
    /// Identities that may propose, beside those of the node's settings.
    pub identities: BTreeMap<PublicKey, Identity>,
}

/// Work outside the machine that has not come back yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenEffect {
    /// `<project>/<index>-<digest>/<effect>`.
    pub id: EffectId,
    /// When it was opened.
    pub opened_at: Hlc,
}

/// Open effects, at most one of each name.
pub type Effects = BTreeMap<EffectName, OpenEffect>;

/// A version that was READY once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadyVersion {
    pub content_hash: Hash,
    /// The fetched sources that it was built from.
    pub fetched: FetchedSources,
}

/// Sources and index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingestion {
    pub phase: IngestionState,
    /// The version being built, or READY.
    pub version: u64,
    /// The highest version ever begun.
    pub highest_version: u64,
    /// Repositories wanted.
    pub sources: SourceSet,
    /// Upstream toolchains wanted.
    pub upstreams: SourceSet,
    /// Commits of this version.
    pub resolved: ResolvedSources,
    /// Trees of this version.
    pub fetched: FetchedSources,
    /// Outcomes of this version's checks.
    pub outcomes: CheckOutcomes,
    /// Content hash of this version, when READY.
    pub content_hash: Option<Hash>,
    /// Versions that can be rolled back to.
    pub ready_versions: BTreeMap<u64, ReadyVersion>,
    /// Failures in a row.
    pub tries: u64,
    pub retry_limit: u64,
    pub last_failure: Option<Failure>,
    pub effects: Effects,
}

/// The quorum certificate of the elected set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The council's epoch that the votes were signed in.
    pub council_epoch: u64,
    /// Hash of the member set that was voted for.
    pub member_set_hash: Hash,
    pub votes: Votes,
}

/// Roles, candidates, members, tooling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Council {
    pub phase: CouncilState,
    /// How it is elected.
    pub rules: CouncilRules,
    pub roles: RoleSpecs,
    /// Servers that must answer.
    pub tool_pins: BTreeMap<Name, ToolPin>,
    pub candidates: BTreeMap<PublicKey, BTreeSet<Capability>>,
    /// Section hash that ProfilesLoaded left; kept from the first certificate on, or from the first rotation of a candidate.
    pub election_seed: Option<Hash>,
    /// The elected members, by role.
    pub members: Members,
    pub member_set_hash: Option<Hash>,
    /// Proof of the election.
    pub certificate: Option<Certificate>,
    /// Servers that answered as pinned.
    pub tooling: ServersSeen,
    /// Servers that did not.
    pub unreachable: UnreachableServers,
    /// Ingestion's version that the council is bound to, once it has been READY; see [`State::binding`].
    pub version: Option<u64>,
    pub effects: Effects,
}

/// Allocation, assets, health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    pub phase: EnvironmentState,
    pub allocation: Allocation,
    /// The builds for it; empty where the project leaves them to the node. Left out of older states.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub builds: Vec<BuildChoice>,
    /// The assets, also of partial builds.
    pub assets: Assets,
    /// Hash of the manifest over the assets.
    pub assets_hash: Option<Hash>,
    /// Health of the assets.
    pub outcomes: AssetOutcomes,
    /// Failures in a row.
    pub tries: u64,
    pub retry_limit: u64,
    pub last_failure: Option<Failure>,
    /// Ingestion's version that the environment is bound to, once it has been READY; a repeated check keeps it. See
    /// [`State::binding`].
    pub version: Option<u64>,
    pub effects: Effects,
}

impl Environment {
    /// Whether provisioning failed more often than it may, and begins again by Environment_Deprovision alone. Never so
    /// under version 1 of the chart, which began again by itself.
    pub fn rests(&self) -> bool {
        self.phase == EnvironmentState::Allocate && self.tries > self.retry_limit && self.effects.is_empty()
    }
}

/// The versions and hashes that execution is pinned to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Ingestion's version.
    pub version: u64,
    pub content_hash: Hash,
    /// The council's member set.
    pub member_set_hash: Hash,
    /// The environment's assets.
    pub assets_hash: Hash,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    pub plan_hash: Hash,
    pub beat: u64,
    pub rework_round: u64,
    pub council_epoch: u64,
    /// The key that signed, where it is another than the one that was elected. Approvals from before version 2 of the
    /// chart name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<PublicKey>,
}

/// A submitted result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// Where it is.
    pub submission: UcxlAddress,
    pub submission_hash: Hash,
    pub signer: PublicKey,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Execution {
    pub phase: ExecutionState,
    pub pin: Option<Pin>,
    /// The locked plan.
    pub plan_hash: Option<Hash>,
    /// The loop's own beat, from 1.
    pub beat: u64,
    /// How often review handed the work back in this beat.
    pub rework_round: u64,
    /// The last window that a gated transition used.
    pub window: Option<WindowId>,
    /// Approvals that lead to REVERB.
    pub approval_threshold: u64,
    /// Approvals of this round.
    pub approvals: BTreeMap<PublicKey, Approval>,
    /// Submissions of this beat.
    pub submissions: Vec<Submission>,
    /// Evidence of this beat, the newest addresses up to the bound. Under version 1 of the chart: of the last transition.
    pub evidence: Vec<EvidenceRef>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LicenseStatus {
    #[default]
    Ok,
    /// Ran out; the grace period runs.
    Grace,
    /// The grace period is over.
    Expired,
}

impl fmt::Display for LicenseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LicenseStatus::Ok => "ok",
            LicenseStatus::Grace => "grace",
            LicenseStatus::Expired => "expired",
        })
    }
}

/// Independent flags, and the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// ACTIVE or TERMINATED.
    pub phase: ControlState,
    /// Set by an operator.
    pub paused: bool,
    /// Set while too few elected members are alive.
    pub recovery: bool,
    pub license: LicenseStatus,
    /// Why the last change was made.
    pub rationale: Option<String>,
}

/// Where a quarantine came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuarantineOrigin {
    /// Content broke a policy in VALIDATE, which runs again after the release.
    Content,
    /// A proposal broke a policy.
    Proposal,
    /// Declared by a signer.
    Declared,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Whether the project is held.
    pub phase: PolicyState,
    /// Why, or why it was let go.
    pub rationale: Option<Rationale>,
    /// Where the quarantine came from.
    pub origin: Option<QuarantineOrigin>,
    /// The breach of a policy.
    pub breach: Option<Breach>,
    /// Serial of the bundle under which it struck; none while clear, and of a declared quarantine.
    pub struck_serial: Option<u64>,
    /// Hash of the bundle that lifted the last quarantine.
    pub bundle_hash: Option<Hash>,
}

/// A counter per region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the regions")]
pub struct Epochs {
    pub boot: u64,
    pub ingestion: u64,
    pub council: u64,
    pub environment: u64,
    pub execution: u64,
    pub control: u64,
    pub policy: u64,
}

impl Epochs {
    /// The counter of a region.
    pub fn of(&self, region: Region) -> u64 {
        match region {
            Region::Boot => self.boot,
            Region::Ingestion => self.ingestion,
            Region::Council => self.council,
            Region::Environment => self.environment,
            Region::Execution => self.execution,
            Region::Control => self.control,
            Region::Policy => self.policy,
        }
    }

    pub fn of_mut(&mut self, region: Region) -> &mut u64 {
        match region {
            Region::Boot => &mut self.boot,
            Region::Ingestion => &mut self.ingestion,
            Region::Council => &mut self.council,
            Region::Environment => &mut self.environment,
            Region::Execution => &mut self.execution,
            Region::Control => &mut self.control,
            Region::Policy => &mut self.policy,
        }
    }
}

/// The last applied proposal: the triple that orders proposals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HlcLast {
    /// The proposal's clock.
    pub hlc: Hlc,
    pub signer: PublicKey,
    /// Under which key.
    pub idem_key: IdemKey,
}

mod genesis;
mod identity;
mod section;
#[cfg(test)]
mod tests;
mod weight;

pub use section::Section;
