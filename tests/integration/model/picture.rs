//! The state that both sides must agree on, in one form.

use std::collections::BTreeMap;

use swoosh::machine::state::{Approval, State};
use swoosh::types::keys::PublicKey;
use swoosh::types::names::Region;

use super::naive::Model;

/// Names and what they are.
pub type Picture = BTreeMap<String, String>;

fn list<T: ToString>(items: impl Iterator<Item = T>) -> String {
    let mut items: Vec<String> = items.map(|item| item.to_string()).collect();
    items.sort();
    items.join(" ")
}

fn option<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

pub fn of_machine(state: &State) -> Picture {
    let mut picture = Picture::new();
    let mut put = |name: &str, value: String| drop(picture.insert(name.to_owned(), value));
    for &region in Region::ALL {
        put(region.as_str(), format!("{} epoch {}", state.region_state(region), state.epoch.of(region)));
    }
    put("effects", list(state.open_effects().map(|open| format!("{}@{}", open.id.effect, open.id.index))));
    let identity =
        |(key, it): (_, &swoosh::machine::state::Identity)| format!("{key}={}:{}", list(it.roles.iter()), it.revoked);
    put("identities", list(state.boot.identities.iter().map(identity)));
    let ingestion = &state.ingestion;
    put("version", format!("{} of {}", ingestion.version, ingestion.highest_version));
    put("kept", list(ingestion.ready_versions.iter().map(|(version, it)| format!("{version}={}", it.content_hash))));
    put("content", option(ingestion.content_hash));
    put("ingestion tries", format!("{} of {}", ingestion.tries, ingestion.retry_limit));
    put("sources", list(ingestion.sources.iter().map(|(name, it)| format!("{name}={}#{}", it.url, it.reference))));
    let council = &state.council;
    put("candidates", list(council.candidates.keys()));
    put("members", list(council.members.iter().map(|(key, role)| format!("{key}={role}"))));
    put("member set", option(council.member_set_hash));
    put("council version", option(council.version));
    put("roles", list(council.roles.iter().map(|(name, role)| format!("{name}={}", role.seats))));
    let environment = &state.environment;
    put("allocation", list(environment.allocation.iter().map(|(name, amount)| format!("{name}={amount}"))));
    put("assets", list(environment.assets.iter().map(|(name, hash)| format!("{name}={hash}"))));
    put("assets hash", option(environment.assets_hash));
    put("environment tries", environment.tries.to_string());
    put("environment version", option(environment.version));
    let execution = &state.execution;
    let pin = |it: &swoosh::machine::state::Pin| {
        format!("{} {} {} {}", it.version, it.content_hash, it.member_set_hash, it.assets_hash)
    };
    put("pin", option(execution.pin.as_ref().map(pin)));
    put("plan", option(execution.plan_hash));
    put("beat", format!("{} round {} window {}", execution.beat, execution.rework_round, option(execution.window)));
    let approval =
        |(member, approval): (&PublicKey, &Approval)| format!("{member} by {}", approval.signer.unwrap_or(*member));
    put("approvals", format!("{} of {}", list(execution.approvals.iter().map(approval)), execution.approval_threshold));
    put("submissions", execution.submissions.len().to_string());
    put("evidence", execution.evidence.iter().map(|it| format!("{it} ")).collect());
    let control = &state.control;
    put("flags", format!("paused {} recovery {} license {}", control.paused, control.recovery, control.license));
    put("origin", option(state.policy.origin.map(|origin| format!("{origin:?}").to_lowercase())));
    put("breach", option(state.policy.breach.as_ref().map(|breach| breach.inputs_hash)));
    put("struck under", option(state.policy.struck_serial));
    picture
}

pub fn of_model(model: &Model) -> Picture {
    let mut picture = Picture::new();
    let mut put = |name: &str, value: String| drop(picture.insert(name.to_owned(), value));
    for (region, state) in &model.regions {
        put(region, format!("{state} epoch {}", model.epochs[region]));
    }
    put("effects", list(model.effects.iter().map(|(effect, index)| format!("{effect}@{index}"))));
    let identities = model.identities.iter();
    put(
        "identities",
        list(identities.map(|(key, (roles, revoked))| format!("{key}={}:{revoked}", list(roles.iter())))),
    );
    put("version", format!("{} of {}", model.version, model.highest));
    put("kept", list(model.kept.iter().map(|(version, (content, _))| format!("{version}={content}"))));
    put("content", option(model.content.as_ref()));
    put("ingestion tries", format!("{} of {}", model.ingestion_tries, model.limit));
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let sources = model.sources.as_object().into_iter().flatten();
    put("sources", list(sources.map(|(name, it)| format!("{name}={}#{}", text(&it["url"]), text(&it["ref"])))));
    put("candidates", list(model.candidates.iter()));
    put("members", list(model.members.iter().map(|(key, role)| format!("{key}={role}"))));
    put("member set", option(model.member_hash.as_ref()));
    put("council version", option(model.council_version));
    put(
        "roles",
        list(model.roles.as_object().into_iter().flatten().map(|(name, role)| format!("{name}={}", role["seats"]))),
    );
    put("allocation", list(model.allocation.iter().map(|(name, amount)| format!("{name}={amount}"))));
    put("assets", list(model.assets.iter().map(|(name, hash)| format!("{name}={hash}"))));
    put("assets hash", option(model.assets_hash.as_ref()));
    put("environment tries", model.environment_tries.to_string());
    put("environment version", option(model.environment_version));
    put(
        "pin",
        option(
            model
                .pin
                .as_ref()
                .map(|(version, content, members, assets)| format!("{version} {content} {members} {assets}")),
        ),
    );
    put("plan", option(model.plan.as_ref()));
    put("beat", format!("{} round {} window {}", model.beat, model.round, option(model.window)));
    let approvals = model.approvals.iter().map(|(member, signer)| format!("{member} by {signer}"));
    put("approvals", format!("{} of {}", list(approvals), model.threshold));
    put("submissions", model.submissions.to_string());
    put("evidence", model.evidence.iter().map(|it| format!("{it} ")).collect());
    put("flags", format!("paused {} recovery {} license {}", model.paused, model.recovery, model.license));
    put("origin", option(model.origin));
    put("breach", option(model.breach.as_ref().map(|breach| text(&breach["inputs_hash"]))));
    put("struck under", option(model.struck));
    picture
}
