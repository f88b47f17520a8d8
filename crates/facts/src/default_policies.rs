//! Permissions, denials and breaches of the built-in policies.

use std::collections::BTreeSet;

use swoosh_machine::chart;
use swoosh_machine::policy::{CompiledPolicies, Question, Ruling};
use swoosh_types::content_flag::ContentFlag;
use swoosh_types::fact::PolicyBundle;
use swoosh_types::json::Json;
use swoosh_types::keys::SecretKey;
use swoosh_types::names::{Role, Transition};

const TEXT: &str = include_str!("../../../config/policies/default.cedar");

fn compiled() -> CompiledPolicies {
    CompiledPolicies::compile(PolicyBundle { serial: 1, policies: TEXT.into() }).unwrap()
}

fn rule(roles: &[Role], transition: Transition, inputs: &str) -> Ruling {
    ask(&compiled(), roles, transition, inputs)
}

fn ask(policies: &CompiledPolicies, roles: &[Role], transition: Transition, inputs: &str) -> Ruling {
    policies.ask(Question {
        signer: &SecretKey::from_bytes(&[5; 32]).public(),
        roles: &roles.iter().copied().collect::<BTreeSet<_>>(),
        transition,
        region: chart::spec(transition).region,
        project: &"default".parse().unwrap(),
        inputs: &Json::parse(inputs.as_bytes()).unwrap(),
    })
}

#[test]
fn every_signer_of_the_chart_is_permitted() {
    let policies = compiled();
    for &transition in Transition::ALL {
        for &role in chart::spec(transition).signers {
            let ruling = ask(&policies, &[role], transition, "{}");
            assert!(matches!(ruling, Ruling::Permit(_)), "{role} {transition}: {ruling:?}");
        }
    }
}

#[test]
fn every_policy_has_an_id() {
    let lines: Vec<_> = TEXT.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let starts = |word: &str| lines.iter().filter(|line| line.starts_with(word)).count();
    assert_eq!(starts("@id(\""), starts("permit (") + starts("forbid ("));
    assert!(starts("@breach(\"") >= 4);
}

/// VALIDATE's outcome with these flags.
fn content(flags: &[ContentFlag]) -> Ruling {
    let flags: Vec<_> = flags.iter().map(|flag| format!("\"{flag}\"")).collect();
    let seen = format!(r#"{{"files": 1, "bytes": 1, "largest_file_bytes": 1, "flags": [{}]}}"#, flags.join(","));
    let inputs = format!(r#"{{"outcomes": [{{"check": "scan", "source": "app", "ok": true, "seen": {seen}}}]}}"#);
    rule(&[Role::Node], Transition::IngestionSchemaOk, &inputs)
}

/// The bundle knew `path-escape`, `link-escape` and `malware`, and the node raised `escaping-link` and `scanner`: no rule
/// but that of private keys ever struck.
#[test]
fn the_default_policies_and_the_node_share_one_vocabulary_of_flags() {
    let policies: Vec<_> = TEXT.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let policies = policies.join("\n");
    let asked = policies.split("context.content.flags.").skip(1).map(|rest| rest.split(')').next().unwrap());
    let asked: BTreeSet<&str> = asked.flat_map(|list| list.split('"').skip(1).step_by(2)).collect();
    let breaches = ContentFlag::ALL.iter().filter(|flag| flag.is_breach()).map(|flag| flag.as_str());
    assert_eq!(asked, breaches.collect());
}

#[test]
fn every_combination_of_flags_is_a_breach_where_one_of_them_is() {
    for set in 0u32..1 << ContentFlag::ALL.len() {
        let flags: Vec<_> =
            (0..).zip(ContentFlag::ALL).filter(|(n, _)| set >> n & 1 == 1).map(|(_, flag)| *flag).collect();
        let ruling = content(&flags);
        let is_breach = flags.iter().any(|flag| flag.is_breach());
        assert_eq!(matches!(ruling, Ruling::Breach(_)), is_breach, "{flags:?}: {ruling:?}");
        assert_eq!(matches!(ruling, Ruling::Permit(_)), !is_breach, "{flags:?}: {ruling:?}");
    }
}

#[test]
fn the_page_of_policies_lists_every_flag() {
    let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("docs/policies.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) =
        page.split_once("| --- | --- | --- |\n").and_then(|_| page.split_once("built-in bundle |\n")).unwrap();
    let (_, tail) = rest.split_once("\n<!-- end of flags -->").unwrap();
    let row = |flag: &ContentFlag| {
        let verdict = if flag.is_breach() { "breach" } else { "permits" };
        format!("| `{flag}` | {} | {verdict} |\n", flag.meaning())
    };
    let rows: String = ContentFlag::ALL.iter().map(row).collect();
    let made = format!("{head}built-in bundle |\n| --- | --- | --- |\n{rows}\n<!-- end of flags -->{tail}");
    if std::env::var_os("SWOOSH_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap();
    assert_eq!(page, made, "docs/policies.md is stale; run the test with SWOOSH_BLESS=1");
}

#[test]
fn roles_do_not_act_outside_their_regions() {
    for (role, transition) in [
        (Role::Worker, Transition::ControlTerminate),
        (Role::Agent, Transition::ControlPause),
        (Role::Voter, Transition::IngestionRollbackIndex),
        (Role::Human, Transition::ExecutionSubmit),
    ] {
        assert_eq!(rule(&[role], transition, "{}"), Ruling::Deny(vec!["no policy permits it".into()]));
    }
    assert!(matches!(rule(&[], Transition::ExecutionSubmit, "{}"), Ruling::Deny(_)));
}

#[test]
fn duties_stay_apart() {
    let denied = |policy: &str| Ruling::Deny(vec![format!("policy {policy} forbids it")]);
    assert_eq!(rule(&[Role::Reader], Transition::ExecutionSubmit, "{}"), denied("readers-propose-nothing"));
    assert!(matches!(rule(&[Role::Reader, Role::Operator], Transition::ControlPause, "{}"), Ruling::Permit(_)));
    let judge = [Role::Agent, Role::Human];
    assert_eq!(rule(&judge, Transition::PolicyRelease, "{}"), denied("agents-do-not-judge-quarantines"));
    assert!(matches!(rule(&[Role::Human, Role::Operator], Transition::PolicyRelease, "{}"), Ruling::Permit(_)));
    let reviewer = [Role::Worker, Role::Voter];
    assert_eq!(rule(&reviewer, Transition::ExecutionApprove, "{}"), denied("workers-do-not-approve"));
}

#[test]
fn submissions_of_secrets_are_breaches() {
    let submit = |path: &str| {
        let inputs = format!(r#"{{"submission": "ucxl://a:b@c/~~latest/{path}"}}"#);
        rule(&[Role::Agent], Transition::ExecutionSubmit, &inputs)
    };
    for path in ["secrets/x", "keys/tls.pem", "deploy/.env", ".env.production", "home/.ssh/config", "id_rsa", "n.key"] {
        assert!(matches!(submit(path), Ruling::Breach(_)), "{path}");
    }
    for path in ["src/main.rs", "docs/secrets.md", "keyboard/layout", "environment", "pem/readme"] {
        assert!(matches!(submit(path), Ruling::Permit(_)), "{path}");
    }
}

#[test]
fn assets_and_texts_with_secrets_are_breaches() {
    let breach = |role, transition, inputs: &str| {
        let ruling = rule(&[role], transition, inputs);
        assert!(matches!(ruling, Ruling::Breach(ref reasons) if reasons.len() == 1), "{inputs}: {ruling:?}");
    };
    breach(Role::Worker, Transition::EnvironmentInstalled, r#"{"assets": {"id_rsa": "sha256-0"}}"#);
    let pem = "-----BEGIN RSA PRIVATE KEY-----";
    breach(Role::Operator, Transition::ControlPause, &format!(r#"{{"rationale": "see {pem} MII"}}"#));
    breach(Role::Human, Transition::PolicyRelease, &format!(r#"{{"justification": "{pem}"}}"#));
    let failure = r#"{"failure": {"detail": "401 for Authorization: Bearer abc"}}"#;
    breach(Role::Worker, Transition::IngestionFetchFailed, failure);
    let harmless = r#"{"failure": {"detail": "https://a.example:443/x@v1 answers 404"}}"#;
    assert!(matches!(rule(&[Role::Worker], Transition::IngestionFetchFailed, harmless), Ruling::Permit(_)));
    let harmless = r#"{"rationale": "rotate the private key", "assets": {"id_rsa.pub": "sha256-0"}}"#;
    assert!(matches!(rule(&[Role::Worker], Transition::EnvironmentInstalled, harmless), Ruling::Permit(_)));
}
