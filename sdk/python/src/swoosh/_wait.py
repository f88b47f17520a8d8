"""States to wait for: `execution.phase == REVIEW and index >= 17`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from swoosh._api import StateAnswer
from swoosh._chart import STATES
from swoosh.errors import CannotReach, FormError

_TOKEN = re.compile(r"\s*(==|!=|>=|<=|>|<|&&|[\[\](),]|'[^']*'|\"[^\"]*\"|[^\s=!<>\[\](),&]+)")
_SECTIONS = ("meta", "boot", "ingestion", "council", "environment", "execution", "control", "policy", "epoch", "hlc_last")
_NUMBERS = (">=", "<=", ">", "<")
FAILURES = frozenset({"quarantined", "effect-failed"})


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while text[at:].strip():
        token = _TOKEN.match(text, at)
        if token is None:
            raise FormError(f"{text[at:].strip()[:40]!r} is no part of an expression")
        found.append(token[1])
        at = token.end()
    return found


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of one place of the state."""

    path: tuple[str, ...]
    operator: str
    values: tuple[str, ...]

    def holds(self, state: StateAnswer) -> bool:
        """Whether it holds; a place that is not there is null."""
        found = _place(self.path, state)
        if self.operator in _NUMBERS:
            number = len(found) if isinstance(found, list | Mapping) else found
            return isinstance(number, int) and not isinstance(number, bool) and _compare(number, self.operator, self.values[0])
        return (_words(found) in self.values) == (self.operator != "!=")


def _place(path: tuple[str, ...], state: StateAnswer) -> Any:
    if path == ("index",):
        return state.index
    if path == ("phase",):
        return state.phase
    sections = {name.lower(): section for name, section in state.projection.items()}
    found: Any = sections.get(path[0])
    for name in path[1:]:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _words(found: Any) -> str:
    if isinstance(found, bool) or found is None:
        return {True: "true", False: "false", None: "null"}[found]
    return str(len(found)) if isinstance(found, list | Mapping) else str(found)


def _compare(number: int, operator: str, text: str) -> bool:
    limit = int(text)
    return {">=": number >= limit, "<=": number <= limit, ">": number > limit, "<": number < limit}[operator]


@dataclass(frozen=True, slots=True)
class Expression:
    """Conditions that hold together."""

    text: str
    conditions: tuple[Condition, ...]

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Reads an expression. Sections, and phases of regions, that no state has are refused: they would wait for ever."""
        tokens, conditions = _tokens(text), list[Condition]()
        while tokens:
            conditions.append(_condition(tokens))
            if tokens and tokens.pop(0) not in ("and", "&&"):
                raise FormError("`and` joins conditions")
            if not tokens and len(conditions) and text.rstrip().endswith(("and", "&&")):
                raise FormError("a condition is missing after `and`")
        if not conditions:
            raise FormError("an expression has a condition, such as ingestion == READY")
        return cls(text.strip(), tuple(conditions))

    def sections(self) -> tuple[str, ...]:
        """The sections that it looks at."""
        return tuple(sorted({path[0] for path in (found.path for found in self.conditions) if path[0] in _SECTIONS}))

    def holds(self, state: StateAnswer) -> bool:
        """Whether all conditions hold."""
        return all(condition.holds(state) for condition in self.conditions)


def _condition(tokens: list[str]) -> Condition:
    path = tuple(tokens.pop(0).split("."))
    if len(path) == 1 and path[0] in STATES:
        path = (*path, "phase")
    if path[0] not in _SECTIONS and path not in (("index",), ("phase",)):
        raise FormError(f"{'.'.join(path)!r} is no place of a state; its sections are {', '.join(_SECTIONS)}")
    operator = tokens.pop(0) if tokens else ""
    values: tuple[str, ...]
    if operator == "in":
        values = _list(tokens)
    elif operator in ("==", "!=", *_NUMBERS) and tokens:
        values = (_value(tokens.pop(0)),)
    else:
        raise FormError(f"after {'.'.join(path)} follows ==, !=, >=, >, <=, < or in, and a value")
    if operator in _NUMBERS and not (values[0].isascii() and values[0].isdigit()):
        raise FormError(f"{values[0]!r} is no number")
    known: tuple[str, ...] = STATES.get(path[0], ()) if path[1:] == ("phase",) else ()
    wrong = [value for value in values if known and value not in known]
    if wrong:
        raise FormError(f"{path[0]} has no phase {wrong[0]}; it has {', '.join(known)}")
    return Condition(path, "==" if operator == "in" else operator, values)


def _value(token: str) -> str:
    if token in ("[", "]", "(", ")", ","):
        raise FormError(f"{token!r} is no value")
    return token[1:-1] if token[0] in "'\"" else token


def _list(tokens: list[str]) -> tuple[str, ...]:
    values = list[str]()
    end = {"[": "]", "(": ")"}.get(tokens.pop(0) if tokens else "")
    while end and tokens:
        values.append(_value(tokens.pop(0)))
        if not tokens or tokens[0] not in (",", end):
            break
        if tokens.pop(0) == end:
            return (*values,)
    raise FormError("after `in` follows a list: [REVIEW, REVERB]")


class Goal:
    """An expression, and the failures that end a wait for it."""

    def __init__(self, expression: str, fail_on: Collection[str]) -> None:
        self.expression = Expression.parse(expression)
        self.fail_on = frozenset(fail_on)
        if not self.fail_on <= FAILURES:
            raise FormError(f"a wait fails on {', '.join(sorted(FAILURES))}, not on {sorted(self.fail_on - FAILURES)}")

    def sections(self) -> tuple[str, ...]:
        """The sections to read."""
        more: tuple[str, ...] = ("policy",) if "quarantined" in self.fail_on else ()
        more += ("ingestion", "environment") if "effect-failed" in self.fail_on else ()
        # A wait without a section still proves the head.
        return tuple(sorted({*self.expression.sections(), *more})) or ("control",)

    def is_reached(self, state: StateAnswer) -> bool:
        """Whether the state is reached; an error where it cannot be reached any more."""
        if self.expression.holds(state):
            return True
        if state.phase == "TERMINATED":
            raise CannotReach("the project is TERMINATED, which no transition leaves")
        sections = {name.lower(): section for name, section in state.projection.items()}
        if "quarantined" in self.fail_on and sections["policy"]["phase"] == "QUARANTINED":
            raise CannotReach("the project is quarantined; a human releases it (Policy_Release)")
        for region in ("ingestion", "environment"):
            if "effect-failed" in self.fail_on and sections[region].get("last_failure"):
                raise CannotReach(f"the last work of {region} failed: {sections[region]['last_failure'].get('detail', '')}")
        return False
