//! The Cedar schema of SWOOSH: principals, actions, resources, and the members that inputs have, from the
//! statechart. Policies are validated against it, so that a misspelt role, transition or member is found
//! before a node judges by it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::machine::chart;
use crate::types::names::{Region, Role, Transition};

/// The schema, in Cedar's own syntax. Maps with free names have every member that `policies` names, because Cedar
/// knows no map.
pub(super) fn schema(policies: &str) -> String {
    let named = named(policies);
    let roles: Vec<String> = Role::ALL.iter().map(|role| format!("{:?}", role.as_str())).collect();
    let mut text = format!("entity Project;\nentity Role enum [{}];\nentity Identity in [Role];\n", roles.join(", "));
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
            context(spec.inputs, &named)
        );
    }
    text
}

/// Words of the policies that may be names of members: quoted texts and identifiers.
fn named(policies: &str) -> BTreeSet<String> {
    let code: Vec<&str> = policies.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let quoted = code.split('"').skip(1).step_by(2);
    let words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let plain = |text: &&str| !text.is_empty() && text.len() <= 200 && !text.contains(['\\', '*', '\n']);
    quoted.chain(words).filter(plain).map(str::to_owned).collect()
}

fn context(inputs: &[(&str, &str)], named: &BTreeSet<String>) -> String {
    let members = inputs.iter().map(|(name, kind)| {
        let (kind, mark) = kind.strip_suffix('?').map_or((*kind, ""), |kind| (kind, "?"));
        format!("{name:?}{mark}: {}", cedar_type(kind, named))
    });
    let members: Vec<String> = members.collect();
    let content = inputs.iter().any(|(_, kind)| kind.starts_with("CheckOutcomes"));
    let content = if content { format!(", content?: {CONTENT}") } else { String::new() };
    format!("{{ inputs: {{ {} }}{content} }}", members.join(", "))
}

const CONTENT: &str = "{ sources: Set<String>, checks: Set<String>, failed: Set<String>, licences: Set<String>, \
    flags: Set<String>, paths: Set<String>, paths_left_out: Long, files: Long, bytes: Long, largest_file_bytes: Long }";
const SEEN: &str = "{ files?: Long, bytes?: Long, largest_file_bytes?: Long, licences?: Set<String>, \
    flags?: Set<String>, paths?: Set<String>, paths_left_out?: Long }";
const SOURCE: &str = "{ url: String, ref: String }";
const ROLE: &str = "{ capabilities: Set<String>, seats: Long }";
const GRANT: &str = "{ name: String, roles: Set<String> }";

/// A type of the statechart in Cedar's notation. JSON text is a string.
fn cedar_type(kind: &str, named: &BTreeSet<String>) -> String {
    let map = |value: &str| map(value, named);
    match kind {
        "Count" => "Long".to_owned(),
        "PublicKeys" => "Set<String>".to_owned(),
        "Failure" => "{ detail: String, unknown?: Bool }".to_owned(),
        "IdentityGrant" => GRANT.to_owned(),
        "CheckOutcomes" => {
            format!("Set<{{ check: String, source: String, ok: Bool, detail?: String, seen?: {SEEN} }}>")
        }
        "Candidates" => "Set<{ key: String, capabilities: Set<String> }>".to_owned(),
        "Votes" => "Set<{ voter: String, signature: String }>".to_owned(),
        "Breach" => "{ signer: String, roles: Set<String>, transition: String, inputs_hash: String, \
            bundle_serial: Long, reasons: Set<String> }"
            .to_owned(),
        "Allocation" => map("Long"),
        "AssetOutcomes" | "Assets" | "Members" | "UnreachableServers" | "Json" => map("String"),
        "FetchedSources" => map("{ commit: String, tree: String }"),
        "ResolvedSources" => map("{ commit: String }"),
        "ServersSeen" => map("{ server: String, version: String }"),
        "SourceSet" => map(SOURCE),
        "RoleSpecs" => map(ROLE),
        "ProjectDocument" => format!(
            "{{ sources: {}, upstreams?: {}, roles: {}, tool_pins?: {}, allocation?: {}, builds?: Set<{{ environment: String, builder: \
             String, variant?: String }}>, limits?: {{ retries?: Long }}, council?: {{ quorum?: String, min_members?: Long }}, approval_threshold: Long, identities: {} }}",
            map(SOURCE),
            map(SOURCE),
            map(ROLE),
            map("{ url: String, server: String, version: String }"),
            map("Long"),
            map(GRANT)
        ),
        _ => "String".to_owned(),
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
            let is_text = cedar_type(kind, &BTreeSet::new()) == "String";
            assert_eq!(is_text, texts.contains(&kind), "{kind}: give it a type in cedar_type");
        }
    }

    #[test]
    fn names_are_taken_from_code_and_not_from_comments() {
        let found = named("// \"hidden\" words\nforbid when { context.inputs.assets has \".env\" };");
        assert!(found.contains(".env") && found.contains("assets") && !found.contains("hidden"));
    }
}
