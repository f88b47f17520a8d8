"""The client against a real node, which tests/integration/sdk_tests.rs starts (SWOOSH_TEST) and kills meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swoosh import Accepted, AsyncClient, Client, Draft, Held, Identity, Rejected, RetryPolicy, TimeOver, errors, inputs

STAGE = os.environ.get("SWOOSH_TEST")
pytestmark = pytest.mark.skipif(STAGE is None, reason="SWOOSH_TEST names no node; tests/integration/sdk_tests.rs starts one")


@pytest.fixture(scope="module")
def stage() -> dict[str, Any]:
    assert STAGE is not None
    found: dict[str, Any] = json.loads(Path(STAGE).read_text())
    return found


def client(stage: dict[str, Any], name: str, **more: Any) -> Client:
    return Client(stage["url"], identity=Identity.load(stage["keys"][name]), node=stage["node"], **more)


@pytest.fixture
def operator(stage: dict[str, Any]) -> Iterator[Client]:
    with client(stage, "operator") as made:
        yield made


def restart(stage: dict[str, Any]) -> None:
    """Kills the node and waits until it is back."""
    file = Path(stage["restart"])
    file.touch()
    while file.exists():
        time.sleep(0.02)


def test_a_proposal_is_accepted_once_however_often_it_is_sent(operator: Client) -> None:
    draft = Draft(
        "Control_Pause",
        {"rationale": "d\u00e9jeuner \u2714"},
        project="plain",
        uuid="python-pause",
        beat=operator.schedule("plain").beat,
    )
    first = operator.propose(draft)
    assert isinstance(first, Accepted) and not first.replayed
    again = operator.propose(draft)
    assert isinstance(again, Accepted) and again.replayed and again.body == first.body
    assert operator.state("plain", "control", prove=True).projection["control"]["paused"] is True
    with pytest.raises(Rejected) as found:
        operator.propose(inputs.ControlPause(rationale="again"), project="plain")
    assert found.value.code == "not_enabled" and found.value.reasons and found.value.head
    done = operator.propose(inputs.ControlResume(rationale="on"), project="plain")
    assert isinstance(done, Accepted)
    assert operator.state("plain", at=done.receipt.index).hash == done.receipt.state_post_hash
    assert operator.decision("plain", done.receipt.index).transition == "Control_Resume"
    records = [entry.record for entry in operator.records("plain", first.receipt.index)]
    assert [record["transition"] if isinstance(record, dict) else record.transition for record in records][:2] == [
        "Control_Pause",
        "Control_Resume",
    ]


def test_a_dry_run_changes_nothing(operator: Client) -> None:
    head = operator.head("plain")
    assert operator.dry_run(inputs.ControlPause(rationale="lunch"), project="plain").accepted
    assert operator.head("plain") == head
    why = operator.transitions("plain")["Control_Resume"]
    assert not why.enabled and why.reasons
    assert operator.head("nothing-here").startswith("sha256-"), "a project that does not exist has its genesis head"


def test_callers_that_race_are_all_accepted(stage: dict[str, Any]) -> None:
    """Each pauses and resumes; a stale head is signed again, and a lost race at the state is a refusal."""
    done: list[Any] = []

    def race(number: int) -> None:
        with client(stage, "operator", retry=RetryPolicy(attempts=40)) as mine:
            for transition in ("Control_Pause", "Control_Resume") * 3:
                try:
                    given = {"rationale": f"caller {number}"}
                    done.append(mine.propose(Draft(transition, given, project="plain")))
                except Rejected as error:
                    assert error.code == "not_enabled", error
                    done.append(None)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 24
    accepted = [found.receipt.index for found in done if found is not None]
    assert len(accepted) == len(set(accepted)) and accepted
    with client(stage, "operator") as mine:
        if mine.state("plain", "control").projection["control"]["paused"]:
            mine.propose(inputs.ControlResume(rationale="on"), project="plain")


def test_a_council_is_elected_by_votes_that_prove_their_election(stage: dict[str, Any]) -> None:
    with client(stage, "agent") as agent:
        election = agent.election("council")
        votes = [election.vote(Identity.load(stage["keys"][name])) for name in ("v1", "v2", "v3")]
        certificate = inputs.CouncilQuorumCert(members=election.members, member_set_hash=election.member_set_hash, votes=votes)
        done = agent.propose(Draft(certificate.TRANSITION, certificate, project="council", head=election.head, only_on_head=True))
        assert isinstance(done, Accepted)
        assert agent.state("council", "council", prove=True).projection["council"]["members"] == election.members


def test_the_outcome_of_an_effect_counts_once_and_is_held_while_the_project_is_paused(
    stage: dict[str, Any], operator: Client
) -> None:
    with client(stage, "worker") as worker:
        effects = {effect.id for effect in worker.effects() if effect.mode == "external"}
        given: dict[str, Any] = {"goal": "index", "beat": 0, "uuid": "python-worker-1"}
        outcome = inputs.IngestionCorpusBuilt(**stage["outcomes"]["work"])
        first = worker.propose(outcome, project="work", **given)
        assert isinstance(first, Accepted) and outcome.effect in effects
        again = worker.propose(outcome, project="work", **given)
        assert isinstance(again, Accepted) and again.body == first.body
        operator.propose(inputs.ControlPause(rationale="lunch"), project="held")
        held = worker.propose(inputs.IngestionCorpusBuilt(**stage["outcomes"]["held"]), project="held", **given)
        assert isinstance(held, Held)
        operator.propose(inputs.ControlResume(rationale="on"), project="held")
        state = operator.wait_for("held", "ingestion == READY", timeout=60)
        assert state.projection["ingestion"]["phase"] == "READY"


def test_events_and_waits_go_on_over_a_kill_of_the_node(stage: dict[str, Any], operator: Client) -> None:
    heard: list[int] = []
    enough = threading.Event()

    def listen() -> None:
        with client(stage, "operator") as mine:
            for event in mine.events("plain", after=f"1-{begin}"):
                if event.kind == "transition":
                    heard.append(event.data["index"])
                    if len(heard) == 4:
                        return enough.set()

    begin = operator.state("plain").index
    threading.Thread(target=listen, daemon=True).start()
    made = []
    for number in range(2):
        for found in (inputs.ControlPause(rationale="lunch"), inputs.ControlResume(rationale="on")):
            done = operator.propose(found, project="plain", timeout=60)
            assert isinstance(done, Accepted)
            made.append(done.receipt.index)
        if number == 0:
            restart(stage)
    assert enough.wait(120), f"heard {heard}, made {made}"
    assert heard == made


def test_a_wait_ends_at_its_time(operator: Client) -> None:
    with pytest.raises(TimeOver):
        operator.wait_for("plain", "execution == WORK", timeout=0.3)
    assert operator.wait_for("plain", "control.paused == false and index >= 1", timeout=60).index >= 1


def test_the_other_client_does_the_same(stage: dict[str, Any]) -> None:
    async def run() -> None:
        async with AsyncClient(stage["url"], identity=Identity.load(stage["keys"]["operator"])) as node:
            waiting = asyncio.create_task(node.wait_for("plain", "control.paused == true", timeout=60))
            first = await node.propose(inputs.ControlPause(rationale="lunch"), project="plain")
            assert isinstance(first, Accepted)
            assert (await waiting).index >= first.receipt.index
            await node.propose(inputs.ControlResume(rationale="on"), project="plain")
            assert [found.project async for found in node.projects()] == sorted(("council", "held", "plain", "work"))
            with pytest.raises(TimeOver):
                await node.wait_for("plain", "execution == WORK", timeout=0.2)
            with pytest.raises(errors.Unreachable):
                await AsyncClient("http://127.0.0.1:9").health()

    asyncio.run(run())
