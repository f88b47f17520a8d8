"""How a client is set up: arguments, else the variables that the command reads."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from swoosh._retry import RetryPolicy
from swoosh.protocol.hlc import HlcClock
from swoosh.protocol.ids import FormError
from swoosh.protocol.keys import Identity

DEFAULT_ADDRESS = "http://127.0.0.1:7400"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a connection, and for a whole exchange."""

    connect: float = 3.0
    exchange: float = 30.0


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files in PEM: authorities of the node's certificate, the client's certificate, its key."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    def context(self) -> ssl.SSLContext:
        """What TLS connections are made with."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True, slots=True)
class Settings:
    """The setting of a client. Its identities are shown by their public halves only."""

    addresses: tuple[str, ...]
    cluster: str | None = None
    identity: Identity | None = None
    reader: Identity | None = None
    node: str | None = None
    tls: TlsFiles = TlsFiles()
    timeouts: Timeouts = Timeouts()
    retry: RetryPolicy = RetryPolicy()
    clock: HlcClock = field(default_factory=HlcClock)
    traceparent: str | None = None


def settings(
    address: str | Sequence[str] | None,
    environment: Mapping[str, str] | None = None,
    **given: object,
) -> Settings:
    """Settings out of arguments, and out of the environment where an argument is left out."""
    known = os.environ if environment is None else environment
    addresses = (address,) if isinstance(address, str) else tuple(address or ())
    if not addresses:
        addresses = tuple(known.get("SWOOSH_URL", DEFAULT_ADDRESS).split(","))
    found: dict[str, object] = {
        "cluster": known.get("SWOOSH_CLUSTER"),
        "identity": _identity(known, "SWOOSH_KEY") if given.get("identity") is None else None,
        "reader": _identity(known, "SWOOSH_READ_AS") if given.get("reader") is None else None,
        "tls": TlsFiles(known.get("SWOOSH_CA"), known.get("SWOOSH_CERT"), known.get("SWOOSH_CERT_KEY")),
    }
    found.update({name: value for name, value in given.items() if value is not None})
    return Settings(tuple(map(checked_address, addresses)), **found)  # type: ignore[arg-type]


def _identity(known: Mapping[str, str], name: str) -> Identity | None:
    """A key: a file, `env:NAME` for a variable that holds it, or `fd:N` for an open descriptor."""
    value = known.get(name)
    if not value:
        return None
    if value.startswith("env:"):
        return Identity.parse(known.get(value.removeprefix("env:"), ""))
    if value.startswith("fd:"):
        with os.fdopen(int(value.removeprefix("fd:")), "rb", closefd=False) as opened:
            return Identity.parse(opened.read(4_096).decode("ascii", "replace"))
    return Identity.load(value)


def checked_address(text: str) -> str:
    """An address without anything after its path; refused where it is none."""
    parts = urlsplit(text.strip())
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise FormError(f"{text[:200]!r} is not the address of a node; write http://host:port or https://host:port")
    return text.strip().rstrip("/")


def is_loopback(address: str) -> bool:
    """Whether a node is on this machine; a proxy must not be asked for it."""
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
