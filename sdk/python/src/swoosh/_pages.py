"""Lists that a node gives in pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from swoosh import _api
from swoosh._engine import Engine
from swoosh._exchange import Steps
from swoosh._model import Answer
from swoosh.errors import Unexpected
from swoosh.protocol.ids import check_form

A = TypeVar("A", bound=Answer)
PAGE = 500


@dataclass(slots=True)
class Pages(Generic[A]):
    """The pages of one list, one after the other. `is_over` after the last."""

    engine: Engine
    kind: type[A]
    path: str
    member: str
    begin: str
    query: Mapping[str, str | int | None]
    is_over: bool = False

    def next(self) -> Steps[list[A]]:
        """The next page."""
        document: dict[str, Any] = yield from self.engine.page(self.path, self.query)
        try:
            found = [self.kind.read(item) for item in document[self.member]]
        except (KeyError, TypeError, ValueError) as error:
            raise Unexpected(self.engine.address, 200, f"{self.path}: {error!r}") from None
        following = document.get("next")
        # A page that leads to itself would never end.
        self.is_over = following is None or following == self.query.get(self.begin)
        self.query = {**self.query, self.begin: following}
        return found


def projects(engine: Engine) -> Pages[_api.ProjectAnswer]:
    """All projects."""
    return Pages(engine, _api.ProjectAnswer, "/projects", "projects", "after", {"limit": PAGE})


def effects(engine: Engine, project: str | None) -> Pages[_api.EffectView]:
    """Open effects, of a project or of all."""
    if project is not None:
        check_form("project", project)
    return Pages(engine, _api.EffectView, "/effects", "effects", "after", {"project": project, "limit": PAGE})


def records(engine: Engine, project: str | None, first: int) -> Pages[_api.WalEntry]:
    """Records with their inputs, from an index on."""
    if project is not None:
        check_form("project", project)
    return Pages(engine, _api.WalEntry, "/wal", "records", "from", {"project": project, "from": first, "limit": PAGE})


def rejections(engine: Engine, project: str | None, limit: int) -> Pages[_api.RejectionEntry]:
    """Refused proposals, newest first; the node keeps few, in one page."""
    if project is not None:
        check_form("project", project)
    query = {"project": project, "limit": limit}
    return Pages(engine, _api.RejectionEntry, "/rejections", "rejections", "after", query)
