"""Readings of the hybrid logical clock, and a clock that follows the node's."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

MAX_MS = 253_402_300_799_999
MAX_LOGICAL = 65_535
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORM = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,3}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))#(0|[1-9]\d{0,19})",
    re.ASCII,
)


class HlcError(ValueError):
    """A text is no reading, or there is no later one. `reason` is `form`, `logical_overflow` or `exhausted`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True, order=True)
class Hlc:
    """A reading: milliseconds since 1970, and a logical part that breaks ties."""

    physical_ms: int = 0
    logical: int = 0

    @classmethod
    def parse(cls, text: str) -> Hlc:
        """Reads a text with any offset."""
        found = _FORM.fullmatch(text)
        if not found:
            raise HlcError("form", f"{text[:80]!r} is not a clock reading; write 2025-10-19T01:23:45.678+00:00#0")
        physical_ms = _physical(found, text)
        if int(found[11]) > MAX_LOGICAL:
            raise HlcError("logical_overflow", f"the logical part of {text[:80]!r} is over {MAX_LOGICAL}")
        return cls(physical_ms, int(found[11]))

    def __str__(self) -> str:
        wall = _EPOCH + timedelta(milliseconds=self.physical_ms)
        return f"{wall:%Y-%m-%dT%H:%M:%S}.{self.physical_ms % 1000:03}+00:00#{self.logical}"

    def successor(self) -> Hlc:
        """The least reading after this one."""
        if self.logical < MAX_LOGICAL:
            return Hlc(self.physical_ms, self.logical + 1)
        if self.physical_ms == MAX_MS:
            raise HlcError("exhausted", f"the clock has no reading after {self}")
        return Hlc(self.physical_ms + 1, 0)

    def tick(self, wall_ms: int) -> Hlc:
        """The next reading of a clock that last showed this one, at this wall time."""
        wall = Hlc(wall_ms, 0)
        return wall if self < wall and wall_ms <= MAX_MS else self.successor()


def _physical(found: re.Match[str], text: str) -> int:
    year, month, day, hour, minute, second = (int(found[at]) for at in range(1, 7))
    fraction = (found[7] or "").ljust(3, "0")
    offset = UTC
    try:
        if found[8]:
            hours, minutes = int(found[9]), int(found[10])
            if hours > 23 or minutes > 59:
                raise ValueError
            offset = timezone(timedelta(hours=hours, minutes=minutes) * (-1 if found[8] == "-" else 1))
        wall = datetime(year, month, day, hour, minute, second, int(fraction) * 1000, offset)
        physical_ms = (wall - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        physical_ms = -1
    if year < 1970 or not 0 <= physical_ms <= MAX_MS:
        raise HlcError("form", f"{text[:80]!r} is not a clock reading of 1970 to 9999")
    return physical_ms


def system_ms() -> int:
    """The wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


class HlcClock:
    """A monotone clock: every reading is later than all it gave or saw, and not before the wall.

    One clock follows one cluster. Clients of that cluster in one process may share it; it is safe for threads.
    """

    def __init__(self, wall_ms: Callable[[], int] = system_ms) -> None:
        self._wall_ms = wall_ms
        self._last = Hlc()
        self._lock = threading.Lock()

    def next(self) -> Hlc:
        """The next reading, for a signature."""
        with self._lock:
            self._last = self._last.tick(self._wall_ms())
            return self._last

    def now(self) -> Hlc:
        """The time without a tick; not for order."""
        with self._lock:
            return max(self._last, Hlc(min(self._wall_ms(), MAX_MS), 0))

    def observe(self, seen: Hlc | str | None) -> None:
        """Takes note of a reading that a node showed; earlier ones, and texts that are none, change nothing."""
        if isinstance(seen, str):
            try:
                seen = Hlc.parse(seen)
            except HlcError:
                return
        if seen is not None:
            with self._lock:
                self._last = max(self._last, seen)
