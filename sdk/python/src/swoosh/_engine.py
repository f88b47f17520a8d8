"""The client without a network: every method is a generator of requests and waits, which a driver serves."""

from __future__ import annotations

import platform
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from swoosh import _api
from swoosh._exchange import Lost, Reply, Request, Steps
from swoosh._model import Answer
from swoosh._settings import Settings
from swoosh.errors import NotProven, Rejected, Unexpected, Unreachable, rejected
from swoosh.protocol.council import Election
from swoosh.protocol.documents import DocumentError
from swoosh.protocol.hlc import Hlc
from swoosh.protocol.ids import check_form
from swoosh.protocol.reads import read_headers
from swoosh.protocol.state import is_proven

VERSION = "0.1.0"
USER_AGENT = f"swoosh-python/{VERSION} ({platform.python_implementation().lower()} {platform.python_version()})"
FRESH_S = 1.0
"""How long the beat of a key may be taken from an earlier answer."""

A = TypeVar("A", bound=Answer)
Query = Mapping[str, str | int | None]


class Engine:
    """Reads of a node, and what proposals build on. Drivers share nothing but this."""

    def __init__(
        self,
        settings: Settings,
        seconds: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self.clock = settings.clock
        self.seconds = seconds
        self.chance = chance
        self._at = 0
        self._cluster = settings.cluster
        self._views: dict[str, tuple[float, _api.TransitionsAnswer]] = {}

    @property
    def address(self) -> str:
        """The address of the node that is asked now."""
        return self.settings.addresses[self._at]

    def next_address(self) -> None:
        """Turns to the next address of the cluster."""
        self._at = (self._at + 1) % len(self.settings.addresses)

    # Requests

    def request(self, method: str, path: str, query: Query | None = None, body: bytes | None = None) -> Request:
        """A request to the present address; reads of a client with an identity and a known cluster are signed."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        words = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in given.items())
        target = urlsplit(self.address).path.rstrip("/") + path + (f"?{words}" if words else "")
        headers = {"user-agent": USER_AGENT, "accept": "application/json"}
        if self.settings.traceparent is not None:
            headers["traceparent"] = self.settings.traceparent
        reader = self.settings.reader or self.settings.identity
        if method == "GET" and reader is not None and self._cluster is not None:
            headers |= read_headers(reader, self._cluster, self.clock.now(), target)
        if body is not None:
            headers["content-type"] = "application/json"
        return Request(method, self.address, target, headers, body, self.settings.timeouts.exchange)

    def ask(self, path: str, query: Query | None = None) -> Steps[Reply]:
        """The answer to a read, of the first address that gives one. Each address gets a new request."""
        detail = ""
        if path != "/health" and (self.settings.reader or self.settings.identity):
            # The signature of a read names the cluster.
            yield from self.cluster()
        for _ in self.settings.addresses:
            answer = yield self.request("GET", path, query)
            if isinstance(answer, Reply):
                return answer
            assert isinstance(answer, Lost)
            detail = answer.detail
            self.next_address()
        raise Unreachable(detail)

    def get(self, path: str, query: Query | None = None) -> Steps[Any]:
        """The document of a successful read. The clock follows what the node shows, in refusals too."""
        reply = yield from self.ask(path, query)
        return self.document(reply)

    def document(self, reply: Reply) -> Any:
        """The document of a successful answer; everything else is an error."""
        if reply.status == 200:
            found = reply.document()
            if isinstance(found, dict):
                self.follow(found)
                return found
            raise self.unexpected(reply)
        raise self.refusal(reply)

    def refusal(self, reply: Reply) -> Rejected | Unexpected:
        """The error of an answer that is no success."""
        problem = reply.problem()
        if problem is None:
            return self.unexpected(reply)
        self.follow(problem)
        return rejected(problem, reply.status)

    def unexpected(self, reply: Reply) -> Unexpected:
        """The error of an answer that SWOOSH does not give."""
        return Unexpected(self.address, reply.status, reply.body[:300].decode("utf-8", "replace"))

    def follow(self, document: Mapping[str, Any]) -> None:
        """Feeds the clock with the readings of a document."""
        for name in ("time", "hlc_last", "hlc", "timestamp"):
            found = document.get(name)
            self.clock.observe(found.get("hlc") if isinstance(found, dict) else found if isinstance(found, str) else None)

    def read(self, kind: type[A], path: str, query: Query | None = None) -> Steps[A]:
        """A typed answer."""
        reply = yield from self.ask(path, query)
        return self.typed(kind, reply, self.document(reply))

    def typed(self, kind: type[A], reply: Reply, document: Any) -> A:
        """A document as an answer of a kind."""
        try:
            return kind.read(document)
        except ValueError as error:
            raise Unexpected(self.address, reply.status, str(error)) from None

    # Reads

    def cluster(self) -> Steps[str]:
        """The cluster that signatures name: as set, else as the node says. Its key must be the pinned one."""
        if self._cluster is None:
            yield from self.health()
        assert self._cluster is not None
        return self._cluster

    def health(self) -> Steps[_api.HealthAnswer]:
        """`GET /health`. A node that refuses proposals answers too, with status 503."""
        reply = yield from self.ask("/health")
        document = reply.document()
        if reply.status not in (200, 503) or not isinstance(document, dict) or "cluster" not in document:
            document = self.document(reply)
        self.follow(document)
        answer = self.typed(_api.HealthAnswer, reply, document)
        if self.settings.node is not None and answer.node != self.settings.node:
            raise NotProven(f"{self.address} is the node {answer.node}, and this client is pinned to {self.settings.node}")
        if self._cluster is None:
            self._cluster = answer.cluster
        return answer

    def state(
        self, project: str, sections: tuple[str, ...] = (), at: int | None = None, prove: bool = False
    ) -> Steps[_api.StateAnswer]:
        """`GET /state`. With `prove`, the sections are checked against the head, and all that were asked for are there."""
        check_form("project", project)
        query: Query = {"project": project, "projection": ",".join(sections) or None, "at": at}
        reply = yield from self.ask("/state", query)
        document = self.document(reply)
        answer = self.typed(_api.StateAnswer, reply, document)
        if prove:
            shown = {name.lower() for name in answer.projection}
            if answer.project != project or not {name.lower() for name in sections} <= shown or not _proven(document):
                raise NotProven(f"{self.address} shows a state of {project} that does not have the hash that it names")
        return answer

    def head(self, project: str) -> Steps[str]:
        """The head that the next proposal names; of a project that does not exist yet, the genesis head."""
        try:
            answer = yield from self.state(project)
        except Rejected as error:
            if error.code == "unknown_project" and error.head is not None:
                return error.head
            raise
        return answer.hash

    def transitions(self, project: str) -> Steps[_api.TransitionsAnswer]:
        """`GET /transitions`: what may happen now, why the rest may not, and the place in the window schedule."""
        check_form("project", project)
        view = yield from self.read(_api.TransitionsAnswer, "/transitions", {"project": project})
        self._views[project] = (self.seconds(), view)
        return view

    def fresh_view(self, project: str) -> _api.TransitionsAnswer | None:
        """The last answer of `transitions`, while it is fresh."""
        read_at, view = self._views.get(project, (0.0, None))
        return view if self.seconds() - read_at < FRESH_S else None

    def pressure(self, project: str) -> int:
        """The tidal pressure as read last, 0 to 1000."""
        _, view = self._views.get(project, (0.0, None))
        return (view.pressure or 0) if view else 0

    def windows(self, project: str, at: Hlc | str | None = None, count: int = 0) -> Steps[_api.WindowsAnswer]:
        """`GET /windows`: the window schedule at a time, and the next windows."""
        at = None if at is None else str(at)
        return (yield from self.read(_api.WindowsAnswer, "/windows", {"project": project, "at": at, "count": count}))

    def beat_at(self, project: str, at: Hlc | str) -> Steps[int]:
        """The beat of a time."""
        answer = yield from self.windows(project, at)
        beat = (answer.outlook or {}).get("beat")
        if not isinstance(beat, int):
            raise NotProven(f"{self.address} knows no schedule that is valid at {at}, so no beat of a key")
        return beat

    def decision(self, project: str, index: int) -> Steps[_api.Decision]:
        """`GET /decisions/{project}/{index}`: why a record was accepted."""
        check_form("project", project)
        return (yield from self.read(_api.Decision, f"/decisions/{project}/{index}"))

    def page(self, path: str, query: Query) -> Steps[dict[str, Any]]:
        """One page of a list."""
        document = yield from self.get(path, query)
        assert isinstance(document, dict)
        return document

    def election(self, project: str) -> Steps[Election]:
        """The election that follows from the proven state."""
        cluster = yield from self.cluster()
        view = yield from self.transitions(project)
        answer = yield from self.state(project, ("council", "epoch"), prove=True)
        state = {"project": answer.project, "hash": answer.hash, "projection": answer.projection}
        return Election.of(cluster, state, view.electorate or ())


def _proven(document: Mapping[str, Any]) -> bool:
    try:
        return is_proven(document)
    except (KeyError, TypeError, AttributeError, DocumentError):
        return False
