//! `facts KIND …`: what is learned outside changes.

use serde_json::{Value, json};
use swoosh::types::fact::FactKind;

use super::span_ms;
use crate::support::outside::{self, LONG_MS, Said};
use crate::support::world::World;

pub(super) fn change(world: &mut World, rest: &str) -> Vec<String> {
    let (name, rest) = rest.split_once(' ').unwrap();
    let kind = *FactKind::ALL.iter().find(|kind| kind.as_str() == name).unwrap();
    if rest == "gone" {
        world.outside.forget(kind);
        return Vec::new();
    }
    let mut said = Said { body: Value::Null, observed_ms: world.now_ms, lasts_ms: LONG_MS };
    let mut words = Vec::new();
    for word in rest.split(' ') {
        match word.strip_prefix("lasts=") {
            Some(span) => said.lasts_ms = span_ms(span).unsigned_abs(),
            None => words.push(word),
        }
    }
    said.body = body(world, kind, &words);
    world.outside.say_for(kind, said);
    Vec::new()
}

fn body(world: &World, kind: FactKind, words: &[&str]) -> Value {
    match kind {
        FactKind::License => json!({"id": "license-2", "scopes": words}),
        FactKind::Windows if words == ["hourly"] => outside::hourly(),
        FactKind::Windows => outside::always_open(),
        FactKind::Tooling => outside::tooling(words != ["down"], words[0]),
        FactKind::Capacity => json!({"resources": numbers(words)}),
        FactKind::Health => {
            let pairs = words.iter().map(|word| word.split_once('=').unwrap());
            json!({"assets": pairs.map(|(name, health)| (name.to_owned(), json!(health))).collect::<serde_json::Map<_, _>>()})
        }
        FactKind::Liveness => liveness(world, words),
        FactKind::Policy => policy(words),
        FactKind::Settings => {
            let mut settings = outside::settings(&world.hands);
            for (name, value) in numbers(words) {
                settings[name] = value;
            }
            settings
        }
    }
}

fn numbers(words: &[&str]) -> serde_json::Map<String, Value> {
    let pairs = words.iter().map(|word| word.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), json!(value.parse::<u64>().unwrap()))).collect()
}

/// `since=-40s v1 v2 no:v3`: all members are alive but these, and all since then; of v3 nothing is said.
fn liveness(world: &World, words: &[&str]) -> Value {
    let since = words[0].strip_prefix("since=").map(span_ms).unwrap();
    let silent: Vec<&str> = words[1..].to_vec();
    let mut body = outside::liveness(&world.hands, &silent, world.now_ms.checked_add_signed(since).unwrap());
    for name in silent.iter().filter_map(|word| word.strip_prefix("no:")) {
        body["members"].as_object_mut().unwrap().remove(&world.hands.get(name).key().to_string()).unwrap();
    }
    body
}

/// `serial=2 without=secrets`, `serial=3 forbids=Execution_Submit`.
fn policy(words: &[&str]) -> Value {
    let value = |name: &str| words.iter().find_map(|word| word.strip_prefix(name));
    let mut policies = outside::POLICIES.to_owned();
    if let Some(id) = value("without=") {
        let kept = policies.split_inclusive(';').filter(|policy| !policy.contains(&format!("@id(\"{id}\")")));
        policies = kept.collect();
    }
    if let Some(transition) = value("forbids=") {
        policies += &format!("@id(\"no\") forbid (principal, action == Action::\"{transition}\", resource);");
    }
    json!({"serial": value("serial=").unwrap().parse::<u64>().unwrap(), "policies": policies})
}
