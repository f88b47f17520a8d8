"""What generated classes are made of: inputs are written strictly, answers are read tolerantly."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

from swoosh._chart import Transition

_KEYWORDS = ("from_", "class_", "in_", "is_")


def _wire_name(name: str) -> str:
    return name[:-1] if name in _KEYWORDS else _EXCEPTIONS.get(name, name)


# Members that the wire writes in another case.
_EXCEPTIONS = {"last_snapshot_hlc": "lastSnapshotHLC", "wal_lag": "walLag"}


@dataclasses.dataclass(frozen=True, slots=True)
class Inputs:
    """Inputs of a transition. The class says which one."""

    TRANSITION: ClassVar[Transition]

    def to_json(self) -> dict[str, Any]:
        """The inputs as JSON; members that are None are left out."""
        given = ((_wire_name(field.name), getattr(self, field.name)) for field in dataclasses.fields(self))
        return {name: value for name, value in given if value is not None}


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a node. `more` has members of a newer node."""

    more: Mapping[str, Any] = dataclasses.field(default_factory=dict, kw_only=True, repr=False)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Reads an answer; a missing or wrong member is a ValueError."""
        if not isinstance(document, Mapping):
            raise ValueError(f"{cls.__name__}: expected an object, found {type(document).__name__}")
        known, rest = {}, dict(document)
        for name, form in _forms(typing.cast(Hashable, cls)).items():
            if _wire_name(name) in rest:
                known[name] = _read(form, rest.pop(_wire_name(name)), f"{cls.__name__}.{name}")
        try:
            return cls(**known, more=rest)
        except TypeError as error:
            raise ValueError(f"{cls.__name__}: {error}") from None


@cache
def _forms(cls: Hashable) -> dict[str, Any]:
    assert isinstance(cls, type) and issubclass(cls, Answer)
    hints = get_type_hints(cls, vars(sys.modules[cls.__module__]))
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.name != "more"}


def _read(form: Any, value: Any, path: str) -> Any:
    origin = get_origin(form)
    if origin in (types.UnionType, typing.Union):
        inner = [kind for kind in get_args(form) if kind is not type(None)]
        return None if value is None else _read(inner[0], value, path)
    if origin is tuple:
        return tuple(_read(get_args(form)[0], item, path) for item in _expect(value, list, path))
    if origin is not None:
        items = _expect(value, dict, path).items()
        return {key: _read(get_args(form)[1], item, f"{path}.{key}") for key, item in items}
    if form is Any:
        return value
    if isinstance(form, type) and issubclass(form, Answer):
        return form.read(value)
    return _expect(value, form, path)


def _expect(value: Any, kind: type[Any], path: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{path}: expected {kind.__name__}, found {type(value).__name__}")
    return value
