"""A node of canned answers, served to the engine without a network or a wait."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from swoosh import Draft, Identity
from swoosh._engine import Engine
from swoosh._exchange import Lost, Pause, Reply, Request, Steps
from swoosh._settings import settings
from swoosh.protocol import HlcClock, canonical, keys

NODE, ME = Identity(bytes([9]) * 32), Identity(bytes([7]) * 32)
HEAD, OTHER = "sha256-" + "1" * 64, "sha256-" + "2" * 64
NOW_MS = 1_760_837_025_678
Answer = Reply | Lost | Callable[[dict[str, Any]], Reply]


def vectors_folder() -> Path:
    """The vectors of the repository, or those that VECTORS names."""
    given = os.environ.get("VECTORS")
    return Path(given) if given else Path(__file__).parents[3] / "tests/vectors"


def reply(status: int, document: object, **headers: str) -> Reply:
    """An answer with a document."""
    body = document if isinstance(document, str) else json.dumps(document)
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, body.encode())


def problem(code: str, status: int = 400, **more: Any) -> Reply:
    """A problem document."""
    return reply(status, {"type": "", "title": code, "status": status, "code": code, "detail": code, "reasons": [code], **more})


def receipt(posted: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The receipt that a node gives for what was posted."""
    leaf = "sha256-" + hashlib.sha256(b"\x00" + bytes.fromhex(HEAD[7:])).hexdigest()
    batch = {"first": 7, "last": 7, "root": leaf}
    signature = NODE.sign(keys.message(keys.BATCH, "test", canonical(batch)))
    return {
        "project": posted.get("project", "default"),
        "index": 7,
        "transition": posted["transition"],
        "idem_key": posted["idem_key"],
        "state_pre_hash": posted["current_state_hash"],
        "state_post_hash": HEAD,
        "hlc": posted["hlc"],
        "timestamp": posted["hlc"],
        "chain": HEAD,
        "decision": f"bubble://dr/alpha/7-{'1' * 16}",
        "path": [],
        "seal": {"batch": batch, "node": NODE.public, "signature": signature},
    } | more


def accept(posted: dict[str, Any]) -> Reply:
    """The answer to an accepted proposal."""
    return reply(202, receipt(posted))


@dataclass
class Node:
    """Serves requests of an engine. Proposals get the answers in turn; waits are noted and not waited for."""

    answers: list[Answer] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)
    posted: list[bytes] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    reads: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        head = {"project": "alpha", "hash": HEAD, "index": 6, "hlc_last": None, "phase": "EXECUTION"}
        self.reads |= {
            "/state": head | {"sections": {}, "projection": {}},
            "/transitions": self.view(),
            "/health": HEALTH,
            "/windows": {"project": "alpha", "time": TIME, "outlook": {"beat": 17}},
        }
        addresses = self.given.pop("addresses", ["http://127.0.0.1:7400"])
        given = {"cluster": "test", "identity": ME, "clock": HlcClock(lambda: NOW_MS)} | self.given
        given = {name: value for name, value in given.items() if value != "absent"}
        self.engine = Engine(settings(addresses, {}, **given), lambda: self.seconds, lambda: 1.0)

    def view(self, window: str | None = None, pressure: int = 0) -> dict[str, Any]:
        """An answer of `GET /transitions`."""
        transition: dict[str, Any] = {
            "transition": "Control_Pause",
            "region": "control",
            "op_class": "control",
            "signers": ["operator"],
        }
        transition |= {"inputs": {}, "enabled": True, "reasons": [], "guards": []} | ({"window": window} if window else {})
        view = {"project": "alpha", "head": HEAD, "exists": True, "time": TIME, "beat": 42, "transitions": [transition]}
        return view | {"pressure": pressure, "window_id": "backbeat:W-2025-10-19-02"}

    def serve(self, asked: Request | Pause) -> Reply | Lost | None:
        """The answer to a request."""
        if isinstance(asked, Pause):
            self.waits.append(asked.seconds)
            self.seconds += asked.seconds
            return None
        self.asked.append(asked)
        path = asked.target.split("?")[0]
        if asked.method == "GET":
            found = self.reads[path]
            return found if isinstance(found, Reply | Lost) else reply(200, found)
        assert asked.body is not None
        self.posted.append(asked.body)
        answer = self.answers[len(self.posted) - 1]
        return answer(json.loads(asked.body)) if callable(answer) else answer

    def run(self, steps: Steps[Any]) -> Any:
        """The result of an engine's work."""
        try:
            asked = next(steps)
            while True:
                asked = steps.send(self.serve(asked))
        except StopIteration as done:
            return done.value

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The proposals that were posted."""
        return [json.loads(body) for body in self.posted]


TIME = "2025-10-19T01:23:45.000+00:00#0"
HEALTH: dict[str, Any] = {
    "status": "ok",
    "consensus": "single",
    "lastSnapshotHLC": None,
    "walLag": 0,
    "uncommitted_ms": 0,
    "last_index": 6,
    "queue": 0,
    "decision_export": [],
    "mode": "accepting",
    "damaged": [],
    "projects_damaged": 0,
    "tables_damaged": 0,
    "cluster": "test",
    "node": NODE.public,
    "version": "0.1.0",
    "time": TIME,
    "a_new_member": 1,
}


@pytest.fixture
def pause() -> Draft:
    """A draft with a key of its own."""
    return Draft("Control_Pause", {"rationale": "lunch"}, project="alpha", goal="ops", uuid="job-00000001")
