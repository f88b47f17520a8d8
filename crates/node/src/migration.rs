//! The WHOOSH shim in the daemon: SWOOSH's side of it is the sequencer, WHOOSH's an HTTP client under the network
//! gate, and its clients' a listener of its own.

mod counting;
mod sequenced;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::counting::Counting;
use self::sequenced::Sequenced;
use self::upstream::Upstream;
use super::node::Node;
use swoosh_http::{self as ingress, Carrier, Gate, Held, LegacyState, legacy_router};
use swoosh_migration::{BoxFuture, Caller, Callers, Parts, Shim, Store};
use swoosh_platform::keyfile;
use swoosh_platform::outbound::{Http, HttpLimits};
use swoosh_platform::secrets::Secrets;
use swoosh_settings::Settings;
use swoosh_types::migration::{Call, Divergence, LegacyAnswer, MigrationView, SignedOrder, Switch};
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::Name;

/// How long WHOOSH may take to accept a connection, at most.
const CONNECT: Duration = Duration::from_secs(3);

/// Name of the exporter whose journal position is the last record delivered to WHOOSH.
pub const WHOOSH_EXPORTER: &str = "whoosh";

/// Makes the shim, where the settings name a WHOOSH.
pub fn start(node: &Node, settings: &Settings, secrets: &Secrets) -> anyhow::Result<Option<Arc<Shim>>> {
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
        anyhow::anyhow!("the last record delivered to WHOOSH is not known: {}", rejection.reasons.join("; "))
    };
    shim.map(Some).map_err(cannot)
}

/// Refuses to begin in `shadow` if another node's switches are missing. A log that was taken over from a follower may
/// hold projects that SWOOSH decides; WHOOSH would know nothing of those decisions.
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

/// Checks the keys and tokens of the callers, as a start does.
pub fn check_callers(settings: &Settings, secrets: &Secrets) -> anyhow::Result<()> {
    if settings.migration.upstream.is_some() { callers(settings, secrets).map(drop) } else { Ok(()) }
}

/// The callers with their delegates' keys, whose authority must be limited.
fn callers(settings: &Settings, secrets: &Secrets) -> anyhow::Result<Callers> {
    let caller = |(name, caller): (&Name, &swoosh_settings::MigrationCaller)| {
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
pub struct Listener {
    stop: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
    kept: JoinHandle<()>,
}

/// A socket for WHOOSH's clients, where the settings name a WHOOSH.
pub async fn bind(settings: &Settings) -> anyhow::Result<Option<TcpListener>> {
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
pub fn serve(node: &Node, settings: &Settings, listener: TcpListener, gate: Arc<Gate>) -> anyhow::Result<Listener> {
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
    /// The token that stops new requests.
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
pub fn routes(shim: Arc<Shim>) -> Arc<dyn ingress::Migration> {
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
