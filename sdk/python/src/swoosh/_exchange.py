"""What the engine asks of its driver. The engine makes no connection and reads no clock of its own."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

MOST_BYTES = 64 << 20
PASSING = frozenset({408, 429, 502, 503, 504})
"""Statuses that say "not now", of a node or of a proxy."""


@dataclass(frozen=True, slots=True)
class Request:
    """An exchange with a node. `target` is sent as it is, because signed reads sign it."""

    method: str
    address: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Pause:
    """A wait in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of any status. Names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def problem(self) -> dict[str, Any] | None:
        """The problem document, if the body is one."""
        found = self.document()
        return found if isinstance(found, dict) and isinstance(found.get("code"), str) else None

    def document(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def retry_after_ms(self) -> int | None:
        """`Retry-After` in its form of seconds."""
        text = self.headers.get("retry-after", "").strip()
        return int(text) * 1000 if text.isascii() and text.isdigit() and len(text) < 10 else None


@dataclass(frozen=True, slots=True)
class Lost:
    """There is no answer. `is_passing` says whether another attempt may have one."""

    detail: str
    is_passing: bool = True


T = TypeVar("T")
Steps: TypeAlias = Generator[Request | Pause, Reply | Lost | None, T]
