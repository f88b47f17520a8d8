"""Receipts: the path from a record to the root of its batch, and the node's seal over that root."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from swoosh.protocol.documents import DocumentError, canonical
from swoosh.protocol.ids import FormError, check_form
from swoosh.protocol.keys import BATCH, KeyFormError, message, verify


class ReceiptFault(ValueError):
    """A receipt does not prove what it says."""


def _raw(text: str) -> bytes:
    check_form("hash", text)
    return bytes.fromhex(text.removeprefix("sha256-"))


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _root(chain: bytes, position: int, size: int, path: Sequence[str]) -> bytes | None:
    """The root that a path leads to (RFC 9162, section 2.1.1); None where the path has the wrong length."""
    node, siblings = hashlib.sha256(b"\x00" + chain).digest(), list(path)
    while size > 1:
        is_unpaired = position == size - 1 and position % 2 == 0
        if not is_unpaired:
            if not siblings:
                return None
            sibling = _raw(siblings.pop(0))
            node = _parent(sibling, node) if position % 2 else _parent(node, sibling)
        position, size = position // 2, (size + 1) // 2
    return None if siblings else node


def check_receipt(receipt: Mapping[str, Any], cluster: str, node: str | None = None) -> None:
    """Checks that a node committed to the record of a receipt; with `node`, that it is this one."""
    try:
        _check(receipt, cluster, node)
    except (KeyError, TypeError, AttributeError) as error:
        raise ReceiptFault(f"the receipt has not the form of one: {error!r}") from None
    except (FormError, KeyFormError, DocumentError) as error:
        raise ReceiptFault(str(error)) from None


def _check(receipt: Mapping[str, Any], cluster: str, node: str | None) -> None:
    batch, signer = receipt["seal"]["batch"], receipt["seal"]["node"]
    index, first, last = receipt["index"], batch["first"], batch["last"]
    signed = canonical(batch)
    if not first <= index <= last:
        raise ReceiptFault("the receipt's index lies outside of its batch")
    if _root(_raw(receipt["chain"]), index - first, last - first + 1, receipt["path"]) != _raw(batch["root"]):
        raise ReceiptFault("the path does not lead from the record to the batch's root")
    if not verify(signer, message(BATCH, cluster, signed), receipt["seal"]["signature"]):
        raise ReceiptFault("the signature over the batch's root is not the node's")
    if node is not None and node != signer:
        raise ReceiptFault(f"the receipt is sealed by {signer}, and receipts of {node} alone are taken")
