"""Queries that are too long, too deep, or no JSON at all: each is answered by path, within bounded time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner

from tests.faults.proxy import Fault, FaultyS3
from tests.orchestrator.bench import QUERY, Client, request, settings_for
from tests.orchestrator.conftest import client, home, orchestrator, running_script, script  # noqa: F401 - fixtures
from throughline.cli.main import app
from throughline.domain.errors import InvalidInput, InvalidQuery, LimitExceeded
from throughline.orchestrator.submission import check_submission
from throughline.storage.objects import ObjectSettings, open_objects
from throughline.wire.query_document import MAX_BYTES, MAX_OBSERVATIONS, parse_query

GOOD = json.dumps(QUERY)
TIME = json.dumps(QUERY["observations"][0]["time"])
HUNDRED_MB = 100_000_000


def with_time(text: str) -> str:
    return GOOD.replace(TIME, text, 1)


def with_box(text: str) -> str:
    box = json.dumps(QUERY["observations"][0]["box"])
    return GOOD.replace(box, f"[1, 1, 5, {text}]", 1)


def with_width(text: str) -> str:
    return GOOD.replace(f'"width": {QUERY["frame_size"]["width"]}', f'"width": {text}', 1)


CASES: dict[str, tuple[str | bytes, str, str]] = {
    "nothing": ("", "", "Expecting value"),
    "zero bytes": (b"\0" * 100, "", "expected JSON"),
    "half of it": (GOOD[: len(GOOD) // 2], "", "line 1"),
    "lists 100000 deep": ("[" * 100_000, "", "nested far deeper"),
    "objects 100000 deep": ('{"a":' * 100_000, "", "nested far deeper"),
    "a label 5000 deep": (GOOD[:-1] + ', "label": ' + "[" * 5000 + "]" * 5000 + "}", "", "nested far deeper"),
    "UTF-16": (GOOD.encode("utf-16"), "", "UTF-8"),
    "Latin-1": (GOOD.replace("cam1", "Süd").encode("latin-1"), "", "UTF-8"),
    "a key twice": (GOOD[:-1] + ', "camera": "cam2"}', "", "key 'camera' twice"),
    "a key of an observation twice": (GOOD.replace('"box"', '"time": 1, "box"', 1), "observations[0]", "'time' twice"),
    "NaN as time": (with_time("NaN"), "observations[0].time", "expected a time"),
    "minus infinity as time": (with_time("-Infinity"), "observations[0].time", "expected a time"),
    "10 million digits as time": (with_time("1" * 10_000_000), "observations[0].time", "expected a time"),
    "1e999999999 as time": (with_time("1e999999999"), "observations[0].time", "expected a time"),
    "NaN in a box": (with_box("NaN"), "observations[0].box", "four finite numbers"),
    "1e400 in a box": (with_box("1e400"), "observations[0].box", "four finite numbers"),
    "5000 digits in a box": (with_box("9" * 5000), "observations[0].box", "four finite numbers"),
    "5000 digits as width": (with_width("9" * 5000), "frame_size.width", "whole number"),
    "half a surrogate": (GOOD.replace("cam1", "\\ud800"), "camera", "unicode"),
    "one observation too many": (
        json.dumps(QUERY | {"observations": [{}] * (MAX_OBSERVATIONS + 1)}),
        "observations",
        f"at most {MAX_OBSERVATIONS} items, not {MAX_OBSERVATIONS + 1}",
    ),
    "the last of many observations wrong": (
        json.dumps(
            QUERY | {"observations": [QUERY["observations"][0]] * 2_000 + [{"time": "noon", "box": [1, 1, 2, 2]}]}
        ),
        "observations[2000].time",
        "expected a time",
    ),
    "a text of 16 MB": (json.dumps(QUERY | {"observations": ["x" * 16_000_000]}), "observations[0]", "an object"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_query_that_is_none_is_answered_by_path_and_soon(name: str) -> None:
    text, path, words = CASES[name]
    began = time.process_time()
    with pytest.raises(InvalidQuery) as raised:
        parse_query(text)
    assert raised.value.path == path
    assert words in str(raised.value)
    assert len(str(raised.value)) < 1500
    assert time.process_time() - began < 5


def test_a_byte_order_mark_changes_nothing() -> None:
    assert parse_query("\ufeff" + GOOD) == parse_query(b"\xef\xbb\xbf" + GOOD.encode()) == parse_query(GOOD)


@pytest.mark.parametrize(
    "text",
    [
        "','.join(['{}'] * 4_000_000)",
        "','.join(['[]'] * 4_000_000)",
        "','.join(['1.5'] * 3_500_000)",
        "','.join(['{}'] * 200_000)",
        '\'{"time":0,"box":[0,0,1,1]},\' * 190_000 + "{}"',
    ],
    ids=[
        "4 million objects",
        "4 million lists",
        "3.5 million numbers",
        "200000 empty observations",
        "full, last one wrong",
    ],
)
def test_16_mb_of_nonsense_take_bounded_memory(text: str) -> None:
    program = (
        "import resource, sys\n"
        "from throughline.domain.errors import InvalidQuery\n"
        "from throughline.wire.query_document import parse_query\n"
        'head = \'{"camera": "c", "frame_size": {"width": 9, "height": 9}, "observations": [\'\n'
        f"text = head + {text} + ']}}'\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    parse_query(text)\nexcept InvalidQuery as error:\n    assert 'observations' in error.path, error\n"
        "else:\n    sys.exit('it was taken')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) / 1024 < 500, "MiB"


def test_100_mb_by_uri_are_refused_before_they_are_read(s3: FaultyS3, bucket: str, tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(HUNDRED_MB)
    settings = settings_for(tmp_path, "127.0.0.1:7", s3_endpoint_url=s3.url)
    objects = open_objects(settings)
    objects.write(f"s3://{bucket}/large.json", b"{}")
    s3.faults = lambda sent: Fault(length_error=HUNDRED_MB) if sent.method == "GET" else None
    for uri in (f"file://{large}", f"s3://{bucket}/large.json"):
        with pytest.raises(LimitExceeded, match=rf"large.json has 1\d+ bytes, more than the {MAX_BYTES}"):
            check_submission(request(query_json=None, query_uri=uri), objects, settings)
    assert s3.count("GET", "large.json") == 1


def test_a_query_by_uri_in_another_encoding_is_named_by_its_uri(s3: FaultyS3, bucket: str, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "127.0.0.1:7", s3_endpoint_url=s3.url)
    objects, uri = open_objects(ObjectSettings(s3_endpoint_url=s3.url)), f"s3://{bucket}/query.json"
    objects.write(uri, GOOD.encode("utf-16"))
    with pytest.raises(InvalidInput, match="is not UTF-8"):
        check_submission(request(query_json=None, query_uri=uri), objects, settings)


@pytest.mark.parametrize("size", [MAX_BYTES + 1, HUNDRED_MB], ids=["over our limit", "over gRPC's limit"])
def test_a_client_that_sends_too_much_inline_hears_resource_exhausted(client: Client, size: int) -> None:  # noqa: F811
    with pytest.raises(grpc.RpcError) as raised:
        client.stub.SubmitJob(request(query_json=GOOD + " " * (size - len(GOOD))), timeout=60, wait_for_ready=True)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(LimitExceeded):
        client.submit(query_json=GOOD + " " * (size - len(GOOD)))


def test_the_command_line_refuses_a_file_that_is_too_large_and_says_what_to_do(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(HUNDRED_MB)
    done = CliRunner().invoke(app, ["submit", "s3://bucket/prefix/", str(large)], env={"COLUMNS": "300"})
    assert done.exit_code == 2
    assert "fewer observations" in done.output
