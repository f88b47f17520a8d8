"""Why something did not succeed. No error quotes a secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swoosh._chart import RETRIES
from swoosh.protocol.documents import DocumentError
from swoosh.protocol.hlc import HlcError
from swoosh.protocol.ids import FormError
from swoosh.protocol.keys import KeyFormError

__all__ = [
    "CannotReach",
    "DocumentError",
    "FormError",
    "GaveUp",
    "GuardFailed",
    "HlcError",
    "KeyFormError",
    "NodeCannot",
    "NotNow",
    "NotProven",
    "Outdated",
    "ReadsOnly",
    "Rejected",
    "SwooshError",
    "TimeOver",
    "Unexpected",
    "Unreachable",
]


class SwooshError(Exception):
    """Base of all errors of clients."""


class ReadsOnly(SwooshError):
    """The client has no identity, so it cannot propose."""


class Unreachable(SwooshError):
    """There is no answer. Nothing is known about the fate of the request."""


class NotProven(SwooshError):
    """A receipt or a state does not prove what it says."""


class Unexpected(SwooshError):
    """An answer that SWOOSH does not give: another server may listen there."""

    def __init__(self, address: str, status: int, found: str) -> None:
        super().__init__(f"{address} answers with status {status} and a body that is no answer of SWOOSH: {found[:300]}")
        self.status = status


class TimeOver(SwooshError):
    """A wait is over before the state was reached."""


class CannotReach(SwooshError):
    """A wait cannot succeed any more."""


class Rejected(SwooshError):
    """The node does not accept a proposal, or refuses a read."""

    def __init__(self, problem: Mapping[str, Any], status: int) -> None:
        self.problem = problem
        self.status = status
        self.code = str(problem["code"])
        self.reasons: tuple[str, ...] = tuple(str(reason) for reason in problem.get("reasons") or ())
        super().__init__(f"{self.code}: {problem.get('detail') or '; '.join(self.reasons)}")

    @property
    def guard(self) -> str | None:
        """The guard that failed first."""
        return self.problem.get("guard")

    @property
    def head(self) -> str | None:
        """The project's head at the time of the answer."""
        return self.problem.get("head")

    @property
    def retry(self) -> str:
        """How trying again can help."""
        return RETRIES.get(self.code, "never")

    @property
    def retry_after_ms(self) -> int | None:
        """The wait that the node asks for."""
        found = self.problem.get("retry_after_ms")
        return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


class GuardFailed(Rejected):
    """A guard of the transition refuses."""


class Outdated(Rejected):
    """Head or clock of the proposal were too old."""


class NotNow(Rejected):
    """It may be accepted once a window is open, or something outside has changed."""


class NodeCannot(Rejected):
    """The node cannot take it now."""


_BY_RETRY: Mapping[str, type[Rejected]] = {
    "head": Outdated,
    "clock": Outdated,
    "restamp": Outdated,
    "window": NotNow,
    "outside": NotNow,
    "node": NodeCannot,
    "resend": NodeCannot,
}


def rejected(problem: Mapping[str, Any], status: int) -> Rejected:
    """The error of a problem document, by its class."""
    code = str(problem["code"])
    kind = GuardFailed if problem.get("guard") else _BY_RETRY.get(RETRIES.get(code, "never"), Rejected)
    return kind(problem, status)


class GaveUp(SwooshError):
    """All attempts were made. With the same key the proposal is accepted at most once."""

    def __init__(self, attempts: int, cause: str, key: str | None, may_be_accepted: bool) -> None:
        open_end = "; it may have been accepted all the same" if may_be_accepted else ""
        again = f"; propose it again under its key {key}" if key else ""
        super().__init__(f"gave up after {attempts} attempts: {cause}{open_end}{again}")
        self.attempts = attempts
        self.key = key
        self.may_be_accepted = may_be_accepted
