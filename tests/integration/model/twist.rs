//! Valid inputs, made wrong, or valid in another way.

use serde_json::{Value, json};
use swoosh::machine::election;
use swoosh::types::inputs::Members;
use swoosh::types::names::Transition;

use crate::support::hands::VOTERS;
use crate::support::inputs::{self, commit, hash};
use crate::support::world::World;

/// Inputs for a transition that are not quite what would be asked.
pub fn twisted(world: &World, transition: Transition, how: u16) -> Value {
    let valid = world.valid(transition);
    let (special, number) = (how % 4 != 0, usize::from(how / 4));
    match special.then(|| of_transition(world, transition, &valid, number)).flatten() {
        Some(inputs) => inputs,
        None => of_any(valid, number),
    }
}

/// Twists that fit any inputs: another effect, another hash, another number, an entry less.
fn of_any(mut valid: Value, number: usize) -> Value {
    let Value::Object(members) = &mut valid else { return valid };
    let Some(name) = members.keys().nth(number % members.len().max(1)).cloned() else { return valid };
    let member = &mut members[&name];
    match member {
        Value::String(text) if text.starts_with("sha256-") => *member = json!(hash("another")),
        Value::String(text) if text.starts_with("default/") => *text = text.replacen('/', "/1", 1),
        Value::Number(count) => {
            let count = count.as_u64().unwrap();
            *member = json!(if number % 2 == 0 { count + 1 } else { count.saturating_sub(1) });
        }
        Value::Object(entries) => {
            if let Some(entry) = entries.keys().nth(number % entries.len().max(1)).cloned() {
                entries.remove(&entry);
            }
        }
        Value::Array(items) => drop(items.pop()),
        _ => {}
    }
    valid
}

fn of_transition(world: &World, transition: Transition, valid: &Value, number: usize) -> Option<Value> {
    use Transition::*;
    let mut inputs = valid.clone();
    let any_hand = || world.hands.all().nth(number % 13).unwrap();
    match transition {
        CouncilQuorumCert => return Some(certificate(world, number)),
        CouncilProfilesLoaded => candidates(&mut inputs, number),
        CouncilReplan => {
            inputs["approval_threshold"] = json!(number % 6);
            if number % 2 == 0 {
                inputs["roles"] = json!({"peer": {"capabilities": [], "seats": number / 2 % 6}});
            }
        }
        CouncilEject => inputs["member"] = json!(world.hands.get(VOTERS[number % 5]).key()),
        CouncilMcpGreen => inputs["servers"]["other"] = json!({"server": "other", "version": "1"}),
        CouncilMcpRed => inputs["unreachable"]["other"] = json!("it is not pinned"),
        IngestionRetry | IngestionNewVersion => sources(&mut inputs, number),
        IngestionRollbackIndex => inputs["version"] = json!(number % 5),
        IngestionSchemaOk => inputs["outcomes"][0]["ok"] = json!(inputs["outcomes"].get(0)?["source"].is_null()),
        EnvironmentProvisionFailed => inputs["assets"] = json!({"image/base": hash("partial")}),
        EnvironmentDeprovision => inputs["allocation"] = json!({"vcpu": number % 6}),
        EnvironmentGreen | EnvironmentAmber => {
            let asset = if number % 2 == 0 { "image/base" } else { "image/tools" };
            inputs["outcomes"][asset] = json!(["ok", "degraded", "failed"][number / 2 % 3]);
        }
        BootIdentityGranted => {
            let roles = [json!(["operator"]), json!(["worker", "voter"]), json!([]), json!(["node"])];
            inputs = json!({"key": any_hand().key(), "identity": {"name": "it", "roles": roles[number / 13 % 4]}});
        }
        BootIdentityRevoked => inputs["key"] = json!(any_hand().key()),
        BootIdentityRotated => inputs = inputs::rotation(world, any_hand().name, "fresh", None),
        BootConfigOk => document(&mut inputs["document"], number),
        ExecutionSubmit => inputs["submission"] = json!("ucxl://agent:dev@default/out/key.pem"),
        PolicyQuarantine => inputs["breach"] = json!(world.breach.as_ref()?),
        PolicyUpdated => inputs["breach_inputs"] = json!({}),
        _ => return None,
    }
    Some(inputs)
}

/// Other voters, other members, a voter twice.
fn certificate(world: &World, number: usize) -> Value {
    let everyone = ["v1", "v2", "v3", "v4", "v5", "stranger"];
    let mut voters: Vec<&str> =
        everyone.into_iter().enumerate().filter(|(n, _)| number >> n & 1 == 1).map(|(_, v)| v).collect();
    if number >> 6 & 7 == 7 {
        voters.extend(voters.first().copied());
    }
    let key = |name: &str| world.hands.get(name).key();
    let role = |name: &str| name.parse().unwrap();
    let members: Members = match number >> 9 & 3 {
        0 => [(key("v1"), role("lead")), (key("v2"), role("reviewer")), (key("v3"), role("reviewer"))].into(),
        1 => [(key("v1"), role("lead")), (key("v2"), role("lead")), (key("v3"), role("poet"))].into(),
        2 => [(key("v4"), role("reviewer")), (key("v5"), role("reviewer"))].into(),
        _ => election::propose(&world.head, &inputs::electorate(world.head.state())),
    };
    let alive = world.alive();
    inputs::certificate(world.head.state(), world.maker(&alive), &members, &voters)
}

fn candidates(inputs: &mut Value, number: usize) {
    let Some(list) = inputs["candidates"].as_array_mut() else { return };
    list.truncate(2 + number % 4);
    if number % 3 == 0 {
        list.push(list[0].clone());
    }
}

fn sources(inputs: &mut Value, number: usize) {
    let source = |url: &str, reference: &str| json!({"url": url, "ref": reference});
    inputs["sources"] = match number % 6 {
        0 => json!({}),
        1 => json!({"app": source("https://git.example/app", "main")}),
        2 => json!({"app": source("https://git.example/other", "main")}),
        3 => json!({"app": source("ftp://git.example/app", "v1.2")}),
        4 => json!({"swarm": source("https://git.example/swarm", &commit('e'))}),
        _ => json!({"app": source("https://git.example/app", "v1.3.0")}),
    };
    if number / 6 % 2 == 0 {
        inputs["upstreams"] = json!({});
    }
}

fn document(document: &mut Value, number: usize) {
    match number % 9 {
        0 => document["approval_threshold"] = json!(number / 9 % 5),
        1 => document["roles"] = json!({}),
        2 => document["roles"]["lead"]["seats"] = json!(number / 9 % 3),
        3 => document["limits"] = json!({"retries": number / 9 % 3}),
        4 => document["council"] = json!({"quorum": "bft", "min_members": number / 9 % 5}),
        5 => document["identities"] = json!({}),
        6 => document["tool_pins"] = json!({}),
        7 => document["upstreams"] = document["sources"].clone(),
        _ => document["allocation"] = json!({}),
    }
}
