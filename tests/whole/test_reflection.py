"""The whole job by hand: every service asked through reflection alone, as grpcurl does it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.reflection import Reflection
from tests.whole.deployment import Theatre
from throughline.cli.stack import SERVICES
from throughline.v1 import orchestrator_pb2 as pb
from throughline.wire.client import connect, translated_errors
from throughline.wire.settings import ServiceSettings

METHODS = {
    "orchestrator": {
        "SubmitJob", "GetJob", "ListJobs", "WatchJob", "CancelJob", "AnnotationResult", "RebuildTimeline",
    },
    "ingest": {"ListFootage", "Collate"},
    "tracker": {"PinModels", "Track", "LocateQuery", "RankCandidates", "MeasureClocks", "IdentifyGlobally"},
    "renderer": {"RenderPairs", "RenderTimeline"},
    "tier": {"ReviewPairs"},
    "alert": {"TimelineReady"},
}  # fmt: skip
JOB = "by-hand"


@contextmanager
def reflected(theatre: Theatre, service: str, token: str) -> Iterator[Reflection]:
    with connect(theatre.deployment.addresses[service], ServiceSettings(token=token)) as channel:
        yield Reflection(channel)


def full_name(service: str) -> str:
    return f"throughline.v1.{service.capitalize()}"


@pytest.mark.parametrize("service", SERVICES)
def test_every_server_lists_its_service_its_health_and_its_methods(theatre: Theatre, service: str) -> None:
    with reflected(theatre, service, theatre.deployment.token) as reflection:
        assert {full_name(service), "grpc.health.v1.Health"} <= set(reflection.services())
        assert set(reflection.methods(full_name(service))) == METHODS[service]
        health = reflection.call("grpc.health.v1.Health", "Check", {"service": full_name(service)})
        assert health == [{"status": "SERVING"}]


def test_a_job_can_be_done_by_hand(theatre: Theatre, undisturbed_job: pb.Job) -> None:
    stages, cli = theatre.token("orchestrator"), theatre.deployment.token

    def ask(service: str, method: str, token: str = stages, **request: Any) -> dict[str, Any]:
        """The last message of the answer."""
        with reflected(theatre, service, token) as reflection, translated_errors(service):
            return reflection.call(full_name(service), method, request, timeout=60)[-1]

    footage = ask("ingest", "ListFootage", jobId=JOB, footageUri=undisturbed_job.footage_uri)
    cameras = []
    for listed in footage["cameras"]:
        camera = listed["camera"]
        reel = ask("ingest", "Collate", jobId=JOB, footage=footage["footage"], camera=camera)["result"]
        tracks = ask("tracker", "Track", jobId=JOB, reel=reel["reel"], camera=camera)["result"]
        assert reel["reused"]
        assert tracks["reused"]
        cameras.append({"camera": camera, "tracks": tracks["tracks"], "reel": reel["reel"]})
    home = next(each for each in cameras if each["camera"] == undisturbed_job.query_tracks[0].camera)
    query = ask("tracker", "LocateQuery", jobId=JOB, queryJson=theatre.query, cameraTracks=home)
    assert query["iou"] == undisturbed_job.query_iou
    ranked = ask("tracker", "RankCandidates", jobId=JOB, query=query["query"], cameras=cameras)
    best = ranked["candidates"][0]
    shown: dict[str, Any] = {"queryTracks": query["tracks"], "cameras": cameras}
    pair = {"pairId": best["pairId"], "candidate": best["track"]}
    clip = ask("renderer", "RenderPairs", jobId=JOB, pairs=[pair], **shown)["clip"]
    assert Path(clip["clipUri"].removeprefix("file://")).stat().st_size > 0
    film = ask(
        "renderer", "RenderTimeline", jobId=JOB, revision=1, tracks=[*query["tracks"], best["track"]], cameras=cameras
    )["result"]
    assert Path(film["filmUri"].removeprefix("file://")).stat().st_size > 0

    review: dict[str, Any] = {
        "requestId": "by-hand-1", "jobId": JOB, "round": 1, "callbackToken": "none", "deadlineNs": "1",
        "callbackTarget": theatre.deployment.addresses["orchestrator"],
        "pairs": [
            {"pairId": best["pairId"], "clipUri": clip["clipUri"], "query": query["tracks"][0], "candidate": best["track"],
             "similarity": best["similarity"], "rank": 1}
        ],
    }  # fmt: skip
    assert ask("tier", "ReviewPairs", **review) == {"accepted": 1}
    ready: dict[str, Any] = {
        "requestId": "by-hand-2",
        "jobId": JOB,
        "timeline": {"revision": 1, "filmUri": film["filmUri"]},
    }
    ask("alert", "TimelineReady", **ready)
    everybody = ask("tracker", "IdentifyGlobally", requestId="by-hand-3", cameras=cameras)["identities"]
    assert Path(everybody["uri"].removeprefix("file://"), "report.html").stat().st_size > 0

    job = {"jobId": undisturbed_job.job_id}
    assert ask("orchestrator", "GetJob", cli, **job)["job"]["state"] == "JOB_STATE_SUCCEEDED"
    assert ask("orchestrator", "WatchJob", cli, **job)["job"]["state"] == "JOB_STATE_SUCCEEDED"
    assert ask("orchestrator", "CancelJob", cli, requestId="by-hand-4", **job) == {"state": "JOB_STATE_SUCCEEDED"}
    assert ask("orchestrator", "ListJobs", cli, pageSize=1)["jobs"]
