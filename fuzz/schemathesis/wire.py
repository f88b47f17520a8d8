"""The wire contract as a caller in another language meets it: canonical bytes, ed25519, base64url, readings of the clock.

Written from README.md and docs alone, so that it shares no mistake with the Rust client.
"""

import base64
import datetime
import hashlib
import itertools
import pathlib

import requests
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# One program may read its clock twice in a millisecond; the logical part tells the readings apart.
_readings = itertools.count()


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Key:
    """A secret key of `swoosh keygen`; signs documents for one cluster."""

    def __init__(self, path, cluster):
        text = pathlib.Path(path).read_text().strip().removeprefix("hmmm:secret:")
        self._secret = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        self._cluster = cluster
        self.public = "hmmm:pubkey:" + base64url(self._secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign(self, domain, document):
        """`domain ‖ "\\n" ‖ cluster ‖ "\\n" ‖ JCS(document)`, signed. Raises where there are no canonical bytes."""
        message = f"swoosh/{domain}/v1\n{self._cluster}\n".encode() + rfc8785.dumps(document)
        return "ed25519:" + base64url(self._secret.sign(message))


def canonical_hash(document):
    return "sha256-" + hashlib.sha256(rfc8785.dumps(document)).hexdigest()


def hlc(ahead=datetime.timedelta()):
    """A reading of the clock of now, or of a time from now."""
    time = (datetime.datetime.now(datetime.timezone.utc) + ahead).isoformat(timespec="milliseconds")
    return f"{time}#{next(_readings) % 65536}"


class SignedRead(requests.auth.AuthBase):
    """Signs a read over its target, byte for byte as in the request."""

    def __init__(self, key):
        self._key = key

    def __call__(self, request):
        read = {"hlc": hlc(), "signer": self._key.public, "target": request.path_url}
        request.headers["X-Swoosh-Hlc"] = read["hlc"]
        request.headers["X-Hmmm-Signer"] = read["signer"]
        request.headers["X-Hmmm-Signature"] = self._key.sign("read", read)
        return request
