//! Replacing WHOOSH step by step: the routing of decisions, the operator's signed order that changes it, and the
//! differences found (docs/design.md#migration).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::canonical::canonical_bytes;
use super::hlc::Hlc;
use super::ids::IdemKey;
use super::keys::{self, PublicKey, SecretKey, Signature, domain};
use super::legacy_grant::LegacyGrant;
use super::names::{Region, Transition};
use super::rejection::{Code, Rejection};
use super::text::{ClusterId, Name, ProjectName, Rationale, serde_as_text};
use super::ucxl::{EvidenceRef, Ucxl};

/// The role of the UCXL address by which the shim names the caller it signs for.
const ROLE: &str = "whoosh";
/// The task of that address where WHOOSH decided.
const MIRRORED: &str = "mirrored";
/// The task of that address where SWOOSH decided.
const DECIDED: &str = "decided";

/// How far the migration is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MigrationMode {
    /// WHOOSH decides; SWOOSH applies the same and compares.
    #[default]
    Shadow,
    /// SWOOSH decides in some regions, WHOOSH in the others.
    Regions,
    /// SWOOSH decides everything; nothing is written to WHOOSH.
    Cutover,
    /// WHOOSH decides again; SWOOSH applies the same and compares.
    Bypass,
}

impl MigrationMode {
    /// All of them, in the order of a migration.
    pub const ALL: [MigrationMode; 4] =
        [MigrationMode::Shadow, MigrationMode::Regions, MigrationMode::Cutover, MigrationMode::Bypass];

    pub const fn as_str(self) -> &'static str {
        match self {
            MigrationMode::Shadow => "shadow",
            MigrationMode::Regions => "regions",
            MigrationMode::Cutover => "cutover",
            MigrationMode::Bypass => "bypass",
        }
    }
}

impl std::fmt::Display for MigrationMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// There is no such mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no mode of the migration; write shadow, regions, cutover or bypass")]
pub struct ModeError(String);

impl std::str::FromStr for MigrationMode {
    type Err = ModeError;
    fn from_str(text: &str) -> Result<MigrationMode, ModeError> {
        let found = MigrationMode::ALL.into_iter().find(|mode| mode.as_str() == text);
        found.ok_or_else(|| ModeError(text.chars().take(80).collect()))
    }
}

serde_as_text!(MigrationMode);

/// Routing of decisions to WHOOSH or SWOOSH.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routing {
    /// How far the migration is.
    pub mode: MigrationMode,
    /// The regions that SWOOSH decides, in mode `regions`; in the others there are none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regions: BTreeSet<Region>,
}

impl Routing {
    /// Whether SWOOSH decides transitions of a region.
    pub fn decides(&self, region: Region) -> bool {
        match self.mode {
            MigrationMode::Shadow | MigrationMode::Bypass => false,
            MigrationMode::Regions => self.regions.contains(&region),
            MigrationMode::Cutover => true,
        }
    }

    /// Whether SWOOSH decides anything.
    pub fn decides_any(&self) -> bool {
        Region::ALL.iter().any(|&region| self.decides(region))
    }

    /// Whether SWOOSH decides a region here that it does not decide in another routing.
    pub fn goes_beyond(&self, other: &Routing) -> bool {
        Region::ALL.iter().any(|&region| self.decides(region) && !other.decides(region))
    }

    /// The fault of the routing; `None` where mode and regions agree.
    pub fn fault(&self) -> Option<&'static str> {
        match (self.mode, self.regions.is_empty()) {
            (MigrationMode::Regions, true) => Some("mode regions names at least one region, such as council"),
            (MigrationMode::Regions, false) | (_, true) => None,
            (_, false) => Some("only mode regions names regions; leave them out"),
        }
    }
}

impl std::fmt::Display for Routing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let regions: Vec<&str> = self.regions.iter().map(|region| region.as_str()).collect();
        if regions.is_empty() { write!(f, "{}", self.mode) } else { write!(f, "{} {}", self.mode, regions.join(",")) }
    }
}

/// An operator's order. It counts once, after the switch that it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The new routing.
    pub routing: Routing,
    /// Number of the switch that it follows; 0 for the first one.
    pub follows: u64,
    pub rationale: Rationale,
    /// The operator's clock: an order counts only while it is near the node's.
    pub hlc: Hlc,
    /// Cut over even if WHOOSH gives no state to compare with. Only mode `cutover` may carry it; `rationale` says why.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_comparison: bool,
    pub signer: PublicKey,
}

/// An order and its signature, as it travels and as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedOrder {
    pub order: Order,
    /// The signer's signature over it.
    pub signature: Signature,
}

impl Order {
    /// A fault of the order's form, if it has one.
    pub fn fault(&self) -> Option<&'static str> {
        let strays = self.without_comparison && self.routing.mode != MigrationMode::Cutover;
        self.routing.fault().or(strays.then_some("only mode cutover may go without the comparison"))
    }

    /// The bytes that are signed.
    pub fn message(&self, cluster: &ClusterId) -> Vec<u8> {
        keys::message(domain::MIGRATION, cluster, &canonical_bytes(self))
    }

    pub fn sign(self, cluster: &ClusterId, key: &SecretKey) -> SignedOrder {
        let signature = key.sign(&self.message(cluster));
        SignedOrder { order: self, signature }
    }
}

impl SignedOrder {
    /// Whether the signature is the signer's, for this cluster.
    pub fn is_signed(&self, cluster: &ClusterId) -> bool {
        self.order.signer.verify(&self.order.message(cluster), &self.signature)
    }
}

/// A switch that was made: the record of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// Its number, from 1.
    pub number: u64,
    /// When, by the node's clock.
    pub at: Hlc,
    /// The previous routing.
    pub from: Routing,
    /// The order, whole.
    pub order: SignedOrder,
    /// Index of the last record of the WAL then.
    pub last_index: u64,
    /// Transitions decided by SWOOSH that were passed on to WHOOSH before the switch.
    pub passed_on: u64,
    /// Set if the projects were not compared, because WHOOSH gave no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncompared: Option<Uncompared>,
}

/// A cut-over that WHOOSH could not be compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uncompared {
    /// Why WHOOSH gave no state.
    pub reason: String,
    /// Projects that differed when they were last compared.
    pub differing: u64,
    /// The first [`Uncompared::NAMED`] of them.
    pub projects: Vec<ProjectName>,
    /// Records that SWOOSH decided and WHOOSH does not know, at most.
    pub not_passed_on: u64,
}

impl Uncompared {
    /// Bound of the projects that are named.
    pub const NAMED: usize = 100;
}

/// Kind of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DivergenceKind {
    /// One accepts what the other refuses.
    Answer,
    /// The states differ.
    State,
    /// WHOOSH's hash is not that of the state it shows.
    Hash,
    /// WHOOSH accepted what SWOOSH cannot read as a proposal.
    Unreadable,
    /// WHOOSH accepted a request of a caller that the settings do not know.
    Caller,
    /// WHOOSH refuses what SWOOSH decided.
    Delivery,
}

impl DivergenceKind {
    pub const ALL: [DivergenceKind; 6] = [
        DivergenceKind::Answer,
        DivergenceKind::State,
        DivergenceKind::Hash,
        DivergenceKind::Unreadable,
        DivergenceKind::Caller,
        DivergenceKind::Delivery,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            DivergenceKind::Answer => "answer",
            DivergenceKind::State => "state",
            DivergenceKind::Hash => "hash",
            DivergenceKind::Unreadable => "unreadable",
            DivergenceKind::Caller => "caller",
            DivergenceKind::Delivery => "delivery",
        }
    }
}

/// A difference between WHOOSH and SWOOSH, with both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Divergence {
    /// Its number, from 1.
    pub number: u64,
    /// When it was found, by the node's clock.
    pub at: Hlc,
    /// How far the migration was.
    pub mode: MigrationMode,
    pub kind: DivergenceKind,
    /// In which project, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// After which transition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transition: Option<Transition>,
    /// The caller of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Name>,
    pub detail: String,
    /// WHOOSH's answer, cut to 4,000 characters.
    pub whoosh: String,
    /// SWOOSH's answer, cut to 4,000 characters.
    pub swoosh: String,
}

/// A caller of WHOOSH as the shim knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerView {
    /// Its name in the settings.
    pub name: Name,
    /// The delegate that signs for it.
    pub delegate: PublicKey,
    /// Proposals since the start.
    pub proposals: u64,
    /// How many of them came without an idempotency key.
    pub without_key: u64,
    /// How many of them came without a clock reading (`hlc`).
    #[serde(default)]
    pub without_hlc: u64,
    /// How many of them came without a `window_id`.
    #[serde(default)]
    pub without_window_id: u64,
}

/// An outage of WHOOSH, which lasts until its next answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// First exchange that failed, by the node's clock.
    pub since: Hlc,
    /// Exchanges that failed since.
    pub failures: u64,
    /// Cause of the last failure.
    pub reason: String,
}

/// State of the migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationView {
    pub routing: Routing,
    /// Number of the last switch; 0 before the first.
    pub switches: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_switch: Option<Switch>,
    /// The address of WHOOSH.
    pub upstream: String,
    /// Where WHOOSH's clients are served; empty before they are.
    pub listen: String,
    /// Projects whose states differed at the last comparison.
    pub diverged: Vec<ProjectName>,
    /// Differences that were found in all.
    pub divergences: u64,
    /// Records decided by SWOOSH and not passed on to WHOOSH, at most.
    pub not_passed_on: u64,
    /// Set while WHOOSH gives no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<Outage>,
    pub callers: Vec<CallerView>,
    /// Grants to callers, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub grants: BTreeMap<Name, LegacyGrant>,
    /// Paths that clients used and SWOOSH does not know, since the start; the first 100.
    #[serde(default)]
    pub other_paths: Vec<OtherPath>,
    /// Requests on further such paths.
    #[serde(default)]
    pub unlisted_paths: u64,
}

/// A path that clients of WHOOSH used and SWOOSH does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherPath {
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// Requests that were passed on to WHOOSH.
    pub passed: u64,
    /// Requests that were refused.
    pub refused: u64,
}

/// A request of a WHOOSH client, as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Call {
    /// Every value of a header that is text.
    pub fn values(&self, name: &str) -> Vec<String> {
        let named = self.headers.iter().filter(|(known, _)| known == name);
        named.filter_map(|(_, value)| String::from_utf8(value.clone()).ok()).collect()
    }
}

/// WHOOSH's own answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhooshAnswer {
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

/// The answer to a WHOOSH client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegacyAnswer {
    /// WHOOSH's own answer, handed through.
    Whoosh(WhooshAnswer),
    /// SWOOSH accepted the transition; the document in WHOOSH's form.
    Accepted {
        document: Vec<u8>,
        /// Whether the key was known already.
        replayed: bool,
    },
    /// SWOOSH did not accept it.
    Refused {
        /// The reason, for metrics.
        code: Code,
        /// The document in WHOOSH's form.
        document: Vec<u8>,
    },
    /// It is no proposal, or does not verify.
    Unverified {
        /// The reason, for metrics and the list of refusals.
        rejection: Rejection,
        /// The document in WHOOSH's form.
        document: Vec<u8>,
    },
    /// A document that was asked for, in WHOOSH's form.
    Shown(Vec<u8>),
}

/// Evidence that the shim attaches: the caller it signed for, the deciding system, and the caller's own clock.
pub fn on_behalf(caller: &Name, project: &ProjectName, decided: bool, clock: Option<Hlc>) -> Option<EvidenceRef> {
    let task = if decided { DECIDED } else { MIRRORED };
    let clock = clock.map(|hlc| format!("/hlc/{}-{}", hlc.physical_ms(), hlc.logical())).unwrap_or_default();
    format!("ucxl://{caller}:{ROLE}@{project}:{task}/*{clock}").parse().ok()
}

/// The caller that a proposal was signed for, by its evidence, and whether SWOOSH decided.
pub fn signed_for(evidence: &[EvidenceRef]) -> Option<(&str, bool)> {
    evidence.iter().find_map(|address| {
        let address = Ucxl::parse(address.as_str()).ok().filter(|address| address.role == ROLE)?;
        match address.task {
            Some(DECIDED) => Some((address.agent, true)),
            Some(MIRRORED) => Some((address.agent, false)),
            _ => None,
        }
    })
}

/// A key for a caller that sends none: `whoosh.<caller>:<beat>:<op class>:<unique part>`.
pub fn key_for(caller: &Name, beat: u64, op_class: super::names::OpClass, unique: &str) -> Option<IdemKey> {
    format!("whoosh.{caller}:{beat}:{op_class}:{unique}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routing(mode: MigrationMode, regions: &[Region]) -> Routing {
        Routing { mode, regions: regions.iter().copied().collect() }
    }

    #[test]
    fn each_mode_decides_its_regions_and_no_others() {
        let council = routing(MigrationMode::Regions, &[Region::Council]);
        assert!(council.decides(Region::Council) && !council.decides(Region::Ingestion));
        for mode in [MigrationMode::Shadow, MigrationMode::Bypass] {
            assert!(!routing(mode, &[]).decides_any());
        }
        assert!(Region::ALL.iter().all(|&region| routing(MigrationMode::Cutover, &[]).decides(region)));
        assert!(council.goes_beyond(&Routing::default()) && !Routing::default().goes_beyond(&council));
        assert!(!council.goes_beyond(&routing(MigrationMode::Cutover, &[])));
    }

    #[test]
    fn only_mode_regions_names_regions() {
        assert!(routing(MigrationMode::Regions, &[]).fault().is_some());
        assert!(routing(MigrationMode::Cutover, &[Region::Council]).fault().is_some());
        assert!(routing(MigrationMode::Regions, &[Region::Council]).fault().is_none());
        assert!(routing(MigrationMode::Bypass, &[]).fault().is_none());
    }

    #[test]
    fn an_order_counts_for_one_cluster_and_as_it_was_signed() {
        let key = SecretKey::from_bytes(&[3; 32]);
        let (here, there): (ClusterId, ClusterId) = ("here".parse().unwrap(), "there".parse().unwrap());
        let order = Order {
            routing: routing(MigrationMode::Cutover, &[]),
            follows: 2,
            rationale: "It soaked for a week.".parse().unwrap(),
            hlc: Hlc::default(),
            without_comparison: false,
            signer: key.public(),
        };
        let mut signed = order.sign(&here, &key);
        assert!(signed.is_signed(&here) && !signed.is_signed(&there));
        let text = serde_json::to_string(&signed).unwrap();
        assert_eq!(serde_json::from_str::<SignedOrder>(&text).unwrap(), signed);
        assert!(!text.contains("without_comparison"), "older orders have the same bytes: {text}");
        signed.order.without_comparison = true;
        assert!(!signed.is_signed(&here), "the flag is signed");
        signed.order.without_comparison = false;
        signed.order.follows = 3;
        assert!(!signed.is_signed(&here));
    }

    #[test]
    fn only_a_cut_over_may_go_without_the_comparison() {
        let key = SecretKey::from_bytes(&[3; 32]);
        for mode in MigrationMode::ALL {
            let regions: &[Region] = if mode == MigrationMode::Regions { &[Region::Council] } else { &[] };
            let order = Order {
                routing: routing(mode, regions),
                follows: 0,
                rationale: "WHOOSH is gone.".parse().unwrap(),
                hlc: Hlc::default(),
                without_comparison: true,
                signer: key.public(),
            };
            assert_eq!(order.fault().is_none(), mode == MigrationMode::Cutover, "{mode}");
        }
    }

    #[test]
    fn evidence_tells_the_caller_and_who_decided() {
        let (caller, project) = ("ci".parse().unwrap(), "alpha".parse().unwrap());
        let clock = Hlc::new(1_760_832_000_000, 7);
        for decided in [true, false] {
            let evidence = on_behalf(&caller, &project, decided, clock).unwrap();
            assert!(evidence.as_str().ends_with("/hlc/1760832000000-7"), "{evidence}");
            assert_eq!(signed_for(&[evidence]), Some(("ci", decided)));
        }
        assert_eq!(signed_for(&["ucxl://ci:whoosh@alpha:else/*".parse().unwrap()]), None);
    }
}
