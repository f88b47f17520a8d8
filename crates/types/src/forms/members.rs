//! The meaning of the members of transition inputs.

/// The members and their meaning.
const DOCS: &[(&str, &str)] = &[
    ("alive", "The elected members that the liveness fact counts as alive."),
    ("allocation", "A new allocation; left out, the present one stays."),
    ("approval_threshold", "A new threshold of approvals; left out, the present one stays."),
    ("assets", "The assets that were built, with their content hashes."),
    ("assets_hash", "The manifest hash of the environment's assets (`GET /state`, section environment)."),
    ("beat", "The beat of the window, as `GET /windows` counts it."),
    ("breach", "The breach that the node found; only the node names one."),
    ("breach_inputs", "The inputs of the forbidden proposal, if the quarantine has a breach."),
    ("bundle_hash", "Hash of the policy bundle in force."),
    ("bundle_serial", "Serial of the policy bundle in force."),
    ("candidates", "The candidates for the council."),
    ("cause", "The change of the license."),
    ("content_hash", "Hash of the content manifest (`GET /state`, section ingestion)."),
    ("council_epoch", "The council region's epoch (`GET /state`)."),
    ("document", "The project document."),
    ("effect", "The open effect whose outcome this is (`GET /effects`)."),
    ("failure", "Why it failed."),
    ("fetched", "Commit and tree of every source and upstream."),
    ("from_version", "The project's chart version."),
    ("identity", "Name, roles and limits of the identity."),
    ("justification", "Why the project is released."),
    ("key", "The identity's key."),
    ("manifest_hash", "sha256 of the canonical bytes of `assets`."),
    ("member", "The elected member that leaves."),
    ("member_set_hash", "sha256 of the canonical bytes of the members."),
    ("members", "The elected members and their roles."),
    ("new", "The new key."),
    ("old", "The key that is replaced."),
    ("outcomes", "The outcomes of the checks."),
    ("overlap_ms", "How long both keys count, in milliseconds; left out, 0."),
    ("plan_hash", "Hash of the plan."),
    ("proof", "The new key's signature over the rotation (docs/protocol.md)."),
    ("rationale", "The reason, in the caller's words."),
    ("resolved", "The commit of every source and upstream."),
    ("rework_round", "The round of rework (`GET /state`, section execution)."),
    ("roles", "New roles of the council; left out, the present ones stay."),
    ("schema_hash", "Hash of the newer chart without its prose."),
    ("seat", "The seat of the council that a granted caller of WHOOSH is mapped to."),
    ("serial", "Serial of the policy bundle in force."),
    ("servers", "Name and version that each pinned server reports."),
    ("sources", "New sources; left out, the present ones stay."),
    ("submission", "The address of the result."),
    ("submission_hash", "Hash of the result."),
    ("to_version", "The node's chart version."),
    ("unreachable", "The pinned servers that did not answer as pinned, with the reason."),
    ("upstreams", "New upstreams; left out, the present ones stay."),
    ("version", "A content version of ingestion."),
    ("votes", "The candidates' votes for the member set."),
];

/// The meaning of a member of transition inputs.
pub fn member_doc(name: &str) -> &'static str {
    DOCS.iter().find(|(known, _)| *known == name).map_or("", |(_, doc)| doc)
}

/// The least and the most that guards admit of a number.
pub fn member_range(name: &str) -> Option<(u64, u64)> {
    match name {
        "overlap_ms" => Some((0, 7 * 86_400_000)),
        "approval_threshold" => Some((1, 64)),
        _ => None,
    }
}
