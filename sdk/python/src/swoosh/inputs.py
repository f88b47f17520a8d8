# Written by SWOOSH_BLESS=1 cargo test --test integration sdks:: from statechart.yaml and openapi/openapi.json.
"""The inputs of each transition: one class for each, whose name says the transition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NotRequired, TypedDict

from swoosh._chart import Transition
from swoosh._model import Inputs


class Breach(TypedDict):
    """A breach of a policy, kept so that a newer bundle can judge it again."""

    bundle_serial: int
    inputs_hash: str
    more: NotRequired[int]
    reasons: Sequence[str]
    roles: Sequence[str]
    signer: str
    transition: str


class BuildChoice(TypedDict):
    """One build, by the names of the node's definitions (`swoosh templates list`)."""

    builder: str
    environment: str
    variant: NotRequired[str]


class Candidate(TypedDict):
    """A candidate for the council."""

    capabilities: Sequence[str]
    key: str


class CheckOutcome(TypedDict):
    """The outcome of one check."""

    check: str
    detail: NotRequired[str]
    ok: bool
    seen: NotRequired[ContentSeen]
    source: str


class ContentSeen(TypedDict):
    """A source's content as seen by a check. Policies judge it as `context.content` (docs/policies.md)."""

    bytes: NotRequired[int]
    files: NotRequired[int]
    flags: NotRequired[Sequence[str]]
    largest_file_bytes: NotRequired[int]
    licences: NotRequired[Sequence[str]]
    paths: NotRequired[Sequence[str]]
    paths_left_out: NotRequired[int]


class CouncilRules(TypedDict):
    """How the council is elected."""

    min_members: NotRequired[int]
    quorum: NotRequired[str]


class Delegation(TypedDict):
    """The limits of an identity that acts for others. It is never a human, an operator or a voter."""

    op_classes: Sequence[str]
    projects: NotRequired[Sequence[str]]


class Failure(TypedDict):
    """Why an effect failed."""

    detail: str
    unknown: NotRequired[bool]


class FetchedSource(TypedDict):
    """A source whose bytes are fetched."""

    commit: str
    tree: str


class IdentityGrant(TypedDict):
    """An identity's name and roles."""

    delegate: NotRequired[Delegation]
    name: str
    roles: Sequence[str]


class Limits(TypedDict):
    """Limits of a project."""

    retries: NotRequired[int]


class ProjectDocument(TypedDict):
    """The project document, which Boot_ConfigOk gives once."""

    allocation: NotRequired[Mapping[str, int]]
    approval_threshold: int
    builds: NotRequired[Sequence[BuildChoice]]
    council: NotRequired[CouncilRules]
    identities: Mapping[str, IdentityGrant]
    limits: NotRequired[Limits]
    roles: Mapping[str, RoleSpec]
    sources: Mapping[str, SourceSpec]
    tool_pins: NotRequired[Mapping[str, ToolPin]]
    upstreams: NotRequired[Mapping[str, SourceSpec]]


class ResolvedSource(TypedDict):
    """A source whose reference is resolved."""

    commit: str


class RoleSpec(TypedDict):
    """Requirements of one council role."""

    capabilities: Sequence[str]
    seats: int


class ServerSeen(TypedDict):
    """What a server reports of itself."""

    server: str
    version: str


class SourceSpec(TypedDict):
    """The place of a repository, and the reference that is wanted."""

    ref: str
    url: str


class ToolPin(TypedDict):
    """An MCP server that must answer, with the name and version that it must report."""

    server: str
    url: str
    version: str


class Vote(TypedDict):
    """One candidate's signature over the member set (docs/protocol.md)."""

    signature: str
    voter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BootChartUpgraded(Inputs):
    """The inputs of Boot_ChartUpgraded."""

    TRANSITION: ClassVar[Transition] = Transition.BOOT_CHART_UPGRADED
    from_version: int
    """The project's chart version."""
    schema_hash: str
    """Hash of the newer chart without its prose."""
    to_version: int
    """The node's chart version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootConfigOk(Inputs):
    """The inputs of Boot_ConfigOk."""

    TRANSITION: ClassVar[Transition] = Transition.BOOT_CONFIG_OK
    document: ProjectDocument
    """The project document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootIdentityGranted(Inputs):
    """The inputs of Boot_IdentityGranted."""

    TRANSITION: ClassVar[Transition] = Transition.BOOT_IDENTITY_GRANTED
    identity: IdentityGrant
    """Name, roles and limits of the identity."""
    key: str
    """The identity's key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootIdentityRevoked(Inputs):
    """The inputs of Boot_IdentityRevoked."""

    TRANSITION: ClassVar[Transition] = Transition.BOOT_IDENTITY_REVOKED
    key: str
    """The identity's key."""
    rationale: str
    """The reason, in the caller's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootIdentityRotated(Inputs):
    """The inputs of Boot_IdentityRotated."""

    TRANSITION: ClassVar[Transition] = Transition.BOOT_IDENTITY_ROTATED
    new: str
    """The new key."""
    old: str
    """The key that is replaced."""
    proof: str
    """The new key's signature over the rotation (docs/protocol.md)."""
    overlap_ms: int | None = None
    """How long both keys count, in milliseconds; left out, 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootLicensed(Inputs):
    """The inputs of Boot_Licensed."""

    TRANSITION: ClassVar[Transition] = Transition.BOOT_LICENSED


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPause(Inputs):
    """The inputs of Control_Pause."""

    TRANSITION: ClassVar[Transition] = Transition.CONTROL_PAUSE
    rationale: str
    """The reason, in the caller's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlQuorumLost(Inputs):
    """The inputs of Control_QuorumLost."""

    TRANSITION: ClassVar[Transition] = Transition.CONTROL_QUORUM_LOST
    alive: Sequence[str]
    """The elected members that the liveness fact counts as alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRecovered(Inputs):
    """The inputs of Control_Recovered."""

    TRANSITION: ClassVar[Transition] = Transition.CONTROL_RECOVERED
    alive: Sequence[str]
    """The elected members that the liveness fact counts as alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlResume(Inputs):
    """The inputs of Control_Resume."""

    TRANSITION: ClassVar[Transition] = Transition.CONTROL_RESUME
    rationale: str
    """The reason, in the caller's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlTerminate(Inputs):
    """The inputs of Control_Terminate."""

    TRANSITION: ClassVar[Transition] = Transition.CONTROL_TERMINATE
    rationale: str
    """The reason, in the caller's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CouncilEject(Inputs):
    """The inputs of Council_Eject."""

    TRANSITION: ClassVar[Transition] = Transition.COUNCIL_EJECT
    member: str
    """The elected member that leaves."""
    rationale: str
    """The reason, in the caller's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CouncilMcpGreen(Inputs):
    """The inputs of Council_McpGreen."""

    TRANSITION: ClassVar[Transition] = Transition.COUNCIL_MCP_GREEN
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    servers: Mapping[str, ServerSeen]
    """Name and version that each pinned server reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CouncilMcpRed(Inputs):
    """The inputs of Council_McpRed."""

    TRANSITION: ClassVar[Transition] = Transition.COUNCIL_MCP_RED
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    unreachable: Mapping[str, str]
    """The pinned servers that did not answer as pinned, with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CouncilProfilesLoaded(Inputs):
    """The inputs of Council_ProfilesLoaded."""

    TRANSITION: ClassVar[Transition] = Transition.COUNCIL_PROFILES_LOADED
    candidates: Sequence[Candidate]
    """The candidates for the council."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CouncilQuorumCert(Inputs):
    """The inputs of Council_QuorumCert."""

    TRANSITION: ClassVar[Transition] = Transition.COUNCIL_QUORUM_CERT
    member_set_hash: str
    """sha256 of the canonical bytes of the members."""
    members: Mapping[str, str]
    """The elected members and their roles."""
    votes: Sequence[Vote]
    """The candidates' votes for the member set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CouncilReElect(Inputs):
    """The inputs of Council_ReElect."""

    TRANSITION: ClassVar[Transition] = Transition.COUNCIL_RE_ELECT
    rationale: str
    """The reason, in the caller's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CouncilReaffirm(Inputs):
    """The inputs of Council_Reaffirm."""

    TRANSITION: ClassVar[Transition] = Transition.COUNCIL_REAFFIRM
    version: int
    """A content version of ingestion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CouncilReplan(Inputs):
    """The inputs of Council_Replan."""

    TRANSITION: ClassVar[Transition] = Transition.COUNCIL_REPLAN
    rationale: str
    """The reason, in the caller's words."""
    approval_threshold: int | None = None
    """A new threshold of approvals; left out, the present one stays."""
    roles: Mapping[str, RoleSpec] | None = None
    """New roles of the council; left out, the present ones stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentAmber(Inputs):
    """The inputs of Environment_Amber."""

    TRANSITION: ClassVar[Transition] = Transition.ENVIRONMENT_AMBER
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    outcomes: Mapping[str, str]
    """The outcomes of the checks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentCapacityDenied(Inputs):
    """The inputs of Environment_CapacityDenied."""

    TRANSITION: ClassVar[Transition] = Transition.ENVIRONMENT_CAPACITY_DENIED
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    failure: Failure
    """Why it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentCapacityOk(Inputs):
    """The inputs of Environment_CapacityOk."""

    TRANSITION: ClassVar[Transition] = Transition.ENVIRONMENT_CAPACITY_OK
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentDeprovision(Inputs):
    """The inputs of Environment_Deprovision."""

    TRANSITION: ClassVar[Transition] = Transition.ENVIRONMENT_DEPROVISION
    rationale: str
    """The reason, in the caller's words."""
    allocation: Mapping[str, int] | None = None
    """A new allocation; left out, the present one stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentGreen(Inputs):
    """The inputs of Environment_Green."""

    TRANSITION: ClassVar[Transition] = Transition.ENVIRONMENT_GREEN
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    outcomes: Mapping[str, str]
    """The outcomes of the checks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentHealthFailed(Inputs):
    """The inputs of Environment_HealthFailed."""

    TRANSITION: ClassVar[Transition] = Transition.ENVIRONMENT_HEALTH_FAILED
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    failure: Failure
    """Why it failed."""
    outcomes: Mapping[str, str] | None = None
    """The outcomes of the checks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentInstalled(Inputs):
    """The inputs of Environment_Installed."""

    TRANSITION: ClassVar[Transition] = Transition.ENVIRONMENT_INSTALLED
    assets: Mapping[str, str]
    """The assets that were built, with their content hashes."""
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    manifest_hash: str
    """sha256 of the canonical bytes of `assets`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentProvisionFailed(Inputs):
    """The inputs of Environment_ProvisionFailed."""

    TRANSITION: ClassVar[Transition] = Transition.ENVIRONMENT_PROVISION_FAILED
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    failure: Failure
    """Why it failed."""
    assets: Mapping[str, str] | None = None
    """The assets that were built, with their content hashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentReaffirm(Inputs):
    """The inputs of Environment_Reaffirm."""

    TRANSITION: ClassVar[Transition] = Transition.ENVIRONMENT_REAFFIRM
    version: int
    """A content version of ingestion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRecheck(Inputs):
    """The inputs of Environment_Recheck."""

    TRANSITION: ClassVar[Transition] = Transition.ENVIRONMENT_RECHECK


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentReleaseFailed(Inputs):
    """The inputs of Environment_ReleaseFailed."""

    TRANSITION: ClassVar[Transition] = Transition.ENVIRONMENT_RELEASE_FAILED
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    failure: Failure
    """Why it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentReleased(Inputs):
    """The inputs of Environment_Released."""

    TRANSITION: ClassVar[Transition] = Transition.ENVIRONMENT_RELEASED
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionAllReady(Inputs):
    """The inputs of Execution_AllReady."""

    TRANSITION: ClassVar[Transition] = Transition.EXECUTION_ALL_READY
    assets_hash: str
    """The manifest hash of the environment's assets (`GET /state`, section environment)."""
    content_hash: str
    """Hash of the content manifest (`GET /state`, section ingestion)."""
    member_set_hash: str
    """sha256 of the canonical bytes of the members."""
    version: int
    """A content version of ingestion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionApprovalsThreshold(Inputs):
    """The inputs of Execution_ApprovalsThreshold."""

    TRANSITION: ClassVar[Transition] = Transition.EXECUTION_APPROVALS_THRESHOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionApprove(Inputs):
    """The inputs of Execution_Approve."""

    TRANSITION: ClassVar[Transition] = Transition.EXECUTION_APPROVE
    beat: int
    """The beat of the window, as `GET /windows` counts it."""
    council_epoch: int
    """The council region's epoch (`GET /state`)."""
    plan_hash: str
    """Hash of the plan."""
    rework_round: int
    """The round of rework (`GET /state`, section execution)."""
    seat: str | None = None
    """The seat of the council that a granted caller of WHOOSH is mapped to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionBeatReviewGate(Inputs):
    """The inputs of Execution_BeatReviewGate."""

    TRANSITION: ClassVar[Transition] = Transition.EXECUTION_BEAT_REVIEW_GATE


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionNextWindow(Inputs):
    """The inputs of Execution_NextWindow."""

    TRANSITION: ClassVar[Transition] = Transition.EXECUTION_NEXT_WINDOW


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionPlanChange(Inputs):
    """The inputs of Execution_PlanChange."""

    TRANSITION: ClassVar[Transition] = Transition.EXECUTION_PLAN_CHANGE
    assets_hash: str
    """The manifest hash of the environment's assets (`GET /state`, section environment)."""
    content_hash: str
    """Hash of the content manifest (`GET /state`, section ingestion)."""
    member_set_hash: str
    """sha256 of the canonical bytes of the members."""
    version: int
    """A content version of ingestion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionPlanLocked(Inputs):
    """The inputs of Execution_PlanLocked."""

    TRANSITION: ClassVar[Transition] = Transition.EXECUTION_PLAN_LOCKED
    plan_hash: str
    """Hash of the plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRework(Inputs):
    """The inputs of Execution_Rework."""

    TRANSITION: ClassVar[Transition] = Transition.EXECUTION_REWORK
    rationale: str
    """The reason, in the caller's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSubmit(Inputs):
    """The inputs of Execution_Submit."""

    TRANSITION: ClassVar[Transition] = Transition.EXECUTION_SUBMIT
    submission: str
    """The address of the result."""
    submission_hash: str
    """Hash of the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionBytesOk(Inputs):
    """The inputs of Ingestion_BytesOk."""

    TRANSITION: ClassVar[Transition] = Transition.INGESTION_BYTES_OK
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    fetched: Mapping[str, FetchedSource]
    """Commit and tree of every source and upstream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionCorpusBuilt(Inputs):
    """The inputs of Ingestion_CorpusBuilt."""

    TRANSITION: ClassVar[Transition] = Transition.INGESTION_CORPUS_BUILT
    content_hash: str
    """Hash of the content manifest (`GET /state`, section ingestion)."""
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionFetchFailed(Inputs):
    """The inputs of Ingestion_FetchFailed."""

    TRANSITION: ClassVar[Transition] = Transition.INGESTION_FETCH_FAILED
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    failure: Failure
    """Why it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionIndexFailed(Inputs):
    """The inputs of Ingestion_IndexFailed."""

    TRANSITION: ClassVar[Transition] = Transition.INGESTION_INDEX_FAILED
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    failure: Failure
    """Why it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionNewVersion(Inputs):
    """The inputs of Ingestion_NewVersion."""

    TRANSITION: ClassVar[Transition] = Transition.INGESTION_NEW_VERSION
    sources: Mapping[str, SourceSpec] | None = None
    """New sources; left out, the present ones stay."""
    upstreams: Mapping[str, SourceSpec] | None = None
    """New upstreams; left out, the present ones stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionPolicyViolation(Inputs):
    """The inputs of Ingestion_PolicyViolation."""

    TRANSITION: ClassVar[Transition] = Transition.INGESTION_POLICY_VIOLATION
    bundle_serial: int
    """Serial of the policy bundle in force."""
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    rationale: str
    """The reason, in the caller's words."""
    outcomes: Sequence[CheckOutcome] | None = None
    """The outcomes of the checks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionResolveFailed(Inputs):
    """The inputs of Ingestion_ResolveFailed."""

    TRANSITION: ClassVar[Transition] = Transition.INGESTION_RESOLVE_FAILED
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    failure: Failure
    """Why it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionRetry(Inputs):
    """The inputs of Ingestion_Retry."""

    TRANSITION: ClassVar[Transition] = Transition.INGESTION_RETRY
    sources: Mapping[str, SourceSpec] | None = None
    """New sources; left out, the present ones stay."""
    upstreams: Mapping[str, SourceSpec] | None = None
    """New upstreams; left out, the present ones stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionRollbackIndex(Inputs):
    """The inputs of Ingestion_RollbackIndex."""

    TRANSITION: ClassVar[Transition] = Transition.INGESTION_ROLLBACK_INDEX
    rationale: str
    """The reason, in the caller's words."""
    version: int
    """A content version of ingestion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionSchemaOk(Inputs):
    """The inputs of Ingestion_SchemaOk."""

    TRANSITION: ClassVar[Transition] = Transition.INGESTION_SCHEMA_OK
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    outcomes: Sequence[CheckOutcome]
    """The outcomes of the checks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionSourcesResolved(Inputs):
    """The inputs of Ingestion_SourcesResolved."""

    TRANSITION: ClassVar[Transition] = Transition.INGESTION_SOURCES_RESOLVED
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    resolved: Mapping[str, ResolvedSource]
    """The commit of every source and upstream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionValidateFailed(Inputs):
    """The inputs of Ingestion_ValidateFailed."""

    TRANSITION: ClassVar[Transition] = Transition.INGESTION_VALIDATE_FAILED
    effect: str
    """The open effect whose outcome this is (`GET /effects`)."""
    failure: Failure
    """Why it failed."""
    outcomes: Sequence[CheckOutcome] | None = None
    """The outcomes of the checks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseExpired(Inputs):
    """The inputs of License_Expired."""

    TRANSITION: ClassVar[Transition] = Transition.LICENSE_EXPIRED
    cause: str
    """The change of the license."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseGraceEntered(Inputs):
    """The inputs of License_GraceEntered."""

    TRANSITION: ClassVar[Transition] = Transition.LICENSE_GRACE_ENTERED
    cause: str
    """The change of the license."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseRenewed(Inputs):
    """The inputs of License_Renewed."""

    TRANSITION: ClassVar[Transition] = Transition.LICENSE_RENEWED
    cause: str
    """The change of the license."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyConfirmedBlock(Inputs):
    """The inputs of Policy_ConfirmedBlock."""

    TRANSITION: ClassVar[Transition] = Transition.POLICY_CONFIRMED_BLOCK
    rationale: str
    """The reason, in the caller's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyQuarantine(Inputs):
    """The inputs of Policy_Quarantine."""

    TRANSITION: ClassVar[Transition] = Transition.POLICY_QUARANTINE
    rationale: str
    """The reason, in the caller's words."""
    breach: Breach | None = None
    """The breach that the node found; only the node names one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRelease(Inputs):
    """The inputs of Policy_Release."""

    TRANSITION: ClassVar[Transition] = Transition.POLICY_RELEASE
    justification: str
    """Why the project is released."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyUpdated(Inputs):
    """The inputs of Policy_Updated."""

    TRANSITION: ClassVar[Transition] = Transition.POLICY_UPDATED
    bundle_hash: str
    """Hash of the policy bundle in force."""
    serial: int
    """Serial of the policy bundle in force."""
    breach_inputs: Any | None = None
    """The inputs of the forbidden proposal, if the quarantine has a breach."""


BY_TRANSITION: Mapping[str, type[Inputs]] = {
    "Boot_ChartUpgraded": BootChartUpgraded,
    "Boot_ConfigOk": BootConfigOk,
    "Boot_IdentityGranted": BootIdentityGranted,
    "Boot_IdentityRevoked": BootIdentityRevoked,
    "Boot_IdentityRotated": BootIdentityRotated,
    "Boot_Licensed": BootLicensed,
    "Control_Pause": ControlPause,
    "Control_QuorumLost": ControlQuorumLost,
    "Control_Recovered": ControlRecovered,
    "Control_Resume": ControlResume,
    "Control_Terminate": ControlTerminate,
    "Council_Eject": CouncilEject,
    "Council_McpGreen": CouncilMcpGreen,
    "Council_McpRed": CouncilMcpRed,
    "Council_ProfilesLoaded": CouncilProfilesLoaded,
    "Council_QuorumCert": CouncilQuorumCert,
    "Council_ReElect": CouncilReElect,
    "Council_Reaffirm": CouncilReaffirm,
    "Council_Replan": CouncilReplan,
    "Environment_Amber": EnvironmentAmber,
    "Environment_CapacityDenied": EnvironmentCapacityDenied,
    "Environment_CapacityOk": EnvironmentCapacityOk,
    "Environment_Deprovision": EnvironmentDeprovision,
    "Environment_Green": EnvironmentGreen,
    "Environment_HealthFailed": EnvironmentHealthFailed,
    "Environment_Installed": EnvironmentInstalled,
    "Environment_ProvisionFailed": EnvironmentProvisionFailed,
    "Environment_Reaffirm": EnvironmentReaffirm,
    "Environment_Recheck": EnvironmentRecheck,
    "Environment_ReleaseFailed": EnvironmentReleaseFailed,
    "Environment_Released": EnvironmentReleased,
    "Execution_AllReady": ExecutionAllReady,
    "Execution_ApprovalsThreshold": ExecutionApprovalsThreshold,
    "Execution_Approve": ExecutionApprove,
    "Execution_BeatReviewGate": ExecutionBeatReviewGate,
    "Execution_NextWindow": ExecutionNextWindow,
    "Execution_PlanChange": ExecutionPlanChange,
    "Execution_PlanLocked": ExecutionPlanLocked,
    "Execution_Rework": ExecutionRework,
    "Execution_Submit": ExecutionSubmit,
    "Ingestion_BytesOk": IngestionBytesOk,
    "Ingestion_CorpusBuilt": IngestionCorpusBuilt,
    "Ingestion_FetchFailed": IngestionFetchFailed,
    "Ingestion_IndexFailed": IngestionIndexFailed,
    "Ingestion_NewVersion": IngestionNewVersion,
    "Ingestion_PolicyViolation": IngestionPolicyViolation,
    "Ingestion_ResolveFailed": IngestionResolveFailed,
    "Ingestion_Retry": IngestionRetry,
    "Ingestion_RollbackIndex": IngestionRollbackIndex,
    "Ingestion_SchemaOk": IngestionSchemaOk,
    "Ingestion_SourcesResolved": IngestionSourcesResolved,
    "Ingestion_ValidateFailed": IngestionValidateFailed,
    "License_Expired": LicenseExpired,
    "License_GraceEntered": LicenseGraceEntered,
    "License_Renewed": LicenseRenewed,
    "Policy_ConfirmedBlock": PolicyConfirmedBlock,
    "Policy_Quarantine": PolicyQuarantine,
    "Policy_Release": PolicyRelease,
    "Policy_Updated": PolicyUpdated,
}
