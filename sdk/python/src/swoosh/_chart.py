# Written by SWOOSH_BLESS=1 cargo test --test integration sdks:: from statechart.yaml and openapi/openapi.json.
"""Names and tables of the statechart."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Transition(StrEnum):
    """The transitions of the statechart."""

    BOOT_CHART_UPGRADED = "Boot_ChartUpgraded"
    BOOT_CONFIG_OK = "Boot_ConfigOk"
    BOOT_IDENTITY_GRANTED = "Boot_IdentityGranted"
    BOOT_IDENTITY_REVOKED = "Boot_IdentityRevoked"
    BOOT_IDENTITY_ROTATED = "Boot_IdentityRotated"
    BOOT_LICENSED = "Boot_Licensed"
    CONTROL_PAUSE = "Control_Pause"
    CONTROL_QUORUM_LOST = "Control_QuorumLost"
    CONTROL_RECOVERED = "Control_Recovered"
    CONTROL_RESUME = "Control_Resume"
    CONTROL_TERMINATE = "Control_Terminate"
    COUNCIL_EJECT = "Council_Eject"
    COUNCIL_MCP_GREEN = "Council_McpGreen"
    COUNCIL_MCP_RED = "Council_McpRed"
    COUNCIL_PROFILES_LOADED = "Council_ProfilesLoaded"
    COUNCIL_QUORUM_CERT = "Council_QuorumCert"
    COUNCIL_RE_ELECT = "Council_ReElect"
    COUNCIL_REAFFIRM = "Council_Reaffirm"
    COUNCIL_REPLAN = "Council_Replan"
    ENVIRONMENT_AMBER = "Environment_Amber"
    ENVIRONMENT_CAPACITY_DENIED = "Environment_CapacityDenied"
    ENVIRONMENT_CAPACITY_OK = "Environment_CapacityOk"
    ENVIRONMENT_DEPROVISION = "Environment_Deprovision"
    ENVIRONMENT_GREEN = "Environment_Green"
    ENVIRONMENT_HEALTH_FAILED = "Environment_HealthFailed"
    ENVIRONMENT_INSTALLED = "Environment_Installed"
    ENVIRONMENT_PROVISION_FAILED = "Environment_ProvisionFailed"
    ENVIRONMENT_REAFFIRM = "Environment_Reaffirm"
    ENVIRONMENT_RECHECK = "Environment_Recheck"
    ENVIRONMENT_RELEASE_FAILED = "Environment_ReleaseFailed"
    ENVIRONMENT_RELEASED = "Environment_Released"
    EXECUTION_ALL_READY = "Execution_AllReady"
    EXECUTION_APPROVALS_THRESHOLD = "Execution_ApprovalsThreshold"
    EXECUTION_APPROVE = "Execution_Approve"
    EXECUTION_BEAT_REVIEW_GATE = "Execution_BeatReviewGate"
    EXECUTION_NEXT_WINDOW = "Execution_NextWindow"
    EXECUTION_PLAN_CHANGE = "Execution_PlanChange"
    EXECUTION_PLAN_LOCKED = "Execution_PlanLocked"
    EXECUTION_REWORK = "Execution_Rework"
    EXECUTION_SUBMIT = "Execution_Submit"
    INGESTION_BYTES_OK = "Ingestion_BytesOk"
    INGESTION_CORPUS_BUILT = "Ingestion_CorpusBuilt"
    INGESTION_FETCH_FAILED = "Ingestion_FetchFailed"
    INGESTION_INDEX_FAILED = "Ingestion_IndexFailed"
    INGESTION_NEW_VERSION = "Ingestion_NewVersion"
    INGESTION_POLICY_VIOLATION = "Ingestion_PolicyViolation"
    INGESTION_RESOLVE_FAILED = "Ingestion_ResolveFailed"
    INGESTION_RETRY = "Ingestion_Retry"
    INGESTION_ROLLBACK_INDEX = "Ingestion_RollbackIndex"
    INGESTION_SCHEMA_OK = "Ingestion_SchemaOk"
    INGESTION_SOURCES_RESOLVED = "Ingestion_SourcesResolved"
    INGESTION_VALIDATE_FAILED = "Ingestion_ValidateFailed"
    LICENSE_EXPIRED = "License_Expired"
    LICENSE_GRACE_ENTERED = "License_GraceEntered"
    LICENSE_RENEWED = "License_Renewed"
    POLICY_CONFIRMED_BLOCK = "Policy_ConfirmedBlock"
    POLICY_QUARANTINE = "Policy_Quarantine"
    POLICY_RELEASE = "Policy_Release"
    POLICY_UPDATED = "Policy_Updated"


class Region(StrEnum):
    """The parallel regions of a project."""

    BOOT = "boot"
    CONTROL = "control"
    COUNCIL = "council"
    ENVIRONMENT = "environment"
    EXECUTION = "execution"
    INGESTION = "ingestion"
    POLICY = "policy"


class Role(StrEnum):
    """Roles of identities."""

    AGENT = "agent"
    HUMAN = "human"
    NODE = "node"
    OPERATOR = "operator"
    READER = "reader"
    VOTER = "voter"
    WORKER = "worker"


class Effect(StrEnum):
    """Work outside of the machine."""

    ALLOCATE = "allocate"
    FETCH = "fetch"
    HEALTHCHECK = "healthcheck"
    INDEX = "index"
    PROBE = "probe"
    PROVISION = "provision"
    RELEASE = "release"
    RESOLVE = "resolve"
    VALIDATE = "validate"


class OpClass(StrEnum):
    """The third part of idempotency keys."""

    BOOT = "boot"
    CONTROL = "control"
    COUNCIL = "council"
    ENVIRONMENT = "environment"
    EXECUTION = "execution"
    INGESTION = "ingestion"
    POLICY = "policy"


class WindowClass(StrEnum):
    """Classes of BACKBEAT windows."""

    PLAN = "plan"
    REVERB = "reverb"
    REVIEW = "review"


class Guard(StrEnum):
    """Guards of transitions."""

    BINDING = "binding"
    BREACH = "breach"
    BUNDLE = "bundle"
    CAPACITY = "capacity"
    CHART = "chart"
    CLOCK = "clock"
    COVERAGE = "coverage"
    DOCUMENT = "document"
    EFFECT = "effect"
    ENTERED = "entered"
    FRESH_WINDOW = "fresh_window"
    HEAD = "head"
    HEALTH = "health"
    IDENTITY = "identity"
    LICENSE = "license"
    LICENSE_STATUS = "license_status"
    LIVENESS = "liveness"
    MEMBER = "member"
    OPERATORS = "operators"
    PIN = "pin"
    POLICY = "policy"
    PREREQUISITES = "prerequisites"
    QUORUM = "quorum"
    READY = "ready"
    RELEASE = "release"
    RETAINED = "retained"
    RETRYABLE = "retryable"
    ROSTER = "roster"
    ROTATION = "rotation"
    SIGNATURE = "signature"
    SOURCES = "sources"
    THRESHOLD = "threshold"
    TOOLING = "tooling"
    VERSIONS = "versions"
    WINDOW = "window"


class Code(StrEnum):
    """Stable codes of refusals."""

    BAD_JSON = "bad_json"
    DUPLICATE_KEY = "duplicate_key"
    TOO_DEEP = "too_deep"
    BAD_NUMBER = "bad_number"
    BAD_TEXT = "bad_text"
    SCHEMA = "schema"
    HEADER_CONFLICT = "header_conflict"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    CONTENT_TOO_LARGE = "content_too_large"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_FOUND = "not_found"
    WRONG_HOST = "wrong_host"
    CROSS_SITE = "cross_site"
    CERTIFICATE_REFUSED = "certificate_refused"
    REQUEST_TIMEOUT = "request_timeout"
    TOO_MANY_REQUESTS = "too_many_requests"
    INPUTS_HASH_MISMATCH = "inputs_hash_mismatch"
    SIGNATURE_INVALID = "signature_invalid"
    IDENTITY_UNKNOWN = "identity_unknown"
    IDENTITY_REVOKED = "identity_revoked"
    ROLE_NOT_ALLOWED = "role_not_allowed"
    RESERVED_GOAL = "reserved_goal"
    OP_CLASS_MISMATCH = "op_class_mismatch"
    IDEM_KEY_CONFLICT = "idem_key_conflict"
    IDEM_KEY_EXPIRED = "idem_key_expired"
    BEATS_UNKNOWN = "beats_unknown"
    STALE_HEAD = "stale_head"
    HLC_NOT_AFTER = "hlc_not_after"
    HLC_AHEAD = "hlc_ahead"
    HLC_BEHIND = "hlc_behind"
    NOT_ENABLED = "not_enabled"
    BLOCKED = "blocked"
    OUTCOME_HELD = "outcome_held"
    TERMINATED = "terminated"
    NOT_LICENSED = "not_licensed"
    POLICY_BREACH = "policy_breach"
    BOUND_EXCEEDED = "bound_exceeded"
    INVARIANT_VIOLATED = "invariant_violated"
    UNKNOWN_PROJECT = "unknown_project"
    UNKNOWN_PROJECTION = "unknown_projection"
    UNKNOWN_INDEX = "unknown_index"
    PRUNED = "pruned"
    UNKNOWN_DECISION = "unknown_decision"
    BAD_QUERY = "bad_query"
    FACT_SOURCE = "fact_source"
    FACT_AHEAD = "fact_ahead"
    FACT_BODY = "fact_body"
    FACT_SERIAL = "fact_serial"
    FACTS_FULL = "facts_full"
    READS_CLOSED = "reads_closed"
    CALLER_UNKNOWN = "caller_unknown"
    LEGACY_UNREACHABLE = "legacy_unreachable"
    LEGACY_TIMEOUT = "legacy_timeout"
    MIGRATION_OFF = "migration_off"
    ORDER_STALE = "order_stale"
    MIGRATION_DIVERGED = "migration_diverged"
    CLOCK_UNSAFE = "clock_unsafe"
    OVERLOADED = "overloaded"
    DRAINING = "draining"
    NOT_DURABLE = "not_durable"
    PROJECT_DAMAGED = "project_damaged"
    READ_ONLY = "read_only"
    FOLLOWER = "follower"
    GUARD_BINDING = "guard_binding"
    GUARD_BREACH = "guard_breach"
    GUARD_BUNDLE = "guard_bundle"
    GUARD_CAPACITY = "guard_capacity"
    GUARD_CHART = "guard_chart"
    GUARD_COVERAGE = "guard_coverage"
    GUARD_DOCUMENT = "guard_document"
    GUARD_EFFECT = "guard_effect"
    GUARD_ENTERED = "guard_entered"
    GUARD_FRESH_WINDOW = "guard_fresh_window"
    GUARD_HEALTH = "guard_health"
    GUARD_LICENSE = "guard_license"
    GUARD_LICENSE_STATUS = "guard_license_status"
    GUARD_LIVENESS = "guard_liveness"
    GUARD_MEMBER = "guard_member"
    GUARD_OPERATORS = "guard_operators"
    GUARD_PIN = "guard_pin"
    GUARD_POLICY = "guard_policy"
    GUARD_PREREQUISITES = "guard_prerequisites"
    GUARD_QUORUM = "guard_quorum"
    GUARD_READY = "guard_ready"
    GUARD_RELEASE = "guard_release"
    GUARD_RETAINED = "guard_retained"
    GUARD_RETRYABLE = "guard_retryable"
    GUARD_ROSTER = "guard_roster"
    GUARD_ROTATION = "guard_rotation"
    GUARD_SOURCES = "guard_sources"
    GUARD_THRESHOLD = "guard_threshold"
    GUARD_TOOLING = "guard_tooling"
    GUARD_VERSIONS = "guard_versions"
    GUARD_WINDOW = "guard_window"


VERSION: Final = 2
"""The version of the statechart."""

STATES: Final[Mapping[str, tuple[str, ...]]] = {
    "boot": ("UNINITIALIZED", "LICENSE_CHECK", "LICENSED"),
    "control": ("ACTIVE", "TERMINATED"),
    "council": ("PLAN_ROLES", "ELECT", "TOOLING_SYNC", "READY"),
    "environment": ("ALLOCATE", "PROVISION", "HEALTHCHECK", "READY", "DEGRADED"),
    "execution": ("INACTIVE", "PLAN", "WORK", "REVIEW", "REVERB"),
    "ingestion": ("DISCOVER", "FETCH", "VALIDATE", "INDEX", "READY"),
    "policy": ("CLEAR", "QUARANTINED", "TERMINATED"),
}

REGIONS: Final[Mapping[str, str]] = {
    "Boot_ChartUpgraded": "boot",
    "Boot_ConfigOk": "boot",
    "Boot_IdentityGranted": "boot",
    "Boot_IdentityRevoked": "boot",
    "Boot_IdentityRotated": "boot",
    "Boot_Licensed": "boot",
    "Control_Pause": "control",
    "Control_QuorumLost": "control",
    "Control_Recovered": "control",
    "Control_Resume": "control",
    "Control_Terminate": "control",
    "Council_Eject": "council",
    "Council_McpGreen": "council",
    "Council_McpRed": "council",
    "Council_ProfilesLoaded": "council",
    "Council_QuorumCert": "council",
    "Council_ReElect": "council",
    "Council_Reaffirm": "council",
    "Council_Replan": "council",
    "Environment_Amber": "environment",
    "Environment_CapacityDenied": "environment",
    "Environment_CapacityOk": "environment",
    "Environment_Deprovision": "environment",
    "Environment_Green": "environment",
    "Environment_HealthFailed": "environment",
    "Environment_Installed": "environment",
    "Environment_ProvisionFailed": "environment",
    "Environment_Reaffirm": "environment",
    "Environment_Recheck": "environment",
    "Environment_ReleaseFailed": "environment",
    "Environment_Released": "environment",
    "Execution_AllReady": "execution",
    "Execution_ApprovalsThreshold": "execution",
    "Execution_Approve": "execution",
    "Execution_BeatReviewGate": "execution",
    "Execution_NextWindow": "execution",
    "Execution_PlanChange": "execution",
    "Execution_PlanLocked": "execution",
    "Execution_Rework": "execution",
    "Execution_Submit": "execution",
    "Ingestion_BytesOk": "ingestion",
    "Ingestion_CorpusBuilt": "ingestion",
    "Ingestion_FetchFailed": "ingestion",
    "Ingestion_IndexFailed": "ingestion",
    "Ingestion_NewVersion": "ingestion",
    "Ingestion_PolicyViolation": "ingestion",
    "Ingestion_ResolveFailed": "ingestion",
    "Ingestion_Retry": "ingestion",
    "Ingestion_RollbackIndex": "ingestion",
    "Ingestion_SchemaOk": "ingestion",
    "Ingestion_SourcesResolved": "ingestion",
    "Ingestion_ValidateFailed": "ingestion",
    "License_Expired": "control",
    "License_GraceEntered": "control",
    "License_Renewed": "control",
    "Policy_ConfirmedBlock": "policy",
    "Policy_Quarantine": "policy",
    "Policy_Release": "policy",
    "Policy_Updated": "policy",
}

OP_CLASSES: Final[Mapping[str, str]] = {
    "Boot_ChartUpgraded": "boot",
    "Boot_ConfigOk": "boot",
    "Boot_IdentityGranted": "boot",
    "Boot_IdentityRevoked": "boot",
    "Boot_IdentityRotated": "boot",
    "Boot_Licensed": "boot",
    "Control_Pause": "control",
    "Control_QuorumLost": "control",
    "Control_Recovered": "control",
    "Control_Resume": "control",
    "Control_Terminate": "control",
    "Council_Eject": "council",
    "Council_McpGreen": "council",
    "Council_McpRed": "council",
    "Council_ProfilesLoaded": "council",
    "Council_QuorumCert": "council",
    "Council_ReElect": "council",
    "Council_Reaffirm": "council",
    "Council_Replan": "council",
    "Environment_Amber": "environment",
    "Environment_CapacityDenied": "environment",
    "Environment_CapacityOk": "environment",
    "Environment_Deprovision": "environment",
    "Environment_Green": "environment",
    "Environment_HealthFailed": "environment",
    "Environment_Installed": "environment",
    "Environment_ProvisionFailed": "environment",
    "Environment_Reaffirm": "environment",
    "Environment_Recheck": "environment",
    "Environment_ReleaseFailed": "environment",
    "Environment_Released": "environment",
    "Execution_AllReady": "execution",
    "Execution_ApprovalsThreshold": "execution",
    "Execution_Approve": "execution",
    "Execution_BeatReviewGate": "execution",
    "Execution_NextWindow": "execution",
    "Execution_PlanChange": "execution",
    "Execution_PlanLocked": "execution",
    "Execution_Rework": "execution",
    "Execution_Submit": "execution",
    "Ingestion_BytesOk": "ingestion",
    "Ingestion_CorpusBuilt": "ingestion",
    "Ingestion_FetchFailed": "ingestion",
    "Ingestion_IndexFailed": "ingestion",
    "Ingestion_NewVersion": "ingestion",
    "Ingestion_PolicyViolation": "ingestion",
    "Ingestion_ResolveFailed": "ingestion",
    "Ingestion_Retry": "ingestion",
    "Ingestion_RollbackIndex": "ingestion",
    "Ingestion_SchemaOk": "ingestion",
    "Ingestion_SourcesResolved": "ingestion",
    "Ingestion_ValidateFailed": "ingestion",
    "License_Expired": "control",
    "License_GraceEntered": "control",
    "License_Renewed": "control",
    "Policy_ConfirmedBlock": "policy",
    "Policy_Quarantine": "policy",
    "Policy_Release": "policy",
    "Policy_Updated": "policy",
}

WINDOWS: Final[Mapping[str, str]] = {
    "Execution_ApprovalsThreshold": "reverb",
    "Execution_Approve": "reverb",
    "Execution_BeatReviewGate": "review",
    "Execution_NextWindow": "plan",
    "Execution_PlanLocked": "plan",
    "Execution_Rework": "review",
    "Execution_Submit": "reverb",
}

SIGNERS: Final[Mapping[str, tuple[str, ...]]] = {
    "Boot_ChartUpgraded": ("node",),
    "Boot_ConfigOk": ("operator",),
    "Boot_IdentityGranted": ("operator",),
    "Boot_IdentityRevoked": ("operator",),
    "Boot_IdentityRotated": ("operator",),
    "Boot_Licensed": ("operator", "agent", "worker", "node"),
    "Control_Pause": ("operator",),
    "Control_QuorumLost": ("node", "operator"),
    "Control_Recovered": ("node", "operator"),
    "Control_Resume": ("operator",),
    "Control_Terminate": ("operator",),
    "Council_Eject": ("operator", "voter"),
    "Council_McpGreen": ("worker", "node"),
    "Council_McpRed": ("worker", "node"),
    "Council_ProfilesLoaded": ("operator", "agent", "voter"),
    "Council_QuorumCert": ("operator", "agent", "voter"),
    "Council_ReElect": ("operator", "voter"),
    "Council_Reaffirm": ("operator", "agent", "voter"),
    "Council_Replan": ("operator", "voter"),
    "Environment_Amber": ("worker", "node"),
    "Environment_CapacityDenied": ("worker", "node"),
    "Environment_CapacityOk": ("worker", "node"),
    "Environment_Deprovision": ("operator",),
    "Environment_Green": ("worker", "node"),
    "Environment_HealthFailed": ("worker", "node"),
    "Environment_Installed": ("worker", "node"),
    "Environment_ProvisionFailed": ("worker", "node"),
    "Environment_Reaffirm": ("operator", "agent", "worker"),
    "Environment_Recheck": ("operator", "agent", "worker"),
    "Environment_ReleaseFailed": ("worker", "node"),
    "Environment_Released": ("worker", "node"),
    "Execution_AllReady": ("operator", "agent", "voter"),
    "Execution_ApprovalsThreshold": ("operator", "agent", "voter"),
    "Execution_Approve": ("voter",),
    "Execution_BeatReviewGate": ("operator", "agent", "voter"),
    "Execution_NextWindow": ("operator", "agent", "voter"),
    "Execution_PlanChange": ("operator", "agent", "voter"),
    "Execution_PlanLocked": ("operator", "agent", "voter"),
    "Execution_Rework": ("operator", "agent", "voter"),
    "Execution_Submit": ("operator", "agent", "voter"),
    "Ingestion_BytesOk": ("worker", "node"),
    "Ingestion_CorpusBuilt": ("worker", "node"),
    "Ingestion_FetchFailed": ("worker", "node"),
    "Ingestion_IndexFailed": ("worker", "node"),
    "Ingestion_NewVersion": ("operator", "agent", "worker"),
    "Ingestion_PolicyViolation": ("worker", "node"),
    "Ingestion_ResolveFailed": ("worker", "node"),
    "Ingestion_Retry": ("operator", "worker"),
    "Ingestion_RollbackIndex": ("operator",),
    "Ingestion_SchemaOk": ("worker", "node"),
    "Ingestion_SourcesResolved": ("worker", "node"),
    "Ingestion_ValidateFailed": ("worker", "node"),
    "License_Expired": ("node",),
    "License_GraceEntered": ("node",),
    "License_Renewed": ("node",),
    "Policy_ConfirmedBlock": ("human",),
    "Policy_Quarantine": ("node", "operator", "human"),
    "Policy_Release": ("human",),
    "Policy_Updated": ("operator", "human", "node"),
}

SUCCESSES: Final[Mapping[str, tuple[str, ...]]] = {
    "allocate": ("Environment_CapacityOk",),
    "fetch": ("Ingestion_BytesOk",),
    "healthcheck": ("Environment_Green", "Environment_Amber"),
    "index": ("Ingestion_CorpusBuilt",),
    "probe": ("Council_McpGreen",),
    "provision": ("Environment_Installed",),
    "release": ("Environment_Released",),
    "resolve": ("Ingestion_SourcesResolved",),
    "validate": ("Ingestion_SchemaOk",),
}

FAILURES: Final[Mapping[str, tuple[str, ...]]] = {
    "allocate": ("Environment_CapacityDenied",),
    "fetch": ("Ingestion_FetchFailed",),
    "healthcheck": ("Environment_HealthFailed",),
    "index": ("Ingestion_IndexFailed",),
    "probe": ("Council_McpRed",),
    "provision": ("Environment_ProvisionFailed",),
    "release": ("Environment_ReleaseFailed",),
    "resolve": ("Ingestion_ResolveFailed",),
    "validate": ("Ingestion_ValidateFailed", "Ingestion_PolicyViolation"),
}

RETRIES: Final[Mapping[str, str]] = {
    "bad_json": "never",
    "duplicate_key": "never",
    "too_deep": "never",
    "bad_number": "never",
    "bad_text": "never",
    "schema": "never",
    "header_conflict": "never",
    "unsupported_media_type": "never",
    "content_too_large": "never",
    "method_not_allowed": "never",
    "not_found": "never",
    "wrong_host": "never",
    "cross_site": "never",
    "certificate_refused": "never",
    "request_timeout": "resend",
    "too_many_requests": "node",
    "inputs_hash_mismatch": "never",
    "signature_invalid": "never",
    "identity_unknown": "never",
    "identity_revoked": "never",
    "role_not_allowed": "never",
    "reserved_goal": "never",
    "op_class_mismatch": "never",
    "idem_key_conflict": "never",
    "idem_key_expired": "never",
    "beats_unknown": "outside",
    "stale_head": "head",
    "hlc_not_after": "clock",
    "hlc_ahead": "outside",
    "hlc_behind": "restamp",
    "not_enabled": "never",
    "blocked": "outside",
    "outcome_held": "never",
    "terminated": "never",
    "not_licensed": "never",
    "policy_breach": "never",
    "bound_exceeded": "never",
    "invariant_violated": "never",
    "unknown_project": "never",
    "unknown_projection": "never",
    "unknown_index": "never",
    "pruned": "never",
    "unknown_decision": "never",
    "bad_query": "never",
    "fact_source": "never",
    "fact_ahead": "never",
    "fact_body": "never",
    "fact_serial": "never",
    "facts_full": "never",
    "reads_closed": "never",
    "caller_unknown": "never",
    "legacy_unreachable": "resend",
    "legacy_timeout": "resend",
    "migration_off": "never",
    "order_stale": "never",
    "migration_diverged": "never",
    "clock_unsafe": "node",
    "overloaded": "node",
    "draining": "node",
    "not_durable": "node",
    "project_damaged": "node",
    "read_only": "node",
    "follower": "node",
    "guard_binding": "never",
    "guard_breach": "never",
    "guard_bundle": "never",
    "guard_capacity": "outside",
    "guard_chart": "never",
    "guard_coverage": "never",
    "guard_document": "never",
    "guard_effect": "never",
    "guard_entered": "never",
    "guard_fresh_window": "window",
    "guard_health": "outside",
    "guard_license": "outside",
    "guard_license_status": "never",
    "guard_liveness": "outside",
    "guard_member": "never",
    "guard_operators": "never",
    "guard_pin": "never",
    "guard_policy": "never",
    "guard_prerequisites": "never",
    "guard_quorum": "never",
    "guard_ready": "never",
    "guard_release": "never",
    "guard_retained": "never",
    "guard_retryable": "never",
    "guard_roster": "never",
    "guard_rotation": "never",
    "guard_sources": "never",
    "guard_threshold": "never",
    "guard_tooling": "outside",
    "guard_versions": "never",
    "guard_window": "window",
}
