"""Something to propose, before head, clock, window and signature are filled in."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from swoosh._chart import OP_CLASSES
from swoosh._model import Inputs
from swoosh.protocol.documents import check
from swoosh.protocol.hlc import Hlc
from swoosh.protocol.ids import FormError, IdemKey, check_form
from swoosh.protocol.proposal import MAX_EVIDENCE

AUTOMATIC: Final = "automatic"
DEFAULT_GOAL: Final = "adhoc"
DEFAULT_PROJECT: Final = "default"


def op_class(transition: str) -> str:
    """The op class of a transition; of one of a newer statechart by its prefix."""
    known = OP_CLASSES.get(transition)
    return known or transition.split("_", maxsplit=1)[0].lower()


@dataclass(frozen=True, slots=True)
class Draft:
    """A proposal to be. With goal, beat (or `at`) and uuid, a restarted process sends the very same key again."""

    transition: str
    inputs: Mapping[str, Any] | Inputs
    project: str | None = None
    goal: str = DEFAULT_GOAL
    beat: int | None = None
    """The beat that the key names; the present one where neither it nor `at` is given."""
    at: Hlc | str | None = None
    """A time whose beat the key names."""
    uuid: str | None = None
    head: str | None = None
    """The head that is named first."""
    only_on_head: bool = False
    """Whether no other head will do."""
    window_id: str | None = AUTOMATIC
    """The window; `automatic` is that of now where the transition needs one, None is no window."""
    evidence: Sequence[str] = ()

    def __post_init__(self) -> None:
        check(self.document(), "inputs", 1)
        check(list(self.evidence), "evidence", 1)
        if len(self.evidence) > MAX_EVIDENCE:
            raise FormError(f"{len(self.evidence)} evidence addresses are more than a proposal carries ({MAX_EVIDENCE})")
        check_form("project", self.project_name)
        check_form("goal", self.goal)
        if self.uuid is not None:
            check_form("uuid", self.uuid)
        if self.head is not None:
            check_form("hash", self.head)
        if self.only_on_head and self.head is None:
            raise FormError("only_on_head needs a head")
        if isinstance(self.at, str):
            Hlc.parse(self.at)

    def document(self) -> Mapping[str, Any]:
        """The inputs as JSON."""
        return self.inputs.to_json() if isinstance(self.inputs, Inputs) else self.inputs

    @property
    def project_name(self) -> str:
        """The project that is meant."""
        return self.project if self.project is not None else DEFAULT_PROJECT

    @property
    def may_move_head(self) -> bool:
        """Whether the proposal may be signed again on another head."""
        return not self.only_on_head

    def key(self, beat: int) -> IdemKey:
        """A key at a beat. Its unique part is random where the draft names none."""
        return IdemKey(self.goal, beat, op_class(str(self.transition)), self.uuid or str(uuid.uuid4()))
