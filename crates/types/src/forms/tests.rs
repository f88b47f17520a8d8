//! The forms are complete and consistent.

use super::*;
use crate::json::Json;

#[test]
fn every_type_that_is_referred_to_has_a_form_and_every_member_a_meaning() {
    for transition in Transition::ALL {
        for input in inputs(*transition) {
            assert!(named(input.of).is_some(), "{transition}.{}: no form of {}", input.name, input.of);
            assert!(!member_doc(input.name).is_empty(), "{transition}.{}: no meaning", input.name);
        }
    }
    for known in all() {
        known.parts().iter().for_each(|part| assert!(named(part).is_some(), "{}: no form of {part}", known.name));
        if let Some(bound) = known.bound {
            assert!(known.most().is_some(), "{}: the statechart has no bound {bound}", known.name);
        }
    }
    let names: std::collections::BTreeSet<_> = all().map(|known| known.name).collect();
    assert_eq!(names.len(), all().count());
}

#[test]
fn every_example_has_no_fault() {
    for transition in Transition::ALL {
        for text in [example(*transition), full_example(*transition)] {
            let value = Json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(faults(*transition, &value), [], "{transition}: {text}");
        }
    }
}

#[test]
fn a_fault_has_the_path_of_its_field() {
    let text = r#"{"document": {"sources": {"app": {"url": "x", "ref": 5}}, "roles": {"A": {"capabilities": {}}},
        "approval_threshold": true, "identities": [], "colour": 1}}"#;
    let found = faults(Transition::BootConfigOk, &Json::parse(text.as_bytes()).unwrap());
    let paths: Vec<&str> = found.iter().map(|fault| fault.path.as_str()).collect();
    let expected = [
        "document.sources.app.url",
        "document.sources.app.ref",
        "document.roles.A",
        "document.roles.A.capabilities",
        "document.roles.A.seats",
        "document.approval_threshold",
        "document.identities",
        "document.colour",
    ];
    assert_eq!(paths, expected);
    assert_eq!(found[1].to_string(), "document.sources.app.ref: expected a string, found a number");
    assert_eq!(found[4].to_string(), "document.roles.A.seats: missing field `seats`");
}
