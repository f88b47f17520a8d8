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
    for line in ["document.sources: map from Name to SourceSpec, at most 64", "from 1 to 100", "example:"] {
        assert!(one.contains(line), "{line}\n{one}");
    }
    let (_, error, code) = run(&["inputs", "Control_Paus"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("Control_Pause"), "{error}");
}
