//! `swoosh policy check`: whether a bundle can be used, and who may do what under it.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::str::FromStr as _;

use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};
use serde_json::json;

use super::Bundle;
use super::schema::schema;
use crate::cli::connect::exit;
use crate::cli::output::{Output, Table, count, wrapped};
use crate::machine::chart;
use crate::machine::policy::{CompiledPolicies, Question, Ruling, with_stack_for};
use crate::types::json::Json;
use crate::types::keys::SecretKey;
use crate::types::names::{Role, Transition};
use crate::types::text::ProjectName;

/// Errors and warnings of policies, from validation against the schema of the statechart.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
}

/// Validates policies.
pub(super) fn findings(text: &str) -> anyhow::Result<Findings> {
    with_stack_for(text, || validated(text))?
}

fn validated(text: &str) -> anyhow::Result<Findings> {
    let (schema, _) = Schema::from_cedarschema_str(&schema(text)?)?;
    let policies = PolicySet::from_str(text)?;
    let result = Validator::new(schema).validate(&policies, ValidationMode::default());
    let named = |id: &cedar_policy::PolicyId, message: String| {
        let name = policies.policy(id).and_then(|policy| policy.annotation("id")).unwrap_or_default();
        let message = message.replace(&format!("for policy `{id}`, "), "");
        if name.is_empty() { format!("{id}: {message}") } else { format!("{name}: {message}") }
    };
    let mut errors: Vec<String> =
        result.validation_errors().map(|error| named(error.policy_id(), error.to_string())).collect();
    let mut warnings: Vec<String> =
        result.validation_warnings().map(|warning| named(warning.policy_id(), warning.to_string())).collect();
    let unnamed = policies.policies().filter(|policy| policy.annotation("id").is_none());
    warnings
        .extend(unnamed.map(|policy| format!("{}: it has no @id, which reasons and records would name", policy.id())));
    [&mut errors, &mut warnings].into_iter().for_each(|messages| {
        messages.sort();
        messages.dedup();
    });
    Ok(Findings { errors, warnings })
}

/// Roles that may propose a transition with empty inputs: roles of the chart, as the policies judge them.
#[derive(Debug, serde::Serialize)]
struct Row {
    transition: Transition,
    allowed: Vec<Role>,
    denied: Vec<Role>,
}

fn rows(policies: &CompiledPolicies, project: &ProjectName) -> Vec<Row> {
    // Represents any key that the policies do not name.
    let signer = SecretKey::from_bytes(&[0; 32]).public();
    let permits = |transition: Transition, role: Role| {
        let (roles, region) = (BTreeSet::from([role]), chart::spec(transition).region);
        let inputs = &Json::empty_object();
        let question = Question { signer: &signer, roles: &roles, transition, region, project, inputs };
        matches!(policies.ask(question), Ruling::Permit(_))
    };
    let row = |&transition: &Transition| {
        let signers = chart::spec(transition).signers.iter().copied();
        let (allowed, denied) = signers.partition(|&role| permits(transition, role));
        Row { transition, allowed, denied }
    };
    Transition::ALL.iter().map(row).collect()
}

/// Checks a bundle and tells of it; exits with 1 where it cannot be used.
pub(super) fn check(output: Output, bundle: &Bundle, project: &ProjectName) -> anyhow::Result<ExitCode> {
    let policies = CompiledPolicies::compile(bundle.policies.clone())?;
    let mut found = findings(&bundle.policies.policies)?;
    found.warnings.extend(policies.kept_from_safety(project));
    let rows = rows(&policies, project);
    let good = found.errors.is_empty();
    let document = json!({
        "ok": good, "from": bundle.origin, "serial": policies.serial(), "hash": policies.hash(),
        "signer": bundle.signer, "errors": found.errors, "warnings": found.warnings, "transitions": rows,
    });
    output.say(&document, || text(bundle, &policies, &found, &rows))?;
    Ok(exit(good))
}

fn text(bundle: &Bundle, policies: &CompiledPolicies, found: &Findings, rows: &[Row]) -> String {
    let mut table = Table::with(&["transition", "roles that may propose it", "kept from it by the policies"]);
    for row in rows {
        table.row([row.transition.to_string(), roles(&row.allowed), roles(&row.denied)]);
    }
    let lines_of =
        |kind: &str, lines: &[String]| lines.iter().map(|line| format!("\n{kind}: {line}")).collect::<String>();
    let verdict = if found.errors.is_empty() { "good" } else { "cannot be used as it is meant" };
    let signed = bundle.signer.map_or_else(String::new, |signer| format!("\nsigned by {signer}"));
    let unreachable = rows.iter().filter(|row| row.allowed.is_empty()).count() as u64;
    let unreachable = if unreachable == 0 {
        String::new()
    } else {
        format!("\nno role may propose {}", count(unreachable, "transition"))
    };
    format!(
        "{}: {verdict}\n{}{signed}{}{}{unreachable}\n\n{}",
        bundle.origin,
        wrapped(&format!("serial {}, hash {}", policies.serial(), policies.hash())),
        lines_of("error", &found.errors),
        lines_of("warning", &found.warnings),
        table.text(0)
    )
}

fn roles(roles: &[Role]) -> String {
    if roles.is_empty() {
        "-".to_owned()
    } else {
        roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::default_policies;
    use crate::types::fact::PolicyBundle;

    fn errors(text: &str) -> Vec<String> {
        findings(text).unwrap().errors
    }

    #[test]
    fn the_policies_that_are_shipped_have_neither_errors_nor_warnings() {
        let optional = [
            include_str!("../../../config/policies/optional/licences.cedar"),
            include_str!("../../../config/policies/optional/four-eyes.cedar"),
        ];
        for text in optional.into_iter().chain([default_policies()]) {
            let found = findings(text).unwrap();
            assert!(found.errors.is_empty() && found.warnings.is_empty(), "{found:#?}");
        }
    }

    #[test]
    fn what_is_misspelt_is_an_error_that_names_its_policy() {
        for (text, expected) in [
            (r#"@id("p") permit (principal in Role::"operatr", action, resource);"#, "operatr"),
            (r#"@id("p") permit (principal, action == Action::"Ingestion_BytesOK", resource);"#, "Ingestion_BytesOK"),
            (
                r#"@id("p") forbid (principal, action == Action::"Control_Pause", resource) when { context.inputs.rational like "x" };"#,
                "rational",
            ),
            (
                r#"@id("p") forbid (principal, action == Action::"Ingestion_SchemaOk", resource) when { context has content && context.content.bytes like "x" };"#,
                "expected",
            ),
        ] {
            let errors = errors(text);
            assert!(
                errors.iter().any(|error| error.starts_with("p: ") && error.contains(expected)),
                "{text}: {errors:?}"
            );
        }
        assert!(findings("allow all").is_err());
    }

    #[test]
    fn an_optional_member_that_is_read_without_asking_is_an_error() {
        let text = r#"@id("p") forbid (principal, action == Action::"Ingestion_Retry", resource) when { context.inputs.sources.app.url like "x" };"#;
        assert!(!errors(text).is_empty());
    }

    #[test]
    fn the_rows_tell_who_the_policies_keep_out() {
        let text = r#"permit (principal in Role::"operator", action, resource);"#;
        let policies = CompiledPolicies::compile(PolicyBundle { serial: 1, policies: text.into() }).unwrap();
        let rows = rows(&policies, &"default".parse().unwrap());
        let of = |transition| rows.iter().find(|row| row.transition == transition).unwrap();
        assert_eq!(of(Transition::ControlPause).allowed, [Role::Operator]);
        let release = of(Transition::PolicyRelease);
        assert!(release.allowed.is_empty() && release.denied.contains(&Role::Human));
    }

    /// A bundle that forbade every operator to pause, terminate or revoke was checked as good, without a word.
    #[test]
    fn a_bundle_that_locks_out_those_who_stop_projects_is_warned_of() {
        let kept = |text: &str| {
            let policies = CompiledPolicies::compile(PolicyBundle { serial: 1, policies: text.into() }).unwrap();
            policies.kept_from_safety(&"default".parse().unwrap())
        };
        assert_eq!(kept(default_policies()), Vec::<String>::new());
        let pause = r#"@id("calm") forbid (principal, action == Action::"Control_Pause", resource);"#;
        let found = kept(&format!("{}{pause}", default_policies()));
        assert_eq!(found, ["it keeps Control_Pause from the role operator: policy calm forbids it"]);
        assert_eq!(kept(r#"permit (principal in Role::"agent", action, resource);"#).len(), 5);
        let reads = r#"@id("why") forbid (principal, action, resource) when { context.inputs.rationale == "" };"#;
        assert_eq!(kept(&format!("{}{reads}", default_policies())), Vec::<String>::new());
    }
}
