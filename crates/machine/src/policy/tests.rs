//! The cached ruling equals the full one.

use super::*;
use swoosh_types::keys::SecretKey;
use swoosh_types::names::Role;

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
    let remembered = compare(include_str!("../../../../config/policies/default.cedar"), 1);
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
fn members_are_distinguished_however_they_are_read() {
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

/// A line break in a name forges a line of a report.
#[test]
fn control_characters_in_names_and_reasons_are_refused_and_printed_escaped() {
    for annotations in [
        r#"@id("a\nb")"#,
        r#"@id("a\u{7f}b")"#,
        r#"@id("a\u{1b}[1m")"#,
        r#"@breach("a\nb")"#,
        r#"@id("a\nb") @breach("\u{9b}")"#,
    ] {
        let policies = format!("{annotations} forbid (principal, action, resource);");
        let error = CompiledPolicies::compile(PolicyBundle { serial: 1, policies }).unwrap_err();
        assert!(matches!(error, PolicyError::Text { .. } | PolicyError::NoReason(_)), "{error:?}");
        let error = error.to_string();
        assert!(error.contains("control characters") && !error.contains(char::is_control), "{error:?}");
    }
    compile(r#"@id("a b") @breach("c d") forbid (principal, action, resource);"#);
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

/// A condition of one shape with `n` levels.
type Shape = (&'static str, fn(usize) -> String);

fn around(before: &str, inner: &str, after: &str, n: usize) -> String {
    [&before.repeat(n), inner, &after.repeat(n)].concat()
}

/// Everything that makes Cedar recurse.
const SHAPES: [Shape; 19] = [
    ("or", |n| vec!["context.inputs == {}"; n].join(" || ")),
    ("and", |n| vec!["1 == 1"; n].join(" && ")),
    ("sum", |n| format!("{} > 0", vec!["1"; n].join(" + "))),
    ("product", |n| format!("{} > 0", vec!["1"; n].join(" * "))),
    ("parentheses", |n| around("(", "true", ")", n)),
    ("negations", |n| around("!(", "true", ")", n)),
    ("sums in parentheses", |n| format!("{} > 0", around("(1 + ", "1", ")", n))),
    ("alternatives in parentheses", |n| around("(false || ", "true", ")", n)),
    ("sets", |n| format!("{} == 1", around("[", "1", "]", n))),
    ("records", |n| format!("{} == 1", around("{a: ", "1", "}", n))),
    ("conditions", |n| around("if ", "true", " then true else false", n)),
    ("consequences", |n| around("if true then ", "true", " else false", n)),
    ("otherwise", |n| around("if false then true else ", "true", "", n)),
    ("ifs in parentheses", |n| around("(if true then (", "true", ") else false)", n)),
    ("members", |n| around("context", ".a", "", 1) + &".a".repeat(n) + " == 1"),
    ("indexes", |n| format!("context{} == 1", r#"["a"]"#.repeat(n))),
    ("presence", |n| format!("context has a{}", ".a".repeat(n))),
    ("calls", |n| format!("[true]{}", ".contains(true)".repeat(n))),
    ("calls within calls", |n| around("[true].contains(", "true", ")", n)),
];

/// The largest bundle of a shape, and its depth.
fn at_the_bound(shape: fn(usize) -> String) -> (PolicyBundle, usize) {
    let text = |n| format!("@id(\"p\") permit (principal, action, resource) when {{ {} }};", shape(n));
    let found = (1..=MAX_DEPTH).rev().map(text).find_map(|text| Some((depth::depth(&text).ok()?, text)));
    let (depth, policies) = found.unwrap();
    assert!(depth > MAX_DEPTH - 8, "a shape that is not at the bound proves nothing");
    (PolicyBundle { serial: 1, policies }, depth)
}

/// Runs work on a thread with a stack of this size. Where that overflows, the whole test process ends.
fn within<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(bytes).spawn(work).unwrap().join().unwrap()
}

fn pause(ask: impl FnOnce(Question<'_>) -> Ruling) -> Ruling {
    let (signer, project) = (&SecretKey::from_bytes(&[1; 32]).public(), &"default".parse().unwrap());
    let (roles, inputs) = (&BTreeSet::from([Role::Operator]), &Json::empty_object());
    ask(Question { signer, roles, transition: Transition::ControlPause, region: Region::Control, project, inputs })
}

/// A condition of 531 alternatives, or 1,000 parentheses, overflowed the sequencer's stack at the first proposal, and again
/// after each restart.
#[test]
fn at_the_greatest_depth_half_of_the_stack_is_enough() {
    for (name, shape) in SHAPES {
        let (bundle, depth) = at_the_bound(shape);
        let compiled = within(stack::reading_bytes(depth) / 2, move || {
            let compiled = CompiledPolicies::read(bundle, depth).unwrap();
            drop(Relevant::of(&compiled.policies, compiled.readings(), Transition::ControlPause, Region::Control));
            compiled
        });
        let ruling = within(stack::asking_bytes(depth) / 2, move || pause(|question| compiled.ask_in_full(&question)));
        // Cedar refuses what comes near the end of the stack, and would then judge by the thread that it runs on.
        assert!(!format!("{ruling:?}").contains("recursion"), "{name}: {ruling:?}");
    }
}

#[test]
fn at_the_greatest_depth_any_thread_may_read_ask_and_drop_policies() {
    for (_, shape) in SHAPES {
        let (bundle, _) = at_the_bound(shape);
        within(512 << 10, move || {
            let compiled = CompiledPolicies::compile(bundle).unwrap();
            let first = pause(|question| compiled.ask(question));
            assert_eq!(pause(|question| compiled.ask(question)), first);
            assert!(!format!("{first:?}").contains("recursion"), "{first:?}");
        });
    }
}

#[test]
fn what_is_deeper_is_refused_on_any_thread() {
    for (_, shape) in SHAPES {
        for n in [MAX_DEPTH + 1, 20_000] {
            let policies = format!("permit (principal, action, resource) when {{ {} }};", shape(n));
            let error = within(256 << 10, move || {
                let bundle = PolicyBundle { serial: 1, policies };
                CompiledPolicies::recorded(bundle).unwrap_err()
            });
            assert!(matches!(error, PolicyError::TooDeep { line: 1 }), "{error}");
        }
    }
}

/// Cedar's parser recovers from errors; the recovered policy must not be deeper than the counted depth.
#[test]
fn broken_texts_overflow_no_stack() {
    let units = [
        "[ ) , ",
        "{ x } : 1 , ",
        "{ x } : ",
        "( ] || ",
        "[ { x } : ",
        "( ; ",
        "if ",
        "if a then b , ",
        "\" ( ",
        "// \r( ",
        "@ ( ",
        "a ( ",
        "x :: { ",
    ];
    for unit in units {
        for (before, after) in
            [("permit (principal, action, resource) when { ", " };"), ("", ""), ("permit (principal == ", ");")]
        {
            let policies = format!("{before}{}{after}", unit.repeat(20_000));
            let refused =
                within(2 << 20, move || CompiledPolicies::recorded(PolicyBundle { serial: 1, policies }).is_err());
            assert!(refused, "{unit}");
        }
    }
}

/// It was called good and had no effect.
#[test]
fn a_template_is_refused_when_it_is_new_and_read_where_it_was_recorded() {
    let text =
        r#"permit (principal, action, resource); @id("no-pauses") forbid (principal == ?principal, action, resource);"#;
    let bundle = PolicyBundle { serial: 1, policies: text.into() };
    let error = CompiledPolicies::compile(bundle.clone()).unwrap_err();
    assert_eq!(error, PolicyError::Template("no-pauses".into()));
    assert!(CompiledPolicies::recorded(bundle).is_ok());
}

/// Cedar parsed each policy again for each transition, at the first proposal of its kind: a bundle with a set of 20,000 strings kept the
/// sequencer for 90 ms each time.
#[test]
fn what_policies_read_is_found_once_and_for_new_ones_before_they_are_asked() {
    let texts: Vec<String> = (0..2_000).map(|n| format!("\"path/{n}\"")).collect();
    let condition =
        format!("context.inputs has rationale && [{}].contains(context.inputs.rationale)", texts.join(", "));
    let policies = format!("permit (principal, action, resource) when {{ {condition} }};");
    let bundle = PolicyBundle { serial: 1, policies };
    let compiled = CompiledPolicies::compile(bundle.clone()).unwrap();
    let found = std::ptr::from_ref(compiled.readings.get().unwrap());
    pause(|question| compiled.ask(question));
    assert_eq!(found, std::ptr::from_ref(compiled.readings()));
    let recorded = CompiledPolicies::recorded(bundle).unwrap();
    assert!(recorded.readings.get().is_none());
    assert_eq!(pause(|question| recorded.ask(question)), pause(|question| compiled.ask_in_full(&question)));
}
