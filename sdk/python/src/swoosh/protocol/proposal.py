"""The document of a proposal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swoosh.protocol.documents import canonical, digest
from swoosh.protocol.hlc import Hlc
from swoosh.protocol.ids import IdemKey
from swoosh.protocol.keys import TRANSITION, Identity

MAX_EVIDENCE = 32


def sign_proposal(
    identity: Identity,
    cluster: str,
    *,
    transition: str,
    inputs: Mapping[str, Any],
    head: str,
    idem_key: IdemKey,
    hlc: Hlc,
    project: str | None = None,
    window_id: str | None = None,
    evidence: Sequence[str] = (),
) -> bytes:
    """The signed proposal in canonical bytes, as it is posted."""
    proposal: dict[str, Any] = {
        "current_state_hash": head,
        "evidence": list(evidence),
        "hlc": str(hlc),
        "idem_key": str(idem_key),
        "inputs": inputs,
        "inputs_hash": digest(canonical(inputs)),
        "signer": identity.public,
        "transition": str(transition),
    }
    if project is not None:
        proposal["project"] = project
    if window_id is not None:
        proposal["window_id"] = window_id
    return canonical({**proposal, "signature": identity.sign_document(TRANSITION, cluster, proposal)})
