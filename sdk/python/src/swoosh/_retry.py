"""When a proposal is tried again, and how long to wait before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from swoosh._chart import RETRIES
from swoosh._exchange import PASSING, Lost, Reply

HELD = "outcome_held"
FOLLOWER = "follower"
DAMAGED = "project_damaged"
MAY_BE_WRITTEN = "not_durable"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a proposal is tried again. Times are in milliseconds."""

    attempts: int = 10
    first_wait_ms: int = 50
    longest_wait_ms: int = 5_000
    patience_ms: int = 30_000

    def wait_ms(self, attempt: int, waited_ms: int, cause: Cause, pressure: int, random: float) -> int | None:
        """The wait after an attempt, counted from 1; None to give up. `random` is from 0 to 1.

        The node's own wait is kept in full. On top comes a random part of the back-off, which grows with the tidal
        pressure. A caller that the node calls from its line does not wait.
        """
        if attempt >= self.attempts:
            return None
        if cause.called_at is not None:
            return 0
        first = self.first_wait_ms * (1000 + 4 * min(pressure, 1000)) // 1000
        jitter = min(first << min(attempt - 1, 32), self.longest_wait_ms)
        wait_ms = (cause.asked_ms or 0) + round(jitter * random)
        return wait_ms if waited_ms + wait_ms <= self.patience_ms else None


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an attempt did not end the matter. `step` is `again`, `sign`, `held` or `end`."""

    step: str
    detail: str
    asked_ms: int | None = None
    problem: Mapping[str, Any] | None = None
    may_be_accepted: bool = False
    called_at: str | None = None
    """The head at which the node called this caller out of its line."""

    @property
    def code(self) -> str | None:
        """The code of the problem document."""
        return str(self.problem["code"]) if self.problem else None

    @classmethod
    def of_lost(cls, lost: Lost) -> Cause:
        """No answer: the node may have accepted it."""
        return cls("again" if lost.is_passing else "end", lost.detail, may_be_accepted=lost.is_passing)

    @classmethod
    def of_reply(cls, reply: Reply) -> Cause:
        """An answer that is no receipt."""
        problem = reply.problem()
        if problem is None:
            step = "again" if reply.status in PASSING else "end"
            detail = f"the node answers with status {reply.status}"
            return cls(step, detail, reply.retry_after_ms(), may_be_accepted=step == "again")
        code, asked = str(problem["code"]), _wait(problem)
        step = _step(code, reply.status)
        return cls(
            step,
            f"{code}: {problem.get('detail', '')}",
            reply.retry_after_ms() if asked is None else asked,
            problem,
            step == "again" and (code == MAY_BE_WRITTEN or code not in RETRIES),
            problem.get("head") if code == "stale_head" and asked == 0 else None,
        )


def _wait(problem: Mapping[str, Any]) -> int | None:
    found = problem.get("retry_after_ms")
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


def _step(code: str, status: int) -> str:
    if code == HELD:
        return "held"
    if code in (FOLLOWER, DAMAGED):  # until the operator acts
        return "end"
    if status in PASSING:
        return "again"
    return "sign" if RETRIES.get(code) in ("head", "clock", "restamp") else "end"
