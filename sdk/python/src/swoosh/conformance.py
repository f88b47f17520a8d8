"""The vectors of tests/vectors against this package: `python -m swoosh vectors DIR`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from swoosh import _chart, inputs
from swoosh._exchange import Reply
from swoosh._retry import Cause
from swoosh._sse import EventReader
from swoosh.protocol import documents, keys
from swoosh.protocol.council import Election, member_set_hash, rank
from swoosh.protocol.hlc import Hlc, HlcClock, HlcError
from swoosh.protocol.ids import FORMS, FormError, IdemKey, check_form
from swoosh.protocol.keys import Identity, KeyFormError
from swoosh.protocol.proposal import sign_proposal
from swoosh.protocol.reads import read_headers
from swoosh.protocol.receipts import ReceiptFault, check_receipt
from swoosh.protocol.state import is_proven

Check = Iterator[tuple[str, bool]]


def _refuses(kind: type[Exception], action: Callable[..., object], *given: Any, reason: str | None = None) -> bool:
    try:
        action(*given)
    except kind as error:
        return reason is None or getattr(error, "reason", None) == reason
    return False


def check_canonical(vectors: Mapping[str, Any]) -> Check:
    """Canonical bytes, hashes, and what is no document."""
    for known in vectors["accepted"]:
        found = documents.canonical(documents.parse(known["source"].encode()))
        yield known["name"], found.hex() == known["canonical_hex"] and documents.digest(found) == known["sha256"]
    for known in vectors["refused"]:
        data = bytes.fromhex(known["bytes_hex"])
        yield known["name"], _refuses(documents.DocumentError, documents.parse, data, reason=known["reason"])


def check_nfc(vectors: Mapping[str, Any]) -> Check:
    """Texts in normalisation form C."""
    for known in vectors["texts"]:
        is_refused = _refuses(documents.DocumentError, documents.canonical, known["text"])
        yield ascii(known["text"]), is_refused != known["is_nfc"] and documents.canonical(known["nfc"]) is not None


def check_hlc(vectors: Mapping[str, Any]) -> Check:
    """Readings of the clock, their order, and the readings after them."""
    for known in vectors["forms"]:
        found = Hlc.parse(known["text"])
        numbers = (known["physical_ms"], known["logical"])
        yield known["text"], (found.physical_ms, found.logical) == numbers and str(found) == known["written"]
    for known in vectors["refused"]:
        yield known["text"], _refuses(HlcError, Hlc.parse, known["text"], reason=known["reason"])
    for known in vectors["successors"]:
        yield known["after"], str(Hlc.parse(known["after"]).successor()) == known["next"]
    rising = [(Hlc.parse(known["hlc"]), keys.decode_public(known["signer"])) for known in vectors["rising"]]
    yield "rising", rising == sorted(rising)


def check_ids(vectors: Mapping[str, Any]) -> Check:
    """Names that a client makes or takes apart. Others are left to the node."""
    forms: dict[str, Callable[[str], object]] = {kind: partial(check_form, kind) for kind in FORMS}
    forms |= {"idem_key": IdemKey.parse, "signer": keys.decode_public, "signature": keys.decode_signature}
    for kind in vectors["kinds"]:
        read = forms.get(kind["kind"])
        if read is not None:
            for text in kind["accepted"]:
                yield f"{kind['kind']} {text}", read(text) is not None
            for text in kind["refused"]:
                yield f"{kind['kind']} {text}", _refuses(ValueError, read, text)
    for known in vectors["idem_key_parts"]:
        parts = IdemKey(known["goal"], known["beat"], known["op_class"], known["uuid"])
        yield known["text"], IdemKey.parse(known["text"]) == parts and str(parts) == known["text"]


def check_signatures(vectors: Mapping[str, Any]) -> Check:
    """Signed messages, and signatures that strict verification refuses."""
    for known in vectors["signed"]:
        data = keys.message(known["domain"], known["cluster"], documents.canonical(known["document"]))
        identity = Identity(bytes.fromhex(known["seed_hex"]))
        mine = identity.public == known["signer"] and identity.sign(data) == known["signature"]
        yield (
            known["name"],
            mine and data.hex() == known["message_hex"] and keys.verify(known["signer"], data, known["signature"]),
        )
    for known in vectors["refused"]:
        data = bytes.fromhex(known["message_hex"])
        yield known["name"], not keys.verify(known["signer"], data, known["signature"])


def check_keys(vectors: Mapping[str, Any]) -> Check:
    """Contents of key files."""
    for known in vectors["accepted"]:
        identity = Identity.parse(known["file"])
        yield known["public"], identity.public == known["public"] and identity.expose() == known["file"].strip()
    for at, text in enumerate(vectors["refused"]):
        yield f"refused {at}", _refuses(KeyFormError, Identity.parse, text)


def check_receipts(vectors: Mapping[str, Any]) -> Check:
    """Receipts that prove themselves, and receipts that prove nothing."""
    cluster, node = vectors["cluster"], vectors["node"]
    for known in vectors["receipts"]:
        receipt = documents.parse(known["receipt"].encode())
        check_receipt(receipt, cluster, node)
        yield f"receipt {receipt['index']}", documents.canonical(receipt) == known["receipt"].encode()
    for known in vectors["refused"]:
        given = (known["receipt"], known.get("cluster", cluster), known.get("node", node))
        yield known["name"], _refuses(ReceiptFault, check_receipt, *given)


def check_reads(vectors: Mapping[str, Any]) -> Check:
    """Headers of signed reads."""
    for known in vectors["signed"]:
        identity = Identity(bytes.fromhex(known["seed_hex"]))
        headers = read_headers(identity, vectors["cluster"], Hlc.parse(known["hlc"]), known["target"])
        yield known["target"], headers["x-hmmm-signature"] == known["signature"] and identity.public == known["signer"]


def _stopped(wall_ms: int) -> HlcClock:
    return HlcClock(lambda: wall_ms)


def check_drafts(vectors: Mapping[str, Any]) -> Check:
    """The bytes of proposals."""
    identity = Identity(bytes.fromhex(vectors["seed_hex"]))
    for known in vectors["drafts"]:
        clock = _stopped(known["wall_ms"])
        clock.observe(known["last_hlc"])
        key = IdemKey(known["goal"], known["beat"], _chart.OP_CLASSES[known["transition"]], known["uuid"])
        body = sign_proposal(
            identity,
            vectors["cluster"],
            transition=known["transition"],
            inputs=known["inputs"],
            head=known["head"],
            idem_key=key,
            hlc=clock.next(),
            project=known.get("project"),
            window_id=known.get("window_id"),
            evidence=known["evidence"],
        )
        yield known["name"], body == known["body"].encode() and str(key) == known["idem_key"]


def check_election(vectors: Mapping[str, Any]) -> Check:
    """The ranking of an election, and votes."""
    members = rank(vectors["roles"], vectors["candidates"], vectors["electorate"], vectors["seed"])
    yield "members", members == vectors["members"] and member_set_hash(members) == vectors["member_set_hash"]
    ballot = vectors["vote"]
    election = Election(vectors["cluster"], ballot["project"], "", ballot["council_epoch"], members, 6)
    data = keys.message(keys.VOTE, vectors["cluster"], documents.canonical(election.ballot))
    yield "ballot", election.ballot == ballot and data.hex() == vectors["message_hex"]
    for vote in vectors["votes"]:
        yield vote["voter"], keys.verify(vote["voter"], data, vote["signature"])
    by_public = {(identity := Identity(bytes([n]) * 32)).public: identity for n in range(1, 7)}
    yield "votes", [election.vote(by_public[vote["voter"]]) for vote in vectors["votes"]] == vectors["votes"]


def check_state(vectors: Mapping[str, Any]) -> Check:
    """States that their head proves, and others."""
    for known in vectors["proven"]:
        yield known["name"], is_proven(known["answer"])
    for known in vectors["refused"]:
        yield known["name"], not is_proven(known["answer"])


def check_problems(vectors: Mapping[str, Any]) -> Check:
    """The next step after an answer."""
    for known in vectors["answers"]:
        cause = Cause.of_reply(Reply(known["status"], known["headers"], known["body"].encode()))
        waits = cause.step in ("end", "held") or (cause.asked_ms or 0) == known.get("wait_ms", 0)
        open_end = cause.may_be_accepted == known["may_be_accepted"]
        yield known["name"], cause.step == known["step"] and waits and open_end and cause.called_at == known.get("called_at")


def check_streams(vectors: Mapping[str, Any]) -> Check:
    """Events of a stream that is cut anywhere."""
    for known in vectors["streams"]:
        stream = known["stream"].encode()
        for size in range(1, len(stream) + 1):
            reader = EventReader()
            pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
            found = [event for piece in pieces for event in reader.push(piece)]
            made = [{"event": it.event, "data": it.data} | ({"id": it.id} if it.id is not None else {}) for it in found]
            yield f"{known['name']} in pieces of {size}", made == known["events"]


def check_inputs(vectors: Mapping[str, Any]) -> Check:
    """Inputs: typed classes write what they read; texts that are no strict JSON are refused."""
    for known in vectors["transitions"]:
        kind = inputs.BY_TRANSITION[known["transition"]]
        for source in known["accepted"]:
            document = documents.parse(source.encode())
            typed = kind(**{_member(name): value for name, value in document.items()})
            yield f"{known['transition']} {source[:60]}", documents.canonical(typed.to_json()) == documents.canonical(document)
        for refused in known["refused"]:
            if refused["path"] is None:
                name = f"{known['transition']} {refused['name']}"
                yield name, _refuses(documents.DocumentError, documents.parse, refused["source"].encode())


def _member(name: str) -> str:
    return f"{name}_" if name in ("from", "class", "in", "is") else name


def check_chain(vectors: Mapping[str, Any]) -> Check:
    """Records, their links, and the hashes of states."""
    link = bytes(32)
    for known in vectors["records"]:
        record = documents.canonical(known["record"])
        link = bytes.fromhex(documents.digest(link + record).removeprefix("sha256-"))
        inputs_hash = documents.digest(documents.canonical(known["inputs"]))
        yield (
            f"record {known['record']['index']}",
            f"sha256-{link.hex()}" == known["chain"] and (inputs_hash == known["record"]["inputs_hash"]),
        )
    for name in ("genesis", "end"):
        end = vectors[name]
        yield name, is_proven({"hash": end["hash"], "sections": end["sections"], "projection": end["state"]})


CHECKS: Mapping[str, Callable[[Mapping[str, Any]], Check]] = {
    "canonical": check_canonical,
    "nfc": check_nfc,
    "hlc": check_hlc,
    "ids": check_ids,
    "signatures": check_signatures,
    "keys": check_keys,
    "receipts": check_receipts,
    "reads": check_reads,
    "drafts": check_drafts,
    "election": check_election,
    "state": check_state,
    "problems": check_problems,
    "streams": check_streams,
    "inputs": check_inputs,
    "chain": check_chain,
}


def run(folder: Path) -> tuple[int, list[str]]:
    """How many vectors hold, and which do not."""
    held, failed = 0, []
    for name, check in CHECKS.items():
        vectors = json.loads((folder / f"{name}.json").read_bytes())
        for what, holds in check(vectors):
            held += holds
            if not holds:
                failed.append(f"{name}: {what}")
    return held, failed


__all__ = ["CHECKS", "FormError", "run"]
