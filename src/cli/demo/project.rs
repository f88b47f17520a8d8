//! What the project is made of: its document, and the bodies of outcomes and facts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cast::{CANDIDATES, Cast};
use super::servers::{PINNED, Servers};
use crate::machine::state::State;
use crate::types::canonical::canonical_hash;
use crate::types::hash::Hash;
use crate::types::hlc::Hlc;
use crate::types::inputs::Assets;

/// A commit or tree id out of one hexadecimal digit.
fn git_id(digit: char) -> String {
    digit.to_string().repeat(40)
}

/// The project document: three seats for five candidates, two approvals.
pub(super) fn document(cast: &Cast, servers: &Servers) -> anyhow::Result<Value> {
    Ok(json!({
        "sources": {
            "app": {"url": "https://git.example/app", "ref": git_id('a')},
            "docs": {"url": "https://git.example/docs", "ref": "v1.0.0"},
        },
        "upstreams": {"swarm": {"url": "ssh://git.example/swarm", "ref": git_id('c')}},
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

/// A commit for every source: the pinned one, or one that the tag stands for.
pub(super) fn resolved(state: &State) -> Value {
    let all = state.ingestion.sources.iter().chain(&state.ingestion.upstreams);
    let commit = |reference: &str| if reference.len() == 40 { reference.to_owned() } else { git_id('b') };
    let commits = all.map(|(name, source)| (name.as_str(), json!({"commit": commit(source.reference.as_str())})));
    json!({"resolved": commits.collect::<BTreeMap<_, _>>()})
}

/// A tree for every commit.
pub(super) fn fetched(state: &State) -> Value {
    let resolved = state.ingestion.resolved.iter();
    let trees = resolved.map(|(name, source)| (name.as_str(), json!({"commit": source.commit, "tree": git_id('d')})));
    json!({"fetched": trees.collect::<BTreeMap<_, _>>()})
}

/// A passed check for every source.
pub(super) fn checks(state: &State) -> Value {
    let outcome = |name| json!({"check": "schema", "source": name, "ok": true});
    json!({"outcomes": state.ingestion.fetched.keys().map(outcome).collect::<Vec<_>>()})
}

/// The assets that the environment is made of, with the hash of their manifest.
pub(super) fn installed() -> anyhow::Result<Value> {
    let asset = |name: &str| -> anyhow::Result<_> { Ok((name.parse()?, Hash::of(name.as_bytes()))) };
    let assets: Assets = ["image/base", "image/tools"].into_iter().map(asset).collect::<anyhow::Result<_>>()?;
    Ok(json!({"assets": assets, "manifest_hash": canonical_hash(&assets)}))
}

/// Health by asset, as the outcome and as the fact say it.
pub(super) fn health(tools: &str) -> Value {
    json!({"image/base": "ok", "image/tools": tools})
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
