"""The ranking of an election, and votes for it (docs/protocol.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swoosh.inputs import Vote
from swoosh.protocol.documents import canonical, canonical_section, digest
from swoosh.protocol.keys import VOTE, Identity, decode_public


def rank(
    roles: Mapping[str, Mapping[str, Any]], candidates: Mapping[str, Sequence[str]], electorate: Iterable[str], seed: str
) -> dict[str, str]:
    """The member set that every candidate computes: role by member."""
    seed_bytes = bytes.fromhex(seed.removeprefix("sha256-"))
    eligible, members = set(electorate), dict[str, str]()
    for role in sorted(roles, key=str.encode):
        wanted = set(roles[role]["capabilities"])
        free = [key for key in candidates if key in eligible and key not in members]

        def order(key: str, wanted: set[str] = wanted) -> tuple[int, bytes, bytes]:
            public = decode_public(key)
            return len(wanted - set(candidates[key])), hashlib.sha256(seed_bytes + public).digest(), public

        members.update(dict.fromkeys(sorted(free, key=order)[: roles[role]["seats"]], role))
    return members


def member_set_hash(members: Mapping[str, str]) -> str:
    """The hash that a vote names."""
    return digest(canonical(members))


@dataclass(frozen=True, slots=True)
class Election:
    """An election as it follows from a proven state. Voting posts nothing."""

    cluster: str
    project: str
    head: str
    council_epoch: int
    members: Mapping[str, str]
    candidates: int

    @classmethod
    def of(cls, cluster: str, state: Mapping[str, Any], electorate: Iterable[str]) -> Election:
        """The election of an answer of `GET /state` with the sections council and epoch."""
        shown = {name.lower(): section for name, section in state["projection"].items()}
        council = shown["council"]
        seed = council.get("election_seed") or digest(canonical_section(council))
        members = rank(council["roles"], council["candidates"], electorate, seed)
        epoch = int(shown["epoch"]["council"])
        return cls(cluster, state["project"], state["hash"], epoch, members, len(council["candidates"]))

    @property
    def member_set_hash(self) -> str:
        """The hash of the member set."""
        return member_set_hash(self.members)

    @property
    def ballot(self) -> dict[str, Any]:
        """The document that a vote signs."""
        return {"project": self.project, "council_epoch": self.council_epoch, "member_set_hash": self.member_set_hash}

    def vote(self, identity: Identity) -> Vote:
        """A vote for this member set, as `Council_QuorumCert` carries it."""
        return {"voter": identity.public, "signature": identity.sign_document(VOTE, self.cluster, self.ballot)}
