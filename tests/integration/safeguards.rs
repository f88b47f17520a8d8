//! Transitions that stop a project and that no policy, clock or block may prevent, and transitions that only their proper
//! signer may propose.

use serde_json::{Value, json};
use swoosh::machine::state::QuarantineOrigin;
use swoosh::types::fact::FactKind;
use swoosh::types::hlc::Hlc;
use swoosh::types::names::{EffectName, EnvironmentState, IngestionState, PolicyState, Region, Transition};
use swoosh::types::ucxl::EvidenceRef;

use crate::support::older;
use crate::support::outside::{LONG_MS, POLICIES, Said};
use crate::support::route::Goal;
use crate::support::world::{Ask, World};

fn world(region: Region, state: &str) -> World {
    let mut world = World::new();
    world.drive(Goal::new(region, state));
    world
}

#[track_caller]
fn accept(world: &mut World, ask: &Ask) {
    if let Err(refused) = world.propose(ask) {
        panic!("{} is refused: {:?}", ask.transition, refused.rejection);
    }
}

/// The code that a proposal is refused with.
#[track_caller]
fn refused(world: &mut World, ask: &Ask) -> String {
    match world.propose(ask) {
        Ok(_) => panic!("{} is accepted", ask.transition),
        Err(refused) => refused.rejection.code.to_string(),
    }
}

fn bundle(world: &mut World, serial: u64, added: &str) {
    world.outside.say(FactKind::Policy, json!({"serial": serial, "policies": format!("{POLICIES}{added}")}));
}

/// The facts of the settings, changed.
fn settings(world: &mut World, change: impl FnOnce(&mut Value)) {
    let mut body = world.outside.said(FactKind::Settings).unwrap().body.clone();
    change(&mut body);
    world.outside.say(FactKind::Settings, body);
}

const FREEZE: &str = r#"@id("freeze") @breach("a freeze") forbid (principal, action, resource);"#;

/// A freeze that calls everything a breach also forbade the quarantine that follows, so the project stayed CLEAR.
#[test]
fn no_policy_keeps_the_node_from_recording_a_quarantine_or_a_license() {
    let mut world = world(Region::Execution, "PLAN");
    bundle(&mut world, 2, FREEZE);
    assert_eq!(refused(&mut world, &Ask::new(Transition::ExecutionPlanLocked)), "policy_breach");
    let breach = json!({"rationale": "a freeze", "breach": world.breach});
    accept(&mut world, &Ask::new(Transition::PolicyQuarantine).by("node").with(breach));
    world.outside.forget(FactKind::License);
    accept(&mut world, &Ask::new(Transition::LicenseExpired).by("node"));
    assert_eq!(refused(&mut world, &Ask::new(Transition::ControlPause)), "policy_breach");
}

/// A bundle ran out, or a newer one came, between a breach and its quarantine.
#[test]
fn a_breach_is_recorded_under_a_later_bundle_and_under_one_that_ran_out() {
    let mut world = world(Region::Execution, "PLAN");
    bundle(&mut world, 2, FREEZE);
    assert_eq!(refused(&mut world, &Ask::new(Transition::ExecutionPlanLocked)), "policy_breach");
    let ask = Ask::new(Transition::PolicyQuarantine).by("node").with(json!({"rationale": "x", "breach": world.breach}));
    bundle(&mut world, 1, "");
    assert_eq!(refused(&mut world, &ask), "guard_bundle");
    let body = json!({"serial": 3, "policies": POLICIES});
    let observed_ms = world.now_ms - 10;
    world.outside.say_for(FactKind::Policy, Said { body, observed_ms, lasts_ms: 1 });
    accept(&mut world, &ask);
    assert_eq!(world.head.state().policy.struck_serial, Some(2));
}

/// On the day after a signed bundle ended nothing passed on the whole node, not even a pause.
#[test]
fn a_bundle_that_ran_out_still_lets_operators_stop_a_project_and_revoke_keys() {
    let mut world = world(Region::Execution, "PLAN");
    let body = json!({"serial": 1, "policies": POLICIES});
    let observed_ms = world.now_ms - 10;
    world.outside.say_for(FactKind::Policy, Said { body, observed_ms, lasts_ms: 1 });
    assert_eq!(refused(&mut world, &Ask::new(Transition::ExecutionPlanLocked)), "guard_policy");
    accept(&mut world, &Ask::new(Transition::ControlPause));
    assert_eq!(refused(&mut world, &Ask::new(Transition::ControlResume)), "guard_policy");
    accept(&mut world, &Ask::new(Transition::BootIdentityRevoked));
    accept(&mut world, &Ask::new(Transition::PolicyQuarantine).by("human"));
    accept(&mut world, &Ask::new(Transition::ControlTerminate));
}

/// A caller took the last reading that the node's clock allows, and the node's quarantine was refused as ahead.
#[test]
fn a_caller_at_the_bound_of_the_clock_locks_out_neither_the_node_nor_other_callers() {
    let mut world = world(Region::Execution, "PLAN");
    let most = world.now_ms + 5_000;
    accept(&mut world, &Ask { hlc: Hlc::new(most, u16::MAX), ..Ask::new(Transition::ControlPause) });
    accept(&mut world, &Ask { hlc: Hlc::new(most + 1, 0), ..Ask::new(Transition::ControlResume) });
    let further = Ask { hlc: Hlc::new(most + 1, 2), ..Ask::new(Transition::ControlPause) };
    assert_eq!(refused(&mut world, &further), "hlc_ahead");
    world.outside.forget(FactKind::License);
    let own = Ask { hlc: Hlc::new(most + 1, 9), ..Ask::new(Transition::LicenseExpired).by("node") };
    accept(&mut world, &own);
}

/// A lower bound for clocks locked every caller out of a project whose last reading lay above it.
#[test]
fn a_bound_of_the_clock_that_was_lowered_lets_the_next_reading_pass() {
    let mut world = world(Region::Execution, "PLAN");
    settings(&mut world, |settings| settings["max_ahead_ms"] = json!(3_600_000));
    let last = Hlc::new(world.now_ms + 3_600_000, 7).unwrap();
    accept(&mut world, &Ask { hlc: Some(last), ..Ask::new(Transition::ControlPause) });
    settings(&mut world, |settings| settings["max_ahead_ms"] = json!(1_000));
    let early = Ask { hlc: Hlc::new(last.physical_ms(), 9), ..Ask::new(Transition::ControlResume) };
    assert_eq!(refused(&mut world, &early), "hlc_ahead");
    accept(&mut world, &Ask { hlc: last.successor().ok(), ..Ask::new(Transition::ControlResume) });
}

/// A thief of an operator's or a human's key quarantined the project first, and could not be revoked from there on.
#[test]
fn a_stolen_key_is_revoked_whatever_blocks_the_project() {
    let mut world = world(Region::Execution, "PLAN");
    accept(&mut world, &Ask::new(Transition::PolicyQuarantine));
    accept(&mut world, &Ask::new(Transition::BootIdentityRotated));
    let fresh = json!({"key": world.hands.get("fresh").key(), "rationale": "stolen as well"});
    accept(&mut world, &Ask::new(Transition::BootIdentityRevoked).with(fresh));
    assert_eq!(refused(&mut world, &Ask::new(Transition::BootIdentityGranted)), "blocked");
    world.outside.forget(FactKind::License);
    accept(&mut world, &Ask::new(Transition::LicenseExpired).by("node"));
    accept(&mut world, &Ask::new(Transition::ControlPause));
    let human = json!({"key": world.hands.get("human").key(), "rationale": "stolen"});
    accept(&mut world, &Ask::new(Transition::BootIdentityRevoked).with(human));
}

/// Any worker answered the effects that the node runs itself: a forged SchemaOk went past the scan of the content.
#[test]
fn a_worker_s_outcome_counts_for_external_effects_alone() {
    let mut world = world(Region::Ingestion, "VALIDATE");
    settings(&mut world, |settings| settings["external"] = json!(["index"]));
    let forged = Ask::new(Transition::IngestionSchemaOk).by("worker");
    assert_eq!(refused(&mut world, &forged), "guard_effect");
    accept(&mut world, &Ask::new(Transition::IngestionSchemaOk).by("node"));
    accept(&mut world, &Ask::new(Transition::IngestionCorpusBuilt).by("worker"));
}

/// While WHOOSH decides, its delegates bring the outcomes of its workers.
#[test]
fn a_delegate_of_the_settings_brings_outcomes_of_any_effect() {
    let mut world = world(Region::Ingestion, "VALIDATE");
    let key = world.hands.get("fresh").key().to_string();
    let delegate = json!({"name": "ci", "roles": ["worker"], "delegate": {"op_classes": ["ingestion"]}});
    settings(&mut world, |settings| {
        settings["external"] = json!([]);
        settings["identities"][key] = delegate;
    });
    accept(&mut world, &Ask::new(Transition::IngestionSchemaOk).by("fresh"));
}

/// An operator made up a breach of harmless inputs, and lifted it at the next bundle instead of a human.
#[test]
fn the_node_alone_names_a_breach() {
    let mut world = world(Region::Execution, "REVERB");
    let mut secret = world.valid(Transition::ExecutionSubmit);
    secret["submission"] = json!("ucxl://agent:dev@default/out/key.pem");
    assert_eq!(refused(&mut world, &Ask::new(Transition::ExecutionSubmit).with(secret)), "policy_breach");
    let named = json!({"rationale": "as the policy says", "breach": world.breach});
    for who in ["operator", "human"] {
        let ask = Ask::new(Transition::PolicyQuarantine).by(who).with(named.clone());
        assert_eq!(refused(&mut world, &ask), "guard_bundle");
    }
    accept(&mut world, &Ask::new(Transition::PolicyQuarantine).by("node").with(named));
}

/// A rollback left VALIDATE, so a newer bundle lifted the quarantine of content that nothing judged again.
#[test]
fn content_that_left_validate_is_released_by_a_human() {
    let mut world = world(Region::Ingestion, "READY");
    accept(&mut world, &Ask::new(Transition::IngestionNewVersion));
    world.drive(Goal::new(Region::Ingestion, "VALIDATE"));
    accept(&mut world, &Ask::new(Transition::IngestionPolicyViolation));
    bundle(&mut world, 2, "");
    accept(&mut world, &Ask::new(Transition::IngestionRollbackIndex));
    assert_eq!(refused(&mut world, &Ask::new(Transition::PolicyUpdated)), "guard_breach");
    accept(&mut world, &Ask::new(Transition::PolicyRelease));
}

/// While a policy's quarantine held, a human's was refused, and the next bundle lifted what the human wanted to hold.
#[test]
fn a_quarantine_that_is_declared_holds_until_a_human_releases_it() {
    let mut world = world(Region::Ingestion, "VALIDATE");
    accept(&mut world, &Ask::new(Transition::IngestionPolicyViolation));
    accept(&mut world, &Ask::new(Transition::PolicyQuarantine).by("human"));
    assert_eq!(world.head.state().policy.origin, Some(QuarantineOrigin::Declared));
    assert_eq!(refused(&mut world, &Ask::new(Transition::PolicyQuarantine)), "not_enabled");
    bundle(&mut world, 2, "");
    assert_eq!(refused(&mut world, &Ask::new(Transition::PolicyUpdated)), "guard_breach");
    accept(&mut world, &Ask::new(Transition::PolicyRelease));
    let state = world.head.state();
    assert_eq!((state.policy.phase, state.ingestion.phase), (PolicyState::Clear, IngestionState::Validate));
    assert!(state.ingestion.effects.contains_key(&EffectName::Validate), "the content is validated again");
}

/// Provisioning that always failed was begun again for ever, and each run could cost money.
#[test]
fn provisioning_rests_after_its_retries_until_an_operator_begins_it_again() {
    let mut world = world(Region::Environment, "PROVISION");
    let partial = json!({"image/base": crate::support::inputs::hash("partial")});
    for n in 0..3 {
        let mut inputs = world.valid(Transition::EnvironmentProvisionFailed);
        if n == 0 {
            inputs["assets"] = partial.clone();
        }
        accept(&mut world, &Ask::new(Transition::EnvironmentProvisionFailed).with(inputs));
    }
    assert_eq!(refused(&mut world, &Ask::new(Transition::EnvironmentDeprovision)), "not_enabled");
    accept(&mut world, &Ask::new(Transition::EnvironmentReleased));
    let environment = &world.head.state().environment;
    assert!(environment.rests() && environment.effects.is_empty() && environment.last_failure.is_some());
    accept(&mut world, &Ask::new(Transition::EnvironmentDeprovision));
    world.drive(Goal::new(Region::Environment, "READY"));
    assert_eq!(world.head.state().environment.phase, EnvironmentState::Ready);
}

/// A direct caller said that WHOOSH had decided, and WHOOSH never heard of its pause.
#[test]
fn evidence_that_names_a_caller_of_whoosh_comes_from_a_delegate() {
    let mut world = world(Region::Ingestion, "READY");
    for task in ["mirrored", "decided"] {
        let evidence = vec![format!("ucxl://ci:whoosh@default:{task}/*").parse().unwrap()];
        let ask = Ask { evidence, ..Ask::new(Transition::ControlPause) };
        assert_eq!(refused(&mut world, &ask), "role_not_allowed");
    }
    let other = vec!["ucxl://ci:whoosh@default:build/*".parse().unwrap()];
    accept(&mut world, &Ask { evidence: other, ..Ask::new(Transition::ControlPause) });
}

/// Each step of the loop overwrote the evidence of the one before.
#[test]
fn the_evidence_of_a_beat_stays_until_the_next_beat_up_to_its_bound() {
    let mut world = world(Region::Execution, "PLAN");
    let named = |from: usize, to: usize| -> Vec<EvidenceRef> {
        (from..to).map(|n| format!("ucxl://chorus:spec@council/{n}/*").parse().unwrap()).collect()
    };
    let say = |world: &mut World, transition, evidence| accept(world, &Ask { evidence, ..Ask::new(transition) });
    say(&mut world, Transition::ExecutionPlanLocked, named(0, 2));
    say(&mut world, Transition::ExecutionBeatReviewGate, named(1, 4));
    assert_eq!(world.head.state().execution.evidence, named(0, 4));
    world.drive(Goal::new(Region::Execution, "REVERB"));
    for first in [10, 40, 70] {
        say(&mut world, Transition::ExecutionSubmit, named(first, first + 30));
    }
    assert_eq!(world.head.state().execution.evidence, named(36, 100), "the 64 newest");
    world.now_ms += 600_000;
    say(&mut world, Transition::ExecutionNextWindow, named(200, 201));
    assert_eq!(world.head.state().execution.evidence, named(200, 201), "a beat of its own");
}

/// Records of before the barrier were judged by the rules of version 1, and are judged by them again.
#[test]
fn under_version_1_the_old_rules_stay() {
    let mut world = World::new();
    world.head = older::genesis(&world.head.state().meta.project.clone(), 1);
    world.drive(Goal::new(Region::Execution, "PLAN"));
    accept(&mut world, &Ask::new(Transition::CouncilReaffirm));
    accept(&mut world, &Ask::new(Transition::EnvironmentReaffirm));
    settings(&mut world, |settings| settings["external"] = json!([]));
    accept(&mut world, &Ask::new(Transition::IngestionNewVersion));
    accept(&mut world, &Ask::new(Transition::IngestionSourcesResolved).by("worker"));
    accept(&mut world, &Ask::new(Transition::PolicyQuarantine));
    assert_eq!(refused(&mut world, &Ask::new(Transition::PolicyQuarantine)), "not_enabled");
    accept(&mut world, &Ask::new(Transition::PolicyRelease));
    let body = json!({"serial": 1, "policies": POLICIES});
    let observed_ms = world.now_ms - 10;
    world.outside.say_for(FactKind::Policy, Said { body: body.clone(), observed_ms, lasts_ms: 1 });
    assert_eq!(refused(&mut world, &Ask::new(Transition::ControlPause)), "guard_policy");
    world.outside.say_for(FactKind::Policy, Said { body, observed_ms: world.now_ms, lasts_ms: LONG_MS });
    accept(&mut world, &Ask::new(Transition::EnvironmentDeprovision));
    world.drive(Goal::new(Region::Environment, "PROVISION"));
    for _ in 0..3 {
        accept(&mut world, &Ask::new(Transition::EnvironmentProvisionFailed));
    }
    assert!(world.head.state().environment.effects.contains_key(&EffectName::Allocate));
}
