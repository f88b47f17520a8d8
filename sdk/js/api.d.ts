// Written by SWOOSH_BLESS=1 cargo test --test integration sdks:: from statechart.yaml and openapi/openapi.json.

/** A stable code; `GET /docs/rejections` has an entry for each. */
export type Code =
  | "bad_json"
  | "duplicate_key"
  | "too_deep"
  | "bad_number"
  | "bad_text"
  | "schema"
  | "header_conflict"
  | "unsupported_media_type"
  | "content_too_large"
  | "method_not_allowed"
  | "not_found"
  | "wrong_host"
  | "cross_site"
  | "certificate_refused"
  | "request_timeout"
  | "too_many_requests"
  | "inputs_hash_mismatch"
  | "signature_invalid"
  | "identity_unknown"
  | "identity_revoked"
  | "role_not_allowed"
  | "reserved_goal"
  | "op_class_mismatch"
  | "idem_key_conflict"
  | "idem_key_expired"
  | "beats_unknown"
  | "stale_head"
  | "hlc_not_after"
  | "hlc_ahead"
  | "hlc_behind"
  | "not_enabled"
  | "blocked"
  | "outcome_held"
  | "terminated"
  | "not_licensed"
  | "policy_breach"
  | "bound_exceeded"
  | "invariant_violated"
  | "unknown_project"
  | "unknown_projection"
  | "unknown_index"
  | "pruned"
  | "unknown_decision"
  | "bad_query"
  | "fact_source"
  | "fact_ahead"
  | "fact_body"
  | "fact_serial"
  | "facts_full"
  | "reads_closed"
  | "caller_unknown"
  | "legacy_unreachable"
  | "legacy_timeout"
  | "migration_off"
  | "order_stale"
  | "migration_diverged"
  | "clock_unsafe"
  | "overloaded"
  | "draining"
  | "not_durable"
  | "project_damaged"
  | "read_only"
  | "follower"
  | "guard_binding"
  | "guard_breach"
  | "guard_bundle"
  | "guard_capacity"
  | "guard_chart"
  | "guard_coverage"
  | "guard_document"
  | "guard_effect"
  | "guard_entered"
  | "guard_fresh_window"
  | "guard_health"
  | "guard_license"
  | "guard_license_status"
  | "guard_liveness"
  | "guard_member"
  | "guard_operators"
  | "guard_pin"
  | "guard_policy"
  | "guard_prerequisites"
  | "guard_quorum"
  | "guard_ready"
  | "guard_release"
  | "guard_retained"
  | "guard_retryable"
  | "guard_roster"
  | "guard_rotation"
  | "guard_sources"
  | "guard_threshold"
  | "guard_tooling"
  | "guard_versions"
  | "guard_window";

/** What a fact is about. */
export type FactKind =
  | "license"
  | "windows"
  | "tooling"
  | "capacity"
  | "health"
  | "liveness"
  | "policy"
  | "settings";

/** A pure condition on a transition. */
export type GuardName =
  | "binding"
  | "breach"
  | "bundle"
  | "capacity"
  | "chart"
  | "clock"
  | "coverage"
  | "document"
  | "effect"
  | "entered"
  | "fresh_window"
  | "head"
  | "health"
  | "identity"
  | "license"
  | "license_status"
  | "liveness"
  | "member"
  | "operators"
  | "pin"
  | "policy"
  | "prerequisites"
  | "quorum"
  | "ready"
  | "release"
  | "retained"
  | "retryable"
  | "roster"
  | "rotation"
  | "signature"
  | "sources"
  | "threshold"
  | "tooling"
  | "versions"
  | "window";

/** How the node is, in a word. */
export type HealthStatus =
  | "ok"
  | "degraded"
  | "draining"
  | "refusing";

/** The kind of operation that an idempotency key is for. */
export type OpClass =
  | "boot"
  | "control"
  | "council"
  | "environment"
  | "execution"
  | "ingestion"
  | "policy";

/** The top-level phase, which follows from the regions. */
export type Phase =
  | "BOOT"
  | "PROJECT_LIFECYCLE"
  | "EXECUTION"
  | "TERMINATED";

/** A parallel region of the statechart. */
export type Region =
  | "boot"
  | "control"
  | "council"
  | "environment"
  | "execution"
  | "ingestion"
  | "policy";

/** What an identity may do. */
export type Role =
  | "agent"
  | "human"
  | "node"
  | "operator"
  | "reader"
  | "voter"
  | "worker";

/** A transition of the statechart. */
export type Transition =
  | "Boot_ChartUpgraded"
  | "Boot_ConfigOk"
  | "Boot_IdentityGranted"
  | "Boot_IdentityRevoked"
  | "Boot_IdentityRotated"
  | "Boot_Licensed"
  | "Control_Pause"
  | "Control_QuorumLost"
  | "Control_Recovered"
  | "Control_Resume"
  | "Control_Terminate"
  | "Council_Eject"
  | "Council_McpGreen"
  | "Council_McpRed"
  | "Council_ProfilesLoaded"
  | "Council_QuorumCert"
  | "Council_ReElect"
  | "Council_Reaffirm"
  | "Council_Replan"
  | "Environment_Amber"
  | "Environment_CapacityDenied"
  | "Environment_CapacityOk"
  | "Environment_Deprovision"
  | "Environment_Green"
  | "Environment_HealthFailed"
  | "Environment_Installed"
  | "Environment_ProvisionFailed"
  | "Environment_Reaffirm"
  | "Environment_Recheck"
  | "Environment_ReleaseFailed"
  | "Environment_Released"
  | "Execution_AllReady"
  | "Execution_ApprovalsThreshold"
  | "Execution_Approve"
  | "Execution_BeatReviewGate"
  | "Execution_NextWindow"
  | "Execution_PlanChange"
  | "Execution_PlanLocked"
  | "Execution_Rework"
  | "Execution_Submit"
  | "Ingestion_BytesOk"
  | "Ingestion_CorpusBuilt"
  | "Ingestion_FetchFailed"
  | "Ingestion_IndexFailed"
  | "Ingestion_NewVersion"
  | "Ingestion_PolicyViolation"
  | "Ingestion_ResolveFailed"
  | "Ingestion_Retry"
  | "Ingestion_RollbackIndex"
  | "Ingestion_SchemaOk"
  | "Ingestion_SourcesResolved"
  | "Ingestion_ValidateFailed"
  | "License_Expired"
  | "License_GraceEntered"
  | "License_Renewed"
  | "Policy_ConfirmedBlock"
  | "Policy_Quarantine"
  | "Policy_Release"
  | "Policy_Updated";

/** A class of BACKBEAT window. */
export type WindowClass =
  | "plan"
  | "reverb"
  | "review";

/** The size of a quorum: `majority` is ⌊n/2⌋+1 of n candidates, `bft` ⌊2n/3⌋+1. */
export type QuorumRule =
  | "majority"
  | "bft";

/** The health of an asset: `degraded` works, `failed` does not. */
export type AssetHealth =
  | "ok"
  | "degraded"
  | "failed";

/** The inputs of Boot_ChartUpgraded. */
export interface Inputs_Boot_ChartUpgraded {
  /** The project's chart version. */
  readonly from_version: number;
  /** Hash of the newer chart without its prose. */
  readonly schema_hash: string;
  /** The node's chart version. */
  readonly to_version: number;
}

/** The inputs of Boot_ConfigOk. */
export interface Inputs_Boot_ConfigOk {
  /** The project document. */
  readonly document: ProjectDocument;
}

/** The inputs of Boot_IdentityGranted. */
export interface Inputs_Boot_IdentityGranted {
  /** Name, roles and limits of the identity. */
  readonly identity: IdentityGrant;
  /** The identity's key. */
  readonly key: string;
}

/** The inputs of Boot_IdentityRevoked. */
export interface Inputs_Boot_IdentityRevoked {
  /** The identity's key. */
  readonly key: string;
  /** The reason, in the caller's words. */
  readonly rationale: string;
}

/** The inputs of Boot_IdentityRotated. */
export interface Inputs_Boot_IdentityRotated {
  /** The new key. */
  readonly new: string;
  /** The key that is replaced. */
  readonly old: string;
  /** How long both keys count, in milliseconds; left out, 0. */
  readonly overlap_ms?: number;
  /** The new key's signature over the rotation (docs/protocol.md). */
  readonly proof: string;
}

/** The inputs of Boot_Licensed. */
export interface Inputs_Boot_Licensed {
}

/** The inputs of Control_Pause. */
export interface Inputs_Control_Pause {
  /** The reason, in the caller's words. */
  readonly rationale: string;
}

/** The inputs of Control_QuorumLost. */
export interface Inputs_Control_QuorumLost {
  /** The elected members that the liveness fact counts as alive. */
  readonly alive: ReadonlyArray<string>;
}

/** The inputs of Control_Recovered. */
export interface Inputs_Control_Recovered {
  /** The elected members that the liveness fact counts as alive. */
  readonly alive: ReadonlyArray<string>;
}

/** The inputs of Control_Resume. */
export interface Inputs_Control_Resume {
  /** The reason, in the caller's words. */
  readonly rationale: string;
}

/** The inputs of Control_Terminate. */
export interface Inputs_Control_Terminate {
  /** The reason, in the caller's words. */
  readonly rationale: string;
}

/** The inputs of Council_Eject. */
export interface Inputs_Council_Eject {
  /** The elected member that leaves. */
  readonly member: string;
  /** The reason, in the caller's words. */
  readonly rationale: string;
}

/** The inputs of Council_McpGreen. */
export interface Inputs_Council_McpGreen {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** Name and version that each pinned server reports. */
  readonly servers: { readonly [name: string]: ServerSeen };
}

/** The inputs of Council_McpRed. */
export interface Inputs_Council_McpRed {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** The pinned servers that did not answer as pinned, with the reason. */
  readonly unreachable: { readonly [name: string]: string };
}

/** The inputs of Council_ProfilesLoaded. */
export interface Inputs_Council_ProfilesLoaded {
  /** The candidates for the council. */
  readonly candidates: ReadonlyArray<Candidate>;
}

/** The inputs of Council_QuorumCert. */
export interface Inputs_Council_QuorumCert {
  /** sha256 of the canonical bytes of the members. */
  readonly member_set_hash: string;
  /** The elected members and their roles. */
  readonly members: { readonly [name: string]: string };
  /** The candidates' votes for the member set. */
  readonly votes: ReadonlyArray<Vote>;
}

/** The inputs of Council_ReElect. */
export interface Inputs_Council_ReElect {
  /** The reason, in the caller's words. */
  readonly rationale: string;
}

/** The inputs of Council_Reaffirm. */
export interface Inputs_Council_Reaffirm {
  /** A content version of ingestion. */
  readonly version: number;
}

/** The inputs of Council_Replan. */
export interface Inputs_Council_Replan {
  /** A new threshold of approvals; left out, the present one stays. */
  readonly approval_threshold?: number;
  /** The reason, in the caller's words. */
  readonly rationale: string;
  /** New roles of the council; left out, the present ones stay. */
  readonly roles?: { readonly [name: string]: RoleSpec };
}

/** The inputs of Environment_Amber. */
export interface Inputs_Environment_Amber {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** The outcomes of the checks. */
  readonly outcomes: { readonly [name: string]: AssetHealth };
}

/** The inputs of Environment_CapacityDenied. */
export interface Inputs_Environment_CapacityDenied {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** Why it failed. */
  readonly failure: Failure;
}

/** The inputs of Environment_CapacityOk. */
export interface Inputs_Environment_CapacityOk {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
}

/** The inputs of Environment_Deprovision. */
export interface Inputs_Environment_Deprovision {
  /** A new allocation; left out, the present one stays. */
  readonly allocation?: { readonly [name: string]: number };
  /** The reason, in the caller's words. */
  readonly rationale: string;
}

/** The inputs of Environment_Green. */
export interface Inputs_Environment_Green {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** The outcomes of the checks. */
  readonly outcomes: { readonly [name: string]: AssetHealth };
}

/** The inputs of Environment_HealthFailed. */
export interface Inputs_Environment_HealthFailed {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** Why it failed. */
  readonly failure: Failure;
  /** The outcomes of the checks. */
  readonly outcomes?: { readonly [name: string]: AssetHealth };
}

/** The inputs of Environment_Installed. */
export interface Inputs_Environment_Installed {
  /** The assets that were built, with their content hashes. */
  readonly assets: { readonly [name: string]: string };
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** sha256 of the canonical bytes of `assets`. */
  readonly manifest_hash: string;
}

/** The inputs of Environment_ProvisionFailed. */
export interface Inputs_Environment_ProvisionFailed {
  /** The assets that were built, with their content hashes. */
  readonly assets?: { readonly [name: string]: string };
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** Why it failed. */
  readonly failure: Failure;
}

/** The inputs of Environment_Reaffirm. */
export interface Inputs_Environment_Reaffirm {
  /** A content version of ingestion. */
  readonly version: number;
}

/** The inputs of Environment_Recheck. */
export interface Inputs_Environment_Recheck {
}

/** The inputs of Environment_ReleaseFailed. */
export interface Inputs_Environment_ReleaseFailed {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** Why it failed. */
  readonly failure: Failure;
}

/** The inputs of Environment_Released. */
export interface Inputs_Environment_Released {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
}

/** The inputs of Execution_AllReady. */
export interface Inputs_Execution_AllReady {
  /** The manifest hash of the environment's assets (`GET /state`, section environment). */
  readonly assets_hash: string;
  /** Hash of the content manifest (`GET /state`, section ingestion). */
  readonly content_hash: string;
  /** sha256 of the canonical bytes of the members. */
  readonly member_set_hash: string;
  /** A content version of ingestion. */
  readonly version: number;
}

/** The inputs of Execution_ApprovalsThreshold. */
export interface Inputs_Execution_ApprovalsThreshold {
}

/** The inputs of Execution_Approve. */
export interface Inputs_Execution_Approve {
  /** The beat of the window, as `GET /windows` counts it. */
  readonly beat: number;
  /** The council region's epoch (`GET /state`). */
  readonly council_epoch: number;
  /** Hash of the plan. */
  readonly plan_hash: string;
  /** The round of rework (`GET /state`, section execution). */
  readonly rework_round: number;
  /** The seat of the council that a granted caller of WHOOSH is mapped to. */
  readonly seat?: string;
}

/** The inputs of Execution_BeatReviewGate. */
export interface Inputs_Execution_BeatReviewGate {
}

/** The inputs of Execution_NextWindow. */
export interface Inputs_Execution_NextWindow {
}

/** The inputs of Execution_PlanChange. */
export interface Inputs_Execution_PlanChange {
  /** The manifest hash of the environment's assets (`GET /state`, section environment). */
  readonly assets_hash: string;
  /** Hash of the content manifest (`GET /state`, section ingestion). */
  readonly content_hash: string;
  /** sha256 of the canonical bytes of the members. */
  readonly member_set_hash: string;
  /** A content version of ingestion. */
  readonly version: number;
}

/** The inputs of Execution_PlanLocked. */
export interface Inputs_Execution_PlanLocked {
  /** Hash of the plan. */
  readonly plan_hash: string;
}

/** The inputs of Execution_Rework. */
export interface Inputs_Execution_Rework {
  /** The reason, in the caller's words. */
  readonly rationale: string;
}

/** The inputs of Execution_Submit. */
export interface Inputs_Execution_Submit {
  /** The address of the result. */
  readonly submission: string;
  /** Hash of the result. */
  readonly submission_hash: string;
}

/** The inputs of Ingestion_BytesOk. */
export interface Inputs_Ingestion_BytesOk {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** Commit and tree of every source and upstream. */
  readonly fetched: { readonly [name: string]: FetchedSource };
}

/** The inputs of Ingestion_CorpusBuilt. */
export interface Inputs_Ingestion_CorpusBuilt {
  /** Hash of the content manifest (`GET /state`, section ingestion). */
  readonly content_hash: string;
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
}

/** The inputs of Ingestion_FetchFailed. */
export interface Inputs_Ingestion_FetchFailed {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** Why it failed. */
  readonly failure: Failure;
}

/** The inputs of Ingestion_IndexFailed. */
export interface Inputs_Ingestion_IndexFailed {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** Why it failed. */
  readonly failure: Failure;
}

/** The inputs of Ingestion_NewVersion. */
export interface Inputs_Ingestion_NewVersion {
  /** New sources; left out, the present ones stay. */
  readonly sources?: { readonly [name: string]: SourceSpec };
  /** New upstreams; left out, the present ones stay. */
  readonly upstreams?: { readonly [name: string]: SourceSpec };
}

/** The inputs of Ingestion_PolicyViolation. */
export interface Inputs_Ingestion_PolicyViolation {
  /** Serial of the policy bundle in force. */
  readonly bundle_serial: number;
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** The outcomes of the checks. */
  readonly outcomes?: ReadonlyArray<CheckOutcome>;
  /** The reason, in the caller's words. */
  readonly rationale: string;
}

/** The inputs of Ingestion_ResolveFailed. */
export interface Inputs_Ingestion_ResolveFailed {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** Why it failed. */
  readonly failure: Failure;
}

/** The inputs of Ingestion_Retry. */
export interface Inputs_Ingestion_Retry {
  /** New sources; left out, the present ones stay. */
  readonly sources?: { readonly [name: string]: SourceSpec };
  /** New upstreams; left out, the present ones stay. */
  readonly upstreams?: { readonly [name: string]: SourceSpec };
}

/** The inputs of Ingestion_RollbackIndex. */
export interface Inputs_Ingestion_RollbackIndex {
  /** The reason, in the caller's words. */
  readonly rationale: string;
  /** A content version of ingestion. */
  readonly version: number;
}

/** The inputs of Ingestion_SchemaOk. */
export interface Inputs_Ingestion_SchemaOk {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** The outcomes of the checks. */
  readonly outcomes: ReadonlyArray<CheckOutcome>;
}

/** The inputs of Ingestion_SourcesResolved. */
export interface Inputs_Ingestion_SourcesResolved {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** The commit of every source and upstream. */
  readonly resolved: { readonly [name: string]: ResolvedSource };
}

/** The inputs of Ingestion_ValidateFailed. */
export interface Inputs_Ingestion_ValidateFailed {
  /** The open effect whose outcome this is (`GET /effects`). */
  readonly effect: string;
  /** Why it failed. */
  readonly failure: Failure;
  /** The outcomes of the checks. */
  readonly outcomes?: ReadonlyArray<CheckOutcome>;
}

/** The inputs of License_Expired. */
export interface Inputs_License_Expired {
  /** The change of the license. */
  readonly cause: string;
}

/** The inputs of License_GraceEntered. */
export interface Inputs_License_GraceEntered {
  /** The change of the license. */
  readonly cause: string;
}

/** The inputs of License_Renewed. */
export interface Inputs_License_Renewed {
  /** The change of the license. */
  readonly cause: string;
}

/** The inputs of Policy_ConfirmedBlock. */
export interface Inputs_Policy_ConfirmedBlock {
  /** The reason, in the caller's words. */
  readonly rationale: string;
}

/** The inputs of Policy_Quarantine. */
export interface Inputs_Policy_Quarantine {
  /** The breach that the node found; only the node names one. */
  readonly breach?: Breach;
  /** The reason, in the caller's words. */
  readonly rationale: string;
}

/** The inputs of Policy_Release. */
export interface Inputs_Policy_Release {
  /** Why the project is released. */
  readonly justification: string;
}

/** The inputs of Policy_Updated. */
export interface Inputs_Policy_Updated {
  /** The inputs of the forbidden proposal, if the quarantine has a breach. */
  readonly breach_inputs?: unknown;
  /** Hash of the policy bundle in force. */
  readonly bundle_hash: string;
  /** Serial of the policy bundle in force. */
  readonly serial: number;
}

/** A breach of a policy, kept so that a newer bundle can judge it again. */
export interface Breach {
  /** Serial of the bundle that forbade it. */
  readonly bundle_serial: number;
  /** Hash of its inputs. */
  readonly inputs_hash: string;
  /** How many more reasons there were. */
  readonly more?: number;
  /** Reasons of its `@breach` rules. */
  readonly reasons: ReadonlyArray<string>;
  /** The signer's roles at that time. */
  readonly roles: ReadonlyArray<Role>;
  /** The signer of the forbidden proposal. */
  readonly signer: string;
  /** The forbidden transition. */
  readonly transition: Transition;
}

/** One build, by the names of the node's definitions (`swoosh templates list`). */
export interface BuildChoice {
  /** The builder of the inventory; `source.` may be left out. */
  readonly builder: string;
  /** The environment. */
  readonly environment: string;
  /** The variant of the environment. */
  readonly variant?: string;
}

/** A candidate for the council. */
export interface Candidate {
  /** Its capabilities. */
  readonly capabilities: ReadonlyArray<string>;
  /** The candidate's key. */
  readonly key: string;
}

/** The outcome of one check. */
export interface CheckOutcome {
  /** Name of the check: `pins`, `schema`, `scan`, … */
  readonly check: string;
  /** The reason. */
  readonly detail?: string;
  /** Whether it passed. */
  readonly ok: boolean;
  /** The content as seen by the check, which policies judge. */
  readonly seen?: ContentSeen;
  /** The source that was checked. */
  readonly source: string;
}

/** A source's content as seen by a check. Policies judge it as `context.content` (docs/policies.md). */
export interface ContentSeen {
  /** How many bytes they have together. */
  readonly bytes?: number;
  /** How many files there are. */
  readonly files?: number;
  /** Findings of scans: `private-key`, `credentials`, `binary`, … */
  readonly flags?: ReadonlyArray<string>;
  /** How many bytes the largest file has. */
  readonly largest_file_bytes?: number;
  /** Licences found; `NOASSERTION` where there is none. */
  readonly licences?: ReadonlyArray<string>;
  /** Paths that the flags are about. */
  readonly paths?: ReadonlyArray<string>;
  /** How many findings have a path that `paths` does not hold in full. */
  readonly paths_left_out?: number;
}

/** How the council is elected. */
export interface CouncilRules {
  /** Fewest members of a council; 3 by default. */
  readonly min_members?: number;
  /** The size of a quorum; `majority` by default. */
  readonly quorum?: QuorumRule;
}

/** The limits of an identity that acts for others. It is never a human, an operator or a voter. */
export interface Delegation {
  /** Classes of transitions that it may propose; at least one. */
  readonly op_classes: ReadonlyArray<OpClass>;
  /** Projects that it may propose to, at most 64; left out, every one that knows it. */
  readonly projects?: ReadonlyArray<string>;
}

/** Why an effect failed. */
export interface Failure {
  /** Cause and remedy. */
  readonly detail: string;
  /** Whether it is unknown if the work was done; false by default. */
  readonly unknown?: boolean;
}

/** A source whose bytes are fetched. */
export interface FetchedSource {
  /** The commit, as resolved. */
  readonly commit: string;
  /** The commit's tree. */
  readonly tree: string;
}

/** An identity's name and roles. */
export interface IdentityGrant {
  /** The limits of an identity that acts for others. */
  readonly delegate?: Delegation;
  /** Its name. */
  readonly name: string;
  /** Its roles; `node` cannot be granted. */
  readonly roles: ReadonlyArray<Role>;
}

/** Limits of a project. */
export interface Limits {
  /** How often an effect may fail before its region steps back; 3 by default. */
  readonly retries?: number;
}

/** The project document, which Boot_ConfigOk gives once. */
export interface ProjectDocument {
  /** The allocation of the environment. */
  readonly allocation?: { readonly [name: string]: number };
  /** Approvals that lead from REVIEW to REVERB. */
  readonly approval_threshold: number;
  /** The builds for the environment; left out, those of the node's settings (`effects.builds`). */
  readonly builds?: ReadonlyArray<BuildChoice>;
  /** How the council is elected. */
  readonly council?: CouncilRules;
  /** Identities that may propose, beside those of the node's settings. */
  readonly identities: { readonly [name: string]: IdentityGrant };
  /** Limits of the project. */
  readonly limits?: Limits;
  /** Roles of the council. */
  readonly roles: { readonly [name: string]: RoleSpec };
  /** Repositories whose content the project works on. */
  readonly sources: { readonly [name: string]: SourceSpec };
  /** MCP servers that must answer before the council is ready. */
  readonly tool_pins?: { readonly [name: string]: ToolPin };
  /** Pinned upstream toolchains, fetched beside the sources. */
  readonly upstreams?: { readonly [name: string]: SourceSpec };
}

/** A source whose reference is resolved. */
export interface ResolvedSource {
  /** The commit. */
  readonly commit: string;
}

/** Requirements of one council role. */
export interface RoleSpec {
  /** The capabilities that its holder should have. */
  readonly capabilities: ReadonlyArray<string>;
  /** How many members hold it. */
  readonly seats: number;
}

/** What a server reports of itself. */
export interface ServerSeen {
  /** Its name. */
  readonly server: string;
  /** Its version. */
  readonly version: string;
}

/** The place of a repository, and the reference that is wanted. */
export interface SourceSpec {
  /** A commit, a tag, or a branch that the settings allow to float. */
  readonly ref: string;
  /** `https://`, `ssh://` or `file://`. */
  readonly url: string;
}

/** An MCP server that must answer, with the name and version that it must report. */
export interface ToolPin {
  /** The name that it must report. */
  readonly server: string;
  /** Its address (streamable HTTP). */
  readonly url: string;
  /** The version that it must report. */
  readonly version: string;
}

/** One candidate's signature over the member set (docs/protocol.md). */
export interface Vote {
  /** Over the vote's bytes. */
  readonly signature: string;
  /** The candidate. */
  readonly voter: string;
}

/** The signed root of a batch. */
export interface BatchRoot {
  /** Index of the batch's first record. */
  readonly first: number;
  /** Index of its last record. */
  readonly last: number;
  /** Merkle root over the records' chain values. */
  readonly root: string;
}

/** A batch's root, signed by the node. */
export interface BatchSeal {
  /** The signed batch. */
  readonly batch: BatchRoot;
  /** The node. */
  readonly node: string;
  /** The node's signature over `"swoosh/batch/v1\n" ‖ cluster ‖ "\n" ‖ JCS(batch)`. */
  readonly signature: string;
}

/** A record without inputs, guard outcomes, evidence and signature. */
export interface BriefRecord {
  /** Number of guards that judged it. */
  readonly guards: number;
  /** The proposal's clock. */
  readonly hlc: string;
  /** The proposal's idempotency key. */
  readonly idem_key: string;
  /** Its index in the log. */
  readonly index: number;
  /** The project. */
  readonly project: string;
  /** The transition's region. */
  readonly region: Region;
  /** The signer of the proposal. */
  readonly signer: string;
  /** The head after it. */
  readonly state_post_hash: string;
  /** When the node accepted it. */
  readonly timestamp: string;
  /** Which transition. */
  readonly transition: Transition;
  /** The window that the proposal named. */
  readonly window_id?: string;
}

/** The answer to one of the proposals, on a line of its own. */
export interface BulkAnswer {
  /** Why it is not accepted. */
  readonly problem?: Problem;
  /** The receipt of an accepted one, byte for byte as alone. */
  readonly receipt?: Receipt;
  /** Of an accepted one, whether it had been accepted before. */
  readonly replayed?: boolean;
  /** The status that it would have been answered with alone. */
  readonly status: number;
}

/** Work outside the machine. */
export interface ChartEffect {
  /** The effect in words. */
  readonly doc: string;
  /** Transitions that report failure. */
  readonly failure: ReadonlyArray<string>;
  /** The region that waits for it. */
  readonly region: string;
  /** The state that the region waits in. */
  readonly state: string;
  /** Transitions that report success. */
  readonly success: ReadonlyArray<string>;
  /** The transition after which its outcome is unknown. */
  readonly unknown: string;
}

/** Rejection codes under one heading. */
export interface ChartGroup {
  /** The codes. */
  readonly codes: ReadonlyArray<ChartRejection>;
  /** The group in words. */
  readonly doc: string;
  /** The heading. */
  readonly group: string;
  /** Whether its entries are those of the guards. */
  readonly guards: boolean;
}

/**
 * A condition on transitions. The texts are those of its code `guard_<name>`; left out if other codes name it as
 * theirs.
 */
export interface ChartGuard {
  /** Why it refuses. */
  readonly cause?: string;
  /** The guard in words. */
  readonly doc: string;
  /** A detail as the node writes it. */
  readonly example?: string;
  /** The remedy. */
  readonly remedy?: string;
  /** How another try can help. */
  readonly retry?: string;
  /** The rule. */
  readonly rule?: string;
}

/** Regions and transitions that a block does not stop. */
export interface ChartPasses {
  /** Whether compensations pass. */
  readonly compensations: boolean;
  /** Whole regions. */
  readonly regions: ReadonlyArray<string>;
  /** Single transitions. */
  readonly transitions: ReadonlyArray<string>;
}

/** A parallel region; the first state is the initial one. */
export interface ChartRegion {
  /** The region in words. */
  readonly doc: string;
  /** States that it may rest in while other regions go on. */
  readonly resting?: ReadonlyArray<string>;
  /** Its states. */
  readonly states: ReadonlyArray<string>;
  /** States that nothing leaves. */
  readonly terminal?: ReadonlyArray<string>;
}

/** A rejection code that is not `guard_<name>`. */
export interface ChartRejection {
  /** Why it is given. */
  readonly cause: string;
  /** The code. */
  readonly code: string;
  /** A detail as the node writes it. */
  readonly example: string;
  /** The guard whose failure it reports. */
  readonly guard?: string;
  /** The remedy. */
  readonly remedy: string;
  /** How another try can help. */
  readonly retry: string;
  /** The rule. */
  readonly rule: string;
  /** The code in words. */
  readonly title: string;
}

/** A transition. */
export interface ChartTransition {
  /** Effects that it cancels. */
  readonly cancels?: ReadonlyArray<string>;
  /** The effect whose outcome it is. */
  readonly closes?: string;
  /** Whether it passes where others are blocked. */
  readonly compensation?: boolean;
  /** The transition in words. */
  readonly doc: string;
  /** States that it may start from. */
  readonly from: ReadonlyArray<string>;
  /** Its guards, besides `base_guards`, `licensed_guards` and `window`. */
  readonly guards: ReadonlyArray<string>;
  /** Members of its inputs, and their types; `Inputs_<Transition>` has the schema. */
  readonly inputs: { readonly [name: string]: string };
  /** Effects that it may open. */
  readonly opens?: ReadonlyArray<string>;
  /** Its region. */
  readonly region: string;
  /** Roles that may sign it. */
  readonly signers: ReadonlyArray<string>;
  /** Guards that a later version of the chart added, with that version. */
  readonly since?: { readonly [name: string]: number };
  /** Template of its sentence in decision records. */
  readonly summary: string;
  /** States that it may lead to; the same several states in `from` and `to` mean that the state stays. */
  readonly to: ReadonlyArray<string>;
  /** The class of window that it needs. */
  readonly window?: string;
}

/** Damage to the journal. */
export interface DamageView {
  /** The damaged project. */
  readonly project?: string;
  /** The error of the read that found it. */
  readonly reason: string;
  /** Whether the project's proposals are refused; else only reads of the damaged row fail. */
  readonly refused: boolean;
  /** The damaged table, where the project is not known. */
  readonly table?: string;
}

/** A project that cannot be read. */
export interface DamagedAnswer {
  /** The project. */
  readonly project: string;
  /** The reason. */
  readonly reason: string;
}

/** A record that cannot be read. */
export interface DamagedRecord {
  /** Its index in the log. */
  readonly index: number;
  /** The reason. */
  readonly reason: string;
}

/** Why one transition was accepted, in full. */
export interface Decision {
  /** The record's link in the chain. */
  readonly chain: string;
  /** The caller's evidence. */
  readonly evidence: ReadonlyArray<string>;
  /** The grant of the settings by which that caller acted as operator, voter or human. */
  readonly grant?: string;
  /** How every guard judged, with reasons and the hashes of the facts it read. */
  readonly guard_outcomes: ReadonlyArray<GuardOutcome>;
  /** The caller's clock. */
  readonly hlc: string;
  /** Its address. */
  readonly id: string;
  /** Under which key. */
  readonly idem_key: string;
  /** Index of the record. */
  readonly index: number;
  /** Hash of the inputs. */
  readonly inputs_hash: string;
  /** Why, in the caller's words where it gave any. */
  readonly justification: string;
  /** The caller that the signer proposed for, if it is a delegate of the WHOOSH migration. */
  readonly on_behalf_of?: string;
  /** Version of the policy engine that judged. */
  readonly policy_engine: string;
  /** The project decided about. */
  readonly project: string;
  /** The signer's public key. */
  readonly signer: string;
  /** Head after. */
  readonly state_post_hash: string;
  /** Head before. */
  readonly state_pre_hash: string;
  /** Its meaning, in a sentence. */
  readonly summary: string;
  /** When the node accepted it. */
  readonly timestamp: string;
  /** The accepted transition. */
  readonly transition: Transition;
  /** Where the decision belongs: the UCXL evidence, or the record's own derived address. */
  readonly ucxl: ReadonlyArray<string>;
  /** The window named. */
  readonly window_id?: string;
}

/** Differences between WHOOSH and SWOOSH. */
export interface DivergencesAnswer {
  /** The last ones, newest first, with both sides. */
  readonly divergences: ReadonlyArray<{ readonly [name: string]: unknown }>;
  /** How many were found in all. */
  readonly found: number;
}

/** Decision of a dry run. */
export interface DryRunAnswer {
  /** Whether it would be accepted. */
  readonly accepted: boolean;
  /** How the guards judge. */
  readonly guard_outcomes: ReadonlyArray<GuardOutcome>;
  /** Why it would not be accepted. */
  readonly problem?: Problem;
  /** The receipt that it got then. */
  readonly receipt?: Receipt;
  /** Whether it was accepted before, under the same key. */
  readonly replayed?: boolean;
  /** The head that it would lead to. */
  readonly state_post_hash?: string;
}

/** An open effect. */
export interface EffectView {
  /**
   * Attempts that were begun, those at earlier effects of the same work that failed too; one that was cut short by
   * a crash counts.
   */
  readonly attempt: number;
  /** When the present attempt began, in milliseconds since 1970. */
  readonly begun_ms?: number;
  /** How much of the step is done, where that is known. */
  readonly done?: number;
  /** Its name in the statechart. */
  readonly effect: string;
  /** `<project>/<index>-<digest>/<effect>`, which its outcome must name. */
  readonly id: string;
  /** `builtin`, performed by the node; `external`, by an identity of role worker. */
  readonly mode: string;
  /** When something is tried next. */
  readonly next_ms?: number;
  /** When it was opened. */
  readonly opened_at?: string;
  /**
   * `waiting`, `suspended` (its project is blocked), `running`, `reporting` (its outcome waits to be recorded),
   * `external`; in events `closed` too.
   */
  readonly phase: string;
  /** The project. */
  readonly project: string;
  /** Why it waits, or what went wrong last. */
  readonly reason?: string;
  /** Step of the current attempt. */
  readonly step?: string;
  /** Of how much. */
  readonly total?: number;
}

/** A page of open effects, by id. */
export interface EffectsPage {
  /** The effects. */
  readonly effects: ReadonlyArray<EffectView>;
  /** Value of `after` for the next page; left out at the end. */
  readonly next?: string;
}

/** One event of the stream. */
export interface EventAnswer {
  /** The event's data, as JSON. */
  readonly data: string;
  /** `transition`, `effect`, `health`, `gap` or `problem`. */
  readonly event: string;
  /** Of a transition, `<incarnation>-<index>` of its record; of a `gap`, of the record that it goes on after. */
  readonly id?: string;
}

/** How an exporter of decision records is. */
export interface ExportView {
  /** Which exporter: `jsonl` or `bubble`. */
  readonly exporter: string;
  /** Failures since the start. */
  readonly failures: number;
  /** Records that wait for it. */
  readonly lag: number;
  /** Index of the last record that it delivered. */
  readonly position: number;
  /** Why it does not come on, while it does not. */
  readonly problem?: string;
}

/** A stretch of the log. */
export interface FeedAnswer {
  /** The cluster. */
  readonly cluster: string;
  /** Every fact that they name, each once: its hash and the fact. */
  readonly facts: ReadonlyArray<unknown>;
  /** Index of the first record that is not pruned. */
  readonly first_index: number;
  /** How the incarnations of the log after the first one began. */
  readonly incarnations: ReadonlyArray<unknown>;
  /** Index of the last durable record. */
  readonly last_index: number;
  /** The node, which sealed the records. */
  readonly node: string;
  /** Records by rising index. */
  readonly records: ReadonlyArray<FeedEntry>;
}

/** One record, and what proves it. */
export interface FeedEntry {
  /** Its link in the chain. */
  readonly chain: string;
  /** The inputs that it names by hash. */
  readonly inputs: unknown;
  /** Path from its leaf to that root. */
  readonly path: ReadonlyArray<string>;
  /** The record. */
  readonly record: Record;
  /** The signed root of the batch that it was committed in. */
  readonly seal: BatchSeal;
}

/** How one guard would judge now. */
export interface GuardAnswer {
  /** Which guard. */
  readonly guard: GuardName;
  /** Whether it would pass; left out where that depends on the proposal. */
  readonly ok?: boolean;
  /** Why. */
  readonly reasons: ReadonlyArray<string>;
}

/** How one guard judged. */
export interface GuardOutcome {
  /** Hashes of the facts it read; left out when it read none. */
  readonly facts?: ReadonlyArray<string>;
  /** The grant by which an unsigned caller of WHOOSH passed; only guard `identity` names one. */
  readonly grant?: string;
  /** Which guard. */
  readonly guard: GuardName;
  /** Whether it lets the proposal pass. */
  readonly ok: boolean;
  /** Why; a passing guard gives its reasons too. */
  readonly reasons: ReadonlyArray<string>;
}

/** How the node is. */
export interface HealthAnswer {
  /** The cluster, which every signature names. */
  readonly cluster: string;
  /** `single`: one node without replication. `follower`: it holds the log of another one and takes no proposals. */
  readonly consensus: string;
  /**
   * Damage to the journal that is known: at most 100 projects, then tables whose damage is of no known project. It
   * lists what the caller may read.
   */
  readonly damaged: ReadonlyArray<DamageView>;
  /** The exporters of decision records; a stalled one holds nothing back but shows as lag. */
  readonly decision_export: ReadonlyArray<ExportView>;
  /** The clock of the newest snapshot; null before the first. */
  readonly lastSnapshotHLC: string | null;
  /** Index of the last durable record. */
  readonly last_index: number;
  /**
   * Whether it takes proposals: `accepting`, `following` (another node, which `reason` names), `draining`,
   * `refusing` (it goes on by itself once there is room on its disk) or `read_only` (it must be restarted).
   */
  readonly mode: string;
  /** The node's key, which signs receipts. */
  readonly node: string;
  /** Projects that are known to be damaged, all of them. */
  readonly projects_damaged: number;
  /** Proposals that wait. */
  readonly queue: number;
  /** Why all is not well. */
  readonly reason?: string;
  /** In a word. */
  readonly status: HealthStatus;
  /** Tables that are known to be damaged where the project is not known. */
  readonly tables_damaged: number;
  /** The node's clock. */
  readonly time: string;
  /**
   * Age of the oldest record that is not durable yet, or of the journal work that the sequencer waits for, in
   * milliseconds; 0 where there is none.
   */
  readonly uncommitted_ms: number;
  /** The program's version. */
  readonly version: string;
  /** Records judged but not yet durable. */
  readonly walLag: number;
}

/** The clock reading that was applied last. */
export interface HlcLast {
  /** The proposal's clock. */
  readonly hlc: string;
  /** Under which key. */
  readonly idem_key: string;
  /** The signer's public key. */
  readonly signer: string;
}

/** A schedule that is valid. */
export interface Known {
  /** Address of the fact. */
  readonly fact: string;
  /** Its state at the requested time, and the next windows, as `swoosh windows` shows them. */
  readonly outlook: { readonly [name: string]: unknown };
  /** The schedule as config/backbeat.yaml has it, with `live` where a live source leads. */
  readonly schedule: { readonly [name: string]: unknown };
  /** Signer of the schedule: the node's key, or that of another source. */
  readonly source: string;
}

/** Why an answer is no success (RFC 9457). */
export interface Problem {
  /** The stable code. */
  readonly code: Code;
  /** All reasons in one sentence. */
  readonly detail: string;
  /** The guard that failed first. */
  readonly guard?: GuardName;
  /** How the guards judged, where it came to them. */
  readonly guard_outcomes?: ReadonlyArray<GuardOutcome>;
  /** The project's head now. */
  readonly head?: string;
  /** The last clock reading that the project accepted. */
  readonly hlc_last?: string;
  /** The project. */
  readonly project?: string;
  /** Every reason by itself. */
  readonly reasons: ReadonlyArray<string>;
  /** How long to wait before trying again, in milliseconds, scaled by the tidal pressure. */
  readonly retry_after_ms?: number;
  /** The HTTP status. */
  readonly status: number;
  /** The code in words. */
  readonly title: string;
  /** `/docs/rejections#<code>`, relative to the node. */
  readonly type: string;
}

/** One project. */
export interface ProjectAnswer {
  /** Its head. */
  readonly hash: string;
  /** Index of its last record. */
  readonly index: number;
  /** Its top-level phase. */
  readonly phase: Phase;
  /** The project. */
  readonly project: string;
}

/** A page of projects, by name. */
export interface ProjectsAnswer {
  /** Projects of this page that cannot be read, and the reason. Left out where there are none. */
  readonly damaged?: ReadonlyArray<DamagedAnswer>;
  /** Why projects may be missing from all pages: a table that lists them is damaged. */
  readonly incomplete?: string;
  /** Value of `after` for the next page; left out at the end. */
  readonly next?: string;
  /** The projects. */
  readonly projects: ReadonlyArray<ProjectAnswer>;
}

/** A signed transition proposal. */
export interface Proposal {
  /** The head that the caller saw; `GET /state` tells it as `hash`. */
  readonly current_state_hash: string;
  /** Addresses that back the proposal. */
  readonly evidence: ReadonlyArray<string>;
  /** The caller's clock, later than the project's last reading. `X-Swoosh-Hlc` may replace it. */
  readonly hlc: string;
  /** The idempotency key. The header `Idempotency-Key` may replace it. */
  readonly idem_key: string;
  /** Its inputs; `Inputs_<Transition>` has their form, and refuses every other member. */
  readonly inputs: { readonly [name: string]: unknown };
  /** sha256 of the RFC 8785 bytes of `inputs`. */
  readonly inputs_hash: string;
  /** The project; left out, it is `default`. */
  readonly project?: string;
  /** The signer's signature. `X-Hmmm-Signature` may replace it; it is not part of the signed bytes. */
  readonly signature: string;
  /** The signer's public key. */
  readonly signer: string;
  /** The proposed transition. */
  readonly transition: Transition;
  /**
   * The window the caller means; needed where the transition has a window class. `X-Swoosh-Window-Id` may replace
   * it.
   */
  readonly window_id?: string;
}

/** Result for a valid pushed fact. */
export interface Pushed {
  /** The address it is stored under. */
  readonly hash: string;
  /** Whether it is held now. A fact that is not newer than what is held is left alone. */
  readonly held: boolean;
  /** Why it is not held. */
  readonly reason?: string;
  /** Until when it may be believed: as claimed, or the longest its kind allows if that is earlier. */
  readonly valid_until: string;
}

/** The receipt of an accepted proposal: the same bytes for every repeat. */
export interface Receipt {
  /** The record's link in the chain. */
  readonly chain: string;
  /** The decision record. */
  readonly decision: string;
  /** The caller's clock: the next proposal's must be later. */
  readonly hlc: string;
  /** Under which key. */
  readonly idem_key: string;
  /** Index of the record in the WAL. */
  readonly index: number;
  /** Path from the record's leaf to the batch's root, from the bottom up (RFC 9162 §2.1.1). */
  readonly path: ReadonlyArray<string>;
  /** The project. */
  readonly project: string;
  /** The batch's signed root. */
  readonly seal: BatchSeal;
  /** Head after: what the next proposal must name. */
  readonly state_post_hash: string;
  /** Head before. */
  readonly state_pre_hash: string;
  /** When the node accepted it. */
  readonly timestamp: string;
  /** The accepted transition. */
  readonly transition: Transition;
}

/** An entry of the WAL. */
export interface Record {
  /** The caller's evidence. */
  readonly evidence: ReadonlyArray<string>;
  /** How every guard judged, in the chart's order. */
  readonly guard_outcomes: ReadonlyArray<GuardOutcome>;
  /** The caller's clock. */
  readonly hlc: string;
  /** The caller's idempotency key. */
  readonly idem_key: string;
  /** Position in the WAL, from 1. */
  readonly index: number;
  /** Hash of the inputs. */
  readonly inputs_hash: string;
  /** Version of the policy engine that judged. */
  readonly policy_engine: string;
  /** The project. */
  readonly project: string;
  /** Whether the proposal left `project` out, which its signature depends on; left out when false. */
  readonly project_implied?: boolean;
  /** The caller's signature. */
  readonly signature: string;
  /** The signer's public key. */
  readonly signer: string;
  /** Head after. */
  readonly state_post_hash: string;
  /** Head before. */
  readonly state_pre_hash: string;
  /** When the node accepted it, by its own monotone clock. */
  readonly timestamp: string;
  /** The proposed transition. */
  readonly transition: Transition;
  /** The window named. */
  readonly window_id?: string;
}

/** A page of records, newest first. */
export interface RecordsAnswer {
  /** Records that this call could not read. Left out where there are none. */
  readonly damaged?: ReadonlyArray<DamagedRecord>;
  /** Index of the first record that is not pruned. */
  readonly first_index: number;
  /** Index of the last durable record. */
  readonly last_index: number;
  /** Value of `before` for the next page, even of a page that is not full; left out at the end. */
  readonly next?: number;
  /** The records that match. */
  readonly records: ReadonlyArray<BriefRecord>;
  /** Number of records that this call looked at, at most 20000. */
  readonly scanned: number;
}

/** A rejection that is remembered. */
export interface RejectionEntry {
  /** When, by the node's clock. */
  readonly at: string;
  /** Why not. */
  readonly code: Code;
  /** The guard that failed. Left out where none did. */
  readonly guard?: GuardName;
  /** The project. Left out where no signature vouches for it. */
  readonly project?: string;
  /** Why not, in words. */
  readonly reasons: ReadonlyArray<string>;
  /** The proposed transition. Left out where no signature vouches for it. */
  readonly transition?: Transition;
}

/** Rejections, newest first. */
export interface RejectionsAnswer {
  /** The rejections. */
  readonly rejections: ReadonlyArray<RejectionEntry>;
}

/** A project's head and the sections asked for. */
export interface StateAnswer {
  /** The state hash: what the next proposal must name as `current_state_hash`. */
  readonly hash: string;
  /** The last clock reading accepted; null before the first. */
  readonly hlc_last: HlcLast | null;
  /** Index of the record that led here. */
  readonly index: number;
  /** The top-level phase. */
  readonly phase: Phase;
  /** The project. */
  readonly project: string;
  /** The sections asked for; `sha256(JCS(section))` is a section's entry in `sections`. */
  readonly projection: { readonly [name: string]: unknown };
  /** The hash of each of the ten sections. The state hash is `sha256("swoosh/state/v1\n" ‖ JCS(sections))`. */
  readonly sections: { readonly [name: string]: string };
}

/** The statechart: the members of `statechart.yaml`, and its hash. */
export interface StatechartAnswer {
  /** Guards of every transition. */
  readonly base_guards: ReadonlyArray<string>;
  /** What passes while a project is blocked, by the block's reason. */
  readonly blocked: { readonly [name: string]: ChartPasses };
  /** Bounds of the state's lists. */
  readonly bounds: { readonly [name: string]: number };
  /** Work outside the machine. */
  readonly effects: { readonly [name: string]: ChartEffect };
  /** The guards. */
  readonly guards: { readonly [name: string]: ChartGuard };
  /** Guards of every transition of `licensed_regions`. */
  readonly licensed_guards: ReadonlyArray<string>;
  /** Regions whose transitions need a license. */
  readonly licensed_regions: ReadonlyArray<string>;
  /** The third part of idempotency keys. */
  readonly op_classes: { readonly [name: string]: string };
  /** The parallel regions. */
  readonly regions: { readonly [name: string]: ChartRegion };
  /** Rejection codes, in the order of their page. */
  readonly rejections: ReadonlyArray<ChartGroup>;
  /** The roles of identities. */
  readonly roles: { readonly [name: string]: string };
  /** Hash of the chart without its prose; a project has it as `meta.schema_hash`. */
  readonly schema_hash: string;
  /** The transitions. */
  readonly transitions: { readonly [name: string]: ChartTransition };
  /** The chart's version; a project has it as `meta.chart_version`. */
  readonly version: number;
  /** The classes of windows. */
  readonly window_classes: { readonly [name: string]: string };
}

/** One transition of the statechart, and whether it is enabled now. */
export interface TransitionAnswer {
  /** Whether the state lets it happen, and the node takes proposals. */
  readonly enabled: boolean;
  /** How its guards would judge. */
  readonly guards: ReadonlyArray<GuardAnswer>;
  /** Members of its inputs and their types; `?` marks an optional one. */
  readonly inputs: { readonly [name: string]: string };
  /** The op class of its idempotency keys. */
  readonly op_class: OpClass;
  /** Why not, where it does not. */
  readonly reasons: ReadonlyArray<string>;
  /** Its region. */
  readonly region: Region;
  /** Roles that may sign it. */
  readonly signers: ReadonlyArray<Role>;
  /** Which. */
  readonly transition: Transition;
  /** The class of window it needs. */
  readonly window?: WindowClass;
}

/** Transitions that a project allows now, and the state of the window schedule. */
export interface TransitionsAnswer {
  /**
   * Beats since the schedule's epoch: what idempotency keys name. By the last schedule known where none is valid,
   * and never below the beat behind which keys are forgotten.
   */
  readonly beat: number;
  /** Candidates of the council that may be seated and vote now; left out where there are none. */
  readonly electorate?: ReadonlyArray<string>;
  /** Whether the project exists. */
  readonly exists: boolean;
  /** Its head; of a project that does not exist yet, the genesis head. */
  readonly head: string;
  /** The tidal pressure, 0 to 1000. */
  readonly pressure?: number;
  /** The project. */
  readonly project: string;
  /** The node's clock. */
  readonly time: string;
  /** Every transition of the chart. */
  readonly transitions: ReadonlyArray<TransitionAnswer>;
  /** The window of now. This member and the next two are left out where the node knows no schedule that is valid. */
  readonly window_id?: string;
  /** Windows by class: `plan`, `review`, `reverb`. */
  readonly windows?: { readonly [name: string]: WindowAnswer };
}

/** A stretch of the WAL. */
export interface WalAnswer {
  /** Index of the last durable record, whichever project's. */
  readonly last_index: number;
  /** Value of `from` for the next page; left out at the end. */
  readonly next?: number;
  /** Records by rising index. */
  readonly records: ReadonlyArray<WalEntry>;
}

/** A record of the WAL. */
export interface WalEntry {
  /** Its link in the chain: sha256(previous link ‖ canonical record); the first link follows 32 zero bytes. */
  readonly chain: string;
  /** The inputs that the record names by hash. */
  readonly inputs: unknown;
  /** The record, in its canonical bytes. */
  readonly record: Record;
}

/** Whether windows of a class are open. */
export interface WindowAnswer {
  /** Whether one is open now. */
  readonly open: boolean;
  /** Milliseconds until one opens; left out where the schedule has none. */
  readonly opens_in_ms?: number;
}

/** The window schedule of a project. */
export interface WindowsAnswer {
  /** Address of the fact. */
  readonly fact?: string;
  /** Its state at the requested time, and the next windows, as `swoosh windows` shows them. */
  readonly outlook?: { readonly [name: string]: unknown };
  /** The project. */
  readonly project: string;
  /** The schedule as config/backbeat.yaml has it, with `live` where a live source leads. */
  readonly schedule?: { readonly [name: string]: unknown };
  /** Signer of the schedule: the node's key, or that of another source. */
  readonly source?: string;
  /** The node's clock. */
  readonly time: string;
}

/** The inputs of each transition. */
export interface Inputs {
  readonly Boot_ChartUpgraded: Inputs_Boot_ChartUpgraded;
  readonly Boot_ConfigOk: Inputs_Boot_ConfigOk;
  readonly Boot_IdentityGranted: Inputs_Boot_IdentityGranted;
  readonly Boot_IdentityRevoked: Inputs_Boot_IdentityRevoked;
  readonly Boot_IdentityRotated: Inputs_Boot_IdentityRotated;
  readonly Boot_Licensed: Inputs_Boot_Licensed;
  readonly Control_Pause: Inputs_Control_Pause;
  readonly Control_QuorumLost: Inputs_Control_QuorumLost;
  readonly Control_Recovered: Inputs_Control_Recovered;
  readonly Control_Resume: Inputs_Control_Resume;
  readonly Control_Terminate: Inputs_Control_Terminate;
  readonly Council_Eject: Inputs_Council_Eject;
  readonly Council_McpGreen: Inputs_Council_McpGreen;
  readonly Council_McpRed: Inputs_Council_McpRed;
  readonly Council_ProfilesLoaded: Inputs_Council_ProfilesLoaded;
  readonly Council_QuorumCert: Inputs_Council_QuorumCert;
  readonly Council_ReElect: Inputs_Council_ReElect;
  readonly Council_Reaffirm: Inputs_Council_Reaffirm;
  readonly Council_Replan: Inputs_Council_Replan;
  readonly Environment_Amber: Inputs_Environment_Amber;
  readonly Environment_CapacityDenied: Inputs_Environment_CapacityDenied;
  readonly Environment_CapacityOk: Inputs_Environment_CapacityOk;
  readonly Environment_Deprovision: Inputs_Environment_Deprovision;
  readonly Environment_Green: Inputs_Environment_Green;
  readonly Environment_HealthFailed: Inputs_Environment_HealthFailed;
  readonly Environment_Installed: Inputs_Environment_Installed;
  readonly Environment_ProvisionFailed: Inputs_Environment_ProvisionFailed;
  readonly Environment_Reaffirm: Inputs_Environment_Reaffirm;
  readonly Environment_Recheck: Inputs_Environment_Recheck;
  readonly Environment_ReleaseFailed: Inputs_Environment_ReleaseFailed;
  readonly Environment_Released: Inputs_Environment_Released;
  readonly Execution_AllReady: Inputs_Execution_AllReady;
  readonly Execution_ApprovalsThreshold: Inputs_Execution_ApprovalsThreshold;
  readonly Execution_Approve: Inputs_Execution_Approve;
  readonly Execution_BeatReviewGate: Inputs_Execution_BeatReviewGate;
  readonly Execution_NextWindow: Inputs_Execution_NextWindow;
  readonly Execution_PlanChange: Inputs_Execution_PlanChange;
  readonly Execution_PlanLocked: Inputs_Execution_PlanLocked;
  readonly Execution_Rework: Inputs_Execution_Rework;
  readonly Execution_Submit: Inputs_Execution_Submit;
  readonly Ingestion_BytesOk: Inputs_Ingestion_BytesOk;
  readonly Ingestion_CorpusBuilt: Inputs_Ingestion_CorpusBuilt;
  readonly Ingestion_FetchFailed: Inputs_Ingestion_FetchFailed;
  readonly Ingestion_IndexFailed: Inputs_Ingestion_IndexFailed;
  readonly Ingestion_NewVersion: Inputs_Ingestion_NewVersion;
  readonly Ingestion_PolicyViolation: Inputs_Ingestion_PolicyViolation;
  readonly Ingestion_ResolveFailed: Inputs_Ingestion_ResolveFailed;
  readonly Ingestion_Retry: Inputs_Ingestion_Retry;
  readonly Ingestion_RollbackIndex: Inputs_Ingestion_RollbackIndex;
  readonly Ingestion_SchemaOk: Inputs_Ingestion_SchemaOk;
  readonly Ingestion_SourcesResolved: Inputs_Ingestion_SourcesResolved;
  readonly Ingestion_ValidateFailed: Inputs_Ingestion_ValidateFailed;
  readonly License_Expired: Inputs_License_Expired;
  readonly License_GraceEntered: Inputs_License_GraceEntered;
  readonly License_Renewed: Inputs_License_Renewed;
  readonly Policy_ConfirmedBlock: Inputs_Policy_ConfirmedBlock;
  readonly Policy_Quarantine: Inputs_Policy_Quarantine;
  readonly Policy_Release: Inputs_Policy_Release;
  readonly Policy_Updated: Inputs_Policy_Updated;
}
