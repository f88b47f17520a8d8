//! The node's answers to reads. Unknown members are ignored, so that an older client reads a newer node.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use swoosh_types::backbeat::{Outlook, Schedule};
use swoosh_types::canonical::{canonical_bytes, try_canonical_bytes};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::{EffectId, IdemKey, WindowId};
use swoosh_types::json::Json;
use swoosh_types::keys::PublicKey;
use swoosh_types::migration::Divergence;
use swoosh_types::names::{EffectName, GuardName, OpClass, Region, Role, Transition, WindowClass};
use swoosh_types::record::{GuardOutcome, Record};
use swoosh_types::rejection::Problem;
use swoosh_types::text::{ClusterId, ProjectName};

/// The last clock reading that a project accepted, and whose it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastClock {
    /// The reading.
    pub hlc: Hlc,
    pub signer: PublicKey,
    /// Under which key.
    pub idem_key: IdemKey,
}

/// `GET /state`: a project's head and the sections asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateView {
    pub project: ProjectName,
    /// The state hash, which the next proposal must name.
    pub hash: Hash,
    /// Index of the record that led here.
    pub index: u64,
    /// The last clock reading accepted; absent before the first.
    #[serde(default)]
    pub hlc_last: Option<LastClock>,
    /// Hash of each of the ten sections.
    pub sections: BTreeMap<String, Hash>,
    /// The sections asked for.
    pub projection: BTreeMap<String, Value>,
}

/// First line of what a state hash is taken over (docs/design.md#state-document).
const STATE_DOMAIN: &[u8] = b"swoosh/state/v1\n";

impl StateView {
    /// Whether the section hashes give the state hash, and every section shown has its section's hash: the
    /// proof that what is shown belongs to the head.
    pub fn proves_projection(&self) -> bool {
        let hash = Hash::of_parts([STATE_DOMAIN, &canonical_bytes(&self.sections)]);
        hash == self.hash && self.projection.iter().all(|(name, section)| self.shows(name, section))
    }

    fn shows(&self, name: &str, section: &Value) -> bool {
        let bytes = try_canonical_bytes(section);
        bytes.is_ok_and(|bytes| self.sections.get(&name.to_ascii_lowercase()) == Some(&Hash::of(&bytes)))
    }

    /// One section of the projection, its name in any case.
    pub fn section(&self, name: &str) -> Option<&Value> {
        self.projection.iter().find(|(shown, _)| shown.eq_ignore_ascii_case(name)).map(|(_, section)| section)
    }
}

/// How the node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// All is well.
    Ok,
    /// It works, but not as it should.
    Degraded,
    /// It is shutting down.
    Draining,
    /// It accepts nothing.
    Refusing,
}

/// How an exporter of decision records is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportHealth {
    pub exporter: String,
    /// Index of the last record that it delivered.
    pub position: u64,
    /// Records that wait for it.
    pub lag: u64,
    /// Why it does not come on, while it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// How the node is.
    pub status: HealthStatus,
    /// `single` for one node without replication.
    pub consensus: String,
    /// When the last snapshot was taken.
    #[serde(default, rename = "lastSnapshotHLC")]
    pub last_snapshot_hlc: Option<Hlc>,
    /// Records after the last snapshot.
    #[serde(rename = "walLag")]
    pub wal_lag: u64,
    /// Age of the oldest record that is not durable yet, in milliseconds.
    #[serde(default)]
    pub uncommitted_ms: u64,
    /// Index of the last durable record.
    #[serde(default)]
    pub last_index: u64,
    /// Proposals that wait.
    #[serde(default)]
    pub queue: u64,
    /// `accepting`, `following`, `draining`, `refusing` or `read_only`.
    #[serde(default)]
    pub mode: String,
    /// Why it is not as it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Projects that are known to be damaged.
    #[serde(default)]
    pub projects_damaged: u64,
    /// Tables of the journal that are known to be damaged.
    #[serde(default)]
    pub tables_damaged: u64,
    /// The exporters of decision records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decision_export: Vec<ExportHealth>,
    /// The cluster, which every signature names.
    pub cluster: ClusterId,
    /// The node's key, which signs receipts.
    pub node: PublicKey,
    /// The node's version.
    pub version: String,
    /// The node's clock.
    pub time: Hlc,
}

/// Whether a class of windows is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowView {
    /// Whether one is open now.
    pub open: bool,
    /// Milliseconds until one opens; absent where the schedule has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_in_ms: Option<u64>,
}

/// How one guard would judge now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardView {
    pub guard: GuardName,
    /// Whether it would pass; absent where that depends on the inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<bool>,
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// One transition and whether it is enabled now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionView {
    pub transition: Transition,
    pub region: Region,
    /// The class of window it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowClass>,
    /// The op class of its idempotency keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op_class: Option<OpClass>,
    /// Roles that may sign it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<Role>,
    /// Members of its inputs and their types; `?` marks an optional one. Not written again: `swoosh inputs` prints them in full.
    #[serde(default, skip_serializing)]
    pub inputs: BTreeMap<String, String>,
    /// Whether the state lets it happen.
    pub enabled: bool,
    /// Why not, where it does not.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// How its guards would judge.
    #[serde(default)]
    pub guards: Vec<GuardView>,
}

/// `GET /transitions`: transitions that a project allows now, and the state of the window schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionsView {
    pub project: ProjectName,
    /// Its head; of a project that does not exist yet, the genesis head.
    pub head: Hash,
    /// Whether the project exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// The node's clock.
    pub time: Hlc,
    /// Beats since the schedule's epoch, as the node counts them; new keys name it.
    #[serde(default)]
    pub beat: u64,
    /// The window of now; absent where the node knows no schedule.
    #[serde(default)]
    pub window_id: Option<WindowId>,
    /// The tidal pressure, 0 to 1000.
    #[serde(default)]
    pub pressure: u64,
    #[serde(default)]
    pub windows: BTreeMap<WindowClass, WindowView>,
    /// Candidates of the council that may be seated and vote now.
    #[serde(default)]
    pub electorate: BTreeSet<PublicKey>,
    /// Every transition of the chart.
    pub transitions: Vec<TransitionView>,
}

impl TransitionsView {
    /// The view of one transition.
    pub fn of(&self, transition: Transition) -> Option<&TransitionView> {
        self.transitions.iter().find(|view| view.transition == transition)
    }

    /// The class of window that a transition needs.
    pub fn window_of(&self, transition: Transition) -> Option<WindowClass> {
        self.of(transition).and_then(|view| view.window)
    }
}

/// `GET /windows`: the window schedule of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowsView {
    pub project: ProjectName,
    /// The node's clock.
    pub time: Hlc,
    /// The schedule; absent where the node knows none that is valid.
    #[serde(flatten)]
    pub known: Option<WindowsKnown>,
}

/// A schedule that a node holds as valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowsKnown {
    pub source: PublicKey,
    /// Address of the fact.
    pub fact: Hash,
    pub schedule: Schedule,
    /// Its state at the requested time, and the next windows.
    pub outlook: Outlook,
}

/// One entry of `GET /wal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalEntry {
    pub record: Record,
    /// The record's link in the chain.
    pub chain: Hash,
    /// The inputs that the record names by hash.
    pub inputs: Json,
}

impl WalEntry {
    /// Whether the entry follows `previous`, the link before it, and its inputs are the record's.
    pub fn follows(&self, previous: &Hash) -> bool {
        let linked = |encoded: Vec<u8>| Record::chain(previous, &encoded) == self.chain;
        try_canonical_bytes(&self.record).is_ok_and(linked)
            && Hash::of(&self.inputs.canonical()) == self.record.inputs_hash
    }
}

/// `GET /wal`: a stretch of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalPage {
    /// Records by rising index.
    pub records: Vec<WalEntry>,
    /// Index of the log's last durable record.
    pub last_index: u64,
}

/// A record of `GET /records`: without inputs, guard outcomes and evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BriefRecord {
    pub index: u64,
    pub project: ProjectName,
    pub transition: Transition,
    pub region: Region,
    pub signer: PublicKey,
    /// When the node accepted it.
    pub timestamp: Hlc,
    /// The proposal's clock.
    pub hlc: Hlc,
    pub idem_key: IdemKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_id: Option<WindowId>,
    /// Number of guards that judged it.
    pub guards: u64,
    /// The head after it.
    pub state_post_hash: Hash,
}

/// A record that the node cannot read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedRecord {
    pub index: u64,
    pub reason: String,
}

/// `GET /records`: a page of records, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsPage {
    pub records: Vec<BriefRecord>,
    /// Value of `before` for the next page; `None` at the end. A page may be empty and have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// Number of records that the node looked at.
    pub scanned: u64,
    /// Index of the first record that is not pruned.
    pub first_index: u64,
    /// Index of the log's last durable record.
    pub last_index: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<DamagedRecord>,
}

/// Which records [`Client::records`](super::Client::records) asks for; all where nothing is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFilter {
    pub project: Option<ProjectName>,
    pub transition: Option<Transition>,
    /// Of this region's transitions.
    pub region: Option<Region>,
    pub signer: Option<PublicKey>,
    /// Accepted at this time or later.
    pub since: Option<Hlc>,
    /// Accepted at this time or earlier.
    pub until: Option<Hlc>,
    /// Below this index.
    pub before: Option<u64>,
}

impl RecordFilter {
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        let parameters = [
            ("project", self.project.as_ref().map(ToString::to_string)),
            ("transition", self.transition.map(|transition| transition.to_string())),
            ("region", self.region.map(|region| region.to_string())),
            ("signer", self.signer.map(|signer| signer.to_string())),
            ("since", self.since.map(|since| since.to_string())),
            ("until", self.until.map(|until| until.to_string())),
            ("before", self.before.map(|before| before.to_string())),
        ];
        parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// One project of `GET /projects`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectView {
    pub project: ProjectName,
    /// Its head.
    pub hash: Hash,
    /// Index of its last record.
    pub index: u64,
    /// Its top-level phase: `BOOT`, `PROJECT_LIFECYCLE`, `EXECUTION` or `TERMINATED`.
    pub phase: String,
}

/// `POST /transition?dry_run=true`: the decision without the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DryRun {
    /// Whether it would be accepted.
    pub accepted: bool,
    /// The head it would lead to.
    #[serde(default)]
    pub state_post_hash: Option<Hash>,
    /// Why it would not be accepted.
    #[serde(default)]
    pub problem: Option<Box<Problem>>,
    /// How the guards judge.
    #[serde(default)]
    pub guard_outcomes: Vec<GuardOutcome>,
}

/// A project that the node cannot read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedView {
    pub project: ProjectName,
    /// Why not.
    pub reason: String,
}

/// `GET /projects`: a page, or all pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectList {
    pub projects: Vec<ProjectView>,
    /// Those that cannot be read.
    #[serde(default)]
    pub damaged: Vec<DamagedView>,
    /// Why projects may be missing: a table that lists them is damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// Where the next page begins.
    #[serde(default, skip_serializing)]
    pub(super) next: Option<ProjectName>,
}

/// An open effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectView {
    /// Its id, which its outcome must name.
    pub id: EffectId,
    pub project: ProjectName,
    pub effect: EffectName,
    /// When it was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Hlc>,
    /// `builtin` or `external`.
    pub mode: String,
    pub phase: String,
    /// Attempts that were begun, those at earlier effects of the same work that failed too.
    #[serde(default)]
    pub attempt: u32,
    /// When the present attempt began, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_ms: Option<u64>,
    /// When something is tried next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<u64>,
    /// Why it waits, or what went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The step of the current attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How much of it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// Of how much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// `GET /effects`.
#[derive(Deserialize)]
pub(super) struct Effects {
    pub effects: Vec<EffectView>,
    #[serde(default)]
    pub next: Option<EffectId>,
}

/// `GET /rejections`.
#[derive(Deserialize)]
pub(super) struct Rejections {
    pub rejections: Vec<Value>,
}

/// `GET /migration/divergences`.
#[derive(Deserialize)]
pub(super) struct Divergences {
    pub divergences: Vec<Divergence>,
}

/// `GET /facts`: the facts that the node holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FactsView {
    /// The facts that are held, whether or not they may be believed now.
    pub facts: Vec<Value>,
    /// Kinds of which nothing is believed.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Whether the node may talk to the world outside.
    #[serde(default)]
    pub network: NetworkView,
}

/// Whether the license lets the node talk to the world outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkView {
    /// Whether it does.
    pub open: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /facts`: the result for a pushed fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedFact {
    /// Whether it is held now.
    pub held: bool,
    /// The address it is stored under.
    pub hash: Hash,
    /// Until when it may be believed.
    pub valid_until: Hlc,
    /// Why it is not held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> StateView {
        let section = serde_json::json!({"phase": "ELECT", "version": null});
        let section_hash = Hash::of(br#"{"phase":"ELECT","version":null}"#);
        let sections: BTreeMap<_, _> = [("council".to_owned(), section_hash)].into();
        let hash = Hash::of_parts([STATE_DOMAIN, &canonical_bytes(&sections)]);
        let projection = [("Council".to_owned(), section)].into();
        StateView { project: "default".parse().unwrap(), hash, index: 3, hlc_last: None, sections, projection }
    }

    #[test]
    fn a_projection_is_proven_against_the_head() {
        let view = view();
        assert!(view.proves_projection());
        assert_eq!(view.section("council").unwrap()["phase"], "ELECT");
        let mut forged = view.clone();
        forged.projection.insert("Council".into(), serde_json::json!({"phase": "READY"}));
        assert!(!forged.proves_projection());
        assert!(!StateView { hash: Hash::ZERO, ..view }.proves_projection());
    }

    #[test]
    fn a_state_hash_is_what_the_machine_says() {
        use swoosh_machine::head::Head;
        use swoosh_machine::state::Section;
        let head = Head::genesis(&"default".parse().unwrap());
        let sections = Section::ALL.iter().map(|&section| (section.as_str().to_owned(), head.section_hash(section)));
        let view = StateView { hash: head.hash(), sections: sections.collect(), projection: [].into(), ..view() };
        assert!(view.proves_projection());
    }

    #[test]
    fn nulls_and_unknown_members_are_read_as_absent() {
        let text = br#"{"status":"ok","consensus":"single","lastSnapshotHLC":null,"walLag":2,"cluster":"c",
            "node":"hmmm:pubkey:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","version":"0.1.0",
            "time":"2025-10-19T01:23:45.678+00:00#0","new":{"x":1.5}}"#;
        let health: Health = serde_json::from_slice(text).unwrap();
        assert_eq!((health.status, health.last_snapshot_hlc, health.wal_lag), (HealthStatus::Ok, None, 2));
    }
}
