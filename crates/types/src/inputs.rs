//! The vocabulary of transition inputs: every type that `statechart.yaml` names under `inputs`.
//!
//! Lists and maps are bounded by the chart's `bounds`; the machine refuses a transition that would
//! exceed one.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

pub use super::hash::Hash;
pub use super::ids::EffectId;
pub use super::json::Json;
pub use super::keys::{PublicKey, Signature};
use super::names::{OpClass, Role, Transition};
pub use super::sorted_map::SortedMap;
use super::text::{AssetName, Capability, GitId, GitRef, LicenceId, Name, ProjectName, ServerName, Url, Version};
pub use super::text::{Detail, Rationale};
pub use super::ucxl::UcxlAddress;

/// A whole number from 0 to 2^53−1.
pub type Count = u64;
/// Distinct keys.
pub type PublicKeys = BTreeSet<PublicKey>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityGrant {
    pub name: Name,
    /// Its roles; `node` cannot be granted.
    pub roles: BTreeSet<Role>,
    /// Whether it acts for others only, and how far that goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<Delegation>,
}

/// The limits of an identity that acts for others, such as the callers of another system: it proposes within
/// these, and is never a human, an operator or a voter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegation {
    /// Classes of transitions that it may propose; at least one.
    pub op_classes: BTreeSet<OpClass>,
    /// Projects that it may propose to; left out, every one that knows it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub projects: BTreeSet<ProjectName>,
}

/// Most projects that one delegation may name.
pub const MAX_DELEGATED_PROJECTS: usize = 64;

impl IdentityGrant {
    /// The faults of its delegation, in words; empty if it may be granted.
    pub fn delegation_faults(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let Some(delegation) = &self.delegate else { return wrong };
        for role in self.roles.iter().filter(|role| matches!(role, Role::Human | Role::Operator | Role::Voter)) {
            wrong.push(format!("a delegate is never {role}; take the role out"));
        }
        if delegation.op_classes.is_empty() {
            wrong.push("it is a delegate for no op class; name at least one under op_classes".to_owned());
        }
        if delegation.projects.len() > MAX_DELEGATED_PROJECTS {
            wrong.push(format!(
                "it is a delegate for more than {MAX_DELEGATED_PROJECTS} projects; leave them out for all"
            ));
        }
        wrong
    }
}

/// Where a repository is and what of it is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// `https://`, `ssh://` or `file://`.
    pub url: Url,
    /// A commit, a tag, or a branch that the settings allow to float.
    #[serde(rename = "ref")]
    pub reference: GitRef,
}

/// Repositories by name.
pub type SourceSet = SortedMap<Name, SourceSpec>;

/// Requirements of one council role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleSpec {
    /// The capabilities that its holder should have.
    pub capabilities: BTreeSet<Capability>,
    /// How many members hold it, at least 1.
    pub seats: Count,
}

/// Roles of the council by name.
pub type RoleSpecs = SortedMap<Name, RoleSpec>;

/// The MCP server that must answer, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolPin {
    /// Where it listens (streamable HTTP).
    pub url: Url,
    /// The name it must report.
    pub server: ServerName,
    /// The version it must report.
    pub version: Version,
}

/// Amounts by resource, in the resource's own unit (`vcpu`, `memory_mib`, …).
pub type Allocation = SortedMap<Name, Count>;

/// One build of an environment, by the names of the node's definitions (`swoosh templates list`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildChoice {
    pub environment: Name,
    /// The builder of the inventory; `source.` may be left out.
    pub builder: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Name>,
}

/// How large a quorum must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuorumRule {
    /// ⌊n/2⌋+1 of n candidates.
    #[default]
    Majority,
    /// ⌊2n/3⌋+1 of n candidates.
    Bft,
}

impl QuorumRule {
    /// The least number of votes that is a quorum of `candidates`.
    pub fn votes_needed(self, candidates: u64) -> u64 {
        match self {
            QuorumRule::Majority => candidates / 2 + 1,
            QuorumRule::Bft => candidates * 2 / 3 + 1,
        }
    }
}

/// How the council is elected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CouncilRules {
    /// How large a quorum must be.
    #[serde(default)]
    pub quorum: QuorumRule,
    /// Fewest members of a council, 1 to 64; 3 by default.
    #[serde(default = "three")]
    pub min_members: Count,
}

fn three() -> Count {
    3
}

impl Default for CouncilRules {
    fn default() -> CouncilRules {
        CouncilRules { quorum: QuorumRule::Majority, min_members: three() }
    }
}

/// Limits of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How often an effect may fail before its region steps back, 1 to 100; 3 by default.
    #[serde(default = "three")]
    pub retries: Count,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { retries: three() }
    }
}

/// The project document, given once by Boot_ConfigOk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectDocument {
    /// Repositories whose content the project works on.
    pub sources: SourceSet,
    /// Pinned upstream toolchains, fetched beside the sources.
    #[serde(default)]
    pub upstreams: SourceSet,
    /// Roles of the council.
    pub roles: RoleSpecs,
    /// MCP servers that must answer before the council is ready.
    #[serde(default)]
    pub tool_pins: BTreeMap<Name, ToolPin>,
    /// The allocation of the environment.
    #[serde(default)]
    pub allocation: Allocation,
    /// The builds for the environment; left out, those of the node's settings (`effects.builds`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub builds: Vec<BuildChoice>,
    #[serde(default)]
    pub limits: Limits,
    /// How the council is elected.
    #[serde(default)]
    pub council: CouncilRules,
    /// Approvals that lead from REVIEW to REVERB.
    pub approval_threshold: Count,
    /// Identities that may propose, beside those of the node's settings.
    pub identities: BTreeMap<PublicKey, IdentityGrant>,
}

/// A source whose reference is a commit now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolvedSource {
    pub commit: GitId,
}

/// Commits by source.
pub type ResolvedSources = SortedMap<Name, ResolvedSource>;

/// A source whose bytes are here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchedSource {
    /// The commit, as resolved.
    pub commit: GitId,
    /// The commit's tree.
    pub tree: GitId,
}

/// Commits and trees by source.
pub type FetchedSources = SortedMap<Name, FetchedSource>;

/// Why an effect failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Cause and remedy.
    pub detail: Detail,
    /// Whether it is not known if the work was done.
    #[serde(default)]
    pub unknown: bool,
}

/// One check and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckOutcome {
    /// Name of the check: `pins`, `schema`, `scan`, …
    pub check: Name,
    /// The source it was checked on.
    pub source: Name,
    /// Whether it passed.
    pub ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
    /// The content as seen by the check, for the policies to judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Box<ContentSeen>>,
}

/// A source's content as seen by a check. Policies judge it as `context.content` (docs/policies.md).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContentSeen {
    /// How many files there are.
    pub files: Count,
    /// How many bytes they have together.
    pub bytes: Count,
    /// How many bytes the largest of them has.
    pub largest_file_bytes: Count,
    /// SPDX ids of the licences found; `NOASSERTION` where there is none. At most 64.
    #[serde(deserialize_with = "at_most::<64, _, _>", skip_serializing_if = "BTreeSet::is_empty")]
    pub licences: BTreeSet<LicenceId>,
    /// Findings of scans, by the scanner's names: `private-key`, `credentials`, `binary`, … At most 64.
    #[serde(deserialize_with = "at_most::<64, _, _>", skip_serializing_if = "BTreeSet::is_empty")]
    pub flags: BTreeSet<Name>,
    /// Paths that the flags are about. At most 32.
    #[serde(deserialize_with = "at_most::<32, _, _>", skip_serializing_if = "BTreeSet::is_empty")]
    pub paths: BTreeSet<Detail>,
    /// How many findings have a path that `paths` does not hold in full. Policies cannot see these.
    #[serde(skip_serializing_if = "is_zero")]
    pub paths_left_out: Count,
}

fn is_zero(count: &Count) -> bool {
    *count == 0
}

/// Reads a set that has a bound.
fn at_most<'de, const MOST: usize, T: Deserialize<'de> + Ord, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeSet<T>, D::Error> {
    let set = BTreeSet::deserialize(deserializer)?;
    if set.len() <= MOST {
        Ok(set)
    } else {
        Err(D::Error::custom(format!("{} entries; {MOST} is the most", set.len())))
    }
}

pub type CheckOutcomes = Vec<CheckOutcome>;

/// A candidate for the council.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// The candidate's key.
    pub key: PublicKey,
    pub capabilities: BTreeSet<Capability>,
}

/// Candidates; the keys must be distinct.
pub type Candidates = Vec<Candidate>;
/// Roles by member.
pub type Members = BTreeMap<PublicKey, Name>;

/// One candidate's signature over the member set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// The candidate.
    pub voter: PublicKey,
    /// Over [`VoteBody`] in the vote domain.
    pub signature: Signature,
}

/// Votes; the voters must be distinct.
pub type Votes = Vec<Vote>;

/// The document that a vote signs (beside the domain line and the cluster).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoteBody {
    pub project: super::text::ProjectName,
    /// The council region's epoch while the election runs.
    pub council_epoch: Count,
    /// sha256 of the canonical bytes of the proposed [`Members`].
    pub member_set_hash: Hash,
}

/// The document that the holder of a new key signs (beside the domain line and the cluster) to take over an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotationBody {
    pub project: super::text::ProjectName,
    /// The key that goes.
    pub old: PublicKey,
    /// The key that comes, whose signature this is.
    pub new: PublicKey,
}

/// A server's own description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSeen {
    pub server: ServerName,
    pub version: Version,
}

/// Servers by pin.
pub type ServersSeen = SortedMap<Name, ServerSeen>;
/// Why pinned servers did not count, by pin.
pub type UnreachableServers = BTreeMap<Name, Detail>;
/// Content hashes of assets.
pub type Assets = SortedMap<AssetName, Hash>;

/// How an asset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AssetHealth {
    /// Healthy.
    Ok,
    /// Works, but not as it should.
    Degraded,
    /// Does not work.
    Failed,
}

pub type AssetOutcomes = SortedMap<AssetName, AssetHealth>;

/// A breach of a policy, kept so that it can be judged again by a newer bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breach {
    pub signer: PublicKey,
    /// The signer's roles at that time.
    pub roles: BTreeSet<Role>,
    pub transition: Transition,
    pub inputs_hash: Hash,
    /// Serial of the bundle that forbade it.
    pub bundle_serial: Count,
    /// Reasons of its `@breach` rules, as many as the state may hold.
    pub reasons: Vec<Detail>,
    /// How many more reasons there were; left out where all are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<Count>,
}
