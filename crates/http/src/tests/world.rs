//! A node with one operator, a window schedule and policies that permit everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{
    AppState, Caller, FactFilter, Gate, Intake, Limits, NodeInfo, Parts, Pushed, Queries, Traffic, Turned, router,
};
use swoosh_facts::{FactTable, Trust};
use swoosh_journal::{Durability, Journal, JournalOptions};
use swoosh_platform::clock::{Reading, TimeSource};
use swoosh_sequencer::{Clock, Describe, Handle, Memory, Observer, Options, Ports};
use swoosh_types::canonical::to_json;
use swoosh_types::decision::Wording;
use swoosh_types::fact::{Fact, FactClaim, FactKind};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::json::Json;
use swoosh_types::keys::SecretKey;
use swoosh_types::names::GuardName;
use swoosh_types::names::{EffectName, Transition};
use swoosh_types::proposal::{Proposal, SignedProposal};
use swoosh_types::record::Record;
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::{ClusterId, ProjectName};

/// 2025-10-19T00:00:00Z.
pub const NOW_MS: u64 = 1_760_832_000_000;

struct Fixed;

impl Clock for Fixed {
    fn now_ms(&self) -> Result<u64, String> {
        Ok(NOW_MS)
    }
}

impl TimeSource for Fixed {
    fn read(&self) -> Reading {
        Reading { wall_ms: NOW_MS, monotonic_ms: 0 }
    }
}

struct Writer;

impl Describe for Writer {
    fn describe(&self, record: &Record, inputs: &Json) -> Wording {
        swoosh_decisions::wording(record, inputs)
    }
}

/// Counts nothing.
pub struct NoTraffic;

impl Traffic for NoTraffic {
    fn open(&self, _: usize) {}
    fn listens(&self, _: bool) {}
    fn turned_away(&self, _: Turned) {}
    fn shed(&self, _: Code) {}
    fn proposed(&self, _: Option<Code>) {}
    fn unverified(&self, _: GuardName, _: &Rejection) {}
}

/// Remembers which thread committed each batch, and lets none go on while it is held.
#[derive(Clone, Default)]
pub struct Committers(Arc<Mutex<Vec<String>>>, Arc<Mutex<()>>);

impl Committers {
    pub fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// While this guard lives, a thread that committed a batch blocks.
    pub fn hold(&self) -> std::sync::MutexGuard<'_, ()> {
        self.1.lock().unwrap()
    }
}

impl Observer for Committers {
    fn accepted(&self, _: &Record, _: Duration) {}
    fn refused(&self, _: &Proposal, _: &Rejection) {}
    fn repeated(&self, _: Transition) {}
    fn committed(&self, _: usize, _: Duration, _: u64) {
        self.0.lock().unwrap().push(std::thread::current().name().unwrap_or_default().to_owned());
        drop(self.1.lock());
    }
    fn own_failed(&self, _: &ProjectName, _: Transition, _: &str) {}
    fn log_failed(&self, _: &str) {}
}

struct Canned;

impl Queries for Canned {
    fn metrics(&self, _: &dyn Fn(&str) -> bool) -> Vec<u8> {
        b"swoosh_quarantine_total 0\n".to_vec()
    }
    fn facts(&self, filter: &FactFilter) -> Value {
        json!({"facts": [{"kind": "windows"}], "asked": filter.kind.map(|kind| kind.as_str())})
    }
    fn last_snapshot_hlc(&self) -> Option<Hlc> {
        None
    }
    fn wal_lag(&self) -> u64 {
        0
    }
}

/// Holds license facts and refuses all others.
struct Taker;

impl Intake for Taker {
    fn push(&self, fact: Fact) -> Result<Pushed, Rejection> {
        if fact.claim.kind == FactKind::Health {
            return Err(Rejection::new(Code::ContentTooLarge, "too large for its kind"));
        }
        if fact.claim.kind != FactKind::License {
            return Err(Rejection::new(Code::FactSource, "no source of it"));
        }
        Ok(Pushed { held: true, hash: fact.hash(), valid_until: fact.claim.valid_until, reason: None })
    }
}

/// An answer, read whole.
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.bytes)))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status and code of a problem document.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["type"], format!("/docs/rejections#{}", problem["code"].as_str().unwrap()));
        (self.status.as_u16(), problem["code"].as_str().unwrap().to_owned())
    }
}

pub struct World {
    pub router: Router,
    pub state: AppState,
    pub handle: Handle,
    pub operator: SecretKey,
    /// May read, and nothing else.
    pub reader: SecretKey,
    pub committers: Committers,
    _directory: tempfile::TempDir,
}

pub fn cluster() -> ClusterId {
    "test".parse().unwrap()
}

fn reader() -> SecretKey {
    SecretKey::from_bytes(&[3; 32])
}

fn clock(ms: u64) -> Hlc {
    Hlc::new(ms, 0).unwrap()
}

pub fn fact(key: &SecretKey, kind: FactKind, body: &Value) -> Fact {
    let claim = FactClaim {
        kind,
        project: None,
        source: key.public(),
        observed_at: clock(NOW_MS),
        valid_until: clock(NOW_MS + 3_600_000),
        body: to_json(body).unwrap(),
    };
    claim.sign(&cluster(), key)
}

fn facts(node: &SecretKey, operator: &SecretKey) -> FactTable {
    let identity = |name: &str, roles: &[&str]| json!({"name": name, "roles": roles});
    let settings = json!({
        "identities": {
            node.public().to_string(): identity("node", &["node"]),
            operator.public().to_string(): identity("ann", &["operator", "human"]),
            reader().public().to_string(): identity("rea", &["reader"]),
        },
        "max_ahead_ms": 5_000, "max_behind_ms": 300_000, "license_grace_ms": 0, "license_scope": "swoosh",
        "key_horizon_ms": 604_800_000u64, "key_ahead_ms": 86_400_000, "transports": ["https"],
        "floating_refs": [], "lost_after_ms": 1000, "back_after_ms": 1000,
    });
    let windows = json!({
        "epoch": "2025-01-01T00:00:00.000+00:00#0", "beat_ms": 60_000, "cycle_beats": 60,
        "windows": {"plan": [{"phase_beats": 0, "length_beats": 10}], "review": [{"phase_beats": 30, "length_beats": 10}]},
        "amplitude": [{"phase_beats": 0, "pressure": 250}],
    });
    let policy = json!({"serial": 1, "policies": "permit(principal, action, resource);"});
    let trust = Trust { cluster: cluster(), node: node.public(), sources: BTreeMap::new(), max_ahead_ms: 5_000 };
    let table = FactTable::new(trust, Arc::new(swoosh_platform::clock::Clock::new(Box::new(Fixed), 5_000)));
    let bodies = [(FactKind::Settings, settings), (FactKind::Windows, windows), (FactKind::Policy, policy)];
    for (kind, body) in bodies {
        table.insert(fact(node, kind, &body)).unwrap();
    }
    table
}

impl World {
    pub fn new() -> World {
        World::with(Limits { body_limit_bytes: 16 << 10, ..Limits::default() })
    }

    pub fn with(limits: Limits) -> World {
        let (node, operator) = (SecretKey::from_bytes(&[1; 32]), SecretKey::from_bytes(&[2; 32]));
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(JournalOptions {
            path: directory.path().join("data"),
            node: node.public(),
            cluster: cluster(),
            snapshot_every: 100,
            durability: Durability::Sync,
            store: swoosh_journal::StoreLimits::default(),
            medium: None,
        });
        let journal = journal.unwrap();
        let recovered = journal.recover().unwrap();
        let options = Options {
            cluster: cluster(),
            node_key: node.clone(),
            queue: 100,
            project_queue: 100,
            batch_max: 100,
            memory: Memory { projects: 10, ..Memory::default() },
            sweep_every: 1_000,
            durability: Durability::Sync,
            patience: Default::default(),
            external: EffectName::ALL.iter().copied().collect(),
        };
        let (facts, committers) = (Arc::new(facts(&node, &operator)), Committers::default());
        let ports =
            Ports { clock: Arc::new(Fixed), facts, describe: Arc::new(Writer), observer: Arc::new(committers.clone()) };
        let handle = Handle::start(options, ports, journal, recovered).unwrap();
        let meta = NodeInfo { cluster: cluster(), node: node.public(), version: "0.0.0".into() };
        let gate = Gate::new(limits, Arc::new(NoTraffic));
        let state = AppState::from(Parts {
            handle: handle.clone(),
            meta,
            limits,
            gate,
            queries: Arc::new(Canned),
            console: true,
            intake: Arc::new(Taker),
            readers: Default::default(),
            migration: None,
        });
        World {
            router: router(state.clone()),
            state,
            handle,
            operator,
            reader: reader(),
            committers,
            _directory: directory,
        }
    }

    /// As on an address that others reach.
    pub fn close_reads(&mut self) {
        let closed = Caller { may_read: false, ..Caller::default() };
        self.router = self.router.clone().layer(axum::Extension(closed));
    }

    /// A world whose project `default` exists, at index 1, and the head.
    pub async fn begun() -> (World, Hash) {
        let world = World::new();
        let answered = world.post(&world.begin()).await;
        assert_eq!(answered.status, StatusCode::ACCEPTED, "{}", answered.json());
        let head = answered.json()["state_post_hash"].as_str().unwrap().parse().unwrap();
        (world, head)
    }

    /// The proposal that begins the project `default`.
    pub fn begin(&self) -> SignedProposal {
        let operator = self.operator.public().to_string();
        let document = json!({"document": {
            "sources": {"main": {"url": "https://git.example/a", "ref": "a".repeat(40)}},
            "roles": {"builder": {"capabilities": [], "seats": 3}},
            "approval_threshold": 2,
            "identities": {operator: {"name": "ann", "roles": ["operator"]}},
        }});
        let genesis = swoosh_machine::head::Head::genesis(&"default".parse().unwrap()).hash();
        self.signed(Transition::BootConfigOk, genesis, &document, 0)
    }

    /// A pause, with a clock `step` milliseconds after the first.
    pub fn pause(&self, head: Hash, step: u64) -> SignedProposal {
        self.signed(Transition::ControlPause, head, &json!({"rationale": "lunch"}), step)
    }

    pub fn signed(&self, transition: Transition, head: Hash, inputs: &Value, step: u64) -> SignedProposal {
        let inputs = to_json(inputs).unwrap();
        let op_class = swoosh_machine::chart::spec(transition).op_class;
        let beat = (NOW_MS - 1_735_689_600_000) / 60_000;
        let proposal = Proposal {
            project: None,
            current_state_hash: head,
            transition,
            inputs_hash: Hash::of(&inputs.canonical()),
            inputs,
            signer: self.operator.public(),
            idem_key: format!("goal:{beat}:{op_class}:uuid-{step:08}").parse().unwrap(),
            hlc: clock(NOW_MS + step),
            window_id: None,
            evidence: vec![],
        };
        proposal.sign(&cluster(), &self.operator)
    }

    pub async fn send(&self, request: Request<Body>) -> Answered {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Answered { status: parts.status, headers: parts.headers, bytes }
    }

    pub async fn get(&self, target: &str) -> Answered {
        self.send(Request::get(target).body(Body::empty()).unwrap()).await
    }

    pub async fn post_to(&self, target: &str, proposal: &SignedProposal) -> Answered {
        let request = Request::post(target).header("content-type", "application/json; charset=utf-8");
        self.send(request.body(serde_json::to_vec(proposal).unwrap().into()).unwrap()).await
    }

    pub async fn push(&self, body: Vec<u8>) -> Answered {
        let request = Request::post("/facts").header("content-type", "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }

    pub async fn post(&self, proposal: &SignedProposal) -> Answered {
        self.post_to("/transition", proposal).await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.handle.stop();
    }
}
