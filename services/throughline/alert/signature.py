"""Checks the signature of a webhook, as a receiver would: `X-Throughline-Signature: t=<unix seconds>,v1=<hex>`, an HMAC-SHA256
over `<t>.<body>` with the shared secret."""

from __future__ import annotations

import hashlib
import hmac

from throughline.domain.errors import Unauthenticated

HEADER = "X-Throughline-Signature"


def verify_signature(header: str, body: bytes, secret: bytes, now: float, tolerance_seconds: float = 300.0) -> None:
    """Return when `body` was signed with `secret` within `tolerance_seconds` of `now` (seconds since 1970).

    Raises Unauthenticated otherwise; a receiver answers that with 401. The time is signed too, so an old message can't be sent again.
    """
    fields = [part.strip().partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in fields if name == "t"]
    if len(stamps) != 1 or not stamps[0].isdecimal():
        raise Unauthenticated(f"{HEADER} has no time; expected t=<unix seconds>,v1=<hexadecimal digest>")
    expected = hmac.new(secret, f"{stamps[0]}.".encode() + body, hashlib.sha256).hexdigest()
    if not any(hmac.compare_digest(expected.encode(), value.encode()) for name, _, value in fields if name == "v1"):
        raise Unauthenticated(f"{HEADER} does not fit the body; the secrets differ or the message was changed")
    if abs(now - int(stamps[0])) > tolerance_seconds:
        raise Unauthenticated(
            f"{HEADER} is {abs(now - int(stamps[0])):.0f} s off; at most {tolerance_seconds:g} s are allowed"
        )
