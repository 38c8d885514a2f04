from __future__ import annotations

import io
import json
import logging
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from tests.wire.generic import call, connected, generic_service, methods, serving
from throughline.domain.work import Work
from throughline.v1 import ingest_pb2
from throughline.wire.logs import configure_logging, readable
from throughline.wire.streaming import stream
from throughline.wire.subject import carried, subject, working_for
from throughline.wire.tracing import job_trace, trace_of

COLLATE = next(method for method in methods() if method.name == "Collate")
_log = logging.getLogger("tests.somewhere")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, str]]]]:
    """Reads what was logged as JSON; afterwards logging is pytest's own again."""
    root, hook = logging.getLogger(), threading.excepthook
    handlers, level, root.handlers = root.handlers, root.level, []
    told = io.StringIO()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", told)
        configure_logging("INFO", "json", "ingest")
    yield lambda: [json.loads(line) for line in told.getvalue().splitlines()]
    root.handlers, threading.excepthook = handlers, hook
    root.setLevel(level)
    logging.captureWarnings(False)


def test_a_line_says_when_who_and_for_which_job(lines: Callable[[], list[dict[str, str]]]) -> None:
    with working_for(job="j1", camera="aisle 5", request="r1"), job_trace("j1"):
        _log.info("chunk %d is there", 7)
    _log.warning("nobody's")
    first, second = lines()
    assert first["time"].endswith("Z")
    assert {name: first[name] for name in first if name not in ("time", "span_id")} == {
        "level": "INFO",
        "logger": "tests.somewhere",
        "message": "chunk 7 is there",
        "service": "ingest",
        "job": "j1",
        "camera": "aisle 5",
        "request_id": "r1",
        "trace_id": trace_of("j1"),
    }
    assert set(second) == {"time", "level", "logger", "message", "service"}


def test_threads_that_a_call_starts_log_for_its_job(lines: Callable[[], list[dict[str, str]]]) -> None:
    def behave(method: MethodDescriptor, request: Any, context: grpc.ServicerContext) -> None:
        def work(_: Work) -> None:
            _log.info("in the call's own thread")
            with ThreadPoolExecutor(1) as pool:
                pool.submit(carried(_log.info), "in a pool").result()

        list(stream(context, work))

    with serving(generic_service(behave)) as server, connected(server) as channel:
        call(channel, COLLATE, ingest_pb2.CollateRequest(job_id="j2", camera="door"))
    told = [line for line in lines() if line["logger"] == "tests.somewhere"]
    assert [line["message"] for line in told] == ["in the call's own thread", "in a pool"]
    assert {(line["job"], line["camera"]) for line in told} == {("j2", "door")}
    assert len({line["request_id"] for line in told}) == 1


@pytest.mark.parametrize(("own", "heard"), [("call-7", "call-7"), ("fünf\n", None)])
def test_a_call_takes_the_request_id_along_where_metadata_can_hold_it(own: str, heard: str | None) -> None:
    seen: list[str] = []
    service = generic_service(lambda method, request, context: seen.append(subject().request))
    with serving(service) as server, connected(server) as channel, working_for(request=own):
        call(channel, COLLATE, ingest_pb2.CollateRequest())
    assert seen[0] == heard or (heard is None and seen[0] not in ("", own))


def test_a_calls_subject_ends_with_it() -> None:
    with working_for(job="outer"):
        with working_for(camera="c"):
            assert (subject().job, subject().camera) == ("outer", "c")
        assert (subject().job, subject().camera) == ("outer", "")
    assert subject().job == ""


def test_failures_come_with_their_traceback_on_one_line(lines: Callable[[], list[dict[str, str]]]) -> None:
    def fail() -> None:
        raise RuntimeError("no such luck")

    thread = threading.Thread(target=fail, name="unlucky")
    thread.start()
    thread.join()
    (line,) = lines()
    assert (line["level"], line["message"]) == ("ERROR", "thread unlucky ended with a failure")
    assert line["error"].endswith("RuntimeError: no such luck")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("authorization: Bearer abcdef.123-456", "abcdef.123-456"),
        ("can't reach postgresql+psycopg://throughline:hunter22@db:5432/t", "hunter22"),
        ("GET /o?X-Amz-Signature=0a1b2c3d&x=1", "0a1b2c3d"),
        ("the webhook's key is s3cr3t-of-all-hooks, they say", "s3cr3t-of-all-hooks"),
        ("token t0ken-of-all-ours was refused", "t0ken-of-all-ours"),
        ("the outside is shown k3y-from-a-file-of-ours", "k3y-from-a-file-of-ours"),
    ],
)
@pytest.mark.parametrize("form", ["json", "text"])
def test_secrets_are_never_shown(tmp_path: Path, text: str, hidden: str, form: str) -> None:
    program = f"""
import logging
from throughline.wire.logs import configure_logging
configure_logging("INFO", {form!r})
try:
    raise ValueError({text!r})
except ValueError:
    logging.getLogger("x").exception("%s", {text!r})
"""
    (tmp_path / "throughline_outside_token").write_text("k3y-from-a-file-of-ours\n")
    environment = {
        "THROUGHLINE_WEBHOOK_SECRET": "s3cr3t-of-all-hooks",
        "THROUGHLINE_TOKEN": "t0ken-of-all-ours",
        "THROUGHLINE_SECRETS_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **environment}, check=True
    )
    assert "ValueError" in done.stderr
    assert "***" in done.stderr
    assert hidden not in done.stderr


PROGRAM = """
import logging, warnings
from throughline.wire.logs import configure_logging
configure_logging("INFO")
import boto3, dbos, grpc
dbos.DBOS(config={"name": "told", "system_database_url": "sqlite://", "enable_otlp": False})
logging.getLogger("dbos").warning("from dbos")
logging.getLogger("botocore.retries").warning("from boto")
logging.getLogger("botocore.auth").info("far too much")
warnings.warn("from python")
"""


def test_what_libraries_log_has_the_same_form() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert {line["logger"] for line in told} >= {"dbos", "botocore.retries", "py.warnings"}
    assert [line["message"] for line in told].count("from dbos") == 1
    assert "far too much" not in done.stderr


def test_on_a_terminal_lines_are_for_people() -> None:
    program = """
import logging
from throughline.wire.logs import configure_logging
from throughline.wire.subject import working_for
configure_logging("INFO")
with working_for(job="j1", camera="door"):
    logging.getLogger("x").info("hello")
"""
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", program], stderr=theirs, check=True)
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        assert terminal.read(1000).decode().rstrip().endswith("INFO job=j1 camera=door x: hello")


def test_a_line_of_either_form_can_be_shown_to_people() -> None:
    line = {"time": "2026-03-01T10:00:00.000Z", "level": "ERROR", "logger": "x", "message": "gone", "error": "a\nb"}
    assert readable(json.dumps(line)) == "2026-03-01T10:00:00.000Z ERROR x: gone\na\nb"
    assert readable("not JSON") == "not JSON"
    assert readable("7") == "7"
