"""Webhooks: what is posted, how it is signed, what is tried again."""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from tests.orchestrator.bench import Client, settings_for
from tests.orchestrator.conftest import WEBHOOK_SECRET
from tests.orchestrator.scripted import Script, wait_until
from throughline.domain.errors import DependencyUnavailable
from throughline.orchestrator.alerting import Herald
from throughline.orchestrator.inflight import Errand
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.alert_pb2 import TimelineReadyRequest
from throughline.wire.tracing import trace_of


class Hook(ThreadingHTTPServer):
    """Keeps what is posted; answers with the statuses it was given, then 204."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/films"


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((dict(self.headers), body))
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def hooked(tls: ssl.SSLContext | None = None) -> Iterator[Hook]:
    """A webhook on loopback."""
    server = Hook()
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hooked() as server:
        yield server


def run(client: Client, script: Script, hook: Hook) -> pb.Job:
    script.candidates = 0
    job_id = client.submit(options=pb.JobOptions(alert_target=hook.url, labels={"case": "17"}))
    return client.until(job_id)


def test_a_webhook_gets_the_film_signed(client: Client, script: Script, hook: Hook) -> None:
    job = run(client, script, hook)
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
    assert script.alerts == []
    ((headers, body),) = hook.posts
    message = json_format.Parse(body, TimelineReadyRequest())
    assert message.job_id == job.job_id
    assert message.timeline == job.timeline
    assert message.labels == {"case": "17"}
    assert headers["X-Throughline-Request-Id"] == message.request_id == f"{job.job_id}.timeline-1"
    parts = dict(part.split("=", 1) for part in headers["X-Throughline-Signature"].split(","))
    expected = hmac.new(WEBHOOK_SECRET.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert parts["v1"] == expected
    assert trace_of(job.job_id) in headers["traceparent"]


def test_a_webhook_that_is_busy_is_called_again_with_the_same_request_id(
    client: Client, script: Script, hook: Hook
) -> None:
    hook.statuses = [503, 429, 408]
    assert run(client, script, hook).state == pb.JOB_STATE_SUCCEEDED
    assert len(hook.posts) == 4
    assert len({(headers["X-Throughline-Request-Id"], body) for headers, body in hook.posts}) == 1


@pytest.mark.parametrize("status", [302, 400, 401, 404])
def test_a_webhook_that_refuses_fails_the_job_and_keeps_the_film(
    client: Client, script: Script, hook: Hook, status: int
) -> None:
    hook.statuses = [status]
    job = run(client, script, hook)
    assert job.state == pb.JOB_STATE_FAILED
    assert str(status) in job.error
    assert job.timeline.film_uri
    assert len(hook.posts) == 1


def test_a_webhook_that_fails_for_long_is_waited_for_and_told_once_by_its_id(
    client: Client, script: Script, hook: Hook
) -> None:
    hook.statuses = [500] * 12
    script.candidates = 0
    job_id = client.submit(options=pb.JobOptions(alert_target=hook.url))
    seen = client.watch(job_id)
    waited = [waiting for job in seen for waiting in job.waiting if waiting.step == "alert"]
    assert waited
    assert all("answered 500; it is called again" in waiting.reason for waiting in waited)
    assert seen[-1].state == pb.JOB_STATE_SUCCEEDED
    assert len(hook.posts) == 13
    assert len({headers["X-Throughline-Request-Id"] for headers, _ in hook.posts}) == 1


def test_a_webhook_without_the_tls_it_should_have_is_waited_for(client: Client, script: Script, hook: Hook) -> None:
    script.candidates = 0
    job_id = client.submit(options=pb.JobOptions(alert_target=hook.url.replace("http:", "https:")))
    wait_until(lambda: bool(client.job(job_id).waiting), what="the job waits for nothing")
    assert "can't be reached" in client.job(job_id).waiting[0].reason
    client.cancel(job_id)
    assert hook.posts == []


@contextmanager
def dripping(first: bytes) -> Iterator[str]:
    """The URL of a webhook that says `first` at once, and after that a byte now and then, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    ending = threading.Event()

    def answer() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.sendall(first)
            while not ending.wait(0.05):
                connection.sendall(b"x")

    thread = threading.Thread(target=answer)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/films"
    ending.set()
    thread.join()
    listener.close()


def tell(tmp_path: Path, url: str) -> None:
    """Call a webhook that may take half a second."""
    settings = settings_for(tmp_path, "127.0.0.1:9", webhook_secret=WEBHOOK_SECRET, webhook_timeout_seconds=0.5)
    Herald(settings).tell(Errand("job", bound=True), url, TimelineReadyRequest(request_id="once"))


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: "], ids=["status", "header"])
def test_a_webhook_that_drips_bytes_has_so_long_for_all_of_its_answer(tmp_path: Path, first: bytes) -> None:
    with dripping(first) as url, pytest.raises(DependencyUnavailable, match=r"no answer within 0\.5 s"):
        tell(tmp_path, url)


def test_a_webhook_whose_body_never_ends_has_answered(tmp_path: Path) -> None:
    with dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n") as url:
        tell(tmp_path, url)


def test_a_webhook_that_says_nothing_is_given_up_in_time(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(DependencyUnavailable, match=r"no answer within 0\.5 s"),
    ):
        tell(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}/films")
