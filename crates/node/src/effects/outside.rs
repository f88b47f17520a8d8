//! Access of executors to facts and to SLURP.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::CONTENT_TYPE;

use crate::node::Node;
use swoosh_effects::{Index, Outside, Work, detail};
use swoosh_facts::Speaker;
use swoosh_machine::chart;
use swoosh_machine::facts::FactBody;
use swoosh_machine::guards::{Case, guard};
use swoosh_platform::outbound::{Http, HttpLimits, LentClient};
use swoosh_platform::secrets::Secrets;
use swoosh_sequencer::Handle;
use swoosh_settings::Settings;
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::fact::{FactKind, Health, Tooling};
use swoosh_types::inputs::{AssetOutcomes, ServerSeen, ServersSeen, ToolPin, UnreachableServers};
use swoosh_types::names::{GuardName, Transition};
use swoosh_types::secret::Secret;
use swoosh_types::text::{Detail, ProjectName};

const CONNECT: Duration = Duration::from_secs(3);
/// Most bytes of an answer of SLURP.
const ANSWER_BYTES: usize = 64 << 10;

/// The world, as executors see it.
pub struct World {
    handle: Handle,
    speaker: Speaker,
    health_valid_for_ms: u64,
    says_health: bool,
    slurp: Option<Slurp>,
    runtime: tokio::runtime::Handle,
}

struct Slurp {
    http: Http,
    token: Option<Secret>,
}

impl World {
    pub fn new(node: &Node, settings: &Settings, secrets: &Secrets) -> anyhow::Result<World> {
        let effects = &settings.effects;
        let token = secrets.find("effects.slurp_token", effects.slurp_token.as_ref())?;
        let slurp = effects.slurp.as_ref().map(|url| {
            let exchange = Duration::from_millis(effects.slurp_timeout_ms);
            let limits = HttpLimits { connect: CONNECT.min(exchange), exchange, answer_bytes: ANSWER_BYTES };
            let address = url.as_str().parse().context("effects.slurp is no address")?;
            anyhow::Ok(Slurp { http: Http::new(node.gate().clone(), address, limits), token })
        });
        // If another source reports the health of assets, the node's hashes do not count.
        let others = settings.facts.sources.get(&FactKind::Health).is_some_and(|sources| !sources.is_empty());
        Ok(World {
            handle: node.handle().clone(),
            speaker: node.speaker().clone(),
            health_valid_for_ms: effects.health_valid_for_ms,
            says_health: !others && settings.health.url.is_none(),
            slurp: slurp.transpose()?,
            runtime: tokio::runtime::Handle::current(),
        })
    }

    /// A guard's current judgement of a project.
    fn judge(&self, project: &ProjectName, name: GuardName, of: Transition) -> Result<(), String> {
        let view = self.handle.view(project).map_err(|error| error.to_string())?;
        let facts = self.handle.facts();
        let (cluster, at, spec) = (&self.handle.options().cluster, self.handle.log_time(), chart::spec(of));
        let judged = guard(name)(&Case { cluster, head: &view.head, facts: facts.set(), at, spec, asked: None });
        if judged.ok == Some(false) { Err(judged.reasons.join("; ")) } else { Ok(()) }
    }
}

impl Outside for World {
    fn tooling(&self, project: &ProjectName) -> Result<ServersSeen, UnreachableServers> {
        let Ok(view) = self.handle.view(project) else { return Err(UnreachableServers::default()) };
        let facts = self.handle.facts();
        let known = facts.set().get(FactKind::Tooling, project).filter(|fact| fact.is_valid(self.handle.now()));
        let tooling = known.and_then(|fact| match &fact.body {
            FactBody::Tooling(tooling) => Some(tooling),
            FactBody::License(_)
            | FactBody::Windows(_)
            | FactBody::Capacity(_)
            | FactBody::Health(_)
            | FactBody::Liveness(_)
            | FactBody::Policy(_)
            | FactBody::Settings(_) => None,
        });
        let (mut seen, mut unreachable) = (ServersSeen::default(), UnreachableServers::default());
        for (name, pin) in &view.head.state().council.tool_pins {
            match as_pinned(pin, tooling) {
                Ok(server) => {
                    seen.insert(name.clone(), server);
                }
                Err(why) => {
                    unreachable.insert(name.clone(), why);
                }
            }
        }
        if unreachable.is_empty() { Ok(seen) } else { Err(unreachable) }
    }

    fn capacity(&self, project: &ProjectName) -> Result<(), String> {
        self.judge(project, GuardName::Capacity, Transition::EnvironmentCapacityOk)
    }

    fn say_health(&self, project: &ProjectName, outcomes: &AssetOutcomes) -> Result<(), String> {
        if !self.says_health {
            return Ok(());
        }
        let health = Health { assets: outcomes.clone() };
        let said = self.speaker.say(FactKind::Health, Some(project), self.health_valid_for_ms, &health);
        said.map(drop).map_err(|error| error.to_string())
    }

    fn reported_health(&self, project: &ProjectName) -> AssetOutcomes {
        let facts = self.handle.facts();
        let known = facts.set().get(FactKind::Health, project).filter(|fact| fact.is_valid(self.handle.now()));
        match known.filter(|_| !self.says_health).map(|fact| &fact.body) {
            Some(FactBody::Health(health)) => health.assets.clone(),
            _ => AssetOutcomes::new(),
        }
    }

    fn post_index(&self, index: &Index, _work: &Work<'_>) -> Result<bool, String> {
        let Some(slurp) = &self.slurp else { return Ok(false) };
        let body = canonical_bytes(&serde_json::json!({"content_hash": index.content_hash(), "index": index}));
        let key = format!("{}/{}/{}", index.project, index.version, index.content_hash());
        let request = |client: &LentClient| {
            let request = client.post(slurp.http.address().clone()).header(CONTENT_TYPE, "application/json");
            let request = request.header("idempotency-key", key).body(body);
            match &slurp.token {
                Some(token) => request.bearer_auth(token.expose()),
                None => request,
            }
        };
        let answer = self.runtime.block_on(slurp.http.send(request)).map_err(|error| error.to_string())?;
        if answer.status.is_success() {
            return Ok(true);
        }
        Err(format!("SLURP answers {} to the index; its own log tells why", answer.status.as_u16()))
    }
}

fn as_pinned(pin: &ToolPin, tooling: Option<&Tooling>) -> Result<ServerSeen, Detail> {
    let tooling = tooling.ok_or_else(|| detail("it was not probed yet"))?;
    let status = tooling.servers.get(&pin.url).ok_or_else(|| detail("it was not probed yet"))?;
    match (&status.server, &status.version) {
        (Some(server), Some(version)) if status.reachable && *server == pin.server && *version == pin.version => {
            Ok(ServerSeen { server: server.clone(), version: version.clone() })
        }
        (Some(server), Some(version)) if status.reachable => {
            Err(detail(&format!("it is {server} {version}, and {} {} is pinned", pin.server, pin.version)))
        }
        _ => Err(status.detail.clone().unwrap_or_else(|| detail("it does not answer"))),
    }
}
