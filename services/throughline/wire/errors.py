"""The one table between the domain's errors and gRPC statuses, read in both directions.

The status code and message are for everyone; trailing metadata carry the precise class, so that a Throughline client raises what the
server raised: `throughline-error`, `throughline-retryable`, and `throughline-path-bin` for a query's path.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import grpc

from throughline.domain import errors
from throughline.domain.errors import InvalidQuery, ThroughlineError

Metadata = tuple[tuple[str, str | bytes], ...]

STATUS_OF: dict[type[ThroughlineError], grpc.StatusCode] = {
    errors.ThroughlineError: grpc.StatusCode.INTERNAL,
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidQuery: grpc.StatusCode.INVALID_ARGUMENT,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.Conflict: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.NoUsableFootage: grpc.StatusCode.FAILED_PRECONDITION,
    errors.SourceArchived: grpc.StatusCode.FAILED_PRECONDITION,
    errors.QueryNotLocated: grpc.StatusCode.FAILED_PRECONDITION,
    errors.LimitExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.StorageFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.SourceChanged: grpc.StatusCode.ABORTED,
    errors.CorruptArtifact: grpc.StatusCode.DATA_LOSS,
    errors.DependencyUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Cancelled: grpc.StatusCode.CANCELLED,
    errors.NotServed: grpc.StatusCode.UNIMPLEMENTED,
}
"""Every class of the tree; the first of several with one code is what that code means when it stands alone."""

_CLASS_OF_NAME = {kind.__name__: kind for kind in STATUS_OF}
_CLASS_OF_STATUS = {code: kind for kind, code in reversed(STATUS_OF.items())}
MAX_DETAIL_BYTES = 5000
"""Length of a status message as it travels, percent-encoded; gRPC drops some calls whose trailing metadata exceed 8 KiB."""
_UNENCODED = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


def status_of(error: ThroughlineError) -> tuple[grpc.StatusCode, str, Metadata]:
    """Code, message and trailing metadata that stand for `error`."""
    metadata: Metadata = (
        ("throughline-error", type(error).__name__),
        ("throughline-retryable", "true" if error.retryable else "false"),
    )
    if isinstance(error, InvalidQuery):
        metadata += (("throughline-path-bin", error.path.encode()[:1000]),)
    return STATUS_OF[type(error)], _shortened(str(error)), metadata


def error_of(error: grpc.RpcError, peer: str) -> ThroughlineError:
    """The error that a call to `peer`, such as "ingest at 10.0.0.1:50051", ended with.

    Where the peer is no Throughline server, or fell over, the code alone decides and the message names the peer.
    """
    metadata = _as_dict(error.trailing_metadata())
    code, details = error.code(), error.details() or ""
    kind = _CLASS_OF_NAME.get(str(metadata.get("throughline-error", "")))
    if kind is None or STATUS_OF[kind] is not code:
        is_busy = _is_busy(code, details)
        kind = errors.DependencyUnavailable if is_busy else _CLASS_OF_STATUS.get(code, ThroughlineError)
        found = (
            kind(f"{peer}: {details or code.name}; {_next(code, details)}".removesuffix("; "))
            if kind is not InvalidQuery
            else kind("", details)
        )
    elif kind is InvalidQuery:
        path = metadata.get("throughline-path-bin", b"")
        text = path.decode(errors="ignore") if isinstance(path, bytes) else path
        found = InvalidQuery(text, details.removeprefix(f"query {text}: " if text else "query: "))
    else:
        found = kind(details)
    retryable = metadata.get("throughline-retryable")
    if retryable is not None and (retryable == "true") != found.retryable:
        found.retryable = retryable == "true"
    return found


_NEXT = {
    grpc.StatusCode.UNAVAILABLE: "start it, or check its address",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "send less, such as fewer observations, or name a long query by query_uri",
    grpc.StatusCode.UNAUTHENTICATED: "set THROUGHLINE_TOKEN to a token that it knows",
    grpc.StatusCode.UNIMPLEMENTED: "check that the address is that of this service and its release",
}
_TOO_LARGE = "larger than max"
"""What gRPC says of a message over a limit. Of anything else, such as calls or a quota, a peer can have more again later."""
_NEXT_OF_HANDSHAKE = {
    "Hostname Verification Check failed": "its certificate is not for this host name; call it by a name that the certificate has",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not valid, or not of the authority in {settings}_CA",
    "WRONG_VERSION_NUMBER": "it speaks plain text; give it a certificate, or unset {settings}_CA here",
    "Socket closed": "if it speaks TLS, set {settings}_CA here, and {settings}_CERTIFICATE where it asks for one",
}
"""By words that gRPC uses where two sides cannot agree on TLS."""


def next_of_handshake(details: str, settings: str = "THROUGHLINE_TLS") -> str:
    """What to do where gRPC's words are of a failed handshake; else empty. `settings`: what the caller's own begin with."""
    remedies = (remedy for words, remedy in _NEXT_OF_HANDSHAKE.items() if words in details)
    return next(remedies, "").format(settings=settings)


def _is_busy(code: grpc.StatusCode, details: str) -> bool:
    return code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE not in details


def _next(code: grpc.StatusCode, details: str) -> str:
    """What to do about the status of a peer that says nothing more."""
    if _is_busy(code, details):
        return "it has too much to do: try again later"
    if code is grpc.StatusCode.UNAVAILABLE and (remedy := next_of_handshake(details)):
        return remedy
    return _NEXT.get(code, "")


def _as_dict(metadata: Iterable[Any] | None) -> dict[str, str | bytes]:
    return {item[0]: item[1] for item in metadata or ()}


def _shortened(message: str) -> str:
    """The message, cut where its percent-encoded form, in which it travels, would grow too long."""
    length = 0
    for kept, character in enumerate(message):
        length += len(quote(character, safe=_UNENCODED))
        if length > MAX_DETAIL_BYTES:
            return message[:kept] + " …"
    return message
