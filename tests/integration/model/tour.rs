//! A fixed tour through the chart, so that every transition is accepted by both sides however the random
//! streams fall.

use serde_json::json;
use swoosh::types::fact::FactKind;
use swoosh::types::names::{Region, Transition};

use super::{Pair, Tally, stream};
use crate::support::hands::VOTERS;
use crate::support::outside::{self, LONG_MS, Said};
use crate::support::route::Goal;
use crate::support::world::{Ask, World};

/// Each leg begins with a project that nothing has happened to. A word is a transition that must be accepted,
/// `region=STATE` to walk there, or a change outside (see [`change`]).
const LEGS: &[&str] = &[
    "Boot_ConfigOk Boot_IdentityGranted Boot_IdentityRevoked Boot_Licensed
     Ingestion_ResolveFailed Ingestion_SourcesResolved Ingestion_FetchFailed Ingestion_BytesOk
     Ingestion_ValidateFailed Ingestion_PolicyViolation Policy_Release Ingestion_SchemaOk
     Ingestion_IndexFailed Ingestion_CorpusBuilt Ingestion_NewVersion Ingestion_RollbackIndex
     Ingestion_NewVersion Ingestion_ResolveFailed Ingestion_ResolveFailed Ingestion_ResolveFailed Ingestion_Retry
     ingestion=VALIDATE Ingestion_PolicyViolation newer-bundle Policy_Updated Control_Terminate",
    "Boot_ConfigOk Boot_IdentityRotated Boot_Licensed
     Council_ProfilesLoaded Council_QuorumCert Council_McpRed Council_McpGreen Council_Eject
     council=READY Council_ReElect council=READY Council_Replan council=READY ingestion=READY
     Environment_CapacityDenied Environment_CapacityOk Environment_ProvisionFailed Environment_Installed
     Environment_HealthFailed Environment_Amber Environment_Recheck Environment_Green
     Environment_Deprovision Environment_ReleaseFailed Environment_Released
     Policy_Quarantine Policy_ConfirmedBlock",
    "execution=INACTIVE ingestion=READY council=READY environment=READY Execution_AllReady
     Council_ReElect council=READY Ingestion_NewVersion ingestion=READY Council_Reaffirm Environment_Reaffirm
     Execution_PlanChange Execution_PlanLocked Execution_BeatReviewGate Execution_Rework Execution_BeatReviewGate
     Execution_Approve Execution_Approve Execution_ApprovalsThreshold
     Execution_Submit breach Policy_Quarantine newer-bundle Policy_Updated
     next-cycle Execution_NextWindow",
    "execution=WORK Control_Pause Control_Resume silent Control_QuorumLost answering Control_Recovered
     license-short License_GraceEntered grace-over License_Expired license-long License_Renewed",
];

#[test]
fn every_transition_is_accepted_by_both_on_a_fixed_tour() {
    let tally = Tally::default();
    for leg in LEGS {
        let mut pair = Pair::new();
        leg.split_whitespace().for_each(|word| step(&mut pair, word, &tally));
    }
    let tally = tally.into_inner();
    let never: Vec<_> = Transition::ALL.iter().filter(|t| !tally.contains_key(t.as_str())).collect();
    // This chart is the first: nothing can be upgraded to it.
    assert_eq!(never, [&Transition::BootChartUpgraded], "{tally:#?}");
}

fn step(pair: &mut Pair, word: &str, tally: &Tally) {
    if let Some((region, state)) = word.split_once('=') {
        return stream::walk(pair, Goal::new(region.parse::<Region>().unwrap(), state), tally);
    }
    let Ok(transition) = word.parse::<Transition>() else { return change(pair, word, tally) };
    let mut ask = Ask::new(transition);
    if transition == Transition::PolicyQuarantine
        && let Some(breach) = &pair.world.breach
    {
        ask = ask.by("node").with(json!({"rationale": "as the policy says", "breach": breach}));
    }
    let proposal = pair.world.proposal(&ask);
    let judged = pair.world.judge(&proposal).map_err(|refused| refused.rejection.reasons);
    assert!(pair.put(proposal, tally).unwrap(), "{word} is refused: {:?}", judged.err());
}

/// A change outside of the project.
fn change(pair: &mut Pair, word: &str, tally: &Tally) {
    let world = &mut pair.world;
    match word {
        "next-cycle" => world.now_ms += 60_000,
        "grace-over" => world.now_ms += 3_600_000,
        "newer-bundle" => {
            let policies = outside::POLICIES.replace("@id(\"secrets\")", "@id(\"others\")").replace("*.pem", "*.none");
            say(world, FactKind::Policy, json!({"serial": world.bundle().0 + 1, "policies": policies}), LONG_MS);
        }
        "silent" | "answering" => {
            let silent = if word == "silent" { VOTERS.as_slice() } else { &[] };
            let body = outside::liveness(&world.hands, silent, world.now_ms - 60_000);
            say(world, FactKind::Liveness, body, LONG_MS);
        }
        "license-short" | "license-long" => {
            let lasts_ms = if word == "license-short" { 1_000 } else { LONG_MS };
            say(world, FactKind::License, json!({"id": "license-2", "scopes": ["swoosh"]}), lasts_ms);
            world.now_ms += 2_000;
        }
        "breach" => {
            let mut ask = Ask::new(Transition::ExecutionSubmit);
            let mut inputs = world.valid(ask.transition);
            inputs["submission"] = json!("ucxl://agent:dev@default/out/key.pem");
            ask.inputs = Some(inputs);
            let proposal = world.proposal(&ask);
            assert!(!pair.put(proposal, tally).unwrap() && pair.world.breach.is_some());
        }
        _ => panic!("there is no step {word}"),
    }
}

fn say(world: &mut World, kind: FactKind, body: serde_json::Value, lasts_ms: u64) {
    let observed_ms = world.now_ms;
    world.outside.say_for(kind, Said { body, observed_ms, lasts_ms });
}
