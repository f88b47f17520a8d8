"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Self, TypeVar

import httpx

from swoosh import _api, _pages
from swoosh._engine import Engine
from swoosh._exchange import MOST_BYTES, PASSING, Lost, Pause, Reply, Request, Steps
from swoosh._link import lost, same_url, transport_options
from swoosh._model import Answer
from swoosh._node import Proposal, draft_of, event_error, is_pruned, is_unknown, settings_of
from swoosh._propose import Accepted, Held, Observer, dry_run, is_passing, prepare, propose
from swoosh._sse import SILENCE_S, Event, Listener
from swoosh._wait import Goal
from swoosh.errors import Rejected, TimeOver, Unexpected, Unreachable
from swoosh.protocol.council import Election
from swoosh.protocol.hlc import Hlc

T = TypeVar("T")
A = TypeVar("A", bound=Answer)


class Client:
    """A client of a node, or of several nodes of one cluster. Safe for threads."""

    def __init__(self, address: str | list[str] | None = None, **given: Any) -> None:
        self.engine = Engine(settings_of(address, given))
        self._http = httpx.Client(**transport_options(self.engine.settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections."""
        self._http.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.engine.address!r})"

    # The driver

    def _run(self, steps: Steps[T]) -> T:
        try:
            asked = next(steps)
            while True:
                asked = steps.send(self._serve(asked))
        except StopIteration as done:
            found: T = done.value
            return found

    def _serve(self, asked: Request | Pause) -> Reply | Lost | None:
        if isinstance(asked, Pause):
            time.sleep(asked.seconds)
            return None
        try:
            with self._stream(asked) as response:
                return self._whole(response)
        except httpx.HTTPError as error:
            return lost(asked, error)

    def _stream(self, asked: Request) -> Any:
        timeout = httpx.Timeout(asked.timeout, connect=min(asked.timeout, self.engine.settings.timeouts.connect))
        return self._http.stream(asked.method, same_url(asked), headers=dict(asked.headers), content=asked.body, timeout=timeout)

    def _whole(self, response: httpx.Response) -> Reply | Lost:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                return Lost(f"the answer has more than {MOST_BYTES} bytes", is_passing=False)
        return Reply(response.status_code, {name.lower(): value for name, value in response.headers.items()}, bytes(body))

    def _each(self, pages: _pages.Pages[A]) -> Iterator[A]:
        while not pages.is_over:
            yield from self._run(pages.next())

    # Proposing

    def propose(
        self, proposal: Proposal, *, timeout: float | None = None, observer: Observer | None = None, **more: Any
    ) -> Accepted | Held:
        """Proposes until there is an answer. `more` are members of a `Draft`, such as `project`."""
        return self._run(propose(self.engine, draft_of(proposal, more), timeout, observer))

    def prepare(self, proposal: Proposal, **more: Any) -> bytes:
        """Signs a proposal without posting it."""
        return self._run(prepare(self.engine, draft_of(proposal, more)))

    def dry_run(self, proposal: Proposal, **more: Any) -> _api.DryRunAnswer:
        """The decision on a proposal; changes nothing."""
        return self._run(dry_run(self.engine, draft_of(proposal, more)))

    # Reading

    def cluster(self) -> str:
        """The cluster that signatures name."""
        return self._run(self.engine.cluster())

    def health(self) -> _api.HealthAnswer:
        """How the node is."""
        return self._run(self.engine.health())

    def state(self, project: str, *sections: str, at: int | None = None, prove: bool = False) -> _api.StateAnswer:
        """A project's head and some of its sections."""
        return self._run(self.engine.state(project, sections, at, prove))

    def head(self, project: str) -> str:
        """The head that the next proposal names."""
        return self._run(self.engine.head(project))

    def transitions(self, project: str) -> Mapping[str, _api.TransitionAnswer]:
        """By transition: whether it may happen now, and why not."""
        return {found.transition: found for found in self._run(self.engine.transitions(project)).transitions}

    def schedule(self, project: str) -> _api.TransitionsAnswer:
        """The whole answer: transitions, beat, windows, electorate."""
        return self._run(self.engine.transitions(project))

    def windows(self, project: str, at: Hlc | str | None = None, count: int = 0) -> _api.WindowsAnswer:
        """The window schedule at a time."""
        return self._run(self.engine.windows(project, at, count))

    def decision(self, project: str, index: int) -> _api.Decision:
        """Why a record was accepted."""
        return self._run(self.engine.decision(project, index))

    def election(self, project: str) -> Election:
        """The election that follows from the proven state; posts nothing."""
        return self._run(self.engine.election(project))

    def projects(self) -> Iterator[_api.ProjectAnswer]:
        """All projects."""
        return self._each(_pages.projects(self.engine))

    def effects(self, project: str | None = None) -> Iterator[_api.EffectView]:
        """Open effects."""
        return self._each(_pages.effects(self.engine, project))

    def records(self, project: str | None = None, first: int = 1) -> Iterator[_api.WalEntry]:
        """Records with their inputs."""
        return self._each(_pages.records(self.engine, project, first))

    def rejections(self, project: str | None = None, limit: int = 100) -> Iterator[_api.RejectionEntry]:
        """Refused proposals."""
        return self._each(_pages.rejections(self.engine, project, limit))

    # Following

    def events(
        self, project: str | None = None, kinds: Iterable[str] = ("transition",), after: str | None = None
    ) -> Iterator[Event]:
        """Events as they come, also over restarts of the node. `after` is the id of an event heard earlier."""
        found = self._listen(Listener(self.engine, project, kinds, after), None)
        return (event for event in found if event.kind != "listening")

    def _listen(self, listener: Listener, deadline: float | None) -> Iterator[Event]:
        while True:
            try:
                if self.engine.settings.reader or self.engine.settings.identity:
                    self._run(self.engine.cluster())
                yield from self._heard(listener, deadline)
            except (httpx.HTTPError, Unreachable):
                pass
            _raise_if_over(deadline)
            left = LONG if deadline is None else max(0.0, deadline - time.monotonic())
            time.sleep(min(listener.lost(), left))

    def _heard(self, listener: Listener, deadline: float | None) -> Iterator[Event]:
        """The events of one stream, until it ends."""
        begun, left = time.monotonic(), LONG if deadline is None else deadline - time.monotonic()
        asked = listener.begin()
        asked = Request(asked.method, asked.address, asked.target, asked.headers, None, max(0.001, min(SILENCE_S, left)))
        with self._stream(asked) as response:
            if response.status_code != 200:
                self._refused(response)
                return
            for chunk in response.iter_bytes():
                for event in listener.push(chunk):
                    error = event_error(event)
                    if error is not None:
                        raise error
                    if event.kind == "problem":
                        return
                    yield event
                _raise_if_over(deadline)
                if deadline is not None and deadline - time.monotonic() < asked.timeout and time.monotonic() - begun > 1:
                    # A stream with a shorter silence, so that the wait ends in time.
                    return

    def _refused(self, response: httpx.Response) -> None:
        reply = self._whole(response)
        if isinstance(reply, Reply) and reply.status not in PASSING:
            raise self.engine.refusal(reply)

    def wait_for(
        self, project: str, expression: str, *, timeout: float | None = None, fail_on: Collection[str] = ()
    ) -> _api.StateAnswer:
        """Waits until a project is in a state; returns the proven state.

        Raises `TimeOver`, or `CannotReach` where no transition leads there any more.
        """
        goal = Goal(expression, fail_on)
        deadline = None if timeout is None else time.monotonic() + timeout
        listener = Listener(self.engine, project, ("transition",), None)
        for event in self._listen(listener, deadline):
            at = event.data.get("index") if event.kind == "transition" else None
            state = self._state_at(project, goal, at, deadline)
            if state is not None and goal.is_reached(state):
                return state
        raise TimeOver(f"{expression} was not reached")

    def _state_at(self, project: str, goal: Goal, at: int | None, deadline: float | None) -> _api.StateAnswer | None:
        """The state after a record; None where the project does not exist. It waits for a node that does not answer."""
        while True:
            try:
                return self.state(project, *goal.sections(), at=at, prove=True)
            except (Rejected, Unreachable, Unexpected) as error:
                if is_unknown(error):
                    return None
                at = None if is_pruned(error) else at
                if not is_passing(error) and not is_pruned(error):
                    raise
            _raise_if_over(deadline)
            time.sleep(AGAIN_S)


AGAIN_S = 0.2
LONG = 365 * 86_400.0


def _raise_if_over(deadline: float | None) -> None:
    if deadline is not None and time.monotonic() >= deadline:
        raise TimeOver("the time is over before the state was reached")


__all__ = ["Client"]
