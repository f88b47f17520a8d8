//! Forms of lists, maps and objects.

use super::{Form, Member, Named};

const fn list(name: &'static str, doc: &'static str, of: &'static str, bound: Option<&'static str>) -> Named {
    Named { name, doc, form: Form::List { of, most: None }, bound }
}

/// A list whose reader has a bound of its own.
const fn short_list(name: &'static str, doc: &'static str, of: &'static str, most: usize) -> Named {
    Named { name, doc, form: Form::List { of, most: Some(most) }, bound: None }
}

const fn map(
    name: &'static str,
    doc: &'static str,
    key: &'static str,
    of: &'static str,
    bound: Option<&'static str>,
) -> Named {
    Named { name, doc, form: Form::Map { key, of }, bound }
}

const fn object(name: &'static str, doc: &'static str, members: &'static [Member]) -> Named {
    Named { name, doc, form: Form::Object(members), bound: None }
}

const fn must(name: &'static str, of: &'static str, doc: &'static str) -> Member {
    Member { name, of, required: true, doc, example: None, range: None }
}

const fn may(name: &'static str, of: &'static str, doc: &'static str) -> Member {
    Member { required: false, ..must(name, of, doc) }
}

const fn like(member: Member, example: &'static str) -> Member {
    Member { example: Some(example), ..member }
}

const fn within(member: Member, least: u64, most: u64) -> Member {
    Member { range: Some((least, most)), ..member }
}

/// The members of a proposal, without `inputs` and `signature`.
pub(super) const PROPOSAL: &[Member] = &[
    may("project", "ProjectName", ""),
    must("current_state_hash", "Hash", ""),
    must("transition", "Transition", ""),
    must("inputs", "Json", ""),
    must("inputs_hash", "Hash", ""),
    must("signer", "PublicKey", ""),
    must("idem_key", "IdemKey", ""),
    must("hlc", "Hlc", ""),
    may("window_id", "WindowId", ""),
    must("evidence", "Evidence", ""),
];

/// Lists, maps and objects.
pub(super) const DOCUMENTS: &[Named] = &[
    object(
        "ProjectDocument",
        "The project document, which Boot_ConfigOk gives once.",
        &[
            must("sources", "SourceSet", "Repositories whose content the project works on."),
            may("upstreams", "SourceSet", "Pinned upstream toolchains, fetched beside the sources."),
            must("roles", "RoleSpecs", "Roles of the council."),
            may("tool_pins", "ToolPins", "MCP servers that must answer before the council is ready."),
            like(may("allocation", "Allocation", "The allocation of the environment."), "{\"vcpu\": 4}"),
            may(
                "builds",
                "BuildChoices",
                "The builds for the environment; left out, those of the node's settings (`effects.builds`).",
            ),
            may("limits", "Limits", "Limits of the project."),
            may("council", "CouncilRules", "How the council is elected."),
            within(like(must("approval_threshold", "Count", "Approvals that lead from REVIEW to REVERB."), "2"), 1, 64),
            must("identities", "Identities", "Identities that may propose, beside those of the node's settings."),
        ],
    ),
    map("SourceSet", "Repositories by name.", "Name", "SourceSpec", Some("sources")),
    object(
        "SourceSpec",
        "The place of a repository, and the reference that is wanted.",
        &[
            must("url", "Url", "`https://`, `ssh://` or `file://`."),
            must("ref", "GitRef", "A commit, a tag, or a branch that the settings allow to float."),
        ],
    ),
    map("RoleSpecs", "Roles of the council by name.", "Name", "RoleSpec", Some("roles")),
    object(
        "RoleSpec",
        "Requirements of one council role.",
        &[
            must("capabilities", "Capabilities", "The capabilities that its holder should have."),
            within(like(must("seats", "Count", "How many members hold it."), "3"), 1, 64),
        ],
    ),
    list("Capabilities", "Capabilities; repeated ones count once.", "Capability", Some("capabilities")),
    map("ToolPins", "MCP servers by name.", "Name", "ToolPin", Some("tool_pins")),
    object(
        "ToolPin",
        "An MCP server that must answer, with the name and version that it must report.",
        &[
            must("url", "Url", "Its address (streamable HTTP)."),
            must("server", "ServerName", "The name that it must report."),
            must("version", "Version", "The version that it must report."),
        ],
    ),
    map(
        "Allocation",
        "Amounts by resource, in the resource's own unit (`vcpu`, `memory_mib`, …).",
        "Name",
        "Count",
        Some("resources"),
    ),
    list("BuildChoices", "Builds of an environment.", "BuildChoice", Some("resources")),
    object(
        "BuildChoice",
        "One build, by the names of the node's definitions (`swoosh templates list`).",
        &[
            must("environment", "Name", "The environment."),
            must("builder", "Name", "The builder of the inventory; `source.` may be left out."),
            may("variant", "Name", "The variant of the environment."),
        ],
    ),
    object(
        "Limits",
        "Limits of a project.",
        &[within(
            may("retries", "Count", "How often an effect may fail before its region steps back; 3 by default."),
            1,
            100,
        )],
    ),
    object(
        "CouncilRules",
        "How the council is elected.",
        &[
            may("quorum", "QuorumRule", "The size of a quorum; `majority` by default."),
            within(may("min_members", "Count", "Fewest members of a council; 3 by default."), 1, 64),
        ],
    ),
    map("Identities", "Identities by key.", "PublicKey", "IdentityGrant", Some("identities")),
    object(
        "IdentityGrant",
        "An identity's name and roles.",
        &[
            like(must("name", "Name", "Its name."), "\"ada\""),
            like(must("roles", "Roles", "Its roles; `node` cannot be granted."), "[\"operator\"]"),
            may("delegate", "Delegation", "The limits of an identity that acts for others."),
        ],
    ),
    list("Roles", "Roles; repeated ones count once.", "Role", None),
    object(
        "Delegation",
        "The limits of an identity that acts for others. It is never a human, an operator or a voter.",
        &[
            must("op_classes", "OpClasses", "Classes of transitions that it may propose; at least one."),
            may(
                "projects",
                "ProjectNames",
                "Projects that it may propose to, at most 64; left out, every one that knows it.",
            ),
        ],
    ),
    list("OpClasses", "Op classes; repeated ones count once.", "OpClass", None),
    list("ProjectNames", "Names of projects; repeated ones count once.", "ProjectName", None),
    map("ResolvedSources", "Commits by source.", "Name", "ResolvedSource", Some("sources")),
    object("ResolvedSource", "A source whose reference is resolved.", &[must("commit", "GitId", "The commit.")]),
    map("FetchedSources", "Commits and trees by source.", "Name", "FetchedSource", Some("sources")),
    object(
        "FetchedSource",
        "A source whose bytes are fetched.",
        &[must("commit", "GitId", "The commit, as resolved."), must("tree", "GitId", "The commit's tree.")],
    ),
    object(
        "Failure",
        "Why an effect failed.",
        &[
            must("detail", "Detail", "Cause and remedy."),
            may("unknown", "Flag", "Whether it is unknown if the work was done; false by default."),
        ],
    ),
    list("CheckOutcomes", "Outcomes of checks.", "CheckOutcome", Some("outcomes")),
    object(
        "CheckOutcome",
        "The outcome of one check.",
        &[
            like(must("check", "Name", "Name of the check: `pins`, `schema`, `scan`, …"), "\"pins\""),
            like(must("source", "Name", "The source that was checked."), "\"app\""),
            must("ok", "Flag", "Whether it passed."),
            may("detail", "Detail", "The reason."),
            may("seen", "ContentSeen", "The content as seen by the check, which policies judge."),
        ],
    ),
    object(
        "ContentSeen",
        "A source's content as seen by a check. Policies judge it as `context.content` (docs/policies.md).",
        &[
            may("files", "Count", "How many files there are."),
            may("bytes", "Count", "How many bytes they have together."),
            may("largest_file_bytes", "Count", "How many bytes the largest file has."),
            may("licences", "LicenceIds", "Licences found; `NOASSERTION` where there is none."),
            may("flags", "ContentFlags", "Findings of scans: `private-key`, `credentials`, `binary`, …"),
            may("paths", "ContentPaths", "Paths that the flags are about."),
            may("paths_left_out", "Count", "How many findings have a path that `paths` does not hold in full."),
        ],
    ),
    short_list("LicenceIds", "SPDX licence ids; repeated ones count once.", "LicenceId", 64),
    short_list("ContentFlags", "Names of findings; repeated ones count once.", "Name", 64),
    short_list("ContentPaths", "Paths; repeated ones count once.", "Detail", 32),
    list("Candidates", "Candidates; the keys must be distinct.", "Candidate", Some("candidates")),
    object(
        "Candidate",
        "A candidate for the council.",
        &[must("key", "PublicKey", "The candidate's key."), must("capabilities", "Capabilities", "Its capabilities.")],
    ),
    map("Members", "Roles by member.", "PublicKey", "Name", Some("members")),
    list("Votes", "Votes; the voters must be distinct.", "Vote", Some("candidates")),
    object(
        "Vote",
        "One candidate's signature over the member set (docs/protocol.md).",
        &[must("voter", "PublicKey", "The candidate."), must("signature", "Signature", "Over the vote's bytes.")],
    ),
    map("ServersSeen", "Servers by pin.", "Name", "ServerSeen", Some("tool_pins")),
    object(
        "ServerSeen",
        "What a server reports of itself.",
        &[must("server", "ServerName", "Its name."), must("version", "Version", "Its version.")],
    ),
    map("UnreachableServers", "Why pinned servers did not count, by pin.", "Name", "Detail", Some("tool_pins")),
    map("Assets", "Content hashes of assets.", "AssetName", "Hash", Some("assets")),
    map("AssetOutcomes", "Health by asset.", "AssetName", "AssetHealth", Some("assets")),
    list("PublicKeys", "Keys; repeated ones count once.", "PublicKey", Some("members")),
    object(
        "Breach",
        "A breach of a policy, kept so that a newer bundle can judge it again.",
        &[
            must("signer", "PublicKey", "The signer of the forbidden proposal."),
            must("roles", "Roles", "The signer's roles at that time."),
            must("transition", "Transition", "The forbidden transition."),
            must("inputs_hash", "Hash", "Hash of its inputs."),
            must("bundle_serial", "Count", "Serial of the bundle that forbade it."),
            must("reasons", "BreachReasons", "Reasons of its `@breach` rules."),
            may("more", "Count", "How many more reasons there were."),
        ],
    ),
    list("BreachReasons", "Reasons of a breach.", "Detail", Some("breach_reasons")),
    list("Evidence", "Addresses that back a proposal.", "EvidenceRef", None),
];
