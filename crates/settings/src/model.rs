//! The settings as types. `config/swoosh.yaml` describes the keys.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::backup::Backup;
use super::effects::Effects;
use super::kaching::Kaching;
use super::migration::Migration;
use super::providers::{Backbeat, LivenessRules, Mcp, Polled};
use super::serving::{Http, Limits, Readers, Tls};
use super::traces::Traces;
use swoosh_types::fact::FactKind;
use swoosh_types::inputs::IdentityGrant;
use swoosh_types::keys::PublicKey;
use swoosh_types::secret::SecretRef;
use swoosh_types::text::{Capability, ClusterId, Url};
use swoosh_types::url_prefix::UrlPrefix;

/// The settings of a node. Paths are absolute, or relative to the working directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Part of every signed message.
    pub cluster: ClusterId,
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// The directory that holds everything the node keeps.
    pub data: PathBuf,
    /// The node's key file; see [`Settings::node_key_path`].
    pub node_key: Option<PathBuf>,
    /// The window schedule and its live source.
    pub backbeat: Backbeat,
    /// Keys that may propose in every project, with their roles.
    pub identities: BTreeMap<PublicKey, IdentityGrant>,
    /// The Cedar policies; see [`Settings::policy_bundle`].
    pub policies: Policies,
    /// Where facts come from.
    pub facts: Facts,
    /// How far clocks may be apart.
    pub clock: ClockBounds,
    pub license: LicenseRules,
    /// The license server.
    pub kaching: Kaching,
    /// Idempotency keys.
    pub idempotency: Idempotency,
    /// Repositories that projects may name.
    pub sources: SourceRules,
    /// Effects: their workers and options.
    pub effects: Effects,
    /// Probes of MCP servers.
    pub mcp: Mcp,
    /// The server that is polled for available resources.
    pub capacity: Polled,
    /// The server that is polled for the health of assets.
    pub health: Polled,
    /// When members count as gone, and who is polled for their pulses.
    pub liveness: LivenessRules,
    /// The write-ahead log and its store.
    pub journal: Journal,
    pub sequencer: Sequencer,
    /// Heads of projects in memory.
    pub heads: Heads,
    /// Retention of files on disk.
    pub retention: Retention,
    /// Copies of snapshots and records outside the data directory.
    pub exports: Exports,
    /// Backups of the whole data directory.
    pub backup: Backup,
    /// Decision Records and where they go.
    pub decisions: Decisions,
    /// Taking WHOOSH's place.
    pub migration: Migration,
    /// The secrets that other settings name as `secret:<name>`.
    pub secrets: SecretsFile,
    /// The HTTP server.
    pub http: Http,
    /// Limits of callers.
    pub limits: Limits,
    pub tls: Tls,
    /// Readers that are limited to projects.
    pub readers: Readers,
    pub log: Log,
    /// Spans of accepted transitions.
    pub traces: Traces,
}

/// The Cedar policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policies {
    /// A `.cedar` file, or a directory of them.
    pub path: Option<PathBuf>,
    /// The number of this bundle.
    pub serial: u64,
    /// A file with a signed bundle.
    pub bundle: Option<PathBuf>,
}

/// Where facts come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// A JSON array of signed facts.
    pub file: Option<PathBuf>,
    /// Trusted sources of facts beside the node itself.
    pub sources: BTreeMap<FactKind, BTreeSet<PublicKey>>,
}

/// How far clocks may be apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClockBounds {
    /// How far a proposal's clock may be ahead, in milliseconds.
    pub max_ahead_ms: u64,
    /// How far it may be behind, in milliseconds.
    pub max_behind_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LicenseRules {
    /// How long a license counts after it ran out, in milliseconds.
    pub grace_ms: u64,
    /// The capabilities it must cover.
    pub scope: Capability,
}

/// Idempotency keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Idempotency {
    /// How long a key is good, in milliseconds.
    pub horizon_ms: u64,
    /// How far ahead its beat may be, in milliseconds.
    pub ahead_ms: u64,
}

/// Repositories that projects may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceRules {
    /// Schemes that sources may be fetched by.
    pub transports: BTreeSet<Capability>,
    /// Folders below which `file://` may lead.
    pub file_prefixes: BTreeSet<PathBuf>,
    /// References that may float, as `<url>#<ref>`.
    pub floating_refs: BTreeSet<String>,
    /// Credentials with the addresses that may receive them.
    pub credentials: Vec<SourceCredential>,
}

/// A token and the addresses that may receive it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceCredential {
    /// The beginning of those addresses.
    pub url_prefix: UrlPrefix,
    /// The user that the token belongs to.
    #[serde(default = "git_user")]
    pub user: String,
    pub token: SecretRef,
}

fn git_user() -> String {
    "git".to_owned()
}

/// When commits are synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Before every answer.
    #[default]
    Sync,
    /// Every [`Journal::interval_ms`]; answers wait for it.
    Interval,
}

/// The write-ahead log and its store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// When commits are synced.
    pub durability: Durability,
    /// How long they are gathered under [`Durability::Interval`], in milliseconds.
    pub interval_ms: u64,
    /// Records of a project from one snapshot to the next.
    pub snapshot_every: u64,
    /// Records of all projects from one sweep to the next.
    pub sweep_every: u64,
    /// The store's cache, in bytes.
    pub cache_bytes: u64,
    /// Bytes that the store buffers in memory before it writes a table.
    pub write_buffer_bytes: u64,
    /// Tables that the store holds open.
    pub open_files: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sequencer {
    /// How many proposals may wait.
    pub queue: usize,
    /// How many of them may be of one project.
    pub project_queue: usize,
    /// How many records one commit may carry.
    pub batch_max: usize,
    /// Age of the oldest uncommitted record from which the node is not ready, in milliseconds.
    pub stall_ms: u64,
    /// The same age, from which the node is not live, in milliseconds.
    pub silence_ms: u64,
}

/// Heads of projects in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Heads {
    /// How many projects are kept in memory.
    pub memory_projects: usize,
    /// How many bytes they may take, about.
    pub memory_bytes: usize,
    /// How long a project stays in memory unused, in milliseconds.
    pub idle_ms: u64,
}

/// Retention of files on disk. 0 means without end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// How long records are kept, in milliseconds.
    pub wal_ms: u64,
    /// How many records are kept.
    pub wal_records: u64,
    /// How often it is looked for what may go, in milliseconds.
    pub every_ms: u64,
}

/// Copies of snapshots and records outside the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exports {
    /// Where they go; none means that nothing is exported.
    pub directory: Option<PathBuf>,
    /// How often there is a round, in milliseconds.
    pub every_ms: u64,
    /// Whether records are exported too.
    pub wal: bool,
    /// Recipients, as age public keys; with none, files are not encrypted.
    pub recipients: Vec<String>,
    /// The command after each round, argument by argument.
    pub command: Vec<String>,
    /// How long it may take, in milliseconds.
    pub command_timeout_ms: u64,
}

/// Decision Records and where they go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Decisions {
    /// The redaction policy's file; see [`Settings::redaction_text`].
    pub redaction: Option<PathBuf>,
    /// The file of the JSONL exporter.
    pub jsonl: Option<PathBuf>,
    /// The server of the BUBBLE exporter.
    pub bubble: Option<Url>,
    /// Its bearer token.
    pub bubble_token: Option<SecretRef>,
    /// Records sent at once.
    pub batch_records: u64,
    /// How long a request may take, in milliseconds.
    pub request_timeout_ms: u64,
    /// The first pause after a failure, in milliseconds.
    pub retry_min_ms: u64,
    /// The longest pause, in milliseconds.
    pub retry_max_ms: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsFile {
    pub file: Option<PathBuf>,
    /// The identity that decrypts it.
    pub identity: Option<PathBuf>,
    /// Recipients beside the identity itself.
    pub recipients: Vec<String>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// Text for people.
    Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A level, or levels by target.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
    /// A file that gets every line as well.
    pub file: Option<PathBuf>,
    /// How large it may be before it rolls over, in bytes.
    pub file_max_bytes: u64,
    /// How many rolled files are kept.
    pub file_keep: u32,
}

#[expect(clippy::expect_used, reason = "the texts are names; every test that makes default settings keeps it true")]
fn text<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a built-in default is of its type")
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            cluster: text("swoosh"),
            listen: (Ipv4Addr::LOCALHOST, 7400).into(),
            data: "./data".into(),
            node_key: None,
            backbeat: Backbeat::default(),
            identities: BTreeMap::new(),
            policies: Policies::default(),
            facts: Facts::default(),
            clock: ClockBounds::default(),
            license: LicenseRules::default(),
            kaching: Kaching::default(),
            idempotency: Idempotency::default(),
            sources: SourceRules::default(),
            effects: Effects::default(),
            mcp: Mcp::default(),
            capacity: Polled::default(),
            health: Polled::default(),
            liveness: LivenessRules::default(),
            journal: Journal::default(),
            sequencer: Sequencer::default(),
            heads: Heads::default(),
            retention: Retention::default(),
            exports: Exports::default(),
            backup: Backup::default(),
            decisions: Decisions::default(),
            migration: Migration::default(),
            secrets: SecretsFile::default(),
            http: Http::default(),
            limits: Limits::default(),
            tls: Tls::default(),
            readers: Readers::default(),
            log: Log::default(),
            traces: Traces::default(),
        }
    }
}

impl Default for Policies {
    fn default() -> Policies {
        Policies { path: None, serial: 1, bundle: None }
    }
}

impl Default for ClockBounds {
    fn default() -> ClockBounds {
        ClockBounds { max_ahead_ms: 5_000, max_behind_ms: 300_000 }
    }
}

impl Default for LicenseRules {
    fn default() -> LicenseRules {
        LicenseRules { grace_ms: 72 * 3_600_000, scope: text("swoosh") }
    }
}

impl Default for Idempotency {
    fn default() -> Idempotency {
        Idempotency { horizon_ms: 7 * 86_400_000, ahead_ms: 86_400_000 }
    }
}

impl Default for SourceRules {
    fn default() -> SourceRules {
        let transports = ["https", "ssh"].map(text).into();
        let (file_prefixes, floating_refs) = (BTreeSet::new(), BTreeSet::new());
        SourceRules { transports, file_prefixes, floating_refs, credentials: Vec::new() }
    }
}

impl Default for Journal {
    fn default() -> Journal {
        Journal {
            durability: Durability::Sync,
            interval_ms: 10,
            snapshot_every: 1_000,
            sweep_every: 100_000,
            cache_bytes: 64 << 20,
            write_buffer_bytes: 128 << 20,
            open_files: 1_024,
        }
    }
}

impl Default for Sequencer {
    fn default() -> Sequencer {
        Sequencer { queue: 4096, project_queue: 512, batch_max: 512, stall_ms: 5_000, silence_ms: 10_000 }
    }
}

impl Default for Heads {
    fn default() -> Heads {
        Heads { memory_projects: 100_000, memory_bytes: 512 << 20, idle_ms: 900_000 }
    }
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { wal_ms: 0, wal_records: 0, every_ms: 600_000 }
    }
}

impl Default for Exports {
    fn default() -> Exports {
        Exports {
            directory: None,
            every_ms: 3_600_000,
            wal: false,
            recipients: Vec::new(),
            command: Vec::new(),
            command_timeout_ms: 60_000,
        }
    }
}

impl Default for Decisions {
    fn default() -> Decisions {
        Decisions {
            redaction: None,
            jsonl: None,
            bubble: None,
            bubble_token: None,
            batch_records: 100,
            request_timeout_ms: 10_000,
            retry_min_ms: 500,
            retry_max_ms: 60_000,
        }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log { level: "info".into(), format: LogFormat::Auto, file: None, file_max_bytes: 10 << 20, file_keep: 5 }
    }
}
