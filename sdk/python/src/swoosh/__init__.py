"""The Python SDK of SWOOSH.

from swoosh import Client, Identity, inputs

with Client("http://127.0.0.1:7400", identity=Identity.load("operator.key")) as node:
    done = node.propose(inputs.ControlPause(rationale="The disk is being replaced."), project="alpha")
    print(done.receipt.index)
"""

from swoosh import errors, inputs
from swoosh._async import AsyncClient
from swoosh._chart import Code, Effect, Region, Role, Transition
from swoosh._draft import Draft
from swoosh._propose import Accepted, Attempt, Held
from swoosh._retry import RetryPolicy
from swoosh._settings import Timeouts, TlsFiles
from swoosh._sse import Event
from swoosh._sync import Client
from swoosh.errors import (
    CannotReach,
    GaveUp,
    GuardFailed,
    NodeCannot,
    NotNow,
    NotProven,
    Outdated,
    Rejected,
    SwooshError,
    TimeOver,
    Unexpected,
    Unreachable,
)
from swoosh.protocol.council import Election
from swoosh.protocol.hlc import Hlc, HlcClock
from swoosh.protocol.ids import IdemKey
from swoosh.protocol.keys import Identity

__all__ = [
    "Accepted",
    "AsyncClient",
    "Attempt",
    "CannotReach",
    "Client",
    "Code",
    "Draft",
    "Effect",
    "Election",
    "Event",
    "GaveUp",
    "GuardFailed",
    "Held",
    "Hlc",
    "HlcClock",
    "IdemKey",
    "Identity",
    "NodeCannot",
    "NotNow",
    "NotProven",
    "Outdated",
    "Region",
    "Rejected",
    "RetryPolicy",
    "Role",
    "SwooshError",
    "TimeOver",
    "Timeouts",
    "TlsFiles",
    "Transition",
    "Unexpected",
    "Unreachable",
    "errors",
    "inputs",
]
