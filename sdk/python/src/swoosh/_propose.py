"""Proposing: sign, post, and try again under the same key until there is an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from swoosh import _api
from swoosh._draft import AUTOMATIC, Draft
from swoosh._engine import Engine
from swoosh._exchange import PASSING, Lost, Pause, Reply, Request, Steps
from swoosh._retry import DAMAGED, FOLLOWER, Cause
from swoosh.errors import GaveUp, NotProven, ReadsOnly, Rejected, SwooshError, Unexpected, Unreachable, rejected
from swoosh.protocol.documents import DocumentError, parse
from swoosh.protocol.ids import IdemKey
from swoosh.protocol.proposal import sign_proposal
from swoosh.protocol.receipts import ReceiptFault, check_receipt

_MOST_IN_LINE_S = 10


@dataclass(frozen=True, slots=True)
class Accepted:
    """A proposal that was accepted. Its receipt is verified."""

    receipt: _api.Receipt
    body: bytes = field(repr=False)
    """The receipt's bytes as they came."""
    replayed: bool
    """Whether it had been accepted before."""
    attempts: int


@dataclass(frozen=True, slots=True)
class Held:
    """The outcome of an effect that a blocked project keeps. The node records it when the project goes on."""

    key: str
    problem: Mapping[str, Any] = field(repr=False)
    attempts: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """A step of a proposal, for display. `cause` and `wait_ms` are of an attempt that is followed by another."""

    number: int
    key: str | None
    cause: str | None = None
    wait_ms: int = 0


Observer = Callable[[Attempt], None]


class _Journey:
    """One proposal on its way. The key is made once; the bytes stay until a new signature is needed."""

    def __init__(self, engine: Engine, draft: Draft, deadline: float | None) -> None:
        self.engine, self.draft, self.deadline = engine, draft, deadline
        self.key: IdemKey | None = None
        self.body: bytes | None = None
        self.cause: Cause | None = None
        self.head_moved = False
        self.may_be_accepted = False
        self.followers = 0

    def failed(self, cause: Cause) -> None:
        """Takes note of why an attempt did not end the matter."""
        self.cause = cause
        self.may_be_accepted |= cause.may_be_accepted
        if cause.step == "sign":
            self.body = None
            self.head_moved |= cause.code == "stale_head"

    def sign(self) -> Steps[bytes]:
        """Fills in what the draft leaves open, and signs."""
        engine, draft = self.engine, self.draft
        identity = engine.settings.identity
        assert identity is not None
        cluster = yield from engine.cluster()
        if self.cause is not None and self.cause.code == "hlc_behind":
            # The wall here is slow. The clock follows the node's own time from now on.
            yield from engine.health()
        view = yield from self._view()
        window = draft.window_id
        if window == AUTOMATIC:
            window = view.window_id if view is not None and _window_of(view, draft.transition) else None
        if self.key is None:
            self.key = draft.key((yield from self._beat(view)))
        return sign_proposal(
            identity,
            cluster,
            transition=draft.transition,
            inputs=draft.document(),
            head=(yield from self._head()),
            idem_key=self.key,
            hlc=engine.clock.next(),
            project=draft.project,
            window_id=window,
            evidence=draft.evidence,
        )

    def _view(self) -> Steps[_api.TransitionsAnswer | None]:
        """The place in the schedule, where key or window need it. A window is that of now, so it is read each time."""
        draft, engine = self.draft, self.engine
        knows_beat = draft.beat is not None or draft.at is not None or self.key is not None
        if knows_beat and draft.window_id != AUTOMATIC:
            return None
        fresh = engine.fresh_view(draft.project_name)
        if fresh is not None and (draft.window_id != AUTOMATIC or not _window_of(fresh, draft.transition)):
            return fresh
        return (yield from engine.transitions(draft.project_name))

    def _beat(self, view: _api.TransitionsAnswer | None) -> Steps[int]:
        if self.draft.beat is not None:
            return self.draft.beat
        if self.draft.at is not None:
            return (yield from self.engine.beat_at(self.draft.project_name, self.draft.at))
        assert view is not None
        return view.beat

    def _head(self) -> Steps[str]:
        draft = self.draft
        if draft.head is not None and (draft.only_on_head or not self.head_moved):
            return draft.head
        if self.cause is not None and self.cause.called_at is not None:
            return self.cause.called_at
        return (yield from self.engine.head(draft.project_name))

    def post(self, body: bytes) -> Request:
        """The request with the signed bytes. One that can be signed again may wait for its turn at the project."""
        request = self.engine.request("POST", "/transition", None, body)
        left = request.timeout if self.deadline is None else self.deadline - self.engine.seconds()
        timeout = max(0.001, min(request.timeout, left))
        headers = dict(request.headers)
        # The answer comes before the exchange is over.
        in_line_s = min(_MOST_IN_LINE_S, int(timeout) - 1)
        if self.draft.may_move_head and in_line_s > 0:
            headers["prefer"] = f"wait={in_line_s}"
        return Request("POST", request.address, request.target, headers, body, timeout)

    def judge(self, answer: Reply | Lost, attempts: int) -> Accepted | Held | Cause:
        """The next step after an answer."""
        if isinstance(answer, Lost):
            if not answer.is_passing:
                raise Unreachable(answer.detail)
            self.engine.next_address()
            return Cause.of_lost(answer)
        if answer.status in (200, 202):
            receipt = self._receipt(answer)
            replayed = answer.headers.get("idempotency-replayed", "").lower() == "true"
            return Accepted(receipt, answer.body, replayed, attempts)
        problem = answer.problem()
        if problem is not None:
            self.engine.follow(problem)
        cause = Cause.of_reply(answer)
        if cause.step == "held":
            return Held(str(self.key), problem or {}, attempts)
        if cause.code == FOLLOWER and self.followers + 1 < len(self.engine.settings.addresses):
            # Another address of the cluster takes proposals.
            self.followers += 1
            self.engine.next_address()
            return Cause("again", cause.detail, 0, problem)
        is_over = cause.step == "end" or (cause.code == "stale_head" and not self.draft.may_move_head)
        if is_over:
            raise rejected(problem, answer.status) if problem is not None else self.engine.unexpected(answer)
        if cause.step == "again" and answer.status in (502, 503, 504):
            self.engine.next_address()
        return cause

    def _receipt(self, answer: Reply) -> _api.Receipt:
        """The receipt of an answer, which proves itself and is this proposal's."""
        try:
            document = parse(answer.body)
            check_receipt(document, self.engine._cluster or "", self.engine.settings.node)
            receipt = _api.Receipt.read(document)
        except (ReceiptFault, DocumentError, ValueError) as error:
            raise NotProven(f"the receipt of {self.engine.address} is not taken: {error}") from None
        mine = {
            "idem_key": str(self.key),
            "project": self.draft.project_name,
            "transition": str(self.draft.transition),
        }
        for name, expected in mine.items():
            if document[name] != expected:
                raise NotProven(f"the receipt's {name} is {document[name]}, the proposal's is {expected}")
        self.engine.follow(document)
        return receipt


def _window_of(view: _api.TransitionsAnswer, transition: str) -> str | None:
    found = (known.window for known in view.transitions if known.transition == transition)
    return next(found, None)


def is_passing(error: SwooshError) -> bool:
    """Whether the same read may succeed later."""
    if isinstance(error, Rejected) and error.code == DAMAGED:
        return False
    if isinstance(error, Rejected | Unexpected):
        return error.status in PASSING
    return isinstance(error, Unreachable)


def propose(
    engine: Engine, draft: Draft, timeout: float | None = None, observer: Observer | None = None
) -> Steps[Accepted | Held]:
    """Proposes until there is an answer. The key is the same in every attempt, so it is accepted at most once."""
    if engine.settings.identity is None:
        raise ReadsOnly("this client only reads; give it an identity to propose")
    deadline = None if timeout is None else engine.seconds() + timeout
    journey, attempt, waited_ms = _Journey(engine, draft, deadline), 0, 0
    while True:
        attempt += 1
        found = yield from _attempt(journey, attempt, observer)
        if not isinstance(found, Cause):
            return found
        pressure = engine.pressure(draft.project_name)
        wait_ms = engine.settings.retry.wait_ms(attempt, waited_ms, found, pressure, engine.chance())
        is_late = wait_ms is not None and deadline is not None and engine.seconds() + wait_ms / 1000 >= deadline
        journey.failed(found)
        key = str(journey.key) if journey.key else None
        if wait_ms is None or is_late:
            raise GaveUp(attempt, found.detail, key, journey.may_be_accepted)
        if observer is not None:
            observer(Attempt(attempt, key, found.detail, wait_ms))
        waited_ms += wait_ms
        yield Pause(wait_ms / 1000)


def _attempt(journey: _Journey, number: int, observer: Observer | None) -> Steps[Accepted | Held | Cause]:
    if journey.body is None:
        try:
            journey.body = yield from journey.sign()
        except SwooshError as error:
            if not is_passing(error):
                raise
            asked = error.retry_after_ms if isinstance(error, Rejected) else None
            return Cause("sign", str(error), asked)
    if observer is not None:
        observer(Attempt(number, str(journey.key)))
    answer = yield journey.post(journey.body)
    assert answer is not None
    return journey.judge(answer, number)


def prepare(engine: Engine, draft: Draft) -> Steps[bytes]:
    """Reads what a draft leaves open and signs it; posts nothing."""
    if engine.settings.identity is None:
        raise ReadsOnly("this client only reads; give it an identity to propose")
    return (yield from _Journey(engine, draft, None).sign())


def dry_run(engine: Engine, draft: Draft) -> Steps[_api.DryRunAnswer]:
    """The decision on a draft at the durable head; changes nothing."""
    body = yield from prepare(engine, draft)
    answer = yield engine.request("POST", "/transition", {"dry_run": "true"}, body)
    if isinstance(answer, Lost):
        raise Unreachable(answer.detail)
    assert answer is not None
    return engine.typed(_api.DryRunAnswer, answer, engine.document(answer))
