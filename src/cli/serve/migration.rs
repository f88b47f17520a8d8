//! The WHOOSH shim in the daemon: SWOOSH's side of it is the sequencer, WHOOSH's an HTTP client under the network
//! gate, and its clients' a listener of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use reqwest::Method;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, block_in_place};
use tokio_util::sync::CancellationToken;

use super::bus::Bus;
use super::doers::Doers;
use super::node::Node;
use crate::ingress::{self, Carrier, Gate, Held, LegacyState, legacy_router};
use crate::machine::beats::Beats;
use crate::machine::chart;
use crate::machine::facts::FactSet;
use crate::migration::{
    BoxFuture, Brought, Caller, Callers, Core, Forms, Judged, Parts, PassedOn, Passing, Refused, Shim, Shown, Standing,
    Store, Watch, Whoosh, WhooshError,
};
use crate::platform::gate::NetworkGate;
use crate::platform::keyfile;
use crate::platform::outbound::{Http, HttpLimits, LentClient, OutboundError};
use crate::platform::secrets::Secrets;
use crate::sequencer::queries::{FactBody, FoldError, Headers, ReadError, Section};
use crate::sequencer::{DryRun, Handle, Mode, Outcome};
use crate::settings::Settings;
use crate::telemetry::metrics::Metrics;
use crate::types::fact::{FactKind, GuardSettings};
use crate::types::hlc::Hlc;
use crate::types::ids::{EffectId, IdemKey};
use crate::types::json::Json;
use crate::types::keys::PublicKey;
use crate::types::legacy_grant::LegacyGrant;
use crate::types::migration::{
    Call, Divergence, DivergenceKind, LegacyAnswer, MigrationView, Routing, SignedOrder, Switch, WhooshAnswer,
    signed_for,
};
use crate::types::names::{EffectName, OpClass, Role, Transition};
use crate::types::rejection::{Code, Rejection};
use crate::types::text::{Name, ProjectName};

/// How long WHOOSH may take to accept a connection, at most.
const CONNECT: Duration = Duration::from_secs(3);
/// Open effects that are read at once.
const PAGE: usize = 1_000;

/// The exporter under whose name the journal keeps how far WHOOSH was told.
pub(super) const TOLD: &str = "whoosh";

/// Makes the shim, where the settings name a WHOOSH.
pub(super) fn start(node: &Node, settings: &Settings, secrets: &Secrets) -> anyhow::Result<Option<Arc<Shim>>> {
    let migration = &settings.migration;
    let Some(upstream) = &migration.upstream else { return Ok(None) };
    let exchange = Duration::from_millis(migration.timeout_ms);
    let limits = HttpLimits { connect: CONNECT.min(exchange), exchange, answer_bytes: migration.answer_bytes };
    knows_who_decides(node, settings)?;
    let address = upstream.as_str().trim_end_matches('/').to_owned();
    let parsed = address.parse().context("migration.upstream is no address")?;
    let watch = Arc::new(Counting {
        doers: node.doers().clone(),
        metrics: node.metrics().clone(),
        handle: node.handle().clone(),
        bus: node.bus().clone(),
    });
    let shim = Shim::new(Parts {
        core: Arc::new(Sequenced {
            handle: node.handle().clone(),
            patience: Duration::from_millis(settings.http.request_timeout_ms),
        }),
        whoosh: Arc::new(Upstream {
            http: Http::new(node.gate().clone(), parsed, limits),
            gate: node.gate().clone(),
            address: address.clone(),
        }),
        watch,
        callers: callers(settings, secrets)?,
        cluster: settings.cluster.clone(),
        store: Store::open(&settings.migration_path())
            .context("the migration's files cannot be used; see runbooks/whoosh-cutover.md")?,
        upstream: address,
    });
    let cannot = |rejection: Rejection| {
        anyhow::anyhow!("how far WHOOSH was told is not known: {}", rejection.reasons.join("; "))
    };
    shim.map(Some).map_err(cannot)
}

/// Refuses to begin in `shadow` where somebody else's switches are missing: a log that was taken over from a follower may be
/// one whose projects SWOOSH decides, and WHOOSH, asked again, would know nothing of that.
fn knows_who_decides(node: &Node, settings: &Settings) -> anyhow::Result<()> {
    let (path, journal) = (settings.migration_path(), node.handle().journal());
    let Some(begun) = journal.incarnations().last().filter(|_| !path.exists()) else { return Ok(()) };
    anyhow::bail!(
        "incarnation {} of this log began with a restore or a promotion, and {} is not there, which says who decides: SWOOSH or \
         WHOOSH. Put it there from the old node's directory or a backup; where nothing was ever switched, make it, empty \
         (runbooks/promote-follower.md)",
        begun.number,
        path.display()
    )
}

/// The callers with their delegates' keys, whose authority must be limited.
fn callers(settings: &Settings, secrets: &Secrets) -> anyhow::Result<Callers> {
    let caller = |(name, caller): (&Name, &crate::settings::MigrationCaller)| {
        let at = || format!("migration.callers.{name}");
        let key = keyfile::load(&caller.key).with_context(at)?;
        let grant = settings.identities.get(&key.public());
        anyhow::ensure!(
            grant.is_none_or(|grant| grant.delegate.is_some()),
            "{}: identities grants its key {} more than a delegate may have; limit it with \
             `delegate: {{op_classes: […]}}` (docs/identities.md)",
            at(),
            key.public()
        );
        let token = secrets.find(&at(), caller.token.as_ref())?;
        Ok(Caller::new(name.clone(), key, token.as_ref()))
    };
    let callers = settings.migration.callers.iter().map(caller).collect::<anyhow::Result<Vec<_>>>()?;
    check_delegates(settings, &callers)?;
    Ok(Callers::new(callers))
}

/// A grant counts for the key that it names, so this must be the caller's own, and no other caller's.
fn check_delegates(settings: &Settings, callers: &[Caller]) -> anyhow::Result<()> {
    for (name, grant) in &settings.migration.grants {
        let signs = |caller: &&Caller| caller.delegate() == grant.delegate;
        let own = callers.iter().find(|caller| caller.name == grant.caller);
        anyhow::ensure!(
            own.as_ref().is_some_and(signs),
            "migration.grants.{name}: migration.callers.{}.key holds another key than the delegate {}; name the public key of that \
             file (`swoosh keygen` printed it)",
            grant.caller,
            grant.delegate
        );
        if let Some(other) = callers.iter().filter(signs).find(|caller| caller.name != grant.caller) {
            anyhow::bail!(
                "migration.grants.{name}: the callers {} and {} have the same key; give each its own delegate",
                grant.caller,
                other.name
            );
        }
    }
    Ok(())
}

/// The listener of WHOOSH's clients, and the shim's own work.
pub(super) struct Listener {
    stop: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
    kept: JoinHandle<()>,
}

/// A socket for WHOOSH's clients, where the settings name a WHOOSH.
pub(super) async fn bind(settings: &Settings) -> anyhow::Result<Option<TcpListener>> {
    if settings.migration.upstream.is_none() {
        return Ok(None);
    }
    let listen = settings.migration.listen;
    let listener = TcpListener::bind(listen).await;
    let listener = listener
        .with_context(|| format!("migration.listen: cannot listen on {listen}; see runbooks/whoosh-cutover.md"))?;
    Ok(Some(listener))
}

/// Serves WHOOSH's clients.
pub(super) fn serve(
    node: &Node,
    settings: &Settings,
    listener: TcpListener,
    gate: Arc<Gate>,
) -> anyhow::Result<Listener> {
    let shim = node.shim().context("there is a socket for the clients of WHOOSH, and no shim")?;
    let address = listener.local_addr()?;
    shim.served_on(format!("http://{address}"));
    eprintln!("serving the clients of WHOOSH on http://{address}");
    let remedy = "listen on a loopback address, and put a proxy with TLS before it";
    super::warn_of_plain_http("migration.listen", address, remedy);
    tracing::info!(%address, upstream = %shim.view().upstream, routing = %shim.view().routing, "migrating from WHOOSH");
    let state = LegacyState {
        carrier: Arc::new(Clients(shim.clone())),
        gate: gate.clone(),
        in_flight: settings.migration.in_flight,
        handle: node.handle().clone(),
    };
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let hosts = settings.http.allowed_hosts.clone();
    let served = tokio::spawn(ingress::serve(listener, legacy_router(state), gate, hosts, None, stopped));
    let kept = tokio::spawn(shim.keep());
    Ok(Listener { stop, served, kept })
}

impl Listener {
    /// What makes it take no more requests.
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until everything is answered.
    pub async fn finish(self) {
        self.stop.cancel();
        self.kept.abort();
        if let Ok(Err(error)) = self.served.await {
            tracing::error!(%error, "the listener of WHOOSH's clients failed");
        }
    }
}

struct Clients(Arc<Shim>);

impl Carrier for Clients {
    fn carry(&self, call: Call, held: Held) -> BoxFuture<'static, Result<LegacyAnswer, Rejection>> {
        self.0.clone().carry(call, held).boxed()
    }

    fn knows(&self, call: &Call) -> Result<(), Rejection> {
        self.0.knows(call)
    }
}

/// The shim, as the node's routes see it.
pub(super) fn routes(shim: Arc<Shim>) -> Arc<dyn ingress::Migration> {
    Arc::new(Routes(shim))
}

struct Routes(Arc<Shim>);

impl ingress::Migration for Routes {
    fn view(&self) -> MigrationView {
        self.0.view()
    }

    fn divergences(&self, limit: usize) -> Vec<Divergence> {
        self.0.divergences(limit)
    }

    fn order(&self, order: SignedOrder) -> BoxFuture<'static, Result<Switch, Rejection>> {
        let shim = self.0.clone();
        // An operator who goes away must not leave half a switch.
        let done = tokio::spawn(async move { shim.order(order).await });
        let lost = |_| Err(Rejection::new(Code::NotDurable, "the node stopped before the switch was made; look again"));
        done.map(move |done| done.unwrap_or_else(lost)).boxed()
    }
}

/// The settings that guards read.
fn settings_in(facts: &FactSet) -> Option<&GuardSettings> {
    match &facts.at(FactKind::Settings, None)?.body {
        FactBody::Settings(settings) => Some(settings),
        _ => None,
    }
}

/// The member for whose seat a caller approves by a grant that counts now.
fn seat(
    facts: &FactSet,
    (caller, project, transition): (&Caller, &ProjectName, Transition),
    stamp: Hlc,
) -> Option<PublicKey> {
    let settings = settings_in(facts).filter(|_| transition == Transition::ExecutionApprove)?;
    let (time, delegate) = (settings.outside(stamp), caller.delegate());
    let counts = |grant: &&LegacyGrant| {
        let is_own = grant.caller == caller.name && grant.delegate == delegate && grant.counts(time);
        is_own && grant.covers(project, OpClass::Execution)
    };
    settings.grants.values().filter(counts).find_map(|grant| grant.seat)
}

/// SWOOSH behind the shim.
struct Sequenced {
    handle: Handle,
    patience: Duration,
}

fn unread(error: ReadError) -> Rejection {
    Rejection::new(Code::NotDurable, format!("the node cannot read what it stored: {error}"))
}

fn damaged(error: FoldError) -> Rejection {
    Rejection::new(Code::ProjectDamaged, format!("{error}; see runbooks/corrupt-journal.md"))
}

fn headers(forms: Forms) -> Headers {
    let Forms { idempotency_key, hlc, window_id, signature } = forms;
    Headers { idempotency_key, hlc, window_id, signature }
}

fn refused(rejection: Rejection) -> Judged {
    Judged::Refused(Refused { rejection, retry_after_ms: None })
}

/// Why a record cannot be read.
enum Unreadable {
    /// Reading failed, and may not fail the next time.
    Passing(ReadError),
    /// It is damaged.
    Damaged(String),
}

impl From<ReadError> for Unreadable {
    fn from(error: ReadError) -> Unreadable {
        match error {
            ReadError::Storage(_) | ReadError::RecordStorage { .. } => Unreadable::Passing(error),
            error => Unreadable::Damaged(error.to_string()),
        }
    }
}

impl From<Unreadable> for Rejection {
    fn from(unreadable: Unreadable) -> Rejection {
        match unreadable {
            Unreadable::Passing(error) => unread(error),
            Unreadable::Damaged(reason) => Rejection::new(Code::NotDurable, reason),
        }
    }
}

impl Sequenced {
    fn passing(&self, index: u64) -> Result<Passing, Rejection> {
        match self.record(index) {
            Ok(Some(record)) => Ok(Passing::Record(record)),
            Ok(None) => Ok(Passing::Lost { index, reason: "it is missing".to_owned() }),
            Err(Unreadable::Damaged(reason)) => Ok(Passing::Lost { index, reason }),
            Err(error) => Err(error.into()),
        }
    }

    fn record(&self, index: u64) -> Result<Option<PassedOn>, Unreadable> {
        let journal = self.handle.journal();
        let Some(stored) = journal.record(index)? else { return Ok(None) };
        let record = stored.record;
        let bytes = journal.object(&record.inputs_hash)?;
        let gone = || Unreadable::Damaged(format!("the inputs of record {index} are missing"));
        let inputs = Json::parse(&bytes.ok_or_else(gone)?).map_err(|error| Unreadable::Damaged(error.to_string()))?;
        Ok(Some(PassedOn {
            index,
            project: record.project,
            transition: record.transition,
            inputs,
            idem_key: record.idem_key,
            mirrored: signed_for(&record.evidence).is_some_and(|(_, decided)| !decided),
        }))
    }
}

impl Core for Sequenced {
    fn standing(&self, caller: &Caller, project: &ProjectName, transition: Transition) -> Result<Standing, Rejection> {
        let view = block_in_place(|| self.handle.view(project)).map_err(damaged)?;
        let (state, spec, now) = (view.head.state(), chart::spec(transition), self.handle.now());
        let facts = self.handle.facts();
        let floor = block_in_place(|| self.handle.journal().key_floor(project)).map_err(unread)?;
        let beats = Beats::known(facts.set(), project, now, floor);
        let window = || match facts.set().get(FactKind::Windows, project).map(|fact| &fact.body) {
            Some(FactBody::Windows(schedule)) => Some(schedule.position(now).window_id),
            _ => None,
        };
        let answers = |effect: EffectName| {
            let spec = chart::effect(effect);
            spec.success.contains(&transition) || spec.failure.contains(&transition)
        };
        let open = state.open_effects().find(|open| answers(open.id.effect)).map(|open| open.id.clone());
        // Where none is open the sequencer shall say so, and not that the client named none.
        let closed = |effect| EffectId { project: project.clone(), index: 0, digest: None, effect };
        let effect = open.or_else(|| EffectName::ALL.iter().copied().find(|&effect| answers(effect)).map(closed));
        Ok(Standing {
            head: view.head.hash(),
            hlc_last: state.hlc_last.as_ref().as_ref().map(|last| last.hlc),
            beat: beats.now,
            window_id: spec.window.and_then(|_| window()),
            effect,
            seat: seat(facts.set(), (caller, project, transition), now),
        })
    }

    fn grants(&self) -> BTreeMap<Name, LegacyGrant> {
        settings_in(self.handle.facts().set()).map(|settings| settings.grants.clone()).unwrap_or_default()
    }

    fn earlier(&self, project: &ProjectName, key: &IdemKey) -> Result<Option<Json>, Rejection> {
        block_in_place(|| {
            let Some(bound) = self.handle.journal().bound_key(project, key).map_err(unread)? else { return Ok(None) };
            Ok(self.record(bound.index)?.map(|record| record.inputs))
        })
    }

    fn state(&self, project: &ProjectName) -> Result<Option<Shown>, Rejection> {
        let view = block_in_place(|| self.handle.view(project)).map_err(damaged)?;
        if view.index == 0 {
            return Ok(None);
        }
        let section = |section: Section| {
            let value = serde_json::from_slice(&view.head.state().section_bytes(section)).unwrap_or_default();
            (section.as_str().to_owned(), value)
        };
        Ok(Some(Shown { hash: view.head.hash(), sections: Section::ALL.into_iter().map(section).collect() }))
    }

    fn propose(&self, body: Vec<u8>, forms: Forms) -> BoxFuture<'_, Judged> {
        async move {
            let verified = match self.handle.verify(&body, &headers(forms)) {
                Ok(verified) => verified,
                Err(rejection) => return refused(rejection),
            };
            match tokio::time::timeout(self.patience, self.handle.propose(verified)).await {
                Ok(Outcome::Accepted { receipt, replayed }) => {
                    Judged::Accepted(crate::migration::Decided { receipt: receipt.to_vec(), replayed })
                }
                Ok(Outcome::Refused(refusal)) => {
                    Judged::Refused(Refused { rejection: refusal.rejection, retry_after_ms: refusal.retry_after_ms })
                }
                Err(_) => refused(Rejection::new(
                    Code::NotDurable,
                    "it was not durable in time; send it again under the same key",
                )),
            }
        }
        .boxed()
    }

    fn try_out(&self, body: Vec<u8>, forms: Forms) -> Judged {
        let verified = match self.handle.verify(&body, &headers(forms)) {
            Ok(verified) => verified,
            Err(rejection) => return refused(rejection),
        };
        let runtime = tokio::runtime::Handle::current();
        match block_in_place(|| runtime.block_on(self.handle.dry_run(verified))) {
            DryRun::Accepted { .. } => Judged::Accepted(crate::migration::Decided::default()),
            DryRun::Repeat(receipt) => Judged::Accepted(crate::migration::Decided { receipt, replayed: true }),
            DryRun::Refused(refusal) => {
                Judged::Refused(Refused { rejection: refusal.rejection, retry_after_ms: refusal.retry_after_ms })
            }
        }
    }

    fn records_after(&self, index: u64, limit: usize) -> Result<Vec<Passing>, Rejection> {
        let (last, first) = (self.last_index(), self.handle.journal().first_index());
        let pruned = (index + 1 < first)
            .then(|| Ok(Passing::Lost { index: first - 1, reason: "it and those before it are pruned".to_owned() }));
        block_in_place(|| {
            let indexes = ((index + 1).max(first)..=last).take(limit);
            pruned.into_iter().chain(indexes.map(|index| self.passing(index))).collect()
        })
    }

    fn told(&self) -> Result<Option<u64>, Rejection> {
        let positions = self.handle.journal().export_positions().map_err(unread)?;
        Ok(positions.into_iter().find(|position| position.name == TOLD).map(|position| position.index))
    }

    fn note_told(&self, index: u64) -> Result<(), Rejection> {
        let noted = block_in_place(|| self.handle.journal().note_exported(TOLD, index));
        noted.map_err(|error| Rejection::new(Code::NotDurable, error.to_string()))
    }

    fn hold_back(&self, holds: bool) -> Result<(), Rejection> {
        let noted = block_in_place(|| self.handle.journal().rest_exporter(TOLD, !holds));
        noted.map_err(|error| Rejection::new(Code::NotDurable, error.to_string()))
    }

    fn last_index(&self) -> u64 {
        self.handle.status().last_index
    }

    fn projects(&self) -> Result<Vec<ProjectName>, Rejection> {
        let projects = block_in_place(|| self.handle.journal().projects_between(0, self.last_index()));
        Ok(projects.map_err(unread)?.into_iter().collect())
    }

    fn may_order(&self, key: &PublicKey, at: Hlc) -> Result<(), Rejection> {
        let facts = self.handle.facts();
        let Some(settings) = settings_in(facts.set()) else {
            return Err(Rejection::new(Code::IdentityUnknown, "the node has no settings to judge an operator by"));
        };
        let Some(grant) = settings.identities.get(key) else {
            let reason =
                format!("{key} is not known to the settings of this node; grant it role operator under identities");
            return Err(Rejection::new(Code::IdentityUnknown, reason));
        };
        if !grant.roles.contains(&Role::Operator) {
            let reason = format!("only operators switch the migration, and {} is none", grant.name);
            return Err(Rejection::new(Code::RoleNotAllowed, reason));
        }
        let (at_ms, now_ms) = (at.physical_ms(), self.handle.now().physical_ms());
        let stale = |code, how: &str| {
            Err(Rejection::new(code, format!("the order was signed at {at}, too far {how}; sign it anew")))
        };
        match () {
            () if at_ms > now_ms.saturating_add(settings.max_ahead_ms) => stale(Code::HlcAhead, "ahead"),
            () if at_ms.saturating_add(settings.max_behind_ms) < now_ms => stale(Code::HlcBehind, "behind"),
            () => Ok(()),
        }
    }

    fn is_ready(&self) -> bool {
        self.handle.status().mode == Mode::Accepting
    }

    fn now(&self) -> Hlc {
        self.handle.now()
    }
}

/// WHOOSH behind the shim.
struct Upstream {
    http: Http,
    gate: NetworkGate,
    address: String,
}

impl Whoosh for Upstream {
    fn send(&self, call: Call) -> BoxFuture<'_, Result<WhooshAnswer, WhooshError>> {
        async move {
            let url: reqwest::Url = format!("{}{}", self.address, call.target)
                .parse()
                .map_err(|error| WhooshError::Unreachable(format!("{}: {error}", call.target)))?;
            let method = Method::from_bytes(call.method.as_bytes()).unwrap_or(Method::GET);
            let request = |client: &LentClient| {
                let request = client.request(method, url).body(call.body);
                call.headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))
            };
            let answer = self.http.send(request).await.map_err(unanswered)?;
            let headers = answer.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
            Ok(WhooshAnswer { status: answer.status.as_u16(), headers: headers.collect(), body: answer.body })
        }
        .boxed()
    }

    fn barred(&self) -> Option<String> {
        self.gate.pass().err().map(|closed| closed.to_string())
    }
}

fn unanswered(error: OutboundError) -> WhooshError {
    match error {
        OutboundError::Closed(_) => WhooshError::Closed(format!("nothing leaves this node: {error}")),
        OutboundError::Timeout { .. } => WhooshError::Timeout(format!("WHOOSH: {error}")),
        _ => WhooshError::Unreachable(format!("WHOOSH: {error}")),
    }
}

/// Metrics of the migration, and those who have to know which regions are decided here.
struct Counting {
    doers: Arc<Doers>,
    metrics: Arc<Metrics>,
    handle: Handle,
    bus: Arc<Bus>,
}

impl Watch for Counting {
    fn routed(&self, routing: &Routing) {
        self.doers.route(routing);
        self.metrics.migration().routed(routing);
        // At a start it is noted before the first effect begins.
        let Some(runner) = self.bus.runner() else { return };
        block_in_place(|| self.doers.note(&self.handle.journal()));
        let mut after = None;
        // Effects that are open begin, or stop, where who decides has changed.
        loop {
            let rows = match block_in_place(|| self.handle.journal().open_effects_after(after.as_ref(), PAGE)) {
                Ok(rows) => rows,
                Err(error) => return tracing::error!(%error, "open effects cannot be listed; a restart finds them"),
            };
            rows.iter().for_each(|row| runner.moved(&row.id.project));
            after = rows.last().map(|row| row.id.clone());
            if rows.len() < PAGE {
                return;
            }
        }
    }

    fn proposal(&self, here: bool, brought: Brought) {
        let Brought { key, hlc, window_id } = brought;
        self.metrics.migration().proposal(here, [key, hlc, window_id]);
    }

    fn other_path(&self, passed: bool) {
        self.metrics.migration().other_path(passed);
    }

    fn diverged(&self, kind: DivergenceKind) {
        self.metrics.migration().diverged(kind);
    }

    fn differing(&self, projects: usize) {
        self.metrics.migration().differing(projects as u64);
    }

    fn unanswered(&self, why: &WhooshError) {
        self.metrics.migration().unanswered(why.as_str());
    }
}
