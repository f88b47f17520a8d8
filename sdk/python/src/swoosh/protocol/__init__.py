"""The bytes of SWOOSH: canonical JSON, clocks, keys, receipts, votes. Nothing here uses a network.

docs/protocol.md specifies the bytes; tests/vectors has examples of all of them.
"""

from swoosh.protocol.council import Election, rank
from swoosh.protocol.documents import DocumentError, canonical, digest, parse
from swoosh.protocol.hlc import Hlc, HlcClock, HlcError
from swoosh.protocol.ids import EffectId, EventId, FormError, IdemKey
from swoosh.protocol.keys import Identity, KeyFormError, message, verify
from swoosh.protocol.proposal import sign_proposal
from swoosh.protocol.reads import read_headers
from swoosh.protocol.receipts import ReceiptFault, check_receipt
from swoosh.protocol.state import is_proven

__all__ = [
    "DocumentError",
    "EffectId",
    "Election",
    "EventId",
    "FormError",
    "Hlc",
    "HlcClock",
    "HlcError",
    "IdemKey",
    "Identity",
    "KeyFormError",
    "ReceiptFault",
    "canonical",
    "check_receipt",
    "digest",
    "is_proven",
    "message",
    "parse",
    "rank",
    "read_headers",
    "sign_proposal",
    "verify",
]
