//! Authority: only keys that may vote give votes, seats and approvals; an operator always remains; a project cannot lock
//! its platform out.

use serde_json::{Value, json};
use swoosh::machine::judge::Refused;
use swoosh::types::fact::FactKind;
use swoosh::types::inputs::Members;
use swoosh::types::keys::PublicKey;
use swoosh::types::names::{Region, Role, Transition};

use crate::support::inputs;
use crate::support::outside::{self, LONG_MS, Said};
use crate::support::route::Goal;
use crate::support::world::{Ask, World};

/// A world where a region is in a state.
fn world(region: Region, state: &str) -> World {
    let mut world = World::new();
    world.drive(Goal::new(region, state));
    world
}

#[track_caller]
fn accept(world: &mut World, ask: &Ask) {
    world.propose(ask).unwrap();
}

/// The code and the reasons of a refusal.
#[track_caller]
fn refusal(world: &mut World, ask: &Ask) -> (String, String) {
    let Refused { rejection, .. } = world.propose(ask).expect_err("it is accepted");
    (rejection.code.to_string(), rejection.reasons.join("\n"))
}

fn key(world: &World, name: &str) -> PublicKey {
    world.hands.get(name).key()
}

fn grant(world: &World, name: &str, roles: &[&str]) -> Ask {
    let identity = json!({"name": name, "roles": roles});
    Ask::new(Transition::BootIdentityGranted).with(json!({"key": key(world, name), "identity": identity}))
}

fn revoke(world: &World, name: &str) -> Ask {
    Ask::new(Transition::BootIdentityRevoked).with(json!({"key": key(world, name), "rationale": "stolen"}))
}

fn rotate(world: &World, old: &str, overlap_ms: Option<u64>) -> Ask {
    Ask::new(Transition::BootIdentityRotated).with(inputs::rotation(world, old, "fresh", overlap_ms))
}

fn profiles(world: &World, names: &[&str]) -> Ask {
    let candidate = |name: &&str| json!({"key": key(world, name), "capabilities": ["plan", "review"]});
    let candidates: Vec<Value> = names.iter().map(candidate).collect();
    Ask::new(Transition::CouncilProfilesLoaded).with(json!({"candidates": candidates}))
}

/// A certificate for these members with these votes; the first member leads.
fn certificate(world: &World, members: &[&str], voters: &[&str]) -> Ask {
    let role = |n| if n == 0 { "lead" } else { "reviewer" };
    let seat = |(n, name): (usize, &&str)| (key(world, name), role(n).parse().unwrap());
    let members: Members = members.iter().enumerate().map(seat).collect();
    let alive = world.alive();
    let inputs = inputs::certificate(world.head.state(), world.maker(&alive), &members, voters);
    Ask::new(Transition::CouncilQuorumCert).with(inputs)
}

fn by(transition: Transition, name: &str) -> Ask {
    Ask::new(transition).by(name)
}

/// Names of the elected members.
fn members(world: &World) -> Vec<&'static str> {
    let members = &world.head.state().council.members;
    members.keys().map(|key| world.hands.of(key).unwrap().name).collect()
}

/// The settings name these identities beside the node and the operator.
fn settings_name(world: &mut World, more: &[(&str, &[&str])]) {
    let mut body = outside::settings(&world.hands);
    for (name, roles) in more {
        body["identities"][key(world, name).to_string()] = json!({"name": name, "roles": roles});
    }
    let observed_ms = world.now_ms;
    world.outside.say_for(FactKind::Settings, Said { body, observed_ms, lasts_ms: LONG_MS });
}

/// An agent loaded three keys of its own, signed with two of them, and had elected itself.
#[test]
fn keys_that_hold_no_vote_cannot_stand_for_the_council() {
    let mut world = world(Region::Boot, "LICENSED");
    for names in [["v1", "v2", "stranger"], ["v1", "v2", "agent"], ["v1", "v2", "operator"]] {
        let ask = profiles(&world, &names).by("agent");
        let (code, reasons) = refusal(&mut world, &ask);
        assert_eq!(code, "guard_roster", "{names:?}");
        assert!(reasons.contains("not known") || reasons.contains("does not hold the role voter"), "{reasons}");
    }
    let ask = revoke(&world, "v3");
    accept(&mut world, &ask);
    let ask = profiles(&world, &["v1", "v2", "v3"]);
    assert!(refusal(&mut world, &ask).1.contains("is revoked"));
    let ask = profiles(&world, &["v1", "v2", "v4"]);
    accept(&mut world, &ask);
}

/// A voter named in the settings is a candidate and votes like one of the project.
#[test]
fn voters_of_the_settings_stand_and_vote() {
    let mut world = world(Region::Boot, "LICENSED");
    settings_name(&mut world, &[("stranger", &["voter"])]);
    let ask = profiles(&world, &["v1", "v2", "stranger"]);
    accept(&mut world, &ask);
    let before = world.clone();
    let ask = certificate(&world, &["v1", "v2", "stranger"], &["v1", "stranger"]);
    accept(&mut world, &ask);
    let mut world = before;
    settings_name(&mut world, &[]);
    assert_eq!(refusal(&mut world, &ask).0, "guard_quorum");
}

/// Two of three voters were revoked as stolen, and their votes still made the quorum.
#[test]
fn votes_of_revoked_keys_and_of_keys_that_lost_the_role_do_not_count() {
    let mut world = world(Region::Boot, "LICENSED");
    let ask = profiles(&world, &["v1", "v2", "v3", "v4", "v5"]);
    accept(&mut world, &ask);
    for ask in [revoke(&world, "v4"), grant(&world, "v5", &["reader"])] {
        accept(&mut world, &ask);
    }
    for voters in [["v1", "v2", "v4"], ["v1", "v2", "v5"]] {
        let ask = certificate(&world, &["v1", "v2", "v3"], &voters);
        let (code, reasons) = refusal(&mut world, &ask);
        assert!(code == "guard_quorum" && reasons.contains("2 valid votes of 5"), "{reasons}");
    }
    let ask = certificate(&world, &["v1", "v2", "v4"], &["v1", "v2", "v3"]);
    assert!(refusal(&mut world, &ask).1.contains("it cannot be a member"));
    accept(&mut world, &Ask::new(Transition::CouncilQuorumCert));
    assert!(members(&world).iter().all(|name| !["v4", "v5"].contains(name)), "the ranking seats those who may vote");
}

/// After a rotation the old key still voted, and the new one was no candidate.
#[test]
fn the_new_key_of_a_rotation_is_candidate_and_votes_in_the_place_of_the_old_one() {
    let mut world = world(Region::Boot, "LICENSED");
    let ask = profiles(&world, &["v1", "v2", "v3"]);
    accept(&mut world, &ask);
    let ask = rotate(&world, "v1", None);
    accept(&mut world, &ask);
    let candidates = &world.head.state().council.candidates;
    assert!(candidates.contains_key(&key(&world, "fresh")) && !candidates.contains_key(&key(&world, "v1")));
    let ask = certificate(&world, &["fresh", "v2", "v3"], &["v1", "v2"]);
    assert!(refusal(&mut world, &ask).1.contains("is revoked"));
    let ask = certificate(&world, &["v1", "v2", "v3"], &["fresh", "v2"]);
    assert!(refusal(&mut world, &ask).1.contains("is not a candidate"));
    let ask = certificate(&world, &["fresh", "v2", "v3"], &["fresh", "v2"]);
    accept(&mut world, &ask);
}

/// A rotation in the middle of an election moves the seed of the ranking for no one but its own candidate.
#[test]
fn a_rotation_keeps_the_seed_that_the_profiles_left() {
    let mut world = world(Region::Council, "ELECT");
    let before = swoosh::machine::election::seed(&world.head);
    let ask = rotate(&world, "v1", Some(60_000));
    accept(&mut world, &ask);
    assert_eq!(swoosh::machine::election::seed(&world.head), before);
}

/// While a rotation overlaps, one holder has two keys, and still one vote, one seat and one approval.
#[test]
fn one_holder_with_two_keys_counts_once() {
    let mut world = world(Region::Boot, "LICENSED");
    let ask = rotate(&world, "v1", Some(600_000));
    accept(&mut world, &ask);
    let ask = profiles(&world, &["v1", "fresh", "v2"]);
    assert!(refusal(&mut world, &ask).1.contains("was rotated"));
    let ask = profiles(&world, &["fresh", "v2", "v3"]);
    accept(&mut world, &ask);
    let ask = certificate(&world, &["fresh", "v2", "v3"], &["v1", "fresh"]);
    assert!(refusal(&mut world, &ask).1.contains("votes twice"));
    let ask = certificate(&world, &["fresh", "v2", "v3"], &["v1", "v2"]);
    accept(&mut world, &ask);
    world.now_ms += 700_000;
    let mut world = self::world(Region::Boot, "LICENSED");
    let ask = rotate(&world, "v1", Some(60_000));
    accept(&mut world, &ask);
    let ask = profiles(&world, &["fresh", "v2", "v3"]);
    accept(&mut world, &ask);
    world.now_ms += 120_000;
    let ask = certificate(&world, &["fresh", "v2", "v3"], &["v1", "v2"]);
    assert!(refusal(&mut world, &ask).1.contains("was rotated away"), "at the stamped time the overlap is over");
}

/// Two members approved, both were revoked, and the threshold passed.
#[test]
fn approvals_of_revoked_members_do_not_count() {
    let mut world = world(Region::Execution, "REVIEW");
    accept(&mut world, &Ask::new(Transition::ExecutionApprove));
    accept(&mut world, &Ask::new(Transition::ExecutionApprove));
    let signers: Vec<_> = world.head.state().execution.approvals.keys().copied().collect();
    let first = world.hands.of(&signers[0]).unwrap().name;
    let ask = revoke(&world, first);
    accept(&mut world, &ask);
    let (code, reasons) = refusal(&mut world, &Ask::new(Transition::ExecutionApprovalsThreshold));
    assert!(code == "guard_threshold" && reasons.contains("1 approval does not count"), "{reasons}");
    let third = members(&world).into_iter().find(|name| !signers.contains(&key(&world, name))).unwrap();
    accept(&mut world, &by(Transition::ExecutionApprove, third));
    accept(&mut world, &Ask::new(Transition::ExecutionApprovalsThreshold));
}

/// A member whose key was rotated away approves again with the new one, and still counts once.
#[test]
fn a_member_approves_again_when_the_key_that_approved_was_rotated_away() {
    let mut world = world(Region::Execution, "REVIEW");
    let first = members(&world)[0];
    accept(&mut world, &by(Transition::ExecutionApprove, first));
    let second = members(&world)[1];
    accept(&mut world, &by(Transition::ExecutionApprove, second));
    let ask = rotate(&world, first, None);
    accept(&mut world, &ask);
    assert_eq!(refusal(&mut world, &Ask::new(Transition::ExecutionApprovalsThreshold)).0, "guard_threshold");
    accept(&mut world, &by(Transition::ExecutionApprove, "fresh"));
    assert_eq!(refusal(&mut world, &by(Transition::ExecutionApprove, "fresh")).0, "guard_member");
    assert_eq!(world.head.state().execution.approvals.len(), 2);
    accept(&mut world, &Ask::new(Transition::ExecutionApprovalsThreshold));
}

/// A member without the role counts neither as alive nor for the quorum that the loop needs.
#[test]
fn members_that_may_not_vote_are_lost() {
    let mut world = world(Region::Execution, "WORK");
    let elected = members(&world);
    assert_eq!(refusal(&mut world, &Ask::new(Transition::ControlQuorumLost)).0, "guard_liveness");
    for name in &elected[..2] {
        let ask = revoke(&world, name);
        accept(&mut world, &ask);
    }
    let (code, reasons) = refusal(&mut world, &Ask::new(Transition::ExecutionBeatReviewGate));
    assert!(code == "guard_pin" && reasons.contains("1 of 3 elected members may vote"), "{reasons}");
    accept(&mut world, &Ask::new(Transition::ControlQuorumLost));
    accept(&mut world, &Ask::new(Transition::CouncilReElect));
    accept(&mut world, &Ask::new(Transition::CouncilQuorumCert));
    accept(&mut world, &by(Transition::CouncilMcpGreen, "worker"));
    accept(&mut world, &Ask::new(Transition::ControlRecovered));
    accept(&mut world, &Ask::new(Transition::ExecutionBeatReviewGate));
}

/// Execution was entered with a council of revoked members.
#[test]
fn execution_is_not_entered_with_a_council_that_may_not_vote() {
    let mut world = world(Region::Council, "READY");
    world.drive(Goal::new(Region::Ingestion, "READY"));
    world.drive(Goal::new(Region::Environment, "READY"));
    for name in &members(&world)[..2] {
        let ask = revoke(&world, name);
        accept(&mut world, &ask);
    }
    let (code, reasons) = refusal(&mut world, &Ask::new(Transition::ExecutionAllReady));
    assert!(code == "guard_prerequisites" && reasons.contains("propose Council_ReElect"), "{reasons}");
    world.drive(Goal::new(Region::Council, "ELECT"));
    world.drive(Goal::new(Region::Council, "READY"));
    accept(&mut world, &Ask::new(Transition::ExecutionAllReady));
}

/// A seat is ejected by whichever key holds it, and leaves the candidates by that key.
#[test]
fn a_member_is_ejected_by_its_new_key() {
    let mut world = world(Region::Council, "READY");
    let member = members(&world)[0];
    let ask = rotate(&world, member, Some(600_000));
    accept(&mut world, &ask);
    let inputs = json!({"member": key(&world, "fresh"), "rationale": "does not answer"});
    accept(&mut world, &Ask::new(Transition::CouncilEject).with(inputs));
    let candidates = &world.head.state().council.candidates;
    assert!(candidates.len() == 4 && !candidates.contains_key(&key(&world, "fresh")));
}

/// The project's operator was revoked, and then the settings' operator was granted the role reader.
#[test]
fn an_operator_remains_whatever_order_the_last_ones_are_taken_in() {
    let mut world = world(Region::Boot, "LICENSED");
    let ask = grant(&world, "stranger", &["operator"]);
    accept(&mut world, &ask);
    let ask = revoke(&world, "stranger");
    accept(&mut world, &ask);
    let ask = grant(&world, "operator", &["reader"]);
    assert_eq!(refusal(&mut world, &ask).0, "guard_operators");
    accept(&mut world, &by(Transition::ControlPause, "operator"));
    // Without an operator in the settings, the project's last one stays.
    let mut world = self::world(Region::Boot, "LICENSED");
    let mut body = outside::settings(&world.hands);
    body["identities"].as_object_mut().unwrap().remove(&key(&world, "operator").to_string());
    let observed_ms = world.now_ms;
    world.outside.say_for(FactKind::Settings, Said { body, observed_ms, lasts_ms: LONG_MS });
    for ask in [revoke(&world, "operator"), grant(&world, "operator", &["agent"])] {
        assert!(refusal(&mut world, &ask).1.contains("no operator would remain"));
    }
    let ask = rotate(&world, "operator", Some(600_000));
    accept(&mut world, &ask);
    let ask = revoke(&world, "fresh");
    assert!(refusal(&mut world, &ask).1.contains("no operator would remain"), "one about to retire does not count");
}

/// A project's operator granted the platform's operator the role reader, and its Pause and Terminate were refused.
#[test]
fn a_project_cannot_take_the_platform_s_operator_its_rights() {
    let mut world = world(Region::Boot, "LICENSED");
    let ask = grant(&world, "stranger", &["operator"]);
    accept(&mut world, &ask);
    for ask in [grant(&world, "operator", &["reader"]), revoke(&world, "operator")] {
        let (code, reasons) = refusal(&mut world, &ask.by("stranger"));
        assert!(code == "guard_operators" && reasons.contains("by the node's settings"), "{reasons}");
    }
    let ask = rotate(&world, "operator", None).by("stranger");
    assert!(refusal(&mut world, &ask).1.contains("by the node's settings"));
    // More roles are the project's to give.
    let ask = grant(&world, "operator", &["operator", "voter"]).by("stranger");
    accept(&mut world, &ask);
    let ask = profiles(&world, &["operator", "v1", "v2"]);
    accept(&mut world, &ask);
    accept(&mut world, &by(Transition::ControlPause, "operator"));
}

/// As above, before the key is in the settings: the project's earlier revocation does not bind the platform.
#[test]
fn a_key_that_enters_the_settings_later_has_the_rights_that_they_give_it() {
    let mut world = world(Region::Boot, "LICENSED");
    let ask = grant(&world, "stranger", &["worker", "reader"]);
    accept(&mut world, &ask);
    let ask = revoke(&world, "stranger");
    accept(&mut world, &ask);
    settings_name(&mut world, &[("stranger", &["operator", "voter"]), ("worker", &["worker", "voter"])]);
    accept(&mut world, &by(Transition::ControlPause, "stranger"));
    // A key that the project revoked still has no vote in its council.
    accept(&mut world, &by(Transition::ControlResume, "stranger"));
    let ask = profiles(&world, &["stranger", "v1", "v2"]);
    assert!(refusal(&mut world, &ask).1.contains("does not hold the role voter"));
    let ask = revoke(&world, "worker");
    accept(&mut world, &ask);
    let (code, _) = refusal(&mut world, &by(Transition::IngestionSourcesResolved, "worker"));
    assert_eq!(code, "identity_revoked", "a stolen worker of the settings can be barred");
}

/// A document that names a key of the settings adds to its rights.
#[test]
fn a_document_takes_nothing_from_the_keys_of_the_settings() {
    let mut world = World::new();
    let mut inputs = world.valid(Transition::BootConfigOk);
    let operator = key(&world, "operator").to_string();
    inputs["document"]["identities"][&operator] = json!({"name": "operator", "roles": ["reader"]});
    let agent = key(&world, "agent").to_string();
    inputs["document"]["identities"][&agent] = json!({"name": "agent", "roles": ["agent", "operator"]});
    accept(&mut world, &Ask::new(Transition::BootConfigOk).with(inputs));
    accept(&mut world, &by(Transition::ControlPause, "operator"));
}

/// WORK → Pause → Deprovision → Resume → REVIEW → REVERB → Submit went through without an environment.
#[test]
fn the_loop_does_not_go_forward_without_its_environment() {
    let mut world = world(Region::Execution, "WORK");
    without_environment(&mut world);
    let gone = |world: &mut World, transition, guard: &str| {
        let (code, reasons) = refusal(world, &Ask::new(transition));
        assert!(code == guard && reasons.contains("environment is ALLOCATE, not READY"), "{transition}: {reasons}");
    };
    gone(&mut world, Transition::ExecutionBeatReviewGate, "guard_pin");
    world.drive(Goal::new(Region::Environment, "READY"));
    accept(&mut world, &Ask::new(Transition::ExecutionBeatReviewGate));
    accept(&mut world, &Ask::new(Transition::ExecutionApprove));
    accept(&mut world, &Ask::new(Transition::ExecutionApprove));
    without_environment(&mut world);
    assert!(world.head.state().execution.approvals.is_empty(), "they were of the environment that is gone");
    gone(&mut world, Transition::ExecutionApprove, "guard_pin");
    assert_eq!(refusal(&mut world, &Ask::new(Transition::ExecutionApprovalsThreshold)).0, "guard_threshold");
    let back = world.clone();
    accept(&mut world, &Ask::new(Transition::ExecutionRework));
    let mut world = back;
    world.drive(Goal::new(Region::Execution, "REVERB"));
    without_environment(&mut world);
    gone(&mut world, Transition::ExecutionSubmit, "guard_ready");
    let later = |world: &World| {
        let mut world = world.clone();
        world.now_ms += 60_000;
        world
    };
    gone(&mut later(&world), Transition::ExecutionNextWindow, "guard_ready");
    world.drive(Goal::new(Region::Environment, "READY"));
    accept(&mut world, &Ask::new(Transition::ExecutionSubmit));
    accept(&mut later(&world), &Ask::new(Transition::ExecutionNextWindow));
}

fn without_environment(world: &mut World) {
    for transition in [Transition::ControlPause, Transition::EnvironmentDeprovision, Transition::ControlResume] {
        accept(world, &Ask::new(transition));
    }
}

/// A check that is under way, or that found an asset degraded, holds the loop as well.
#[test]
fn the_loop_waits_for_a_check_of_its_environment() {
    let mut world = world(Region::Execution, "REVIEW");
    accept(&mut world, &Ask::new(Transition::ExecutionApprove));
    accept(&mut world, &Ask::new(Transition::ExecutionApprove));
    accept(&mut world, &Ask::new(Transition::EnvironmentRecheck));
    assert_eq!(refusal(&mut world, &Ask::new(Transition::ExecutionApprovalsThreshold)).0, "guard_pin");
    accept(&mut world, &by(Transition::EnvironmentAmber, "worker"));
    assert_eq!(refusal(&mut world, &Ask::new(Transition::ExecutionApprovalsThreshold)).0, "guard_pin");
    accept(&mut world, &Ask::new(Transition::EnvironmentRecheck));
    accept(&mut world, &by(Transition::EnvironmentGreen, "worker"));
    accept(&mut world, &Ask::new(Transition::ExecutionApprovalsThreshold));
}

/// Reaffirm moved council or environment to another version in the middle of work.
#[test]
fn nothing_moves_the_council_or_the_environment_from_under_work() {
    let mut world = world(Region::Execution, "WORK");
    accept(&mut world, &Ask::new(Transition::IngestionNewVersion));
    world.drive(Goal::new(Region::Ingestion, "READY"));
    for transition in [Transition::CouncilReaffirm, Transition::EnvironmentReaffirm] {
        let (code, reasons) = refusal(&mut world, &Ask::new(transition));
        assert!(code == "guard_versions" && reasons.contains("pinned to version 1"), "{reasons}");
    }
    world.drive(Goal::new(Region::Execution, "REVERB"));
    accept(&mut world, &Ask::new(Transition::CouncilReaffirm));
}

/// 256 identities in a lifetime: revoked keys filled the list, and no other key could be granted.
#[test]
fn revoked_keys_leave_their_place_to_others_and_never_come_back() {
    let mut world = world(Region::Boot, "LICENSED");
    let some = |n: u32| {
        let mut seed = [9; 32];
        seed[..4].copy_from_slice(&n.to_be_bytes());
        swoosh::types::keys::SecretKey::from_bytes(&seed).public()
    };
    let granted = |n| json!({"key": some(n), "identity": {"name": "one-of-many", "roles": ["agent"]}});
    for n in 0..300 {
        accept(&mut world, &Ask::new(Transition::BootIdentityGranted).with(granted(n)));
        let revoked = json!({"key": some(n), "rationale": "left"});
        accept(&mut world, &Ask::new(Transition::BootIdentityRevoked).with(revoked));
    }
    let (code, reasons) = refusal(&mut world, &Ask::new(Transition::BootIdentityGranted).with(granted(7)));
    assert!(code == "guard_operators" && reasons.contains("is revoked and stays so"), "{reasons}");
    let live = world.head.state().boot.identities.values().filter(|identity| !identity.revoked).count();
    for n in 0..(256 - live as u32) {
        accept(&mut world, &Ask::new(Transition::BootIdentityGranted).with(granted(1_000 + n)));
    }
    let ask = Ask::new(Transition::BootIdentityGranted).with(granted(2_000));
    let (code, reasons) = refusal(&mut world, &ask);
    assert!(code == "bound_exceeded" && reasons.contains("without revoked keys"), "{reasons}");
    accept(&mut world, &Ask::new(Transition::BootIdentityRevoked));
    accept(&mut world, &ask);
}

/// Keys that were rotated away leave their place as well, once their overlap is over.
#[test]
fn a_key_that_retired_by_itself_is_buried_with_the_next_change_of_identities() {
    let mut world = world(Region::Boot, "LICENSED");
    let ask = rotate(&world, "reader", Some(60_000));
    accept(&mut world, &ask);
    let reader = key(&world, "reader");
    assert!(!world.head.state().boot.identities[&reader].revoked);
    world.now_ms += 120_000;
    let ask = grant(&world, "stranger", &["agent"]);
    accept(&mut world, &ask);
    assert!(world.head.state().boot.identities[&reader].revoked);
}

/// The bound of all keys leaves every identity the place that it needs when it is revoked.
#[test]
fn revoking_is_never_refused_for_want_of_room() {
    use std::sync::Arc;
    use swoosh::machine::bounds::exceeded;
    use swoosh::machine::state::Identity;
    let world = world(Region::Boot, "LICENSED");
    let mut full = world.head.state().clone();
    let revoked = Identity {
        revoked: true,
        ..full.boot.identities.values().find(|identity| identity.roles.contains(&Role::Reader)).unwrap().clone()
    };
    let identities = &mut Arc::make_mut(&mut full.boot).identities;
    for n in 0..(4_096 - identities.len() as u32) {
        let mut seed = [8; 32];
        seed[..4].copy_from_slice(&n.to_be_bytes());
        identities.insert(swoosh::types::keys::SecretKey::from_bytes(&seed).public(), revoked.clone());
    }
    assert_eq!(identities.len(), 4_096);
    let mut after = full.clone();
    Arc::make_mut(&mut after.boot).identities.get_mut(&key(&world, "v1")).unwrap().revoked = true;
    assert_eq!(exceeded(&full, &after), Vec::<String>::new());
    Arc::make_mut(&mut after.boot).identities.insert(key(&world, "stranger"), revoked);
    assert_eq!(exceeded(&full, &after).len(), 1, "another key has no place");
}

/// Points of small order: under lax rules, any signature may pass for theirs.
const SMALL_ORDER: [[u8; 32]; 4] = {
    let mut keys = [[0; 32]; 4];
    keys[1][0] = 1;
    keys[2] = [0xff; 32];
    keys[2][0] = 0xec;
    keys[2][31] = 0x7f;
    keys[3][31] = 0x80;
    keys
};

/// `hmmm:pubkey:AAAA…` could be granted every role.
#[test]
fn keys_without_a_secret_half_get_no_role() {
    let mut licensed = world(Region::Boot, "LICENSED");
    for bytes in SMALL_ORDER {
        let key = PublicKey::from_bytes(bytes);
        let identity = json!({"name": "small-order", "roles": ["operator"]});
        let ask = Ask::new(Transition::BootIdentityGranted).with(json!({"key": key, "identity": identity}));
        let (code, reasons) = refusal(&mut licensed, &ask);
        assert_eq!(code, "guard_operators", "{reasons}");
        assert!(reasons.contains("is of small order"), "{reasons}");
        let mut begun = World::new();
        let mut inputs = begun.valid(Transition::BootConfigOk);
        inputs["document"]["identities"][key.to_string()] = identity;
        let (code, reasons) = refusal(&mut begun, &Ask::new(Transition::BootConfigOk).with(inputs));
        assert!(code == "guard_document" && reasons.contains("is of small order"), "{code}: {reasons}");
    }
}
