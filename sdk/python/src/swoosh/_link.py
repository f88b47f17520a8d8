"""What both clients share about HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from swoosh._exchange import Lost, Request
from swoosh._settings import Settings, is_loopback


def transport_options(settings: Settings) -> dict[str, Any]:
    """Options of an HTTP client: no redirects, no proxy for nodes on this machine, TLS by the given files."""
    has_tls = any(address.startswith("https:") for address in settings.addresses)
    local = all(map(is_loopback, settings.addresses))
    return {
        "follow_redirects": False,
        "trust_env": not local,
        "verify": settings.tls.context() if has_tls else True,
        "headers": {},
    }


def same_url(asked: Request) -> httpx.URL:
    """The address with exactly the target that was signed. A URL made from text would be escaped another way."""
    return httpx.URL(asked.address).copy_with(raw_path=asked.target.encode("ascii"))


def lost(asked: Request, error: httpx.HTTPError) -> Lost:
    """No answer, and why. A certificate that is not trusted stays so."""
    detail = str(error) or type(error).__name__
    is_distrusted = "CERTIFICATE_VERIFY_FAILED" in detail
    return Lost(f"{asked.address}: {detail}", is_passing=not is_distrusted)
