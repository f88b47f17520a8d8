"""The proof of a state: its sections' hashes give the head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swoosh.protocol.documents import canonical_section, digest

_STATE = b"swoosh/state/v1\n"


def is_proven(answer: Mapping[str, Any]) -> bool:
    """Whether every section that an answer of `GET /state` shows belongs to the head that it names."""
    sections = answer["sections"]
    if digest(_STATE + canonical_section(sections)) != answer["hash"]:
        return False
    shown = answer["projection"].items()
    return all(sections.get(name.lower()) == digest(canonical_section(section)) for name, section in shown)
