"""Server-sent events out of a stream of bytes, and a listener that resumes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from swoosh._engine import Engine
from swoosh._exchange import Request
from swoosh.errors import SwooshError
from swoosh.protocol.ids import EventId

MOST_BYTES = 1 << 20
SILENCE_S = 35.0
"""A node sends something every ten seconds; a longer silence is the end of a stream."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 5.0


class EventTooLarge(SwooshError):
    """An event is over its bound."""


@dataclass(frozen=True, slots=True)
class RawEvent:
    """An event as it is in the stream."""

    event: str
    data: str
    id: str | None


class EventReader:
    """Takes bytes as they come and gives events as they end. An id without data is given too."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._data: list[str] = []
        self._size = 0
        self._event = ""
        self._id: str | None = None
        self._is_begun = self._after_return = False

    def push(self, received: bytes) -> list[RawEvent]:
        """The events that ended with these bytes."""
        if self._after_return and received:
            received = received.removeprefix(b"\n")
            self._after_return = False
        self._bytes += received
        self._after_return = self._bytes.endswith(b"\r")
        lines = bytes(self._bytes).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._bytes = bytearray(lines.pop())
        ended = [event for event in map(self._line, lines) if event is not None]
        if len(self._bytes) + self._size > MOST_BYTES:
            raise EventTooLarge(f"a server-sent event has more than {MOST_BYTES} bytes")
        return ended

    def _line(self, line: bytes) -> RawEvent | None:
        if not self._is_begun:
            self._is_begun = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            return self._end()
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "id":
            self._id = value
        elif name == "data":
            self._data.append(value)
            self._size += len(value)
        return None

    def _end(self) -> RawEvent | None:
        event = RawEvent(self._event, "\n".join(self._data), self._id)
        is_given = bool(self._data) or self._id is not None
        self._event, self._id, self._data, self._size = "", None, [], 0
        return event if is_given else None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened on the node.

    `kind` is `transition`, `effect`, `health` or `gap`: after a `gap` the state is read again, because events are missing.
    """

    kind: str
    data: Any
    id: str | None = None


class Listener:
    """What a stream is asked for, and the place to resume from. No transition is given twice."""

    def __init__(self, engine: Engine, project: str | None, kinds: Iterable[str], after: str | None) -> None:
        self._engine, self._project, self._kinds = engine, project, tuple(kinds)
        self._last = EventId.parse(after) if after else None
        self._heard = False
        self.failures = 0
        self.reader = EventReader()

    @property
    def last_id(self) -> str | None:
        """The id of the last transition that was heard."""
        return str(self._last) if self._last else None

    def begin(self) -> Request:
        """The request of a stream that goes on after the last event."""
        self.reader = EventReader()
        query = {"project": self._project, "kinds": ",".join(self._kinds) or None}
        request = self._engine.request("GET", "/events", query)
        headers = {**request.headers, "accept": "text/event-stream"}
        if self._last is not None:
            headers["last-event-id"] = str(self._last)
        return Request("GET", request.address, request.target, headers, None, SILENCE_S)

    def push(self, received: bytes) -> list[Event]:
        """The events that ended with these bytes."""
        found = [event for raw in self.reader.push(received) if (event := self._take(raw)) is not None]
        if received:
            self.failures = 0
        return found

    def _take(self, raw: RawEvent) -> Event | None:
        position = EventId.parse(raw.id) if raw.id else None
        if not raw.data:
            # A stream begins with the place that it goes on from.
            self._last = self._last or position
            return Event("listening", {}, raw.id)
        try:
            data = json.loads(raw.data)
        except ValueError:
            return None
        if raw.event == "gap":
            self._last = position
        elif raw.event == "problem":
            return Event("problem", data)
        elif position is not None:
            if self._last is not None and self._is_known(position):
                return None
            self._last = position
        return Event(raw.event, data, raw.id)

    def _is_known(self, position: EventId) -> bool:
        """Whether a transition was heard before. A restored log gives indexes of later incarnations again."""
        assert self._last is not None
        return (position.incarnation, position.index) <= (self._last.incarnation, self._last.index)

    def lost(self) -> float:
        """Takes note of the end of a stream; seconds to wait before the next."""
        self.failures += 1
        self._engine.next_address()
        longest: float = min(FIRST_WAIT_S * 2 ** min(self.failures - 1, 16), LONGEST_WAIT_S)
        return longest * (0.5 + self._engine.chance() / 2)
