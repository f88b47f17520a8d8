"""Names of things: idempotency keys, effects, events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from swoosh._chart import Effect, OpClass
from swoosh.protocol.documents import MAX_INTEGER

_NUMBER = r"0|[1-9][0-9]{0,15}"
_GOAL = r"[A-Za-z0-9._-]{1,100}"
_UUID = r"[A-Za-z0-9_-]{8,64}"
PROJECT = r"[a-z0-9][a-z0-9._-]{0,62}"
_EFFECT = "|".join(Effect)

FORMS: Mapping[str, re.Pattern[str]] = {
    "goal": re.compile(_GOAL, re.ASCII),
    "uuid": re.compile(_UUID, re.ASCII),
    "project": re.compile(PROJECT, re.ASCII),
    "hash": re.compile(r"sha256-[0-9a-f]{64}", re.ASCII),
    "idem_key": re.compile(rf"({_GOAL}):({_NUMBER}):({'|'.join(OpClass)}):({_UUID})", re.ASCII),
    "effect_id": re.compile(rf"({PROJECT})/({_NUMBER})(?:-([0-9a-f]{{16}}))?/({_EFFECT})", re.ASCII),
    "decision_id": re.compile(rf"bubble://dr/({PROJECT})/({_NUMBER})-([0-9a-f]{{16}})", re.ASCII),
}


class FormError(ValueError):
    """A text does not have the form of its kind."""


def check_form(kind: str, text: str) -> re.Match[str]:
    """The parts of a text of a kind; refused where it has another form."""
    found = FORMS[kind].fullmatch(text)
    if not found:
        raise FormError(f"{text[:120]!r} is no {kind.replace('_', ' ')}")
    return found


def _number(text: str) -> int:
    if int(text) > MAX_INTEGER:
        raise FormError(f"{text} is over {MAX_INTEGER}")
    return int(text)


@dataclass(frozen=True, slots=True)
class IdemKey:
    """`goal:beat:opClass:uuid`, made once for a proposal and kept through all its attempts."""

    goal: str
    beat: int
    op_class: str
    uuid: str

    def __post_init__(self) -> None:
        check_form("goal", self.goal)
        check_form("uuid", self.uuid)
        check_form("idem_key", str(self))

    @classmethod
    def parse(cls, text: str) -> IdemKey:
        """Takes a key apart."""
        goal, beat, op_class, uuid = check_form("idem_key", text).groups()
        return cls(goal, _number(beat), op_class, uuid)

    def __str__(self) -> str:
        return f"{self.goal}:{_number(str(self.beat))}:{self.op_class}:{self.uuid}"


@dataclass(frozen=True, slots=True)
class EffectId:
    """`project/index-digest/effect`: the record that opened an effect, and which one it is."""

    project: str
    index: int
    digest: str | None
    effect: str

    @classmethod
    def parse(cls, text: str) -> EffectId:
        """Takes an id apart."""
        project, index, digest, effect = check_form("effect_id", text).groups()
        return cls(project, _number(index), digest, effect)

    def __str__(self) -> str:
        digest = f"-{self.digest}" if self.digest else ""
        return f"{self.project}/{self.index}{digest}/{self.effect}"


@dataclass(frozen=True, slots=True)
class EventId:
    """`incarnation-index`: the record of a transition, and the history that it is of."""

    incarnation: int
    index: int

    @classmethod
    def parse(cls, text: str) -> EventId | None:
        """Takes an id apart; None where it is none."""
        found = re.fullmatch(r"([0-9]{1,16})-([0-9]{1,16})", text, re.ASCII)
        return cls(int(found[1]), int(found[2])) if found else None

    def __str__(self) -> str:
        return f"{self.incarnation}-{self.index}"
