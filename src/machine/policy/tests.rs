//! What is remembered says what asking in full says.

use super::*;
use crate::types::keys::SecretKey;
use crate::types::names::Role;

fn compile(policies: &str) -> CompiledPolicies {
    CompiledPolicies::compile(PolicyBundle { serial: 1, policies: policies.into() }).unwrap()
}

const INPUTS: [&str; 8] = [
    "{}",
    r#"{"rationale": "tea"}"#,
    r#"{"rationale": "hmmm:secret:x"}"#,
    r#"{"rationale": 7}"#,
    r#"{"failure": {"detail": "Authorization: Bearer x"}}"#,
    r#"{"failure": {}, "plan_hash": "sha256-0", "list": [1, "a", {"b": true}]}"#,
    r#"{"submission": "ucxl://a:b@c/~~latest/keys/tls.pem"}"#,
    r#"{"assets": {"id_rsa": "sha256-0"}}"#,
];

/// Asks everything there is to ask about every so-manieth transition, twice; says how many answers were remembered.
fn compare(policies: &str, every: usize) -> usize {
    let compiled = compile(policies);
    let role_sets: Vec<BTreeSet<Role>> = Role::ALL
        .iter()
        .flat_map(|&one| [BTreeSet::from([one]), BTreeSet::from([one, Role::Operator]), BTreeSet::new()])
        .collect();
    let signers = [1, 2].map(|n| SecretKey::from_bytes(&[n; 32]).public());
    let projects = ["default", "other"].map(|name| name.parse::<ProjectName>().unwrap());
    let mut remembered = 0;
    for (n, &transition) in Transition::ALL.iter().enumerate().step_by(every) {
        for (m, roles) in role_sets.iter().enumerate() {
            let (signer, project) = (&signers[(n + m) % 2], &projects[(n + m / 2) % 2]);
            for text in INPUTS {
                let inputs = &Json::parse(text.as_bytes()).unwrap();
                let question = Question { signer, roles, transition, region: region(n), project, inputs };
                let full = compiled.ask_in_full(&question);
                assert_eq!(compiled.ask(question), full, "{transition} {roles:?} {text}");
                assert_eq!(compiled.ask(question), full, "{transition} {roles:?} {text}");
                remembered += usize::from(compiled.ask_remembered(&question).is_some());
            }
        }
    }
    remembered
}

/// Any region, but always the same one for a transition.
fn region(n: usize) -> Region {
    Region::ALL[n % Region::ALL.len()]
}

#[test]
fn the_default_policies_answer_as_in_full_and_mostly_from_memory() {
    let remembered = compare(include_str!("../../../config/policies/default.cedar"), 1);
    let asked = Transition::ALL.len() * 3 * Role::ALL.len() * INPUTS.len();
    assert!(remembered * 2 > asked, "{remembered} of {asked}");
}

#[test]
fn policies_that_look_further_are_asked_in_full() {
    let signer = SecretKey::from_bytes(&[1; 32]).public();
    for condition in [
        format!(r#"principal == Identity::"{signer}""#),
        "principal is Identity".to_owned(),
        r#"resource == Project::"other""#.to_owned(),
        "context.inputs == {}".to_owned(),
        r#"context has inputs && context["inputs"] != {rationale: "tea"}"#.to_owned(),
        "[context].contains(context)".to_owned(),
        "if context.inputs has rationale then context.inputs == {} else true".to_owned(),
        "principal.name == 7".to_owned(),
    ] {
        assert_eq!(
            compare(&format!("permit (principal, action, resource) when {{ {condition} }};"), 9),
            0,
            "{condition}"
        );
    }
}

#[test]
fn members_are_told_apart_however_they_are_read() {
    for condition in [
        "context.inputs has rationale",
        r#"context["inputs"]["rationale"] like "t*""#,
        "context.inputs has failure && context.inputs.failure has detail",
        "context.inputs.list.contains(1)",
        r#"context.inputs has "plan_hash" || principal in Role::"human""#,
    ] {
        let text = format!(
            "permit (principal, action, resource);\n@breach(\"b\") forbid (principal, action, resource) when {{ {condition} }};"
        );
        assert!(compare(&text, 9) > 0, "{condition}");
    }
    assert!(
        compare("permit (principal in Role::\"voter\", action == Action::\"Execution_Approve\", resource);", 1) > 0
    );
}

#[test]
fn of_a_namesake_region_nothing_is_remembered() {
    let compiled = compile("permit (principal, action in Action::\"council\", resource);");
    let (signer, inputs) = (SecretKey::from_bytes(&[1; 32]).public(), Json::empty_object());
    let (roles, project) = (BTreeSet::new(), "default".parse().unwrap());
    let ask = |region| {
        let transition = Transition::ExecutionApprove;
        compiled.ask(Question {
            signer: &signer,
            roles: &roles,
            transition,
            region,
            project: &project,
            inputs: &inputs,
        })
    };
    assert!(matches!(ask(Region::Execution), Ruling::Deny(_)));
    assert!(matches!(ask(Region::Council), Ruling::Permit(_)));
}
