"""Jobs on the same footage at once: the work is done once, in one process or several, and whoever is left goes on with it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.whole.crowd import frames, pictures, runs
from tests.whole.deployment import Theatre
from tests.whole.test_cancel import cancelled
from throughline.cli.supervisor import Child
from throughline.domain.footage import Reel
from throughline.storage.documents import load
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import STAGE_INGEST, STAGE_TRACK, ArtifactRef
from throughline.v1.tracker_pb2 import TrackRequest, TrackResult
from throughline.v1.tracker_pb2_grpc import TrackerStub
from throughline.wire.client import connect
from throughline.wire.settings import ServiceSettings


def shared_footage(theatre: Theatre, name: str) -> str:
    shutil.copytree(theatre.store.footage, theatre.footage / name)
    return f"file://{theatre.footage / name}/"


def test_two_jobs_at_once_detect_track_and_collate_once(theatre: Theatre) -> None:
    before, tracked = pictures(theatre), theatre.folders("tracks")
    uri = shared_footage(theatre, "shared")
    jobs = [theatre.submit(f"shared-{number}", uri, analysis_rate=6) for number in range(2)]
    ended = [theatre.finished(job) for job in jobs]
    assert pictures(theatre) - before == frames(theatre, theatre.folders("tracks") - tracked) > 0
    for stage in (STAGE_INGEST, STAGE_TRACK):
        assert sum(runs(job, stage) for job in ended) == len(theatre.store.clocks)
    assert theatre.outcome(ended[0]) == theatre.outcome(ended[1])


def test_cancelling_one_of_two_leaves_the_other_what_they_share(theatre: Theatre, undisturbed_job: pb.Job) -> None:
    uri = shared_footage(theatre, "shared-and-left")
    first, second = theatre.submit("leaves", uri), theatre.submit("stays", uri)
    theatre.wait(first, lambda job: job.stage >= STAGE_TRACK)
    cancelled(theatre, first, ())
    job = theatre.finished(second)
    assert theatre.outcome(job) == theatre.outcome(undisturbed_job)


@contextmanager
def second_tracker(theatre: Theatre) -> Iterator[str]:
    """The address of another replica, a process of its own."""
    spec = next(child.spec for child in theatre.supervisor.children if child.spec.name == "tracker")
    address_file = theatre.deployment.home / "second-tracker"
    environment = {
        **spec.environment,
        "THROUGHLINE_LISTEN": "127.0.0.1:0",
        "THROUGHLINE_ADDRESS_FILE": str(address_file),
    }
    environment.pop("THROUGHLINE_METRICS_LISTEN", None)
    again = replace(spec, environment=environment, log=spec.log.with_name("second-tracker.log"))
    replica = Child(again, print)
    replica.start()
    try:
        while not address_file.exists():
            time.sleep(0.05)
        yield address_file.read_text()
    finally:
        replica.ask_to_stop()
        replica.join(20)


def test_two_replicas_that_are_asked_at_once_track_once(theatre: Theatre, undisturbed_job: pb.Job) -> None:
    camera = undisturbed_job.query_tracks[0].camera
    reels = (theatre.deployment.home / "workspace" / "reels").glob("*/reel.json")
    reel = next(path.parent for path in reels if load(Reel, path.read_bytes()).camera == camera)
    before = pictures(theatre)
    results: list[TrackResult] = []
    request = TrackRequest(
        job_id="two-replicas", reel=ArtifactRef(uri=f"file://{reel}/", key=reel.name), camera=camera, analysis_rate=7
    )

    def ask(address: str) -> None:
        settings = ServiceSettings(token=theatre.token("orchestrator"))
        with connect(address, settings) as channel:
            *_, last = TrackerStub(channel).Track(request)
            results.append(last.result)

    with second_tracker(theatre) as second:
        asking = [threading.Thread(target=ask, args=(to,)) for to in (theatre.deployment.addresses["tracker"], second)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
    assert sorted(result.reused for result in results) == [False, True]
    assert pictures(theatre) - before == results[0].frame_count
    assert results[0].tracks == results[1].tracks
