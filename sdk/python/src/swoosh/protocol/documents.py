"""Strict JSON, and its canonical bytes (RFC 8785)."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any, NoReturn

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 32
_BOM = b"\xef\xbb\xbf"


class DocumentError(ValueError):
    """A document is not strict JSON. `reason` is its class in tests/vectors/canonical.json."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _integer(text: str) -> int:
    # The length is checked first: the conversion of a long text takes quadratic time.
    if text.startswith("-") or len(text) > 16 or int(text) > MAX_INTEGER:
        raise DocumentError("number", f"{text[:40]} is not a whole number from 0 to {MAX_INTEGER}")
    return int(text)


def _fraction(text: str) -> NoReturn:
    raise DocumentError("number", f"{text[:40]} is not a whole number from 0 to {MAX_INTEGER}")


def _constant(text: str) -> NoReturn:
    raise DocumentError("syntax", f"{text} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DocumentError("duplicate_key", f"the key {twice[:80]!r} occurs twice in one object")
    return made


def parse(document: bytes) -> Any:
    """Reads a strict document: no null, no float, no duplicate key, texts in normalisation form C, at most 32 levels."""
    if document.startswith(_BOM):
        raise DocumentError("byte_order_mark", "the document begins with a byte-order mark")
    try:
        text = document.decode("utf-8")
    except UnicodeDecodeError:
        raise DocumentError("not_utf8", "the document is not UTF-8") from None
    if not text.strip(" \t\r\n"):
        raise DocumentError("empty", "the document is empty")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_constant)
    except RecursionError:
        raise DocumentError("too_deep", f"the document is nested deeper than {MAX_DEPTH}") from None
    except json.JSONDecodeError as error:
        raise DocumentError("syntax", f"the document is not JSON: {error}") from None
    check(value)
    return value


def _check_text(text: str, path: str) -> None:
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise DocumentError("syntax", f"{path}: a text has half of a surrogate pair") from None
    if not unicodedata.is_normalized("NFC", text):
        raise DocumentError("not_normalized", f"{path}: the text {text[:80]!r} is not in Unicode normalisation form C")


def check(value: Any, path: str = "the document", depth: int = 0) -> None:
    """Refuses what a signed document may not hold, before anything is signed."""
    if value is None:
        raise DocumentError("null", f"{path} is null; leave the member out")
    if isinstance(value, bool):
        return
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, int):
        if not 0 <= value <= MAX_INTEGER:
            raise DocumentError("number", f"{path}: {str(value)[:40]} is not a whole number from 0 to {MAX_INTEGER}")
    elif isinstance(value, float):
        raise DocumentError("number", f"{path}: {value} is not a whole number from 0 to {MAX_INTEGER}")
    else:
        if depth == MAX_DEPTH:
            raise DocumentError("too_deep", f"the document is nested deeper than {MAX_DEPTH}")
        for name, member in _members(value, path):
            check(member, name, depth + 1)


def _members(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, member in value.items():
            if not isinstance(key, str):
                raise DocumentError("syntax", f"{path}: the key {key!r} is no text")
            _check_text(key, path)
            yield f"{path}.{key}", member
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        for at, member in enumerate(value):
            yield f"{path}[{at}]", member
    else:
        raise DocumentError("syntax", f"{path}: a {type(value).__name__} is no JSON")


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")


def _write(value: Any) -> Iterator[str]:
    if value is None or isinstance(value, bool):
        yield "null" if value is None else "true" if value else "false"
    elif isinstance(value, str):
        yield encode_basestring(str(value))
    elif isinstance(value, int):
        yield str(int(value))
    elif isinstance(value, Mapping):
        for at, key in enumerate(sorted(value, key=_utf16)):
            yield "," if at else "{"
            yield f"{encode_basestring(str(key))}:"
            yield from _write(value[key])
        yield "}" if value else "{}"
    else:
        for at, member in enumerate(value):
            yield "," if at else "["
            yield from _write(member)
        yield "]" if value else "[]"


def canonical(document: Any) -> bytes:
    """The RFC 8785 bytes of a strict document; anything else is refused."""
    check(document)
    return "".join(_write(document)).encode()


def canonical_section(section: Any) -> bytes:
    """The same of a section of a state, where members may be null."""
    return "".join(_write(section)).encode()


def digest(data: bytes) -> str:
    """A hash as SWOOSH writes it: `sha256-` and 64 digits."""
    return f"sha256-{hashlib.sha256(data).hexdigest()}"
