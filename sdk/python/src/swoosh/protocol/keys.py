"""ed25519 keys and signatures as HMMM writes them, and key files. Verification is strict."""

from __future__ import annotations

import base64
import os
import re
import secrets
import stat
from pathlib import Path

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from swoosh.protocol.documents import canonical

TRANSITION = "swoosh/transition/v1\n"
VOTE = "swoosh/vote/v1\n"
ROTATION = "swoosh/rotation/v1\n"
FACT = "swoosh/fact/v1\n"
BATCH = "swoosh/batch/v1\n"
READ = "swoosh/read/v1\n"

_PUBLIC, _SIGNATURE, _SECRET = "hmmm:pubkey:", "ed25519:", "hmmm:secret:"
_ALPHABET = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_SPACE = " \t\r\n\v\f"
_MOST_BYTES = 4_096
# The order of the group, and the encodings of small order with the sign bit cleared, canonical or not.
_ORDER = 2**252 + 27742317777372353535851937790883648493
_P = 2**255 - 19
_OF_ORDER_8 = (
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)
_SMALL = frozenset({0, 1, _P - 1, _P, _P + 1} | {int.from_bytes(bytes.fromhex(y), "little") for y in _OF_ORDER_8})


class KeyFormError(ValueError):
    """A text is no key, no signature or no secret. A secret is never quoted."""


def _decode(text: str, prefix: str, length: int, kind: str) -> bytes:
    encoded = text.removeprefix(prefix)
    fits = text.startswith(prefix) and _ALPHABET.fullmatch(encoded) and len(encoded) % 4 != 1
    data = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)) if fits else b""
    if len(data) != length or _encode(data) != encoded:
        raise KeyFormError(f"it is no {kind}; write {prefix!r} and {(length * 8 + 5) // 6} characters of unpadded base64url")
    return data


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decode_public(text: str) -> bytes:
    """The 32 bytes of `hmmm:pubkey:…`."""
    return _decode(text, _PUBLIC, 32, "public key")


def encode_public(key: bytes) -> str:
    """`hmmm:pubkey:…` of 32 bytes."""
    return _PUBLIC + _encode(key)


def decode_signature(text: str) -> bytes:
    """The 64 bytes of `ed25519:…`."""
    return _decode(text, _SIGNATURE, 64, "signature")


def message(domain: str, cluster: str, document: bytes) -> bytes:
    """The bytes that are signed: domain line, cluster, canonical document."""
    return domain.encode() + cluster.encode() + b"\n" + document


def _is_small(point: bytes) -> bool:
    return int.from_bytes(point, "little") & (2**255 - 1) in _SMALL


def verify(signer: str, data: bytes, signature: str) -> bool:
    """Whether a signature is the signer's: S below the order, and no point of small order (RFC 8032, strictly)."""
    key, signed = decode_public(signer), decode_signature(signature)
    if _is_small(key) or _is_small(signed[:32]) or int.from_bytes(signed[32:], "little") >= _ORDER:
        return False
    try:
        VerifyKey(key).verify(data, signed)
    except (BadSignatureError, ValueError):
        return False
    return True


class Identity:
    """A key that signs. Shown by its public half only."""

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        self._key = SigningKey(seed)
        self.public: str = encode_public(bytes(self._key.verify_key))

    @classmethod
    def generate(cls) -> Identity:
        """A new key from the operating system's randomness."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def parse(cls, text: str) -> Identity:
        """Reads the content of a key file: `hmmm:secret:…`, with white space around it."""
        return cls(_decode(text.strip(_SPACE), _SECRET, 32, "secret key"))

    @classmethod
    def load(cls, file: str | Path) -> Identity:
        """Reads a key file. One that others than its owner may read is refused, as is one that is no regular file."""
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise KeyFormError(f"{file} is no regular file")
            if found.st_mode & 0o077:
                raise KeyFormError(f"{file} may be read by others (mode {found.st_mode & 0o777:03o}); chmod 600 {file}")
            text = opened.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise KeyFormError(f"{file} has more than {_MOST_BYTES} bytes, and a key file has one line")
        try:
            return cls.parse(text.decode("ascii"))
        except (UnicodeDecodeError, KeyFormError):
            raise KeyFormError(f"{file} is no key file; swoosh keygen makes one") from None

    def expose(self) -> str:
        """The content of a key file. Print it nowhere else."""
        return _SECRET + _encode(bytes(self._key))

    def sign(self, data: bytes) -> str:
        """The signature over some bytes."""
        return _SIGNATURE + _encode(self._key.sign(data).signature)

    def sign_document(self, domain: str, cluster: str, document: object) -> str:
        """The signature over a document in its canonical form."""
        return self.sign(message(domain, cluster, canonical(document)))

    def __repr__(self) -> str:
        return f"Identity({self.public})"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("an identity is not pickled: its secret would leave the process")
