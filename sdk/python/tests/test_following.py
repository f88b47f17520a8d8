"""Events, lists and waits (rules 9 and 10), without a network."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import HEAD, Node
from swoosh import CannotReach, _pages, errors
from swoosh._api import StateAnswer
from swoosh._sse import Listener
from swoosh._wait import Expression, Goal


def transition(incarnation: int, index: int) -> bytes:
    return f'id: {incarnation}-{index}\nevent: transition\ndata: {{"index":{index}}}\n\n'.encode()


def listener(after: str | None = None) -> Listener:
    return Listener(Node().engine, "alpha", ("transition",), after)


def heard(events: list[Any]) -> list[Any]:
    return [event.data["index"] for event in events if event.kind == "transition"]


def test_a_stream_goes_on_after_the_last_event_and_none_is_given_twice() -> None:
    found = listener()
    assert "last-event-id" not in found.begin().headers
    assert heard(found.push(b"id: 1-6\n\n" + transition(1, 7) + transition(1, 8) + b"id: 1-9\nevent: transition\ndata: {")) == [
        7,
        8,
    ]
    again = found.begin()
    assert (again.headers["last-event-id"], again.target) == ("1-8", "/events?project=alpha&kinds=transition")
    assert heard(found.push(b"id: 1-8\n\n" + transition(1, 8) + transition(1, 9))) == [9]


def test_a_stream_that_broke_before_its_first_event_goes_on_from_its_beginning() -> None:
    found = listener()
    found.push(b": listening\nid: 1-6\n\n")
    assert found.begin().headers["last-event-id"] == "1-6"


def test_indexes_that_a_restored_log_gives_again_are_other_events() -> None:
    found = listener("1-7")
    events = found.push(b'id: 1-4\nevent: gap\ndata: {"next_index":5}\n\n' + transition(2, 5) + transition(2, 6))
    assert [event.kind for event in events] == ["gap", "transition", "transition"]


def test_waits_between_streams_grow_and_begin_again_after_a_byte() -> None:
    found = listener()
    waits = [found.lost() for _ in range(8)]
    assert waits == sorted(waits) and waits[0] == 0.2 and waits[-1] == 5.0
    found.push(b":\n")
    assert found.lost() == 0.2


def test_an_event_without_an_end_is_not_kept_for_ever() -> None:
    found = listener()
    with pytest.raises(errors.SwooshError):
        for _ in range(20):
            found.push(b"data: " + b"x" * 65_536 + b"\n")


def test_lists_are_read_page_by_page() -> None:
    node = Node()
    project = {"project": "a", "hash": HEAD, "index": 1, "phase": "BOOT"}
    node.reads["/projects"] = {"projects": [project], "next": "a"}
    pages = _pages.projects(node.engine)
    assert len(node.run(pages.next())) == 1 and not pages.is_over
    node.reads["/projects"] = {"projects": [project | {"project": "b"}]}
    assert node.run(pages.next())[0].project == "b" and pages.is_over
    assert [asked.target for asked in node.asked] == ["/projects?limit=500", "/projects?limit=500&after=a"]


def state(**sections: Any) -> StateAnswer:
    phases = {"execution": {"phase": "REVIEW", "approvals": {"a": 1}, "pin": None}, "control": {"paused": False}}
    return StateAnswer(project="alpha", hash=HEAD, index=17, phase="EXECUTION", sections={}, projection=phases | sections)


@pytest.mark.parametrize(
    "text",
    [
        "execution == REVIEW",
        "execution.phase==REVIEW and index >= 17",
        "execution in [WORK, REVIEW]",
        "execution in (REVIEW)",
        "execution != WORK && control.paused == false",
        "execution.approvals >= 1",
        "execution.approvals == 1",
        "execution.pin == null",
        "execution.nothing == null",
        "phase == EXECUTION",
        "execution == 'REVIEW'",
    ],
)
def test_expressions_that_hold(text: str) -> None:
    assert Expression.parse(text).holds(state())


@pytest.mark.parametrize(
    "text", ["execution == WORK", "index >= 18", "execution.pin >= 1", "control.paused == true", "execution in [WORK]"]
)
def test_expressions_that_do_not_hold(text: str) -> None:
    assert not Expression.parse(text).holds(state())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "execution",
        "execution = WORK",
        "execution == NOWHERE",
        "weather == fine",
        "index >= many",
        "execution == WORK and",
        "execution in [WORK",
        "execution == WORK or index >= 1",
        "execution == ]",
    ],
)
def test_expressions_that_no_state_can_fulfil_are_refused(text: str) -> None:
    with pytest.raises(errors.FormError):
        Expression.parse(text)


def test_a_wait_ends_where_the_state_cannot_be_reached() -> None:
    goal = Goal("execution == REVERB", ("quarantined", "effect-failed"))
    assert goal.sections() == ("environment", "execution", "ingestion", "policy")
    fine = {"policy": {"phase": "CLEAR"}, "ingestion": {"last_failure": None}, "environment": {}}
    assert not goal.is_reached(state(**fine))
    for more in ({"policy": {"phase": "QUARANTINED"}}, {"ingestion": {"last_failure": {"detail": "no such ref"}}}):
        with pytest.raises(CannotReach):
            goal.is_reached(state(**(fine | more)))
    with pytest.raises(errors.FormError):
        Goal("execution == REVERB", ("weather",))
