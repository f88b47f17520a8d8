//! What the project is made of: its document, and the bodies of outcomes and facts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cast::{CANDIDATES, Cast};
use super::repositories::Repositories;
use super::servers::{PINNED, Servers};
use swoosh_machine::state::State;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;

/// A commit or tree id out of one hexadecimal digit.
fn git_id(digit: char) -> String {
    digit.to_string().repeat(40)
}

/// The project document: three seats for five candidates, two approvals.
pub(super) fn document(cast: &Cast, servers: &Servers, repositories: &Repositories) -> anyhow::Result<Value> {
    Ok(json!({
        "sources": repositories.sources(),
        "upstreams": repositories.upstreams(),
        "roles": {
            "lead": {"capabilities": ["plan"], "seats": 1},
            "reviewer": {"capabilities": ["review"], "seats": 2},
        },
        "tool_pins": servers.pins(),
        "allocation": {"vcpu": 4, "memory_mib": 8192},
        "limits": {"retries": 2},
        "council": {"quorum": "majority", "min_members": 3},
        "approval_threshold": 2,
        "identities": cast.grants()?,
    }))
}

/// The candidates and what they can do.
pub(super) fn profiles(cast: &Cast) -> anyhow::Result<Value> {
    let candidate = |name: &&str| -> anyhow::Result<Value> {
        let capabilities = if *name < "cleo" { ["plan"] } else { ["review"] };
        Ok(json!({"key": cast.key(name)?, "capabilities": capabilities}))
    };
    let candidates = CANDIDATES.iter().map(candidate).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(json!({"candidates": candidates}))
}

/// A made-up commit for every source.
pub(super) fn resolved(state: &State) -> Value {
    let all = state.ingestion.sources.keys().chain(state.ingestion.upstreams.keys());
    let commits = all.map(|name| (name.as_str(), json!({"commit": git_id('b')})));
    json!({"resolved": commits.collect::<BTreeMap<_, _>>()})
}

/// An unchecked claim that every asset is healthy.
pub(super) fn healthy(state: &State) -> Value {
    let outcomes = state.environment.assets.keys().map(|asset| (asset.as_str(), "ok"));
    json!({"outcomes": outcomes.collect::<BTreeMap<_, _>>()})
}

/// What the pinned servers answer, as the outcome says it.
pub(super) fn tools() -> Value {
    let tool = |name: &str| json!({"server": name, "version": PINNED});
    json!({"servers": {"search": tool("search"), "archive": tool("archive")}})
}

/// Every candidate alive since `since_ms`.
pub(super) fn liveness(cast: &Cast, since_ms: u64) -> anyhow::Result<Value> {
    let since = Hlc::new(since_ms, 0).unwrap_or_default();
    let pulse = |name: &&str| -> anyhow::Result<_> {
        Ok((cast.key(name)?.to_string(), json!({"alive": true, "since": since})))
    };
    let members = CANDIDATES.iter().map(pulse).collect::<anyhow::Result<BTreeMap<String, Value>>>()?;
    Ok(json!({"members": members}))
}

/// What Execution_AllReady names: the versions and hashes of the three regions as they are.
pub(super) fn prerequisites(state: &State) -> Value {
    json!({
        "version": state.ingestion.version,
        "content_hash": state.ingestion.content_hash.unwrap_or(Hash::ZERO),
        "member_set_hash": state.council.member_set_hash.unwrap_or(Hash::ZERO),
        "assets_hash": state.environment.assets_hash.unwrap_or(Hash::ZERO),
    })
}

/// What an approval is bound to.
pub(super) fn approval(state: &State) -> Value {
    json!({
        "plan_hash": state.execution.plan_hash.unwrap_or(Hash::ZERO),
        "beat": state.execution.beat,
        "rework_round": state.execution.rework_round,
        "council_epoch": state.epoch.council,
    })
}

/// The plan of a beat, by its hash.
pub(super) fn plan(state: &State) -> Value {
    json!({"plan_hash": Hash::of(format!("plan of beat {}", state.execution.beat).as_bytes())})
}

/// Where the result of a beat lies.
pub(super) fn submission(beat: u64) -> Value {
    json!({
        "submission": format!("ucxl://agent:dev@default/beat-{beat}/report"),
        "submission_hash": Hash::of(format!("report of beat {beat}").as_bytes()),
    })
}
