//! Identities: keys that are rotated without a gap, members that keep their seat, delegates in the settings.

use serde_json::{Value, json};
use swoosh::types::names::{Region, Transition};
use swoosh::types::rejection::Code;

use crate::support::daemon::{Site, always_open};
use crate::support::driver::Project;
use crate::support::hands::VOTERS;
use crate::support::inputs;
use crate::support::route::Goal;
use crate::support::world::{Ask, World};

/// A world that is licensed, or further.
fn world(region: Region, state: &str) -> World {
    let mut world = World::new();
    world.drive(Goal::new(region, state));
    world
}

/// A licensed project with an operator of its own beside that of the settings: the stranger.
fn with_own_operator() -> World {
    let mut world = world(Region::Boot, "LICENSED");
    let (key, identity) = (world.hands.get("stranger").key(), json!({"name": "own", "roles": ["operator"]}));
    accept(&mut world, &Ask::new(Transition::BootIdentityGranted).with(json!({"key": key, "identity": identity})));
    world
}

/// The rotation of one hand's key to `fresh`.
fn rotation(world: &World, old: &str, overlap_ms: u64) -> Ask {
    Ask::new(Transition::BootIdentityRotated).with(inputs::rotation(world, old, "fresh", Some(overlap_ms)))
}

#[track_caller]
fn accept(world: &mut World, ask: &Ask) {
    world.propose(ask).unwrap();
}

fn code(world: &mut World, ask: &Ask) -> Option<Code> {
    world.propose(ask).err().map(|refused| refused.rejection.code)
}

#[test]
fn while_a_rotation_overlaps_both_keys_count_and_at_its_end_the_new_one_alone() {
    let mut world = with_own_operator();
    let pause = |name: &str| Ask::new(Transition::ControlPause).by(name);
    let resume = |name: &str| Ask::new(Transition::ControlResume).by(name);
    assert_eq!(code(&mut world, &pause("fresh")), Some(Code::IdentityUnknown));
    let ask = rotation(&world, "stranger", 60_000);
    let granted_ms = world.now_ms;
    accept(&mut world, &ask);
    for step_ms in [0, 30_000, 29_000] {
        world.now_ms += step_ms;
        accept(&mut world, &pause("stranger"));
        accept(&mut world, &resume("fresh"));
    }
    let again = rotation(&world, "stranger", 0);
    assert_eq!(code(&mut world, &again).map(|code| code.to_string()).as_deref(), Some("guard_rotation"));
    world.now_ms = granted_ms + 120_000;
    assert_eq!(code(&mut world, &pause("stranger")), Some(Code::IdentityRevoked));
    accept(&mut world, &pause("fresh"));
}

#[test]
fn without_an_overlap_the_new_key_counts_from_the_very_record_that_ends_the_old_one() {
    let mut world = with_own_operator();
    let ask = rotation(&world, "stranger", 0);
    accept(&mut world, &ask);
    let pause = |name: &str| Ask::new(Transition::ControlPause).by(name);
    assert_eq!(code(&mut world, &pause("stranger")), Some(Code::IdentityRevoked));
    accept(&mut world, &pause("fresh"));
}

#[test]
fn an_overlap_has_a_bound() {
    let mut world = with_own_operator();
    let ask = rotation(&world, "stranger", 7 * 86_400_000 + 1);
    assert_eq!(code(&mut world, &ask).map(|code| code.to_string()).as_deref(), Some("guard_rotation"));
    let ask = rotation(&world, "stranger", 7 * 86_400_000);
    accept(&mut world, &ask);
}

#[test]
fn an_elected_member_keeps_its_seat_and_its_one_approval_under_its_new_key() {
    let mut world = world(Region::Execution, "REVIEW");
    let members: Vec<&str> = ["v1", "v2", "v3", "v4", "v5"]
        .into_iter()
        .filter(|name| world.head.state().council.members.contains_key(&world.hands.get(name).key()))
        .collect();
    let member = members[0];
    let ask = rotation(&world, member, 600_000);
    accept(&mut world, &ask);
    let approve = |name: &str| Ask::new(Transition::ExecutionApprove).by(name);
    accept(&mut world, &approve("fresh"));
    let approvals: Vec<_> = world.head.state().execution.approvals.keys().copied().collect();
    assert_eq!(approvals, [world.hands.get(member).key()]);
    for name in ["fresh", member] {
        assert_eq!(code(&mut world, &approve(name)).map(|code| code.to_string()).as_deref(), Some("guard_member"));
    }
}

/// Runs the program; success, and what it said.
fn swoosh(arguments: &[&str]) -> (bool, String) {
    let output = crate::support::program().args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), said)
}

/// The key file of a hand, in the site's data directory.
fn key_file(site: &Site, name: &str) -> String {
    let path = site.data().join(format!("{name}.key"));
    if !path.exists() {
        swoosh::platform::keyfile::store(&path, &site.hands.get(name).secret).unwrap();
    }
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_command_line_grants_rotates_and_revokes() {
    let site = Site::new();
    let daemon = site.start();
    let node = format!("http://{}", daemon.address);
    let mut project = Project::new(&site, "default");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let (operator, fresh) = (key_file(&site, "operator"), key_file(&site, "fresh"));
    let [stranger, reader] = ["stranger", "reader"].map(|name| site.hands.get(name).key().to_string());
    let as_operator = ["--key", operator.as_str(), "--node", node.as_str()];
    let run = |arguments: &[&str]| swoosh(&[arguments, &as_operator].concat());
    let shim = ["identity", "grant", &stranger, "--name", "shim", "--role", "agent", "--op-class", "council"];
    let (good, said) = run(&shim);
    assert!(good, "{said}");
    let (good, said) =
        run(&["identity", "grant", &stranger, "--name", "shim", "--role", "human", "--op-class", "council"]);
    assert!(!good && said.contains("a delegate is never human"), "{said}");
    let (good, agreement) = swoosh(&["identity", "agree", &reader, "--new-key", &fresh, "--node", &node]);
    assert!(good, "{agreement}");
    let file = site.data().join("agreement.json");
    std::fs::write(&file, &agreement).unwrap();
    let (good, said) = run(&["identity", "rotate", file.to_str().unwrap(), "--overlap", "1h"]);
    assert!(good, "{said}");
    let other = agreement.replace("\"default\"", "\"other\"");
    std::fs::write(&file, other).unwrap();
    let (good, said) = run(&["identity", "rotate", file.to_str().unwrap()]);
    assert!(!good && said.contains("swoosh identity agree"), "{said}");
    assert!(run(&["identity", "revoke", &stranger, "--rationale", "The migration is over."]).0);
    let (_, listed) = swoosh(&["identity", "list", "--node", &node]);
    let line = |key: &str| listed.lines().find(|line| line.ends_with(key)).unwrap().to_owned();
    assert!(line(&stranger).contains("revoked") && line(&stranger).contains("delegate for council"), "{listed}");
    assert!(line(&reader).contains("rotated"), "{listed}");
    assert!(line(&site.hands.get("fresh").key().to_string()).contains("yes"), "{listed}");
}

#[test]
fn votes_are_checked_before_a_certificate_is_posted() {
    let site = Site::new();
    let daemon = site.start();
    let node = format!("http://{}", daemon.address);
    let mut project = Project::new(&site, "default");
    project.drive(&daemon, Region::Council, "ELECT");
    let cast = |name: &str| {
        let (good, vote) = swoosh(&["council", "vote", "--key", &key_file(&site, name), "--node", &node]);
        assert!(good, "{vote}");
        serde_json::from_str::<Value>(&vote).unwrap()
    };
    let mut votes: Vec<Value> = VOTERS[..3].iter().map(|name| cast(name)).collect();
    let file = site.data().join("votes.json");
    let certify = |votes: &[Value]| {
        std::fs::write(&file, json!(votes).to_string()).unwrap();
        let operator = key_file(&site, "operator");
        swoosh(&["council", "certify", "--vote", file.to_str().unwrap(), "--post-as", &operator, "--node", &node])
    };
    let before = daemon.last_index();
    let (good, said) = certify(&votes[..2]);
    assert!(!good && said.contains("2 of 3 votes"), "{said}");
    let genuine = std::mem::replace(&mut votes[0]["signature"], json!(format!("ed25519:{}", "A".repeat(86))));
    let (good, said) = certify(&votes);
    assert!(!good && said.contains("does not verify"), "{said}");
    assert_eq!(daemon.last_index(), before, "nothing was posted");
    votes[0]["signature"] = genuine;
    let (good, said) = certify(&votes);
    assert!(good, "{said}");
    project.refresh(&daemon);
    assert_eq!(project.head.state().council.members.len(), 3);
}

#[test]
fn a_delegate_of_the_settings_proposes_to_its_projects_alone() {
    let site = Site::with(always_open(), |settings| {
        let stranger = crate::support::hands::Hands::new().get("stranger").key().to_string();
        let delegate = json!({"op_classes": ["control"], "projects": ["alpha"]});
        settings["identities"][stranger] = json!({"name": "shim", "roles": ["agent"], "delegate": delegate});
    });
    let daemon = site.start();
    let code = |name: &str, transition: Transition| {
        let mut project = Project::new(&site, name);
        project.drive(&daemon, Region::Boot, "LICENSED");
        let answer = project.propose(&daemon, &Ask::new(transition).by("stranger"));
        answer.json()["detail"].as_str().unwrap().to_owned()
    };
    assert!(code("beta", Transition::ControlPause).contains("for other projects, not for beta"));
    assert!(code("alpha", Transition::ControlPause).contains("Control_Pause is for operator"));
}

/// Everyone has the secret half of a key of deploy/settings/development.yaml. Settings refused it; a project granted it roles.
#[test]
fn a_published_key_is_granted_nothing_by_a_project_and_takes_over_no_identity() {
    let ada = swoosh::types::development::secret("ada");
    let grant = json!({"name": "ada", "roles": ["voter"]});
    let said = |world: &mut World, ask: &Ask| {
        let refused = world.propose(ask).unwrap_err().rejection;
        format!("{}: {}", refused.code, refused.reasons.concat())
    };
    let is_named = |said: &str, code: &str| {
        said.starts_with(code) && said.contains("published development key of ada") && said.contains("`swoosh keygen`")
    };
    let mut world = World::new();
    let mut document = inputs::document(&world.hands);
    document["identities"][ada.public().to_string()] = grant.clone();
    let refused = said(&mut world, &Ask::new(Transition::BootConfigOk).with(json!({"document": document})));
    assert!(is_named(&refused, "guard_document"), "{refused}");
    let mut world = with_own_operator();
    let ask = Ask::new(Transition::BootIdentityGranted).with(json!({"key": ada.public(), "identity": grant}));
    let refused = said(&mut world, &ask);
    assert!(is_named(&refused, "guard_operators"), "{refused}");
    let (project, old) = (world.head.state().meta.project.clone(), world.hands.get("stranger").key());
    let proof = swoosh::types::council::rotation_proof(&world.cluster, &project, &old, &ada);
    let rotation = json!({"old": old, "new": ada.public(), "proof": proof});
    let refused = said(&mut world, &Ask::new(Transition::BootIdentityRotated).with(rotation));
    assert!(is_named(&refused, "guard_rotation"), "{refused}");
}

/// The node's own key seals the log, so it must not be one that everyone has.
#[test]
fn a_node_does_not_start_with_a_published_key_as_its_own() {
    let site = Site::with(always_open(), |_| {});
    site.put_node_key(&swoosh::types::development::secret("operator"));
    let (code, said) = site.start_refused();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("published development key of operator") && said.contains("swoosh keygen"), "{said}");
}
