//! Output of scripts: outcomes of proposals, regions, explanations.

use std::fmt::Display;

use serde_json::{Value, json};
use swoosh::machine::judge;
use swoosh::machine::reduce::Delta;
use swoosh::machine::state::State;
use swoosh::types::ids::EffectId;
use swoosh::types::names::{GuardName, Region, Transition};

use crate::support::world::{Ask, World};

/// Guards that every transition carries and that say the same every time.
const USUAL: [GuardName; 6] = [
    GuardName::Signature,
    GuardName::Identity,
    GuardName::Head,
    GuardName::Clock,
    GuardName::Policy,
    GuardName::License,
];

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "-".into() } else { items.join(" ") }
}

fn effects(ids: &[EffectId]) -> String {
    list(ids.iter().map(|id| format!("{}@{}", id.effect, id.index)))
}

/// Proposes, and reports the outcome.
pub(super) fn proposed(world: &mut World, ask: &Ask) -> Vec<String> {
    let before = world.head.clone();
    match world.propose(ask) {
        Ok(accepted) => {
            let mut out = vec![format!("accepted #{}", world.records.len())];
            out.extend(changes(before.state(), accepted.next.state()));
            let own = accepted.outcomes.iter().filter(|outcome| !USUAL.contains(&outcome.guard));
            out.extend(own.map(|outcome| format!("{}: {}", outcome.guard, outcome.reasons.join("; "))));
            out
        }
        Err(refused) => {
            assert_eq!(world.head, before);
            let mut out = vec![format!("rejected {}", refused.rejection.code)];
            out.extend(refused.rejection.reasons.iter().cloned());
            out.extend(refused.breach.map(|breach| format!("breach by {}: {}", breach.signer, list(breach.reasons))));
            out
        }
    }
}

/// Regions that moved, epochs that advanced, effects that opened and closed.
fn changes(old: &State, new: &State) -> Vec<String> {
    let mut out = Vec::new();
    for &region in Region::ALL {
        let (was, is) = (old.region_state(region), new.region_state(region));
        if was != is {
            out.push(format!("{region}: {was} -> {is}"));
        }
    }
    if flags(old) != flags(new) {
        out.push(format!("flags: {} -> {}", flags(old), flags(new)));
    }
    let stepped = Region::ALL.iter().filter(|region| new.epoch.of(**region) != old.epoch.of(**region));
    let epochs = list(stepped.map(|region| format!("{region} {}", new.epoch.of(*region))));
    let delta = Delta::between(old, new);
    out.push(format!("epoch {epochs}, closed {}, opened {}", effects(&delta.closed), effects(&delta.opened)));
    out
}

fn flags(state: &State) -> String {
    let control = &state.control;
    let mut flags = vec![format!("license {}", control.license)];
    if control.paused {
        flags.push("paused".into());
    }
    if control.recovery {
        flags.push("recovery".into());
    }
    flags.join(", ")
}

/// `show` or `show REGION`.
pub(super) fn show(world: &World, rest: &str) -> Vec<String> {
    let state = world.head.state();
    if let Ok(region) = rest.parse::<Region>() {
        return vec![region_line(world, state, region)];
    }
    let regions = list(Region::ALL.iter().map(|region| format!("{region}={}", state.region_state(*region))));
    let open = effects(&state.open_effects().map(|open| open.id.clone()).collect::<Vec<_>>());
    vec![regions, format!("{}; open {open}", flags(state))]
}

fn region_line(world: &World, state: &State, region: Region) -> String {
    let open = effects(&state.effects(region).values().map(|open| open.id.clone()).collect::<Vec<_>>());
    let at = state.region_state(region);
    let version = |version: Option<u64>| version.map_or("-".to_owned(), |version| version.to_string());
    match region {
        Region::Boot => {
            let shown = state.boot.identities.iter().map(|(key, identity)| {
                format!("{key}:{}{}", list(&identity.roles), if identity.revoked { "(revoked)" } else { "" })
            });
            format!("{at}, identities {}", list(shown))
        }
        Region::Ingestion => {
            let it = &state.ingestion;
            let content = if it.content_hash.is_some() { "there" } else { "-" };
            let kept = list(it.ready_versions.keys());
            let tries = format!("{}/{}", it.tries, it.retry_limit);
            format!(
                "{at}, version {} of {}, content {content}, kept {kept}, tries {tries}, open {open}",
                it.version, it.highest_version
            )
        }
        Region::Council => {
            let it = &state.council;
            let members = list(it.members.iter().map(|(key, role)| format!("{key}={role}")));
            let (version, candidates) =
                (version(it.version), list(world.hands.names(&it.candidates.keys().copied().collect())));
            format!(
                "{at}, version {version}, members {members}, candidates {candidates}, unreachable {}, open {open}",
                list(it.unreachable.keys())
            )
        }
        Region::Environment => {
            let it = &state.environment;
            let manifest = if it.assets_hash.is_some() { "there" } else { "-" };
            let (version, tries) = (version(it.version), format!("{}/{}", it.tries, it.retry_limit));
            let allocation = list(it.allocation.iter().map(|(name, amount)| format!("{name}={amount}")));
            format!(
                "{at}, version {version}, assets {}, manifest {manifest}, allocation {allocation}, tries {tries}, open {open}",
                list(it.assets.keys())
            )
        }
        Region::Execution => {
            let it = &state.execution;
            let approvals = format!("{} of {}", it.approvals.len(), it.approval_threshold);
            let window = it.window.map_or("-".to_owned(), |window| window.to_string());
            let pin = version(it.pin.as_ref().map(|pin| pin.version));
            let loop_ = format!("beat {}, round {}, approvals {approvals}", it.beat, it.rework_round);
            format!("{at}, pinned to {pin}, {loop_}, submissions {}, window {window}", it.submissions.len())
        }
        Region::Control => format!("{at}, {}", flags(state)),
        Region::Policy => {
            let origin = state.policy.origin.map_or("-".to_owned(), |origin| format!("{origin:?}").to_lowercase());
            let breach = state.policy.breach.as_ref().map_or("-".to_owned(), |breach| breach.transition.to_string());
            format!("{at}, origin {origin}, breach {breach}")
        }
    }
}

/// `why T`: whether it is enabled, and what its guards would say.
pub(super) fn why(world: &World, transition: Transition) -> Vec<String> {
    let all = judge::explain(&world.cluster, &world.head, world.outside.facts(), world.next_stamp().at);
    let one = all.into_iter().find(|one| one.spec.transition == transition).unwrap();
    let mut out = vec![match one.disabled {
        None => "enabled".to_owned(),
        Some(rejection) => format!("{}: {}", rejection.code, rejection.reasons.join("; ")),
    }];
    let own = one.guards.into_iter().filter(|(name, _)| *name != GuardName::Policy);
    out.extend(own.map(|(name, judged)| {
        let ok = judged.ok.map_or("open", |ok| if ok { "passes" } else { "fails" });
        format!("{name} {ok}: {}", judged.reasons.join("; "))
    }));
    out
}

/// The node's proposal after a breach: Policy_Quarantine with the policy's reasons.
pub(super) fn with_breach(world: &World, transition: Transition) -> Value {
    assert_eq!(transition, Transition::PolicyQuarantine);
    let breach = world.breach.as_ref().expect("a proposal breached a policy before");
    json!({"rationale": list(&breach.reasons), "breach": breach})
}
