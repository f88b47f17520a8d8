//! Connects a node to the outside world: pushed facts and the license.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use swoosh_facts::kaching::fetch::Server;
use swoosh_facts::kaching::token::Pins;
use swoosh_facts::kaching::{Keeper, Pace};
use swoosh_facts::{FactRefusal, FactStore, FactTable, Inserted, LastStamp, PushError, Speaker};
use swoosh_http::{FactFilter, Intake, Pushed};
use swoosh_platform::gate::NetworkGate;
use swoosh_platform::secrets::Secrets;
use swoosh_sequencer::Handle;
use swoosh_settings::Settings;
use swoosh_types::fact::Fact;
use swoosh_types::hlc::Hlc;
use swoosh_types::rejection::{Code, Rejection};

/// Believes again what was pushed before the restart, after a log whose last record has this stamp.
pub fn restore(settings: &Settings, table: &Arc<FactTable>, last: Hlc) -> anyhow::Result<Arc<FactStore>> {
    let path = settings.pushed_facts_path();
    let opened = FactStore::open(path.clone(), table.clone(), last.physical_ms());
    let (store, restored) = opened.with_context(|| format!("the pushed facts in {} cannot be read", path.display()))?;
    for problem in &restored.problems {
        tracing::warn!(%problem, "a pushed fact is not believed any more");
    }
    tracing::info!(held = restored.held, expired = restored.expired, "pushed facts restored");
    let store = Arc::new(store);
    // The table is the store's; a strong reference back would keep both for ever.
    let keeper = Arc::downgrade(&store);
    table.keep_take_backs(Box::new(move |fact| {
        if let Some(Err(error)) = keeper.upgrade().map(|store| store.keep_take_back(fact)) {
            let (kind, source) = (fact.claim.kind, fact.claim.source);
            tracing::error!(%kind, %source, %error, "a fact that takes back an earlier one is not on disk");
        }
    }));
    Ok(store)
}

/// When the last durable record was stamped.
pub fn last_stamp(handle: &Handle) -> LastStamp {
    let handle = handle.clone();
    Box::new(move || {
        let journal = handle.journal();
        let (last, _) = journal.last_promised();
        let stored = journal.record(last).ok().flatten();
        stored.map(|stored| stored.record.timestamp.physical_ms())
    })
}

/// Requirements on a license of this node.
pub fn pins(settings: &Settings) -> Pins {
    Pins {
        keys: settings.kaching.keys.clone(),
        cluster: settings.cluster.clone(),
        scope: settings.license.scope.clone(),
    }
}

/// The way to the license server, where the settings name one.
pub fn license_server(
    settings: &Settings,
    node: swoosh_types::keys::PublicKey,
    secrets: &Secrets,
) -> anyhow::Result<Option<Server>> {
    let kaching = &settings.kaching;
    let Some(url) = &kaching.url else { return Ok(None) };
    let bearer = secrets.find("kaching.token", kaching.token.as_ref())?;
    let timeout = Duration::from_millis(kaching.request_timeout_ms);
    Ok(Some(Server::new(url.as_str(), timeout, node, bearer)?))
}

/// The keeper of the license, where the settings name a server; it has said the license that is on disk.
pub fn license_keeper(settings: &Settings, speaker: &Speaker, secrets: &Secrets) -> anyhow::Result<Option<Keeper>> {
    let Some(server) = license_server(settings, speaker.key(), secrets)? else { return Ok(None) };
    let kaching = &settings.kaching;
    let pace = Pace {
        refresh_percent: kaching.refresh_percent,
        refresh_max: Duration::from_millis(kaching.refresh_max_ms),
        retry_min: Duration::from_millis(kaching.retry_min_ms),
        retry_max: Duration::from_millis(kaching.retry_max_ms),
    };
    Ok(Some(Keeper::new(server, pins(settings), pace, settings.license_path(), speaker.clone())))
}

/// The answer of `GET /facts`.
pub fn facts_document(table: &FactTable, gate: &NetworkGate, filter: &FactFilter) -> Value {
    let wanted = |project: &Option<_>| match &filter.project {
        None => true,
        asked => project.is_none() || project == asked,
    };
    let mut facts = table.describe();
    facts.retain(|fact| filter.kind.is_none_or(|kind| kind == fact.kind) && wanted(&fact.project));
    let closed = gate.pass().err();
    let network = match &closed {
        None => json!({"open": true}),
        Some(closed) => json!({"open": false, "reason": closed.reason.as_ref()}),
    };
    json!({"facts": facts, "missing": table.missing(), "network": network})
}

/// Takes pushed facts into the store.
pub struct StoreIntake(pub Arc<FactStore>);

impl Intake for StoreIntake {
    fn push(&self, fact: Fact) -> Result<Pushed, Rejection> {
        let hash = fact.hash();
        let until = Hlc::new(fact.believed_until_ms(), 0).unwrap_or(fact.claim.valid_until);
        let valid_until = until.min(fact.claim.valid_until);
        let reason = match self.0.push(fact).map_err(|error| rejection(&error))? {
            Inserted::Held(_) => None,
            Inserted::NotNewer { held } => {
                Some(format!("its source reported an observation of {held} already; only a newer one replaces it"))
            }
            Inserted::Outdone { by, held } => {
                Some(format!("{by} saw something newer, at {held}, which counts until it expires"))
            }
        };
        Ok(Pushed { held: reason.is_none(), hash, valid_until, reason })
    }
}

fn rejection(error: &PushError) -> Rejection {
    let code = match error {
        PushError::Refused(refusal) => match refusal {
            FactRefusal::Source { .. } => Code::FactSource,
            FactRefusal::Signature { .. } => Code::SignatureInvalid,
            FactRefusal::Future { .. } => Code::FactAhead,
            FactRefusal::Body(_) => Code::FactBody,
            FactRefusal::Full { .. } => Code::FactsFull,
            FactRefusal::Serial { .. } | FactRefusal::Step { .. } => Code::FactSerial,
        },
        PushError::Own { .. } => Code::FactSource,
        PushError::TooLarge { .. } => Code::ContentTooLarge,
        PushError::Full { .. } => Code::FactsFull,
        PushError::Write(error) => {
            tracing::error!(%error, "a pushed fact could not be made durable");
            Code::NotDurable
        }
    };
    Rejection::new(code, error.to_string())
}
