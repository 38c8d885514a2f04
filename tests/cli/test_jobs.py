"""Commands about jobs against a scripted orchestrator on a real port."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner, Result

from throughline.cli.connection import TARGET_VARIABLE
from throughline.cli.main import app
from throughline.domain.errors import InvalidQuery, NotFound
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import (
    SIMILARITY_SCALE_COSINE,
    STAGE_LOCATE,
    STAGE_TRACK,
    VERDICT_VALID,
    ClockMap,
    Incident,
    Interval,
    ModelPin,
    Progress,
    TrackRef,
)
from throughline.v1.orchestrator_pb2_grpc import OrchestratorServicer, add_OrchestratorServicer_to_server
from throughline.wire.service import Service, serve
from throughline.wire.settings import ServiceSettings
from throughline.wire.tracing import trace_of

RUNNING = pb.Job(
    job_id="job-1",
    state=pb.JOB_STATE_RUNNING,
    stage=STAGE_TRACK,
    progress=[Progress(stage=STAGE_TRACK, camera="[cam 1]", done=5, total=10, unit="frames", rate=2.5, seconds_left=2)],
    timings=[pb.StageTiming(stage=STAGE_TRACK, seconds=1)],
    incidents=[Incident(code="chunk_corrupt", subject="a.mp4", message="chunk a.mp4 [cam 1] is empty")],
)
DONE = pb.Job(
    job_id="job-1",
    state=pb.JOB_STATE_SUCCEEDED,
    stage=STAGE_LOCATE,
    timings=[pb.StageTiming(stage=STAGE_TRACK, seconds=2.5)],
    incidents=RUNNING.incidents,
    candidates=[
        pb.CandidateState(
            pair_id="abcdef012345",
            track=TrackRef(camera="cam2", track_id=7),
            similarity=0.9,
            verdict=VERDICT_VALID,
            rank=1,
        )
    ],
    models=[ModelPin(name="reid", digest="0123abcd" * 8)],
    timeline=pb.TimelineResult(revision=1, film_uri="file:///w/film.mp4", duration_ns=1_500_000_000),
)


class Scripted(OrchestratorServicer):
    """Takes jobs unless their query says `bad`, and knows job-1."""

    def __init__(self) -> None:
        self.submitted: list[pb.SubmitJobRequest] = []
        self.cut_streams = 1
        self.last = DONE

    def SubmitJob(self, request: pb.SubmitJobRequest, context: grpc.ServicerContext) -> pb.SubmitJobResponse:  # noqa: N802
        if "bad" in request.query_json:
            raise InvalidQuery("observations[3].box", "expected four numbers")
        self.submitted.append(request)
        return pb.SubmitJobResponse(job_id="job-1")

    def GetJob(self, request: pb.GetJobRequest, context: grpc.ServicerContext) -> pb.GetJobResponse:  # noqa: N802
        if request.job_id != "job-1":
            raise NotFound(f"there is no job {request.job_id}")
        return pb.GetJobResponse(job=DONE)

    def ListJobs(self, request: pb.ListJobsRequest, context: grpc.ServicerContext) -> pb.ListJobsResponse:  # noqa: N802
        return pb.ListJobsResponse(jobs=[DONE])

    def WatchJob(self, request: pb.WatchJobRequest, context: grpc.ServicerContext) -> Iterator[pb.WatchJobResponse]:  # noqa: N802
        yield pb.WatchJobResponse(job=RUNNING)
        if self.cut_streams:
            self.cut_streams -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")
        yield pb.WatchJobResponse(job=self.last)

    def CancelJob(self, request: pb.CancelJobRequest, context: grpc.ServicerContext) -> pb.CancelJobResponse:  # noqa: N802
        return pb.CancelJobResponse(state=pb.JOB_STATE_CANCELLED)


@pytest.fixture
def orchestrator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    servicer = Scripted()  # type: ignore[abstract]
    add = partial(add_OrchestratorServicer_to_server, servicer)
    server = serve([Service("orchestrator", ("throughline.v1.Orchestrator",), add)], ServiceSettings())
    monkeypatch.setenv(TARGET_VARIABLE, server.address)
    yield servicer
    server.stop()


@pytest.fixture
def query(tmp_path: Path) -> str:
    path = tmp_path / "query.json"
    path.write_text('{"camera": "cam1"}')
    return str(path)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "250"})


def test_every_option_of_submit_reaches_the_orchestrator(orchestrator: Scripted, query: str) -> None:
    options = (
        "--threshold 0.6 --scale cosine --rate 5 --search fast --window 2026-03-01T10:00:00Z 2026-03-01T11:00:00Z "
        "--camera a --camera b --time-zone Europe/Paris --clock a=-1.5 --clock b=0.000000001 --tier t:1 --callback c:1 "
        "--alert a:1 --deadline 60 --max-candidates 9 --rerank --label case=4711 --request-id r-1 "
        "--redact heads --no-boxes --captions --before 1 --after 2 --least 0.5 --merge 3 --tiles 4 --height 720"
    )
    result = _run("submit", "s3://bucket/day/", query, *options.split())
    assert result.exit_code == 0, result.output
    assert result.stdout == "job-1\n"
    assert orchestrator.submitted == [
        pb.SubmitJobRequest(
            request_id="r-1",
            footage_uri="s3://bucket/day/",
            query_json='{"camera": "cam1"}',
            options=pb.JobOptions(
                similarity_threshold=0.6,
                threshold_scale=SIMILARITY_SCALE_COSINE,
                analysis_rate=5,
                search_mode=pb.SEARCH_MODE_FAST,
                time_window=Interval(start_ns=1772359200 * 10**9, end_ns=1772362800 * 10**9),
                cameras=["a", "b"],
                file_name_time_zone="Europe/Paris",
                clock_maps=[ClockMap(camera="a", offset_ns=-1_500_000_000), ClockMap(camera="b", offset_ns=1)],
                tier_target="t:1",
                callback_target="c:1",
                alert_target="a:1",
                review_deadline_seconds=60,
                max_candidates=9,
                rerank=True,
                labels={"case": "4711"},
                redaction=pb.REDACTION_HEADS,
                film=pb.FilmOptions(
                    boxes=False,
                    captions=True,
                    before_seconds=1,
                    after_seconds=2,
                    least_seconds=0.5,
                    merge_seconds=3,
                    max_tiles=4,
                    max_height=720,
                ),
            ),
        )
    ]


def test_a_plain_submit_leaves_every_default_to_the_orchestrator(orchestrator: Scripted) -> None:
    assert _run("submit", "s3://b/d/", "s3://b/query.json").exit_code == 0
    (request,) = orchestrator.submitted
    assert request.query_uri == "s3://b/query.json"
    assert not request.options.HasField("similarity_threshold")
    assert not request.options.HasField("analysis_rate")
    assert not request.options.HasField("time_window")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--clock", "a"], "NAME=VALUE"),
        (["--clock", "a=soon"], "not a number of seconds"),
        (["--window", "today", "tomorrow"], "ISO 8601"),
        (["--label", "=x"], "NAME=VALUE"),
    ],
)
def test_options_that_mean_nothing_are_refused_here(
    orchestrator: Scripted, query: str, options: list[str], words: str
) -> None:
    result = _run("submit", "s3://b/d/", query, *options)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_wrong_query_is_said_in_one_line(orchestrator: Scripted, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("bad")
    result = _run("submit", "s3://b/d/", str(tmp_path / "bad.json"))
    assert result.exit_code == 1
    assert result.stderr == "error: query observations[3].box: expected four numbers\n"


def test_watch_outlives_a_restart_and_shows_warnings_once(orchestrator: Scripted) -> None:
    result = _run("watch", "job-1")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("chunk a.mp4 [cam 1] is empty") == 1
    assert "file:///w/film.mp4" in result.stdout
    assert "2.5 s" in result.stdout
    assert "1.0 s" not in result.stdout  # tracking was not over then


def test_watch_ends_with_status_1_when_the_job_failed(orchestrator: Scripted) -> None:
    orchestrator.last = pb.Job(job_id="job-1", state=pb.JOB_STATE_FAILED, error="no usable footage")
    result = _run("watch", "job-1")
    assert result.exit_code == 1
    assert "no usable footage" in result.stdout


def test_jobs_and_job_and_cancel_say_what_there_is(orchestrator: Scripted) -> None:
    assert "succeeded" in _run("jobs").stdout
    shown = _run("job", "job-1").stdout
    for words in (
        "cam2",
        "0.900",
        "valid",
        "abcdef01",
        "film.mp4",
        "reid 0123abcd",
        f"trace          {trace_of('job-1')}",
    ):
        assert words in shown
    assert json.loads(_run("job", "job-1", "--json").stdout)["candidates"][0]["rank"] == 1
    assert _run("cancel", "job-1").stdout == "cancelled\n"
    missing = _run("job", "job-9")
    assert (missing.exit_code, missing.stderr) == (1, "error: there is no job job-9\n")
