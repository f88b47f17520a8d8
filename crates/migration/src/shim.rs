//! The shim: takes a client's request and sends it to the system that decides it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{OwnedMutexGuard, RwLock, oneshot};

use super::callers::{Caller, Callers};
use super::follow::Known;
use super::other::Others;
use super::ports::{Core, Judged, Refused, Watch, Whoosh, WhooshError};
use super::sign::sign;
use super::store::{Store, StoreError};
use super::wire::{self, Asked};
use swoosh_client::HlcClock;
use swoosh_types::hash::Hash;
use swoosh_types::migration::{
    Call, Divergence, DivergenceKind, LegacyAnswer, MigrationMode, MigrationView, Outage, Routing, WhooshAnswer,
};
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::{ClusterId, ProjectName};

/// Attempts to sign a proposal again after another proposal moved the head.
const TRIES: usize = 8;
/// Projects whose lock is kept while no request waits for it.
const TURNS: usize = 10_000;
/// Interval of deliveries to WHOOSH without a client's request, in mode `regions`.
const PASS_ON_EVERY: Duration = Duration::from_millis(500);
/// How long a client waits for its turn, before anything was done.
const PATIENCE: Duration = Duration::from_secs(20);
/// Characters of one side of a divergence.
const SIDE: usize = 4_000;

/// The client's answer, sent as soon as it is known.
pub(super) type Reply = oneshot::Sender<Result<LegacyAnswer, Rejection>>;

pub struct Shim {
    pub(super) core: Arc<dyn Core>,
    pub(super) whoosh: Arc<dyn Whoosh>,
    pub(super) watch: Arc<dyn Watch>,
    pub(super) callers: Callers,
    pub(super) others: Others,
    pub(super) cluster: ClusterId,
    pub(super) clock: HlcClock,
    /// Held for reading through every request, and for writing through a switch: so no request sees two routings.
    pub(super) routing: Arc<RwLock<Routing>>,
    pub(super) store: Mutex<Store>,
    /// Projects that differed when they were compared last, and in what.
    pub(super) differing: Mutex<BTreeMap<ProjectName, Hash>>,
    /// Set while WHOOSH gives no answer.
    outage: Mutex<Option<Outage>>,
    /// Index of the last record delivered to WHOOSH.
    pub(super) delivered: tokio::sync::Mutex<u64>,
    turns: Mutex<BTreeMap<ProjectName, Arc<tokio::sync::Mutex<()>>>>,
    upstream: String,
    served_on: OnceLock<String>,
}

/// The parts of a shim.
pub struct Parts {
    /// SWOOSH.
    pub core: Arc<dyn Core>,
    pub whoosh: Arc<dyn Whoosh>,
    pub watch: Arc<dyn Watch>,
    pub callers: Callers,
    /// The cluster that delegates sign for.
    pub cluster: ClusterId,
    pub store: Store,
    /// The address of WHOOSH, to be shown.
    pub upstream: String,
}

impl Shim {
    /// Goes on where journal and store say it was.
    pub fn new(parts: Parts) -> Result<Arc<Shim>, Rejection> {
        let routing = parts.store.routing();
        let last_index = parts.core.last_index();
        // The journal's note of it may be lost in a crash, and a promoted follower has the file alone.
        let (in_journal, in_file) = (parts.core.delivered()?, parts.store.position());
        let kept = in_journal.max(in_file);
        let delivered = kept.unwrap_or(last_index).min(last_index);
        let shim = Shim::of(parts, routing.clone(), delivered);
        // A restored log may end before the last delivered record. That is corrected on disk now, before the log grows past
        // the old position and the records in between count as delivered.
        if kept.is_some() && (in_journal, in_file) != (Some(delivered), Some(delivered)) {
            shim.keep_position(delivered)?;
        }
        shim.hold_back(&routing);
        shim.watch.routed(&routing);
        Ok(Arc::new(shim))
    }

    fn of(parts: Parts, routing: Routing, delivered: u64) -> Shim {
        Shim {
            core: parts.core,
            whoosh: parts.whoosh,
            watch: parts.watch,
            callers: parts.callers,
            others: Others::default(),
            cluster: parts.cluster,
            clock: HlcClock::system(),
            routing: Arc::new(RwLock::new(routing)),
            store: Mutex::new(parts.store),
            differing: Mutex::default(),
            outage: Mutex::default(),
            delivered: tokio::sync::Mutex::new(delivered),
            turns: Mutex::default(),
            upstream: parts.upstream,
            served_on: OnceLock::new(),
        }
    }

    /// Whether the caller of a request is known; why not.
    pub fn knows(&self, call: &Call) -> Result<(), Rejection> {
        self.callers.who(call).map(drop)
    }

    /// Carries a request. It goes on to its end also when the client goes away, and keeps `held` until then: WHOOSH may be
    /// asked or notified after the client has its answer.
    pub async fn carry(self: Arc<Shim>, call: Call, held: impl Send + 'static) -> Result<LegacyAnswer, Rejection> {
        let (reply, answer) = oneshot::channel();
        tokio::spawn(async move {
            let _held = held;
            // A switch may take its time, and a client must not wait for ever.
            let Ok(routing) = tokio::time::timeout(PATIENCE, self.routing.clone().read_owned()).await else {
                return drop(
                    reply.send(Err(Rejection::new(Code::Overloaded, "the migration is being switched; send it again"))),
                );
            };
            match (call.method.as_str(), path(&call)) {
                ("POST", "/transition") => self.transition(&routing, call, reply).await,
                ("GET" | "HEAD", "/state") => drop(reply.send(self.state(&routing, call).await)),
                ("GET" | "HEAD", "/health") => drop(reply.send(self.health(&routing, call).await)),
                _ => drop(reply.send(self.pass(&routing, call).await)),
            }
        });
        let lost = || Rejection::new(Code::NotDurable, "the node stopped before it could answer; send it again");
        answer.await.unwrap_or_else(|_| Err(lost()))
    }

    async fn transition(&self, routing: &Routing, call: Call, reply: Reply) {
        let asked = wire::read(&call);
        let region = asked.as_ref().ok().and_then(Asked::region);
        let here = match region {
            Some(region) => routing.decides(region),
            None => routing.mode == MigrationMode::Cutover,
        };
        let brought = wire::brought(&call, asked.as_ref().ok());
        self.watch.proposal(here, brought);
        let caller = self.callers.who(&call).inspect(|caller| caller.count(brought));
        // One proposal of a project at a time: SWOOSH applies them in the order in which WHOOSH did.
        let turn = match &asked {
            Ok(asked) => tokio::time::timeout(PATIENCE, self.turn(&asked.project)).await.map(Some),
            Err(_) => Ok(None),
        };
        let Ok(_turn) = turn else {
            let reason = "too many proposals of this project wait already; wait for their answers";
            return drop(reply.send(Err(Rejection::new(Code::TooManyRequests, reason))));
        };
        if here {
            self.decide(routing, &call, (caller, asked), reply).await;
        } else {
            self.follow(routing, call, Known { caller, asked }, reply).await;
        }
    }

    /// SWOOSH decides.
    async fn decide(
        &self,
        routing: &Routing,
        call: &Call,
        (caller, asked): (Result<&Caller, Rejection>, Result<Asked, Rejection>),
        reply: Reply,
    ) {
        let (caller, asked) = match (caller, asked) {
            (Ok(caller), Ok(asked)) => (caller, asked),
            // An unknown caller learns nothing about the request's other errors.
            (Err(rejection), _) => return drop(reply.send(Err(rejection))),
            (_, Err(rejection)) => {
                return drop(reply.send(Ok(unverified(Refused { rejection, retry_after_ms: None }))));
            }
        };
        match self.propose(call, caller, &asked, true).await {
            Judged::Accepted(decided) => {
                let document = wire::accepted(&asked, &decided.receipt);
                let _ = reply.send(Ok(LegacyAnswer::Accepted { document, replayed: decided.replayed }));
                if routing.mode == MigrationMode::Regions {
                    self.tell_and_compare(routing, caller, &asked).await;
                }
            }
            Judged::Refused(refused) => drop(reply.send(refuse(refused))),
        }
    }

    async fn tell_and_compare(&self, routing: &Routing, caller: &Caller, asked: &Asked) {
        match self.pass_on(routing).await {
            Ok(_) => self.compare_after(routing, Some((caller, asked.transition)), &asked.project).await,
            Err(rejection) => {
                let reason = rejection.reasons.join("; ");
                tracing::warn!(project = %asked.project, reason, "delivery of a transition to WHOOSH failed; it is retried");
            }
        }
    }

    /// Signs for the caller and proposes; retries on a newer head if another proposal was faster. A proposal that the
    /// client signed is passed on unchanged.
    pub(super) async fn propose(&self, call: &Call, caller: &Caller, asked: &Asked, decided: bool) -> Judged {
        if asked.signed {
            return self.core.propose(call.body.clone(), wire::forms(call)).await;
        }
        for _ in 0..TRIES {
            let body = match self.signed(caller, asked, decided) {
                Ok(body) => body,
                Err(rejection) => return Judged::Refused(Refused { rejection, retry_after_ms: None }),
            };
            let judged = self.core.propose(body, Default::default()).await;
            match judged {
                Judged::Refused(refused) if is_retryable(refused.rejection.code) => {}
                judged => return judged,
            }
        }
        let reason = "other proposals of the project were always faster; send it again";
        Judged::Refused(Refused { rejection: Rejection::new(Code::Overloaded, reason), retry_after_ms: Some(100) })
    }

    /// SWOOSH's answer in a dry run; nothing changes.
    pub(super) fn try_out(&self, call: &Call, caller: &Caller, asked: &Asked) -> Judged {
        if asked.signed {
            return self.core.try_out(call.body.clone(), wire::forms(call));
        }
        match self.signed(caller, asked, false) {
            Ok(body) => self.core.try_out(body, Default::default()),
            Err(rejection) => Judged::Refused(Refused { rejection, retry_after_ms: None }),
        }
    }

    fn signed(&self, caller: &Caller, asked: &Asked, decided: bool) -> Result<Vec<u8>, Rejection> {
        let standing = self.core.standing(caller, &asked.project, asked.transition)?;
        let earlier = match &asked.key {
            Some(key) => self.core.earlier(&asked.project, key)?,
            None => None,
        };
        standing.hlc_last.into_iter().for_each(|hlc| self.clock.observe(hlc));
        let clock = |error: swoosh_types::hlc::HlcError| Rejection::new(Code::ClockUnsafe, error.to_string());
        let hlc = self.clock.next().map_err(clock)?;
        let signed = sign(asked, caller, (&standing, earlier), (hlc, decided), &self.cluster)?;
        Ok(signed.to_json()?.canonical())
    }

    /// Waits for a project's turn.
    pub(super) async fn turn(&self, project: &ProjectName) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = lock(&self.turns);
            if turns.len() >= TURNS {
                turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            }
            turns.entry(project.clone()).or_default().clone()
        };
        turn.lock_owned().await
    }

    async fn state(&self, routing: &Routing, call: Call) -> Result<LegacyAnswer, Rejection> {
        if routing.mode == MigrationMode::Cutover {
            self.callers.who(&call)?;
            return self.own_state(&call);
        }
        let answer = self.send(call.clone()).await?;
        let is_known = self.callers.who(&call).is_ok();
        let is_mixed = routing.mode == MigrationMode::Regions && answer.status == 200 && is_known;
        Ok(match is_mixed.then(|| self.mixed_state(routing, &call, &answer)).flatten() {
            Some(document) => LegacyAnswer::Shown(document),
            None => LegacyAnswer::Whoosh(answer),
        })
    }

    async fn health(&self, routing: &Routing, call: Call) -> Result<LegacyAnswer, Rejection> {
        if routing.mode != MigrationMode::Cutover {
            return self.send(call).await.map(LegacyAnswer::Whoosh);
        }
        if !self.core.is_ready() {
            return Err(Rejection::new(Code::Draining, "the node takes no proposals; GET /health of SWOOSH says why"));
        }
        Ok(LegacyAnswer::Shown(json!({"status": "ok", "by": "swoosh"}).to_string().into_bytes()))
    }

    /// Asks WHOOSH, and counts it when there is no answer.
    pub(super) async fn send(&self, call: Call) -> Result<WhooshAnswer, Rejection> {
        let answered = self.whoosh.send(call).await.inspect(|_| *lock(&self.outage) = None);
        answered.map_err(|error| {
            self.failed(&error);
            self.watch.unanswered(&error);
            let (code, runbook) = match &error {
                WhooshError::Timeout(_) => (Code::LegacyTimeout, "whoosh-dead"),
                WhooshError::Unreachable(_) => (Code::LegacyUnreachable, "whoosh-dead"),
                // The gate of this node is closed; WHOOSH may be alive.
                WhooshError::Closed(_) => (Code::LegacyUnreachable, "whoosh-cutover"),
            };
            Rejection::new(code, format!("{error}; see runbooks/{runbook}.md"))
        })
    }

    fn failed(&self, error: &WhooshError) {
        let (now, reason) = (self.core.now(), cut(error.to_string()));
        let mut outage = lock(&self.outage);
        let known = outage.as_ref().map_or((now, 0), |outage| (outage.since, outage.failures));
        *outage = Some(Outage { since: known.0, failures: known.1 + 1, reason });
    }

    /// Keeps a divergence; one that cannot be kept is logged.
    pub(super) fn diverged(&self, found: Divergence) {
        let divergence = Divergence { whoosh: cut(found.whoosh), swoosh: cut(found.swoosh), ..found };
        self.watch.diverged(divergence.kind);
        let (kind, project, detail) = (divergence.kind.as_str(), divergence.project.clone(), divergence.detail.clone());
        let project = project.map(|project| project.to_string()).unwrap_or_default();
        tracing::warn!(kind, project, detail, "WHOOSH and SWOOSH differ");
        if let Err(error) = lock(&self.store).diverged(divergence) {
            tracing::error!(%error, "a divergence could not be kept");
        }
    }

    /// A divergence of now, to be filled in.
    pub(super) fn finding(&self, routing: &Routing, kind: DivergenceKind, detail: impl Into<String>) -> Divergence {
        Divergence {
            number: 0,
            at: self.core.now(),
            mode: routing.mode,
            kind,
            project: None,
            transition: None,
            caller: None,
            detail: detail.into(),
            whoosh: String::new(),
            swoosh: String::new(),
        }
    }

    /// Its clients are served here, from now on.
    pub fn served_on(&self, address: String) {
        // It is served once.
        let _ = self.served_on.set(address);
    }

    pub fn view(&self) -> MigrationView {
        let differing: Vec<ProjectName> = lock(&self.differing).keys().cloned().collect();
        let (other_paths, unlisted_paths) = self.others.view();
        let store = lock(&self.store);
        MigrationView {
            not_passed_on: self.not_passed_on(&store),
            routing: store.routing(),
            switches: store.last_switch().map_or(0, |switch| switch.number),
            last_switch: store.last_switch().cloned(),
            upstream: self.upstream.clone(),
            listen: self.served_on.get().cloned().unwrap_or_default(),
            diverged: differing,
            divergences: store.divergences_found(),
            outage: lock(&self.outage).clone(),
            callers: self.callers.views(),
            grants: self.core.grants(),
            other_paths,
            unlisted_paths,
        }
    }

    /// Records that SWOOSH decided and WHOOSH does not know, at most.
    pub(super) fn not_passed_on(&self, store: &Store) -> u64 {
        let behind = self.core.last_index().saturating_sub(store.position().unwrap_or(u64::MAX));
        if store.routing().decides_any() { behind } else { 0 }
    }

    /// The last divergences, newest first.
    pub fn divergences(&self, limit: usize) -> Vec<Divergence> {
        lock(&self.store).divergences(limit)
    }

    /// Compares all projects where WHOOSH still decides; whether that is done. It fails while WHOOSH does not answer, or
    /// while the network gate waits for the license.
    async fn compare_at_start(&self) -> bool {
        let routing = self.routing.read().await.clone();
        routing.mode == MigrationMode::Cutover || self.compare_all(&routing).await.is_ok()
    }

    /// Tells WHOOSH of what was decided here without a client's request, for as long as the node runs; compares all
    /// projects once before, as soon as WHOOSH answers.
    pub async fn keep(self: Arc<Shim>) {
        let mut compared = self.compare_at_start().await;
        if !compared {
            tracing::warn!("WHOOSH cannot be compared with yet; that is tried again");
        }
        loop {
            tokio::time::sleep(PASS_ON_EVERY).await;
            if !compared {
                compared = self.compare_at_start().await;
            }
            let routing = self.routing.read().await;
            if routing.mode == MigrationMode::Regions {
                // A failure is counted and retried.
                let _ = self.pass_on(&routing).await;
            }
        }
    }
}

impl std::fmt::Debug for Shim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shim")
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cuts a foreign text to its bound.
fn cut(text: String) -> String {
    text.chars().take(SIDE).collect()
}

/// Whether a proposal fares better on a newer head and clock.
fn is_retryable(code: Code) -> bool {
    matches!(code, Code::StaleHead | Code::HlcNotAfter)
}

/// An error that the proposal did not cause keeps SWOOSH's own form and status.
fn refuse(refused: Refused) -> Result<LegacyAnswer, Rejection> {
    match refused.rejection.code {
        Code::Overloaded
        | Code::TooManyRequests
        | Code::Draining
        | Code::NotDurable
        | Code::ReadOnly
        | Code::Follower
        | Code::ClockUnsafe
        | Code::ProjectDamaged => Err(refused.rejection),
        Code::BadJson
        | Code::BadNumber
        | Code::BadText
        | Code::DuplicateKey
        | Code::TooDeep
        | Code::Schema
        | Code::HeaderConflict
        | Code::InputsHashMismatch
        | Code::SignatureInvalid => Ok(unverified(refused)),
        code => Ok(LegacyAnswer::Refused { code, document: wire::refused(&refused) }),
    }
}

fn unverified(refused: Refused) -> LegacyAnswer {
    LegacyAnswer::Unverified { document: wire::unverified(&refused), rejection: refused.rejection }
}

/// The path of a request's target.
fn path(call: &Call) -> &str {
    call.target.split('?').next().unwrap_or_default()
}

impl From<StoreError> for Rejection {
    fn from(error: StoreError) -> Rejection {
        Rejection::new(Code::NotDurable, error.to_string())
    }
}
