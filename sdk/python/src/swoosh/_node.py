"""What both clients do with the arguments of their callers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swoosh._draft import Draft
from swoosh._model import Inputs
from swoosh._settings import Settings, settings
from swoosh._sse import Event
from swoosh.errors import Rejected, SwooshError, rejected

Proposal = Draft | Inputs


def draft_of(proposal: Proposal, more: Mapping[str, Any]) -> Draft:
    """A draft as it is, or one of typed inputs."""
    if isinstance(proposal, Draft):
        if more:
            raise TypeError(f"a draft has its own {', '.join(more)}")
        return proposal
    return Draft(str(proposal.TRANSITION), proposal, **more)


def settings_of(address: str | list[str] | None, given: Mapping[str, Any]) -> Settings:
    """Settings out of the arguments of a client."""
    return settings(address, None, **given)


def event_error(event: Event) -> Rejected | None:
    """The error that ends a stream for good; None where another stream may go on."""
    if event.kind != "problem":
        return None
    error = rejected(event.data, int(event.data.get("status", 400)))
    return None if error.retry in ("node", "resend") else error


def is_pruned(error: SwooshError) -> bool:
    """Whether a state is not kept any more."""
    return isinstance(error, Rejected) and error.code == "pruned"


def is_unknown(error: SwooshError) -> bool:
    """Whether a project does not exist yet."""
    return isinstance(error, Rejected) and error.code == "unknown_project"
