"""Tokens and certificates."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from throughline.cli.checks.finding import Examined, Finding, looked, missing, ok, warning
from throughline.domain.errors import ThroughlineError
from throughline.tracker.settings import TrackerSettings
from throughline.wire.auth import Scope, load_tokens, require_loopback
from throughline.wire.tls import TlsFiles

_SOON = timedelta(days=30)


def check_trust(_: Examined) -> Iterator[Finding]:
    """What the environment names; `up` writes tokens of its own."""
    settings = TrackerSettings()
    if settings.tokens_file is not None:
        yield tokens(settings.tokens_file)
    else:
        yield looked("tokens", lambda: _open_on(settings.listen), "set THROUGHLINE_TOKENS_FILE")
    yield from tls_files("TLS", settings.tls)
    yield from tls_files("Triton's TLS", settings.triton_tls)


def _open_on(listen: str) -> str:
    require_loopback(listen)
    return f"none; {listen} can be reached from this machine alone"


def tls_files(what: str, tls: TlsFiles) -> Iterator[Finding]:
    """Each file that is named."""
    for name, path in (("certificate", tls.certificate), ("authority", tls.ca)):
        if path is not None:
            yield certificate(f"{what} {name} {path}", path)
    if tls.certificate is not None or tls.key is not None:
        yield key(f"{what} key {tls.key or ''}".strip(), tls)


def tokens(path: Path) -> Finding:
    what = f"tokens {path}"
    try:
        callers = load_tokens(path)
    except ThroughlineError as error:
        return missing(what, str(error), "write it as docs/operations.md says")
    if stat.S_IMODE(path.stat().st_mode) & 0o022:
        return missing(what, "others may write to it", f"chmod 600 {path}")
    granted = {scope for caller in callers.values() for scope in caller.scopes}
    lacking = [] if Scope.ADMIN in granted else sorted(set(Scope) - granted - {Scope.ADMIN})
    if lacking:
        found = f"{len(callers)} tokens, none of them with {', '.join(lacking)}"
        return warning(what, found, "nobody can call what asks for these; add a token, unless that is meant")
    return ok(what, f"{len(callers)} tokens")


def certificate(what: str, path: Path) -> Finding:
    """Whether it can be read, and how long it is valid."""
    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        return missing(what, f"can't be read: {error}", "give a certificate in PEM form")
    now = datetime.now(UTC)
    first = min(chain, key=lambda each: each.not_valid_after_utc)
    found = f"{first.subject.rfc4514_string()}, valid until {first.not_valid_after_utc:%Y-%m-%d}"
    if first.not_valid_after_utc < now:
        return missing(what, f"{found}: expired", "renew it")
    if any(each.not_valid_before_utc > now for each in chain):
        return missing(what, f"{found}: not valid yet", "check this machine's clock, or the certificate")
    if first.not_valid_after_utc - now < _SOON:
        return warning(what, f"{found}: soon", "renew it")
    return ok(what, found)


def key(what: str, tls: TlsFiles) -> Finding:
    """Whether it is the certificate's."""
    if tls.certificate is None or tls.key is None:
        remedy = f"set {tls.settings}_CERTIFICATE and {tls.settings}_KEY"
        return missing(what, "key or certificate is not set", remedy)
    try:
        private = load_pem_private_key(tls.key.read_bytes(), None)
        holder = x509.load_pem_x509_certificates(tls.certificate.read_bytes())[0]
    except (OSError, ValueError, TypeError) as error:
        return missing(what, f"can't be read: {error}", "give a key in PEM form without a password")
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != holder.public_key().public_bytes(*form):
        return missing(what, f"does not belong to {tls.certificate}", "give the key that the certificate was made for")
    if stat.S_IMODE(tls.key.stat().st_mode) & 0o077:
        return warning(what, "others may read it", f"chmod 600 {tls.key}")
    return ok(what, "belongs to the certificate")
