# Written by SWOOSH_BLESS=1 cargo test --test integration sdks:: from statechart.yaml and openapi/openapi.json.
"""Answers of a node. Unknown members of a newer node are kept in `more`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from swoosh._model import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRoot(Answer):
    """The signed root of a batch."""

    first: int
    """Index of the batch's first record."""
    last: int
    """Index of its last record."""
    root: str
    """Merkle root over the records' chain values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSeal(Answer):
    """A batch's root, signed by the node."""

    batch: BatchRoot
    """The signed batch."""
    node: str
    """The node."""
    signature: str
    """The node's signature over `"swoosh/batch/v1\\n" ‖ cluster ‖ "\\n" ‖ JCS(batch)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BriefRecord(Answer):
    """A record without inputs, guard outcomes, evidence and signature."""

    guards: int
    """Number of guards that judged it."""
    hlc: str
    """The proposal's clock."""
    idem_key: str
    """The proposal's idempotency key."""
    index: int
    """Its index in the log."""
    project: str
    """The project."""
    region: str
    """The transition's region."""
    signer: str
    """The signer of the proposal."""
    state_post_hash: str
    """The head after it."""
    timestamp: str
    """When the node accepted it."""
    transition: str
    """Which transition."""
    window_id: str | None = None
    """The window that the proposal named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkAnswer(Answer):
    """The answer to one of the proposals, on a line of its own."""

    status: int
    """The status that it would have been answered with alone."""
    problem: Problem | None = None
    """Why it is not accepted."""
    receipt: Receipt | None = None
    """The receipt of an accepted one, byte for byte as alone."""
    replayed: bool | None = None
    """Of an accepted one, whether it had been accepted before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartEffect(Answer):
    """Work outside the machine."""

    doc: str
    """The effect in words."""
    failure: tuple[str, ...]
    """Transitions that report failure."""
    region: str
    """The region that waits for it."""
    state: str
    """The state that the region waits in."""
    success: tuple[str, ...]
    """Transitions that report success."""
    unknown: str
    """The transition after which its outcome is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartGroup(Answer):
    """Rejection codes under one heading."""

    codes: tuple[ChartRejection, ...]
    """The codes."""
    doc: str
    """The group in words."""
    group: str
    """The heading."""
    guards: bool
    """Whether its entries are those of the guards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartGuard(Answer):
    """A condition on transitions. The texts are those of its code `guard_<name>`; left out if other codes name it as
    theirs.
    """

    doc: str
    """The guard in words."""
    cause: str | None = None
    """Why it refuses."""
    example: str | None = None
    """A detail as the node writes it."""
    remedy: str | None = None
    """The remedy."""
    retry: str | None = None
    """How another try can help."""
    rule: str | None = None
    """The rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartPasses(Answer):
    """Regions and transitions that a block does not stop."""

    compensations: bool
    """Whether compensations pass."""
    regions: tuple[str, ...]
    """Whole regions."""
    transitions: tuple[str, ...]
    """Single transitions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartRegion(Answer):
    """A parallel region; the first state is the initial one."""

    doc: str
    """The region in words."""
    states: tuple[str, ...]
    """Its states."""
    resting: tuple[str, ...] | None = None
    """States that it may rest in while other regions go on."""
    terminal: tuple[str, ...] | None = None
    """States that nothing leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartRejection(Answer):
    """A rejection code that is not `guard_<name>`."""

    cause: str
    """Why it is given."""
    code: str
    """The code."""
    example: str
    """A detail as the node writes it."""
    remedy: str
    """The remedy."""
    retry: str
    """How another try can help."""
    rule: str
    """The rule."""
    title: str
    """The code in words."""
    guard: str | None = None
    """The guard whose failure it reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartTransition(Answer):
    """A transition."""

    doc: str
    """The transition in words."""
    from_: tuple[str, ...]
    """States that it may start from."""
    guards: tuple[str, ...]
    """Its guards, besides `base_guards`, `licensed_guards` and `window`."""
    inputs: Mapping[str, str]
    """Members of its inputs, and their types; `Inputs_<Transition>` has the schema."""
    region: str
    """Its region."""
    signers: tuple[str, ...]
    """Roles that may sign it."""
    summary: str
    """Template of its sentence in decision records."""
    to: tuple[str, ...]
    """States that it may lead to; the same several states in `from` and `to` mean that the state stays."""
    cancels: tuple[str, ...] | None = None
    """Effects that it cancels."""
    closes: str | None = None
    """The effect whose outcome it is."""
    compensation: bool | None = None
    """Whether it passes where others are blocked."""
    opens: tuple[str, ...] | None = None
    """Effects that it may open."""
    since: Mapping[str, int] | None = None
    """Guards that a later version of the chart added, with that version."""
    window: str | None = None
    """The class of window that it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DamageView(Answer):
    """Damage to the journal."""

    reason: str
    """The error of the read that found it."""
    refused: bool
    """Whether the project's proposals are refused; else only reads of the damaged row fail."""
    project: str | None = None
    """The damaged project."""
    table: str | None = None
    """The damaged table, where the project is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedAnswer(Answer):
    """A project that cannot be read."""

    project: str
    """The project."""
    reason: str
    """The reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedRecord(Answer):
    """A record that cannot be read."""

    index: int
    """Its index in the log."""
    reason: str
    """The reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Answer):
    """Why one transition was accepted, in full."""

    chain: str
    """The record's link in the chain."""
    evidence: tuple[str, ...]
    """The caller's evidence."""
    guard_outcomes: tuple[GuardOutcome, ...]
    """How every guard judged, with reasons and the hashes of the facts it read."""
    hlc: str
    """The caller's clock."""
    id: str
    """Its address."""
    idem_key: str
    """Under which key."""
    index: int
    """Index of the record."""
    inputs_hash: str
    """Hash of the inputs."""
    justification: str
    """Why, in the caller's words where it gave any."""
    policy_engine: str
    """Version of the policy engine that judged."""
    project: str
    """The project decided about."""
    signer: str
    """The signer's public key."""
    state_post_hash: str
    """Head after."""
    state_pre_hash: str
    """Head before."""
    summary: str
    """Its meaning, in a sentence."""
    timestamp: str
    """When the node accepted it."""
    transition: str
    """The accepted transition."""
    ucxl: tuple[str, ...]
    """Where the decision belongs: the UCXL evidence, or the record's own derived address."""
    grant: str | None = None
    """The grant of the settings by which that caller acted as operator, voter or human."""
    on_behalf_of: str | None = None
    """The caller that the signer proposed for, if it is a delegate of the WHOOSH migration."""
    window_id: str | None = None
    """The window named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DivergencesAnswer(Answer):
    """Differences between WHOOSH and SWOOSH."""

    divergences: tuple[Mapping[str, Any], ...]
    """The last ones, newest first, with both sides."""
    found: int
    """How many were found in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunAnswer(Answer):
    """Decision of a dry run."""

    accepted: bool
    """Whether it would be accepted."""
    guard_outcomes: tuple[GuardOutcome, ...]
    """How the guards judge."""
    problem: Problem | None = None
    """Why it would not be accepted."""
    receipt: Receipt | None = None
    """The receipt that it got then."""
    replayed: bool | None = None
    """Whether it was accepted before, under the same key."""
    state_post_hash: str | None = None
    """The head that it would lead to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectView(Answer):
    """An open effect."""

    attempt: int
    """Attempts that were begun, those at earlier effects of the same work that failed too; one that was cut short by a
    crash counts.
    """
    effect: str
    """Its name in the statechart."""
    id: str
    """`<project>/<index>-<digest>/<effect>`, which its outcome must name."""
    mode: str
    """`builtin`, performed by the node; `external`, by an identity of role worker."""
    phase: str
    """`waiting`, `suspended` (its project is blocked), `running`, `reporting` (its outcome waits to be recorded),
    `external`; in events `closed` too.
    """
    project: str
    """The project."""
    begun_ms: int | None = None
    """When the present attempt began, in milliseconds since 1970."""
    done: int | None = None
    """How much of the step is done, where that is known."""
    next_ms: int | None = None
    """When something is tried next."""
    opened_at: str | None = None
    """When it was opened."""
    reason: str | None = None
    """Why it waits, or what went wrong last."""
    step: str | None = None
    """Step of the current attempt."""
    total: int | None = None
    """Of how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectsPage(Answer):
    """A page of open effects, by id."""

    effects: tuple[EffectView, ...]
    """The effects."""
    next: str | None = None
    """Value of `after` for the next page; left out at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventAnswer(Answer):
    """One event of the stream."""

    data: str
    """The event's data, as JSON."""
    event: str
    """`transition`, `effect`, `health`, `gap` or `problem`."""
    id: str | None = None
    """Of a transition, `<incarnation>-<index>` of its record; of a `gap`, of the record that it goes on after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportView(Answer):
    """How an exporter of decision records is."""

    exporter: str
    """Which exporter: `jsonl` or `bubble`."""
    failures: int
    """Failures since the start."""
    lag: int
    """Records that wait for it."""
    position: int
    """Index of the last record that it delivered."""
    problem: str | None = None
    """Why it does not come on, while it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedAnswer(Answer):
    """A stretch of the log."""

    cluster: str
    """The cluster."""
    facts: tuple[Any, ...]
    """Every fact that they name, each once: its hash and the fact."""
    first_index: int
    """Index of the first record that is not pruned."""
    incarnations: tuple[Any, ...]
    """How the incarnations of the log after the first one began."""
    last_index: int
    """Index of the last durable record."""
    node: str
    """The node, which sealed the records."""
    records: tuple[FeedEntry, ...]
    """Records by rising index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEntry(Answer):
    """One record, and what proves it."""

    chain: str
    """Its link in the chain."""
    inputs: Any
    """The inputs that it names by hash."""
    path: tuple[str, ...]
    """Path from its leaf to that root."""
    record: Record
    """The record."""
    seal: BatchSeal
    """The signed root of the batch that it was committed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardAnswer(Answer):
    """How one guard would judge now."""

    guard: str
    """Which guard."""
    reasons: tuple[str, ...]
    """Why."""
    ok: bool | None = None
    """Whether it would pass; left out where that depends on the proposal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardOutcome(Answer):
    """How one guard judged."""

    guard: str
    """Which guard."""
    ok: bool
    """Whether it lets the proposal pass."""
    reasons: tuple[str, ...]
    """Why; a passing guard gives its reasons too."""
    facts: tuple[str, ...] | None = None
    """Hashes of the facts it read; left out when it read none."""
    grant: str | None = None
    """The grant by which an unsigned caller of WHOOSH passed; only guard `identity` names one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthAnswer(Answer):
    """How the node is."""

    cluster: str
    """The cluster, which every signature names."""
    consensus: str
    """`single`: one node without replication. `follower`: it holds the log of another one and takes no proposals."""
    damaged: tuple[DamageView, ...]
    """Damage to the journal that is known: at most 100 projects, then tables whose damage is of no known project. It lists
    what the caller may read.
    """
    decision_export: tuple[ExportView, ...]
    """The exporters of decision records; a stalled one holds nothing back but shows as lag."""
    last_index: int
    """Index of the last durable record."""
    mode: str
    """Whether it takes proposals: `accepting`, `following` (another node, which `reason` names), `draining`, `refusing`
    (it goes on by itself once there is room on its disk) or `read_only` (it must be restarted).
    """
    node: str
    """The node's key, which signs receipts."""
    projects_damaged: int
    """Projects that are known to be damaged, all of them."""
    queue: int
    """Proposals that wait."""
    status: str
    """In a word."""
    tables_damaged: int
    """Tables that are known to be damaged where the project is not known."""
    time: str
    """The node's clock."""
    uncommitted_ms: int
    """Age of the oldest record that is not durable yet, or of the journal work that the sequencer waits for, in
    milliseconds; 0 where there is none.
    """
    version: str
    """The program's version."""
    wal_lag: int
    """Records judged but not yet durable."""
    last_snapshot_hlc: str | None = None
    """The clock of the newest snapshot; null before the first."""
    reason: str | None = None
    """Why all is not well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HlcLast(Answer):
    """The clock reading that was applied last."""

    hlc: str
    """The proposal's clock."""
    idem_key: str
    """Under which key."""
    signer: str
    """The signer's public key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known(Answer):
    """A schedule that is valid."""

    fact: str
    """Address of the fact."""
    outlook: Mapping[str, Any]
    """Its state at the requested time, and the next windows, as `swoosh windows` shows them."""
    schedule: Mapping[str, Any]
    """The schedule as config/backbeat.yaml has it, with `live` where a live source leads."""
    source: str
    """Signer of the schedule: the node's key, or that of another source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem(Answer):
    """Why an answer is no success (RFC 9457)."""

    code: str
    """The stable code."""
    detail: str
    """All reasons in one sentence."""
    reasons: tuple[str, ...]
    """Every reason by itself."""
    status: int
    """The HTTP status."""
    title: str
    """The code in words."""
    type: str
    """`/docs/rejections#<code>`, relative to the node."""
    guard: str | None = None
    """The guard that failed first."""
    guard_outcomes: tuple[GuardOutcome, ...] | None = None
    """How the guards judged, where it came to them."""
    head: str | None = None
    """The project's head now."""
    hlc_last: str | None = None
    """The last clock reading that the project accepted."""
    project: str | None = None
    """The project."""
    retry_after_ms: int | None = None
    """How long to wait before trying again, in milliseconds, scaled by the tidal pressure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectAnswer(Answer):
    """One project."""

    hash: str
    """Its head."""
    index: int
    """Index of its last record."""
    phase: str
    """Its top-level phase."""
    project: str
    """The project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectsAnswer(Answer):
    """A page of projects, by name."""

    projects: tuple[ProjectAnswer, ...]
    """The projects."""
    damaged: tuple[DamagedAnswer, ...] | None = None
    """Projects of this page that cannot be read, and the reason. Left out where there are none."""
    incomplete: str | None = None
    """Why projects may be missing from all pages: a table that lists them is damaged."""
    next: str | None = None
    """Value of `after` for the next page; left out at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal(Answer):
    """A signed transition proposal."""

    current_state_hash: str
    """The head that the caller saw; `GET /state` tells it as `hash`."""
    evidence: tuple[str, ...]
    """Addresses that back the proposal."""
    hlc: str
    """The caller's clock, later than the project's last reading. `X-Swoosh-Hlc` may replace it."""
    idem_key: str
    """The idempotency key. The header `Idempotency-Key` may replace it."""
    inputs: Mapping[str, Any]
    """Its inputs; `Inputs_<Transition>` has their form, and refuses every other member."""
    inputs_hash: str
    """sha256 of the RFC 8785 bytes of `inputs`."""
    signature: str
    """The signer's signature. `X-Hmmm-Signature` may replace it; it is not part of the signed bytes."""
    signer: str
    """The signer's public key."""
    transition: str
    """The proposed transition."""
    project: str | None = None
    """The project; left out, it is `default`."""
    window_id: str | None = None
    """The window the caller means; needed where the transition has a window class. `X-Swoosh-Window-Id` may replace it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed(Answer):
    """Result for a valid pushed fact."""

    hash: str
    """The address it is stored under."""
    held: bool
    """Whether it is held now. A fact that is not newer than what is held is left alone."""
    valid_until: str
    """Until when it may be believed: as claimed, or the longest its kind allows if that is earlier."""
    reason: str | None = None
    """Why it is not held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Answer):
    """The receipt of an accepted proposal: the same bytes for every repeat."""

    chain: str
    """The record's link in the chain."""
    decision: str
    """The decision record."""
    hlc: str
    """The caller's clock: the next proposal's must be later."""
    idem_key: str
    """Under which key."""
    index: int
    """Index of the record in the WAL."""
    path: tuple[str, ...]
    """Path from the record's leaf to the batch's root, from the bottom up (RFC 9162 §2.1.1)."""
    project: str
    """The project."""
    seal: BatchSeal
    """The batch's signed root."""
    state_post_hash: str
    """Head after: what the next proposal must name."""
    state_pre_hash: str
    """Head before."""
    timestamp: str
    """When the node accepted it."""
    transition: str
    """The accepted transition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Answer):
    """An entry of the WAL."""

    evidence: tuple[str, ...]
    """The caller's evidence."""
    guard_outcomes: tuple[GuardOutcome, ...]
    """How every guard judged, in the chart's order."""
    hlc: str
    """The caller's clock."""
    idem_key: str
    """The caller's idempotency key."""
    index: int
    """Position in the WAL, from 1."""
    inputs_hash: str
    """Hash of the inputs."""
    policy_engine: str
    """Version of the policy engine that judged."""
    project: str
    """The project."""
    signature: str
    """The caller's signature."""
    signer: str
    """The signer's public key."""
    state_post_hash: str
    """Head after."""
    state_pre_hash: str
    """Head before."""
    timestamp: str
    """When the node accepted it, by its own monotone clock."""
    transition: str
    """The proposed transition."""
    project_implied: bool | None = None
    """Whether the proposal left `project` out, which its signature depends on; left out when false."""
    window_id: str | None = None
    """The window named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsAnswer(Answer):
    """A page of records, newest first."""

    first_index: int
    """Index of the first record that is not pruned."""
    last_index: int
    """Index of the last durable record."""
    records: tuple[BriefRecord, ...]
    """The records that match."""
    scanned: int
    """Number of records that this call looked at, at most 20000."""
    damaged: tuple[DamagedRecord, ...] | None = None
    """Records that this call could not read. Left out where there are none."""
    next: int | None = None
    """Value of `before` for the next page, even of a page that is not full; left out at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionEntry(Answer):
    """A rejection that is remembered."""

    at: str
    """When, by the node's clock."""
    code: str
    """Why not."""
    reasons: tuple[str, ...]
    """Why not, in words."""
    guard: str | None = None
    """The guard that failed. Left out where none did."""
    project: str | None = None
    """The project. Left out where no signature vouches for it."""
    transition: str | None = None
    """The proposed transition. Left out where no signature vouches for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionsAnswer(Answer):
    """Rejections, newest first."""

    rejections: tuple[RejectionEntry, ...]
    """The rejections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateAnswer(Answer):
    """A project's head and the sections asked for."""

    hash: str
    """The state hash: what the next proposal must name as `current_state_hash`."""
    index: int
    """Index of the record that led here."""
    phase: str
    """The top-level phase."""
    project: str
    """The project."""
    projection: Mapping[str, Any]
    """The sections asked for; `sha256(JCS(section))` is a section's entry in `sections`."""
    sections: Mapping[str, str]
    """The hash of each of the ten sections. The state hash is `sha256("swoosh/state/v1\\n" ‖ JCS(sections))`."""
    hlc_last: HlcLast | None = None
    """The last clock reading accepted; null before the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatechartAnswer(Answer):
    """The statechart: the members of `statechart.yaml`, and its hash."""

    base_guards: tuple[str, ...]
    """Guards of every transition."""
    blocked: Mapping[str, ChartPasses]
    """What passes while a project is blocked, by the block's reason."""
    bounds: Mapping[str, int]
    """Bounds of the state's lists."""
    effects: Mapping[str, ChartEffect]
    """Work outside the machine."""
    guards: Mapping[str, ChartGuard]
    """The guards."""
    licensed_guards: tuple[str, ...]
    """Guards of every transition of `licensed_regions`."""
    licensed_regions: tuple[str, ...]
    """Regions whose transitions need a license."""
    op_classes: Mapping[str, str]
    """The third part of idempotency keys."""
    regions: Mapping[str, ChartRegion]
    """The parallel regions."""
    rejections: tuple[ChartGroup, ...]
    """Rejection codes, in the order of their page."""
    roles: Mapping[str, str]
    """The roles of identities."""
    schema_hash: str
    """Hash of the chart without its prose; a project has it as `meta.schema_hash`."""
    transitions: Mapping[str, ChartTransition]
    """The transitions."""
    version: int
    """The chart's version; a project has it as `meta.chart_version`."""
    window_classes: Mapping[str, str]
    """The classes of windows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionAnswer(Answer):
    """One transition of the statechart, and whether it is enabled now."""

    enabled: bool
    """Whether the state lets it happen, and the node takes proposals."""
    guards: tuple[GuardAnswer, ...]
    """How its guards would judge."""
    inputs: Mapping[str, str]
    """Members of its inputs and their types; `?` marks an optional one."""
    op_class: str
    """The op class of its idempotency keys."""
    reasons: tuple[str, ...]
    """Why not, where it does not."""
    region: str
    """Its region."""
    signers: tuple[str, ...]
    """Roles that may sign it."""
    transition: str
    """Which."""
    window: str | None = None
    """The class of window it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionsAnswer(Answer):
    """Transitions that a project allows now, and the state of the window schedule."""

    beat: int
    """Beats since the schedule's epoch: what idempotency keys name. By the last schedule known where none is valid, and
    never below the beat behind which keys are forgotten.
    """
    exists: bool
    """Whether the project exists."""
    head: str
    """Its head; of a project that does not exist yet, the genesis head."""
    project: str
    """The project."""
    time: str
    """The node's clock."""
    transitions: tuple[TransitionAnswer, ...]
    """Every transition of the chart."""
    electorate: tuple[str, ...] | None = None
    """Candidates of the council that may be seated and vote now; left out where there are none."""
    pressure: int | None = None
    """The tidal pressure, 0 to 1000."""
    window_id: str | None = None
    """The window of now. This member and the next two are left out where the node knows no schedule that is valid."""
    windows: Mapping[str, WindowAnswer] | None = None
    """Windows by class: `plan`, `review`, `reverb`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalAnswer(Answer):
    """A stretch of the WAL."""

    last_index: int
    """Index of the last durable record, whichever project's."""
    records: tuple[WalEntry, ...]
    """Records by rising index."""
    next: int | None = None
    """Value of `from` for the next page; left out at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalEntry(Answer):
    """A record of the WAL."""

    chain: str
    """Its link in the chain: sha256(previous link ‖ canonical record); the first link follows 32 zero bytes."""
    inputs: Any
    """The inputs that the record names by hash."""
    record: Record
    """The record, in its canonical bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowAnswer(Answer):
    """Whether windows of a class are open."""

    open: bool
    """Whether one is open now."""
    opens_in_ms: int | None = None
    """Milliseconds until one opens; left out where the schedule has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsAnswer(Answer):
    """The window schedule of a project."""

    project: str
    """The project."""
    time: str
    """The node's clock."""
    fact: str | None = None
    """Address of the fact."""
    outlook: Mapping[str, Any] | None = None
    """Its state at the requested time, and the next windows, as `swoosh windows` shows them."""
    schedule: Mapping[str, Any] | None = None
    """The schedule as config/backbeat.yaml has it, with `live` where a live source leads."""
    source: str | None = None
    """Signer of the schedule: the node's key, or that of another source."""
