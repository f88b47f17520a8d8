"""Rules 1 to 7 of the contract (docs/sdk.md), without a network."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conftest import HEAD, HEALTH, ME, NODE, OTHER, Node, accept, problem, receipt, reply
from swoosh import Accepted, Draft, GaveUp, Held, NotProven, Rejected, RetryPolicy, Unexpected, Unreachable, errors, inputs
from swoosh._exchange import Lost
from swoosh._propose import dry_run, prepare, propose
from swoosh.protocol import HlcClock

GONE = Lost("connection refused")
PAUSE = {"rationale": "lunch"}


def test_the_same_bytes_are_sent_again_where_no_answer_came_or_the_node_is_busy(pause: Draft) -> None:
    again: list[Any] = [
        GONE,
        reply(408, ""),
        problem("too_many_requests", 429),
        reply(502, "<html>"),
        problem("overloaded", 503),
        reply(504, ""),
    ]
    node = Node([*again, accept])
    done = node.run(propose(node.engine, pause))
    assert isinstance(done, Accepted)
    assert done.attempts == len(again) + 1
    assert len(set(node.posted)) == 1


def test_a_stale_head_is_read_and_signed_again_under_the_same_key(pause: Draft) -> None:
    node = Node([problem("stale_head", head=HEAD, retry_after_ms=5), accept])
    node.run(propose(node.engine, Draft("Control_Pause", PAUSE, project="alpha", head=OTHER)))
    first, second = node.documents
    assert first["idem_key"] == second["idem_key"]
    assert (first["current_state_hash"], second["current_state_hash"]) == (OTHER, HEAD)
    assert first["signature"] != second["signature"]


def test_a_key_is_made_before_the_first_attempt_and_kept_over_all_of_them(pause: Draft) -> None:
    node = Node([GONE, problem("stale_head", head=HEAD), problem("hlc_not_after"), problem("hlc_behind"), reply(503, ""), accept])
    node.run(propose(node.engine, Draft("Control_Pause", PAUSE)))
    assert len({document["idem_key"] for document in node.documents}) == 1


def test_a_restarted_process_sends_the_very_same_key(pause: Draft) -> None:
    by_beat = Draft("Control_Pause", PAUSE, project="alpha", goal="ops", uuid="job-00000001", beat=5)
    by_time = Draft("Control_Pause", PAUSE, project="alpha", goal="ops", uuid="job-00000001", at="2025-10-19T01:00:00Z#0")
    found = []
    for draft in (pause, by_beat, by_time):
        node = Node([accept])
        node.run(propose(node.engine, draft))
        found.append(node.documents[0]["idem_key"])
    assert found == ["ops:42:control:job-00000001", "ops:5:control:job-00000001", "ops:17:control:job-00000001"]


def test_a_draft_for_one_head_alone_is_not_signed_again(pause: Draft) -> None:
    node = Node([problem("stale_head", head=HEAD)])
    draft = Draft("Control_Pause", PAUSE, project="alpha", head=OTHER, only_on_head=True)
    with pytest.raises(errors.Outdated):
        node.run(propose(node.engine, draft))
    assert "prefer" not in node.asked[-1].headers, "it does not wait in line, as no other head will do"


def test_a_caller_that_the_node_calls_from_its_line_signs_on_that_head_at_once(pause: Draft) -> None:
    node = Node([problem("stale_head", head=OTHER, retry_after_ms=0, hlc_last="2090-01-01T00:00:00.000+00:00#7"), accept])
    node.run(propose(node.engine, pause))
    assert node.waits == [0]
    assert node.documents[1]["current_state_hash"] == OTHER
    assert node.documents[1]["hlc"] == "2090-01-01T00:00:00.000+00:00#8"
    assert node.asked[-1].headers["prefer"] == "wait=10"


@pytest.mark.parametrize("code", ["hlc_not_after", "hlc_behind"])
def test_the_clock_follows_the_node_and_the_proposal_is_signed_again(pause: Draft, code: str) -> None:
    node = Node([problem(code, hlc_last="2080-01-01T00:00:00.000+00:00#3"), accept])
    node.reads["/health"] = HEALTH | {"time": "2085-01-01T00:00:00.000+00:00#0"}
    node.run(propose(node.engine, pause))
    expected = "2080-01-01T00:00:00.000+00:00#4" if code == "hlc_not_after" else "2085-01-01T00:00:00.000+00:00#1"
    assert node.documents[1]["hlc"] == expected


@pytest.mark.parametrize("code", ["guard_coverage", "not_enabled", "hlc_ahead", "idem_key_conflict", "a_new_code"])
def test_all_other_refusals_are_final(pause: Draft, code: str) -> None:
    node = Node([problem(code)])
    with pytest.raises(Rejected) as found:
        node.run(propose(node.engine, pause))
    assert found.value.code == code
    assert found.value.reasons == (code,)
    assert len(node.posted) == 1


def test_answers_that_swoosh_does_not_give_are_final(pause: Draft) -> None:
    for answer in (reply(500, "oops"), reply(404, "<html>"), reply(302, ""), reply(200, "<html>")):
        node = Node([answer])
        with pytest.raises(NotProven if answer.status == 200 else Unexpected):
            node.run(propose(node.engine, pause))
        assert len(node.posted) == 1


def test_waits_are_those_of_the_node_and_a_growing_part_of_chance(pause: Draft) -> None:
    retry = RetryPolicy(attempts=5)
    node = Node(
        [problem("overloaded", 503, retry_after_ms=300), reply(503, "", retry_after="2"), GONE, GONE, accept], {"retry": retry}
    )
    node.run(propose(node.engine, pause))
    assert node.waits == [0.35, 2.1, 0.2, 0.4]


def test_back_off_grows_with_the_tidal_pressure(pause: Draft) -> None:
    node = Node([GONE, GONE, accept])
    node.reads["/transitions"] = node.view(pressure=1000)
    node.run(propose(node.engine, pause))
    assert node.waits == [0.25, 0.5]


def test_no_wait_is_longer_than_its_bound_and_all_waits_are_bounded(pause: Draft) -> None:
    node = Node([GONE] * 20, {"retry": RetryPolicy(attempts=20)})
    with pytest.raises(GaveUp):
        node.run(propose(node.engine, pause))
    assert max(node.waits) == 5.0
    assert sum(node.waits) <= 30.0


def test_giving_up_names_the_key_and_whether_it_may_have_been_accepted(pause: Draft) -> None:
    retry = RetryPolicy(attempts=2, first_wait_ms=0)
    for answers, may_be in (
        ([GONE, problem("overloaded", 503)], True),
        ([problem("overloaded", 503)] * 2, False),
        ([problem("not_durable", 503)] * 2, True),
    ):
        node = Node([*answers], {"retry": retry})
        with pytest.raises(GaveUp) as found:
            node.run(propose(node.engine, pause))
        assert (found.value.key, found.value.may_be_accepted, found.value.attempts) == ("ops:42:control:job-00000001", may_be, 2)


def test_a_deadline_ends_it_before_a_wait_that_would_pass_it(pause: Draft) -> None:
    node = Node([problem("overloaded", 503, retry_after_ms=900)] * 3)
    with pytest.raises(GaveUp):
        node.run(propose(node.engine, pause, timeout=1.0))
    assert (len(node.posted), node.waits) == (2, [0.95]) or (len(node.posted), node.waits) == (1, [])
    assert node.asked[-1].timeout <= 1.0


def test_a_held_outcome_is_no_error(pause: Draft) -> None:
    node = Node([problem("outcome_held")])
    done = node.run(propose(node.engine, pause))
    assert isinstance(done, Held)
    assert done.key == "ops:42:control:job-00000001"


def test_a_repeat_says_that_it_is_one(pause: Draft) -> None:
    node = Node([lambda posted: reply(202, receipt(posted), idempotency_replayed="true")])
    assert node.run(propose(node.engine, pause)).replayed
    assert not Node([accept]).run(propose(Node([accept]).engine, pause)).replayed


@pytest.mark.parametrize(
    "more",
    [
        {"project": "beta"},
        {"transition": "Control_Resume"},
        {"idem_key": "ops:42:control:job-00000002"},
        {"path": [HEAD]},
        {"chain": OTHER},
        {"index": 8},
        {"seal": {}},
        {"index": "7"},
        {"path": None},
    ],
)
def test_a_receipt_is_taken_only_where_it_proves_this_proposal(pause: Draft, more: dict[str, Any]) -> None:
    node = Node([lambda posted: reply(202, receipt(posted, **more))])
    with pytest.raises(NotProven):
        node.run(propose(node.engine, pause))


def test_a_receipt_of_another_node_or_cluster_is_not_taken(pause: Draft) -> None:
    for given in ({"node": ME.public}, {"cluster": "prod"}):
        node = Node([accept], dict(given))
        with pytest.raises(NotProven):
            node.run(propose(node.engine, pause))
    assert Node([accept], {"node": NODE.public}).run(propose(Node([accept]).engine, pause))


def test_several_addresses_share_an_attempt_and_a_follower_leads_to_the_next(pause: Draft) -> None:
    node = Node([problem("follower", 503), accept], {"addresses": ["http://127.0.0.1:1", "http://127.0.0.1:2"]})
    node.run(propose(node.engine, pause))
    assert [asked.address[-1] for asked in node.asked if asked.method == "POST"] == ["1", "2"]
    assert len(set(node.posted)) == 1
    alone = Node([problem("follower", 503)])
    with pytest.raises(Rejected):
        alone.run(propose(alone.engine, pause))


def test_a_node_that_cannot_be_read_is_asked_again_and_nothing_was_sent(pause: Draft) -> None:
    node = Node([], {"retry": RetryPolicy(attempts=3)})
    node.reads["/transitions"] = Lost("connection refused")
    with pytest.raises(GaveUp) as found:
        node.run(propose(node.engine, pause))
    assert (found.value.key, found.value.may_be_accepted, len(node.waits)) == (None, False, 2)


def test_a_certificate_that_is_not_trusted_is_final(pause: Draft) -> None:
    node = Node([Lost("CERTIFICATE_VERIFY_FAILED", is_passing=False)])
    with pytest.raises(Unreachable):
        node.run(propose(node.engine, pause))


def test_a_window_is_named_where_the_transition_needs_one(pause: Draft) -> None:
    node = Node([accept])
    node.run(propose(node.engine, pause))
    assert "window_id" not in node.documents[0]
    node = Node([problem("stale_head", head=HEAD), accept])
    node.reads["/transitions"] = node.view(window="plan")
    node.run(propose(node.engine, pause))
    assert [document["window_id"] for document in node.documents] == ["backbeat:W-2025-10-19-02"] * 2
    reads = [asked.target for asked in node.asked if asked.target.startswith("/transitions")]
    assert len(reads) == 2, "the window is that of now, so it is read for each signature"


def test_a_project_that_does_not_exist_yet_has_its_genesis_head() -> None:
    node = Node([accept])
    node.reads["/state"] = problem("unknown_project", 404, head=OTHER)
    node.run(propose(node.engine, Draft("Boot_ConfigOk", {}, project="alpha")))
    assert node.documents[0]["current_state_hash"] == OTHER


def test_the_cluster_is_asked_of_the_node_which_must_be_the_pinned_one(pause: Draft) -> None:
    node = Node([accept], {"cluster": "absent", "node": NODE.public})
    assert node.run(propose(node.engine, pause)).receipt.index == 7
    other = Node([accept], {"cluster": "absent", "node": ME.public})
    with pytest.raises(NotProven):
        other.run(propose(other.engine, pause))
    assert other.posted == []


@pytest.mark.parametrize("value", [1.5, -1, None, 2**53, "e\u0301", "\ud800", {1: 2}, {"a": [float("nan")]}, b"bytes", {"set"}])
def test_what_cannot_be_signed_is_refused_before_anything_is_asked(value: Any) -> None:
    with pytest.raises(errors.DocumentError):
        Draft("Control_Pause", {"rationale": value})


@pytest.mark.parametrize(
    "more",
    [
        {"goal": ""},
        {"goal": "a b"},
        {"uuid": "short"},
        {"project": "Alpha"},
        {"head": "1"},
        {"only_on_head": True},
        {"evidence": ["x"] * 33},
    ],
)
def test_drafts_of_another_form_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(errors.FormError):
        Draft("Control_Pause", {"rationale": "lunch"}, **more)


def test_typed_inputs_say_their_transition_and_leave_out_what_is_absent() -> None:
    node = Node([accept])
    typed = inputs.ExecutionApprove(plan_hash=HEAD, beat=1, rework_round=0, council_epoch=2)
    node.run(propose(node.engine, Draft(typed.TRANSITION, typed, project="alpha")))
    assert node.documents[0]["transition"] == "Execution_Approve"
    assert node.documents[0]["inputs"] == {"plan_hash": HEAD, "beat": 1, "rework_round": 0, "council_epoch": 2}


def test_reads_are_signed_over_their_target_by_a_clock_that_does_not_tick() -> None:
    node = Node()
    node.run(node.engine.state("alpha", ("council", "epoch")))
    asked = node.asked[-1]
    assert asked.target == "/state?project=alpha&projection=council%2Cepoch"
    assert asked.headers["x-hmmm-signer"] == ME.public
    plain = Node(given={"identity": "absent"})
    plain.run(plain.engine.state("alpha"))
    assert "x-hmmm-signer" not in plain.asked[-1].headers


def test_a_state_that_is_not_proven_is_not_returned() -> None:
    node = Node()
    with pytest.raises(NotProven):
        node.run(node.engine.state("alpha", ("council",), prove=True))
    assert node.run(node.engine.state("alpha", ("council",))).index == 6


def test_a_dry_run_and_a_prepared_proposal_change_nothing(pause: Draft) -> None:
    node = Node([reply(200, {"accepted": True, "guard_outcomes": []})])
    assert node.run(dry_run(node.engine, pause)).accepted
    assert node.asked[-1].target == "/transition?dry_run=true"
    assert json.loads(node.run(prepare(node.engine, pause)))["signer"] == ME.public


def test_clients_of_a_process_share_a_clock(pause: Draft) -> None:
    clock = HlcClock(lambda: 1_760_837_025_678)
    found = []
    for _ in range(3):
        node = Node([accept], {"clock": clock})
        node.run(propose(node.engine, pause))
        found.append(node.documents[0]["hlc"])
    assert found == sorted(set(found))


def test_answers_keep_members_of_a_newer_node() -> None:
    node = Node()
    health = node.run(node.engine.health())
    assert (health.more, health.wal_lag, health.last_snapshot_hlc) == ({"a_new_member": 1}, 0, None)
    node.reads["/health"] = {"cluster": "test"}
    with pytest.raises(Unexpected):
        node.run(node.engine.health())


def test_a_proposal_waits_in_line_no_longer_than_its_caller_waits_for_an_answer() -> None:
    draft = Draft("Control_Pause", PAUSE, project="alpha")
    for timeout, expected in ((None, "wait=10"), (5.0, "wait=4"), (1.5, None)):
        node = Node([accept])
        node.run(propose(node.engine, draft, timeout=timeout))
        assert node.asked[-1].headers.get("prefer") == expected
