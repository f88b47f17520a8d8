"""The signatures of the hooks, by `sdk/python`.

A generated document may have no canonical bytes, such as one with a float; then signing raises a ValueError.
"""

import requests
from swoosh.protocol import Hlc, HlcClock, Identity, canonical, digest, read_headers

# One program may read its clock twice in a millisecond; the logical part tells the readings apart.
_clock = HlcClock()


class Key:
    """A secret key of `swoosh keygen`; signs documents for one cluster."""

    def __init__(self, path, cluster):
        self.identity = Identity.load(path)
        self.cluster = cluster
        self.public = self.identity.public

    def sign(self, domain, document):
        return self.identity.sign_document(f"swoosh/{domain}/v1\n", self.cluster, document)


def canonical_hash(document):
    return digest(canonical(document))


def hlc(ahead_s=0):
    """A reading of the clock of now, or of a time from now."""
    now = _clock.next()
    return str(Hlc(now.physical_ms + ahead_s * 1000, now.logical))


class SignedRead(requests.auth.AuthBase):
    """Signs a read over its target, byte for byte as in the request."""

    def __init__(self, key):
        self._key = key

    def __call__(self, request):
        request.headers.update(read_headers(self._key.identity, self._key.cluster, _clock.next(), request.path_url))
        return request
