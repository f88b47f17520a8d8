"""Signed reads, for addresses where reads are closed."""

from __future__ import annotations

from swoosh.protocol.hlc import Hlc
from swoosh.protocol.keys import READ, Identity


def read_headers(identity: Identity, cluster: str, hlc: Hlc, target: str) -> dict[str, str]:
    """The three headers of a signed read. `target` is path and query as they are sent, byte for byte."""
    document = {"hlc": str(hlc), "signer": identity.public, "target": target}
    return {
        "x-hmmm-signer": identity.public,
        "x-swoosh-hlc": str(hlc),
        "x-hmmm-signature": identity.sign_document(READ, cluster, document),
    }
