"""The client for asyncio and trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from typing import Any, Self, TypeVar

import anyio
import httpx

from swoosh import _api, _pages
from swoosh._engine import Engine
from swoosh._exchange import MOST_BYTES, PASSING, Lost, Pause, Reply, Request, Steps
from swoosh._link import lost, same_url, transport_options
from swoosh._model import Answer
from swoosh._node import Proposal, draft_of, event_error, is_pruned, is_unknown, settings_of
from swoosh._propose import Accepted, Held, Observer, dry_run, is_passing, prepare, propose
from swoosh._sse import Event, Listener
from swoosh._wait import Goal
from swoosh.errors import Rejected, TimeOver, Unexpected, Unreachable
from swoosh.protocol.council import Election
from swoosh.protocol.hlc import Hlc

T = TypeVar("T")
A = TypeVar("A", bound=Answer)


class AsyncClient:
    """A client of a node, or of several nodes of one cluster. For one event loop."""

    def __init__(self, address: str | list[str] | None = None, **given: Any) -> None:
        self.engine = Engine(settings_of(address, given))
        self._http = httpx.AsyncClient(**transport_options(self.engine.settings))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        await self._http.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.engine.address!r})"

    # The driver

    async def _run(self, steps: Steps[T]) -> T:
        try:
            asked = next(steps)
            while True:
                asked = steps.send(await self._serve(asked))
        except StopIteration as done:
            found: T = done.value
            return found

    async def _serve(self, asked: Request | Pause) -> Reply | Lost | None:
        if isinstance(asked, Pause):
            await anyio.sleep(asked.seconds)
            return None
        try:
            async with self._stream(asked) as response:
                return await self._whole(response)
        except httpx.HTTPError as error:
            return lost(asked, error)

    def _stream(self, asked: Request) -> Any:
        timeout = httpx.Timeout(asked.timeout, connect=min(asked.timeout, self.engine.settings.timeouts.connect))
        return self._http.stream(asked.method, same_url(asked), headers=dict(asked.headers), content=asked.body, timeout=timeout)

    async def _whole(self, response: httpx.Response) -> Reply | Lost:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                return Lost(f"the answer has more than {MOST_BYTES} bytes", is_passing=False)
        return Reply(response.status_code, {name.lower(): value for name, value in response.headers.items()}, bytes(body))

    async def _each(self, pages: _pages.Pages[A]) -> AsyncIterator[A]:
        while not pages.is_over:
            for found in await self._run(pages.next()):
                yield found

    # Proposing

    async def propose(
        self, proposal: Proposal, *, timeout: float | None = None, observer: Observer | None = None, **more: Any
    ) -> Accepted | Held:
        """Proposes until there is an answer. `more` are members of a `Draft`, such as `project`."""
        return await self._run(propose(self.engine, draft_of(proposal, more), timeout, observer))

    async def prepare(self, proposal: Proposal, **more: Any) -> bytes:
        """Signs a proposal without posting it."""
        return await self._run(prepare(self.engine, draft_of(proposal, more)))

    async def dry_run(self, proposal: Proposal, **more: Any) -> _api.DryRunAnswer:
        """The decision on a proposal; changes nothing."""
        return await self._run(dry_run(self.engine, draft_of(proposal, more)))

    # Reading

    async def cluster(self) -> str:
        """The cluster that signatures name."""
        return await self._run(self.engine.cluster())

    async def health(self) -> _api.HealthAnswer:
        """How the node is."""
        return await self._run(self.engine.health())

    async def state(self, project: str, *sections: str, at: int | None = None, prove: bool = False) -> _api.StateAnswer:
        """A project's head and some of its sections."""
        return await self._run(self.engine.state(project, sections, at, prove))

    async def head(self, project: str) -> str:
        """The head that the next proposal names."""
        return await self._run(self.engine.head(project))

    async def transitions(self, project: str) -> Mapping[str, _api.TransitionAnswer]:
        """By transition: whether it may happen now, and why not."""
        return {found.transition: found for found in (await self._run(self.engine.transitions(project))).transitions}

    async def schedule(self, project: str) -> _api.TransitionsAnswer:
        """The whole answer: transitions, beat, windows, electorate."""
        return await self._run(self.engine.transitions(project))

    async def windows(self, project: str, at: Hlc | str | None = None, count: int = 0) -> _api.WindowsAnswer:
        """The window schedule at a time."""
        return await self._run(self.engine.windows(project, at, count))

    async def decision(self, project: str, index: int) -> _api.Decision:
        """Why a record was accepted."""
        return await self._run(self.engine.decision(project, index))

    async def election(self, project: str) -> Election:
        """The election that follows from the proven state; posts nothing."""
        return await self._run(self.engine.election(project))

    def projects(self) -> AsyncIterator[_api.ProjectAnswer]:
        """All projects."""
        return self._each(_pages.projects(self.engine))

    def effects(self, project: str | None = None) -> AsyncIterator[_api.EffectView]:
        """Open effects."""
        return self._each(_pages.effects(self.engine, project))

    def records(self, project: str | None = None, first: int = 1) -> AsyncIterator[_api.WalEntry]:
        """Records with their inputs."""
        return self._each(_pages.records(self.engine, project, first))

    def rejections(self, project: str | None = None, limit: int = 100) -> AsyncIterator[_api.RejectionEntry]:
        """Refused proposals."""
        return self._each(_pages.rejections(self.engine, project, limit))

    # Following

    async def events(
        self, project: str | None = None, kinds: Iterable[str] = ("transition",), after: str | None = None
    ) -> AsyncIterator[Event]:
        """Events as they come, also over restarts of the node. `after` is the id of an event heard earlier."""
        async for event in self._listen(Listener(self.engine, project, kinds, after)):
            if event.kind != "listening":
                yield event

    async def _listen(self, listener: Listener) -> AsyncIterator[Event]:
        while True:
            try:
                if self.engine.settings.reader or self.engine.settings.identity:
                    await self._run(self.engine.cluster())
                async for event in self._heard(listener):
                    yield event
            except (httpx.HTTPError, Unreachable):
                pass
            await anyio.sleep(listener.lost())

    async def _heard(self, listener: Listener) -> AsyncIterator[Event]:
        """The events of one stream, until it ends."""
        async with self._stream(listener.begin()) as response:
            if response.status_code != 200:
                await self._refused(response)
                return
            async for chunk in response.aiter_bytes():
                for event in listener.push(chunk):
                    error = event_error(event)
                    if error is not None:
                        raise error
                    if event.kind == "problem":
                        return
                    yield event

    async def _refused(self, response: httpx.Response) -> None:
        reply = await self._whole(response)
        if isinstance(reply, Reply) and reply.status not in PASSING:
            raise self.engine.refusal(reply)

    async def wait_for(
        self, project: str, expression: str, *, timeout: float | None = None, fail_on: Collection[str] = ()
    ) -> _api.StateAnswer:
        """Waits until a project is in a state; returns the proven state.

        Raises `TimeOver`, or `CannotReach` where no transition leads there any more.
        """
        goal = Goal(expression, fail_on)
        with anyio.move_on_after(timeout):
            listener = Listener(self.engine, project, ("transition",), None)
            async for event in self._listen(listener):
                at = event.data.get("index") if event.kind == "transition" else None
                state = await self._state_at(project, goal, at)
                if state is not None and goal.is_reached(state):
                    return state
        raise TimeOver("the time is over before the state was reached")

    async def _state_at(self, project: str, goal: Goal, at: int | None) -> _api.StateAnswer | None:
        """The state after a record; None where the project does not exist. It waits for a node that does not answer."""
        while True:
            try:
                return await self.state(project, *goal.sections(), at=at, prove=True)
            except (Rejected, Unreachable, Unexpected) as error:
                if is_unknown(error):
                    return None
                at = None if is_pruned(error) else at
                if not is_passing(error) and not is_pruned(error):
                    raise
            await anyio.sleep(AGAIN_S)


AGAIN_S = 0.2
__all__ = ["AsyncClient"]
