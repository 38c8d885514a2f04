"""Where a job may send its pairs and its film: the deployment's own addresses, and those on its allow list."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import grpc

from throughline.domain.errors import InvalidInput, PermissionDenied, ThroughlineError
from throughline.orchestrator.settings import OrchestratorSettings
from throughline.wire.client import connect

_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?):(?P<port>\d{1,5})")
WEBHOOKS = ("http", "https")


@dataclass(frozen=True, slots=True)
class Target:
    """An address that a job names. `scheme` is empty for gRPC."""

    scheme: str
    host: str
    port: int


def is_webhook(text: str) -> bool:
    """Whether an alert target is a webhook's URL rather than host:port."""
    return text.partition("://")[0].lower() in WEBHOOKS and "://" in text


def parse_target(text: str) -> Target:
    """Take host:port apart; raise ValueError where it is none."""
    match = _HOST_PORT.fullmatch(text)
    if match is None or not 1 <= int(match["port"]) <= 65_535:
        raise ValueError(f"{text!r} is not host:port")
    return Target("", match["host"].strip("[]").lower(), int(match["port"]))


def parse_webhook(text: str) -> Target:
    """Take a webhook's URL apart; raise ValueError where it is none, carries a password, or is open to listeners on the way."""
    url = urlsplit(text)
    host = (url.hostname or "").lower()
    if url.scheme not in WEBHOOKS or not host or url.username or url.password or url.fragment:
        raise ValueError(f"{text!r} is not a URL of the form https://host/path")
    if url.scheme == "http" and not is_loopback(host):
        raise ValueError(f"{text!r} would be readable on its way; use https (http only on loopback)")
    return Target(url.scheme, host, url.port or (443 if url.scheme == "https" else 80))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def connect_outside(target: str, own: str, settings: OrchestratorSettings) -> grpc.Channel:
    """A channel to a tier or an Alert service; only the deployment's own is shown the deployment's token."""
    token = settings.token if target == own else settings.outside_token.get_secret_value()
    return connect(target, settings, token=token)


def check_targets(tier: str, callback: str, alert: str, settings: OrchestratorSettings) -> list[ThroughlineError]:
    """What is wrong with the targets that a job names; empty ones stand for the deployment's own."""
    wanted = (
        ("tier_target", tier, settings.tier_target, "THROUGHLINE_TIER_TARGET"),
        ("callback_target", callback, settings.orchestrator_target, "THROUGHLINE_ORCHESTRATOR_TARGET"),
        ("alert_target", alert, settings.alert_target, "THROUGHLINE_ALERT_TARGET"),
    )
    problems = (
        _problem(f"options.{field}", text, own, variable, settings.allowed_targets)
        for field, text, own, variable in wanted
    )
    if settings.webhook_secret.get_secret_value() or not is_webhook(alert or settings.alert_target):
        return [problem for problem in problems if problem is not None]
    unsigned = InvalidInput("options.alert_target: webhooks can't be signed here; set THROUGHLINE_WEBHOOK_SECRET")
    return [*(problem for problem in problems if problem is not None), unsigned]


def _problem(field: str, text: str, own: str, variable: str, allowed: tuple[str, ...]) -> ThroughlineError | None:
    if not text or text == own:
        missing = InvalidInput(f"{field}: none given, and the deployment has none; name one, or set {variable}")
        return None if own else missing
    try:
        webhook = field == "options.alert_target" and is_webhook(text)
        target = parse_webhook(text) if webhook else parse_target(text)
    except ValueError as error:
        return InvalidInput(f"{field}: {error}")
    if target.host in allowed or f"{target.host}:{target.port}" in allowed:
        return None
    return PermissionDenied(
        f"{field}: {target.host}:{target.port} is not on the allow list; ask for it to be put into THROUGHLINE_ALLOWED_TARGETS"
    )
