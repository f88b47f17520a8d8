//! `swoosh inputs` prints the form of every transition's inputs, and its examples are inputs.

use std::process::Command;

use serde_json::Value;
use swoosh::machine::chart::{Inputs, spec};
use swoosh::types::json::Json;
use swoosh::types::names::Transition;

fn run(arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_swoosh")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// A user found the form of inputs in the source alone: `swoosh statechart table` named Rust types.
#[test]
fn every_transition_lists_its_fields_with_meanings_and_an_example_that_a_node_reads() {
    let (document, _, code) = run(&["--json", "inputs"]);
    assert_eq!(code, Some(0));
    let document: Value = serde_json::from_str(&document).unwrap();
    let views = document["transitions"].as_array().unwrap();
    assert_eq!(views.len(), Transition::ALL.len());
    for view in views {
        let transition: Transition = view["transition"].as_str().unwrap().parse().unwrap();
        let example = Json::parse(view["example"].to_string().as_bytes()).unwrap();
        assert!(Inputs::decode(transition, &example.canonical()).is_ok(), "{transition}");
        let fields = view["fields"].as_array().unwrap();
        for (name, _) in spec(transition).inputs {
            let field =
                fields.iter().find(|field| field["path"] == *name).unwrap_or_else(|| panic!("{transition}.{name}"));
            assert!(!field["doc"].as_str().unwrap().is_empty() && !field["form"].as_str().unwrap().is_empty());
        }
    }
}

#[test]
fn the_list_and_one_transition_are_printed_for_people() {
    let (list, _, code) = run(&["inputs"]);
    assert_eq!(code, Some(0));
    Transition::ALL.iter().for_each(|name| assert!(list.contains(name.as_str()), "{name}\n{list}"));
    let (one, _, _) = run(&["inputs", "Boot_ConfigOk"]);
    let sources = "document.sources: object of at most 64 members, with keys such as \"main\"";
    for line in
        [sources, "document.allocation.*: whole number, from 0 to 9007199254740991", "from 1 to 100", "example:"]
    {
        assert!(one.contains(line), "{line}\n{one}");
    }
    let (_, error, code) = run(&["inputs", "Control_Paus"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("Control_Pause"), "{error}");
}

/// `such as sha256-0123456789abcdef0123456789abcdef0` was a cut hash, a whole number had no bounds, and `"type": "Rationale"` was
/// the name of a type of the source.
#[test]
fn a_field_has_a_whole_example_its_bounds_and_its_type_on_the_wire() {
    let (document, _, _) = run(&["--json", "inputs"]);
    let document: Value = serde_json::from_str(&document).unwrap();
    let names: Vec<&str> = swoosh::types::forms::all().map(|known| known.name).collect();
    let mut kinds = std::collections::BTreeSet::new();
    for view in document["transitions"].as_array().unwrap() {
        for field in view["fields"].as_array().unwrap() {
            let (kind, form, example) =
                (field["type"].as_str().unwrap(), field["form"].as_str().unwrap(), &field["example"]);
            kinds.insert(kind.to_owned());
            let words: Vec<&str> =
                form.split(|c: char| !c.is_alphanumeric()).filter(|word| names.contains(word)).collect();
            assert!(words.is_empty(), "{words:?} are names of the source: {field}");
            let fits = match kind {
                "string" => example.is_string(),
                "integer" => example.is_u64(),
                "boolean" => example.is_boolean(),
                _ => example.is_null(),
            };
            assert!(fits, "{field}");
            if kind == "integer" {
                assert!(field["range"][0].is_u64() && field["range"][1].is_u64(), "{field}");
            }
            if let (Some(text), true) = (example.as_str(), field["one_of"].is_null()) {
                assert!(form.contains(&format!("{text:?}")), "{field}");
                let pattern = regex::Regex::new(field["pattern"].as_str().unwrap()).unwrap();
                assert!(pattern.is_match(text), "{field}");
            }
        }
    }
    let all = ["array", "boolean", "integer", "object", "string"];
    assert!(
        all.iter().all(|kind| kinds.contains(*kind))
            && kinds.iter().all(|kind| kind == "any" || all.contains(&kind.as_str()))
    );
    let (hash, _, _) = run(&["inputs", "Execution_AllReady"]);
    let whole =
        "content_hash: string, such as \"sha256-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"";
    assert!(hash.contains(whole) && hash.contains("version: whole number, from 0 to 9007199254740991"), "{hash}");
}
