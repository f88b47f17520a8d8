//! Policy bundles of other signers: bundles in force stay so across restarts, and serials never fall.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use swoosh_facts::{FactRefusal, FactTable};
use swoosh_files as files;
use swoosh_journal::Journal;
use swoosh_machine::facts::FactBody;
use swoosh_settings::Settings;
use swoosh_types::canonical::from_json;
use swoosh_types::fact::{Fact, FactKind, PolicyBundle};
use swoosh_types::hash::Hash;
use swoosh_types::keys::PublicKey;
use swoosh_types::proposal::default_project;
use swoosh_types::text::ProjectName;

/// Where the bundles that were in force are kept, in the data directory.
fn kept_in(settings: &Settings) -> PathBuf {
    settings.data.join("policy-bundles.json")
}

/// Believes again what was in force when the node stopped. A node whose settings lead back to older policies does not
/// start: a person with access to a file or a list of keys could revoke restrictions of a newer bundle.
pub fn restore(settings: &Settings, table: &FactTable) -> anyhow::Result<()> {
    let path = kept_in(settings);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let facts: Vec<Fact> = serde_json::from_slice(&text).with_context(|| {
        format!("{} is damaged; take it away to start with the policies of the settings alone", path.display())
    })?;
    for fact in facts {
        let bundle = from_json::<PolicyBundle>(&fact.claim.body).ok().map(|bundle| bundle.serial);
        let project = fact.claim.project.clone();
        match table.insert_kept(fact) {
            Ok(_) => {}
            // It cannot be read any more, and the settings are newer.
            Err(error @ FactRefusal::Body(_))
                if bundle.is_some_and(|kept| serial(table, project.as_ref()) > Some(kept)) =>
            {
                tracing::warn!(kept = bundle, %error, "a policy bundle that was in force cannot be used; those of the settings are newer");
            }
            // The settings are newer.
            Err(FactRefusal::Serial { found, held }) if held > found => {
                tracing::info!(kept = found, held, "the policies of the settings are newer than those kept");
            }
            Err(error) => {
                let remedy = "raise policies.serial above it, or list its signer under facts.sources.policy again";
                anyhow::bail!("a policy bundle that was in force is not believed any more: {error}; {remedy}");
            }
        }
    }
    Ok(())
}

/// Believes again the latest bundles that judged records of the log, where a newer one is not held; a node whose
/// policies would fall behind them does not start. The files beside the log may be those of another node, or gone.
pub fn follow_log(journal: &Journal, table: &FactTable) -> anyhow::Result<()> {
    for judged in journal.judged_by()? {
        let held = || serial(table, judged.project.as_ref());
        if held() >= Some(judged.serial) {
            continue;
        }
        let fact = journal.object(&judged.fact)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let refused = fact.map(|fact| table.insert_kept(fact)).and_then(Result::err);
        if held() < Some(judged.serial) {
            let why = refused.map(|error| format!(" ({error})")).unwrap_or_default();
            let found = held().map_or_else(|| "none".to_owned(), |serial| serial.to_string());
            anyhow::bail!(
                "records of this log were judged by policy bundle {}, the policies of this node are of bundle {found}, and serials \
                 never fall; raise policies.serial above it, or list its signer under facts.sources.policy{why}",
                judged.serial
            );
        }
        tracing::info!(serial = judged.serial, "the policy bundle that judged the last records is in force again");
    }
    Ok(())
}

/// The serial of the bundle that is held for a project, or for all.
fn serial(table: &FactTable, project: Option<&ProjectName>) -> Option<u64> {
    match table.facts().set().at(FactKind::Policy, project).map(|held| &held.body) {
        Some(FactBody::Policy(policies)) => Some(policies.serial()),
        _ => None,
    }
}

/// Keeps every bundle that comes into force, for ever; run it in a task and abort that to stop.
pub async fn keep(settings: Settings, table: Arc<FactTable>, node: PublicKey) {
    let path = kept_in(&settings);
    let mut changes = table.changes();
    let mut kept: Option<Vec<Fact>> = None;
    let mut seen = BTreeSet::new();
    loop {
        warn_of_lockouts(&table, &mut seen);
        let found = in_force(&table, node);
        if kept.as_ref() != Some(&found) && (kept.is_some() || !found.is_empty()) {
            let (to, facts) = (path.clone(), found.clone());
            let written = tokio::task::spawn_blocking(move || write(&to, &facts)).await;
            match written {
                Ok(Ok(())) => kept = Some(found),
                Ok(Err(error)) => tracing::error!(path = %path.display(), %error, "policy bundles cannot be kept"),
                Err(_) => return,
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Warns once of each bundle that keeps operators from stopping projects or revoking keys. It is applied nevertheless:
/// the signer may intend it.
fn warn_of_lockouts(table: &FactTable, seen: &mut BTreeSet<Hash>) {
    let facts = table.facts();
    let mut in_force = BTreeSet::new();
    for known in facts.set().iter() {
        let FactBody::Policy(policies) = &known.body else { continue };
        in_force.insert(known.hash);
        if seen.contains(&known.hash) {
            continue;
        }
        let project = known.fact.claim.project.clone().unwrap_or_else(default_project);
        for lockout in policies.kept_from_safety(&project) {
            tracing::warn!(
                serial = policies.serial(),
                lockout,
                "a policy bundle locks out operators who stop projects"
            );
        }
    }
    *seen = in_force;
}

/// Bundles in force that another key signed.
fn in_force(table: &FactTable, node: PublicKey) -> Vec<Fact> {
    let facts = table.facts();
    let policies = facts.set().iter().filter(|known| matches!(known.body, FactBody::Policy(_)));
    let of_others = policies.filter(|known| known.fact.claim.source != node);
    of_others.map(|known| known.fact.clone()).collect()
}

fn write(path: &Path, facts: &[Fact]) -> std::io::Result<()> {
    files::replace(path, &serde_json::to_vec_pretty(facts)?, files::PRIVATE)
}
