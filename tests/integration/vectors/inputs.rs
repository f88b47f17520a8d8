//! `inputs.json`: inputs of each transition that are read, and inputs that are refused.
//!
//! The schemas of `openapi.json` and serde's reading agree on all of them, and on thousands of others that are made of them.

use proptest::prelude::*;
use serde_json::{Value, json};
use swoosh::machine::chart::Inputs;
use swoosh::types::forms::{self, Form};
use swoosh::types::json::{Json, MAX_INTEGER};
use swoosh::types::names::Transition;
use swoosh::types::rejection::Code;
use swoosh::types::verify::{Headers, verify};

use super::schema::{Schemas, matches};
use super::{items, read, text};

fn description() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Whether a node reads these inputs: strict JSON, and of the transition's form.
fn is_read(transition: Transition, source: &str) -> bool {
    let Ok(value) = Json::parse(source.as_bytes()) else { return false };
    let decoded = Inputs::decode(transition, &value.canonical()).is_ok();
    let is_read = decoded && forms::list_in_place_of_object(transition, &value).is_none();
    let faults = forms::faults(transition, &value);
    assert_eq!(faults.is_empty(), is_read, "{transition} {source}: serde and the forms differ; {faults:?}");
    is_read
}

/// Whether the schema admits them. Strict JSON is a rule beside the schema, as for every document.
fn is_described(schemas: &Schemas<'_>, transition: Transition, source: &str) -> bool {
    let strict = Json::parse(source.as_bytes()).is_ok();
    let value: Result<Value, _> = serde_json::from_str(source);
    strict && value.is_ok_and(|value| schemas.admit(&format!("Inputs_{transition}"), &value))
}

/// Another value of a type than its example: the shortest, the largest, the last.
fn other(of: &str) -> Value {
    let known = forms::named(of).unwrap();
    match known.form {
        Form::Whole => json!(MAX_INTEGER),
        Form::Flag => json!(false),
        Form::Choice(words) => json!(words().last().unwrap()),
        Form::List { .. } => json!([]),
        Form::Map { .. } => json!({}),
        Form::Any => json!([0, true, {"a": "b"}]),
        Form::Text(form) if form.most_bytes.is_some() && of != "UcxlAddress" && of != "Url" => {
            json!("a".repeat(form.most_bytes.unwrap()))
        }
        Form::Text(_) if matches!(of, "Name" | "ProjectName" | "Capability") => json!("a".repeat(63)),
        Form::Text(form) => json!(form.example),
        Form::Object(members) => members
            .iter()
            .filter(|member| member.required)
            .map(|member| (member.name.to_owned(), other(member.of)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

fn accepted(transition: Transition) -> Vec<String> {
    let example = forms::example(transition);
    let value: Value = serde_json::from_str(&example).unwrap();
    let others: Value = forms::inputs(transition)
        .map(|input| (input.name.to_owned(), other(input.of)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let spread = format!(" {} ", example.replacen('{', "{\n", 1));
    let mut all = vec![example, forms::full_example(transition), value.to_string(), others.to_string(), spread];
    if all[0] == "{}" {
        all = vec!["{}".into(), " { } ".into(), "{\n}".into()];
    }
    all.sort();
    all.dedup();
    all
}

/// A fault's name, the inputs, and the path that is reported; none where the text is no strict JSON.
fn refused(transition: Transition) -> Vec<(String, String, Option<String>)> {
    let example: Value = serde_json::from_str(&forms::example(transition)).unwrap();
    let with = |name: &str, value: Value| {
        let mut changed = example.clone();
        changed[name] = value;
        changed.to_string()
    };
    let mut all = vec![
        ("an unknown field".to_owned(), with("colour", json!("red")), Some("colour".to_owned())),
        ("a list for the object".to_owned(), "[]".to_owned(), Some(String::new())),
        ("a text for the object".to_owned(), "\"inputs\"".to_owned(), Some(String::new())),
        ("a number for the object".to_owned(), "7".to_owned(), Some(String::new())),
        ("null for the object".to_owned(), "null".to_owned(), None),
        ("a fraction".to_owned(), with("colour", json!(0.5)), None),
    ];
    for input in forms::inputs(transition) {
        let (name, path) = (input.name, Some(input.name.to_owned()));
        if input.required {
            let mut without = example.clone();
            without.as_object_mut().unwrap().remove(name);
            all.push((format!("without {name}"), without.to_string(), path.clone()));
        }
        all.push((format!("null for {name}"), with(name, Value::Null), None));
        for wrong in [json!("\u{7}"), json!(true), json!([[7]]), json!({"a b": {"": 7}})] {
            let inputs = with(name, wrong.clone());
            if !is_read(transition, &inputs) {
                let first = forms::faults(transition, &Json::parse(inputs.as_bytes()).unwrap()).remove(0);
                all.push((format!("{wrong} for {name}"), inputs, Some(first.path)));
            }
        }
    }
    all
}

pub fn make() -> Value {
    let of = |transition: &Transition| {
        let refused: Vec<Value> = refused(*transition)
            .into_iter()
            .map(|(name, source, path)| json!({"name": name, "source": source, "path": path}))
            .collect();
        json!({"transition": transition, "accepted": accepted(*transition), "refused": refused})
    };
    json!({"transitions": Transition::ALL.iter().map(of).collect::<Vec<_>>()})
}

#[test]
fn schemas_of_inputs_and_the_node_agree_on_the_vectors_in_both_directions() {
    let (vectors, document) = (read("inputs.json"), description());
    let schemas = Schemas::of(&document);
    let mut seen = Vec::new();
    for entry in items(&vectors, "transitions") {
        let transition: Transition = text(&entry["transition"]).parse().unwrap();
        let (accepted, refused) = (items(entry, "accepted"), items(entry, "refused"));
        assert!(accepted.len() >= 3 && refused.len() >= 5, "{transition}");
        for source in accepted.iter().map(text) {
            assert!(is_read(transition, source), "{transition} {source}");
            assert!(is_described(&schemas, transition, source), "{transition} {source}");
        }
        for source in refused.iter().map(|refused| text(&refused["source"])) {
            assert!(!is_read(transition, source), "{transition} {source}");
            assert!(!is_described(&schemas, transition, source), "{transition} {source}");
        }
        seen.push(transition);
    }
    assert_eq!(seen, Transition::ALL);
}

/// The errors were serde's: `invalid type: integer 5, expected struct ProjectDocument`, without the field.
#[test]
fn a_refusal_of_inputs_names_the_field_and_no_rust_type() {
    let vectors = read("inputs.json");
    let types: Vec<&str> = forms::all()
        .filter(|known| !matches!(known.form, Form::Text(_) | Form::Whole | Form::Flag))
        .map(|known| known.name)
        .collect();
    for entry in items(&vectors, "transitions") {
        for refused in items(entry, "refused").iter().filter(|refused| refused["path"].is_string()) {
            let mut proposal = json!({
                "current_state_hash": swoosh::types::hash::Hash::ZERO, "transition": entry["transition"],
                "inputs": serde_json::from_str::<Value>(text(&refused["source"])).unwrap(),
                "inputs_hash": swoosh::types::hash::Hash::ZERO,
                "idem_key": "goal-7:42:council:0b8e7a52", "hlc": "2025-10-19T01:23:45.678+00:00#1234", "evidence": [],
            });
            let key = swoosh::types::keys::SecretKey::from_bytes(&[7; 32]);
            proposal["signer"] = json!(key.public());
            proposal["signature"] = json!(key.sign(b"other bytes"));
            let rejection =
                verify(proposal.to_string().as_bytes(), &Headers::default(), &"test".parse().unwrap(), Inputs::decode)
                    .unwrap_err();
            assert_eq!(rejection.code, Code::Schema, "{refused}");
            let (reason, path) = (&rejection.reasons[0], text(&refused["path"]));
            let expected = if path.is_empty() { "inputs: ".to_owned() } else { format!("inputs.{path}: ") };
            assert!(reason.starts_with(&expected), "{}: {reason}", entry["transition"]);
            let said = rejection.reasons.join("\n");
            let words: Vec<&str> = said.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            let rust = ["struct", "enum", "u64", "variant", "sequence"].iter().chain(&types);
            rust.for_each(|name| assert!(!words.contains(name), "{name} in {said}"));
        }
    }
}

/// The places of a document: itself, its members and their members.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let below = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| places(value, &below(key), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, value)| places(value, &below(&n.to_string()), found));
        }
        _ => {}
    }
}

/// Every value in every place of every example.
#[test]
fn schemas_of_inputs_and_the_node_agree_on_mutated_examples() {
    let document = description();
    let schemas = Schemas::of(&document);
    let key = "hmmm:pubkey:6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw";
    let (hash, commit) = (swoosh::types::hash::Hash::ZERO.to_string(), "0".repeat(40));
    let many: Vec<String> = (0..65).map(|n| format!("a{n}")).collect();
    let palette = [
        json!(true),
        json!(0),
        json!(MAX_INTEGER),
        json!(""),
        json!("x"),
        json!("A b"),
        json!("operator"),
        json!("ok"),
        json!("majority"),
        json!(key),
        json!(hash),
        json!(commit),
        json!("https://a/b"),
        json!([]),
        json!({}),
        json!(["x"]),
        json!([["x"]]),
        json!({"x": 1}),
        json!({"x": "x"}),
        json!({key: "x"}),
        json!(many),
        json!(vec!["x"; 70]),
    ];
    let (mut admitted, mut refused) = (0, 0);
    for transition in Transition::ALL {
        let example: Value = serde_json::from_str(&forms::full_example(*transition)).unwrap();
        let mut found = Vec::new();
        places(&example, "", &mut found);
        for place in found {
            let mut changed: Vec<Value> = palette
                .iter()
                .map(|value| {
                    let mut changed = example.clone();
                    *changed.pointer_mut(&place).unwrap() = value.clone();
                    changed
                })
                .collect();
            if let Some((parent, name)) = place.rsplit_once('/') {
                let mut without = example.clone();
                if let Some(map) = without.pointer_mut(parent).unwrap().as_object_mut() {
                    map.remove(name);
                    changed.push(without);
                }
            }
            for value in changed {
                let source = value.to_string();
                let is_read = is_read(*transition, &source);
                assert_eq!(is_described(&schemas, *transition, &source), is_read, "{transition} {source}");
                *(if is_read { &mut admitted } else { &mut refused }) += 1;
            }
        }
    }
    assert!(admitted > 500 && refused > 5_000, "{admitted} {refused}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// A pattern says the same as the reader; of UCXL addresses it says less.
    #[test]
    fn patterns_of_texts_and_their_readers_agree(
        written in "[a-zA-Z0-9._/:@+~^?*\\[\\\\ \t\n\u{7f}\u{85}\u{a0}\u{feff}é-]{0,12}|[a-z.]{1,4}(/[a-z.]{1,4}){0,3}|[a-z+:]{1,5}://[a-z:@/.]{0,8}|\\PC{0,6}",
        number in 0..=u64::MAX, length in 0..600_usize,
    ) {
        let base64 = "Ab-_".repeat(30);
        let built = [
            written.clone(), "a".repeat(length), "é".repeat(length), format!("default/{number}/fetch"),
            format!("default/{}-0123456789abcdef/index", number >> (number % 20)), format!("{written}/x"),
            format!("hmmm:pubkey:{}{}", &base64[..42], written.chars().next().unwrap_or('A')),
            format!("ed25519:{}{}", &base64[..85], written.chars().next().unwrap_or('A')),
        ];
        for known in forms::all() {
            let Form::Text(form) = known.form else { continue };
            let pattern = (form.pattern)();
            if pattern.is_empty() {
                continue;
            }
            for text in built.iter().filter(|text| Json::parse(json!(text).to_string().as_bytes()).is_ok()) {
                let fits = form.most_bytes.is_none_or(|most| text.len() <= most);
                let described = fits && matches(&pattern, text);
                match (form.fault)(text) {
                    None => prop_assert!(described, "{} refuses {text:?}", known.name),
                    Some(_) if known.name == "UcxlAddress" => {}
                    Some(fault) => prop_assert!(!described, "{} admits it: {fault}", known.name),
                }
            }
        }
    }
}
