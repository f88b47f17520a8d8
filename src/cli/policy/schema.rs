//! The Cedar schema of SWOOSH: principals, actions, resources, and the members that inputs have, from the
//! statechart. Policies are validated against it, so that a misspelt role, transition or member is found
//! before a node judges by it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::members;
use crate::machine::chart;
use crate::types::names::{Region, Role, Transition};

/// Most names of members that policies may have. Each map of the schema gets all of them, and Cedar's validator takes time in
/// proportion to the size of the schema.
pub(super) const MAX_NAMES: usize = 2_000;

/// The policies name too many members to be validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the policies name {0} members, and {MAX_NAMES} are the most that can be validated; test many names in one set, \
     [\u{2026}].contains(\u{2026}), or divide the policies among projects"
)]
pub(super) struct TooManyNames(usize);

/// The schema, in Cedar's own syntax. Maps with free names have every member that `policies` names, because Cedar
/// knows no map.
pub(super) fn schema(policies: &str) -> Result<String, TooManyNames> {
    let named = members::named(policies);
    if named.len() > MAX_NAMES {
        return Err(TooManyNames(named.len()));
    }
    let roles: Vec<String> = Role::ALL.iter().map(|role| format!("{:?}", role.as_str())).collect();
    let mut text = format!("entity Project;\nentity Role enum [{}];\nentity Identity in [Role];\n", roles.join(", "));
    for (name, value) in MAPS {
        let _ = writeln!(text, "type {name} = {};", map(value, &named));
    }
    for region in Region::ALL {
        let _ = writeln!(text, "action {:?};", region.as_str());
    }
    for &transition in Transition::ALL {
        let spec = chart::spec(transition);
        let _ = writeln!(
            text,
            "action {:?} in [{:?}] appliesTo {{ principal: Identity, resource: Project, context: {} }};",
            transition.as_str(),
            spec.region.as_str(),
            context(spec.inputs)
        );
    }
    Ok(text)
}

fn context(inputs: &[(&str, &str)]) -> String {
    let members = inputs.iter().map(|(name, kind)| {
        let (kind, mark) = kind.strip_suffix('?').map_or((*kind, ""), |kind| (kind, "?"));
        format!("{name:?}{mark}: {}", cedar_type(kind))
    });
    let members: Vec<String> = members.collect();
    let content = inputs.iter().any(|(_, kind)| kind.starts_with("CheckOutcomes"));
    let content = if content { format!(", content?: {CONTENT}") } else { String::new() };
    format!("{{ inputs: {{ {} }}{content} }}", members.join(", "))
}

const CONTENT: &str = "{ sources: Set<String>, checks: Set<String>, failed: Set<String>, licences: Set<String>, \
    flags: Set<String>, paths: Set<String>, paths_left_out: Long, files: Long, bytes: Long, largest_file_bytes: Long }";
const CHECK_OUTCOMES: &str = "Set<{ check: String, source: String, ok: Bool, detail?: String, seen?: { files?: Long, \
    bytes?: Long, largest_file_bytes?: Long, licences?: Set<String>, flags?: Set<String>, paths?: Set<String>, \
    paths_left_out?: Long } }>";
const GRANT: &str = "{ name: String, roles: Set<String> }";
/// Maps with free names, and the type of their values. Each is written once in the schema, since it may be long.
const MAPS: [(&str, &str); 9] = [
    ("Texts", "String"),
    ("Counts", "Long"),
    ("Fetched", "{ commit: String, tree: String }"),
    ("Resolved", "{ commit: String }"),
    ("Servers", "{ server: String, version: String }"),
    ("Sources", "{ url: String, ref: String }"),
    ("Roles", "{ capabilities: Set<String>, seats: Long }"),
    ("Pins", "{ url: String, server: String, version: String }"),
    ("Grants", GRANT),
];

/// A type of the statechart in Cedar's notation. JSON text is a string.
fn cedar_type(kind: &str) -> &str {
    match kind {
        "Count" => "Long",
        "PublicKeys" => "Set<String>",
        "Failure" => "{ detail: String, unknown?: Bool }",
        "IdentityGrant" => GRANT,
        "CheckOutcomes" => CHECK_OUTCOMES,
        "Candidates" => "Set<{ key: String, capabilities: Set<String> }>",
        "Votes" => "Set<{ voter: String, signature: String }>",
        "Breach" => {
            "{ signer: String, roles: Set<String>, transition: String, inputs_hash: String, bundle_serial: Long, \
             reasons: Set<String> }"
        }
        "Allocation" => "Counts",
        "AssetOutcomes" | "Assets" | "Members" | "UnreachableServers" | "Json" => "Texts",
        "FetchedSources" => "Fetched",
        "ResolvedSources" => "Resolved",
        "ServersSeen" => "Servers",
        "SourceSet" => "Sources",
        "RoleSpecs" => "Roles",
        "ProjectDocument" => {
            "{ sources: Sources, upstreams?: Sources, roles: Roles, tool_pins?: Pins, allocation?: Counts, builds?: Set<{ environment: \
             String, builder: String, variant?: String }>, limits?: { retries?: Long }, council?: { quorum?: String, min_members?: \
             Long }, approval_threshold: Long, identities: Grants }"
        }
        _ => "String",
    }
}

fn map(value: &str, named: &BTreeSet<String>) -> String {
    let members: Vec<String> = named.iter().map(|name| format!("{name:?}?: {value}")).collect();
    format!("{{ {} }}", members.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_of_the_chart_has_a_type_that_says_more_than_text_or_is_text() {
        let texts = ["Detail", "EffectId", "Hash", "PublicKey", "Rationale", "Signature", "UcxlAddress"];
        let kinds: BTreeSet<&str> = Transition::ALL
            .iter()
            .flat_map(|&transition| chart::spec(transition).inputs)
            .map(|(_, kind)| kind.trim_end_matches('?'))
            .collect();
        for kind in kinds {
            let is_text = cedar_type(kind) == "String";
            assert_eq!(is_text, texts.contains(&kind), "{kind}: give it a type in cedar_type");
        }
    }

    #[test]
    fn every_map_is_defined_and_used() {
        let text = schema("forbid when { context.inputs.assets has zzz };").unwrap();
        for (name, _) in MAPS {
            assert!(
                text.contains(&format!("type {name} = {{ ")) && text.matches(&format!(": {name}")).count() > 0,
                "{name}"
            );
        }
        assert_eq!(text.matches("\"zzz\"").count(), MAPS.len());
    }

    /// Each string of a set became a member of each map: 4,000 took the check 17 s, 20,000 took 80 s.
    #[test]
    fn strings_of_a_set_add_nothing_to_the_schema() {
        let texts: Vec<String> = (0..20_000).map(|n| format!("\"path/{n}\"")).collect();
        let keys: Vec<String> = (0..5_000).map(|n| format!("Identity::\"key{n}\"")).collect();
        let policy = |condition: &str| format!("forbid (principal, action, resource) when {{ {condition} }};");
        let small = schema(&policy("[].contains(context.inputs.rationale) || principal in []")).unwrap();
        let large = policy(&format!(
            "[{}].contains(context.inputs.rationale) || principal in [{}]",
            texts.join(", "),
            keys.join(",")
        ));
        assert_eq!(schema(&large).unwrap(), small);
        let names: Vec<String> = (0..=MAX_NAMES).map(|n| policy(&format!("context.inputs.assets has n{n}"))).collect();
        let error = schema(&names.join("\n")).unwrap_err().to_string();
        assert!(error.contains("2000 are the most") && error.contains("in one set"), "{error}");
        let most = names.get(..MAX_NAMES - 10).unwrap().join("\n");
        assert!(schema(&most).is_ok());
    }
}
