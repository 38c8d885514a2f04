"""Tells an Alert service, or a webhook, that a film is ready. The same request_id may arrive more than once; it means one thing."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping

import httpx
from google.protobuf import json_format
from opentelemetry.trace import SpanKind

from throughline.domain.errors import DependencyUnavailable, FailedPrecondition
from throughline.orchestrator.addresses import check_addresses, is_proxied, resolve
from throughline.orchestrator.inflight import Errand
from throughline.orchestrator.settings import OrchestratorSettings
from throughline.orchestrator.stages import call
from throughline.orchestrator.targets import connect_outside, is_webhook, parse_webhook
from throughline.v1.alert_pb2 import TimelineReadyRequest
from throughline.v1.alert_pb2_grpc import AlertStub
from throughline.wire import tracing

SIGNATURE_HEADER = "X-Throughline-Signature"
REQUEST_ID_HEADER = "X-Throughline-Request-Id"
_PASSING = frozenset({408, 425, 429})
"""Statuses below 500 after which another attempt can succeed."""
Resolve = Callable[[str, int], Awaitable[list[str]]]


def sign(body: bytes, secret: str, unix_seconds: int) -> str:
    """The signature header: HMAC-SHA256, keyed with the secret, over the time, a dot, and the body."""
    digest = hmac.new(secret.encode(), f"{unix_seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={unix_seconds},v1={digest}"


class Herald:
    """Delivers TimelineReady, once for each call."""

    def __init__(
        self, settings: OrchestratorSettings, now: Callable[[], float] = time.time, resolve: Resolve = resolve
    ) -> None:
        self._settings = settings
        self._now = now
        self._resolve = resolve

    def tell(self, errand: Errand, target: str, request: TimelineReadyRequest) -> None:
        """Deliver to host:port or to a webhook's URL. Raises ThroughlineError; the retryable ones may pass."""
        if is_webhook(target):
            self._post(target, request)
            return
        with connect_outside(target, self._settings.alert_target, self._settings) as channel:
            stub = AlertStub(channel)
            call(errand, f"alert at {target}", stub.TimelineReady, request, self._settings.silence_seconds)

    def _post(self, url: str, request: TimelineReadyRequest) -> None:
        host = parse_webhook(url).host
        body = json_format.MessageToJson(request, indent=None).encode()
        secret = self._settings.webhook_secret.get_secret_value()
        headers = {
            "Content-Type": "application/json",
            SIGNATURE_HEADER: sign(body, secret, int(self._now())),
            REQUEST_ID_HEADER: request.request_id,
        }
        seconds = self._settings.webhook_timeout_seconds
        try:
            with tracing.span("webhook", {"server.address": host}, SpanKind.CLIENT):
                status = asyncio.run(asyncio.wait_for(self._send(url, body, headers | tracing.headers()), seconds))
        except TimeoutError as error:
            raise DependencyUnavailable(
                f"the webhook at {host} gave no answer within {seconds:g} s; it is called again"
            ) from error
        except httpx.HTTPError as error:
            raise DependencyUnavailable(
                f"the webhook at {host} can't be reached: {error}; start it, or check its URL"
            ) from error
        if status in _PASSING or status >= 500:
            raise DependencyUnavailable(f"the webhook at {host} answered {status}; it is called again")
        if not 200 <= status < 300:
            raise FailedPrecondition(
                f"the webhook at {host} refused the film with status {status}; check its URL and secret"
            )

    async def _send(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Post to the address that was checked, so that the name cannot lead elsewhere in between; the status of the answer."""
        if is_proxied(url):
            return await _post(url, body, headers, through_proxy=True)
        target = parse_webhook(url)
        addresses = await self._resolve(target.host, target.port)
        check_addresses(target.host, addresses)
        for address in addresses[:-1]:
            try:
                return await _post(url, body, headers, address)
            except httpx.ConnectError:
                continue
        return await _post(url, body, headers, addresses[-1])


async def _post(
    url: str, body: bytes, headers: Mapping[str, str], address: str = "", *, through_proxy: bool = False
) -> int:
    """The status of the answer, whose body is not read. With `address`, the host's name is only asked of its certificate."""
    named = httpx.URL(url)
    place = named.copy_with(host=address) if address else named
    authorities = httpx.create_ssl_context()  # of this machine, or of SSL_CERT_FILE and SSL_CERT_DIR
    async with (
        httpx.AsyncClient(timeout=None, verify=authorities, trust_env=through_proxy) as client,  # noqa: S113 - its caller limits all of it
        client.stream(
            "POST",
            place,
            content=body,
            headers={**headers, "Host": named.netloc.decode()},
            extensions={"sni_hostname": named.host},
            follow_redirects=False,
        ) as answer,
    ):
        return answer.status_code
